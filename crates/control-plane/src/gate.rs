//! Who asks, how often, and whether a person is there: credentials, rates, waits after failures, one-time codes.
//!
//! Invariants: the token of the data directory is good on this machine only; an unknown key and a wrong secret give
//! the same answer; on this machine the right credentials pass even while wrong ones wait, and what lowers a risk is
//! never kept waiting by a rate, so nobody can keep an operator from halting.

use crate::backend::Backend;
use crate::checks::{Presented, Way};
use crate::failures::{Failures, counted_as};
use crate::limits::{
    BURST_PER_ADDRESS, BURST_PER_KEY, CODE_CHARS_MAX, RATES_MAX, REQUESTS_PER_ADDRESS, REQUESTS_PER_KEY,
};
use crate::problem::Problem;
use crate::routes::{Risk, Route};
use crate::token::TokenHash;
use access::{ApiKeys, Grant, KeyRefusal, Scope, StepUp, StepUpRefusal};
use domain::{Clock, MonoNanos};
use governor::clock::Reference;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Everything that decides on admission.
pub(crate) struct Gate {
    token: TokenHash,
    keys: Arc<Mutex<ApiKeys>>,
    step_up: Arc<dyn StepUp>,
    failures: Mutex<Failures>,
    by_address: Rates<IpAddr>,
    by_key: Rates<String>,
    clock: Arc<dyn Clock>,
    backend: Arc<dyn Backend>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The holder of the data directory's token: everything.
    Local,
    /// The holder of an API key.
    Key(Grant),
}

impl Caller {
    /// The caller's name for logs, the journal and the memory of repeated requests.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Local => "token".to_owned(),
            Self::Key(grant) => format!("key {}", grant.name),
        }
    }

    fn allows(&self, scope: Scope) -> bool {
        match self {
            Self::Local => true,
            Self::Key(grant) => grant.allows(scope),
        }
    }
}

/// From where somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    /// The address; none: over the Unix socket.
    address: Option<IpAddr>,
    here: bool,
}

impl Source {
    /// The source of a request. `listed`: it came under a name of the settings, so a proxy on this machine may have
    /// passed it on for somebody elsewhere.
    pub(crate) fn new(way: Way, peer: Option<std::net::SocketAddr>, listed: bool) -> Self {
        // A TCP peer without an address is nobody's and surely not of this machine.
        let address = || peer.map_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
        let address = (way == Way::Tcp).then(address);
        Self { address, here: address.is_none_or(|address| address.is_loopback() && !listed) }
    }

    /// The source for people: an address, or `socket`.
    pub(crate) fn words(self) -> String {
        self.address.map_or_else(|| "socket".to_owned(), |address| address.to_string())
    }

    /// Whether it is this machine.
    pub(crate) fn is_here(self) -> bool {
        self.here
    }
}

impl Gate {
    pub(crate) fn new(
        token: TokenHash,
        keys: Arc<Mutex<ApiKeys>>,
        step_up: Arc<dyn StepUp>,
        clock: Arc<dyn Clock>,
        backend: Arc<dyn Backend>,
    ) -> Self {
        let quota = |rate, burst| Quota::per_second(rate).allow_burst(burst);
        Self {
            token,
            keys,
            step_up,
            failures: Mutex::default(),
            by_address: Rates::new(quota(REQUESTS_PER_ADDRESS, BURST_PER_ADDRESS), &clock),
            by_key: Rates::new(quota(REQUESTS_PER_KEY, BURST_PER_KEY), &clock),
            clock,
            backend,
        }
    }

    /// The API keys.
    pub(crate) fn keys(&self) -> &Mutex<ApiKeys> {
        &self.keys
    }

    /// The API keys, for a thread that may block.
    pub(crate) fn keys_shared(&self) -> Arc<Mutex<ApiKeys>> {
        Arc::clone(&self.keys)
    }

    /// Seconds since 1970.
    pub(crate) fn unix(&self) -> u64 {
        self.clock.unix().0 / 1_000_000_000
    }

    /// Counts a request that needs no credentials against its address.
    pub(crate) fn admit_open(&self, source: Source) -> Result<(), Problem> {
        source.address.map_or(Ok(()), |address| self.by_address.take(counted_as(address)))
    }

    /// Who asks, if that is known and not too often. `route`: what is asked for, none if there is nothing there.
    pub(crate) fn admit(
        &self,
        presented: Presented<'_>,
        source: Source,
        route: Option<&Route>,
    ) -> Result<Caller, Problem> {
        let rate = self.admit_open(source);
        let caller = match self.identify(presented, source) {
            Ok(caller) => caller,
            // A flood of wrong guesses is told of the flood, not of the guess.
            Err(problem) => return Err(rate.err().unwrap_or(problem)),
        };
        if let Some(scope) = route.and_then(|route| route.needs(source.is_here()))
            && !caller.allows(scope)
        {
            telemetry::auth_failures_total("scope_missing").increment(1);
            let detail = format!("this needs the scope `{}`, which the API key does not have", scope.as_str());
            return Err(Problem::new(403, "scope_missing", "forbidden", detail));
        }
        if route.is_none_or(|route| route.risk != Risk::Lowers) {
            rate?;
            if let Caller::Key(grant) = &caller {
                self.by_key.take(grant.id.clone())?;
            }
        }
        Ok(caller)
    }

    fn identify(&self, presented: Presented<'_>, source: Source) -> Result<Caller, Problem> {
        let waits = source
            .address
            .and_then(|address| lock(&self.failures).waits(address, self.clock.mono()))
            .map(|seconds| Problem::wait(seconds, "too_many_wrong_tokens", "wrong credentials came from this address"));
        if let Some(waits) = waits.clone().filter(|_| !source.is_here()) {
            return Err(waits);
        }
        let credentials = match presented {
            Presented::Nothing => {
                telemetry::auth_failures_total("token_missing").increment(1);
                return Err(unauthorized("token_missing", SAY_HOW));
            }
            Presented::Bearer(credentials) => credentials,
        };
        // Both are always looked at, so that the time says nothing about which one was nearly right.
        let local = self.token.matches(credentials) && source.is_here();
        let key = lock(&self.keys).check(credentials, source.address, self.unix());
        let refusal = match (local, key) {
            (true, _) => return Ok(Caller::Local),
            (false, Ok(grant)) => return Ok(Caller::Key(grant)),
            (false, Err(refusal)) => refusal,
        };
        let counted = match refusal {
            KeyRefusal::Wrong => "token_wrong",
            KeyRefusal::Source => "token_source",
            KeyRefusal::Expired => "token_expired",
        };
        telemetry::auth_failures_total(counted).increment(1);
        // A page that is open without credentials asks again and again: only what was tried is told.
        self.backend.authentication_refused(counted, &source.words());
        if let Some(waits) = waits {
            return Err(waits);
        }
        if let Some(address) = source.address {
            lock(&self.failures).failed(address, self.clock.mono());
        }
        Err(match refusal {
            // Whoever has the secret of an ended key learns that it ended; whoever has it elsewhere learns nothing.
            KeyRefusal::Expired => {
                unauthorized("token_expired", "this API key has ended; make a new one: steadfast access add NAME")
            }
            KeyRefusal::Wrong | KeyRefusal::Source => unauthorized("token_wrong", SAY_HOW),
        })
    }

    /// Whether a caller who was let in before would be let in still.
    pub(crate) fn still_allows(&self, caller: &Caller) -> bool {
        match caller {
            Caller::Local => true,
            Caller::Key(grant) => lock(&self.keys).list().any(|key| key.id == grant.id && self.unix() < key.expires),
        }
    }

    /// Whether this route needs a code now.
    pub(crate) fn needs_code(&self, route: &Route) -> bool {
        route.step_up() && self.step_up.enrolled()
    }

    /// The code checker, for a thread that may block.
    pub(crate) fn step_up(&self) -> Arc<dyn StepUp> {
        Arc::clone(&self.step_up)
    }

    /// Stores what is stored now and then; call it every few seconds.
    pub(crate) fn upkeep(&self) {
        let saved = lock(&self.keys).save_use(self.unix());
        if let Err(error) = saved {
            tracing::warn!(%error, "the API keys' times of last use could not be stored");
        }
    }
}

/// The code that was sent beside a request, if it may be one.
pub(crate) fn code_needed() -> Problem {
    telemetry::auth_failures_total("step_up_missing").increment(1);
    Problem::new(
        403,
        "step_up_needed",
        "a one-time code is needed",
        "send the code of your authenticator, or a recovery code, as X-Totp; steadfast asks for it, or takes --totp CODE",
    )
}

/// Whether a text may be a code at all.
pub(crate) fn may_be_code(text: &str) -> bool {
    (1..=CODE_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// The answer to a code that was not accepted.
pub(crate) fn code_refused(refusal: StepUpRefusal) -> Problem {
    telemetry::auth_failures_total(refusal.as_str()).increment(1);
    tracing::warn!(refusal = refusal.as_str(), "a one-time code was refused");
    match refusal {
        StepUpRefusal::Locked { seconds } => Problem::wait(seconds, refusal.as_str(), refusal.to_string()),
        StepUpRefusal::Unavailable => {
            Problem::new(503, refusal.as_str(), refusal.to_string(), "nothing was done; look at the log")
        }
        _ => Problem::new(403, refusal.as_str(), refusal.to_string(), "nothing was done; try the next code"),
    }
}

const SAY_HOW: &str = "send `Authorization: Bearer` with an API key, or on this machine the token from control.token of the data directory";

fn unauthorized(code: &str, detail: &str) -> Problem {
    Problem::new(401, code, "unauthorized", detail)
}

/// Nothing that is done under these locks can leave their content half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rates of many, on the program's clock.
struct Rates<K: std::hash::Hash + Eq + Clone>(
    RateLimiter<K, HashMapStateStore<K>, RateClock, NoOpMiddleware<RateInstant>>,
);

impl<K: std::hash::Hash + Eq + Clone> Rates<K> {
    fn new(quota: Quota, clock: &Arc<dyn Clock>) -> Self {
        Self(RateLimiter::hashmap_with_clock(quota, RateClock(Arc::clone(clock))))
    }

    fn take(&self, key: K) -> Result<(), Problem> {
        if self.0.len() >= RATES_MAX {
            self.0.retain_recent();
        }
        self.0.check_key(&key).map_err(|busy| {
            let now = governor::clock::Clock::now(self.0.clock());
            let wait = busy.wait_time_from(now).as_millis().div_ceil(1_000);
            Problem::wait(u64::try_from(wait).unwrap_or(u64::MAX), "too_many_requests", "ask less often")
        })
    }
}

/// The program's clock, as the rates want it.
#[derive(Clone)]
struct RateClock(Arc<dyn Clock>);

/// A time of that clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RateInstant(MonoNanos);

impl std::ops::Add<Nanos> for RateInstant {
    type Output = Self;
    fn add(self, other: Nanos) -> Self {
        Self(self.0.after(Duration::from_nanos(other.as_u64())))
    }
}

impl Reference for RateInstant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        Nanos::from(self.0.since(earlier.0))
    }
    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(MonoNanos(self.0.0.saturating_sub(duration.as_u64())))
    }
}

impl governor::clock::Clock for RateClock {
    type Instant = RateInstant;
    fn now(&self) -> RateInstant {
        RateInstant(self.0.mono())
    }
}
