//! REST answers of the classic account, signed and unsigned: bytes of a body to what happened.
//!
//! Invariant: lists with a row that cannot be read are unreadable as a whole, because a missing order is worse than
//! asking again.

use super::Classic;
use super::rows::{BalanceRow, FeeSource, FillRow, OrderRow, OrderSource};
use crate::envelope::{Answer, RowError, accepted, public, public_rows, read, rows, unreadable};
use crate::loose::Loose;
use crate::symbols::{ContractRow, Product, SymbolRow};
use crate::write::PAGE_ROWS;
use crate::{errors, keys};
use domain::{ClientOrderId, Scaled, Symbol, UnixNanos};
use messages::{CouldNotAsk, QueryAnswer, SignIntent, VenueError, VenueReason};
use serde::Deserialize;
use serde_json::value::RawValue;
use venue_api::{ActAnswer, ListedInstrument, PublicAnswerError, PublicRestCodec, RestCodec, could_not_ask};

impl RestCodec for Classic {
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

    fn explain(&self, code: &str) -> Option<&'static str> {
        errors::explain(code)
    }
}

fn question(intent: &SignIntent, data: Option<&RawValue>) -> Result<QueryAnswer, RowError> {
    match intent {
        SignIntent::QueryOrder { id, .. } => one_order(data, id),
        SignIntent::OpenOrders { .. } => orders(data, OrderSource::Unfilled, UnixNanos(0)),
        SignIntent::OrderHistory { since, .. } => orders(data, OrderSource::Answer, *since),
        SignIntent::Fills { since, .. } => fills(data, *since),
        SignIntent::Balances => balances(data),
        SignIntent::KeyInfo => keys::classic(data).map(QueryAnswer::KeyInfo),
        SignIntent::Place(_) | SignIntent::Cancel { .. } | SignIntent::CancelAll { .. } | SignIntent::StreamLogin => {
            Err(RowError("not a question"))
        }
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

/// A page; there is a next one only while it is full and has not reached back beyond `since`.
fn orders(data: Option<&RawValue>, source: OrderSource, since: UnixNanos) -> Result<QueryAnswer, RowError> {
    let rows: Vec<OrderRow<'_>> = rows(data)?;
    let full = rows.len() >= PAGE_ROWS;
    let mut page = rows.iter().map(|row| row.update(source)).collect::<Result<Vec<_>, _>>()?;
    let reached = page.iter().any(|order| order.created < since);
    let next = page.last().filter(|_| full && !reached).map(|order| order.venue_order_id);
    // An older order that ended or filled later still belongs to the answer.
    page.retain(|order| order.created.max(order.updated) >= since);
    Ok(QueryAnswer::Orders { page, next })
}

fn fills(data: Option<&RawValue>, since: UnixNanos) -> Result<QueryAnswer, RowError> {
    let rows: Vec<FillRow<'_>> = rows(data)?;
    let full = rows.len() >= PAGE_ROWS;
    let mut page = rows.iter().map(|row| row.report(FeeSource::Answer)).collect::<Result<Vec<_>, _>>()?;
    let reached = page.iter().any(|fill| fill.venue_time < since);
    let next = page.last().filter(|_| full && !reached).map(|fill| fill.trade_id);
    page.retain(|fill| fill.venue_time >= since);
    Ok(QueryAnswer::Fills { page, next })
}

fn balances(data: Option<&RawValue>) -> Result<QueryAnswer, RowError> {
    let rows: Vec<BalanceRow<'_>> = rows(data)?;
    let reports = rows.iter().filter_map(|row| row.report().transpose()).collect::<Result<Vec<_>, _>>()?;
    Ok(QueryAnswer::Balances(reports))
}

impl PublicRestCodec for Classic {
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

    fn instruments_targets(&self) -> &'static [&'static str] {
        &["/api/v2/spot/public/symbols", "/api/v2/mix/market/contracts?productType=USDT-FUTURES"]
    }

    fn instruments(&self, status: u16, body: &[u8]) -> Result<Vec<ListedInstrument>, PublicAnswerError> {
        let row = |row: &&RawValue| {
            let contract: ContractRow<'_> = serde_json::from_str(row.get()).ok()?;
            if contract.is_contract() {
                return contract.listed();
            }
            serde_json::from_str::<SymbolRow<'_>>(row.get()).ok()?.listed()
        };
        Ok(public_rows(status, body)?.iter().filter_map(row).collect())
    }

    fn prices_targets(&self) -> &'static [&'static str] {
        &["/api/v2/spot/market/tickers", "/api/v2/mix/market/tickers?productType=USDT-FUTURES"]
    }

    fn prices(&self, status: u16, body: &[u8]) -> Result<Vec<(Symbol, Scaled)>, PublicAnswerError> {
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Ticker<'a> {
            #[serde(borrow)]
            symbol: Loose<'a>,
            #[serde(borrow)]
            last_pr: Loose<'a>,
            /// Only futures have one; it tells the two lists apart.
            #[serde(borrow)]
            funding_rate: Loose<'a>,
        }
        let rows = public_rows(status, body)?;
        let row = |row: &&RawValue| {
            let ticker: Ticker<'_> = serde_json::from_str(row.get()).ok()?;
            let price = ticker.last_pr.scaled().ok().flatten().filter(|price| price.mantissa > 0)?;
            let product = if ticker.funding_rate.text().is_some() { Product::Futures } else { Product::Spot };
            Some((product.symbol(&ticker.symbol.text()?)?, price))
        };
        Ok(rows.iter().filter_map(row).collect())
    }
}
