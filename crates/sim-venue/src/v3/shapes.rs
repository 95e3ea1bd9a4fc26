//! How v3 shows orders and fills, of every category. Fees are positive here, where v2 has them negative.

use crate::Category;
use crate::depth::{price_text, qty_text};
use crate::futures_view::PositionSnapshot;
use crate::orders::{Fill, Order, cancel_words, force_words, kind_words, self_trade_words};
use crate::records::ClosedPosition;
use crate::v2::mix_shapes::{Ended, mode_words, side_words};
use crate::venue::{Instrument, Venue};
use domain::{Qty, Side};
use matching::{Intent, PositionMode, PositionSide};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// The word of a category in REST.
pub(crate) const fn category_name(category: Category) -> &'static str {
    match category {
        Category::Spot => "SPOT",
        Category::UsdtFutures => "USDT-FUTURES",
    }
}

/// The word of a category in pushes.
const fn category_push(category: Category) -> &'static str {
    match category {
        Category::Spot => "spot",
        Category::UsdtFutures => "usdt-futures",
    }
}

/// Base and quote asked for: a market buy of spot has only the second, everything else only the first.
fn amounts(order: &Order, instrument: &Instrument) -> (String, String) {
    match order.budget {
        Some(budget) => ("0".into(), budget.to_string()),
        None => (qty_text(order.qty, &instrument.listing).to_string(), "0".into()),
    }
}

/// What the members about positions say of an order or fill; empty texts on spot.
struct Words {
    pos_side: &'static str,
    hold_mode: &'static str,
    trade_side: &'static str,
    reduces: bool,
    leverage: String,
    profit: String,
    margin_coin: String,
    kind: &'static str,
}

impl Words {
    const fn spot() -> Self {
        Self {
            pos_side: "",
            hold_mode: "",
            trade_side: "open",
            reduces: false,
            leverage: String::new(),
            profit: String::new(),
            margin_coin: String::new(),
            kind: "normal",
        }
    }

    fn intent(mut self, intent: Intent, mode: PositionMode, side: Side) -> Self {
        self.hold_mode = mode_words(mode);
        self.reduces = intent.reduces();
        self.trade_side = if self.reduces { "close" } else { "open" };
        // In one-way mode the position is the one that the order opens.
        self.pos_side = match intent {
            Intent::OneWay { .. } => side_words(PositionSide::opened_by(side)),
            Intent::Open(position) | Intent::Close(position) => side_words(position),
        };
        self
    }

    fn of_order(order: &Order) -> Self {
        let Some(futures) = &order.futures else { return Self::spot() };
        let words = Self::spot().intent(futures.intent, futures.mode, order.side);
        Self {
            leverage: futures.leverage.to_string(),
            profit: futures.pnl.to_string(),
            margin_coin: order.fee_asset.to_string(),
            kind: if futures.liquidation { "liquidation" } else { "normal" },
            ..words
        }
    }

    fn of_fill(fill: &Fill) -> Self {
        let Some(futures) = &fill.futures else { return Self::spot() };
        let words = Self::spot().intent(futures.intent, futures.mode, fill.side);
        // A fill closes when the order did, or, in one-way mode, when a position was there.
        let trade_side = if futures.closed > Qty::ZERO { "close" } else { words.trade_side };
        Self { trade_side, profit: futures.pnl.to_string(), ..words }
    }

    const fn reduce_only(&self) -> &'static str {
        if self.reduces { "yes" } else { "no" }
    }

    fn profit(&self) -> &str {
        if self.profit.is_empty() { "0" } else { &self.profit }
    }
}

fn fees(order: &Order) -> Value {
    json!([{"feeCoin": order.fee_asset, "fee": order.fee.to_string()}])
}

/// An item of `order-info`, `unfilled-orders` and `history-orders`.
pub(crate) fn order(order: &Order, instrument: &Instrument) -> Value {
    let (listing, words) = (&instrument.listing, Words::of_order(order));
    let (qty, amount) = amounts(order, instrument);
    json!({
        "orderId": order.id.0.to_string(), "clientOid": order.client_oid,
        "category": category_name(instrument.category), "symbol": instrument.config.symbol,
        "orderType": kind_words(order.price.is_none()), "side": order.side.as_str(),
        "price": order.price_words(listing), "qty": qty, "amount": amount,
        "cumExecQty": qty_text(order.filled, listing).to_string(), "cumExecValue": order.filled_quote.to_string(),
        "avgPrice": order.average(listing), "timeInForce": force_words(order.force),
        "orderStatus": order.status.as_str(), "posSide": words.pos_side, "holdMode": words.hold_mode,
        "delegateType": "normal", "tradeSide": words.trade_side, "reduceOnly": words.reduce_only().to_ascii_uppercase(),
        "marginMode": "crossed", "leverage": words.leverage, "totalProfit": words.profit(),
        "stpMode": self_trade_words(order.self_trade), "takeProfit": "", "stopLoss": "", "tpTriggerBy": "",
        "slTriggerBy": "", "tpOrderType": "", "slOrderType": "", "tpLimitPrice": "", "slLimitPrice": "",
        "feeDetail": fees(order), "cancelReason": order.cancel_reason.map_or("", cancel_words), "execType": words.kind,
        "createdTime": order.created_ms.to_string(), "updatedTime": order.updated_ms.to_string(),
    })
}

/// The `data` of a push on `order`.
pub(crate) fn order_push(order: &Order, instrument: &Instrument) -> Value {
    let (listing, words) = (&instrument.listing, Words::of_order(order));
    let (qty, amount) = amounts(order, instrument);
    let price = order.price.map(|price| price_text(price, listing).to_string()).unwrap_or_default();
    json!({
        "category": category_push(instrument.category), "symbol": instrument.config.symbol,
        "orderId": order.id.0.to_string(), "clientOid": order.client_oid, "price": price, "qty": qty,
        "amount": amount, "holdMode": words.hold_mode, "holdSide": words.pos_side, "posSide": words.pos_side,
        "delegateType": "normal", "tradeSide": words.trade_side,
        "orderType": kind_words(order.price.is_none()), "timeInForce": force_words(order.force),
        "side": order.side.as_str(), "marginMode": "crossed", "marginCoin": words.margin_coin,
        "reduceOnly": words.reduce_only(),
        "cumExecQty": qty_text(order.filled, listing).to_string(), "cumExecValue": order.filled_quote.to_string(),
        "avgPrice": order.average(listing), "totalProfit": words.profit(), "orderStatus": order.status.as_str(),
        "cancelReason": order.cancel_reason.map_or("", cancel_words), "leverage": words.leverage, "feeDetail": fees(order),
        "createdTime": order.created_ms.to_string(), "updatedTime": order.updated_ms.to_string(),
        "stpMode": self_trade_words(order.self_trade),
    })
}

const fn scope(fill: &Fill) -> &'static str {
    if fill.maker { "maker" } else { "taker" }
}

fn fill_fees(fill: &Fill) -> Value {
    json!([{"feeCoin": fill.fee_asset, "fee": fill.fee.to_string()}])
}

/// An item of `fills`.
pub(crate) fn fill(fill: &Fill, instrument: &Instrument) -> Value {
    let (listing, at, words) = (&instrument.listing, fill.at_ms.to_string(), Words::of_fill(fill));
    json!({
        "execId": fill.trade_id.to_string(), "execLinkId": fill.trade_id.to_string(),
        "orderId": fill.order.0.to_string(), "clientOid": fill.client_oid,
        "category": category_name(instrument.category), "symbol": instrument.config.symbol,
        "orderType": kind_words(fill.market_order), "side": fill.side.as_str(),
        "execPrice": price_text(fill.price, listing).to_string(), "execQty": qty_text(fill.qty, listing).to_string(),
        "execValue": fill.notional.to_string(), "tradeScope": scope(fill), "tradeSide": words.trade_side,
        "feeDetail": fill_fees(fill), "createdTime": at, "updatedTime": at, "execPnl": words.profit(), "isRPI": "no",
    })
}

/// The `data` of a push on `fill`.
pub(crate) fn fill_push(fill: &Fill, instrument: &Instrument) -> Value {
    let (listing, at, words) = (&instrument.listing, fill.at_ms.to_string(), Words::of_fill(fill));
    json!({
        "symbol": instrument.config.symbol, "orderType": kind_words(fill.market_order), "updatedTime": at,
        "side": fill.side.as_str(), "orderId": fill.order.0.to_string(), "execPnl": words.profit(),
        "feeDetail": fill_fees(fill), "execTime": at, "tradeScope": scope(fill), "tradeSide": words.trade_side,
        "execId": fill.trade_id.to_string(), "execLinkId": fill.trade_id.to_string(),
        "execPrice": price_text(fill.price, listing).to_string(), "holdSide": words.pos_side,
        "execValue": fill.notional.to_string(), "category": category_push(instrument.category),
        "execQty": qty_text(fill.qty, listing).to_string(), "clientOid": fill.client_oid, "isRPI": "no",
    })
}

/// The `data` of a push on `fast-fill`: one object, with less in it.
pub(crate) fn fast_fill_push(fill: &Fill, instrument: &Instrument) -> Value {
    let (listing, at, words) = (&instrument.listing, fill.at_ms.to_string(), Words::of_fill(fill));
    json!({
        "symbol": instrument.config.symbol, "updatedTime": at, "side": fill.side.as_str(),
        "orderId": fill.order.0.to_string(), "execTime": at, "tradeScope": scope(fill),
        "execId": fill.trade_id.to_string(), "execPrice": price_text(fill.price, listing).to_string(), "holdSide": words.pos_side,
        "category": category_push(instrument.category), "execQty": qty_text(fill.qty, listing).to_string(),
        "clientOid": fill.client_oid,
    })
}

fn plain(number: Decimal) -> String {
    number.normalize().to_string()
}

fn gain(it: &PositionSnapshot) -> String {
    plain(it.unrealised.checked_div(it.margin).unwrap_or_default().round_dp(8))
}

/// An item of `current-position`.
pub(crate) fn position(it: &PositionSnapshot, instrument: &Instrument) -> Value {
    let qty = |qty: Qty| qty_text(qty, &instrument.listing).to_string();
    json!({
        "positionId": it.id.to_string(), "category": category_name(instrument.category),
        "symbol": instrument.config.symbol, "marginCoin": instrument.config.quote, "holdMode": mode_words(it.mode),
        "posSide": side_words(it.side), "marginMode": "crossed", "positionBalance": plain(it.margin),
        "available": qty(it.available), "frozen": qty(it.frozen), "total": qty(it.total),
        "leverage": it.leverage.to_string(), "curRealisedPnl": plain(it.realised), "avgPrice": plain(it.average),
        "positionStatus": "normal", "unrealisedPnl": plain(it.unrealised),
        "liquidationPrice": it.liquidation.map(plain).unwrap_or_default(), "mmr": plain(it.maintenance_rate),
        "profitRate": gain(it), "markPrice": plain(it.mark), "breakEvenPrice": plain(it.break_even),
        "totalFunding": plain(it.funding), "openFeeTotal": plain(-it.open_fee), "closeFeeTotal": plain(-it.close_fee),
        "createdTime": it.created_ms.to_string(), "updatedTime": it.updated_ms.to_string(),
    })
}

/// The `data` of a push on `position`.
pub(crate) fn position_push(it: &PositionSnapshot, instrument: &Instrument) -> Value {
    let qty = |qty: Qty| qty_text(qty, &instrument.listing).to_string();
    json!({
        "category": category_push(instrument.category), "symbol": instrument.config.symbol,
        "leverage": it.leverage.to_string(), "openFeeTotal": plain(-it.open_fee), "mmr": plain(it.maintenance_rate),
        "breakEvenPrice": plain(it.break_even), "available": qty(it.available),
        "liqPrice": it.liquidation.map(plain).unwrap_or_default(), "marginMode": "crossed",
        "unrealisedPnl": plain(it.unrealised), "markPrice": plain(it.mark), "avgPrice": plain(it.average),
        "totalFundingFee": plain(it.funding), "marginCoin": instrument.config.quote, "frozen": qty(it.frozen),
        "profitRate": gain(it), "closeFeeTotal": plain(-it.close_fee), "marginSize": plain(it.margin),
        "curRealisedPnl": plain(it.realised), "size": qty(it.total), "positionStatus": "normal",
        "posSide": side_words(it.side), "holdMode": mode_words(it.mode), "createdTime": it.created_ms.to_string(),
        "updatedTime": it.updated_ms.to_string(),
    })
}

/// The `data` of the last push on `position` about a position: it has ended.
pub(crate) fn ended_position_push(venue: &Venue, it: &ClosedPosition, instrument: &Instrument) -> Value {
    let ended = Ended::of(it, instrument);
    let mark = instrument.perpetual.as_ref().map(|perpetual| plain(perpetual.mark)).unwrap_or_default();
    json!({
        "category": category_push(instrument.category), "symbol": instrument.config.symbol, "leverage": "",
        "openFeeTotal": ended.open_fee, "mmr": "", "breakEvenPrice": "", "available": "0", "liqPrice": "",
        "marginMode": "crossed", "unrealisedPnl": "0", "markPrice": mark, "avgPrice": ended.open_average,
        "totalFundingFee": ended.funding, "marginCoin": instrument.config.quote, "frozen": "0", "profitRate": "",
        "closeFeeTotal": ended.close_fee, "marginSize": "0", "curRealisedPnl": ended.pnl, "size": "0",
        "positionStatus": "ended", "posSide": side_words(it.position.side), "holdMode": mode_words(it.mode),
        "createdTime": ended.created, "updatedTime": venue.now_ms().to_string(),
    })
}

/// An item of `history-position`.
pub(crate) fn closed_position(it: &ClosedPosition, instrument: &Instrument) -> Value {
    let ended = Ended::of(it, instrument);
    json!({
        "positionId": it.position.opened_by.0.to_string(), "category": category_name(instrument.category),
        "symbol": instrument.config.symbol, "marginCoin": instrument.config.quote, "holdMode": mode_words(it.mode),
        "posSide": side_words(it.position.side), "marginMode": "crossed", "openPriceAvg": ended.open_average,
        "closePriceAvg": ended.close_average, "openTotalPos": ended.opened, "closeTotalPos": ended.closed,
        "cumRealisedPnl": ended.pnl, "netProfit": ended.net, "totalFunding": ended.funding,
        "openFeeTotal": ended.open_fee, "closeFeeTotal": ended.close_fee, "createdTime": ended.created,
        "updatedTime": ended.ended,
    })
}
