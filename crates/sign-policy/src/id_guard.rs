//! Which client order ids may be signed: ours, of this run, each for one content only.

use arrayvec::ArrayVec;
use domain::{Epoch, InstanceTag, MonoNanos, Sequence};
use messages::PlaceOrder;
use std::time::Duration;

/// Who signs: the tag of the data directory and the epoch of this run, both on disk before the first signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Marks every client order id of this data directory.
    pub tag: InstanceTag,
    /// Counts the starts of this data directory.
    pub epoch: Epoch,
}

/// Why an order may not be signed under its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdDoubt {
    /// The tag is another instance's.
    #[error("the client order id belongs to another instance")]
    ForeignTag,
    /// The epoch is not this run's.
    #[error("the client order id was made in another run")]
    OtherEpoch,
    /// Neither above the watermark nor signed lately.
    #[error("the client order id is not above the watermark")]
    Old,
    /// Signed before with another content: a defect, or an attack.
    #[error("the client order id was signed with another content")]
    OtherContent,
    /// Signed with this content too often or too long ago.
    #[error("the order was signed too often under this id")]
    Worn,
}

/// How an order that may be signed stands to what was signed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its id is new.
    New,
    /// It was signed before under its id, with this content.
    Again,
}

#[derive(Debug, Clone, Copy)]
struct Signed {
    order: PlaceOrder,
    first: MonoNanos,
    again: u8,
}

/// Lets each id through for one content only, and for that a bounded number of times.
#[derive(Debug)]
pub struct IdGuard {
    identity: Identity,
    watermark: Option<Sequence>,
    recent: ArrayVec<Signed, { IdGuard::RECENT_MAX }>,
    /// The place in `recent` that is overwritten next, once it is full.
    oldest: usize,
}

impl IdGuard {
    /// Orders remembered for signing again; more than any venue takes in [`Self::AGAIN_WITHIN`].
    pub const RECENT_MAX: usize = 1_024;
    /// How often one order may be signed again.
    pub const AGAIN_MAX: u8 = 5;
    /// How long after its first signature an order may be signed again.
    pub const AGAIN_WITHIN: Duration = Duration::from_secs(60);

    /// A guard that has seen nothing of this run.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self { identity, watermark: None, recent: ArrayVec::new(), oldest: 0 }
    }

    /// The tag and epoch it lets through.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// The highest sequence that was let through; none yet.
    #[must_use]
    pub const fn watermark(&self) -> Option<Sequence> {
        self.watermark
    }

    /// How `order` stands, without recording anything: for the policy, which comes first.
    ///
    /// # Errors
    /// [`IdDoubt`]: no signature may be made.
    pub fn standing(&self, order: &PlaceOrder, now: MonoNanos) -> Result<Standing, IdDoubt> {
        if order.id.tag() != self.identity.tag {
            return Err(IdDoubt::ForeignTag);
        }
        let (epoch, sequence) = order.id.number();
        if epoch != self.identity.epoch {
            return Err(IdDoubt::OtherEpoch);
        }
        if self.watermark.is_none_or(|watermark| sequence > watermark) {
            return Ok(Standing::New);
        }
        let signed = self.recent.iter().find(|signed| signed.order.id == order.id).ok_or(IdDoubt::Old)?;
        if signed.order != *order {
            return Err(IdDoubt::OtherContent);
        }
        if signed.again >= Self::AGAIN_MAX || now.since(signed.first) > Self::AGAIN_WITHIN {
            return Err(IdDoubt::Worn);
        }
        Ok(Standing::Again)
    }

    /// Records that `order` is about to be signed. Call before the signature is released.
    ///
    /// # Errors
    /// [`IdDoubt`]: no signature may be made; nothing was recorded.
    pub fn admit(&mut self, order: &PlaceOrder, now: MonoNanos) -> Result<Standing, IdDoubt> {
        let standing = self.standing(order, now)?;
        match standing {
            Standing::New => {
                self.watermark = Some(order.id.sequence());
                self.remember(Signed { order: *order, first: now, again: 0 });
            }
            Standing::Again => {
                if let Some(signed) = self.recent.iter_mut().find(|signed| signed.order.id == order.id) {
                    signed.again += 1;
                }
            }
        }
        Ok(standing)
    }

    fn remember(&mut self, signed: Signed) {
        if self.recent.try_push(signed).is_ok() {
            return;
        }
        if let Some(place) = self.recent.get_mut(self.oldest) {
            *place = signed;
        }
        self.oldest = (self.oldest + 1) % Self::RECENT_MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{ClientOrderId, Scaled, Side, Symbol, TimeInForce};

    fn identity() -> Identity {
        Identity { tag: InstanceTag::from_number(77), epoch: Epoch::new(9).unwrap() }
    }

    fn order(identity: Identity, sequence: u64, mantissa: i64) -> PlaceOrder {
        PlaceOrder {
            id: ClientOrderId::new(identity.tag, identity.epoch, Sequence::new(sequence).unwrap()),
            symbol: Symbol::from("BTCUSDT").unwrap(),
            side: Side::Buy,
            price: Scaled { mantissa, decimals: 2 },
            qty: Scaled { mantissa: 1_000, decimals: 6 },
            time_in_force: TimeInForce::Gtc,
            effect: domain::PositionEffect::default(),
        }
    }

    #[test]
    fn ids_of_other_instances_and_runs_are_refused() {
        let mut guard = IdGuard::new(identity());
        let foreign = Identity { tag: InstanceTag::from_number(78), ..identity() };
        assert_eq!(guard.admit(&order(foreign, 1, 5), MonoNanos(0)), Err(IdDoubt::ForeignTag));
        for epoch in [8, 10] {
            let other = Identity { epoch: Epoch::new(epoch).unwrap(), ..identity() };
            assert_eq!(guard.admit(&order(other, 1, 5), MonoNanos(0)), Err(IdDoubt::OtherEpoch));
        }
    }

    #[test]
    fn sequence_zero_is_a_first_id_and_lower_ones_than_the_watermark_are_refused() {
        let mut guard = IdGuard::new(identity());
        guard.admit(&order(identity(), 0, 5), MonoNanos(0)).unwrap();
        guard.admit(&order(identity(), 7, 5), MonoNanos(0)).unwrap();
        assert_eq!(guard.admit(&order(identity(), 6, 5), MonoNanos(0)), Err(IdDoubt::Old));
    }

    #[test]
    fn same_order_is_signed_again_five_times_and_other_content_never() {
        let mut guard = IdGuard::new(identity());
        guard.admit(&order(identity(), 1, 500), MonoNanos(0)).unwrap();
        assert_eq!(guard.admit(&order(identity(), 1, 501), MonoNanos(0)), Err(IdDoubt::OtherContent));
        for _ in 0..IdGuard::AGAIN_MAX {
            guard.admit(&order(identity(), 1, 500), MonoNanos(0)).unwrap();
        }
        assert_eq!(guard.admit(&order(identity(), 1, 500), MonoNanos(0)), Err(IdDoubt::Worn));
    }

    #[test]
    fn asking_how_an_order_stands_records_nothing() {
        let mut guard = IdGuard::new(identity());
        for _ in 0..10 {
            assert_eq!(guard.standing(&order(identity(), 1, 500), MonoNanos(0)), Ok(Standing::New));
        }
        assert_eq!(guard.admit(&order(identity(), 1, 500), MonoNanos(0)), Ok(Standing::New));
        for _ in 0..10 {
            assert_eq!(guard.standing(&order(identity(), 1, 500), MonoNanos(0)), Ok(Standing::Again));
        }
        assert_eq!(guard.standing(&order(identity(), 1, 501), MonoNanos(0)), Err(IdDoubt::OtherContent));
    }

    #[test]
    fn order_is_not_signed_again_after_a_minute() {
        let mut guard = IdGuard::new(identity());
        let start = MonoNanos(5_000_000_000);
        guard.admit(&order(identity(), 1, 500), start).unwrap();
        guard.admit(&order(identity(), 1, 500), start.after(IdGuard::AGAIN_WITHIN)).unwrap();
        let late = start.after(IdGuard::AGAIN_WITHIN + Duration::from_nanos(1));
        assert_eq!(guard.admit(&order(identity(), 1, 500), late), Err(IdDoubt::Worn));
    }

    #[test]
    fn memory_is_bounded_and_a_forgotten_order_is_refused() {
        let mut guard = IdGuard::new(identity());
        let count = u64::try_from(IdGuard::RECENT_MAX).unwrap() + 3;
        for sequence in 1..=count {
            guard.admit(&order(identity(), sequence, 500), MonoNanos(0)).unwrap();
        }
        assert_eq!(guard.recent.len(), IdGuard::RECENT_MAX);
        assert_eq!(guard.admit(&order(identity(), 3, 500), MonoNanos(0)), Err(IdDoubt::Old));
        guard.admit(&order(identity(), 4, 500), MonoNanos(0)).unwrap();
        guard.admit(&order(identity(), count, 500), MonoNanos(0)).unwrap();
    }
}
