//! The exchange without a socket, for programs that throw bytes at it. No account's signature is asked for here, so that
//! what lies behind the signature is reached.

use crate::call::{Call, parameters};
use crate::config::{ApiKeyMaterial, Market, SimConfig};
use crate::hub::Out;
use crate::session::Verdict;
use crate::venue::Venue;
use crate::{RateLimits, SimError, routes};
use domain::Clock;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, channel};

/// Frames that may wait for the client.
const QUEUE_MAX: usize = 256;
/// Channels of the client.
const CHANNELS_MAX: usize = 50;

/// An exchange with one account and one logged-in stream.
pub struct Workbench {
    venue: Venue,
    session: u64,
    frames: Receiver<Out>,
}

impl Workbench {
    /// A quiet market, nothing limited.
    ///
    /// # Errors
    /// [`SimError`] when the defaults do not make an exchange.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, SimError> {
        let config = SimConfig {
            market: Market::Quiet,
            rate_limits: RateLimits { enforced: false, ..RateLimits::default() },
            ..SimConfig::default()
        };
        let key = ApiKeyMaterial { key: "bg_1".into(), secret: "s".into(), passphrase: "p".into() };
        let mut venue = Venue::new(&config, key, clock)?;
        let (queue, frames) = channel(QUEUE_MAX);
        let session = venue.hub.open(queue, None, IpAddr::V4(Ipv4Addr::LOCALHOST), false);
        if let Some(client) = venue.hub.get_mut(session) {
            client.account = Some(0);
            client.key = Some("bg_1".to_owned());
        }
        Ok(Self { venue, session, frames })
    }

    /// Calls a path as a key with every right would. `None`: no such path; `Some(false)`: rejected.
    pub fn call(&mut self, method: &str, target: &str, body: &[u8]) -> Option<bool> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let route = routes::find(method, path)?;
        let body = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(body) };
        let Ok(body) = body else { return Some(false) };
        let call = Call { account: 0, key: "bg_1".to_owned(), query: parameters(query), body };
        Some((route.handler)(&mut self.venue, &call).is_ok())
    }

    /// Says something on the stream and empties the client's queue; what was answered, frame by frame. `None`: the
    /// exchange closes the connection.
    pub fn say(&mut self, text: &str) -> Option<Vec<String>> {
        let verdict = self.venue.on_client_text(self.session, text, CHANNELS_MAX);
        let mut said = Vec::new();
        while let Ok(out) = self.frames.try_recv() {
            if let Out::Text(text) = out {
                said.push(text);
            }
        }
        (verdict == Verdict::Continue).then_some(said)
    }

    /// Orders that the exchange has taken so far.
    #[must_use]
    pub const fn accepted(&self) -> u64 {
        self.venue.accepted
    }
}
