//! Where the keeper tells what happened; the wiring turns it into metrics and logs.

/// Receives the keeper's events, on whatever thread they happen. Must not wait.
/// Depths and totals are read with [`crate::Keeper::readings`] instead.
pub trait KeeperObserver: Send + Sync + 'static {
    /// The actor takes messages (`true`) or has ended (`false`).
    fn actor_up(&self, actor: &'static str, up: bool);
    /// The actor ended by a panic; `cause` says where, never what it said.
    fn actor_died(&self, actor: &'static str, cause: &str);
    /// The actor was made anew by its factory, for the `times`-th time in the window of its limit.
    fn actor_rebuilt(&self, actor: &'static str, times: u32);
    /// A message that must never be lost was not accepted, or was accepted and
    /// then not handled because the actor ended; `kind` is its Rust type.
    fn message_lost(&self, actor: &'static str, kind: &'static str);
}

/// An observer that ignores everything, for tests and tools.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl KeeperObserver for Silent {
    fn actor_up(&self, _actor: &'static str, _up: bool) {}
    fn actor_died(&self, _actor: &'static str, _cause: &str) {}
    fn actor_rebuilt(&self, _actor: &'static str, _times: u32) {}
    fn message_lost(&self, _actor: &'static str, _kind: &'static str) {}
}
