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
