//! The envelope of every REST answer: `{"code","msg","requestTime","data"}`.
//!
//! Facts (sheet sections 1 and 7): business errors come as HTTP 200 or 400, so the body is read first and its `code`
//! decides; the status counts only where there is no readable body. Invariants: a body without a readable code never
//! counts as accepted, rejected or "not found"; success under a status that denies it says nothing.

use crate::errors::{self, SUCCESS};
use crate::loose::{Loose, fixed};
use domain::{ClientOrderId, VenueOrderId};
use messages::{CouldNotAsk, QueryAnswer, SignIntent, VenueError, VenueErrorClass, VenueReason};
use serde::Deserialize;
use serde_json::value::RawValue;
use venue_api::{ActAnswer, PublicAnswerError, could_not_ask};

/// What in an answer could not be read; a word of a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowError(pub(crate) &'static str);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Envelope<'a> {
    #[serde(borrow)]
    code: Loose<'a>,
    #[serde(borrow)]
    msg: Loose<'a>,
    /// Some stored answers say `message` instead of `msg`.
    #[serde(borrow)]
    message: Loose<'a>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// What a body is, before anybody looks at what it says.
pub(crate) enum Answer<'a> {
    /// Success, with its data (`null` counts as absent).
    Success(Option<&'a RawValue>),
    /// An error of the venue.
    Failure(VenueError),
    /// Nothing that can be relied on.
    Unclear,
}

/// Reads the envelope of an answer.
pub(crate) fn read(status: u16, body: &[u8]) -> Answer<'_> {
    let envelope = if is_object(body) { serde_json::from_slice::<Envelope<'_>>(body).ok() } else { None };
    let code = envelope.as_ref().and_then(|envelope| envelope.code.text());
    match (envelope.as_ref(), code) {
        // Something between the venue and us contradicts it: what became of the request is asked for.
        (Some(_), Some(code)) if code == SUCCESS && !(200..300).contains(&status) => Answer::Unclear,
        (Some(envelope), Some(code)) if code == SUCCESS => {
            Answer::Success(envelope.data.filter(|data| data.get() != "null"))
        }
        (Some(envelope), Some(code)) => {
            let text = envelope.msg.text().or_else(|| envelope.message.text()).unwrap_or_default();
            Answer::Failure(errors::rest(status, &code, &text))
        }
        // A limiter in front of the venue may answer 429 without a readable body; nothing was processed then.
        _ if status == 429 => Answer::Failure(errors::rest(status, "", "too many requests")),
        _ => Answer::Unclear,
    }
}

/// The ids in an answer to an order or a cancel; in a batch, with what went wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Leg<'a> {
    #[serde(borrow)]
    order_id: Loose<'a>,
    #[serde(borrow)]
    client_oid: Loose<'a>,
    #[serde(borrow)]
    code: Loose<'a>,
    #[serde(borrow)]
    msg: Loose<'a>,
    #[serde(borrow)]
    error_code: Loose<'a>,
    #[serde(borrow)]
    error_msg: Loose<'a>,
}

impl Leg<'_> {
    /// What went wrong with this order of a batch, if anything did. A leg may fail in a successful answer.
    pub(crate) fn failure(&self) -> Option<VenueError> {
        let code = self.code.or(self.error_code).text().filter(|code| code != SUCCESS && code != "0");
        let text = self.msg.or(self.error_msg).text().unwrap_or_default();
        match code {
            Some(code) => Some(errors::rest(200, &code, &text)),
            None if self.error_msg.text().is_some() => Some(errors::rest(200, "", &text)),
            None => None,
        }
    }
}

/// The venue's id out of an answer to placing or cancelling, if the answer is about that order.
pub(crate) fn accepted(data: Option<&RawValue>, id: &ClientOrderId, asked: Option<VenueOrderId>) -> ActAnswer {
    let ids: Leg<'_> = object(data, "ids").unwrap_or_default();
    let Some(order_id) = ids.order_id.text().and_then(|text| fixed::<40>(&text)) else { return ActAnswer::Unclear };
    let another_client = asked.is_none() && ids.client_oid.text().is_some_and(|text| text != id.as_str());
    if another_client || asked.is_some_and(|asked| asked != order_id) {
        return ActAnswer::Unclear;
    }
    ActAnswer::Accepted(order_id)
}

/// The answer to a cancel of everything: done, unless a leg failed in a way that leaves something resting. Orders that
/// are gone already are what was wanted.
pub(crate) fn all_cancelled(legs: &[Leg<'_>]) -> ActAnswer {
    let failed = legs.iter().filter_map(Leg::failure);
    let left = failed.into_iter().find(|error| {
        !(error.class == VenueErrorClass::OutcomeUnknown && error.reason == messages::VenueReason::OrderNotFound)
    });
    left.map_or(ActAnswer::Done, ActAnswer::Failed)
}

/// `null` where a list belongs is an empty list (sheet trap 21).
pub(crate) fn rows<'a, T: Deserialize<'a>>(data: Option<&'a RawValue>) -> Result<Vec<T>, RowError> {
    let Some(data) = data else { return Ok(Vec::new()) };
    let rows: Option<Vec<&RawValue>> = serde_json::from_str(data.get()).map_err(|_| RowError("list"))?;
    rows.unwrap_or_default().into_iter().map(|row| members(row, "list")).collect()
}

/// An object, where there must be one.
pub(crate) fn object<'a, T: Deserialize<'a>>(data: Option<&'a RawValue>, what: &'static str) -> Result<T, RowError> {
    members(data.ok_or(RowError(what))?, what)
}

/// Whether a text is an object, as far as its beginning tells.
pub(crate) fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

/// Reads an object by the names of its members. An array would be read by its order, which says nothing here.
pub(crate) fn members<'a, T: Deserialize<'a>>(object: &'a RawValue, what: &'static str) -> Result<T, RowError> {
    if !is_object(object.get().as_bytes()) {
        return Err(RowError(what));
    }
    serde_json::from_str(object.get()).map_err(|_| RowError(what))
}

/// A public answer that cannot be used.
pub(crate) fn unreadable(detail: &str) -> PublicAnswerError {
    PublicAnswerError { detail: detail.to_owned() }
}

/// The data of a public answer.
pub(crate) fn public(status: u16, body: &[u8]) -> Result<&RawValue, PublicAnswerError> {
    match read(status, body) {
        Answer::Success(Some(data)) => Ok(data),
        Answer::Success(None) => Err(unreadable("no data")),
        Answer::Failure(error) => Err(unreadable(&format!("error {}: {}", error.code, error.text))),
        Answer::Unclear => Err(unreadable(&format!("HTTP status {status}, body unreadable"))),
    }
}

/// The rows of a public list, each for itself, so that one that cannot be read costs no other.
pub(crate) fn public_rows(status: u16, body: &[u8]) -> Result<Vec<&RawValue>, PublicAnswerError> {
    serde_json::from_str(public(status, body)?.get()).map_err(|_| unreadable("not a list"))
}

/// What an answer says of an act; `all` reads that of cancelling all.
pub(crate) fn acted(
    intent: &SignIntent,
    status: u16,
    body: &[u8],
    all: fn(Option<&RawValue>) -> ActAnswer,
) -> ActAnswer {
    match (read(status, body), intent) {
        (Answer::Success(data), SignIntent::Place(order)) => accepted(data, &order.id, None),
        (Answer::Success(data), SignIntent::Cancel { id, venue_order_id, .. }) => accepted(data, id, *venue_order_id),
        (Answer::Success(data), SignIntent::CancelAll { .. }) => all(data),
        (Answer::Success(_), intent) if intent.verb().sets() => ActAnswer::Done,
        (Answer::Failure(error), _) => ActAnswer::Failed(error),
        (Answer::Success(_) | Answer::Unclear, _) => ActAnswer::Unclear,
    }
}

/// The answer to a question; `question` reads its data. An order that the venue does not know is an answer.
pub(crate) fn answered(
    intent: &SignIntent,
    status: u16,
    body: &[u8],
    question: fn(&SignIntent, Option<&RawValue>) -> Result<QueryAnswer, RowError>,
) -> QueryAnswer {
    let data = match read(status, body) {
        Answer::Success(data) => data,
        Answer::Failure(error) if error.reason == VenueReason::OrderNotFound => {
            return match intent {
                SignIntent::QueryOrder { .. } => QueryAnswer::Order(None),
                _ => could_not_ask(errors::for_question(error)),
            };
        }
        Answer::Failure(error) => return could_not_ask(errors::for_question(error)),
        Answer::Unclear => return QueryAnswer::CouldNotAsk(CouldNotAsk::Unreadable),
    };
    question(intent, data).unwrap_or(QueryAnswer::CouldNotAsk(CouldNotAsk::Unreadable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_under_a_status_that_denies_it_says_nothing() {
        let body = br#"{"code":"00000","msg":"success","requestTime":1,"data":{"orderId":"1001"}}"#;
        assert!(matches!(read(200, body), Answer::Success(Some(_))));
        for status in [301, 400, 429, 500, 503] {
            assert!(matches!(read(status, body), Answer::Unclear), "{status}");
        }
    }
}
