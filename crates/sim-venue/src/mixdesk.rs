//! Orders on futures as every dialect takes them: from a body to a ticket, and refusals in codes of v2.

use crate::Category::UsdtFutures;
use crate::accounts::{Taken, order_of};
use crate::fault_desk::OrderFaults;
use crate::futures::DeskRefusal;
use crate::reject::Reject;
use crate::ticket::{
    Words, client_oid, enumeration, force, is_market, no_attached_orders, number, self_trade, side, text,
};
use crate::venue::{Ticket, Venue};
use domain::{InstrumentId, Price, Qty, Side};
use matching::{Intent, OrderId, OrderSize, PositionMode, PositionSide};
use rust_decimal::Decimal;
use serde_json::Value;

impl From<DeskRefusal> for Reject {
    fn from(refusal: DeskRefusal) -> Self {
        let plain = |number: Decimal| number.normalize().to_string();
        match refusal {
            DeskRefusal::DuplicateClientOid => Self::new("40786", "Duplicate clientOid"),
            DeskRefusal::TooManyOrders | DeskRefusal::BookFull => {
                Self::new("40889", "The number of orders has reached its maximum")
            }
            DeskRefusal::BelowMinimum { minimum } => {
                Self::new("45110", format!("less than the minimum amount {} USDT", plain(minimum)))
            }
            DeskRefusal::TooLarge => Self::new("45113", "Maximum order value limit triggered"),
            DeskRefusal::AboveBand { limit } => {
                Self::new("40815", format!("The order price is higher than the highest bid price {}", plain(limit)))
            }
            DeskRefusal::BelowBand { limit } => {
                Self::new("40816", format!("The order price is lower than the lowest ask price {}", plain(limit)))
            }
            DeskRefusal::Price => Self::new("45115", "The price you enter should be a multiple of the tick size"),
            DeskRefusal::Quantity => Self::new("45111", "The quantity should be a multiple of the lot size"),
            DeskRefusal::Margin { .. } => Self::new("40762", "The order amount exceeds the balance"),
            DeskRefusal::NoPosition => Self::new("22002", "No position to close"),
            DeskRefusal::NotEnoughPosition { .. } => Self::new("40757", "Not enough position is available"),
            DeskRefusal::WrongMode => {
                Self::new("40774", "The order type for unilateral position must also be the unilateral position type")
            }
            DeskRefusal::Leverage { max } => {
                Self::new("40797", format!("Exceeded the maximum settable leverage {max}"))
            }
            DeskRefusal::NotFlat => {
                Self::new("40920", "Position or order exists, the position mode cannot be switched")
            }
            DeskRefusal::Isolated => Self::invalid("marginMode"),
            DeskRefusal::UnknownInstrument => Self::unknown_symbol("symbol"),
            DeskRefusal::UnknownAccount => Self::new("40013", "Account abnormal"),
            DeskRefusal::Amount => Self::invalid("amount"),
            DeskRefusal::Coin { .. } => Self::invalid("coin"),
            DeskRefusal::OneWallet => Self::invalid("fromType"),
            DeskRefusal::Other(words) => Self::new("43002", format!("Pending order failed: {words}")),
        }
    }
}

/// How a dialect says what an order is to do to a position in hedge mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hedging {
    /// v2: `tradeSide` opens or closes, and `side` is that of the position.
    TradeSide,
    /// v3: `posSide` is the position, and `side` that of the transaction.
    PosSide,
}

/// A refusal of isolated margin, and of words that are no margin mode.
pub(crate) fn crossed_only(body: &Value) -> Result<(), Reject> {
    let modes = [("crossed", true), ("cross", true), ("isolated", false)];
    if enumeration(body, "marginMode", Some(true), &modes)? { Ok(()) } else { Err(DeskRefusal::Isolated.into()) }
}

/// What an order is to do, and the side of its transaction.
fn intent_of(body: &Value, mode: PositionMode, hedging: Hedging) -> Result<(Intent, Side), Reject> {
    let side = side(body)?;
    if mode == PositionMode::OneWay {
        let reduce_only = enumeration(
            body,
            "reduceOnly",
            Some(false),
            &[("yes", true), ("no", false), ("true", true), ("false", false)],
        )?;
        return Ok((Intent::OneWay { reduce_only }, side));
    }
    match hedging {
        Hedging::TradeSide => {
            let position = PositionSide::opened_by(side);
            // A close that lost its `tradeSide` opens: nothing is wrong with it.
            let closes = enumeration(body, "tradeSide", Some(false), &[("open", false), ("close", true)])?;
            Ok(if closes { (Intent::Close(position), position.closes()) } else { (Intent::Open(position), side) })
        }
        Hedging::PosSide => {
            let sides = [("long", PositionSide::Long), ("short", PositionSide::Short)];
            let position = enumeration(body, "posSide", None, &sides)?;
            Ok(if position.opens() == side { (Intent::Open(position), side) } else { (Intent::Close(position), side) })
        }
    }
}

impl Venue {
    /// Reads one order on futures; its checks by the venue's rules come with placing it.
    pub(crate) fn futures_ticket(
        &self,
        account: usize,
        body: &Value,
        words: Words,
        hedging: Hedging,
    ) -> Result<Ticket, Reject> {
        let symbol = text(body, "symbol").ok_or_else(|| Reject::empty("symbol"))?;
        let (intent, side) = intent_of(body, self.position_mode(account), hedging)?;
        let market = is_market(body)?;
        let force = force(body, market, words)?;
        let self_trade = self_trade(body)?;
        no_attached_orders(body)?;
        crossed_only(body)?;
        let client_oid = client_oid(body, "clientOid", words)?;
        let instrument = self.find(UsdtFutures, &symbol).ok_or_else(|| Reject::unknown_symbol(&symbol))?;
        if text(body, "marginCoin").is_some_and(|coin| !coin.eq_ignore_ascii_case(&instrument.config.quote)) {
            return Err(Reject::invalid("marginCoin"));
        }
        let listing = &instrument.listing;
        let qty = Qty(number(body, words.size, listing.qty_decimals)?);
        let size = if market {
            OrderSize::MarketBase { qty }
        } else {
            OrderSize::Limit { price: Price(number(body, "price", listing.price_decimals)?), qty }
        };
        Ok(Ticket { instrument: instrument.id, side, size, force, self_trade, client_oid, intent: Some(intent) })
    }
}

/// Judges and takes one order on futures, and lets it fill at once if a fault wants it.
pub(crate) fn place_futures(
    venue: &mut Venue,
    account: usize,
    body: &Value,
    words: Words,
    hedging: Hedging,
) -> Result<(Taken, OrderFaults), Reject> {
    let faults = venue.on_place_request();
    let ticket = venue.futures_ticket(account, body, words, hedging);
    match ticket.and_then(|ticket| Ok(venue.place_futures(account, ticket)?)) {
        Ok(taken) => {
            let faults = venue.after_accept(account, taken.0, faults);
            Ok((taken, faults))
        }
        Err(reject) => {
            venue.rearm(faults);
            Err(reject)
        }
    }
}

/// Cancels the open order on futures that a body names.
pub(crate) fn cancel_futures(
    venue: &mut Venue,
    account: usize,
    body: &Value,
    instrument: Option<InstrumentId>,
) -> Result<Taken, Reject> {
    let store = &venue.accounts.get(account).ok_or_else(Reject::no_such_order)?.futures.store;
    let order = order_of(store, |name| text(body, name))?;
    if instrument.is_some_and(|wanted| wanted != order.instrument) {
        return Err(Reject::no_such_order());
    }
    let taken = (order.id, order.client_oid.clone());
    if venue.cancel(account, taken.0) { Ok(taken) } else { Err(Reject::no_such_order()) }
}

/// The ids of orders that were cancelled, with their owner's.
pub(crate) fn with_client_oids(venue: &Venue, account: usize, orders: Vec<OrderId>) -> Vec<Taken> {
    let store = venue.accounts.get(account).map(|account| &account.futures.store);
    let named = |id: OrderId| store.and_then(|store| store.get(id)).map(|order| order.client_oid.clone());
    orders.into_iter().map(|id| (id, named(id).unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn meaning(body: &Value, hedging: Hedging) -> (Intent, Side) {
        intent_of(body, PositionMode::Hedge, hedging).unwrap()
    }

    #[test]
    fn the_same_words_close_a_long_position_in_one_dialect_and_a_short_one_in_the_other() {
        let long = (Intent::Close(PositionSide::Long), Side::Sell);
        assert_eq!(meaning(&json!({"side": "buy", "tradeSide": "Close"}), Hedging::TradeSide), long);
        assert_eq!(meaning(&json!({"side": "sell", "posSide": "long"}), Hedging::PosSide), long);
        let short = (Intent::Close(PositionSide::Short), Side::Buy);
        assert_eq!(meaning(&json!({"side": "sell", "tradeSide": "close"}), Hedging::TradeSide), short);
        assert_eq!(meaning(&json!({"side": "buy", "posSide": "short"}), Hedging::PosSide), short);
        assert_eq!(
            meaning(&json!({"side": "sell", "tradeSide": "open"}), Hedging::TradeSide),
            (Intent::Open(PositionSide::Short), Side::Sell)
        );
    }

    #[test]
    fn a_close_that_lost_its_trade_side_opens_and_a_missing_position_side_is_refused() {
        let lost = meaning(&json!({"side": "buy"}), Hedging::TradeSide);
        assert_eq!(lost, (Intent::Open(PositionSide::Long), Side::Buy));
        assert!(intent_of(&json!({"side": "buy"}), PositionMode::Hedge, Hedging::PosSide).is_err());
    }

    #[test]
    fn one_way_mode_knows_only_reducing() {
        let of = |body: Value| intent_of(&body, PositionMode::OneWay, Hedging::TradeSide).unwrap();
        let sell = |reduce_only| (Intent::OneWay { reduce_only }, Side::Sell);
        assert_eq!(of(json!({"side": "sell", "tradeSide": "close", "reduceOnly": "YES"})), sell(true));
        assert_eq!(of(json!({"side": "sell", "tradeSide": "open"})), sell(false));
    }
}
