//! The dead-man switch of unified accounts: orders that are cancelled when their owner falls silent.

use crate::accounts::cancel_all_spot;
use crate::venue::Venue;
use std::time::Duration;

impl Venue {
    /// Cancels all orders of an account in `seconds` unless it is armed again; zero disarms it.
    pub(crate) fn arm_countdown(&mut self, account: usize, seconds: u64) {
        let until = (seconds > 0).then(|| self.mono().after(Duration::from_secs(seconds)));
        if let Some(owner) = self.accounts.get_mut(account) {
            owner.cancel_at = until;
        }
    }

    /// Cancels the orders of every account whose time has come; the switch is disarmed then.
    pub(crate) fn expire_countdowns(&mut self) {
        let now = self.mono();
        for account in 0..self.accounts.len() {
            let Some(owner) = self.accounts.get_mut(account) else { continue };
            if owner.cancel_at.is_none_or(|at| now < at) {
                continue;
            }
            owner.cancel_at = None;
            let spot = cancel_all_spot(self, account, None).len();
            let cancelled = spot + self.cancel_futures(account, None).len();
            tracing::info!(account, cancelled, "the dead-man switch fired");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Market;
    use crate::desk::tests::{bid, venue};
    use std::time::Duration;

    #[test]
    fn orders_are_cancelled_when_their_owner_falls_silent_and_only_then() {
        let (clock, mut venue) = venue(Market::Quiet);
        let open = |venue: &crate::venue::Venue| venue.accounts[0].store.open().count();
        venue.place(0, bid(6_000_000, 1_000)).unwrap();
        venue.arm_countdown(0, 10);
        clock.advance(Duration::from_secs(9));
        venue.tick();
        venue.arm_countdown(0, 10);
        clock.advance(Duration::from_secs(9));
        venue.tick();
        assert_eq!(open(&venue), 1, "armed again in time");
        clock.advance(Duration::from_secs(1));
        venue.tick();
        assert_eq!(open(&venue), 0);
        venue.place(0, bid(6_000_000, 1_000)).unwrap();
        clock.advance(Duration::from_secs(60));
        venue.tick();
        assert_eq!(open(&venue), 1, "it fires once");
        venue.arm_countdown(0, 10);
        venue.arm_countdown(0, 0);
        clock.advance(Duration::from_secs(60));
        venue.tick();
        assert_eq!(open(&venue), 1, "zero disarms it");
    }
}
