//! What the exchange says of both markets, asked in either dialect, against what the journal says.

use super::http;
use super::lab::{Exchange, Home, PERPETUAL, SYMBOL};
use domain::{ClientOrderId, InstrumentId, InstrumentVersion, Order, OrderState, Side};
use journal::JournalReader;
use messages::{DifferenceKind, EventBody};
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// `risk.max_feed_age`, which the settings leave at its default.
const FEED_AGE_MAX: Duration = Duration::from_secs(2);
/// Rows of one page.
const PAGE: usize = 100;

/// How the exchange keeps the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Classic,
    Unified,
}

/// An order as the exchange tells it.
#[derive(Debug, Clone)]
pub(crate) struct VenueOrder {
    pub(crate) client_id: String,
    pub(crate) qty: Decimal,
    pub(crate) filled: Decimal,
    pub(crate) status: String,
    pub(crate) perpetual: bool,
}

/// A fill as the exchange tells it.
#[derive(Debug, Clone)]
pub(crate) struct VenueFill {
    pub(crate) qty: Decimal,
    pub(crate) perpetual: bool,
}

/// All that the exchange knows of the account.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) resting: Vec<VenueOrder>,
    pub(crate) ended: Vec<VenueOrder>,
    /// By trade id.
    pub(crate) fills: BTreeMap<String, VenueFill>,
    /// Of the perpetual future, short below zero.
    pub(crate) position: Decimal,
}

fn number(row: &Value, name: &str) -> Decimal {
    let text = row[name].as_str().unwrap_or_else(|| panic!("no {name} in {row}"));
    if text.is_empty() { Decimal::ZERO } else { text.parse::<Decimal>().unwrap().normalize() }
}

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap_or_else(|| panic!("no {name} in {row}")).to_owned()
}

/// The rows of a page: a bare list, or one inside an object.
fn rows(data: Value) -> Vec<Value> {
    let list = ["list", "entrustedList", "fillList"].into_iter().find_map(|name| data.get(name).cloned());
    match list.unwrap_or(data) {
        Value::Array(rows) => rows,
        Value::Null => Vec::new(),
        other => panic!("no list: {other}"),
    }
}

impl Mode {
    /// The word of `sim --account`.
    pub(crate) const fn option(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Unified => "uta",
        }
    }

    /// Everything that the account holder can read of both markets.
    pub(crate) fn truth(self, exchange: &Exchange) -> Truth {
        let mut truth =
            Truth { resting: Vec::new(), ended: Vec::new(), fills: BTreeMap::new(), position: Decimal::ZERO };
        for perpetual in [false, true] {
            truth.resting.extend(self.orders(exchange, perpetual, true));
            truth.ended.extend(self.orders(exchange, perpetual, false));
            let (trade, qty) = match (self, perpetual) {
                (Self::Unified, _) => ("execId", "execQty"),
                (Self::Classic, false) => ("tradeId", "size"),
                (Self::Classic, true) => ("tradeId", "baseVolume"),
            };
            for row in self.pages(exchange, self.list("fills", perpetual), trade) {
                truth.fills.insert(text(&row, trade), VenueFill { qty: number(&row, qty), perpetual });
            }
        }
        truth.position = self.position(exchange);
        truth
    }

    /// Path of a list, with what selects the market.
    fn list(self, what: &str, perpetual: bool) -> String {
        let market = if perpetual { "USDT-FUTURES" } else { "SPOT" };
        match (self, perpetual, what) {
            (Self::Unified, _, "resting") => format!("/api/v3/trade/unfilled-orders?category={market}"),
            (Self::Unified, _, "ended") => format!("/api/v3/trade/history-orders?category={market}"),
            (Self::Unified, ..) => format!("/api/v3/trade/fills?category={market}"),
            (Self::Classic, false, "resting") => format!("/api/v2/spot/trade/unfilled-orders?symbol={SYMBOL}"),
            (Self::Classic, false, "ended") => format!("/api/v2/spot/trade/history-orders?symbol={SYMBOL}"),
            (Self::Classic, false, _) => format!("/api/v2/spot/trade/fills?symbol={SYMBOL}"),
            (Self::Classic, true, "resting") => format!("/api/v2/mix/order/orders-pending?productType={market}"),
            (Self::Classic, true, "ended") => format!("/api/v2/mix/order/orders-history?productType={market}"),
            (Self::Classic, true, _) => format!("/api/v2/mix/order/fills?productType={market}"),
        }
    }

    /// All rows of a list, page by page.
    fn pages(self, exchange: &Exchange, target: String, id: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        let mut cursor = String::new();
        loop {
            let data = http::signed(&exchange.rest, &exchange.account, &format!("{target}&limit={PAGE}{cursor}"));
            let told = data.get("cursor").and_then(Value::as_str).unwrap_or_default().to_owned();
            let page = rows(data);
            let full = page.len() == PAGE;
            all.extend(page);
            if !full {
                return all;
            }
            cursor = match self {
                Self::Unified => format!("&cursor={told}"),
                Self::Classic => format!("&idLessThan={}", text(all.last().unwrap(), id)),
            };
        }
    }

    fn orders(self, exchange: &Exchange, perpetual: bool, resting: bool) -> Vec<VenueOrder> {
        let target = self.list(if resting { "resting" } else { "ended" }, perpetual);
        let (qty, filled, status) = match self {
            Self::Unified => ("qty", "cumExecQty", "orderStatus"),
            Self::Classic => ("size", "baseVolume", "status"),
        };
        let order = |row: &Value| VenueOrder {
            client_id: text(row, "clientOid"),
            qty: number(row, qty),
            filled: number(row, filled),
            status: text(row, status).replace("canceled", "cancelled"),
            perpetual,
        };
        self.pages(exchange, target, "orderId").iter().map(order).collect()
    }

    fn position(self, exchange: &Exchange) -> Decimal {
        let target = match self {
            Self::Unified => "/api/v3/position/current-position?category=USDT-FUTURES",
            Self::Classic => "/api/v2/mix/position/all-position?marginCoin=USDT&productType=USDT-FUTURES",
        };
        let side = if self == Self::Unified { "posSide" } else { "holdSide" };
        let signed = |row: &Value| {
            let total = number(row, "total");
            if row[side] == "short" { -total } else { total }
        };
        rows(http::signed(&exchange.rest, &exchange.account, target)).iter().map(signed).sum()
    }
}

/// What the journal says in the end.
#[derive(Debug, Default)]
pub(crate) struct Books {
    orders: BTreeMap<ClientOrderId, Order>,
    /// By trade id and instrument: quantity, bought or sold.
    fills: BTreeMap<String, (InstrumentId, Side, Decimal)>,
    versions: BTreeMap<(InstrumentId, u32), InstrumentVersion>,
    /// How old the book was that each order was checked against; `None`: there was none.
    book_ages: Vec<Option<Duration>>,
    differences: Vec<(Option<ClientOrderId>, DifferenceKind)>,
    pub(crate) unknown_seen: BTreeSet<ClientOrderId>,
    /// Intents that were refused.
    pub(crate) refused: usize,
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
            EventBody::Instrument(version) => {
                self.versions.insert((version.id, version.version), *version);
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
                let qty = self.versions[&(fill.instrument, fill.version)].qty_decimal(fill.qty).normalize();
                let counted = self.fills.insert(fill.trade_id.to_string(), (fill.instrument, fill.side, qty));
                assert!(counted.is_none(), "fill {} counted twice", fill.trade_id);
                let order = self.orders.get_mut(&fill.order).unwrap();
                (order.state, order.filled) = (*state, *filled);
            }
            EventBody::Refused { .. } => self.refused += 1,
            EventBody::Difference { order, kind, .. } => self.differences.push((*order, *kind)),
            _ => {}
        }
    }

    fn qty(&self, order: &Order, qty: domain::Qty) -> Decimal {
        self.versions[&(order.instrument, order.version)].qty_decimal(qty).normalize()
    }

    /// Instruments in the order of the settings: spot, then its perpetual future.
    const SPOT: InstrumentId = InstrumentId(0);

    /// Fails unless exchange and journal agree on every order, every fill and the position.
    pub(crate) fn agree(&self, truth: &Truth) {
        let mut at_venue = BTreeMap::<ClientOrderId, &VenueOrder>::new();
        for order in truth.resting.iter().chain(&truth.ended) {
            let id = order.client_id.parse().unwrap_or_else(|_| panic!("{} is not ours", order.client_id));
            assert!(at_venue.insert(id, order).is_none(), "{id} was accepted twice");
        }
        for (id, venue) in &at_venue {
            let own = self.orders.get(id).unwrap_or_else(|| panic!("the exchange has {id}, the journal does not"));
            assert_eq!(own.instrument == Self::SPOT, !venue.perpetual, "{id}: on the wrong market");
            // The exchange makes an order that may only reduce as small as the position.
            let cut = own.effect.reduce_only && venue.qty < self.qty(own, own.qty);
            assert!(cut || self.qty(own, own.qty) == venue.qty, "{id}: {own:?}, and the exchange has {venue:?}");
            let state = match venue.status.as_str() {
                "live" => OrderState::Acked,
                "partially_filled" => OrderState::PartlyFilled,
                "filled" => OrderState::Filled,
                "cancelled" => OrderState::Cancelled,
                other => panic!("{id}: {other}"),
            };
            assert_eq!(own.state, state, "{id}: {venue:?}, and the journal has {own:?}");
            assert_eq!(self.qty(own, own.filled), venue.filled, "{id}");
        }
        for (id, own) in self.orders.iter().filter(|(id, _)| !at_venue.contains_key(id)) {
            let never = [OrderState::NotSent, OrderState::Refused, OrderState::Rejected];
            assert!(never.contains(&own.state), "{id} is {:?}, and the exchange does not have it", own.state);
        }
        let fills: BTreeMap<&String, Decimal> = self.fills.iter().map(|(id, (_, _, qty))| (id, *qty)).collect();
        let told: BTreeMap<&String, Decimal> = truth.fills.iter().map(|(id, fill)| (id, fill.qty)).collect();
        assert_eq!(fills, told, "fills differ");
        let signed = |(instrument, side, qty): &(InstrumentId, Side, Decimal)| match (instrument, side) {
            (&Self::SPOT, _) => Decimal::ZERO,
            (_, Side::Buy) => *qty,
            (_, Side::Sell) => -*qty,
        };
        let position: Decimal = self.fills.values().map(signed).sum();
        assert_eq!(position.normalize(), truth.position.normalize(), "the position in {PERPETUAL}");
        assert!(
            !self.differences.iter().any(|(_, kind)| *kind == DifferenceKind::UnknownOwnOrder),
            "an own order was not on record: {:?}",
            self.differences
        );
        let fresh = |age: &Option<Duration>| age.is_some_and(|age| age <= FEED_AGE_MAX);
        assert!(self.book_ages.iter().all(fresh), "an order was placed on an old book: {:?}", self.book_ages);
    }

    /// How many orders were placed.
    pub(crate) fn placed(&self) -> usize {
        self.orders.len()
    }
}
