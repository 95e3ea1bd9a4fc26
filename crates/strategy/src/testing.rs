//! A small model of order path and venue, for the tests of this crate.
//!
//! It fills what the market reaches, takes fees in base on buys, and watches that nothing is sold that is not owned. On
//! a perpetual positions go both ways, fees are taken in quote, and orders that only reduce are cut to the position.

use crate::api::{Commands, Context, Strategy};
use crate::placer::closes;
use domain::*;
use messages::*;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, VecDeque};

pub(crate) const TAG: StrategyTag = StrategyTag(3);
const MILLISECOND: u64 = 1_000_000;

/// What becomes of an order that the strategy asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Taken,
    Refused,
    Rejected,
    NotSent,
}

pub(crate) fn instrument() -> Instrument {
    Instrument {
        id: InstrumentId(0),
        venue: VenueId(0),
        symbol: Symbol::from("BTCUSDT").unwrap(),
        market: domain::Market::Spot,
        base: Asset::from("BTC").unwrap(),
        quote: Asset::from("USDT").unwrap(),
        version: InstrumentVersion {
            id: InstrumentId(0),
            version: 1,
            price_decimals: 2,
            qty_decimals: 6,
            tick: 1,
            lot: 10,
            min_qty: Qty(10),
            max_qty: Qty(0),
            min_notional: Notional(Decimal::ONE),
            status: InstrumentStatus::Online,
            valid_from: UnixNanos(0),
        },
    }
}

pub(crate) struct Venue<S> {
    make: Box<dyn Fn() -> S>,
    pub(crate) strategy: S,
    pub(crate) instrument: Instrument,
    pub(crate) now: MonoNanos,
    pub(crate) position: Decimal,
    pub(crate) book: Option<BookView>,
    pub(crate) orders: BTreeMap<ClientOrderId, Order>,
    pub(crate) fills: Vec<Fill>,
    pub(crate) fates: VecDeque<Fate>,
    /// Orders asked for, with what became of them.
    pub(crate) asked: Vec<(OrderIntent, Fate)>,
    /// Fee on buys in base and on sells in quote.
    pub(crate) fee: Decimal,
    /// Whether the order's end is told before its fill.
    pub(crate) end_before_fill: bool,
    sequence: u64,
    seq: u64,
    events: VecDeque<EventBody>,
}

impl<S: Strategy> Venue<S> {
    pub(crate) fn new(make: impl Fn() -> S + 'static) -> Self {
        Self {
            strategy: make(),
            make: Box::new(make),
            instrument: instrument(),
            now: MonoNanos(1_000_000_000),
            position: Decimal::ZERO,
            book: None,
            orders: BTreeMap::new(),
            fills: Vec::new(),
            fates: VecDeque::new(),
            asked: Vec::new(),
            fee: Decimal::new(1, 3),
            end_before_fill: false,
            sequence: 0,
            seq: 0,
            events: VecDeque::new(),
        }
    }

    /// Started on a perpetual, without fees, with a book around `mid` cents.
    pub(crate) fn perpetual(make: impl Fn() -> S + 'static, mid: i64) -> Self {
        let mut venue = Self::new(make);
        venue.instrument.market = Market::UsdtFutures;
        venue.instrument.symbol = Symbol::from("BTCUSDT-PERP").unwrap();
        venue.fee = Decimal::ZERO;
        venue.start();
        venue.market(mid);
        venue
    }

    /// What an order of `side` could make smaller.
    fn coverage(&self, side: Side) -> Decimal {
        let held = if side == Side::Sell { self.position } else { -self.position };
        held.max(Decimal::ZERO)
    }

    fn is_closing(&self, order: &Order) -> bool {
        closes(self.instrument.market, order.side, order.effect)
    }

    /// What only reduces and rests beyond the position is cancelled by the venue, the newest first.
    fn trim(&mut self) {
        if !self.instrument.market.has_positions() {
            return;
        }
        for side in [Side::Buy, Side::Sell] {
            let mut room = self.coverage(side);
            let resting: Vec<Order> =
                self.live().filter(|order| order.side == side && self.is_closing(order)).copied().collect();
            for order in resting {
                let qty = self.instrument.version.qty_decimal(order.remaining());
                if qty > room {
                    self.change(order.id, OrderState::Cancelled);
                } else {
                    room -= qty;
                }
            }
        }
    }

    /// Started, with a book around `mid` cents.
    pub(crate) fn started(make: impl Fn() -> S + 'static, mid: i64) -> Self {
        let mut venue = Self::new(make);
        venue.start();
        venue.market(mid);
        venue
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            now: self.now,
            unix: UnixNanos(self.now.0),
            strategy: TAG,
            instrument: &self.instrument,
            position: Amount(self.position),
            book: self.book.as_ref(),
            received: self.now,
        }
    }

    pub(crate) fn restored(&self) -> Restored {
        Restored {
            strategy: TAG,
            orders: self.live().copied().collect(),
            fills: self.fills.clone(),
            position: Amount(self.position),
            has_history: !self.fills.is_empty(),
        }
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Order> {
        self.orders.values().filter(|order| !order.state.is_terminal())
    }

    /// Side, price and quantity of what rests, sorted.
    pub(crate) fn resting(&self) -> Vec<(Side, i64, i64)> {
        let mut resting: Vec<_> = self.live().map(|order| (order.side, order.price.0, order.remaining().0)).collect();
        resting.sort_unstable();
        resting
    }

    fn call(&mut self, step: impl FnOnce(&mut S, &Context<'_>, &mut Commands)) {
        let mut out = Commands::new();
        // The context borrows everything but the strategy, so it is put together here once more.
        let context = Context {
            now: self.now,
            unix: UnixNanos(self.now.0),
            strategy: TAG,
            instrument: &self.instrument,
            position: Amount(self.position),
            book: self.book.as_ref(),
            received: self.now,
        };
        step(&mut self.strategy, &context, &mut out);
        for command in out.list() {
            match command {
                StrategyCommand::Place(intent) => self.take(*intent),
                StrategyCommand::Cancel { order, .. } => self.cancel(*order),
            }
        }
    }

    pub(crate) fn start(&mut self) {
        let restored = self.restored();
        self.call(|strategy, context, out| strategy.on_start(context, &restored, out));
        self.pump();
    }

    /// The process dies; a new strategy gets what is known and nothing else.
    pub(crate) fn restart(&mut self) {
        self.strategy = (self.make)();
        self.events.clear();
        self.start();
    }

    /// Time passes, with ticks.
    pub(crate) fn pass(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(100) {
            self.now = MonoNanos(self.now.0 + 100 * MILLISECOND);
            self.call(|strategy, context, out| strategy.on_tick(context, out));
            self.pump();
        }
    }

    /// The book moves to one tick on either side of `mid` cents; what it reaches is filled.
    pub(crate) fn market(&mut self, mid: i64) {
        let level = |price| ViewLevel { price: Price(price), qty: Qty(1_000_000) };
        let view =
            BookView { bids: [level(mid - 1)].into_iter().collect(), asks: [level(mid + 1)].into_iter().collect() };
        self.book = Some(view.clone());
        let mut reached: Vec<_> = self
            .live()
            .filter(|order| match order.side {
                Side::Buy => order.price.0 > mid,
                Side::Sell => order.price.0 < mid,
            })
            .map(|order| order.id)
            .collect();
        if self.instrument.market.has_positions() {
            // The market passes the nearest price first, which decides what there is to reduce.
            let place = |id: &ClientOrderId| {
                let order = self.orders[id];
                if order.side == Side::Buy { -order.price.0 } else { order.price.0 }
            };
            reached.sort_by_key(place);
        }
        for id in reached {
            let order = *self.orders.get(&id).unwrap();
            // The fill before may have closed the position that this one was to close.
            if !order.state.is_terminal() {
                self.fill(id, order.remaining(), Liquidity::Maker);
            }
        }
        self.tell_market(MarketEventKind::Book(BookStatus::Valid(view)));
    }

    pub(crate) fn lose_book(&mut self) {
        self.book = None;
        self.tell_market(MarketEventKind::Book(BookStatus::Invalid(BookFaultKind::Gap)));
    }

    pub(crate) fn change_rules(&mut self, change: impl FnOnce(&mut InstrumentVersion)) {
        change(&mut self.instrument.version);
        self.instrument.version.version += 1;
        let version = self.instrument.version;
        self.tell_market(MarketEventKind::InstrumentChanged(version));
    }

    fn tell_market(&mut self, kind: MarketEventKind) {
        let event = MarketEvent { instrument: InstrumentId(0), received: self.now, kind };
        self.call(|strategy, context, out| strategy.on_market(context, &event, out));
        self.pump();
    }

    /// Fills `qty` of a resting order.
    pub(crate) fn fill_some(&mut self, side: Side, price: i64, qty: i64) {
        let order = *self.live().find(|order| order.side == side && order.price.0 == price).unwrap();
        // Two orders may rest at one price; the first takes no more than it has.
        self.fill(order.id, Qty(qty).min(order.remaining()), Liquidity::Maker);
        self.pump();
    }

    fn pump(&mut self) {
        for _ in 0..10_000 {
            let Some(body) = self.events.pop_front() else { return };
            self.seq += 1;
            let event = OrderEvent { seq: self.seq, at: UnixNanos(self.now.0), body };
            self.call(|strategy, context, out| strategy.on_order(context, &event, out));
        }
        panic!("strategy and venue go round without end");
    }

    fn take(&mut self, intent: OrderIntent) {
        let fate = self.fates.pop_front().unwrap_or(Fate::Taken);
        self.asked.push((intent, fate));
        if closes(self.instrument.market, intent.side, intent.effect) {
            let likewise = |order: &&Order| order.side == intent.side && self.is_closing(order);
            let offered: i64 = self.live().filter(likewise).map(|order| order.remaining().0).sum();
            let closed = self.instrument.version.qty_decimal(Qty(offered + intent.qty.qty().0));
            assert!(closed <= self.coverage(intent.side), "{closed} would be closed, {} is held", self.position);
        }
        assert_eq!(intent.price.version(), self.instrument.version.version);
        if fate == Fate::Refused {
            self.events.push_back(EventBody::Refused {
                id: None,
                strategy: TAG,
                reference: intent.reference,
                instrument: intent.instrument,
                side: intent.side,
                price: intent.price.price(),
                qty: intent.qty.qty(),
                reason: RefuseReason::OrderRate,
                top: None,
            });
            return;
        }
        self.sequence += 1;
        let id = ClientOrderId::new(
            InstanceTag::from_number(1),
            Epoch::new(1).unwrap(),
            Sequence::new(self.sequence).unwrap(),
        );
        let order = Order {
            id,
            strategy: TAG,
            reference: intent.reference,
            instrument: intent.instrument,
            version: intent.price.version(),
            side: intent.side,
            price: intent.price.price(),
            qty: intent.qty.qty(),
            time_in_force: intent.time_in_force,
            effect: intent.effect,
            state: OrderState::Signed,
            cancel: CancelState::None,
            filled: Qty::ZERO,
            filled_by_fills: Qty::ZERO,
            venue_order_id: None,
            created: UnixNanos(self.now.0),
        };
        self.orders.insert(id, order);
        let at = self.now;
        self.events.push_back(EventBody::Placed { order, top: None, caused: at, decided: at, checked: at, signed: at });
        match fate {
            Fate::Rejected => self.change(id, OrderState::Rejected),
            Fate::NotSent => self.change(id, OrderState::NotSent),
            Fate::Taken | Fate::Refused => self.meet(&order),
        }
    }

    /// A taken order meets the book.
    fn meet(&mut self, order: &Order) {
        let top = self.book.as_ref().map(|book| (book.bids[0].price, book.asks[0].price));
        let crosses = top.is_some_and(|(bid, ask)| match order.side {
            Side::Buy => order.price >= ask,
            Side::Sell => order.price <= bid,
        });
        match (order.time_in_force, crosses) {
            (TimeInForce::PostOnly, true) | (TimeInForce::Ioc | TimeInForce::Fok, false) => {
                self.change(order.id, OrderState::Cancelled);
            }
            (_, true) => self.fill(order.id, order.qty, Liquidity::Taker),
            (_, false) => self.change(order.id, OrderState::Acked),
        }
    }

    fn cancel(&mut self, id: ClientOrderId) {
        if self.orders.get(&id).is_some_and(|order| !order.state.is_terminal()) {
            self.change(id, OrderState::Cancelled);
        }
    }

    fn change(&mut self, id: ClientOrderId, state: OrderState) {
        let order = self.orders.get_mut(&id).unwrap();
        let from = order.state;
        order.state = state;
        let order = *order;
        self.events.push_back(EventBody::Order { order, from, at: self.now, error: None });
    }

    fn fill(&mut self, id: ClientOrderId, qty: Qty, liquidity: Liquidity) {
        let order = self.orders.get_mut(&id).unwrap();
        let from = order.state;
        order.filled = order.filled.checked_add(qty).unwrap();
        assert!(order.filled <= order.qty, "the model fills no more than was ordered");
        order.state = if order.filled == order.qty { OrderState::Filled } else { OrderState::PartlyFilled };
        let announced = *order;
        order.filled_by_fills = order.filled;
        let order = *order;
        let price = match (liquidity, &self.book) {
            (Liquidity::Taker, Some(book)) if order.side == Side::Buy => book.asks[0].price,
            (Liquidity::Taker, Some(book)) => book.bids[0].price,
            _ => order.price,
        };
        let base = self.instrument.version.qty_decimal(qty);
        let futures = self.instrument.market.has_positions();
        let (asset, amount) = match order.side {
            Side::Buy if !futures => (self.instrument.base, base * self.fee),
            _ => (self.instrument.quote, base * self.instrument.version.price_decimal(price) * self.fee),
        };
        self.position += match order.side {
            Side::Buy if !futures => base - amount,
            Side::Buy => base,
            Side::Sell => -base,
        };
        assert!(futures || self.position >= Decimal::ZERO, "more was sold than bought");
        let fill = Fill {
            trade_id: VenueTradeId::from(&self.fills.len().to_string()).unwrap(),
            order: id,
            strategy: TAG,
            instrument: order.instrument,
            version: order.version,
            side: order.side,
            position_side: order.effect.side,
            price,
            qty,
            fee: Fee { amount: Amount(amount), asset },
            liquidity,
            venue_time: UnixNanos(self.now.0),
        };
        self.fills.push(fill);
        let position = PositionAfter { qty: Amount(self.position), realised: Pnl::ZERO };
        let filled = EventBody::Filled { fill, state: order.state, filled: order.filled, position };
        let changed = |order| EventBody::Order { order, from, at: self.now, error: None };
        if self.end_before_fill {
            self.events.extend([changed(announced), filled]);
        } else {
            self.events.extend([filled, changed(order)]);
        }
        self.trim();
    }
}
