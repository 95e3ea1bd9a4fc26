//! REST answers of the unified account, signed and unsigned: bytes of a body to what happened.
//!
//! Facts: sheet section 9. Lists are `{"list": [...] or null, "cursor": ... or null}`. Invariant: lists with a row
//! that cannot be read are unreadable as a whole, because a missing order is worse than asking again.

use super::Unified;
use super::rows::{CoinRow, FillRow, OrderRow};
use crate::bills::BillRow;
use crate::envelope::{Leg, RowError, acted, all_cancelled, answered, members, object, public_rows};
use crate::instruments::UnifiedRow;
use crate::loose::{Loose, fixed};
use crate::positions::{PositionRow, UnifiedSettings};
use crate::symbols::VenueMarket as _;
use crate::write::PAGE_ROWS;
use crate::{errors, keys};
use domain::{ClientOrderId, Market, Scaled, Symbol, UnixNanos, VenueOrderId};
use messages::{QueryAnswer, SignIntent, VenueError};
use serde::Deserialize;
use serde_json::value::RawValue;
use venue_api::{ActAnswer, ListedInstrument, PublicAnswerError, PublicRestCodec, RestCodec};

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(default, bound(deserialize = "'a: 'de, 'de: 'a, T: Deserialize<'de>"))]
struct Page<'a, T> {
    list: Option<Vec<T>>,
    #[serde(borrow)]
    cursor: Loose<'a>,
}

impl<T> Default for Page<'_, T> {
    fn default() -> Self {
        Self { list: None, cursor: Loose::default() }
    }
}

impl RestCodec for Unified {
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

/// A success may hold legs that failed (sheet section 9). No list is the answer when nothing rested.
fn cancelled_all(data: Option<&RawValue>) -> ActAnswer {
    if data.is_none() {
        return ActAnswer::Done;
    }
    match object::<Page<'_, Leg<'_>>>(data, "list") {
        Ok(page) => all_cancelled(&page.list.unwrap_or_default()),
        Err(_) => ActAnswer::Unclear,
    }
}

fn question(intent: &SignIntent, data: Option<&RawValue>) -> Result<QueryAnswer, RowError> {
    match intent {
        SignIntent::QueryOrder { id, .. } => one_order(data, id),
        SignIntent::OpenOrders { symbol, .. } => orders(data, symbol, UnixNanos(0)),
        SignIntent::OrderHistory { symbol, since, .. } => orders(data, symbol, *since),
        SignIntent::Fills { symbol, since, .. } => fills(data, symbol, *since),
        SignIntent::Positions => positions(data),
        SignIntent::FuturesSettings { symbol } => {
            object::<UnifiedSettings<'_>>(data, "settings")?.settings(symbol).map(QueryAnswer::FuturesSettings)
        }
        SignIntent::Bills { since, .. } => bills(data, *since),
        SignIntent::Balances => balances(data),
        SignIntent::KeyInfo => keys::unified(data).map(QueryAnswer::KeyInfo),
        SignIntent::Place(_)
        | SignIntent::Cancel { .. }
        | SignIntent::CancelAll { .. }
        | SignIntent::FuturesBalances
        | SignIntent::StreamLogin
        | SignIntent::SetLeverage { .. }
        | SignIntent::SetMarginMode { .. }
        | SignIntent::SetPositionMode { .. } => Err(RowError("not a question")),
    }
}

/// One object; no data at all says that there is no such order. A row about another order is no answer.
fn one_order(data: Option<&RawValue>, id: &ClientOrderId) -> Result<QueryAnswer, RowError> {
    if data.is_none() {
        return Ok(QueryAnswer::Order(None));
    }
    let row: OrderRow<'_> = object(data, "order")?;
    if row.client_id()?.as_str() != id.as_str() {
        return Err(RowError("another order"));
    }
    match row.update()? {
        Some(order) => Ok(QueryAnswer::Order(Some(order))),
        None => Err(RowError("category")),
    }
}

/// Where the next page begins: only while pages are full and have not reached back beyond what was asked for. Rows
/// that are not ours count for the page, because the venue counted them.
fn next(rows: usize, reached: bool, cursor: Loose<'_>) -> Result<Option<VenueOrderId>, RowError> {
    if rows < PAGE_ROWS || reached {
        return Ok(None);
    }
    let cursor = cursor.text().ok_or(RowError("cursor"))?;
    fixed(&cursor).map(Some).ok_or(RowError("cursor"))
}

fn orders(data: Option<&RawValue>, symbol: &Symbol, since: UnixNanos) -> Result<QueryAnswer, RowError> {
    let page: Page<'_, OrderRow<'_>> = object(data, "list")?;
    let rows = page.list.unwrap_or_default();
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.extend(row.update()?);
    }
    let reached = found.iter().any(|order| order.created < since);
    let next = next(rows.len(), reached, page.cursor)?;
    // An older order that ended or filled later still belongs to the answer.
    found.retain(|order| order.symbol == *symbol && order.created.max(order.updated) >= since);
    Ok(QueryAnswer::Orders { page: found, next })
}

fn fills(data: Option<&RawValue>, symbol: &Symbol, since: UnixNanos) -> Result<QueryAnswer, RowError> {
    let page: Page<'_, FillRow<'_>> = object(data, "list")?;
    let rows = page.list.unwrap_or_default();
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.extend(row.report()?);
    }
    let reached = found.iter().any(|fill| fill.venue_time < since);
    let next = next(rows.len(), reached, page.cursor)?;
    found.retain(|fill| fill.symbol == *symbol && fill.venue_time >= since);
    Ok(QueryAnswer::Fills { page: found, next })
}

fn positions(data: Option<&RawValue>) -> Result<QueryAnswer, RowError> {
    let page: Page<'_, PositionRow<'_>> = object(data, "list")?;
    let rows = page.list.unwrap_or_default();
    let found = rows.iter().filter_map(|row| row.report().transpose()).collect::<Result<Vec<_>, _>>()?;
    Ok(QueryAnswer::Positions(found))
}

fn bills(data: Option<&RawValue>, since: UnixNanos) -> Result<QueryAnswer, RowError> {
    let page: Page<'_, BillRow<'_>> = object(data, "list")?;
    let rows = page.list.unwrap_or_default();
    let mut found = rows.iter().filter_map(|row| row.report().transpose()).collect::<Result<Vec<_>, _>>()?;
    let reached = found.iter().any(|bill| bill.venue_time < since);
    let next = next(rows.len(), reached, page.cursor)?;
    found.retain(|bill| bill.venue_time >= since);
    Ok(QueryAnswer::Bills { page: found, next })
}

fn balances(data: Option<&RawValue>) -> Result<QueryAnswer, RowError> {
    /// Only coins with a balance are listed.
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Assets<'a> {
        #[serde(borrow)]
        assets: Option<Vec<CoinRow<'a>>>,
    }
    let assets: Assets<'_> = object(data, "assets")?;
    let rows = assets.assets.ok_or(RowError("assets"))?;
    let reports = rows.iter().filter_map(|row| row.report(UnixNanos(0)).transpose()).collect::<Result<Vec<_>, _>>()?;
    Ok(QueryAnswer::Balances(reports))
}

impl PublicRestCodec for Unified {
    /// The time of day is the same for all accounts; there is no path of v3 for it.
    fn server_time_target(&self) -> &'static str {
        "/api/v2/public/time"
    }

    fn server_time(&self, status: u16, body: &[u8]) -> Result<UnixNanos, PublicAnswerError> {
        crate::server_time(status, body)
    }

    fn instruments_targets(&self) -> &'static [&'static str] {
        &["/api/v3/market/instruments?category=SPOT", "/api/v3/market/instruments?category=USDT-FUTURES"]
    }

    fn instruments(&self, status: u16, body: &[u8]) -> Result<Vec<ListedInstrument>, PublicAnswerError> {
        let row = |row: &&RawValue| members::<UnifiedRow<'_>>(row, "row").ok()?.listed();
        Ok(public_rows(status, body)?.iter().filter_map(row).collect())
    }

    fn prices_targets(&self) -> &'static [&'static str] {
        &["/api/v3/market/tickers?category=SPOT", "/api/v3/market/tickers?category=USDT-FUTURES"]
    }

    fn prices(&self, status: u16, body: &[u8]) -> Result<Vec<(Symbol, Scaled)>, PublicAnswerError> {
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Ticker<'a> {
            #[serde(borrow)]
            category: Loose<'a>,
            #[serde(borrow)]
            symbol: Loose<'a>,
            #[serde(borrow)]
            last_price: Loose<'a>,
        }
        let row = |row: &&RawValue| {
            let ticker: Ticker<'_> = members(row, "row").ok()?;
            let price = ticker.last_price.scaled().ok().flatten().filter(|price| price.mantissa > 0)?;
            Some((Market::read(&ticker.category.text()?)?.symbol(&ticker.symbol.text()?)?, price))
        };
        Ok(public_rows(status, body)?.iter().filter_map(row).collect())
    }
}
