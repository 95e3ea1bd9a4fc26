//! The venue's memory of an account's orders and fills, and its words for what they are.

use crate::depth::{price_text, qty_text};
use crate::records::{FillFutures, OrderFutures};
use domain::{Asset, InstrumentId, Price, Qty, Side, TimeInForce};
use matching::{Atoms, CancelReason, Listing, OrderId, SelfTrade};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Where an order stands at the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// Rests, nothing traded yet.
    Live,
    /// Rests, a part has traded.
    PartiallyFilled,
    /// All of it has traded.
    Filled,
    /// Ended before all of it traded.
    Cancelled,
}

impl OrderStatus {
    /// The venue's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::PartiallyFilled => "partially_filled",
            Self::Filled => "filled",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it still rests.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Live | Self::PartiallyFilled)
    }
}

/// One order as the venue remembers it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) client_oid: String,
    pub(crate) instrument: InstrumentId,
    pub(crate) side: Side,
    pub(crate) force: TimeInForce,
    pub(crate) self_trade: SelfTrade,
    /// `None` for market orders.
    pub(crate) price: Option<Price>,
    /// Base asked for; zero for a market buy, which is sized in quote.
    pub(crate) qty: Qty,
    /// Quote to spend, of a market buy.
    pub(crate) budget: Option<Atoms>,
    pub(crate) filled: Qty,
    pub(crate) filled_quote: Atoms,
    pub(crate) fee: Atoms,
    pub(crate) fee_asset: Asset,
    pub(crate) status: OrderStatus,
    pub(crate) cancel_reason: Option<CancelReason>,
    pub(crate) created_ms: u64,
    pub(crate) updated_ms: u64,
    /// `None` on spot.
    pub(crate) futures: Option<OrderFutures>,
}

/// One fill as the venue remembers it.
#[derive(Debug, Clone)]
pub(crate) struct Fill {
    pub(crate) trade_id: u64,
    pub(crate) order: OrderId,
    pub(crate) client_oid: String,
    pub(crate) instrument: InstrumentId,
    pub(crate) market_order: bool,
    pub(crate) side: Side,
    pub(crate) price: Price,
    pub(crate) qty: Qty,
    pub(crate) notional: Atoms,
    pub(crate) fee: Atoms,
    pub(crate) fee_asset: Asset,
    pub(crate) maker: bool,
    pub(crate) at_ms: u64,
    /// `None` on spot.
    pub(crate) futures: Option<FillFutures>,
}

/// How an order or fill looks from its instrument.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) listing: &'a Listing,
    pub(crate) user: u64,
}

/// A number with at least sixteen decimals, as the venue pads some of its answers.
pub(crate) fn padded(text: &str) -> String {
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let zeros = "0".repeat(16_usize.saturating_sub(decimals));
    if text.contains('.') { format!("{text}{zeros}") } else { format!("{text}.{zeros}") }
}

/// Why an order ended, in the venue's words.
pub(crate) const fn cancel_words(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::Requested => "normal_cancel",
        CancelReason::Unfilled => "ioc_not_full_cancelled",
        CancelReason::NotFillable => "fok_not_full_cancelled",
        CancelReason::WouldTake => "post_only_as_taker_cancelled",
        CancelReason::SelfTrade => "stp_cancelled",
        CancelReason::ReduceOnly => "reduce_only_cancelled",
        CancelReason::Margin => "insufficient_margin_cancelled",
        CancelReason::Liquidation => "liquidation_cancelled",
    }
}

/// The venue's word for a self-trade policy.
pub(crate) const fn self_trade_words(policy: SelfTrade) -> &'static str {
    match policy {
        SelfTrade::Allow => "none",
        SelfTrade::CancelTaker => "cancel_taker",
        SelfTrade::CancelMaker => "cancel_maker",
        SelfTrade::CancelBoth => "cancel_both",
    }
}

/// The venue's word for a time in force.
pub(crate) const fn force_words(force: TimeInForce) -> &'static str {
    match force {
        TimeInForce::Gtc => "gtc",
        TimeInForce::Ioc => "ioc",
        TimeInForce::Fok => "fok",
        TimeInForce::PostOnly => "post_only",
    }
}

/// `market` or `limit`.
pub(crate) const fn kind_words(market: bool) -> &'static str {
    if market { "market" } else { "limit" }
}

impl Order {
    /// Base asked for, or the quote a market buy spends.
    pub(crate) fn size_text(&self, listing: &Listing) -> String {
        self.budget.map_or_else(|| qty_text(self.qty, listing).to_string(), |budget| budget.to_string())
    }

    /// The limit price; `0` for market orders.
    pub(crate) fn price_words(&self, listing: &Listing) -> String {
        self.price.map_or_else(|| "0".into(), |price| price_text(price, listing).to_string())
    }

    /// Average price of what has traded; `0` before.
    pub(crate) fn average(&self, listing: &Listing) -> String {
        let base = Atoms::from_mantissa(i128::from(self.filled.0), u32::from(listing.qty_decimals));
        let parts = base.and_then(Atoms::to_decimal).zip(self.filled_quote.to_decimal());
        let average = parts.and_then(|(base, quote)| quote.checked_div(base)).unwrap_or(Decimal::ZERO);
        average.round_dp(16).normalize().to_string()
    }
}

/// Orders and fills of one account; what has ended is kept up to a bound.
#[derive(Debug, Default)]
pub(crate) struct OrderStore {
    orders: BTreeMap<OrderId, Order>,
    /// The latest order of each client order id; open ones are unique.
    by_client_oid: BTreeMap<String, OrderId>,
    open: BTreeSet<OrderId>,
    ended: VecDeque<OrderId>,
    fills: VecDeque<Fill>,
}

impl OrderStore {
    /// Ended orders remembered.
    pub(crate) const ENDED_MAX: usize = 10_000;
    /// Fills remembered.
    pub(crate) const FILLS_MAX: usize = 10_000;

    pub(crate) fn insert(&mut self, order: Order) {
        self.by_client_oid.insert(order.client_oid.clone(), order.id);
        self.open.insert(order.id);
        self.orders.insert(order.id, order);
    }

    pub(crate) fn get(&self, id: OrderId) -> Option<&Order> {
        self.orders.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: OrderId) -> Option<&mut Order> {
        self.orders.get_mut(&id)
    }

    pub(crate) fn by_client_oid(&self, client_oid: &str) -> Option<&Order> {
        self.by_client_oid.get(client_oid).and_then(|id| self.orders.get(id))
    }

    /// Newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Order> + '_ {
        self.orders.values().rev()
    }

    /// Orders that have not ended, newest first.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Order> + '_ {
        self.open.iter().rev().filter_map(|id| self.orders.get(id))
    }

    pub(crate) fn open_count(&self, instrument: InstrumentId) -> usize {
        self.open().filter(|order| order.instrument == instrument).count()
    }

    /// Notes that an order has ended; forgets the oldest one beyond the bound.
    pub(crate) fn ended(&mut self, id: OrderId) {
        self.open.remove(&id);
        self.ended.push_back(id);
        while self.ended.len() > Self::ENDED_MAX {
            let Some(order) = self.ended.pop_front().and_then(|oldest| self.orders.remove(&oldest)) else { continue };
            if self.by_client_oid.get(&order.client_oid) == Some(&order.id) {
                self.by_client_oid.remove(&order.client_oid);
            }
        }
    }

    pub(crate) fn add_fill(&mut self, fill: Fill) {
        if self.fills.len() >= Self::FILLS_MAX {
            self.fills.pop_front();
        }
        self.fills.push_back(fill);
    }

    /// Newest first.
    pub(crate) fn fills(&self) -> impl Iterator<Item = &Fill> + '_ {
        self.fills.iter().rev()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn order(id: u64, client_oid: &str) -> Order {
        Order {
            id: OrderId(id),
            client_oid: client_oid.into(),
            instrument: InstrumentId(0),
            side: Side::Buy,
            force: TimeInForce::Gtc,
            self_trade: SelfTrade::Allow,
            price: Some(Price(6_000_000)),
            qty: Qty(1_000),
            budget: None,
            filled: Qty(400),
            filled_quote: Atoms::from_decimal("24".parse().unwrap()).unwrap(),
            fee: Atoms::from_decimal("0.0000004".parse().unwrap()).unwrap(),
            fee_asset: Asset::from("BTC").unwrap(),
            status: OrderStatus::PartiallyFilled,
            cancel_reason: None,
            created_ms: 1,
            updated_ms: 2,
            futures: None,
        }
    }

    #[test]
    fn ended_orders_are_forgotten_beyond_the_bound_and_a_reused_client_id_is_kept() {
        let mut store = OrderStore::default();
        store.insert(order(1, "reused"));
        store.ended(OrderId(1));
        store.insert(order(2, "reused"));
        for id in 3..10_010 {
            store.insert(order(id, &format!("c{id}")));
            store.ended(OrderId(id));
        }
        assert!(store.get(OrderId(1)).is_none());
        assert_eq!(store.by_client_oid("reused").unwrap().id, OrderId(2));
        assert_eq!(store.newest_first().count(), OrderStore::ENDED_MAX + 1);
    }
}
