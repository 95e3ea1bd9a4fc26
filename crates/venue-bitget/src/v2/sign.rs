//! Requests of the classic account.
//!
//! Facts: sheet sections 6.2 to 6.5. Futures have paths of their own (`mix`), with `productType` and `marginCoin` beside
//! the name. In hedge mode `side` names the position and `tradeSide` what happens to it (sheet trap 5): a long position
//! is closed with `buy` and `close`. Orders draw on crossed margin; changing an instrument to isolated margin is
//! therefore not a request of this codec.

use super::Classic;
use crate::positions::position_mode_word;
use crate::symbols::{VenueMarket as _, venue_name};
use crate::write::{self, Json, PAGE_ROWS_TEXT, Query, hedge_opens, no_effect, plain, positive, post};
use domain::{Market, PositionSide, Side, Symbol, TimeInForce, UnixNanos, VenueOrderId};
use messages::{MarginMode, PlaceOrder, SignIntent, SignRefusal};
use venue_api::{Credentials, Draft, HeaderSink, Method, SignatureEncoding, SigningCodec, append};

/// What futures are margined and settled in.
const MARGIN_COIN: &str = "USDT";

impl SigningCodec for Classic {
    fn encoding(&self) -> SignatureEncoding {
        SignatureEncoding::Base64
    }

    fn draft(&self, intent: &SignIntent, at: UnixNanos, draft: &mut Draft) -> Result<(), SignRefusal> {
        write::draft(intent, at, draft, write_request)
    }

    fn standing_headers(
        &self,
        method: Method,
        credentials: Credentials<'_>,
        headers: &mut dyn HeaderSink,
    ) -> Result<(), SignRefusal> {
        write::standing_headers(self.environment, method, credentials, headers)
    }

    fn finish(
        &self,
        draft: &mut Draft,
        signature: &str,
        credentials: Credentials<'_>,
        headers: &mut dyn HeaderSink,
    ) -> Result<(), SignRefusal> {
        write::finish(draft, signature, credentials, headers)
    }
}

fn write_request(intent: &SignIntent, draft: &mut Draft) -> Result<(), SignRefusal> {
    match intent {
        SignIntent::Place(order) => write_place(order, draft),
        SignIntent::Cancel { symbol, id, venue_order_id } => {
            let mut body = about(draft, symbol, ["/api/v2/spot/trade/cancel-order", "/api/v2/mix/order/cancel-order"])?;
            match venue_order_id {
                Some(venue_order_id) => body.text("orderId", venue_order_id)?,
                None => body.text("clientOid", id.as_str())?,
            }
            body.close()
        }
        SignIntent::CancelAll { symbol } => {
            let paths = ["/api/v2/spot/trade/cancel-symbol-order", "/api/v2/mix/order/cancel-all-orders"];
            about(draft, symbol, paths)?.close()
        }
        SignIntent::QueryOrder { symbol, id } => match venue_name(symbol) {
            (Market::Spot, _) => Query::of(draft, "/api/v2/spot/trade/orderInfo")?.text("clientOid", id.as_str()),
            (market, name) => Query::of(draft, "/api/v2/mix/order/detail")?
                .text("clientOid", id.as_str())?
                .text("productType", market.word())?
                .text("symbol", name),
        }
        .map(drop),
        SignIntent::OpenOrders { symbol, older_than } => {
            let paths = ["/api/v2/spot/trade/unfilled-orders", "/api/v2/mix/order/orders-pending"];
            list(draft, paths, symbol, None, older_than.as_ref())
        }
        SignIntent::OrderHistory { symbol, since, older_than } => {
            let paths = ["/api/v2/spot/trade/history-orders", "/api/v2/mix/order/orders-history"];
            list(draft, paths, symbol, Some(*since), older_than.as_ref())
        }
        SignIntent::Fills { symbol, since, older_than } => {
            let paths = ["/api/v2/spot/trade/fills", "/api/v2/mix/order/fills"];
            list(draft, paths, symbol, Some(*since), older_than.as_ref())
        }
        SignIntent::Positions => Query::of(draft, "/api/v2/mix/position/all-position")?
            .text("marginCoin", MARGIN_COIN)?
            .text("productType", Market::UsdtFutures.word())
            .map(drop),
        SignIntent::FuturesSettings { symbol } => Query::of(draft, "/api/v2/mix/account/account")?
            .text("marginCoin", MARGIN_COIN)?
            .text("productType", Market::UsdtFutures.word())?
            .text("symbol", future(symbol)?)
            .map(drop),
        SignIntent::Bills { since, older_than } => Query::of(draft, "/api/v2/mix/account/bill")?
            .optional("idLessThan", older_than.as_deref())?
            .text("limit", PAGE_ROWS_TEXT)?
            .text("productType", Market::UsdtFutures.word())?
            .millis("startTime", older_than.is_none().then_some(*since))
            .map(drop),
        SignIntent::SetLeverage { symbol, leverage } => {
            future(symbol)?;
            let mut body = about(draft, symbol, ["", "/api/v2/mix/account/set-leverage"])?;
            body.count("leverage", *leverage)?;
            body.close()
        }
        SignIntent::SetMarginMode { symbol, mode: MarginMode::Crossed } => {
            future(symbol)?;
            let mut body = about(draft, symbol, ["", "/api/v2/mix/account/set-margin-mode"])?;
            body.text("marginMode", "crossed")?;
            body.close()
        }
        SignIntent::SetPositionMode { mode } => {
            post(draft, "/api/v2/mix/account/set-position-mode")?;
            let mut body = Json::open(&mut draft.body)?;
            body.text("productType", Market::UsdtFutures.word())?;
            body.text("posMode", position_mode_word(*mode))?;
            body.close()
        }
        SignIntent::Balances => append(&mut draft.target, b"/api/v2/spot/account/assets"),
        SignIntent::FuturesBalances => {
            Query::of(draft, "/api/v2/mix/account/accounts")?.text("productType", Market::UsdtFutures.word()).map(drop)
        }
        SignIntent::KeyInfo => append(&mut draft.target, b"/api/v2/spot/account/info"),
        SignIntent::SetMarginMode { mode: MarginMode::Isolated, .. } | SignIntent::StreamLogin => {
            Err(SignRefusal::Unsupported)
        }
    }
}

/// The venue's name of a perpetual future; spot has no such request.
fn future(symbol: &Symbol) -> Result<&str, SignRefusal> {
    match venue_name(symbol) {
        (Market::UsdtFutures, name) => Ok(name),
        (Market::Spot, _) => Err(SignRefusal::Unsupported),
    }
}

/// A request about an instrument: the path of its market (spot, futures), and a body that begins with its name.
fn about<'d>(
    draft: &'d mut Draft,
    symbol: &Symbol,
    [spot, futures]: [&str; 2],
) -> Result<Json<'d, { venue_api::BODY_MAX }>, SignRefusal> {
    let (market, name) = venue_name(symbol);
    post(draft, if market == Market::Spot { spot } else { futures })?;
    let mut body = Json::open(&mut draft.body)?;
    body.text("symbol", name)?;
    if market == Market::UsdtFutures {
        body.text("productType", market.word())?;
        body.text("marginCoin", MARGIN_COIN)?;
    }
    Ok(body)
}

/// A page of a list, keys in ascending order. Together with a start time the venue may ignore the cursor (sheet
/// section 6.1, query priority), so later pages go by the cursor alone and the reader of the answer drops what is
/// older than asked for.
fn list(
    draft: &mut Draft,
    [spot, futures]: [&str; 2],
    symbol: &Symbol,
    since: Option<UnixNanos>,
    older_than: Option<&VenueOrderId>,
) -> Result<(), SignRefusal> {
    let (market, name) = venue_name(symbol);
    Query::of(draft, if market == Market::Spot { spot } else { futures })?
        .optional("idLessThan", older_than.map(|id| id.as_str()))?
        .text("limit", PAGE_ROWS_TEXT)?
        .optional("productType", (market == Market::UsdtFutures).then(|| market.word()))?
        .millis("startTime", since.filter(|_| older_than.is_none()))?
        .text("symbol", name)
        .map(drop)
}

/// The way of every order: long pieces of text instead of single fields.
fn write_place(order: &PlaceOrder, draft: &mut Draft) -> Result<(), SignRefusal> {
    let (market, name) = venue_name(&order.symbol);
    let side = match market {
        Market::Spot => {
            no_effect(order)?;
            post(draft, "/api/v2/spot/trade/place-order")?;
            spot_side(order.side)
        }
        Market::UsdtFutures => {
            let opens = hedge_opens(order)?;
            post(draft, "/api/v2/mix/order/place-order")?;
            futures_side(order, opens)
        }
    };
    let body = &mut draft.body;
    append(body, b"{\"symbol\":\"")?;
    plain(body, name)?;
    append(body, side)?;
    append(body, force(order.time_in_force))?;
    positive(body, order.price)?;
    append(body, b"\",\"size\":\"")?;
    positive(body, order.qty)?;
    append(body, b"\",\"clientOid\":\"")?;
    append(body, order.id.as_bytes())?;
    append(body, b"\"}")
}

/// From the symbol to the time in force.
const fn spot_side(side: Side) -> &'static [u8] {
    match side {
        Side::Buy => b"\",\"side\":\"buy\",\"orderType\":\"limit\",\"force\":\"",
        Side::Sell => b"\",\"side\":\"sell\",\"orderType\":\"limit\",\"force\":\"",
    }
}

/// From the symbol to the time in force. The side of a hedge-mode order is that of its position, not what it does.
fn futures_side(order: &PlaceOrder, opens: Option<bool>) -> &'static [u8] {
    macro_rules! text {
        ($side:literal, $what:literal) => {
            concat!(
                "\",\"productType\":\"USDT-FUTURES\",\"marginMode\":\"crossed\",\"marginCoin\":\"USDT\",\"side\":\"",
                $side,
                "\",",
                $what,
                "\"orderType\":\"limit\",\"force\":\""
            )
            .as_bytes()
        };
    }
    match (order.effect.side, order.side, opens == Some(true), order.effect.reduce_only) {
        (PositionSide::Net, Side::Buy, _, false) => text!("buy", ""),
        (PositionSide::Net, Side::Sell, _, false) => text!("sell", ""),
        (PositionSide::Net, Side::Buy, _, true) => text!("buy", "\"reduceOnly\":\"YES\","),
        (PositionSide::Net, Side::Sell, _, true) => text!("sell", "\"reduceOnly\":\"YES\","),
        (PositionSide::Long, _, true, _) => text!("buy", "\"tradeSide\":\"open\","),
        (PositionSide::Long, _, false, _) => text!("buy", "\"tradeSide\":\"close\","),
        (PositionSide::Short, _, true, _) => text!("sell", "\"tradeSide\":\"open\","),
        (PositionSide::Short, _, false, _) => text!("sell", "\"tradeSide\":\"close\","),
    }
}

/// From the time in force to the price.
const fn force(time_in_force: TimeInForce) -> &'static [u8] {
    match time_in_force {
        TimeInForce::Gtc => b"gtc\",\"price\":\"",
        TimeInForce::Ioc => b"ioc\",\"price\":\"",
        TimeInForce::Fok => b"fok\",\"price\":\"",
        TimeInForce::PostOnly => b"post_only\",\"price\":\"",
    }
}
