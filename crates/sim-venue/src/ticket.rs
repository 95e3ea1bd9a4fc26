//! From the body of a place request to an order: every check of parameters and of the venue's rules.

use crate::reject::Reject;
use crate::venue::{Instrument, Ticket, Venue};
use domain::{Price, Qty, Scaled, Side, TimeInForce};
use matching::{Atoms, OrderSize, SelfTrade};
use rust_decimal::Decimal;
use serde_json::Value;

/// A member of a JSON object as text; numbers are taken like texts, empty texts like absent ones.
pub(crate) fn text(body: &Value, name: &str) -> Option<String> {
    match body.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

/// A member that must be there.
pub(crate) fn required(body: &Value, name: &str) -> Result<String, Reject> {
    text(body, name).ok_or_else(|| Reject::empty(name))
}

/// Open orders of one account and instrument.
pub(crate) const OPEN_ORDERS_MAX: usize = 200;
/// How far a limit price may be beyond the market, in hundredths.
const PRICE_BAND_PERCENT: i64 = 5;

/// How far a limit price may be beyond the market, as the instrument lists show it.
pub(crate) fn price_band() -> String {
    format!("0.{PRICE_BAND_PERCENT:02}")
}

/// What a dialect calls the members of an order, and which characters its client order ids may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    pub(crate) size: &'static str,
    /// The time in force; left out, an order is good till cancelled.
    pub(crate) force: &'static str,
    /// Characters of a client order id beside letters and digits.
    pub(crate) oid_marks: &'static str,
}

/// v2.
pub(crate) const V2: Words = Words { size: "size", force: "force", oid_marks: "_:#-+" };
/// v3.
pub(crate) const V3: Words = Words { size: "qty", force: "timeInForce", oid_marks: "_:#-+./" };

/// Characters of a client order id.
const CLIENT_OID_MAX: usize = 32;
/// Decimals of the quote a market buy spends.
const QUOTE_DECIMALS: u8 = 8;
/// Longest window a request may ask for, in milliseconds.
const RECEIVE_WINDOW_MAX_MS: u64 = 60_000;

/// The client order id of a body, under one name or another.
pub(crate) fn client_oid(body: &Value, name: &str, words: Words) -> Result<Option<String>, Reject> {
    let Some(id) = text(body, name) else { return Ok(None) };
    if id.len() > CLIENT_OID_MAX {
        return Err(Reject::new(
            "40304",
            format!("clientOid or clientOrderId length must not be greater than {CLIENT_OID_MAX}"),
        ));
    }
    if id.bytes().all(|byte| byte.is_ascii_alphanumeric() || words.oid_marks.as_bytes().contains(&byte)) {
        return Ok(Some(id));
    }
    Err(Reject::new("40305", "client_oid length is not greater than 32, and cannot be Martian characters"))
}

/// A word of a closed set, in either case.
pub(crate) fn enumeration<T: Copy>(
    body: &Value,
    name: &str,
    default: Option<T>,
    all: &[(&str, T)],
) -> Result<T, Reject> {
    let Some(given) = text(body, name) else { return default.ok_or_else(|| Reject::empty(name)) };
    let found = all.iter().find(|(word, _)| given.eq_ignore_ascii_case(word)).map(|(_, value)| *value);
    found.ok_or_else(|| Reject::invalid(name))
}

/// A positive number as a mantissa of `decimals` decimals, exact.
pub(crate) fn number(body: &Value, name: &str, decimals: u8) -> Result<i64, Reject> {
    let given = required(body, name)?;
    let scaled = Scaled::parse(given.as_bytes()).map_err(|_| Reject::invalid(name))?;
    let mantissa = scaled.rescaled(decimals).map_err(|_| Reject::too_precise(name, &given, decimals))?;
    if mantissa <= 0 { Err(Reject::invalid(name)) } else { Ok(mantissa) }
}

/// The side of a body.
pub(crate) fn side(body: &Value) -> Result<Side, Reject> {
    enumeration(body, "side", None, &[("buy", Side::Buy), ("sell", Side::Sell)])
}

/// Whether a body asks for a market order.
pub(crate) fn is_market(body: &Value) -> Result<bool, Reject> {
    enumeration(body, "orderType", None, &[("limit", false), ("market", true)])
}

/// The time in force of a body; market orders have none.
pub(crate) fn force(body: &Value, market: bool, words: Words) -> Result<TimeInForce, Reject> {
    let forces = [
        ("gtc", TimeInForce::Gtc),
        ("ioc", TimeInForce::Ioc),
        ("fok", TimeInForce::Fok),
        ("post_only", TimeInForce::PostOnly),
    ];
    if market {
        return Ok(TimeInForce::Gtc);
    }
    enumeration(body, words.force, Some(TimeInForce::Gtc), &forces)
}

/// What a body wants against its own orders.
pub(crate) fn self_trade(body: &Value) -> Result<SelfTrade, Reject> {
    let policies = [
        ("none", SelfTrade::Allow),
        ("cancel_taker", SelfTrade::CancelTaker),
        ("cancel_maker", SelfTrade::CancelMaker),
        ("cancel_both", SelfTrade::CancelBoth),
    ];
    enumeration(body, "stpMode", Some(SelfTrade::Allow), &policies)
}

/// Orders that wait for a trigger are not offered, alone or attached.
pub(crate) fn no_attached_orders(body: &Value) -> Result<(), Reject> {
    let names = [
        "triggerPrice",
        "presetTakeProfitPrice",
        "presetStopLossPrice",
        "presetStopSurplusPrice",
        "takeProfit",
        "stopLoss",
    ];
    match names.into_iter().find(|name| text(body, name).is_some_and(|value| value != "0")) {
        Some(name) => Err(Reject::invalid(name)),
        None => Ok(()),
    }
}

impl Venue {
    /// Whether a body that names its time and a window is within it.
    pub(crate) fn within_window(&self, body: &Value) -> Result<(), Reject> {
        let (Some(sent), Some(window)) = (text(body, "requestTime"), text(body, "receiveWindow")) else {
            return Ok(());
        };
        let sent: u64 = sent.parse().map_err(|_| Reject::invalid("requestTime"))?;
        let window: u64 = window.parse().map_err(|_| Reject::invalid("receiveWindow"))?;
        if window > RECEIVE_WINDOW_MAX_MS {
            return Err(Reject::new("40079", "receiveWindow must be less than 60s"));
        }
        if sent.abs_diff(self.now_ms()) > window {
            return Err(Reject::new("40078", "The request time is outside of receiveWindow"));
        }
        Ok(())
    }

    /// Reads and checks one spot order; `symbol` stands in for a missing one.
    pub(crate) fn ticket(
        &self,
        account: usize,
        body: &Value,
        symbol: Option<&str>,
        words: Words,
    ) -> Result<Ticket, Reject> {
        let symbol =
            text(body, "symbol").or_else(|| symbol.map(str::to_owned)).ok_or_else(|| Reject::empty("symbol"))?;
        let side = side(body)?;
        let market = is_market(body)?;
        let force = force(body, market, words)?;
        let self_trade = self_trade(body)?;
        enumeration(body, "tpslType", Some(()), &[("normal", ())])?;
        no_attached_orders(body)?;
        let client_oid = client_oid(body, "clientOid", words)?;
        self.within_window(body)?;
        let instrument = self.instrument(&symbol).ok_or_else(|| Reject::unknown_symbol(&symbol))?;
        let size = self.size(instrument, body, side, market, words)?;
        if let Some(store) = self.accounts.get(account).map(|account| &account.store) {
            let open = client_oid
                .as_deref()
                .and_then(|id| store.by_client_oid(id))
                .is_some_and(|order| order.status.is_open());
            if open {
                return Err(Reject::new("40786", "Duplicate clientOid"));
            }
            if store.open_count(instrument.id) >= OPEN_ORDERS_MAX {
                return Err(Reject::new("43005", "Exceed the maximum number of orders"));
            }
        }
        Ok(Ticket { instrument: instrument.id, side, size, force, self_trade, client_oid, intent: None })
    }

    fn size(
        &self,
        instrument: &Instrument,
        body: &Value,
        side: Side,
        market: bool,
        words: Words,
    ) -> Result<OrderSize, Reject> {
        let listing = &instrument.listing;
        if market && side == Side::Buy {
            let mantissa = number(body, words.size, QUOTE_DECIMALS)?;
            let budget = Atoms::from_mantissa(i128::from(mantissa), u32::from(QUOTE_DECIMALS));
            let budget = budget.ok_or_else(|| Reject::invalid(words.size))?;
            above_minimum(instrument, budget)?;
            return Ok(OrderSize::MarketQuote { budget });
        }
        let qty = Qty(number(body, words.size, listing.qty_decimals)?);
        if market {
            let best = self.engine.book(instrument.id).and_then(matching::Book::best_bid);
            if let Some(value) = best.and_then(|best| listing.notional(best.price, qty)) {
                above_minimum(instrument, value)?;
            }
            return Ok(OrderSize::MarketBase { qty });
        }
        let price = Price(number(body, "price", listing.price_decimals)?);
        let value =
            listing.notional(price, qty).ok_or_else(|| Reject::new("45113", "More than the maximum order amount"))?;
        above_minimum(instrument, value)?;
        self.within_band(instrument, side, price)?;
        Ok(OrderSize::Limit { price, qty })
    }

    fn within_band(&self, instrument: &Instrument, side: Side, price: Price) -> Result<(), Reject> {
        let Some(mid) = self.mid(instrument.id) else { return Ok(()) };
        let price = Decimal::new(price.0, u32::from(instrument.listing.price_decimals));
        let band = Decimal::new(PRICE_BAND_PERCENT, 2);
        match side {
            Side::Buy if price > mid * (Decimal::ONE + band) => Err(Reject::new(
                "43008",
                format!("The current order price cannot be higher than {}", mid * (Decimal::ONE + band)),
            )),
            Side::Sell if price < mid * (Decimal::ONE - band) => Err(Reject::new(
                "43009",
                format!("The current order price cannot be lower than {}", mid * (Decimal::ONE - band)),
            )),
            _ => Ok(()),
        }
    }
}

fn above_minimum(instrument: &Instrument, value: Atoms) -> Result<(), Reject> {
    let minimum = Atoms::from_decimal(instrument.config.min_notional).unwrap_or_default();
    if value >= minimum {
        return Ok(());
    }
    let (amount, coin) = (instrument.config.min_notional, instrument.config.quote);
    Err(Reject::new("45110", format!("less than the minimum amount {amount} {coin}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn client_order_ids_follow_the_venues_alphabet_and_length() {
        let code = |id: &str| client_oid(&json!({ "clientOid": id }), "clientOid", V2).map_err(|reject| reject.code);
        assert_eq!(code("s0a1:#-+_Z"), Ok(Some("s0a1:#-+_Z".into())));
        assert_eq!(code(&"a".repeat(32)), Ok(Some("a".repeat(32))));
        assert_eq!(code(&"a".repeat(33)), Err("40304"));
        for bad in ["with blank", "ümlaut", "dot.", "semi;"] {
            assert_eq!(code(bad), Err("40305"), "{bad}");
        }
        assert_eq!(client_oid(&json!({}), "clientOid", V2), Ok(None));
    }

    #[test]
    fn numbers_are_positive_plain_and_within_the_decimals() {
        let code = |value: Value| number(&json!({ "size": value }), "size", 3).map_err(|reject| reject.code);
        assert_eq!(code(json!("1.250")), Ok(1_250));
        assert_eq!(code(json!(2)), Ok(2_000));
        assert_eq!(code(json!("1.2505")), Err("40808"));
        for bad in ["0", "-1", "1e3", "abc", "NaN"] {
            assert_eq!(code(json!(bad)), Err("40017"), "{bad}");
        }
        assert_eq!(code(json!("")), Err("40019"));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

        #[test]
        fn an_order_is_taken_whole_or_rejected_with_a_code_and_nothing_changes(
            price in "[0-9.eE+-]{0,24}", size in "[0-9.eE+-]{0,24}", id in ".{0,40}", market in proptest::bool::ANY, buy in proptest::bool::ANY,
        ) {
            let (_, mut venue) = crate::desk::tests::venue(crate::Market::Seeded);
            let body = json!({
                "symbol": "BTCUSDT", "side": if buy { "buy" } else { "sell" }, "force": "gtc",
                "orderType": if market { "market" } else { "limit" }, "price": price, "size": size, "clientOid": id,
            });
            let before = venue.balances(0);
            match venue.ticket(0, &body, None, V2).map(|ticket| venue.place(0, ticket)) {
                Ok(Ok((id, _))) => proptest::prop_assert!(venue.accounts.first().is_some_and(|account| account.store.get(id).is_some())),
                Ok(Err(_)) => proptest::prop_assert_eq!(venue.balances(0), before),
                Err(reject) => {
                    proptest::prop_assert!(!reject.message.is_empty() && reject.status == 400);
                    proptest::prop_assert_eq!(venue.balances(0), before);
                }
            }
        }
    }
}
