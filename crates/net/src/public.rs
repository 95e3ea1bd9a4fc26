//! Unsigned public reads, within a fixed share of the venue's limit per address.

use crate::http::{HttpAnswer, HttpClient, HttpFailure, HttpMethod, HttpRequest};
use bytes::Bytes;
use domain::{Clock, MonoNanos};
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// The share of a venue's limit that public reads may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicConfig {
    /// Requests per second in the long run.
    pub per_second: NonZeroU32,
    /// Requests that may go out at once after a pause.
    pub burst: NonZeroU32,
}

/// Why a public read gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicError {
    /// Our share is used up; nothing was sent.
    #[error("the share of public requests is used up for {} ms", .retry_in.as_millis())]
    ShareUsedUp {
        /// When the next request fits.
        retry_in: Duration,
    },
    /// There was no answer. Reading again is harmless.
    #[error(transparent)]
    Failed(#[from] HttpFailure),
}

/// Our clock as the rate limiter wants it.
#[derive(Clone)]
struct LimiterClock(Arc<dyn Clock>);

impl GovernorClock for LimiterClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let MonoNanos(now) = self.0.mono();
        Nanos::from(now)
    }
}

/// Reads public data. Cloneable; clones use one share.
#[derive(Clone)]
pub struct PublicClient {
    http: HttpClient,
    share: Arc<RateLimiter<NotKeyed, InMemoryState, LimiterClock, NoOpMiddleware<Nanos>>>,
    clock: Arc<dyn Clock>,
}

impl PublicClient {
    /// A reader over `http` with a full share.
    #[must_use]
    pub fn new(http: HttpClient, config: PublicConfig, clock: Arc<dyn Clock>) -> Self {
        let quota = Quota::per_second(config.per_second).allow_burst(config.burst);
        let share = Arc::new(RateLimiter::direct_with_clock(quota, LimiterClock(Arc::clone(&clock))));
        Self { http, share, clock }
    }

    /// Reads `url` if the share allows it now.
    ///
    /// # Errors
    /// [`PublicError`]; both kinds may be tried again, later.
    pub async fn get(&self, url: &str) -> Result<HttpAnswer, PublicError> {
        if let Err(not_until) = self.share.check() {
            let now = Nanos::from(self.clock.mono().0);
            return Err(PublicError::ShareUsedUp { retry_in: not_until.wait_time_from(now) });
        }
        let request = HttpRequest { method: HttpMethod::Get, url, headers: &[], body: Bytes::new(), send_by: None };
        Ok(self.http.send(request).await?)
    }
}
