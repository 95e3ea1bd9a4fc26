//! The account mode that the codecs of one account share: read at each request, turned by the key manager's word.

use messages::AccountMode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How the venue keeps an account, shared by all codecs of it.
#[derive(Debug, Clone)]
pub struct ModeSwitch(Arc<AtomicBool>);

impl ModeSwitch {
    /// A switch that stands on `mode`.
    #[must_use]
    pub fn new(mode: AccountMode) -> Self {
        Self(Arc::new(AtomicBool::new(mode == AccountMode::Unified)))
    }

    /// The mode now.
    #[must_use]
    pub fn get(&self) -> AccountMode {
        if self.0.load(Ordering::Acquire) { AccountMode::Unified } else { AccountMode::Classic }
    }

    /// Turns it; everything that is written or read from now on is of `mode`.
    pub fn set(&self, mode: AccountMode) {
        self.0.store(mode == AccountMode::Unified, Ordering::Release);
    }
}

impl Default for ModeSwitch {
    /// Classic: for venues that keep accounts in one way.
    fn default() -> Self {
        Self::new(AccountMode::Classic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_copies_of_a_switch_turn_together() {
        let switch = ModeSwitch::default();
        let copy = switch.clone();
        assert_eq!(copy.get(), AccountMode::Classic);
        switch.set(AccountMode::Unified);
        assert_eq!(copy.get(), AccountMode::Unified);
    }
}
