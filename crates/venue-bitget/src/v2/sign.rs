//! Requests of the classic account.
//!
//! Facts: sheet sections 6.2 to 6.5.

use super::Classic;
use crate::symbols::{Product, venue_name};
use crate::write::{self, Json, PAGE_ROWS_TEXT, Query, plain, positive, post};
use domain::{Side, Symbol, TimeInForce, UnixNanos, VenueOrderId};
use messages::{PlaceOrder, SignIntent, SignRefusal};
use venue_api::{Credentials, Draft, HeaderSink, Method, SignatureEncoding, SigningCodec, append};

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
            let (product, name) = venue_name(symbol);
            match product {
                Product::Spot => post(draft, "/api/v2/spot/trade/cancel-order")?,
                Product::Futures => return Err(SignRefusal::Unsupported),
            }
            let mut body = Json::open(&mut draft.body)?;
            body.text("symbol", name)?;
            match venue_order_id {
                Some(venue_order_id) => body.text("orderId", venue_order_id)?,
                None => body.text("clientOid", id.as_str())?,
            }
            body.close()
        }
        SignIntent::CancelAll { symbol } => {
            let (product, name) = venue_name(symbol);
            match product {
                Product::Spot => post(draft, "/api/v2/spot/trade/cancel-symbol-order")?,
                Product::Futures => return Err(SignRefusal::Unsupported),
            }
            let mut body = Json::open(&mut draft.body)?;
            body.text("symbol", name)?;
            body.close()
        }
        SignIntent::QueryOrder { id, .. } => {
            Query::of(draft, "/api/v2/spot/trade/orderInfo")?.text("clientOid", id.as_str()).map(drop)
        }
        SignIntent::OpenOrders { symbol, older_than } => {
            list(draft, "/api/v2/spot/trade/unfilled-orders", symbol, None, older_than.as_ref())
        }
        SignIntent::OrderHistory { symbol, since, older_than } => {
            list(draft, "/api/v2/spot/trade/history-orders", symbol, Some(*since), older_than.as_ref())
        }
        SignIntent::Fills { symbol, since, older_than } => {
            list(draft, "/api/v2/spot/trade/fills", symbol, Some(*since), older_than.as_ref())
        }
        SignIntent::Balances => append(&mut draft.target, b"/api/v2/spot/account/assets"),
        SignIntent::KeyInfo => append(&mut draft.target, b"/api/v2/spot/account/info"),
        SignIntent::StreamLogin => Err(SignRefusal::Unsupported),
    }
}

/// A page of a list, keys in ascending order. Together with a start time the venue may ignore the cursor (sheet
/// section 6.1, query priority), so later pages go by the cursor alone and the reader of the answer drops what is
/// older than asked for.
fn list(
    draft: &mut Draft,
    path: &str,
    symbol: &Symbol,
    since: Option<UnixNanos>,
    older_than: Option<&VenueOrderId>,
) -> Result<(), SignRefusal> {
    Query::of(draft, path)?
        .optional("idLessThan", older_than.map(|id| id.as_str()))?
        .text("limit", PAGE_ROWS_TEXT)?
        .millis("startTime", since.filter(|_| older_than.is_none()))?
        .text("symbol", venue_name(symbol).1)
        .map(drop)
}

/// The way of every order: long pieces of text instead of single fields.
fn write_place(order: &PlaceOrder, draft: &mut Draft) -> Result<(), SignRefusal> {
    let (product, name) = venue_name(&order.symbol);
    if product == Product::Futures {
        return Err(SignRefusal::Unsupported);
    }
    post(draft, "/api/v2/spot/trade/place-order")?;
    let body = &mut draft.body;
    append(body, b"{\"symbol\":\"")?;
    plain(body, name)?;
    append(body, side(order.side))?;
    append(body, force(order.time_in_force))?;
    positive(body, order.price)?;
    append(body, b"\",\"size\":\"")?;
    positive(body, order.qty)?;
    append(body, b"\",\"clientOid\":\"")?;
    append(body, order.id.as_bytes())?;
    append(body, b"\"}")
}

/// From the symbol to the time in force.
const fn side(side: Side) -> &'static [u8] {
    match side {
        Side::Buy => b"\",\"side\":\"buy\",\"orderType\":\"limit\",\"force\":\"",
        Side::Sell => b"\",\"side\":\"sell\",\"orderType\":\"limit\",\"force\":\"",
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
