//! The order book of one instrument: orders by price, then by time.

use crate::{AccountId, OrderId};
use domain::{Price, Qty, Side};
use std::collections::{BTreeMap, VecDeque};

/// An order that waits in the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resting {
    /// The order.
    pub id: OrderId,
    /// Its owner.
    pub account: AccountId,
    /// Its side.
    pub side: Side,
    /// Its price.
    pub price: Price,
    /// What has not traded yet.
    pub remaining: Qty,
}

/// All orders at one price, oldest first, and their sum.
#[derive(Debug, Clone, Default)]
struct Level {
    total: i64,
    queue: VecDeque<OrderId>,
}

/// One price of the book and all that is offered there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// The price.
    pub price: Price,
    /// Sum of all orders at it.
    pub qty: Qty,
}

/// Resting orders of one instrument.
#[derive(Debug, Clone, Default)]
pub struct Book {
    bids: BTreeMap<Price, Level>,
    asks: BTreeMap<Price, Level>,
    orders: BTreeMap<OrderId, Resting>,
}

impl Book {
    /// Most orders that may rest on one instrument; a full venue refuses instead of growing.
    pub const ORDERS_MAX: usize = 100_000;

    /// Highest price somebody buys at.
    #[must_use]
    pub fn best_bid(&self) -> Option<Depth> {
        self.bids.last_key_value().map(depth)
    }

    /// Lowest price somebody sells at.
    #[must_use]
    pub fn best_ask(&self) -> Option<Depth> {
        self.asks.first_key_value().map(depth)
    }

    /// Prices of one side, best first.
    pub fn depth(&self, side: Side) -> Box<dyn Iterator<Item = Depth> + '_> {
        match side {
            Side::Buy => Box::new(self.bids.iter().rev().map(depth)),
            Side::Sell => Box::new(self.asks.iter().map(depth)),
        }
    }

    /// The order, while it rests.
    #[must_use]
    pub fn order(&self, id: OrderId) -> Option<&Resting> {
        self.orders.get(&id)
    }

    /// Resting orders, oldest id first.
    pub fn orders(&self) -> impl Iterator<Item = &Resting> + '_ {
        self.orders.values()
    }

    /// How many orders rest.
    #[must_use]
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether nothing rests.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    fn side(&self, side: Side) -> &BTreeMap<Price, Level> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<Price, Level> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// The order that an arriving order of `taker` would meet first.
    pub(crate) fn first_against(&self, taker: Side) -> Option<Resting> {
        let level = match taker {
            Side::Buy => self.asks.first_key_value(),
            Side::Sell => self.bids.last_key_value(),
        };
        level.and_then(|(_, level)| level.queue.front()).and_then(|id| self.orders.get(id)).copied()
    }

    /// Orders that an arriving order of `taker` would meet, in the order of meeting.
    pub(crate) fn against(&self, taker: Side) -> impl Iterator<Item = Resting> + '_ {
        let levels: Box<dyn Iterator<Item = &Level>> = match taker {
            Side::Buy => Box::new(self.asks.values()),
            Side::Sell => Box::new(self.bids.values().rev()),
        };
        levels.flat_map(|level| level.queue.iter()).filter_map(|id| self.orders.get(id)).copied()
    }

    /// Quantity that stands before `id` in the queue of its side: better prices, and earlier at its own.
    #[must_use]
    pub fn ahead_of(&self, id: OrderId) -> Option<Qty> {
        let order = self.orders.get(&id)?;
        let mut sum = 0_i64;
        for other in self.against(order.side.opposite()) {
            if other.id == id {
                return Some(Qty(sum));
            }
            sum = sum.saturating_add(other.remaining.0);
        }
        None
    }

    /// Puts an order at the end of its price's queue.
    pub(crate) fn insert(&mut self, order: Resting) {
        let level = self.side_mut(order.side).entry(order.price).or_default();
        level.total = level.total.saturating_add(order.remaining.0);
        level.queue.push_back(order.id);
        self.orders.insert(order.id, order);
    }

    /// Takes `qty` off an order without moving it; removes it when nothing remains.
    pub(crate) fn reduce(&mut self, id: OrderId, qty: Qty) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        let qty = qty.min(order.remaining);
        order.remaining = order.remaining.saturating_minus(qty);
        let order = *order;
        if order.remaining == Qty::ZERO {
            self.orders.remove(&id);
        }
        let side = self.side_mut(order.side);
        if let Some(level) = side.get_mut(&order.price) {
            level.total = level.total.saturating_sub(qty.0);
            if order.remaining == Qty::ZERO {
                if level.queue.front() == Some(&id) {
                    level.queue.pop_front();
                } else {
                    level.queue.retain(|queued| *queued != id);
                }
            }
            if level.queue.is_empty() {
                side.remove(&order.price);
            }
        }
    }

    /// Takes the order out; `None` if it does not rest.
    pub(crate) fn remove(&mut self, id: OrderId) -> Option<Resting> {
        let order = *self.orders.get(&id)?;
        self.reduce(id, order.remaining);
        Some(order)
    }

    /// Whether the levels say exactly what the orders say, and bid and ask do not cross.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let sums = |side: Side| {
            self.side(side).iter().all(|(price, level)| {
                let sum: i64 = level
                    .queue
                    .iter()
                    .filter_map(|id| self.orders.get(id))
                    .filter(|order| order.price == *price && order.side == side)
                    .map(|order| order.remaining.0)
                    .sum();
                sum == level.total && sum > 0
            })
        };
        let queued: usize = self.bids.values().chain(self.asks.values()).map(|level| level.queue.len()).sum();
        let uncrossed = match (self.best_bid(), self.best_ask()) {
            (Some(bid), Some(ask)) => bid.price < ask.price,
            _ => true,
        };
        sums(Side::Buy) && sums(Side::Sell) && queued == self.orders.len() && uncrossed
    }
}

fn depth((price, level): (&Price, &Level)) -> Depth {
    Depth { price: *price, qty: Qty(level.total) }
}
