//! Requests of the unified account.
//!
//! Facts: sheet section 9, and the venue's pages of `uta/trade` and `uta/account` (copies of 2026-09). A page of a
//! list is asked for with the same conditions as the first, and the cursor of the one before. The list of fills cannot
//! be narrowed to an instrument; the reader of the answer does that.

use super::Unified;
use crate::symbols::{Product, venue_name};
use crate::write::{self, Json, PAGE_ROWS_TEXT, Query, plain, positive, post};
use domain::{Side, TimeInForce, UnixNanos};
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
            let (product, name) = venue_name(symbol);
            let mut body = Json::open(&mut draft.body)?;
            body.text("category", product.word())?;
            body.text("symbol", name)?;
            body.close()
        }
        SignIntent::QueryOrder { id, .. } => {
            Query::of(draft, "/api/v3/trade/order-info")?.text("clientOid", id.as_str()).map(drop)
        }
        SignIntent::OpenOrders { symbol, older_than } => {
            let (product, name) = venue_name(symbol);
            Query::of(draft, "/api/v3/trade/unfilled-orders")?
                .text("category", product.word())?
                .optional("cursor", older_than.as_deref())?
                .text("limit", PAGE_ROWS_TEXT)?
                .text("symbol", name)
                .map(drop)
        }
        SignIntent::OrderHistory { symbol, since, older_than } => {
            let (product, name) = venue_name(symbol);
            Query::of(draft, "/api/v3/trade/history-orders")?
                .text("category", product.word())?
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
        SignIntent::Balances => append(&mut draft.target, b"/api/v3/account/assets"),
        SignIntent::KeyInfo => append(&mut draft.target, b"/api/v3/account/info"),
        SignIntent::StreamLogin => Err(SignRefusal::Unsupported),
    }
}

/// The way of every order: long pieces of text instead of single fields.
fn write_place(order: &PlaceOrder, draft: &mut Draft) -> Result<(), SignRefusal> {
    post(draft, "/api/v3/trade/place-order")?;
    let (product, name) = venue_name(&order.symbol);
    let body = &mut draft.body;
    append(body, category(product))?;
    plain(body, name)?;
    append(body, side(order.side))?;
    append(body, force(order.time_in_force))?;
    positive(body, order.price)?;
    append(body, b"\",\"qty\":\"")?;
    positive(body, order.qty)?;
    append(body, b"\",\"clientOid\":\"")?;
    append(body, order.id.as_bytes())?;
    append(body, b"\"}")
}

/// Up to the symbol.
const fn category(product: Product) -> &'static [u8] {
    match product {
        Product::Spot => b"{\"category\":\"SPOT\",\"symbol\":\"",
        Product::Futures => b"{\"category\":\"USDT-FUTURES\",\"symbol\":\"",
    }
}

/// From the symbol to the time in force.
const fn side(side: Side) -> &'static [u8] {
    match side {
        Side::Buy => b"\",\"side\":\"buy\",\"orderType\":\"limit\",\"timeInForce\":\"",
        Side::Sell => b"\",\"side\":\"sell\",\"orderType\":\"limit\",\"timeInForce\":\"",
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
