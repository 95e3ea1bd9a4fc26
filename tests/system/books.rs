//! The exchange's books against the journal's, order by order and fill by fill.

use super::lab::{Exchange, Home, OPENING};
use super::spot::{Truth, VenueOrder};
use domain::{Asset, ClientOrderId, InstrumentVersion, Order, OrderState, Side, StrategyTag};
use journal::JournalReader;
use messages::{DifferenceKind, EventBody, HaltReason, TradingState};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// `risk.max_feed_age`, which the settings of the scenarios leave at its default.
const FEED_AGE_MAX: Duration = Duration::from_secs(2);

/// What a journal says in the end.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Every order, in its last state.
    pub(crate) orders: BTreeMap<ClientOrderId, Order>,
    /// Quantity in base by order and trade id.
    pub(crate) fills: BTreeMap<(ClientOrderId, String), Decimal>,
    /// What fills and fees moved.
    pub(crate) moved: BTreeMap<Asset, Decimal>,
    pub(crate) differences: Vec<(Option<ClientOrderId>, DifferenceKind)>,
    pub(crate) halts: Vec<Option<HaltReason>>,
    pub(crate) starts: usize,
    /// Orders that were ever in state Unknown.
    pub(crate) unknown_seen: BTreeSet<ClientOrderId>,
    /// How old the book was that each order was checked against; `None`: there was none.
    pub(crate) book_ages: Vec<Option<Duration>>,
    /// Intents refused because trading was halted.
    pub(crate) refused_while_halted: usize,
    pub(crate) versions: BTreeMap<u32, InstrumentVersion>,
}

impl Books {
    /// Reads the whole journal, its hash chain included.
    pub(crate) fn read(home: &Home) -> Self {
        let mut books = Self::default();
        JournalReader::open(&home.journal()).unwrap().replay(|event| books.take(&event.body)).unwrap();
        books
    }

    fn take(&mut self, body: &EventBody) {
        match body {
            EventBody::Started { .. } => self.starts += 1,
            EventBody::Instrument(version) => {
                self.versions.insert(version.version, *version);
            }
            EventBody::Placed { order, top, checked, .. } => {
                self.book_ages.push(top.map(|top| checked.since(top.received)));
                assert!(self.orders.insert(order.id, *order).is_none(), "{} was placed twice", order.id);
            }
            EventBody::Order { order, .. } => {
                if order.state == OrderState::Unknown {
                    self.unknown_seen.insert(order.id);
                }
                self.orders.insert(order.id, *order);
            }
            EventBody::Filled { fill, state, filled, .. } => {
                let version = self.versions[&fill.version];
                let (price, qty) = (version.price_decimal(fill.price), version.qty_decimal(fill.qty));
                let key = (fill.order, fill.trade_id.to_string());
                assert!(self.fills.insert(key, qty.normalize()).is_none(), "fill {} counted twice", fill.trade_id);
                let order = self.orders.get_mut(&fill.order).unwrap();
                (order.state, order.filled) = (*state, *filled);
                order.filled_by_fills = domain::Qty(order.filled_by_fills.0 + fill.qty.0);
                let (base, quote) = match fill.side {
                    Side::Buy => (qty, -price * qty),
                    Side::Sell => (-qty, price * qty),
                };
                for (asset, amount) in [("BTC", base), ("USDT", quote)] {
                    *self.moved.entry(Asset::from(asset).unwrap()).or_default() += amount;
                }
                *self.moved.entry(fill.fee.asset).or_default() -= fill.fee.amount.0;
            }
            EventBody::Refused { reason: messages::RefuseReason::Halted, .. } => self.refused_while_halted += 1,
            EventBody::Difference { order, kind, .. } => self.differences.push((*order, *kind)),
            EventBody::Trading { state: TradingState::Halted, halt, .. } => self.halts.push(*halt),
            _ => {}
        }
    }

    fn qty(&self, order: &Order, qty: domain::Qty) -> Decimal {
        self.versions[&order.version].qty_decimal(qty).normalize()
    }

    /// Fails unless exchange and journal agree on every order, every fill and every balance.
    ///
    /// The daemon must have ended, so that nothing is under way.
    pub(crate) fn agree(&self, truth: &Truth) {
        let mut by_client = BTreeMap::<ClientOrderId, &VenueOrder>::new();
        for order in truth.resting.iter().chain(&truth.ended) {
            let id = order.client_id.parse().unwrap_or_else(|_| panic!("{} is not ours", order.client_id));
            assert!(by_client.insert(id, order).is_none(), "{id} was accepted twice");
        }
        for (id, venue) in &by_client {
            let own = self.orders.get(id).unwrap_or_else(|| panic!("the exchange has {id}, the journal does not"));
            assert_ne!(own.strategy, StrategyTag(0), "{id} has lost its strategy: {own:?}");
            assert_eq!(own.venue_order_id.unwrap().as_str(), venue.venue_id, "{id}");
            assert_eq!(own.side.as_str(), venue.side, "{id}");
            assert_eq!(self.versions[&own.version].price_decimal(own.price).normalize(), venue.price, "{id}");
            assert_eq!(self.qty(own, own.qty), venue.qty, "{id}");
            let states: &[OrderState] = match venue.status.as_str() {
                "live" => &[OrderState::Acked],
                "partially_filled" => &[OrderState::PartlyFilled],
                "filled" => &[OrderState::Filled],
                "cancelled" => &[OrderState::Cancelled],
                other => panic!("{id}: {other}"),
            };
            assert!(states.contains(&own.state), "{id}: the exchange says {}, the journal {own:?}", venue.status);
            assert_eq!(self.qty(own, own.filled), venue.filled, "{id} filled: {own:?}");
            assert_eq!(own.filled, own.filled_by_fills, "{id}: fills are missing");
        }
        for (id, own) in self.orders.iter().filter(|(id, _)| !by_client.contains_key(id)) {
            let never = [OrderState::NotSent, OrderState::Refused, OrderState::Rejected];
            assert!(never.contains(&own.state), "{id} is {:?}, and the exchange does not have it", own.state);
        }
        let fills: BTreeMap<String, (String, Decimal)> = self
            .fills
            .iter()
            .map(|((order, trade), qty)| {
                (trade.clone(), (self.orders[order].venue_order_id.unwrap().to_string(), *qty))
            })
            .collect();
        assert_eq!(fills, truth.fills, "fills differ");
        for (asset, opening) in OPENING {
            let moved = self.moved.get(&Asset::from(asset).unwrap()).copied().unwrap_or_default();
            assert_eq!(truth.balances[asset] - Decimal::from(opening), moved, "{asset} does not add up");
        }
        assert!(
            !self.differences.iter().any(|(_, kind)| *kind == DifferenceKind::UnknownOwnOrder),
            "an own order was not on record: {:?}",
            self.differences
        );
        let fresh = |age: &Option<Duration>| age.is_some_and(|age| age <= FEED_AGE_MAX);
        assert!(self.book_ages.iter().all(fresh), "an order was placed on an old book: {:?}", self.book_ages);
    }

    fn never_halted(&self) {
        assert!(self.halts.is_empty(), "halted: {:?}, differences {:?}", self.halts, self.differences);
        assert_eq!(self.refused_while_halted, 0);
    }

    /// Fails when a strategy has more resting at one place than one order of it.
    pub(crate) fn nothing_doubled(&self, resting: &[VenueOrder]) {
        let one = Decimal::new(1, 3);
        let left = |order: &VenueOrder| order.qty - order.filled;
        let own = |order: &VenueOrder| &self.orders[&order.client_id.parse().unwrap()];
        let mut at = BTreeMap::<(StrategyTag, u32), Decimal>::new();
        for order in resting {
            let Order { strategy, reference, side, .. } = *own(order);
            if reference == 0 && (strategy == GRID || side == Side::Sell) {
                // Only the wire log knew it, and the wire log has no references: its price is its place.
                let beside = resting.iter().filter(|other| {
                    own(other).strategy == strategy && other.side == order.side && other.price == order.price
                });
                let qty: Decimal = beside.map(left).sum();
                assert!(qty <= one, "{strategy:?} has {qty} resting at {}: {resting:?}", order.price);
            } else {
                *at.entry((strategy, reference)).or_default() += left(order);
            }
        }
        for (place, qty) in &at {
            assert!(*qty <= one, "{place:?} has {qty} resting: {resting:?}");
        }
    }
}

/// The number of the strategy `grid`: the first by name.
pub(crate) const GRID: StrategyTag = StrategyTag(1);

/// Reads both books and compares them; nothing may have halted.
pub(crate) fn agree(exchange: &Exchange, home: &Home) -> (Books, Truth) {
    let (books, truth) = (Books::read(home), exchange.truth());
    books.agree(&truth);
    books.never_halted();
    (books, truth)
}
