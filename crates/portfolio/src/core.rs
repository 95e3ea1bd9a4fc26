//! The state of the portfolio and how each event changes it.

use crate::futures::Leg;
use crate::position::{Position, Trade};
use crate::view::{BalanceView, FillView, OrderView, PositionView, Snapshot, StrategyView, instrument_name, unnamed};
use domain::{
    Amount, Asset, ClientOrderId, Fill, Instrument, InstrumentId, InstrumentVersion, Liquidity, Market, Order,
    OrderState, Pnl, PositionSide, Price, Scaled, StrategyTag, UnixNanos, VenueId,
};
use messages::{EventBody, HaltReason, OrderEvent, TopUsed, TradingState};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, VecDeque};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is counted.
    Counted,
    /// It was counted before; nothing changed.
    Repeated,
    /// It is counted, but one or more before it are missing: rebuild from the journal.
    AfterGap,
}

/// One strategy in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Orders signed.
    pub orders: u64,
    /// Fills.
    pub fills: u64,
    /// Fills in which its order rested.
    pub maker_fills: u64,
    /// Intents refused.
    pub refused: u64,
    /// Orders whose outcome was ever unknown.
    pub unknown_seen: u64,
    /// Realised since 00:00 UTC, after fees, in quote.
    pub realised_today: Pnl,
}

/// Whether the balance of one asset adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityReport {
    /// The venue account.
    pub venue: VenueId,
    /// The wallet.
    pub wallet: Market,
    /// The asset.
    pub asset: Asset,
    /// As first told by the venue.
    pub opening: Amount,
    /// As last told by the venue.
    pub balance: Amount,
    /// Sum of signed fills minus fees since the opening; of a wallet that margins futures: what closing brought, minus
    /// fees, plus funding.
    pub traded: Amount,
    /// Moved between wallets since the opening, as far as the venue's bills tell it.
    pub moved: Amount,
    /// `balance - opening - traded - moved`: moved from outside, or on its way between a fill and the venue's next word, or
    /// a fault. Zero when everything is explained.
    pub difference: Amount,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Balance {
    available: Amount,
    held: Amount,
    opening: Amount,
    traded: Decimal,
    moved: Decimal,
}

/// One asset in one wallet.
type Purse = (VenueId, Market, Asset);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Traded {
    instrument: Instrument,
    versions: BTreeMap<u32, InstrumentVersion>,
    mark: Option<Decimal>,
}

/// The read model. Made anew and fed with the same events, it is equal.
#[derive(Debug, Clone, PartialEq)]
pub struct Portfolio {
    instruments: BTreeMap<InstrumentId, Traded>,
    names: BTreeMap<StrategyTag, String>,
    balances: BTreeMap<Purse, Balance>,
    /// Trades in assets whose balance the venue has not told yet belong to the opening balance.
    positions: BTreeMap<(StrategyTag, InstrumentId), Position>,
    /// Futures positions of the accounts, over all strategies.
    pub(crate) legs: BTreeMap<(InstrumentId, PositionSide), Leg>,
    counts: BTreeMap<StrategyTag, Counts>,
    orders: BTreeMap<ClientOrderId, Order>,
    fills: VecDeque<(u64, UnixNanos, Fill)>,
    trading: Option<TradingState>,
    halt: Option<HaltReason>,
    day: u64,
    seq: u64,
    at: UnixNanos,
    differences: u64,
    gaps: u64,
    overflows: u64,
}

impl Portfolio {
    /// Fills kept.
    pub const FILLS_MAX: usize = 1_000;
    /// Orders that may rest, kept.
    pub const ORDERS_MAX: usize = 2_048;
    /// Balances kept: venues times assets.
    pub const BALANCES_MAX: usize = 4_096;
    /// Strategies kept, past ones included.
    pub const STRATEGIES_MAX: usize = 1_024;
    /// Versions of each instrument kept.
    pub const VERSIONS_MAX: usize = 64;
    const NANOS_PER_DAY: u64 = 86_400_000_000_000;

    /// An empty portfolio over these instruments; `names` are the configured strategies.
    #[must_use]
    pub fn new(instruments: &[Instrument], names: &[(StrategyTag, String)]) -> Self {
        let traded = |instrument: &Instrument| Traded {
            instrument: instrument.clone(),
            versions: BTreeMap::from([(instrument.version.version, instrument.version)]),
            mark: None,
        };
        Self {
            instruments: instruments.iter().map(|instrument| (instrument.id, traded(instrument))).collect(),
            names: names.iter().cloned().collect(),
            balances: BTreeMap::new(),
            positions: BTreeMap::new(),
            legs: BTreeMap::new(),
            counts: names.iter().map(|(tag, _)| (*tag, Counts::default())).collect(),
            orders: BTreeMap::new(),
            fills: VecDeque::with_capacity(Self::FILLS_MAX),
            trading: None,
            halt: None,
            day: 0,
            seq: 0,
            at: UnixNanos(0),
            differences: 0,
            gaps: 0,
            overflows: 0,
        }
    }

    /// Counts one event, once.
    pub fn apply(&mut self, event: &OrderEvent) -> Taken {
        if event.seq <= self.seq {
            return Taken::Repeated;
        }
        let gap = self.seq != 0 && event.seq != self.seq + 1;
        self.gaps += u64::from(gap);
        (self.seq, self.at) = (event.seq, event.at);
        self.roll_day(event.at);
        if self.count(event).is_none() {
            self.overflows += 1;
        }
        if gap { Taken::AfterGap } else { Taken::Counted }
    }

    /// Values an instrument at the mid of this top of book. Not an event: marks are no part of what is rebuilt.
    pub fn mark(&mut self, instrument: InstrumentId, top: TopUsed) {
        if let Some(traded) = self.instruments.get_mut(&instrument) {
            let version = &traded.instrument.version;
            let sum = version.price_decimal(top.bid).checked_add(version.price_decimal(top.ask));
            traded.mark = sum.and_then(|sum| sum.checked_div(Decimal::TWO)).or(traded.mark);
        }
    }

    fn roll_day(&mut self, at: UnixNanos) {
        let day = at.0 / Self::NANOS_PER_DAY;
        if day > self.day {
            self.day = day;
            for counts in self.counts.values_mut() {
                counts.realised_today = Pnl::ZERO;
            }
        }
    }

    fn count(&mut self, event: &OrderEvent) -> Option<()> {
        match &event.body {
            EventBody::Instrument(version) => self.take_version(version),
            EventBody::Placed { order, .. } => {
                self.counts_of(order.strategy)?.orders += 1;
                self.keep(order)?;
            }
            EventBody::Refused { strategy, .. } => self.counts_of(*strategy)?.refused += 1,
            EventBody::Order { order, from, .. } => {
                if order.state == OrderState::Unknown && *from != OrderState::Unknown {
                    self.counts_of(order.strategy)?.unknown_seen += 1;
                }
                self.keep(order)?;
            }
            EventBody::Filled { fill, state, filled, .. } => {
                if let Some(order) = self.orders.get_mut(&fill.order) {
                    (order.state, order.filled) = (*state, *filled);
                    if state.is_terminal() {
                        self.orders.remove(&fill.order);
                    }
                }
                if self.fills.len() >= Self::FILLS_MAX {
                    self.fills.pop_front();
                }
                self.fills.push_back((event.seq, event.at, *fill));
                self.trade(fill)?;
            }
            EventBody::Balance { venue, wallet, asset, available, held } => {
                self.take_balance((*venue, *wallet, *asset), *available, *held)?
            }
            EventBody::Position { instrument, report, .. } => self.take_position(*instrument, report),
            EventBody::Funding { venue, instrument, asset, amount, .. } => {
                self.take_funding(*venue, *instrument, *asset, amount.0)?;
            }
            EventBody::Transfer { venue, wallet, asset, amount, .. } => {
                if let Some(balance) = self.balances.get_mut(&(*venue, *wallet, *asset)) {
                    balance.moved = balance.moved.checked_add(amount.0)?;
                }
            }
            EventBody::Trading { state, halt, .. } => (self.trading, self.halt) = (Some(*state), *halt),
            EventBody::Difference { .. } => self.differences += 1,
            EventBody::FuturesSettings { .. }
            | EventBody::Started { .. }
            | EventBody::CancelSent { .. }
            | EventBody::CancelRefused { .. }
            | EventBody::ForeignOrder { .. }
            | EventBody::Reconciled { .. }
            | EventBody::AskFailed { .. }
            | EventBody::Act { .. }
            | EventBody::Stopped => {}
        }
        Some(())
    }

    fn take_version(&mut self, version: &InstrumentVersion) {
        if let Some(traded) = self.instruments.get_mut(&version.id) {
            traded.instrument.version = *version;
            traded.versions.insert(version.version, *version);
            while traded.versions.len() > Self::VERSIONS_MAX {
                traded.versions.pop_first();
            }
        }
    }

    fn counts_of(&mut self, strategy: StrategyTag) -> Option<&mut Counts> {
        if !self.counts.contains_key(&strategy) && self.counts.len() >= Self::STRATEGIES_MAX {
            return None;
        }
        Some(self.counts.entry(strategy).or_default())
    }

    fn keep(&mut self, order: &Order) -> Option<()> {
        if order.state.is_terminal() {
            self.orders.remove(&order.id);
        } else if self.orders.len() < Self::ORDERS_MAX || self.orders.contains_key(&order.id) {
            self.orders.insert(order.id, *order);
        } else {
            return None;
        }
        Some(())
    }

    fn take_balance(&mut self, purse: Purse, available: Amount, held: Amount) -> Option<()> {
        let total = available.plus(held).ok()?;
        if let Some(balance) = self.balances.get_mut(&purse) {
            (balance.available, balance.held) = (available, held);
            return Some(());
        }
        if self.balances.len() >= Self::BALANCES_MAX {
            return None;
        }
        let (traded, moved) = (Decimal::ZERO, Decimal::ZERO);
        self.balances.insert(purse, Balance { available, held, opening: total, traded, moved });
        Some(())
    }

    fn trade(&mut self, fill: &Fill) -> Option<()> {
        let traded = self.instruments.get(&fill.instrument)?;
        let version = traded.versions.get(&fill.version)?;
        let (venue, base, quote) = (traded.instrument.venue, traded.instrument.base, traded.instrument.quote);
        let futures = traded.instrument.market.has_positions();
        let fee = |asset: Asset| {
            let here = fill.fee.asset == asset && !(futures && asset == base);
            if here { fill.fee.amount.0 } else { Decimal::ZERO }
        };
        let trade = Trade {
            side: fill.side,
            price: version.price_decimal(fill.price),
            qty: version.qty_decimal(fill.qty),
            fee_base: fee(base),
            fee_quote: fee(quote),
        };
        let before = self.positions.get(&(fill.strategy, fill.instrument)).copied().unwrap_or_default();
        let after = before.after(&trade)?;
        let gain = after.realised.0.checked_sub(before.realised.0)?;
        let wallet = if futures { self.futures_wallet(venue, quote) } else { Market::Spot };
        let mut moves = if futures {
            // The account's wallet gains by the venue's average cost, whatever each strategy's is.
            vec![(quote, self.close_leg(fill, &trade)?)]
        } else {
            vec![(base, trade.base()?), (quote, trade.quote()?)]
        };
        if fill.fee.asset != base && fill.fee.asset != quote {
            moves.push((fill.fee.asset, -fill.fee.amount.0));
        }
        for (asset, amount) in moves {
            self.note_traded((venue, wallet, asset), amount)?;
        }
        let counts = self.counts_of(fill.strategy)?;
        counts.fills += 1;
        counts.maker_fills += u64::from(fill.liquidity == Liquidity::Maker);
        counts.realised_today = Pnl(counts.realised_today.0.checked_add(gain)?);
        self.positions.insert((fill.strategy, fill.instrument), after);
        Some(())
    }

    pub(crate) fn note_traded(&mut self, purse: Purse, amount: Decimal) -> Option<()> {
        if let Some(balance) = self.balances.get_mut(&purse) {
            balance.traded = balance.traded.checked_add(amount)?;
        }
        Some(())
    }

    /// The wallet that margins futures: their own one where the venue has told of it, else the only one.
    pub(crate) fn futures_wallet(&self, venue: VenueId, asset: Asset) -> Market {
        let own = (venue, Market::UsdtFutures, asset);
        if self.balances.contains_key(&own) { Market::UsdtFutures } else { Market::Spot }
    }

    /// Adds funding to the strategy that alone holds a position on the instrument.
    pub(crate) fn add_funding(&mut self, instrument: InstrumentId, amount: Decimal) -> Option<()> {
        let holds = |(key, position): (&(StrategyTag, InstrumentId), &Position)| {
            (key.1 == instrument && !position.qty.0.is_zero()).then_some(*key)
        };
        let mut holders = self.positions.iter().filter_map(holds);
        let (Some(holder), None) = (holders.next(), holders.next()) else { return Some(()) };
        let position = self.positions.get_mut(&holder)?;
        position.funding = Amount(position.funding.0.checked_add(amount)?);
        let counts = self.counts_of(holder.0)?;
        counts.realised_today = Pnl(counts.realised_today.0.checked_add(amount)?);
        Some(())
    }

    /// Number of the latest event counted.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Events that were missing, and events that did not fit tables or arithmetic. Both are zero in health.
    #[must_use]
    pub const fn faults(&self) -> (u64, u64) {
        (self.gaps, self.overflows)
    }

    /// The position of one strategy on one instrument.
    #[must_use]
    pub fn position(&self, strategy: StrategyTag, instrument: InstrumentId) -> Position {
        self.positions.get(&(strategy, instrument)).copied().unwrap_or_default()
    }

    /// One strategy in numbers.
    #[must_use]
    pub fn counts(&self, strategy: StrategyTag) -> Counts {
        self.counts.get(&strategy).copied().unwrap_or_default()
    }

    /// A balance of a wallet as the venue last told it: free and held.
    #[must_use]
    pub fn balance(&self, venue: VenueId, wallet: Market, asset: Asset) -> Option<(Amount, Amount)> {
        self.balances.get(&(venue, wallet, asset)).map(|balance| (balance.available, balance.held))
    }

    /// Orders that may rest, by id.
    pub fn open_orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    /// Fills with their event's number and time, oldest first.
    pub fn fills(&self) -> impl DoubleEndedIterator<Item = &(u64, UnixNanos, Fill)> {
        self.fills.iter()
    }

    /// Whether each balance adds up with the fills.
    #[must_use]
    pub fn identity(&self) -> Vec<IdentityReport> {
        let report = |(&(venue, wallet, asset), balance): (&Purse, &Balance)| {
            let total = balance.available.0.saturating_add(balance.held.0);
            let difference = total.saturating_sub(balance.opening.0).saturating_sub(balance.traded);
            let difference = difference.saturating_sub(balance.moved);
            IdentityReport {
                venue,
                wallet,
                asset,
                opening: balance.opening,
                balance: Amount(total),
                traded: Amount(balance.traded),
                moved: Amount(balance.moved),
                difference: Amount(difference),
            }
        };
        self.balances.iter().map(report).collect()
    }

    /// All balances in quote at the latest marks, with what futures have won or lost on paper, and the assets held that
    /// have no price.
    #[must_use]
    pub fn equity(&self) -> (Amount, Vec<Asset>) {
        let mut sum = self.futures_unrealised();
        let mut unvalued = Vec::new();
        for ((venue, _, asset), balance) in &self.balances {
            let held = balance.available.0.saturating_add(balance.held.0);
            match self.price_of(*venue, *asset) {
                Some(price) => sum = sum.saturating_add(held.saturating_mul(price)),
                None if !held.is_zero() => unvalued.push(*asset),
                None => {}
            }
        }
        (Amount(sum), unvalued)
    }

    /// A quote asset counts as itself; another at the mid of an instrument of its venue.
    fn price_of(&self, venue: VenueId, asset: Asset) -> Option<Decimal> {
        let mut here = self.instruments.values().filter(|traded| traded.instrument.venue == venue);
        if here.clone().any(|traded| traded.instrument.quote == asset) {
            return Some(Decimal::ONE);
        }
        here.find_map(|traded| traded.mark.filter(|_| traded.instrument.base == asset))
    }

    pub(crate) fn mark_of(&self, instrument: InstrumentId) -> Option<Decimal> {
        self.instruments.get(&instrument)?.mark
    }

    pub(crate) fn positions(&self) -> impl Iterator<Item = (&(StrategyTag, InstrumentId), &Position)> {
        self.positions.iter()
    }

    pub(crate) fn instrument(&self, id: InstrumentId) -> Option<&Instrument> {
        Some(&self.instruments.get(&id)?.instrument)
    }

    pub(crate) fn strategy_name(&self, tag: StrategyTag) -> String {
        self.names.get(&tag).cloned().unwrap_or_else(|| unnamed("strategy", tag.0))
    }

    /// Everything at this moment; at most `fills_max` fills, newest first.
    #[must_use]
    pub fn snapshot(&self, fills_max: usize) -> Snapshot {
        let (equity, unvalued) = self.equity();
        let sum = |value: fn(&Position) -> Decimal| {
            self.positions.values().fold(Decimal::ZERO, |sum, position| sum.saturating_add(value(position)))
        };
        let strategies: Vec<StrategyView> =
            self.counts.iter().map(|(tag, counts)| self.strategy_view(*tag, counts)).collect();
        let today = self.counts.values().fold(Decimal::ZERO, |sum, counts| sum.saturating_add(counts.realised_today.0));
        let unrealised = strategies.iter().fold(Decimal::ZERO, |sum, view| sum.saturating_add(view.unrealised.0));
        Snapshot {
            seq: self.seq,
            at: self.at,
            trading: self.trading,
            halt: self.halt,
            equity,
            unvalued: unvalued.iter().map(|asset| asset.to_string()).collect(),
            realised: Pnl(sum(|position| position.realised.0)),
            unrealised: Pnl(unrealised),
            realised_today: Pnl(today),
            fees: Amount(sum(|position| position.fees.0)),
            funding: Amount(self.legs.values().fold(Decimal::ZERO, |sum, leg| sum.saturating_add(leg.funding.0))),
            unknown: self.orders.values().filter(|order| order.state == OrderState::Unknown).count() as u64,
            differences: self.differences,
            strategies,
            balances: self.balance_views(),
            positions: self.positions.iter().map(|(key, position)| self.position_view(*key, position)).collect(),
            open_orders: self.orders.values().map(|order| self.order_view(order)).collect(),
            fills: self
                .fills
                .iter()
                .rev()
                .take(fills_max)
                .map(|(seq, at, fill)| self.fill_view(*seq, *at, fill))
                .collect(),
        }
    }

    fn strategy_view(&self, tag: StrategyTag, counts: &Counts) -> StrategyView {
        let own = || self.positions.iter().filter(|((strategy, _), _)| *strategy == tag);
        let sum =
            |value: fn(&Position) -> Decimal| own().fold(Decimal::ZERO, |sum, (_, own)| sum.saturating_add(value(own)));
        let unrealised = own().fold(Decimal::ZERO, |sum, ((_, instrument), position)| {
            let open = self.mark_of(*instrument).map_or(Decimal::ZERO, |mark| position.unrealised(mark).0);
            sum.saturating_add(open)
        });
        StrategyView {
            name: self.strategy_name(tag),
            tag,
            orders: counts.orders,
            fills: counts.fills,
            maker_fills: counts.maker_fills,
            refused: counts.refused,
            unknown_seen: counts.unknown_seen,
            realised: Pnl(sum(|position| position.realised.0)),
            unrealised: Pnl(unrealised),
            realised_today: counts.realised_today,
            fees: Amount(sum(|position| position.fees.0)),
            funding: Amount(sum(|position| position.funding.0)),
        }
    }

    fn balance_views(&self) -> Vec<BalanceView> {
        let view = |(&(venue, wallet, asset), balance): (&Purse, &Balance)| {
            let held = balance.available.0.saturating_add(balance.held.0);
            let price = self.price_of(venue, asset);
            (!held.is_zero()).then(|| BalanceView {
                venue: venue.0,
                wallet,
                asset: asset.to_string(),
                available: balance.available,
                held: balance.held,
                value: price.map(|price| Amount(held.saturating_mul(price))),
            })
        };
        self.balances.iter().filter_map(view).collect()
    }

    fn position_view(&self, (tag, instrument): (StrategyTag, InstrumentId), position: &Position) -> PositionView {
        let mark = self.mark_of(instrument);
        PositionView {
            strategy: self.strategy_name(tag),
            venue: self.instrument(instrument).map_or(0, |instrument| instrument.venue.0),
            instrument: self.instrument_name(instrument),
            futures: self.futures_view(instrument, position),
            qty: position.qty,
            cost: position.cost,
            value: mark.map(|mark| Amount(position.qty.0.saturating_mul(mark))),
            realised: position.realised,
            unrealised: mark.map(|mark| position.unrealised(mark)),
            fees: position.fees,
        }
    }

    fn order_view(&self, order: &Order) -> OrderView {
        let qty = |qty| self.qty(order.instrument, order.version, qty);
        OrderView {
            id: order.id,
            venue_order_id: order.venue_order_id.map(|id| id.to_string()),
            strategy: self.strategy_name(order.strategy),
            instrument: self.instrument_name(order.instrument),
            side: order.side,
            price: self.price(order.instrument, order.version, order.price),
            qty: qty(order.qty),
            filled: qty(order.filled),
            time_in_force: order.time_in_force,
            state: order.state,
            created: order.created,
        }
    }

    fn fill_view(&self, seq: u64, at: UnixNanos, fill: &Fill) -> FillView {
        FillView {
            seq,
            at,
            trade_id: fill.trade_id.to_string(),
            order: fill.order,
            strategy: self.strategy_name(fill.strategy),
            instrument: self.instrument_name(fill.instrument),
            side: fill.side,
            price: self.price(fill.instrument, fill.version, fill.price),
            qty: self.qty(fill.instrument, fill.version, fill.qty),
            fee: fill.fee.amount,
            fee_asset: fill.fee.asset.to_string(),
            liquidity: fill.liquidity,
        }
    }

    fn instrument_name(&self, id: InstrumentId) -> String {
        instrument_name(self.instrument(id).map(|instrument| instrument.symbol.as_str()), id)
    }

    fn version(&self, instrument: InstrumentId, version: u32) -> Option<&InstrumentVersion> {
        self.instruments.get(&instrument)?.versions.get(&version)
    }

    fn price(&self, instrument: InstrumentId, version: u32, price: Price) -> Scaled {
        let bare = Scaled { mantissa: price.0, decimals: 0 };
        self.version(instrument, version).map_or(bare, |version| version.price_scaled(price))
    }

    fn qty(&self, instrument: InstrumentId, version: u32, qty: domain::Qty) -> Scaled {
        let bare = Scaled { mantissa: qty.0, decimals: 0 };
        self.version(instrument, version).map_or(bare, |version| version.qty_scaled(qty))
    }
}
