//! What the account has at stake: open orders at their worst, positions, profit and loss, free balances.
//!
//! Invariants: an order counts with everything that may still reach the position, a fill that was announced but not
//! seen included; an unknown order counts as if it rested whole; tables are taken at construction and never grow;
//! an amount that leaves the range marks the whole exposure as broken, and a broken exposure refuses every order.
//!
//! Amounts of different quote assets are added as they are; accounts are configured with one quote asset.

mod futures;
mod ledger;
mod open;

use crate::fixed::{Atto, Scale, atto};
use crate::limits::down_to_lot;
use domain::{
    Amount, Asset, Fill, Instrument, InstrumentId, InstrumentVersion, Market, Notional, Order, OrderState, Pnl, Qty,
    Side, StrategyTag, UnixNanos, VenueId,
};
pub(crate) use futures::Futures;
use messages::{OrderIntent, PositionAfter, RefuseReason, TopUsed};
use open::OpenOrder;
use rust_decimal::Decimal;

/// Position of one strategy on one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Bought minus sold minus fees taken in base; negative: short, on perpetual futures.
    pub qty: Amount,
    /// What the quantity held has cost, in quote, by average cost; before fees. Negative: what a short one brought.
    pub cost: Amount,
    /// Profit or loss of what was closed, after all fees, in quote.
    pub realised: Pnl,
    /// Fees paid, in quote; those taken in base are valued at their fill's price. Fees in a third asset are not
    /// contained.
    pub fees_quote: Amount,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    position: Position,
    unrealised: Decimal,
    open_buy: Atto,
    open_sell: Atto,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    tag: StrategyTag,
    pnl: ProfitLoss,
    open_orders: u32,
}

/// Profit and loss of an account or strategy, with the point from which the day counts.
#[derive(Debug, Clone, Copy, Default)]
struct ProfitLoss {
    realised: Decimal,
    unrealised: Decimal,
    day_start: Decimal,
    /// Realised plus unrealised minus `day_start`.
    day: Atto,
}

impl ProfitLoss {
    fn total(&self) -> Option<Decimal> {
        self.realised.checked_add(self.unrealised)
    }

    fn refresh(&mut self) -> Option<()> {
        self.day = atto(self.total()?.checked_sub(self.day_start)?)?;
        Some(())
    }
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    quote: usize,
    base: usize,
    base_asset: Asset,
    quote_asset: Asset,
    scales: [Option<Scale>; Exposure::VERSIONS_MAX],
    current: Scale,
    lot: i64,
    /// Sum over strategies.
    position: Atto,
    /// `position` in quantity mantissas of the current version, rounded up.
    position_steps: i128,
    /// Doubled mid in the current price decimals; zero before the first mark.
    doubled_mid: i128,
    /// The mid, or the latest fill's price before the first mark.
    mark: Decimal,
    open_buy_notional: Atto,
    unknown: u32,
    best_buy: Option<Atto>,
    best_sell: Option<Atto>,
    /// What a perpetual future has and spot has not.
    futures: Option<Futures>,
    /// This instrument's part of the gross exposure at the latest mark.
    gross: Atto,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Balance {
    venue: VenueId,
    wallet: Market,
    asset: Asset,
    /// The instrument through whose mid this asset is valued; `None`: it is a quote asset and counts as itself.
    valued_by: Option<usize>,
    known: bool,
    available: Atto,
    held: Atto,
    /// What own orders may still take.
    committed: Atto,
    /// Initial margin of own futures at their worst.
    margin: Atto,
    /// Result of own futures at the latest marks.
    unrealised: Decimal,
    /// What fills brought since the venue last told the balance.
    credited: Atto,
    /// What fills took since then.
    debited: Atto,
}

impl Balance {
    /// What an order may use: what is free at the venue, and not more than what own orders leave.
    pub(crate) fn free(&self) -> Option<Atto> {
        if !self.known {
            return Some(0);
        }
        let free = self.available.checked_add(self.credited)?;
        let left = free.checked_add(self.held)?.checked_sub(self.debited)?.checked_sub(self.committed)?;
        if self.margin == 0 { Some(free.min(left)) } else { self.free_beside_futures(free, left) }
    }

    /// What positions leave; kept out of the way of spot.
    #[inline(never)]
    fn free_beside_futures(&self, free: Atto, left: Atto) -> Option<Atto> {
        // A profit on paper is no money of ours yet; a loss already binds.
        let loss = atto(self.unrealised)?.min(0);
        Some(free.min(left.checked_sub(self.margin)?.checked_add(loss)?))
    }
}

/// What the check needs to know about one strategy on one instrument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) scale: &'a Scale,
    /// The position over all strategies in quantity mantissas, rounded up.
    pub(crate) position_steps: i128,
    pub(crate) open_buy_notional: Atto,
    pub(crate) unknown: u32,
    pub(crate) best_buy: Option<Atto>,
    pub(crate) best_sell: Option<Atto>,
    /// Positions and margin, on a perpetual future.
    pub(crate) futures: Option<&'a Futures>,
    /// Gross exposure of all other instruments.
    pub(crate) gross_elsewhere: Atto,
    pub(crate) quote: Option<&'a Balance>,
    pub(crate) base: Option<&'a Balance>,
    pub(crate) own: OwnView,
}

/// What the check needs to know about the strategy that asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnView {
    pub(crate) position: Atto,
    pub(crate) open_buy: Atto,
    pub(crate) open_sell: Atto,
    pub(crate) open_orders: u32,
    pub(crate) day: Atto,
}

/// Exposure per instrument and strategy, kept by the order path with every order, fill, mark and balance.
#[derive(Debug)]
pub struct Exposure {
    slots: Vec<Option<Slot>>,
    rows: Vec<Row>,
    rows_max: usize,
    cells: Vec<Cell>,
    open: Vec<OpenOrder>,
    balances: Vec<Balance>,
    pnl: ProfitLoss,
    peak: Decimal,
    drawdown: Decimal,
    /// `drawdown` in billionths.
    drawdown_billionths: i128,
    gross: Atto,
    open_orders: u32,
    unknown_orders: u32,
    day: u64,
    broken: bool,
}

impl Exposure {
    /// Orders tracked at once: all that may rest, and ended ones with a fill still missing.
    pub const ORDERS_MAX: usize = 2_048;
    /// Strategies that are no longer configured but still have orders or fills.
    pub const SPARE_STRATEGIES: usize = 16;
    /// Versions of one instrument whose decimals are remembered.
    pub const VERSIONS_MAX: usize = 8;
    const NANOS_PER_DAY: u64 = 86_400_000_000_000;

    /// Empty exposure over these instruments and strategies; the operator's tag 0 is always among them. Futures are
    /// margined by a wallet of their own.
    #[must_use]
    pub fn new(instruments: &[Instrument], strategies: &[StrategyTag], unix_now: UnixNanos) -> Self {
        Self::with_unified(instruments, strategies, &[], unix_now)
    }

    /// The same, where the accounts of the venues in `unified` have one wallet for spot and futures.
    #[must_use]
    pub fn with_unified(
        instruments: &[Instrument],
        strategies: &[StrategyTag],
        unified: &[VenueId],
        unix_now: UnixNanos,
    ) -> Self {
        let slots = instruments.iter().map(|instrument| instrument.id.index() + 1).max().unwrap_or(0);
        let rows_max = strategies.len() + 1 + Self::SPARE_STRATEGIES;
        let mut exposure = Self {
            slots: vec![None; slots],
            rows: Vec::with_capacity(rows_max),
            rows_max,
            cells: vec![Cell::default(); rows_max * slots],
            open: Vec::with_capacity(Self::ORDERS_MAX),
            balances: Vec::new(),
            pnl: ProfitLoss::default(),
            peak: Decimal::ZERO,
            drawdown: Decimal::ZERO,
            drawdown_billionths: 0,
            gross: 0,
            open_orders: 0,
            unknown_orders: 0,
            day: unix_now.0 / Self::NANOS_PER_DAY,
            broken: false,
        };
        for instrument in instruments {
            exposure.add_instrument(instrument, unified.contains(&instrument.venue));
        }
        for tag in strategies.iter().chain(&[StrategyTag(0)]) {
            exposure.row_or_new(*tag);
        }
        exposure
    }

    fn add_instrument(&mut self, instrument: &Instrument, unified: bool) {
        let Some(scale) = Scale::of(&instrument.version) else {
            self.broken = true;
            return;
        };
        let wallet = if unified { Market::Spot } else { instrument.market };
        let quote = self.balance_index(instrument.venue, wallet, instrument.quote, None);
        // No coins change hands on futures: there is no balance of the base.
        let base = if instrument.market.has_positions() {
            quote
        } else {
            self.balance_index(instrument.venue, wallet, instrument.base, Some(instrument.id.index()))
        };
        let mut scales = [None; Self::VERSIONS_MAX];
        if let Some(first) = scales.first_mut() {
            *first = Some(scale);
        }
        let slot = Slot {
            quote,
            base,
            base_asset: instrument.base,
            quote_asset: instrument.quote,
            scales,
            current: scale,
            lot: instrument.version.lot,
            position: 0,
            position_steps: 0,
            doubled_mid: 0,
            mark: Decimal::ZERO,
            open_buy_notional: 0,
            unknown: 0,
            best_buy: None,
            best_sell: None,
            futures: instrument.market.has_positions().then(Futures::default),
            gross: 0,
        };
        if let Some(place) = self.slots.get_mut(instrument.id.index()) {
            *place = Some(slot);
        }
    }

    fn balance_index(&mut self, venue: VenueId, wallet: Market, asset: Asset, valued_by: Option<usize>) -> usize {
        let is_it = |held: &Balance| held.venue == venue && held.wallet == wallet && held.asset == asset;
        if let Some(index) = self.balances.iter().position(is_it) {
            // An asset that is quote anywhere counts as itself.
            if let (Some(balance), None) = (self.balances.get_mut(index), valued_by) {
                balance.valued_by = None;
            }
            return index;
        }
        let (known, available, held, committed, credited, debited) = (false, 0, 0, 0, 0, 0);
        let (margin, unrealised) = (0, Decimal::ZERO);
        self.balances.push(Balance {
            venue,
            wallet,
            asset,
            valued_by,
            known,
            available,
            held,
            committed,
            margin,
            unrealised,
            credited,
            debited,
        });
        self.balances.len() - 1
    }

    /// New trading rules; decimals of earlier versions stay known for their orders and fills.
    pub fn set_version(&mut self, version: InstrumentVersion) {
        let done = self.slot_mut(version.id).and_then(|slot| slot.adopt(&version));
        self.note(done);
    }

    /// Counts an order as it is now; `before` is what it was, as known to the caller. The same order again changes
    /// nothing.
    pub fn on_order(&mut self, before: Option<&Order>, after: &Order) {
        // An order that has only been checked counts for nothing yet, and no later state goes back to it.
        let counts_for_nothing =
            |order: &Order| order.state == OrderState::Checked && order.filled <= order.filled_by_fills;
        if before.map_or_else(|| counts_for_nothing(after), |before| before == after) {
            return;
        }
        let first = before.is_some_and(counts_for_nothing);
        let done = self.recount(after, first);
        self.note(done);
    }

    /// Counts a fill, once; the caller has sorted out repeated ones by trade id.
    pub fn on_fill(&mut self, fill: &Fill) -> PositionAfter {
        match self.book_fill(fill) {
            Some(after) => after,
            None => {
                self.broken = true;
                PositionAfter { qty: self.position(fill.strategy, fill.instrument).qty, realised: Pnl::ZERO }
            }
        }
    }

    /// Values positions at the mid of `top`.
    pub fn mark(&mut self, instrument: InstrumentId, top: TopUsed) {
        let done = self.mark_at(instrument, i128::from(top.bid.0) + i128::from(top.ask.0));
        self.note(done);
    }

    /// A balance of a wallet as the venue tells it; assets that no instrument uses are left out.
    pub fn on_balance(&mut self, venue: VenueId, wallet: Market, asset: Asset, available: Amount, held: Amount) {
        let is_it = |known: &&mut Balance| known.venue == venue && known.wallet == wallet && known.asset == asset;
        let Some(balance) = self.balances.iter_mut().find(is_it) else {
            return;
        };
        match (atto(available.0), atto(held.0)) {
            (Some(available), Some(held)) => {
                (balance.available, balance.held, balance.known) = (available, held, true);
                (balance.credited, balance.debited) = (0, 0);
            }
            _ => self.broken = true,
        }
        let done = self.refresh();
        self.note(done);
    }

    /// Begins a new UTC day when `now` lies in one: the daily figures count from here.
    pub fn roll_day(&mut self, now: UnixNanos) {
        let day = now.0 / Self::NANOS_PER_DAY;
        if day <= self.day {
            return;
        }
        self.day = day;
        let done = self.restart_day();
        self.note(done);
    }

    fn restart_day(&mut self) -> Option<()> {
        for row in &mut self.rows {
            row.pnl.day_start = row.pnl.total()?;
            row.pnl.refresh()?;
        }
        self.pnl.day_start = self.pnl.total()?;
        self.refresh()
    }

    /// The position of one strategy on one instrument; empty when there is none.
    #[must_use]
    pub fn position(&self, strategy: StrategyTag, instrument: InstrumentId) -> Position {
        self.cell(strategy, instrument).map_or(Position::default(), |cell| cell.position)
    }

    /// Whether an order may raise the risk of the account; on spot a buy does.
    ///
    /// # Errors
    /// [`RefuseReason::NothingToReduce`] when it is to reduce only and there is not so much left;
    /// [`RefuseReason::PositionMode`] when it names a position where the instrument has none.
    #[inline]
    pub(crate) fn raises(&self, intent: &OrderIntent) -> Result<bool, RefuseReason> {
        let Some(slot) = self.slot(intent.instrument) else { return Ok(intent.side == Side::Buy) };
        let Some(futures) = &slot.futures else {
            return if intent.effect.is_default() {
                Ok(intent.side == Side::Buy)
            } else {
                Err(RefuseReason::PositionMode)
            };
        };
        slot.futures_raise(futures, intent)
    }

    /// What the strategy may still sell: its position cut to the lot, minus its own open sells.
    #[must_use]
    pub fn sellable(&self, strategy: StrategyTag, instrument: InstrumentId) -> Qty {
        let (Some(cell), Some(slot)) = (self.cell(strategy, instrument), self.slot(instrument)) else {
            return Qty::ZERO;
        };
        let left = atto(cell.position.qty.0).and_then(|position| position.checked_sub(cell.open_sell));
        let mantissa = left.and_then(|left| slot.current.qty_down(left)).unwrap_or(0);
        down_to_lot(mantissa, slot.lot)
    }

    /// Orders that may rest.
    #[must_use]
    pub const fn open_orders(&self) -> u32 {
        self.open_orders
    }

    /// Orders whose outcome is not known.
    #[must_use]
    pub const fn unknown_orders(&self) -> u32 {
        self.unknown_orders
    }

    /// Realised and unrealised result since 00:00 UTC, after fees. After a restart the day's fills count and what is
    /// held counts from its cost, which errs on the side of halting.
    #[must_use]
    pub fn day_pnl(&self) -> Pnl {
        Pnl(self.pnl.total().and_then(|total| total.checked_sub(self.pnl.day_start)).unwrap_or(Decimal::MIN))
    }

    /// Realised and unrealised result since the first fill known, after fees.
    #[must_use]
    pub fn total_pnl(&self) -> Pnl {
        Pnl(self.pnl.total().unwrap_or(Decimal::MIN))
    }

    /// The part of the day's result that belongs to one strategy.
    #[must_use]
    pub fn strategy_day_pnl(&self, strategy: StrategyTag) -> Pnl {
        let day = |row: &Row| row.pnl.total()?.checked_sub(row.pnl.day_start);
        Pnl(self.rows.iter().find(|row| row.tag == strategy).and_then(day).unwrap_or(Decimal::ZERO))
    }

    /// Loss from the highest result so far, as a fraction of what the account would be worth without it; zero until
    /// a balance is known.
    #[must_use]
    pub const fn drawdown(&self) -> Decimal {
        self.drawdown
    }

    /// Positions at the latest marks plus all open buys, over all instruments.
    #[must_use]
    pub fn gross_exposure(&self) -> Notional {
        Notional(from_atto(self.gross))
    }

    /// The largest worst-case position of any instrument, at the latest marks.
    #[must_use]
    pub fn largest_position(&self) -> Notional {
        Notional(from_atto(self.slots.iter().flatten().map(|slot| slot.gross).max().unwrap_or(0)))
    }

    /// Sum of all strategies' positions on an instrument, in base.
    #[must_use]
    pub fn instrument_position(&self, instrument: InstrumentId) -> Amount {
        Amount(self.slot(instrument).map_or(Decimal::ZERO, |slot| from_atto(slot.position)))
    }

    /// Whether an amount left the range of the arithmetic; then every order is refused until a restart.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// The day's result in units of 10^-18.
    pub(crate) const fn day_atto(&self) -> Atto {
        self.pnl.day
    }

    /// The drawdown in billionths.
    pub(crate) const fn drawdown_billionths(&self) -> i128 {
        self.drawdown_billionths
    }

    pub(crate) const fn gross_atto(&self) -> Atto {
        self.gross
    }

    pub(crate) fn largest_atto(&self) -> Atto {
        self.slots.iter().flatten().map(|slot| slot.gross).max().unwrap_or(0)
    }

    /// Everything the check needs; `None` for an instrument, version or strategy that has no place here.
    pub(crate) fn view(&self, strategy: StrategyTag, version: &InstrumentVersion) -> Option<View<'_>> {
        let slot = self.slot(version.id)?;
        let row_index = self.rows.iter().position(|row| row.tag == strategy)?;
        let row = self.rows.get(row_index)?;
        let cell = self.cells.get(row_index * self.slots.len() + version.id.index())?;
        let scale = slot.scale(version.version)?;
        let current = slot.current.version == version.version;
        Some(View {
            scale,
            position_steps: if current { slot.position_steps } else { scale.steps_up(slot.position)? },
            open_buy_notional: slot.open_buy_notional,
            unknown: slot.unknown,
            best_buy: slot.best_buy,
            best_sell: slot.best_sell,
            futures: slot.futures.as_ref(),
            gross_elsewhere: self.gross.checked_sub(slot.gross)?,
            quote: self.balances.get(slot.quote),
            base: self.balances.get(slot.base),
            own: OwnView {
                position: atto(cell.position.qty.0)?,
                open_buy: cell.open_buy,
                open_sell: cell.open_sell,
                open_orders: row.open_orders,
                day: row.pnl.day,
            },
        })
    }

    fn note(&mut self, done: Option<()>) {
        self.broken |= done.is_none();
    }

    fn slot(&self, instrument: InstrumentId) -> Option<&Slot> {
        self.slots.get(instrument.index())?.as_ref()
    }

    fn slot_mut(&mut self, instrument: InstrumentId) -> Option<&mut Slot> {
        self.slots.get_mut(instrument.index())?.as_mut()
    }

    fn row_or_new(&mut self, strategy: StrategyTag) -> Option<usize> {
        if let Some(index) = self.rows.iter().position(|row| row.tag == strategy) {
            return Some(index);
        }
        if self.rows.len() >= self.rows_max {
            return None;
        }
        self.rows.push(Row { tag: strategy, pnl: ProfitLoss::default(), open_orders: 0 });
        Some(self.rows.len() - 1)
    }

    fn cell(&self, strategy: StrategyTag, instrument: InstrumentId) -> Option<&Cell> {
        let row = self.rows.iter().position(|row| row.tag == strategy)?;
        self.slot(instrument)?;
        self.cells.get(row * self.slots.len() + instrument.index())
    }
}

impl Slot {
    fn scale(&self, version: u32) -> Option<&Scale> {
        if self.current.version == version {
            return Some(&self.current);
        }
        self.scales.iter().flatten().find(|scale| scale.version == version)
    }

    fn adopt(&mut self, version: &InstrumentVersion) -> Option<()> {
        let scale = Scale::of(version)?;
        self.lot = version.lot;
        if self.current.version != scale.version {
            // Another price scale makes the old doubled mid meaningless.
            self.doubled_mid = 0;
        }
        self.current = scale;
        self.position_steps = scale.steps_up(self.position)?;
        if !self.scales.iter().flatten().any(|known| known.version == scale.version) {
            self.scales.rotate_right(1);
            *self.scales.first_mut()? = Some(scale);
        }
        Some(())
    }

    #[inline(never)]
    fn futures_raise(&self, futures: &Futures, intent: &OrderIntent) -> Result<bool, RefuseReason> {
        let qty = self.scale(intent.qty.version()).and_then(|scale| scale.qty(intent.qty.qty()));
        futures.raises(intent.side, intent.effect, qty.ok_or(RefuseReason::Arithmetic)?)
    }

    /// Position at the latest mark plus all open buys; on futures the worse of both sides, at the mark.
    fn worst(&self) -> Option<Atto> {
        if let Some(futures) = &self.futures {
            return atto(from_atto(futures.worst()?).checked_mul(self.mark)?);
        }
        let value = atto(from_atto(self.position).checked_mul(self.mark)?)?;
        value.checked_abs()?.checked_add(self.open_buy_notional)
    }
}

/// An amount as a decimal; digits that a decimal cannot hold are cut.
fn from_atto(amount: Atto) -> Decimal {
    const CUT: i128 = 10_000_000_000;
    Decimal::try_from_i128_with_scale(amount, 18)
        .or_else(|_| Decimal::try_from_i128_with_scale(amount / CUT, 8))
        .unwrap_or(if amount < 0 { Decimal::MIN } else { Decimal::MAX })
}
