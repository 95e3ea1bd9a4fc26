//! What the suites of this crate share.

use clock::SystemClock;
use domain::Clock;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for something that must happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The machine's clock.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// Runs `test` on a single-threaded runtime like an Arbiter's, for at most [`SOON`].
pub(crate) fn on_runtime(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(SOON, test).await.expect("the test ends in time");
    });
}
