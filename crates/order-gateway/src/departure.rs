//! What the gateway needs to know of a request that is to leave.
//!
//! Outside this crate only [`Outbound`] can be handed in, whose bytes the signer alone can make; the trait is
//! there so that this crate's own tests need no signer.

use crate::core::Queued;
use domain::{MonoNanos, StrategyTag, VenueId};
use messages::SignIntent;
use signing::{Outbound, Route};
use venue_api::Method;

/// A request that is to leave, complete.
pub(crate) trait Departure: Queued + 'static {
    /// The venue account.
    fn venue(&self) -> VenueId;
    /// Where its answer goes.
    fn route(&self) -> Route;
    /// The strategy, for the wire record.
    fn strategy(&self) -> StrategyTag;
    /// The instrument version, for the wire record.
    fn version(&self) -> u32;
    /// When it was signed.
    fn signed(&self) -> MonoNanos;
    /// HTTP method, or a frame.
    fn method(&self) -> Method;
    /// Path and query.
    fn target(&self) -> &str;
    /// Header names and values, in order.
    fn headers(&self) -> Vec<(&str, &str)>;
    /// The exact body, or the frame's text.
    fn body(&self) -> &[u8];
}

impl Queued for Outbound {
    fn intent(&self) -> &SignIntent {
        &self.intent
    }
    fn send_by(&self) -> MonoNanos {
        self.send_by
    }
}

impl Departure for Outbound {
    fn venue(&self) -> VenueId {
        self.venue
    }
    fn route(&self) -> Route {
        self.route
    }
    fn strategy(&self) -> StrategyTag {
        self.strategy
    }
    fn version(&self) -> u32 {
        self.version
    }
    fn signed(&self) -> MonoNanos {
        self.signed
    }
    fn method(&self) -> Method {
        self.request.method()
    }
    fn target(&self) -> &str {
        self.request.target()
    }
    fn headers(&self) -> Vec<(&str, &str)> {
        self.request.headers().collect()
    }
    fn body(&self) -> &[u8] {
        self.request.body()
    }
}
