//! What order events say about the trust that a key deserves.

use domain::{InstrumentId, OrderState, VenueId};
use key_manager::KeyMessage;
use messages::{EventBody, OrderEvent, RefuseReason, VenueReason};
use std::collections::BTreeSet;

/// Reads order events for the key manager. Few of them say anything: those that do are passed on.
pub struct KeyWatch {
    /// Whether nobody but this program may trade on its accounts.
    alone: bool,
    /// Accounts whose last answer was that the key is no good.
    doubted: BTreeSet<VenueId>,
}

impl KeyWatch {
    /// `alone`: nobody but this program may trade on its accounts (`order_path.foreign_orders = "hold"`).
    #[must_use]
    pub const fn new(alone: bool) -> Self {
        Self { alone, doubted: BTreeSet::new() }
    }

    /// What an event means for a key. `venue_of` knows the account of an instrument.
    pub fn look(
        &mut self,
        event: &OrderEvent,
        venue_of: impl Fn(InstrumentId) -> Option<VenueId>,
    ) -> Option<KeyMessage> {
        match &event.body {
            EventBody::ForeignOrder { venue, .. } if self.alone => Some(KeyMessage::Foreign(*venue)),
            EventBody::Refused { instrument, reason: RefuseReason::SignerRefused, .. } => {
                venue_of(*instrument).map(KeyMessage::PolicyRefused)
            }
            EventBody::Order { order, error: Some(error), .. } if about_key(error.reason) => {
                let venue = venue_of(order.instrument)?;
                self.doubted.insert(venue);
                Some(KeyMessage::Rejected(venue, *error))
            }
            EventBody::Order { order, error: None, .. } if order.state == OrderState::Acked => {
                let venue = venue_of(order.instrument)?;
                self.doubted.remove(&venue).then_some(KeyMessage::Worked(venue))
            }
            _ => None,
        }
    }
}

/// Whether a venue's refusal is about the key and not about the order.
const fn about_key(reason: VenueReason) -> bool {
    matches!(
        reason,
        VenueReason::KeyUnknown
            | VenueReason::Signature
            | VenueReason::Passphrase
            | VenueReason::IpNotAllowed
            | VenueReason::Permission
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Side, StrategyTag, UnixNanos, VenueOrderId};

    fn event(body: EventBody) -> OrderEvent {
        OrderEvent { seq: 1, at: UnixNanos(1), body }
    }

    #[test]
    fn orders_of_others_cost_trust_only_where_nobody_else_may_trade() {
        let foreign = event(EventBody::ForeignOrder {
            venue: VenueId(3),
            venue_order_id: VenueOrderId::from("7").unwrap(),
            other_instance: false,
        });
        assert_eq!(KeyWatch::new(false).look(&foreign, |_| None), None);
        assert_eq!(KeyWatch::new(true).look(&foreign, |_| None), Some(KeyMessage::Foreign(VenueId(3))));
    }

    #[test]
    fn refusals_of_the_signer_are_counted_and_those_of_the_risk_guard_are_not() {
        let refused = |reason| {
            event(EventBody::Refused {
                id: None,
                strategy: StrategyTag(1),
                reference: 1,
                instrument: InstrumentId(0),
                side: Side::Buy,
                price: domain::Price(1),
                qty: domain::Qty(1),
                reason,
                top: None,
            })
        };
        let mut watch = KeyWatch::new(false);
        let venue_of = |_| Some(VenueId(2));
        let told = watch.look(&refused(RefuseReason::SignerRefused), venue_of);
        assert_eq!(told, Some(KeyMessage::PolicyRefused(VenueId(2))));
        assert_eq!(watch.look(&refused(RefuseReason::InvalidBook), venue_of), None);
    }
}
