//! REST answers, signed and unsigned: bytes of a body to what happened.
//!
//! Facts (sheet section 7): business errors come as HTTP 200 or 400, so the body is read first and
//! its `code` decides; the status counts only where there is no readable body. Invariants: a body
//! without a readable code never counts as accepted, rejected or "not found"; lists with a row that
//! cannot be read are unreadable as a whole, because a missing order is worse than asking again.

use crate::errors::{self, SUCCESS};
use crate::loose::{Loose, fixed};
use crate::rows::{BalanceRow, FeeSource, FillRow, OrderRow, OrderSource, RowError};
use crate::sign::PAGE_ROWS;
use crate::symbols::SymbolRow;
use crate::{Bitget, keys};
use domain::{ClientOrderId, Scaled, Symbol, UnixNanos, VenueOrderId};
use messages::{CouldNotAsk, QueryAnswer, SignIntent, VenueError, VenueReason};
use serde::Deserialize;
use serde_json::value::RawValue;
use venue_api::{ActAnswer, ListedInstrument, PublicAnswerError, PublicRestCodec, RestCodec, could_not_ask};

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
enum Answer<'a> {
    /// Success, with its data (`null` counts as absent).
    Success(Option<&'a RawValue>),
    /// An error of the venue.
    Failure(VenueError),
    /// Nothing that can be relied on.
    Unclear,
}

fn read(status: u16, body: &[u8]) -> Answer<'_> {
    let envelope = serde_json::from_slice::<Envelope<'_>>(body).ok();
    let code = envelope.as_ref().and_then(|envelope| envelope.code.text());
    match (envelope.as_ref(), code) {
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

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Ids<'a> {
    #[serde(borrow)]
    order_id: Loose<'a>,
    #[serde(borrow)]
    client_oid: Loose<'a>,
}

/// The venue's id out of an answer to placing or cancelling, if the answer is about that order.
fn accepted(data: Option<&RawValue>, id: &ClientOrderId, asked: Option<VenueOrderId>) -> ActAnswer {
    let ids: Ids<'_> = data.and_then(|data| serde_json::from_str(data.get()).ok()).unwrap_or_default();
    let Some(order_id) = ids.order_id.text().and_then(|text| fixed::<40>(&text)) else { return ActAnswer::Unclear };
    let another_client = asked.is_none() && ids.client_oid.text().is_some_and(|text| text != id.as_str());
    if another_client || asked.is_some_and(|asked| asked != order_id) {
        return ActAnswer::Unclear;
    }
    ActAnswer::Accepted(order_id)
}

impl RestCodec for Bitget {
    fn act_answer(&self, intent: &SignIntent, status: u16, body: &[u8]) -> ActAnswer {
        match (read(status, body), intent) {
            (Answer::Success(data), SignIntent::Place(order)) => accepted(data, &order.id, None),
            (Answer::Success(data), SignIntent::Cancel { id, venue_order_id, .. }) => {
                accepted(data, id, *venue_order_id)
            }
            (Answer::Success(_), SignIntent::CancelAll { .. }) => ActAnswer::Done,
            (Answer::Failure(error), _) => ActAnswer::Failed(error),
            (Answer::Success(_) | Answer::Unclear, _) => ActAnswer::Unclear,
        }
    }

    fn query_answer(&self, intent: &SignIntent, status: u16, body: &[u8]) -> QueryAnswer {
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

    fn classify(&self, status: u16, code: &str, text: &str) -> VenueError {
        errors::rest(status, code, text)
    }
}

fn question(intent: &SignIntent, data: Option<&RawValue>) -> Result<QueryAnswer, RowError> {
    match intent {
        SignIntent::QueryOrder { id, .. } => one_order(data, id),
        SignIntent::OpenOrders { .. } => orders(data, OrderSource::Unfilled, UnixNanos(0)),
        SignIntent::OrderHistory { since, .. } => orders(data, OrderSource::Answer, *since),
        SignIntent::Fills { since, .. } => fills(data, *since),
        SignIntent::Balances => balances(data),
        SignIntent::KeyInfo => keys::info(data).map(QueryAnswer::KeyInfo),
        SignIntent::Place(_)
        | SignIntent::Cancel { .. }
        | SignIntent::CancelAll { .. }
        | SignIntent::StreamLogin
        | SignIntent::Positions
        | SignIntent::FuturesSettings { .. }
        | SignIntent::Bills { .. }
        | SignIntent::SetLeverage { .. }
        | SignIntent::SetMarginMode { .. }
        | SignIntent::SetPositionMode { .. } => Err(RowError("not a question of spot")),
    }
}

/// `null` where a list belongs is an empty list (sheet trap 21).
fn rows<'a, T: Deserialize<'a>>(data: Option<&'a RawValue>) -> Result<Vec<T>, RowError> {
    match data {
        Some(data) => serde_json::from_str(data.get()).map_err(|_| RowError("list")),
        None => Ok(Vec::new()),
    }
}

/// An array of none or one; a row about another order is no answer to this question.
fn one_order(data: Option<&RawValue>, id: &ClientOrderId) -> Result<QueryAnswer, RowError> {
    let rows: Vec<OrderRow<'_>> = rows(data)?;
    for row in &rows {
        if row.client_id()?.as_str() == id.as_str() {
            return Ok(QueryAnswer::Order(Some(row.update(OrderSource::Answer)?)));
        }
    }
    if rows.is_empty() { Ok(QueryAnswer::Order(None)) } else { Err(RowError("another order")) }
}

/// A page; `more` only while it is full and has not reached back beyond `since`.
fn orders(data: Option<&RawValue>, source: OrderSource, since: UnixNanos) -> Result<QueryAnswer, RowError> {
    let rows: Vec<OrderRow<'_>> = rows(data)?;
    let full = rows.len() >= PAGE_ROWS;
    let mut page = rows.iter().map(|row| row.update(source)).collect::<Result<Vec<_>, _>>()?;
    let reached = page.iter().any(|order| order.created < since);
    // An older order that ended or filled later still belongs to the answer.
    page.retain(|order| order.created.max(order.updated) >= since);
    Ok(QueryAnswer::Orders { page, more: full && !reached })
}

fn fills(data: Option<&RawValue>, since: UnixNanos) -> Result<QueryAnswer, RowError> {
    let rows: Vec<FillRow<'_>> = rows(data)?;
    let full = rows.len() >= PAGE_ROWS;
    let mut page = rows.iter().map(|row| row.report(FeeSource::Answer)).collect::<Result<Vec<_>, _>>()?;
    let reached = page.iter().any(|fill| fill.venue_time < since);
    page.retain(|fill| fill.venue_time >= since);
    Ok(QueryAnswer::Fills { page, more: full && !reached })
}

fn balances(data: Option<&RawValue>) -> Result<QueryAnswer, RowError> {
    let rows: Vec<BalanceRow<'_>> = rows(data)?;
    let reports = rows.iter().filter_map(|row| row.report().transpose()).collect::<Result<Vec<_>, _>>()?;
    Ok(QueryAnswer::Balances(reports))
}

impl PublicRestCodec for Bitget {
    fn server_time_target(&self) -> &'static str {
        "/api/v2/public/time"
    }

    fn server_time(&self, status: u16, body: &[u8]) -> Result<UnixNanos, PublicAnswerError> {
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Time<'a> {
            #[serde(borrow)]
            server_time: Loose<'a>,
        }
        let data = public(status, body)?;
        let time: Time<'_> = serde_json::from_str(data.get()).map_err(|_| unreadable("no server time"))?;
        time.server_time.millis().filter(|time| time.0 > 0).ok_or_else(|| unreadable("no server time"))
    }

    fn instruments_target(&self) -> &'static str {
        "/api/v2/spot/public/symbols"
    }

    fn instruments(&self, status: u16, body: &[u8]) -> Result<Vec<ListedInstrument>, PublicAnswerError> {
        let data = public(status, body)?;
        let rows: Vec<&RawValue> = serde_json::from_str(data.get()).map_err(|_| unreadable("not a list"))?;
        let row = |row: &&RawValue| serde_json::from_str::<SymbolRow<'_>>(row.get()).ok()?.listed();
        Ok(rows.iter().filter_map(row).collect())
    }

    fn prices_target(&self) -> Option<&'static str> {
        Some("/api/v2/spot/market/tickers")
    }

    fn prices(&self, status: u16, body: &[u8]) -> Result<Vec<(Symbol, Scaled)>, PublicAnswerError> {
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Ticker<'a> {
            #[serde(borrow)]
            symbol: Loose<'a>,
            #[serde(borrow)]
            last_pr: Loose<'a>,
        }
        let data = public(status, body)?;
        let rows: Vec<&RawValue> = serde_json::from_str(data.get()).map_err(|_| unreadable("not a list"))?;
        let row = |row: &&RawValue| {
            let ticker: Ticker<'_> = serde_json::from_str(row.get()).ok()?;
            let price = ticker.last_pr.scaled().ok().flatten().filter(|price| price.mantissa > 0)?;
            Some((crate::loose::fixed(&ticker.symbol.text()?)?, price))
        };
        Ok(rows.iter().filter_map(row).collect())
    }
}

fn unreadable(detail: &str) -> PublicAnswerError {
    PublicAnswerError { detail: detail.to_owned() }
}

fn public(status: u16, body: &[u8]) -> Result<&RawValue, PublicAnswerError> {
    match read(status, body) {
        Answer::Success(Some(data)) => Ok(data),
        Answer::Success(None) => Err(unreadable("no data")),
        Answer::Failure(error) => Err(unreadable(&format!("error {}: {}", error.code, error.text))),
        Answer::Unclear => Err(unreadable(&format!("HTTP status {status}, body unreadable"))),
    }
}
