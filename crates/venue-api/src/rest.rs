//! Answers of signed requests.

use domain::VenueOrderId;
use messages::{CouldNotAsk, QueryAnswer, SignIntent, VenueError};

/// What came of a place or cancel request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActAnswer {
    /// The venue received it.
    Accepted(VenueOrderId),
    /// Cancel-all was received.
    Done,
    /// The venue answered with an error.
    Failed(VenueError),
    /// The answer says nothing that can be relied on (empty body, HTML from a proxy, 5xx): the outcome is unknown.
    Unclear,
}

/// Reads the venue's REST answers.
pub trait RestCodec: Send + Sync {
    /// Reads the answer to a request that acts (place, cancel, cancel-all).
    fn act_answer(&self, intent: &SignIntent, status: u16, body: &[u8]) -> ActAnswer;

    /// Reads the answer to a request that only asks.
    /// "Not found" is [`QueryAnswer::Order`] with `None`, or an empty page; anything unreadable is [`CouldNotAsk`].
    fn query_answer(&self, intent: &SignIntent, status: u16, body: &[u8]) -> QueryAnswer;

    /// Classifies an error code of the venue, as it came with an HTTP status.
    fn classify(&self, status: u16, code: &str, text: &str) -> VenueError;

    /// One sentence for people about an error code of the venue; `None`: it is not in the venue's documents.
    fn explain(&self, code: &str) -> Option<&'static str> {
        let _ = code;
        None
    }
}

/// A shorthand for "the venue answered with this error".
#[must_use]
pub const fn could_not_ask(error: VenueError) -> QueryAnswer {
    QueryAnswer::CouldNotAsk(CouldNotAsk::Venue(error))
}
