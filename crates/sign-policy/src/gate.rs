//! Decides for each intent whether the policy lets it be signed, and keeps the budgets.
//!
//! Invariants:
//! - What was signed on one side of one instrument within any 60 seconds, hour or day is never above the limit, in
//!   notional and in base, however often the process restarts. Time is the monotonic clock within a run; between runs
//!   the wall clock, which may stand still or run backwards, but is believed when it says that time has passed.
//! - A budget is on disk before the first order that uses it is let through ([`BudgetStore`]).
//! - An order that the venue lets only reduce (its signed bytes say so) and that band or windows refuse draws on a
//!   quantity budget of its own, kept like the others; every other rule holds for it.
//! - An order that closes one of two positions counts as a buy and as a sell, since the account decides which of the two
//!   the venue makes of it.
//! - Cancels draw on no budget of orders and pass while orders are refused.
//! - Letting an intent through allocates nothing, but when a slice is reserved.

use crate::amount::{Atto, atto, notional};
use crate::budget::{BudgetStore, Reservation, SavedBudgets, Slice};
use crate::document::{InstrumentPolicy, PolicyDocument, ReduceLimits, SideLimits};
use crate::refusal::{PolicyRefusal, PolicyTally};
use crate::window::{Rolling, Spent, TokenBucket, Window};
use domain::{ClientOrderId, Epoch, MonoNanos, PositionSide, Scaled, Side, Symbol, TimeInForce, UnixNanos};
use messages::{KeyRole, PlaceOrder, SignIntent};
use std::time::Duration;

/// The policy in force, and how much of its budgets is used.
#[derive(Debug)]
pub struct PolicyGate {
    document: PolicyDocument,
    epoch: Epoch,
    role: KeyRole,
    /// Sorted by symbol; instruments that left the policy stay while they hold a budget.
    books: Vec<Book>,
    orders: TokenBucket,
    cancels: TokenBucket,
    /// Changes of leverage and modes; `None`: none may be signed.
    settings: Option<TokenBucket>,
    time: GateTime,
    budgets_known: bool,
    tally: PolicyTally,
}

/// One instrument: its limits in exact numbers, and what is used of them.
#[derive(Debug)]
struct Book {
    symbol: Symbol,
    /// `None`: no longer in the policy.
    limits: Option<Limits>,
    buy: Ledger,
    sell: Ledger,
    /// Orders signed and not known to have ended.
    open: Vec<Outstanding>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    low: Atto,
    high: Atto,
    order: Spent,
    open_orders: usize,
    buy: [Spent; 3],
    sell: [Spent; 3],
    leverage_max: Option<u16>,
    /// Whether orders that only reduce have a budget of their own.
    reduces: bool,
}

#[derive(Debug)]
struct Ledger {
    windows: [Rolling; 3],
    slice: Slice,
}

#[derive(Debug, Clone, Copy)]
struct Outstanding {
    id: ClientOrderId,
    until: MonoNanos,
}

/// The gate's own time: it passes with the monotonic clock and never runs backwards.
#[derive(Debug, Clone, Copy)]
struct GateTime {
    /// At the first intent, in nanoseconds since 1970.
    start: u64,
    first: Option<MonoNanos>,
    passed: u64,
    /// When wall and monotonic clock were last taken for right.
    measured: Option<(UnixNanos, MonoNanos)>,
}

impl GateTime {
    /// Largest step of the wall clock against the monotonic one, in nanoseconds.
    const JUMP_MAX: u128 = 250_000_000;
    /// Beyond it clocks may drift by one part in so many (1000 ppm; slewing stays within 500).
    const DRIFT_PARTS: u128 = 1_000;

    fn advance(&mut self, now: MonoNanos) -> u64 {
        let first = *self.first.get_or_insert(now);
        self.passed = self.passed.max(now.0.saturating_sub(first.0));
        self.start.saturating_add(self.passed)
    }

    /// Whether the wall clock went with the monotonic one since it was measured.
    fn sound(&mut self, unix: UnixNanos, mono: MonoNanos) -> bool {
        let (unix_then, mono_then) = *self.measured.get_or_insert((unix, mono));
        let passed = i128::from(mono.0) - i128::from(mono_then.0);
        let moved = (i128::from(unix.0) - i128::from(unix_then.0) - passed).unsigned_abs();
        passed >= 0 && moved <= Self::JUMP_MAX + passed.unsigned_abs() / Self::DRIFT_PARTS
    }
}

impl PolicyGate {
    /// How long an order that may rest counts as outstanding when nobody says that it ended.
    pub const RESTING: Duration = Duration::from_secs(86_400);
    /// How long an order that cannot rest counts as outstanding.
    pub const FLEETING: Duration = Duration::from_secs(5);

    /// The gate of a trading key under `document`, which was checked when it was made; `saved` is what earlier runs
    /// have reserved. Its first intent sets its clocks.
    #[must_use]
    pub fn new(document: PolicyDocument, epoch: Epoch, mut saved: SavedBudgets, now_unix: UnixNanos) -> Self {
        saved.end_run(now_unix);
        let start = saved.latest().0;
        let mut gate = Self {
            orders: TokenBucket::new(document.orders.per_second, document.orders.burst),
            cancels: TokenBucket::new(document.cancels.per_second, document.cancels.burst),
            settings: settings_bucket(&document),
            books: Vec::new(),
            time: GateTime { start, first: None, passed: 0, measured: None },
            budgets_known: saved.known(),
            tally: PolicyTally::default(),
            role: KeyRole::Trade,
            epoch,
            document,
        };
        let mut uses = saved.uses().to_vec();
        uses.sort_by_key(|one| one.until);
        for one in &uses {
            let Some(book) = gate.book_for(one.symbol) else { continue };
            for rolling in &mut book.ledger(one.side).windows {
                rolling.advance(one.until.map_or(start, |until| until.0));
                rolling.add(one.spent());
            }
        }
        gate.list();
        gate
    }

    /// The same gate for a key of another role.
    #[must_use]
    pub const fn for_role(mut self, role: KeyRole) -> Self {
        self.role = role;
        self
    }

    /// The policy in force.
    #[must_use]
    pub const fn document(&self) -> &PolicyDocument {
        &self.document
    }

    /// The run whose budgets these are.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How often each rule refused.
    #[must_use]
    pub const fn tally(&self) -> PolicyTally {
        self.tally
    }

    /// Puts another policy in force from the next intent on. What was used stays used, also of an instrument that
    /// leaves the policy and comes back.
    pub fn replace(&mut self, document: PolicyDocument) {
        self.orders = self.orders.retuned(document.orders.per_second, document.orders.burst);
        self.cancels = self.cancels.retuned(document.cancels.per_second, document.cancels.burst);
        self.settings = match (self.settings.take(), &document.futures) {
            (Some(bucket), Some(futures)) => Some(bucket.retuned(futures.settings.per_second, futures.settings.burst)),
            _ => settings_bucket(&document),
        };
        self.document = document;
        self.list();
        let holds = |book: &Book| {
            let used = |ledger: &Ledger| ledger.windows.iter().any(|rolling| rolling.sum() != Spent::default());
            used(&book.buy) || used(&book.sell)
        };
        self.books.retain(|book| book.limits.is_some() || !book.open.is_empty() || holds(book));
    }

    /// The wall clock was measured anew: orders may go again after a refusal with [`PolicyRefusal::Clock`]. Budgets do
    /// not depend on the wall clock of a running process, so whoever calls this gains nothing from them.
    pub const fn clock_measured(&mut self, now_unix: UnixNanos, now_mono: MonoNanos) {
        self.time.measured = Some((now_unix, now_mono));
    }

    /// Says that an order has ended, which frees its place among the outstanding ones and nothing else: the caller is
    /// not trusted, and budgets of turnover do not come back.
    ///
    /// The number of outstanding orders guards against a strategy gone wild, not against a caller who lies: whoever
    /// holds the signer's socket can report ends or sign cancels that never go out. Against that caller stand band,
    /// turnover and rate.
    pub fn order_closed(&mut self, id: ClientOrderId) {
        for book in &mut self.books {
            book.open.retain(|order| order.id != id);
        }
    }

    /// Whether `intent` may be signed now; if so its budgets are taken. `again`: the same content was let through
    /// before under the same id, so it takes a token of the rate and nothing else.
    ///
    /// # Errors
    /// [`PolicyRefusal`] names the first rule that it breaks; no budget was taken, but where a store that fails had
    /// written one side of an order that counts on both.
    pub fn admit(
        &mut self,
        intent: &SignIntent,
        again: bool,
        now_unix: UnixNanos,
        now_mono: MonoNanos,
        store: &mut dyn BudgetStore,
    ) -> Result<(), PolicyRefusal> {
        let outcome = self.judge(intent, again, now_unix, now_mono, store);
        self.tally.count(outcome);
        outcome
    }

    /// Gives back what is left of the reserved slices, at an orderly stop: the next run finds exactly what was used.
    ///
    /// # Errors
    /// What the store said; what could not be given back counts as used.
    pub fn settle(
        &mut self,
        now_unix: UnixNanos,
        now_mono: MonoNanos,
        store: &mut dyn BudgetStore,
    ) -> std::io::Result<()> {
        let at = UnixNanos(self.time.advance(now_mono));
        let mut outcome = Ok(());
        for book in &mut self.books {
            let symbol = book.symbol;
            for side in [Side::Buy, Side::Sell] {
                let left = std::mem::take(&mut book.ledger(side).slice).0;
                if left == Spent::default() {
                    continue;
                }
                let (unused_notional, unused_base) = (left.notional, left.base);
                let wall = now_unix;
                let back = Reservation { symbol, side, at, wall, notional: 0, base: 0, unused_notional, unused_base };
                outcome = outcome.and(store.reserve(&back));
            }
        }
        outcome
    }

    fn judge(
        &mut self,
        intent: &SignIntent,
        again: bool,
        now_unix: UnixNanos,
        now_mono: MonoNanos,
        store: &mut dyn BudgetStore,
    ) -> Result<(), PolicyRefusal> {
        let verb = intent.verb();
        if !self.document.roles.of(self.role).contains(&verb) {
            return Err(PolicyRefusal::Verb);
        }
        match intent {
            SignIntent::Place(order) => self.place(order, again, now_unix, now_mono, store),
            SignIntent::Cancel { id, .. } => {
                self.cancel(now_mono)?;
                self.order_closed(*id);
                Ok(())
            }
            SignIntent::CancelAll { symbol } => {
                // An instrument that has left the policy may still hold orders.
                let at = self.find(symbol).map_err(|_| PolicyRefusal::Symbol)?;
                self.cancel(now_mono)?;
                if let Some(book) = self.books.get_mut(at) {
                    book.open.clear();
                }
                Ok(())
            }
            SignIntent::SetLeverage { symbol, leverage } => {
                let limits = self.limits(symbol)?;
                let allowed = limits.leverage_max.is_some_and(|most| (1..=most).contains(leverage));
                self.setting(allowed, PolicyRefusal::Leverage, now_mono)
            }
            SignIntent::SetMarginMode { symbol, mode } => {
                self.limits(symbol)?;
                let allowed = self.document.futures.as_ref().is_some_and(|of| of.margin_modes.contains(mode));
                self.setting(allowed, PolicyRefusal::Mode, now_mono)
            }
            SignIntent::SetPositionMode { mode } => {
                let allowed = self.document.futures.as_ref().is_some_and(|of| of.position_modes.contains(mode));
                self.setting(allowed, PolicyRefusal::Mode, now_mono)
            }
            _ => {
                debug_assert!(verb.only_asks(), "every verb that changes something has its rules above");
                Ok(())
            }
        }
    }

    /// The limits of an instrument that is in the policy.
    fn limits(&self, symbol: &Symbol) -> Result<Limits, PolicyRefusal> {
        let at = self.listed(symbol)?;
        self.books.get(at).and_then(|book| book.limits).ok_or(PolicyRefusal::Symbol)
    }

    /// The book of an instrument by a name that an intent may carry: none of those that budgets alone have.
    fn listed(&self, symbol: &Symbol) -> Result<usize, PolicyRefusal> {
        let spelled = symbol.bytes().all(|byte| byte.is_ascii_graphic());
        self.find(symbol).ok().filter(|_| spelled).ok_or(PolicyRefusal::Symbol)
    }

    fn setting(&mut self, allowed: bool, rule: PolicyRefusal, now: MonoNanos) -> Result<(), PolicyRefusal> {
        if !allowed {
            return Err(rule);
        }
        let bucket = self.settings.as_mut().ok_or(PolicyRefusal::Verb)?;
        if !bucket.has(now) {
            return Err(PolicyRefusal::SettingRate);
        }
        bucket.take(now);
        Ok(())
    }

    fn cancel(&mut self, now: MonoNanos) -> Result<(), PolicyRefusal> {
        if !self.cancels.has(now) {
            return Err(PolicyRefusal::CancelRate);
        }
        self.cancels.take(now);
        Ok(())
    }

    fn place(
        &mut self,
        order: &PlaceOrder,
        again: bool,
        now_unix: UnixNanos,
        now_mono: MonoNanos,
        store: &mut dyn BudgetStore,
    ) -> Result<(), PolicyRefusal> {
        let at = self.listed(&order.symbol)?;
        let book = self.books.get_mut(at).ok_or(PolicyRefusal::Symbol)?;
        let limits = book.limits.ok_or(PolicyRefusal::Symbol)?;
        let cost = limits.one_order(order)?;
        let now = self.time.advance(now_mono);
        let mut judged = readings(order).try_for_each(|side| limits.band_allows(side, order.price));
        if judged.is_ok() && !again {
            judged = readings(order).try_for_each(|side| book.fits(side, cost, &limits, now));
        }
        // What the venue lets only reduce has a budget of its own where the others refuse. Of an order on one of two
        // positions no flag says so to the venue: it is one like any other.
        let flagged = order.effect.reduce_only && order.effect.side == PositionSide::Net;
        let reserve = match judged {
            Ok(()) => None,
            Err(_) if flagged && limits.reduces => Some(reserve_of(&order.symbol)),
            Err(rule) => return Err(rule),
        };
        if !again && !book.has_room(limits.open_orders, now_mono) {
            return Err(PolicyRefusal::OpenOrders);
        }
        let (at, limits) = match reserve {
            None => (at, limits),
            Some(name) => self.reserve(name, order.side, cost, again, now)?,
        };
        if !self.orders.has(now_mono) {
            return Err(PolicyRefusal::OrderRate);
        }
        if !self.time.sound(now_unix, now_mono) {
            return Err(PolicyRefusal::Clock);
        }
        if !self.budgets_known {
            return Err(PolicyRefusal::BudgetLost);
        }
        if !again {
            let book = self.books.get_mut(at).ok_or(PolicyRefusal::Symbol)?;
            for side in readings(order) {
                book.spend(side, cost, &limits, (UnixNanos(now), now_unix), store)?;
            }
            if let Some(own) = self.find(&order.symbol).ok().and_then(|at| self.books.get_mut(at)) {
                own.remember(order, now_mono);
            }
        }
        self.orders.take(now_mono);
        Ok(())
    }

    /// The budget of orders that only reduce, if it suffices.
    fn reserve(
        &mut self,
        name: Option<Symbol>,
        side: Side,
        cost: Spent,
        again: bool,
        now: u64,
    ) -> Result<(usize, Limits), PolicyRefusal> {
        let at = name.and_then(|name| self.find(&name).ok()).ok_or(PolicyRefusal::Symbol)?;
        let book = self.books.get_mut(at).ok_or(PolicyRefusal::Symbol)?;
        let limits = book.limits.ok_or(PolicyRefusal::Symbol)?;
        if !again {
            book.fits(side, cost, &limits, now)?;
        }
        Ok((at, limits))
    }

    fn find(&self, symbol: &Symbol) -> Result<usize, usize> {
        self.books.binary_search_by(|book| book.symbol.as_str().cmp(symbol.as_str()))
    }

    fn book_for(&mut self, symbol: Symbol) -> Option<&mut Book> {
        let at = self.find(&symbol).unwrap_or_else(|at| {
            self.books.insert(at, Book::new(symbol));
            at
        });
        self.books.get_mut(at)
    }

    /// Brings the books in line with the document.
    fn list(&mut self) {
        for book in &mut self.books {
            book.limits = None;
        }
        let instruments = std::mem::take(&mut self.document.instruments);
        for instrument in &instruments {
            let Some(book) = self.book_for(instrument.symbol) else { continue };
            // An amount that does not fit cannot be in a checked document; if it is, the instrument is not listed.
            book.limits = Limits::of(instrument);
            book.open.reserve(book.limits.map_or(0, |limits| limits.open_orders));
            let reserve = instrument.reduce.as_ref().zip(reserve_of(&instrument.symbol));
            let Some((reduce, name)) = reserve else { continue };
            let limits = Limits::of_reserve(instrument, reduce);
            if let Some(book) = self.book_for(name) {
                book.limits = limits;
            }
        }
        self.document.instruments = instruments;
    }
}

impl Limits {
    fn of(instrument: &InstrumentPolicy) -> Option<Self> {
        let side = |limits: &SideLimits| -> Option<[Spent; 3]> {
            let [minute, hour, day] = limits.windows().map(|(_, turnover)| {
                Some(Spent { notional: atto(turnover.notional)?, base: atto(turnover.quantity)? })
            });
            Some([minute?, hour?, day?])
        };
        Some(Self {
            low: atto(instrument.low)?,
            high: atto(instrument.high)?,
            order: Spent { notional: atto(instrument.order_notional)?, base: atto(instrument.order_quantity)? },
            open_orders: usize::try_from(instrument.open_orders).ok()?,
            buy: side(&instrument.buy)?,
            sell: side(&instrument.sell)?,
            leverage_max: instrument.leverage_max,
            reduces: instrument.reduce.is_some() && reserve_of(&instrument.symbol).is_some(),
        })
    }

    /// The budget of orders that only reduce: quantities alone.
    fn of_reserve(instrument: &InstrumentPolicy, reduce: &ReduceLimits) -> Option<Self> {
        let [minute, hour, day] =
            reduce.windows().map(|(_, quantity)| Some(Spent { notional: Self::ANY_NOTIONAL, base: atto(quantity)? }));
        let windows = [minute?, hour?, day?];
        let own = Self::of(instrument)?;
        Some(Self { buy: windows, sell: windows, leverage_max: None, reduces: false, ..own })
    }

    /// More than any account turns over, and far from the end of the numbers: 10^18 in quote.
    const ANY_NOTIONAL: Atto = 1_000_000_000_000_000_000_000_000_000_000_000_000;

    const fn side(&self, side: Side) -> &[Spent; 3] {
        match side {
            Side::Buy => &self.buy,
            Side::Sell => &self.sell,
        }
    }

    /// What holds for an order by itself; says what it costs.
    fn one_order(&self, order: &PlaceOrder) -> Result<Spent, PolicyRefusal> {
        if order.price.mantissa <= 0 || order.qty.mantissa <= 0 {
            return Err(PolicyRefusal::Number);
        }
        atto(order.price).ok_or(PolicyRefusal::Number)?;
        let base = atto(order.qty).ok_or(PolicyRefusal::Number)?;
        let notional = notional(order.price, order.qty).ok_or(PolicyRefusal::Number)?;
        if notional > self.order.notional {
            return Err(PolicyRefusal::OrderNotional);
        }
        if base > self.order.base {
            return Err(PolicyRefusal::OrderQuantity);
        }
        Ok(Spent { notional, base })
    }

    fn band_allows(&self, side: Side, price: Scaled) -> Result<(), PolicyRefusal> {
        let price = atto(price).ok_or(PolicyRefusal::Number)?;
        match side {
            Side::Sell if price < self.low => Err(PolicyRefusal::SellBelowBand),
            Side::Buy if price > self.high => Err(PolicyRefusal::BuyAboveBand),
            _ => Ok(()),
        }
    }
}

/// The sides on which a venue may take an order: its own, and the other one when it closes one of two positions. Venues
/// name such an order by the side of its position, and an account that holds one position only takes that for the side
/// of the order. Whether it does the signer cannot know.
fn readings(order: &PlaceOrder) -> impl Iterator<Item = Side> + use<> {
    let closes = order.effect.opens(order.side) == Some(false);
    [Some(order.side), closes.then_some(order.side.opposite())].into_iter().flatten()
}

fn settings_bucket(document: &PolicyDocument) -> Option<TokenBucket> {
    document.futures.as_ref().map(|futures| TokenBucket::new(futures.settings.per_second, futures.settings.burst))
}

/// The name under which the budget of an instrument's reducing orders is kept; with its space it is no instrument's.
/// `None`: the name would be too long, and its reducing orders have no budget of their own.
fn reserve_of(symbol: &Symbol) -> Option<Symbol> {
    let mut name = *symbol;
    name.try_push_str(" cut").ok()?;
    Some(name)
}

impl Book {
    fn new(symbol: Symbol) -> Self {
        let ledger = || Ledger { windows: Window::ALL.map(Rolling::new), slice: Slice::default() };
        Self { symbol, limits: None, buy: ledger(), sell: ledger(), open: Vec::new() }
    }

    const fn ledger(&mut self, side: Side) -> &mut Ledger {
        match side {
            Side::Buy => &mut self.buy,
            Side::Sell => &mut self.sell,
        }
    }

    fn fits(&mut self, side: Side, cost: Spent, limits: &Limits, now: u64) -> Result<(), PolicyRefusal> {
        const RULES: [PolicyRefusal; 3] = [PolicyRefusal::Minute, PolicyRefusal::Hour, PolicyRefusal::Day];
        let bounds = limits.side(side);
        for ((rolling, bound), rule) in self.ledger(side).windows.iter_mut().zip(bounds).zip(RULES) {
            rolling.advance(now);
            if !rolling.sum().plus(cost).is_some_and(|sum| sum.within(*bound)) {
                return Err(rule);
            }
        }
        Ok(())
    }

    /// Takes the cost from windows and slice, reserving the next slice when this one does not suffice.
    fn spend(
        &mut self,
        side: Side,
        cost: Spent,
        limits: &Limits,
        (at, wall): (UnixNanos, UnixNanos),
        store: &mut dyn BudgetStore,
    ) -> Result<(), PolicyRefusal> {
        let symbol = self.symbol;
        let [minute, _, day] = limits.side(side);
        // A slice that a crash loses must leave most of the next minute to be used.
        let share = Spent {
            notional: (day.notional / Slice::OF_DAY).min(minute.notional / Slice::OF_MINUTE),
            base: (day.base / Slice::OF_DAY).min(minute.base / Slice::OF_MINUTE),
        };
        let ledger = self.ledger(side);
        if !cost.within(ledger.slice.0) {
            // Until the write is known to have succeeded nothing may be used, of the old slice neither: the store
            // may have taken in that it was given back.
            let unused = std::mem::take(&mut ledger.slice).0;
            let next = share.larger(cost);
            let reservation = Reservation {
                symbol,
                side,
                at,
                wall,
                notional: next.notional,
                base: next.base,
                unused_notional: unused.notional,
                unused_base: unused.base,
            };
            store.reserve(&reservation).map_err(|_| PolicyRefusal::BudgetStore)?;
            ledger.slice = Slice(next);
        }
        ledger.slice = Slice(ledger.slice.0.minus(cost));
        for rolling in &mut ledger.windows {
            rolling.add(cost);
        }
        Ok(())
    }

    fn has_room(&mut self, max: usize, now: MonoNanos) -> bool {
        if self.open.len() >= max {
            self.open.retain(|order| order.until > now);
        }
        self.open.len() < max
    }

    fn remember(&mut self, order: &PlaceOrder, now: MonoNanos) {
        let lasts = match order.time_in_force {
            TimeInForce::Gtc | TimeInForce::PostOnly => PolicyGate::RESTING,
            TimeInForce::Ioc | TimeInForce::Fok => PolicyGate::FLEETING,
        };
        self.open.push(Outstanding { id: order.id, until: now.after(lasts) });
    }
}
