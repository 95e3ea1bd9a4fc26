//! What the suites of this crate share.

use clock::ManualClock;
use keeper::{Keeper, KeeperObserver};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest wait for something that must happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Remembers what the keeper told.
#[derive(Default)]
pub(crate) struct Heard(pub(crate) Mutex<Vec<String>>);

impl Heard {
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    /// Everything told so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl KeeperObserver for Heard {
    fn actor_up(&self, actor: &'static str, up: bool) {
        self.note(format!("{actor} {}", if up { "up" } else { "down" }));
    }
    fn actor_died(&self, actor: &'static str, cause: &str) {
        self.note(format!("{actor} died: {cause}"));
    }
    fn actor_rebuilt(&self, actor: &'static str, times: u32) {
        self.note(format!("{actor} rebuilt {times}"));
    }
    fn message_lost(&self, actor: &'static str, _kind: &'static str) {
        self.note(format!("{actor} lost"));
    }
}

/// A keeper on a clock that stands still, and what it told.
pub(crate) fn keeper() -> (Keeper, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let observer: Arc<dyn KeeperObserver> = heard.clone();
    (Keeper::new(Arc::new(ManualClock::default()), observer), heard)
}

/// Runs `test` on an actix system of its own, for at most [`SOON`].
pub(crate) fn on_system(test: impl Future<Output = ()>) {
    actix::System::new().block_on(async {
        tokio::time::timeout(SOON, test).await.expect("the test ends in time");
    });
}
