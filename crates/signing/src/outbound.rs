//! What the order path hands to the gateway: one signed request with all that is needed to record it,
//! send it in time, read its answer and bring the answer home.

use crate::SignedRequest;
use domain::{ClientOrderId, MonoNanos, StrategyTag, VenueId};
use messages::{QueryId, QueryPurpose, SignIntent};

/// Where the answer to a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// About one order: reports with its id go to the order path.
    Order(ClientOrderId),
    /// Cancel-all of an instrument: the outcome goes to the order path.
    CancelAll,
    /// Leverage or a mode: what the venue said goes to the order path.
    Setting,
    /// A question: its answer goes to whoever asked.
    Query(QueryId, QueryPurpose),
}

/// One entry of the outbox.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// The venue account.
    pub venue: VenueId,
    /// The exact bytes to send.
    pub request: SignedRequest,
    /// What it was made from; what `wire.log` records and the codec reads the answer by.
    pub intent: SignIntent,
    /// Where the answer goes.
    pub route: Route,
    /// The strategy, for `wire.log`; tag 0 for the program's own requests.
    pub strategy: StrategyTag,
    /// The instrument version its numbers belong to, for `wire.log`; 0 where there is none.
    pub version: u32,
    /// When it was signed.
    pub signed: MonoNanos,
    /// Not sent at all when the first byte has not gone by then.
    pub send_by: MonoNanos,
}
