//! Requests of the unified account.
//!
//! Facts: sheet section 9, and the venue's pages of `uta/trade` and `uta/account` (copies of 2026-09). A page of a
//! list is asked for with the same conditions as the first, and the cursor of the one before. The list of fills cannot
//! be narrowed to an instrument; the reader of the answer does that.

use super::Unified;
use crate::positions::position_mode_word;
use crate::symbols::{VenueMarket as _, venue_name};
use crate::write::{self, Json, PAGE_ROWS_TEXT, Query, hedge_opens, no_effect, plain, positive, post};
use domain::{Market, PositionSide, Side, TimeInForce, UnixNanos};
use messages::{PlaceOrder, SignIntent, SignRefusal};
use venue_api::{Credentials, Draft, HeaderSink, Method, SignatureEncoding, SigningCodec, append};

impl SigningCodec for Unified {
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
            post(draft, "/api/v3/trade/cancel-order")?;
            let mut body = Json::open(&mut draft.body)?;
            body.text("category", venue_name(symbol).0.word())?;
            match venue_order_id {
                Some(venue_order_id) => body.text("orderId", venue_order_id)?,
                None => body.text("clientOid", id.as_str())?,
            }
            body.close()
        }
        SignIntent::CancelAll { symbol } => {
            post(draft, "/api/v3/trade/cancel-symbol-order")?;
            let (market, name) = venue_name(symbol);
            let mut body = Json::open(&mut draft.body)?;
            body.text("category", market.word())?;
            body.text("symbol", name)?;
            body.close()
        }
        SignIntent::QueryOrder { id, .. } => {
            Query::of(draft, "/api/v3/trade/order-info")?.text("clientOid", id.as_str()).map(drop)
        }
        SignIntent::OpenOrders { symbol, older_than } => {
            let (market, name) = venue_name(symbol);
            Query::of(draft, "/api/v3/trade/unfilled-orders")?
                .text("category", market.word())?
                .optional("cursor", older_than.as_deref())?
                .text("limit", PAGE_ROWS_TEXT)?
                .text("symbol", name)
                .map(drop)
        }
        SignIntent::OrderHistory { symbol, since, older_than } => {
            let (market, name) = venue_name(symbol);
            Query::of(draft, "/api/v3/trade/history-orders")?
                .text("category", market.word())?
                .optional("cursor", older_than.as_deref())?
                .text("limit", PAGE_ROWS_TEXT)?
                .millis("startTime", Some(*since))?
                .text("symbol", name)
                .map(drop)
        }
        SignIntent::Fills { symbol, since, older_than } => Query::of(draft, "/api/v3/trade/fills")?
            .text("category", venue_name(symbol).0.word())?
            .optional("cursor", older_than.as_deref())?
            .text("limit", PAGE_ROWS_TEXT)?
            .millis("startTime", Some(*since))
            .map(drop),
        SignIntent::Positions => Query::of(draft, "/api/v3/position/current-position")?
            .text("category", Market::UsdtFutures.word())
            .map(drop),
        SignIntent::FuturesSettings { symbol } => match venue_name(symbol) {
            (Market::UsdtFutures, _) => append(&mut draft.target, b"/api/v3/account/settings"),
            (Market::Spot, _) => Err(SignRefusal::Unsupported),
        },
        SignIntent::Bills { since, older_than } => Query::of(draft, "/api/v3/account/financial-records")?
            .text("category", Market::UsdtFutures.word())?
            .optional("cursor", older_than.as_deref())?
            .text("limit", PAGE_ROWS_TEXT)?
            .millis("startTime", Some(*since))
            .map(drop),
        SignIntent::SetLeverage { symbol, leverage } => match venue_name(symbol) {
            (Market::UsdtFutures, name) => {
                post(draft, "/api/v3/account/set-leverage")?;
                let mut body = Json::open(&mut draft.body)?;
                body.text("category", Market::UsdtFutures.word())?;
                body.text("symbol", name)?;
                body.count("leverage", *leverage)?;
                body.close()
            }
            (Market::Spot, _) => Err(SignRefusal::Unsupported),
        },
        SignIntent::SetPositionMode { mode } => {
            post(draft, "/api/v3/account/set-hold-mode")?;
            let mut body = Json::open(&mut draft.body)?;
            body.text("holdMode", position_mode_word(*mode))?;
            body.close()
        }
        SignIntent::Balances => append(&mut draft.target, b"/api/v3/account/assets"),
        SignIntent::KeyInfo => append(&mut draft.target, b"/api/v3/account/info"),
        // There is one wallet.
        SignIntent::FuturesBalances | SignIntent::SetMarginMode { .. } | SignIntent::StreamLogin => {
            Err(SignRefusal::Unsupported)
        }
    }
}

/// The way of every order: long pieces of text instead of single fields.
fn write_place(order: &PlaceOrder, draft: &mut Draft) -> Result<(), SignRefusal> {
    let (market, name) = venue_name(&order.symbol);
    match market {
        Market::Spot => no_effect(order)?,
        Market::UsdtFutures => hedge_opens(order).map(drop)?,
    }
    post(draft, "/api/v3/trade/place-order")?;
    let body = &mut draft.body;
    append(body, category(market))?;
    plain(body, name)?;
    append(body, side(order.side))?;
    append(body, effect(order))?;
    append(body, force(order.time_in_force))?;
    positive(body, order.price)?;
    append(body, b"\",\"qty\":\"")?;
    positive(body, order.qty)?;
    append(body, b"\",\"clientOid\":\"")?;
    append(body, order.id.as_bytes())?;
    append(body, b"\"}")
}

/// Up to the symbol.
const fn category(market: Market) -> &'static [u8] {
    match market {
        Market::Spot => b"{\"category\":\"SPOT\",\"symbol\":\"",
        Market::UsdtFutures => b"{\"category\":\"USDT-FUTURES\",\"symbol\":\"",
    }
}

/// From the symbol to what follows the side.
const fn side(side: Side) -> &'static [u8] {
    match side {
        Side::Buy => b"\",\"side\":\"buy\",",
        Side::Sell => b"\",\"side\":\"sell\",",
    }
}

/// From the side to the time in force.
const fn effect(order: &PlaceOrder) -> &'static [u8] {
    match (order.effect.side, order.effect.reduce_only) {
        (PositionSide::Net, false) => b"\"orderType\":\"limit\",\"timeInForce\":\"",
        (PositionSide::Net, true) => b"\"reduceOnly\":\"yes\",\"orderType\":\"limit\",\"timeInForce\":\"",
        (PositionSide::Long, _) => b"\"posSide\":\"long\",\"orderType\":\"limit\",\"timeInForce\":\"",
        (PositionSide::Short, _) => b"\"posSide\":\"short\",\"orderType\":\"limit\",\"timeInForce\":\"",
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
