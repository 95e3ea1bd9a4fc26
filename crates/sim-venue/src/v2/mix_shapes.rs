//! How v2 shows orders, fills, positions and balances of futures.
//!
//! In hedge mode the side of an order is that of its position: closing a long one is a `buy`. Fills
//! show the side of the transaction.

use crate::depth::{price_text, qty_text};
use crate::futures_view::{AccountSnapshot, PositionSnapshot};
use crate::orders::{Fill, Look, Order, OrderStatus, cancel_words, force_words, kind_words, self_trade_words};
use crate::records::{Bill, BillKind, ClosedPosition, OrderFutures};
use crate::venue::Instrument;
use domain::{Qty, Side};
use matching::{Atoms, Intent, Leg, PositionMode, PositionSide};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// The word of a position mode.
pub(crate) const fn mode_words(mode: PositionMode) -> &'static str {
    match mode {
        PositionMode::OneWay => "one_way_mode",
        PositionMode::Hedge => "hedge_mode",
    }
}

/// The word of a position's side.
pub(crate) const fn side_words(side: PositionSide) -> &'static str {
    match side {
        PositionSide::Long => "long",
        PositionSide::Short => "short",
    }
}

/// The word of the position that an order works on.
pub(crate) const fn leg_words(intent: Intent) -> &'static str {
    match intent.leg() {
        Leg::Net => "net",
        Leg::Long => "long",
        Leg::Short => "short",
    }
}

/// `open`, `close`, or how the one-way mode reads back.
pub(crate) const fn trade_side(intent: Intent, side: Side) -> &'static str {
    match (intent, side) {
        (Intent::Open(_), _) => "open",
        (Intent::Close(_), _) => "close",
        (Intent::OneWay { .. }, Side::Buy) => "buy_single",
        (Intent::OneWay { .. }, Side::Sell) => "sell_single",
    }
}

/// The side of an order as v2 shows it.
const fn shown_side(intent: Intent, side: Side) -> Side {
    match intent {
        Intent::Open(position) | Intent::Close(position) => position.opens(),
        Intent::OneWay { .. } => side,
    }
}

const fn status_words(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Cancelled => "canceled",
        other => other.as_str(),
    }
}

/// What an order of futures is beyond one of spot; a spot order that strayed here is a one-way one.
fn futures_of(order: &Order) -> OrderFutures {
    order.futures.unwrap_or(OrderFutures {
        intent: Intent::OneWay { reduce_only: false },
        mode: PositionMode::OneWay,
        leverage: 1,
        pnl: Atoms::ZERO,
        liquidation: false,
    })
}

/// An item of `orders-pending`, `orders-history` and, with its status under another name, of `detail`.
pub(crate) fn entrusted(order: &Order, look: Look<'_>, status: &str) -> Value {
    let (it, listing) = (futures_of(order), look.listing);
    let average = if order.filled == Qty::ZERO { String::new() } else { order.average(listing) };
    let price = order.price.map(|price| price_text(price, listing).to_string()).unwrap_or_default();
    let mut item = json!({
        "symbol": look.symbol, "size": qty_text(order.qty, listing).to_string(), "orderId": order.id.0.to_string(),
        "clientOid": order.client_oid, "baseVolume": qty_text(order.filled, listing).to_string(),
        "fee": order.fee.negated().to_string(), "price": price, "priceAvg": average,
        "side": shown_side(it.intent, order.side).as_str(), "force": force_words(order.force),
        "totalProfits": it.pnl.to_string(), "posSide": leg_words(it.intent), "marginCoin": order.fee_asset,
        "quoteVolume": order.filled_quote.to_string(), "leverage": it.leverage.to_string(), "marginMode": "crossed",
        "enterPointSource": if it.liquidation { "SYS" } else { "API" }, "tradeSide": trade_side(it.intent, order.side),
        "posMode": mode_words(it.mode), "orderType": kind_words(order.price.is_none()), "orderSource": "normal",
        "presetStopSurplusPrice": "", "presetStopLossPrice": "",
        "reduceOnly": if it.intent.reduces() { "YES" } else { "NO" },
        "cancelReason": order.cancel_reason.map_or("", cancel_words),
        "cTime": order.created_ms.to_string(), "uTime": order.updated_ms.to_string(),
    });
    if let Some(members) = item.as_object_mut() {
        members.insert(status.to_owned(), json!(status_words(order.status)));
    }
    item
}

/// The `data` of a push on `orders`; `fill` is the trade that caused it.
pub(crate) fn order_push(order: &Order, look: Look<'_>, fill: Option<&Fill>) -> Value {
    let (it, listing) = (futures_of(order), look.listing);
    let value = order.price.and_then(|price| listing.notional(price, order.qty)).unwrap_or_default();
    let fees = if order.filled == Qty::ZERO {
        json!([])
    } else {
        json!([{"feeCoin": order.fee_asset, "fee": order.fee.negated().to_string()}])
    };
    let mut push = json!({
        "instId": look.symbol, "orderId": order.id.0.to_string(), "clientOid": order.client_oid,
        "size": qty_text(order.qty, listing).to_string(), "price": order.price_words(listing),
        "orderType": kind_words(order.price.is_none()), "force": force_words(order.force),
        "side": shown_side(it.intent, order.side).as_str(), "posSide": leg_words(it.intent),
        "posMode": mode_words(it.mode), "tradeSide": trade_side(it.intent, order.side), "marginMode": "crossed",
        "marginCoin": order.fee_asset, "leverage": it.leverage.to_string(),
        "reduceOnly": if it.intent.reduces() { "yes" } else { "no" }, "status": status_words(order.status),
        "accBaseVolume": qty_text(order.filled, listing).to_string(), "notionalUsd": value.to_string(),
        "priceAvg": order.average(listing), "pnl": it.pnl.to_string(), "totalProfits": it.pnl.to_string(),
        "feeDetail": fees, "enterPointSource": if it.liquidation { "SYS" } else { "API" },
        "stpMode": self_trade_words(order.self_trade), "cancelReason": order.cancel_reason.map_or("", cancel_words),
        "presetStopSurplusPrice": "", "presetStopLossPrice": "",
        "cTime": order.created_ms.to_string(), "uTime": order.updated_ms.to_string(),
    });
    if let (Some(members), Some(fill)) = (push.as_object_mut(), fill) {
        let last = [
            ("baseVolume", qty_text(fill.qty, listing).to_string()),
            ("fillPrice", price_text(fill.price, listing).to_string()),
            ("fillTime", fill.at_ms.to_string()),
            ("fillFee", fill.fee.negated().to_string()),
            ("fillFeeCoin", fill.fee_asset.to_string()),
            ("fillNotionalUsd", fill.notional.to_string()),
            ("tradeId", fill.trade_id.to_string()),
            ("tradeScope", if fill.maker { "M" } else { "T" }.to_owned()),
        ];
        members.extend(last.map(|(name, value)| (name.to_owned(), Value::String(value))));
    }
    push
}

/// An item of `fills` and the `data` of a push on `fill`.
pub(crate) fn fill(fill: &Fill, look: Look<'_>) -> Value {
    let listing = look.listing;
    let (intent, mode, pnl) =
        fill.futures.map_or((Intent::OneWay { reduce_only: false }, PositionMode::OneWay, Atoms::ZERO), |futures| {
            (futures.intent, futures.mode, futures.pnl)
        });
    json!({
        "orderId": fill.order.0.to_string(), "clientOid": fill.client_oid, "tradeId": fill.trade_id.to_string(),
        "symbol": look.symbol, "orderType": kind_words(fill.market_order), "side": fill.side.as_str(),
        "price": price_text(fill.price, listing).to_string(), "baseVolume": qty_text(fill.qty, listing).to_string(),
        "quoteVolume": fill.notional.to_string(), "profit": pnl.to_string(),
        "tradeSide": trade_side(intent, fill.side), "posMode": mode_words(mode), "marginCoin": fill.fee_asset,
        "tradeScope": if fill.maker { "maker" } else { "taker" }, "enterPointSource": "api",
        "feeDetail": [{"feeCoin": fill.fee_asset, "deduction": "no", "totalDeductionFee": "0",
                       "totalFee": fill.fee.negated().to_string()}],
        "cTime": fill.at_ms.to_string(), "uTime": fill.at_ms.to_string(),
    })
}

fn plain(number: Decimal) -> String {
    number.normalize().to_string()
}

/// An item of `all-position` and `single-position`.
pub(crate) fn position(it: &PositionSnapshot, instrument: &Instrument) -> Value {
    let listing = &instrument.listing;
    let qty = |qty: Qty| qty_text(qty, listing).to_string();
    json!({
        "marginCoin": instrument.config.quote, "symbol": instrument.config.symbol, "holdSide": side_words(it.side),
        "openDelegateSize": qty(it.opening), "marginSize": plain(it.margin), "available": qty(it.available),
        "locked": qty(it.frozen), "total": qty(it.total), "leverage": it.leverage.to_string(),
        "achievedProfits": plain(it.realised), "openPriceAvg": plain(it.average), "marginMode": "crossed",
        "posMode": mode_words(it.mode), "unrealizedPL": plain(it.unrealised),
        "liquidationPrice": it.liquidation.map_or_else(|| "0".into(), plain),
        "keepMarginRate": plain(it.maintenance_rate), "markPrice": plain(it.mark),
        "breakEvenPrice": plain(it.break_even), "totalFee": plain(it.funding),
        "deductedFee": plain(it.open_fee + it.close_fee), "marginRatio": plain(it.margin_rate), "assetMode": "single",
        "autoMargin": "off", "grant": "", "takeProfit": "", "stopLoss": "", "takeProfitId": "", "stopLossId": "",
        "cTime": it.created_ms.to_string(), "uTime": it.updated_ms.to_string(),
    })
}

/// The `data` of a push on `positions`; the leverage is a bare number here.
pub(crate) fn position_push(it: &PositionSnapshot, instrument: &Instrument) -> Value {
    let listing = &instrument.listing;
    let qty = |qty: Qty| qty_text(qty, listing).to_string();
    let rate = it.unrealised.checked_div(it.margin).unwrap_or_default().round_dp(8);
    json!({
        "posId": it.id.to_string(), "instId": instrument.config.symbol, "marginCoin": instrument.config.quote,
        "marginSize": plain(it.margin), "marginMode": "crossed", "holdSide": side_words(it.side),
        "posMode": mode_words(it.mode), "total": qty(it.total), "available": qty(it.available),
        "frozen": qty(it.frozen), "openPriceAvg": plain(it.average), "leverage": it.leverage,
        "achievedProfits": plain(it.realised), "unrealizedPL": plain(it.unrealised), "unrealizedPLR": plain(rate),
        "liquidationPrice": it.liquidation.map_or_else(|| "0".into(), plain),
        "keepMarginRate": plain(it.maintenance_rate), "marginRate": plain(it.margin_rate),
        "breakEvenPrice": plain(it.break_even), "totalFee": plain(it.funding),
        "deductedFee": plain(it.open_fee + it.close_fee), "markPrice": plain(it.mark), "assetMode": "single",
        "autoMargin": "off", "cTime": it.created_ms.to_string(), "uTime": it.updated_ms.to_string(),
    })
}

/// What an ended position shows in either dialect.
pub(crate) struct Ended {
    pub(crate) open_average: String,
    pub(crate) close_average: String,
    pub(crate) opened: String,
    pub(crate) closed: String,
    pub(crate) pnl: String,
    /// With fees and funding.
    pub(crate) net: String,
    pub(crate) funding: String,
    /// Negative: paid.
    pub(crate) open_fee: String,
    pub(crate) close_fee: String,
    pub(crate) created: String,
    pub(crate) ended: String,
}

impl Ended {
    pub(crate) fn of(it: &ClosedPosition, instrument: &Instrument) -> Self {
        let (position, listing) = (&it.position, &instrument.listing);
        let average = |value, qty| plain(crate::futures_view::average(value, qty, listing));
        let net = position.realised.0 + position.funding.0 - position.open_fee.0 - position.close_fee.0;
        Self {
            open_average: average(position.entered_value, position.entered),
            close_average: average(position.left_value, position.left),
            opened: qty_text(position.entered, listing).to_string(),
            closed: qty_text(position.left, listing).to_string(),
            pnl: position.realised.to_string(),
            net: Atoms(net).to_string(),
            funding: position.funding.to_string(),
            open_fee: position.open_fee.negated().to_string(),
            close_fee: position.close_fee.negated().to_string(),
            created: position.opened_at.as_millis().to_string(),
            ended: it.closed_ms.to_string(),
        }
    }
}

/// An item of `history-position`, whose times are spelt in lower case.
pub(crate) fn closed_position(it: &ClosedPosition, instrument: &Instrument) -> Value {
    let ended = Ended::of(it, instrument);
    json!({
        "positionId": it.position.opened_by.0.to_string(), "symbol": instrument.config.symbol,
        "marginCoin": instrument.config.quote, "holdSide": side_words(it.position.side),
        "posMode": mode_words(it.mode), "openAvgPrice": ended.open_average, "closeAvgPrice": ended.close_average,
        "marginMode": "crossed", "openTotalPos": ended.opened, "closeTotalPos": ended.closed, "pnl": ended.pnl,
        "netProfit": ended.net, "totalFunding": ended.funding, "openFee": ended.open_fee,
        "closeFee": ended.close_fee, "ctime": ended.created, "utime": ended.ended,
    })
}

/// The `data` of a push on `positions-history`.
pub(crate) fn closed_position_push(it: &ClosedPosition, instrument: &Instrument) -> Value {
    let ended = Ended::of(it, instrument);
    json!({
        "posId": it.position.opened_by.0.to_string(), "instId": instrument.config.symbol,
        "marginCoin": instrument.config.quote, "marginMode": "crossed", "holdSide": side_words(it.position.side),
        "posMode": mode_words(it.mode), "openPriceAvg": ended.open_average, "closePriceAvg": ended.close_average,
        "openSize": ended.opened, "closeSize": ended.closed, "achievedProfits": ended.pnl,
        "settleFee": ended.funding, "openFee": ended.open_fee, "closeFee": ended.close_fee, "cTime": ended.created,
        "uTime": ended.ended,
    })
}

/// The `data` of a push on `account`.
pub(crate) fn account_push(it: &AccountSnapshot) -> Value {
    let (margin, text) = (&it.margin, |amount: Atoms| amount.to_string());
    json!({
        "marginCoin": it.coin, "frozen": text(margin.order_margin), "available": text(margin.available()),
        "maxOpenPosAvailable": text(margin.available()), "maxTransferOut": text(margin.transferable()),
        "equity": text(margin.equity), "usdtEquity": text(margin.equity), "crossedRiskRate": plain(it.risk_rate()),
        "unrealizedPL": text(margin.unrealised), "unionTotalMargin": "0", "unionAvailable": "0", "unionMm": "0",
        "assetsMode": "single",
    })
}

/// The `data` of a push on `equity`.
pub(crate) fn equity_push(it: &AccountSnapshot, bitcoin: Decimal) -> Value {
    let equity = it.margin.equity.to_decimal().unwrap_or_default();
    json!({
        "btcEquity": plain(equity.checked_div(bitcoin).unwrap_or_default().round_dp(8)),
        "usdtEquity": plain(equity), "unrealizedPL": it.margin.unrealised.to_string(), "unionTotalMargin": "0",
        "unionAvailable": "0", "unionMm": "0",
    })
}

/// Why a futures balance changed, in the venue's words.
pub(crate) const fn bill_words(kind: BillKind) -> &'static str {
    match kind {
        BillKind::Open(PositionSide::Long) => "open_long",
        BillKind::Open(PositionSide::Short) => "open_short",
        BillKind::Close(PositionSide::Long) => "close_long",
        BillKind::Close(PositionSide::Short) => "close_short",
        BillKind::Funding => "contract_settle_fee",
        BillKind::TransferIn => "trans_from_exchange",
        BillKind::TransferOut => "trans_to_exchange",
        BillKind::Liquidation => "burst_long_loss_query",
        BillKind::Insurance => "risk_captital_user_transfer",
    }
}

/// An item of `bill`.
pub(crate) fn bill(it: &Bill, coin: &str, symbol: &str) -> Value {
    json!({
        "billId": it.id.to_string(), "symbol": symbol, "amount": it.amount.to_string(),
        "fee": it.fee.negated().to_string(), "feeByCoupon": "", "businessType": bill_words(it.kind), "coin": coin,
        "balance": it.balance.to_string(), "cTime": it.at_ms.to_string(),
    })
}
