//! Rows of orders, fills and balances of the unified account, as REST answers and private pushes write them.
//!
//! Facts: sheet section 9. Fees are positive when paid, as here; that is the reverse of v2. Rows of margin trading and
//! of other futures are not ours and are left out.

use crate::envelope::RowError;
use crate::loose::{Loose, fixed};
use crate::symbols::{VenueMarket as _, asset};
use crate::words::{NOTHING, liquidity, number, one_fee, side, status};
use arrayvec::ArrayVec;
use domain::{Amount, Fee, Market, NumberError, Scaled, Side, Symbol, UnixNanos};
use messages::{BalanceReport, ClientIdText, FillReport, OrderUpdate};
use serde::Deserialize;

/// An order: `order-info`, the order lists, and the topic `order`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct OrderRow<'a> {
    #[serde(borrow)]
    category: Loose<'a>,
    #[serde(borrow)]
    symbol: Loose<'a>,
    #[serde(borrow)]
    order_id: Loose<'a>,
    #[serde(borrow)]
    client_oid: Loose<'a>,
    #[serde(borrow)]
    order_type: Loose<'a>,
    #[serde(borrow)]
    side: Loose<'a>,
    #[serde(borrow)]
    price: Loose<'a>,
    #[serde(borrow)]
    qty: Loose<'a>,
    #[serde(borrow)]
    cum_exec_qty: Loose<'a>,
    #[serde(borrow)]
    order_status: Loose<'a>,
    #[serde(borrow)]
    created_time: Loose<'a>,
    #[serde(borrow)]
    updated_time: Loose<'a>,
}

impl OrderRow<'_> {
    /// The venue's id of the order.
    pub(crate) fn id(&self) -> Result<domain::VenueOrderId, RowError> {
        self.order_id.text().and_then(|text| fixed(&text)).ok_or(RowError("order id"))
    }

    /// The client order id as the row has it; empty where there is none.
    pub(crate) fn client_id(&self) -> Result<ClientIdText, RowError> {
        client_id(self.client_oid).map(Option::unwrap_or_default)
    }

    /// The row as an update; `None` for a market that is not ours.
    pub(crate) fn update(&self) -> Result<Option<OrderUpdate>, RowError> {
        let Some(market) = market_of(self.category)? else { return Ok(None) };
        let filled = number(self.cum_exec_qty, "filled quantity")?.unwrap_or(NOTHING);
        let side = side(self.side)?;
        let at_market = self.order_type.text().is_some_and(|kind| kind.eq_ignore_ascii_case("market"));
        // A market buy of spot is ordered in quote (`amount`): all that is known in base is what was filled.
        let in_quote = at_market && side == Side::Buy && market == Market::Spot;
        let qty = if in_quote { filled } else { number(self.qty, "size")?.ok_or(RowError("size"))? };
        let created = self.created_time.millis().unwrap_or_default();
        Ok(Some(OrderUpdate {
            symbol: symbol(market, self.symbol)?,
            client_id: self.client_id()?,
            venue_order_id: self.id()?,
            side,
            price: limit_price(self.price)?,
            qty,
            filled,
            status: status(self.order_status)?,
            created,
            updated: self.updated_time.millis().unwrap_or(created),
        }))
    }
}

/// A fill: `fills` and the topic `fill`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FillRow<'a> {
    #[serde(borrow)]
    category: Loose<'a>,
    #[serde(borrow)]
    symbol: Loose<'a>,
    #[serde(borrow)]
    exec_id: Loose<'a>,
    #[serde(borrow)]
    order_id: Loose<'a>,
    #[serde(borrow)]
    client_oid: Loose<'a>,
    #[serde(borrow)]
    side: Loose<'a>,
    #[serde(borrow)]
    exec_price: Loose<'a>,
    #[serde(borrow)]
    exec_qty: Loose<'a>,
    #[serde(borrow)]
    trade_scope: Loose<'a>,
    #[serde(borrow)]
    fee_detail: Option<Vec<FeeRow<'a>>>,
    /// REST.
    #[serde(borrow)]
    created_time: Loose<'a>,
    /// Push.
    #[serde(borrow)]
    exec_time: Loose<'a>,
    #[serde(borrow)]
    updated_time: Loose<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FeeRow<'a> {
    #[serde(borrow)]
    fee_coin: Loose<'a>,
    #[serde(borrow)]
    fee: Loose<'a>,
}

impl FillRow<'_> {
    /// The row as a report; `None` for a market that is not ours.
    pub(crate) fn report(&self) -> Result<Option<FillReport>, RowError> {
        let Some(market) = market_of(self.category)? else { return Ok(None) };
        let time = [self.exec_time, self.created_time, self.updated_time];
        Ok(Some(FillReport {
            symbol: symbol(market, self.symbol)?,
            trade_id: self.exec_id.text().and_then(|text| fixed(&text)).ok_or(RowError("trade id"))?,
            venue_order_id: self.order_id.text().and_then(|text| fixed(&text)).ok_or(RowError("order id"))?,
            client_id: client_id(self.client_oid)?,
            side: side(self.side)?,
            price: number(self.exec_price, "price")?.ok_or(RowError("price"))?,
            qty: number(self.exec_qty, "size")?.ok_or(RowError("size"))?,
            fee: self.fee()?,
            liquidity: liquidity(self.trade_scope)?,
            venue_time: time.iter().find_map(|field| field.millis()).unwrap_or_default(),
        }))
    }

    /// Without a list of fees, nobody knows what was taken.
    fn fee(&self) -> Result<Fee, RowError> {
        let rows = self.fee_detail.as_deref().ok_or(RowError("fee"))?;
        let rows: ArrayVec<_, 2> = rows.iter().take(2).map(|row| (row.fee_coin, row.fee)).collect();
        let (amount, asset) = one_fee(&rows)?;
        Ok(Fee { amount: Amount(amount), asset })
    }
}

/// A coin: `assets` and the topic `account`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct CoinRow<'a> {
    #[serde(borrow)]
    coin: Loose<'a>,
    #[serde(borrow)]
    balance: Loose<'a>,
    #[serde(borrow)]
    available: Loose<'a>,
    #[serde(borrow)]
    locked: Loose<'a>,
}

impl CoinRow<'_> {
    /// The row as a report; nothing for a coin whose name is too long to be traded here.
    ///
    /// What is held is what of the balance is not available: it is in orders, or stands as margin for positions. The
    /// account has one wallet.
    pub(crate) fn report(&self, at: UnixNanos) -> Result<Option<BalanceReport>, RowError> {
        let name = self.coin.text().ok_or(RowError("coin"))?;
        let Some(asset) = asset(&name) else { return Ok(None) };
        let amount = |field: Loose<'_>| field.decimal().map_err(|_| RowError("balance"));
        let available = amount(self.available)?.ok_or(RowError("balance"))?;
        let locked = amount(self.locked)?.unwrap_or_default();
        let rest = amount(self.balance)?.map(|balance| balance.checked_sub(available).ok_or(RowError("balance")));
        // Results that are not realised count for what is available and not for the balance: it may be negative.
        let held = rest.transpose()?.unwrap_or(locked);
        let (available, held) = (Amount(available), Amount(held));
        Ok(Some(BalanceReport { wallet: Market::Spot, asset, available, held, venue_time: at }))
    }
}

/// The market of a row; `None`: not one of ours.
fn market_of(category: Loose<'_>) -> Result<Option<Market>, RowError> {
    category.text().map(|word| Market::read(&word)).ok_or(RowError("category"))
}

fn symbol(market: Market, name: Loose<'_>) -> Result<Symbol, RowError> {
    name.text().and_then(|name| market.symbol(&name)).ok_or(RowError("symbol"))
}

fn client_id(field: Loose<'_>) -> Result<Option<ClientIdText>, RowError> {
    field.text().map(|text| fixed(&text).ok_or(RowError("client order id"))).transpose()
}

/// The limit price; market orders say zero or nothing.
fn limit_price(field: Loose<'_>) -> Result<Option<Scaled>, RowError> {
    match field.scaled() {
        Ok(price) => Ok(price.filter(|price| price.mantissa > 0)),
        Err(NumberError::Range) => Ok(None),
        Err(_) => Err(RowError("price")),
    }
}
