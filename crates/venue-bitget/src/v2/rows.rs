//! Rows of orders, fills and balances of the classic account, as REST answers and private pushes write them.
//!
//! Facts: sheet sections 5.3, 6.3 and 6.5. Fees are negative in v2 (paid); here a paid fee is positive. In hedge mode
//! the `side` of an order is the side of its position: a long position is closed with `buy` and `close`. Here a side is
//! always what is done: closing a long position sells (sheet trap 5).

use crate::envelope::RowError;
use crate::loose::{Loose, fixed};
use crate::symbols::{VenueMarket as _, asset};
use crate::words::{NOTHING, liquidity, number, one_fee, side, status};
use arrayvec::ArrayVec;
use domain::{Amount, Fee, Market, NumberError, Scaled, Side, Symbol, UnixNanos, VenueOrderId, VenueTradeId};
use messages::{BalanceReport, ClientIdText, FillReport, OrderUpdate};
use serde::Deserialize;
use serde_json::value::RawValue;

/// An order: `orderInfo`, the order lists, and the `orders` channel.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct OrderRow<'a> {
    #[serde(borrow)]
    symbol: Loose<'a>,
    #[serde(borrow)]
    inst_id: Loose<'a>,
    #[serde(borrow)]
    order_id: Loose<'a>,
    #[serde(borrow)]
    client_oid: Loose<'a>,
    #[serde(borrow, rename = "clientOId")]
    client_o_id: Loose<'a>,
    #[serde(borrow)]
    price: Loose<'a>,
    #[serde(borrow)]
    price_avg: Loose<'a>,
    #[serde(borrow)]
    size: Loose<'a>,
    #[serde(borrow)]
    order_type: Loose<'a>,
    #[serde(borrow)]
    side: Loose<'a>,
    /// Futures: `long`, `short`, or `net` in one-way mode.
    #[serde(borrow)]
    pos_side: Loose<'a>,
    /// Futures: `one_way_mode` or `hedge_mode`.
    #[serde(borrow)]
    pos_mode: Loose<'a>,
    /// Futures: `open`, `close` and more in hedge mode; `buy_single`, `sell_single` in one-way mode.
    #[serde(borrow)]
    trade_side: Loose<'a>,
    #[serde(borrow)]
    status: Loose<'a>,
    /// `detail` of futures says `state` (sheet trap 8).
    #[serde(borrow)]
    state: Loose<'a>,
    /// REST: cumulative filled quantity. Push: quantity of the last fill.
    #[serde(borrow)]
    base_volume: Loose<'a>,
    /// Push: cumulative filled quantity.
    #[serde(borrow)]
    acc_base_volume: Loose<'a>,
    #[serde(borrow)]
    fill_price: Loose<'a>,
    #[serde(borrow)]
    trade_id: Loose<'a>,
    #[serde(borrow)]
    fill_time: Loose<'a>,
    #[serde(borrow)]
    fill_fee: Loose<'a>,
    #[serde(borrow)]
    fill_fee_coin: Loose<'a>,
    #[serde(borrow)]
    trade_scope: Loose<'a>,
    #[serde(borrow)]
    c_time: Loose<'a>,
    #[serde(borrow)]
    u_time: Loose<'a>,
}

/// Where an order row comes from; the same field has different meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderSource {
    /// All other answers.
    Answer,
    /// `unfilled-orders` of spot: no `price`; the limit price is in `priceAvg`.
    Unfilled,
    /// The `orders` channel.
    Push,
}

impl OrderRow<'_> {
    /// The client order id as the row has it; empty where there is none.
    pub(crate) fn client_id(&self) -> Result<ClientIdText, RowError> {
        match self.client_oid.or(self.client_o_id).text() {
            Some(text) => fixed(&text).ok_or(RowError("client order id")),
            None => Ok(ClientIdText::new()),
        }
    }

    /// The row as an update.
    pub(crate) fn update(&self, source: OrderSource, market: Market) -> Result<OrderUpdate, RowError> {
        let filled = match source {
            OrderSource::Push => self.acc_base_volume,
            OrderSource::Answer | OrderSource::Unfilled => self.base_volume,
        };
        let filled = number(filled, "filled quantity")?.unwrap_or(NOTHING);
        let side = self.done_side()?;
        let status = status(self.status.or(self.state))?;
        // The size of a market buy of spot is in quote: all that is known in base is what was filled.
        let in_quote = market == Market::Spot
            && side == Side::Buy
            && self.order_type.text().is_some_and(|kind| kind.eq_ignore_ascii_case("market"));
        let qty = if in_quote { filled } else { number(self.size, "size")?.ok_or(RowError("size"))? };
        let created = self.c_time.millis().unwrap_or_default();
        Ok(OrderUpdate {
            symbol: symbol(market, self.symbol.or(self.inst_id))?,
            client_id: self.client_id()?,
            venue_order_id: self.venue_order_id()?,
            side,
            price: self.limit_price(source, filled)?,
            qty,
            filled,
            status,
            created,
            updated: self.u_time.millis().unwrap_or(created),
        })
    }

    /// What the order does: buy or sell.
    fn done_side(&self) -> Result<Side, RowError> {
        let said = side(self.side)?;
        let word = |field: Loose<'_>| field.text().map(|text| text.to_ascii_lowercase()).unwrap_or_default();
        if word(self.pos_mode) != "hedge_mode" {
            return Ok(said);
        }
        let closes = word(self.trade_side).contains("close");
        match (word(self.pos_side).as_str(), closes) {
            ("long", false) | ("short", true) => Ok(Side::Buy),
            ("long", true) | ("short", false) => Ok(Side::Sell),
            _ => Err(RowError("position side")),
        }
    }

    fn venue_order_id(&self) -> Result<VenueOrderId, RowError> {
        self.order_id.text().and_then(|text| fixed(&text)).ok_or(RowError("order id"))
    }

    /// The limit price, where one is stated. `priceAvg` of the unfilled list is the limit price only
    /// as long as nothing is filled; a number too long for 64 bits can only be an average.
    fn limit_price(&self, source: OrderSource, filled: Scaled) -> Result<Option<Scaled>, RowError> {
        let average =
            if source == OrderSource::Unfilled && filled.mantissa == 0 { self.price_avg } else { Loose::default() };
        for field in [self.price, average] {
            match field.scaled() {
                Ok(Some(price)) if price.mantissa > 0 => return Ok(Some(price)),
                Ok(_) | Err(NumberError::Range) => {}
                Err(_) => return Err(RowError("price")),
            }
        }
        Ok(None)
    }

    /// The fill that a push carries beside the order, if it carries a whole one.
    pub(crate) fn fill(&self, order: &OrderUpdate) -> Result<Option<FillReport>, RowError> {
        let (Some(trade_id), Some(price), Some(qty)) = (
            self.trade_id.text().filter(|id| id.as_ref() != "0"),
            number(self.fill_price, "fill price")?.filter(|price| price.mantissa > 0),
            number(self.base_volume, "fill quantity")?.filter(|qty| qty.mantissa > 0),
        ) else {
            return Ok(None);
        };
        // Without amount and asset of the fee, the `fill` channel tells the whole of it.
        let (Ok(Some(fee)), Some(fee_asset)) =
            (self.fill_fee.decimal(), self.fill_fee_coin.text().and_then(|text| asset(&text)))
        else {
            return Ok(None);
        };
        Ok(Some(FillReport {
            symbol: order.symbol,
            trade_id: fixed(&trade_id).ok_or(RowError("trade id"))?,
            venue_order_id: order.venue_order_id,
            client_id: (!order.client_id.is_empty()).then_some(order.client_id),
            side: order.side,
            price,
            qty,
            fee: Fee { amount: Amount(-fee), asset: fee_asset },
            liquidity: liquidity(self.trade_scope)?,
            venue_time: self.fill_time.millis().unwrap_or(order.updated),
        }))
    }
}

/// A fill: `fills` and the `fill` channel. Its side is what was done, in hedge mode too (sheet section 5.3).
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FillRow<'a> {
    #[serde(borrow)]
    symbol: Loose<'a>,
    #[serde(borrow)]
    inst_id: Loose<'a>,
    #[serde(borrow)]
    trade_id: Loose<'a>,
    #[serde(borrow)]
    order_id: Loose<'a>,
    #[serde(borrow)]
    client_oid: Loose<'a>,
    #[serde(borrow, rename = "clientOId")]
    client_o_id: Loose<'a>,
    #[serde(borrow)]
    side: Loose<'a>,
    #[serde(borrow)]
    price_avg: Loose<'a>,
    #[serde(borrow)]
    price: Loose<'a>,
    #[serde(borrow)]
    size: Loose<'a>,
    #[serde(borrow)]
    base_volume: Loose<'a>,
    #[serde(borrow)]
    trade_scope: Loose<'a>,
    #[serde(borrow)]
    fee_detail: Loose<'a>,
    #[serde(borrow)]
    c_time: Loose<'a>,
    #[serde(borrow)]
    u_time: Loose<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FeeRow<'a> {
    #[serde(borrow)]
    fee_coin: Loose<'a>,
    #[serde(borrow)]
    total_fee: Loose<'a>,
}

impl FillRow<'_> {
    /// The row as a report.
    pub(crate) fn report(&self, source: FeeSource, market: Market) -> Result<FillReport, RowError> {
        let client_id = self
            .client_oid
            .or(self.client_o_id)
            .text()
            .map(|text| fixed(&text).ok_or(RowError("client order id")))
            .transpose()?;
        let trade_id: VenueTradeId = self.trade_id.text().and_then(|text| fixed(&text)).ok_or(RowError("trade id"))?;
        Ok(FillReport {
            symbol: symbol(market, self.symbol.or(self.inst_id))?,
            trade_id,
            venue_order_id: self.order_id.text().and_then(|text| fixed(&text)).ok_or(RowError("order id"))?,
            client_id,
            side: side(self.side)?,
            price: number(self.price_avg.or(self.price), "price")?.ok_or(RowError("price"))?,
            qty: number(self.size.or(self.base_volume), "size")?.ok_or(RowError("size"))?,
            fee: self.fee(source)?,
            liquidity: liquidity(self.trade_scope)?,
            venue_time: self.c_time.millis().or_else(|| self.u_time.millis()).unwrap_or_default(),
        })
    }

    /// Object in answers, list of one in pushes. A fill has one fee asset; two would be a fee that
    /// cannot be booked, so that is an error.
    fn fee(&self, source: FeeSource) -> Result<Fee, RowError> {
        let raw = self.fee_detail.raw().map(RawValue::get).ok_or(RowError("fee"))?;
        let rows: Vec<FeeRow<'_>> = if raw.starts_with('[') {
            serde_json::from_str(raw).map_err(|_| RowError("fee"))?
        } else {
            vec![serde_json::from_str(raw).map_err(|_| RowError("fee"))?]
        };
        let rows: ArrayVec<_, 2> = rows.iter().take(2).map(|row| (row.fee_coin, row.total_fee)).collect();
        let (stated, asset) = one_fee(&rows)?;
        Ok(Fee { amount: Amount(source.paid(stated)), asset })
    }
}

/// Where a fee comes from, which decides what its sign means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FeeSource {
    /// REST, and futures wherever they come: negative is paid, positive a rebate.
    Answer,
    /// The `fill` channel of spot: recorded pushes have paid fees with either sign (sheet, stored samples),
    /// so any fee counts as paid. The error that is left, a rebate taken for a fee, only ever makes
    /// the position look smaller than it is.
    Push,
}

impl FeeSource {
    fn paid(self, stated: rust_decimal::Decimal) -> rust_decimal::Decimal {
        match self {
            Self::Answer => -stated,
            Self::Push => stated.abs(),
        }
    }
}

/// A balance: `assets` and the `account` channel.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct BalanceRow<'a> {
    #[serde(borrow)]
    coin: Loose<'a>,
    #[serde(borrow)]
    available: Loose<'a>,
    #[serde(borrow)]
    frozen: Loose<'a>,
    #[serde(borrow)]
    locked: Loose<'a>,
    #[serde(borrow)]
    u_time: Loose<'a>,
}

impl BalanceRow<'_> {
    /// The row as a report; nothing for a coin whose name is too long to be traded here.
    pub(crate) fn report(&self) -> Result<Option<BalanceReport>, RowError> {
        let name = self.coin.text().ok_or(RowError("coin"))?;
        let Some(asset) = asset(&name) else { return Ok(None) };
        let amount = |field: Loose<'_>| field.decimal().map_err(|_| RowError("balance"));
        let available = Amount(amount(self.available)?.ok_or(RowError("balance"))?);
        let frozen = Amount(amount(self.frozen)?.unwrap_or_default());
        let held = frozen.plus(Amount(amount(self.locked)?.unwrap_or_default())).map_err(|_| RowError("balance"))?;
        Ok(Some(BalanceReport {
            wallet: Market::Spot,
            asset,
            available,
            held,
            venue_time: self.u_time.millis().unwrap_or(UnixNanos(0)),
        }))
    }
}

/// A coin in the wallet of futures: `mix/account/accounts` and the channel `account` of futures.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FuturesBalanceRow<'a> {
    #[serde(borrow)]
    margin_coin: Loose<'a>,
    #[serde(borrow)]
    available: Loose<'a>,
    /// Answer.
    #[serde(borrow)]
    account_equity: Loose<'a>,
    /// Push.
    #[serde(borrow)]
    equity: Loose<'a>,
    #[serde(borrow, rename = "unrealizedPL")]
    unrealized_pl: Loose<'a>,
}

impl FuturesBalanceRow<'_> {
    /// The row as a report. What is held is the rest of the wallet without results that are not realised, which may
    /// leave less than nothing while the venue lends a profit.
    pub(crate) fn report(&self) -> Result<Option<BalanceReport>, RowError> {
        let Some(asset) = asset(&self.margin_coin.text().ok_or(RowError("coin"))?) else { return Ok(None) };
        let amount = |field: Loose<'_>| field.decimal().map_err(|_| RowError("balance"));
        let available = amount(self.available)?.ok_or(RowError("balance"))?;
        let equity = amount(self.account_equity.or(self.equity))?.ok_or(RowError("equity"))?;
        let unrealised = amount(self.unrealized_pl)?.unwrap_or_default();
        let held = equity.checked_sub(unrealised).and_then(|money| money.checked_sub(available));
        Ok(Some(BalanceReport {
            wallet: Market::UsdtFutures,
            asset,
            available: Amount(available),
            held: Amount(held.ok_or(RowError("balance"))?),
            venue_time: UnixNanos(0),
        }))
    }
}

fn symbol(market: Market, name: Loose<'_>) -> Result<Symbol, RowError> {
    name.text().and_then(|name| market.symbol(&name)).ok_or(RowError("symbol"))
}
