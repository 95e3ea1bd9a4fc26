//! REST answers of the classic account, signed and unsigned: bytes of a body to what happened.
//!
//! Invariant: lists with a row that cannot be read are unreadable as a whole, because a missing order is worse than
//! asking again.

use super::Classic;
use super::rows::{BalanceRow, FeeSource, FillRow, FuturesBalanceRow, OrderRow, OrderSource};
use crate::bills::BillRow;
use crate::envelope::{Leg, RowError, acted, all_cancelled, answered, members, object, public_rows, rows};
use crate::instruments::{ContractRow, SymbolRow};
use crate::loose::{Loose, fixed};
use crate::positions::{AccountRow, PositionRow};
use crate::symbols::VenueMarket as _;
use crate::write::PAGE_ROWS;
use crate::{errors, keys};
use domain::{ClientOrderId, Market, Scaled, Symbol, UnixNanos, VenueOrderId};
use messages::{QueryAnswer, SignIntent, VenueError};
use serde::Deserialize;
use serde_json::value::RawValue;
use venue_api::{ActAnswer, ListedInstrument, PublicAnswerError, PublicRestCodec, RestCodec};

impl RestCodec for Classic {
    fn act_answer(&self, intent: &SignIntent, status: u16, body: &[u8]) -> ActAnswer {
        acted(intent, status, body, cancelled_all)
    }

    fn query_answer(&self, intent: &SignIntent, status: u16, body: &[u8]) -> QueryAnswer {
        answered(intent, status, body, question)
    }

    fn classify(&self, status: u16, code: &str, text: &str) -> VenueError {
        errors::rest(status, code, text)
    }

    fn explain(&self, code: &str) -> Option<&'static str> {
        errors::explain(code)
    }
}

/// Spot names its instrument only. Futures list what was cancelled and what was not, in a success too.
fn cancelled_all(data: Option<&RawValue>) -> ActAnswer {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Lists<'a> {
        #[serde(borrow)]
        failure_list: Option<Vec<Leg<'a>>>,
    }
    if data.is_none() {
        return ActAnswer::Done;
    }
    match object::<Lists<'_>>(data, "lists") {
        Ok(lists) => all_cancelled(&lists.failure_list.unwrap_or_default()),
        Err(_) => ActAnswer::Unclear,
    }
}

fn question(intent: &SignIntent, data: Option<&RawValue>) -> Result<QueryAnswer, RowError> {
    match intent {
        SignIntent::QueryOrder { symbol, id } => one_order(data, Market::of(symbol), id),
        SignIntent::OpenOrders { symbol, .. } => match Market::of(symbol) {
            Market::Spot => orders(Page::spot(data)?, OrderSource::Unfilled, Market::Spot, UnixNanos(0)),
            market => {
                orders(Page::futures(data, |lists| lists.entrusted_list)?, OrderSource::Answer, market, UnixNanos(0))
            }
        },
        SignIntent::OrderHistory { symbol, since, .. } => match Market::of(symbol) {
            Market::Spot => orders(Page::spot(data)?, OrderSource::Answer, Market::Spot, *since),
            market => orders(Page::futures(data, |lists| lists.entrusted_list)?, OrderSource::Answer, market, *since),
        },
        SignIntent::Fills { symbol, since, .. } => match Market::of(symbol) {
            Market::Spot => fills(Page::spot(data)?, Market::Spot, *since),
            market => fills(Page::futures(data, |lists| lists.fill_list)?, market, *since),
        },
        SignIntent::Positions => positions(data),
        SignIntent::FuturesSettings { .. } => {
            object::<AccountRow<'_>>(data, "account")?.settings().map(QueryAnswer::FuturesSettings)
        }
        SignIntent::Bills { since, .. } => bills(data, *since),
        SignIntent::Balances => balances(data),
        SignIntent::FuturesBalances => futures_balances(data),
        SignIntent::KeyInfo => keys::classic(data).map(QueryAnswer::KeyInfo),
        SignIntent::Place(_)
        | SignIntent::Cancel { .. }
        | SignIntent::CancelAll { .. }
        | SignIntent::StreamLogin
        | SignIntent::SetLeverage { .. }
        | SignIntent::SetMarginMode { .. }
        | SignIntent::SetPositionMode { .. } => Err(RowError("not a question")),
    }
}

/// The lists of futures stand in an object, beside the id that the next page begins below.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Lists<'a> {
    #[serde(borrow)]
    entrusted_list: Option<&'a RawValue>,
    #[serde(borrow)]
    fill_list: Option<&'a RawValue>,
    #[serde(borrow)]
    bills: Option<&'a RawValue>,
    #[serde(borrow)]
    end_id: Loose<'a>,
}

/// One page, and the id below which the next one begins where the venue says it.
struct Page<'a, T> {
    rows: Vec<T>,
    end: Loose<'a>,
}

impl<'a, T: Deserialize<'a>> Page<'a, T> {
    /// A list of spot: an array.
    fn spot(data: Option<&'a RawValue>) -> Result<Self, RowError> {
        Ok(Self { rows: rows(data)?, end: Loose::default() })
    }

    /// A list of futures.
    fn futures(data: Option<&'a RawValue>, which: fn(&Lists<'a>) -> Option<&'a RawValue>) -> Result<Self, RowError> {
        let lists: Lists<'a> = object(data, "list")?;
        Ok(Self { rows: rows(which(&lists))?, end: lists.end_id })
    }

    /// Where the next page begins: there is one only while pages are full and have not reached back beyond what was
    /// asked for. Without a word of the venue, the last row says it.
    fn next(&self, reached: bool, last: Option<VenueOrderId>) -> Option<VenueOrderId> {
        if self.rows.len() < PAGE_ROWS || reached {
            return None;
        }
        self.end.text().and_then(|end| fixed(&end)).or(last)
    }
}

/// An array of none or one on spot, an object on futures; a row about another order is no answer to this question.
fn one_order(data: Option<&RawValue>, market: Market, id: &ClientOrderId) -> Result<QueryAnswer, RowError> {
    let rows: Vec<OrderRow<'_>> = match (market, data) {
        (Market::UsdtFutures, Some(_)) => vec![object(data, "order")?],
        _ => rows(data)?,
    };
    for row in &rows {
        if row.client_id()?.as_str() == id.as_str() {
            return Ok(QueryAnswer::Order(Some(row.update(OrderSource::Answer, market)?)));
        }
    }
    if rows.is_empty() { Ok(QueryAnswer::Order(None)) } else { Err(RowError("another order")) }
}

fn orders(
    rows: Page<'_, OrderRow<'_>>,
    source: OrderSource,
    market: Market,
    since: UnixNanos,
) -> Result<QueryAnswer, RowError> {
    let mut page = rows.rows.iter().map(|row| row.update(source, market)).collect::<Result<Vec<_>, _>>()?;
    let reached = page.iter().any(|order| order.created < since);
    let next = rows.next(reached, page.last().map(|order| order.venue_order_id));
    // An older order that ended or filled later still belongs to the answer.
    page.retain(|order| order.created.max(order.updated) >= since);
    Ok(QueryAnswer::Orders { page, next })
}

fn fills(rows: Page<'_, FillRow<'_>>, market: Market, since: UnixNanos) -> Result<QueryAnswer, RowError> {
    let mut page = rows.rows.iter().map(|row| row.report(FeeSource::Answer, market)).collect::<Result<Vec<_>, _>>()?;
    let reached = page.iter().any(|fill| fill.venue_time < since);
    let next = rows.next(reached, page.last().map(|fill| fill.trade_id));
    page.retain(|fill| fill.venue_time >= since);
    Ok(QueryAnswer::Fills { page, next })
}

fn positions(data: Option<&RawValue>) -> Result<QueryAnswer, RowError> {
    let rows: Vec<PositionRow<'_>> = rows(data)?;
    let found = rows.iter().filter_map(|row| row.report().transpose()).collect::<Result<Vec<_>, _>>()?;
    Ok(QueryAnswer::Positions(found))
}

fn bills(data: Option<&RawValue>, since: UnixNanos) -> Result<QueryAnswer, RowError> {
    let rows: Page<'_, BillRow<'_>> = Page::futures(data, |lists| lists.bills)?;
    let mut page = rows.rows.iter().filter_map(|row| row.report().transpose()).collect::<Result<Vec<_>, _>>()?;
    let reached = page.iter().any(|bill| bill.venue_time < since);
    let next = rows.next(reached, page.last().map(|bill| bill.id));
    page.retain(|bill| bill.venue_time >= since);
    Ok(QueryAnswer::Bills { page, next })
}

fn balances(data: Option<&RawValue>) -> Result<QueryAnswer, RowError> {
    let rows: Vec<BalanceRow<'_>> = rows(data)?;
    let reports = rows.iter().filter_map(|row| row.report().transpose()).collect::<Result<Vec<_>, _>>()?;
    Ok(QueryAnswer::Balances(reports))
}

fn futures_balances(data: Option<&RawValue>) -> Result<QueryAnswer, RowError> {
    let rows: Vec<FuturesBalanceRow<'_>> = rows(data)?;
    let reports = rows.iter().filter_map(|row| row.report().transpose()).collect::<Result<Vec<_>, _>>()?;
    Ok(QueryAnswer::Balances(reports))
}

impl PublicRestCodec for Classic {
    fn server_time_target(&self) -> &'static str {
        "/api/v2/public/time"
    }

    fn server_time(&self, status: u16, body: &[u8]) -> Result<UnixNanos, PublicAnswerError> {
        crate::server_time(status, body)
    }

    fn instruments_targets(&self) -> &'static [&'static str] {
        &["/api/v2/spot/public/symbols", "/api/v2/mix/market/contracts?productType=USDT-FUTURES"]
    }

    fn instruments(&self, status: u16, body: &[u8]) -> Result<Vec<ListedInstrument>, PublicAnswerError> {
        let row = |row: &&RawValue| {
            let contract: ContractRow<'_> = members(row, "row").ok()?;
            if contract.is_contract() {
                return contract.listed();
            }
            members::<SymbolRow<'_>>(row, "row").ok()?.listed()
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
            let ticker: Ticker<'_> = members(row, "row").ok()?;
            let price = ticker.last_pr.scaled().ok().flatten().filter(|price| price.mantissa > 0)?;
            let market = if ticker.funding_rate.text().is_some() { Market::UsdtFutures } else { Market::Spot };
            Some((market.symbol(&ticker.symbol.text()?)?, price))
        };
        Ok(rows.iter().filter_map(row).collect())
    }
}
