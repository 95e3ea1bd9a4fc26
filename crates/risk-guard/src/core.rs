//! The check that every order passes before it is signed: (intent, rules, gate, book, exposure, now) -> yes or a reason.
//!
//! Invariants: a [`CheckedOrder`] comes from [`RiskGuard::check`] alone; nothing here allocates after construction;
//! an amount that cannot be computed is a refusal; a refused order uses up neither rate nor the duplicate window.

mod window;

use crate::exposure::{Balance, Exposure, Futures, View};
use crate::fixed::{Atto, BILLION, product};
use crate::limits::{FixedBudget, FixedLimits, Limits, LoosenRefused, StrategyLimits, on_grid};
use domain::{InstrumentStatus, InstrumentVersion, MonoNanos, Qty, Side, StrategyTag};
use messages::{HaltReason, OrderIntent, RefuseReason, TopUsed, TradingState};
use window::{Outcomes, Pace, Recent};

/// What must hold at a venue before any order goes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// Whether trading goes on.
    pub trading: TradingState,
    /// The venue was asked what rests there, and differences are resolved.
    pub reconciled: bool,
    /// Venue time is known well enough.
    pub clock_ok: bool,
    /// The key may place orders.
    pub key_active: bool,
    /// The private stream delivers fills.
    pub stream_live: bool,
    /// Journal and `wire.log` take records.
    pub durable: bool,
    /// The program is ending.
    pub stopping: bool,
}

/// An order that passed every check. Not cloneable: one check, one signature.
#[derive(Debug, PartialEq, Eq)]
pub struct CheckedOrder {
    intent: OrderIntent,
}

impl CheckedOrder {
    /// What was checked.
    #[must_use]
    pub const fn intent(&self) -> &OrderIntent {
        &self.intent
    }
}

/// How much of each limit is used, 0 to 1 and beyond when it is exceeded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsedRatios {
    /// Orders that may rest.
    pub open_orders: f64,
    /// Orders within the last second.
    pub order_rate: f64,
    /// The largest worst-case position.
    pub position: f64,
    /// Gross exposure.
    pub gross_exposure: f64,
    /// Loss of the day.
    pub daily_loss: f64,
    /// Drawdown.
    pub drawdown: f64,
    /// Share of rejected orders.
    pub reject_ratio: f64,
}

/// Account-wide pre-trade limits and what they remember.
#[derive(Debug)]
pub struct RiskGuard {
    limits: Limits,
    fixed: FixedLimits,
    budgets: Vec<(StrategyTag, FixedBudget)>,
    orders: Pace,
    cancels: Pace,
    recent: Recent,
    outcomes: Outcomes,
}

impl RiskGuard {
    /// A guard with these limits, which the caller has validated.
    #[must_use]
    pub fn new(limits: Limits, per_strategy: &[(StrategyTag, StrategyLimits)]) -> Self {
        Self {
            fixed: FixedLimits::of(&limits),
            budgets: per_strategy.iter().map(|(tag, own)| (*tag, FixedBudget::of(own))).collect(),
            orders: Pace::new(limits.max_orders_per_second),
            cancels: Pace::new(limits.max_cancels_per_second),
            recent: Recent::new(),
            outcomes: Outcomes::default(),
            limits,
        }
    }

    /// The limits in force.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Checks one intent against everything; remembers it if it passes.
    ///
    /// # Errors
    /// The first reason against it; the caller tells the strategy and sends nothing.
    pub fn check(
        &mut self,
        intent: &OrderIntent,
        version: &InstrumentVersion,
        gate: &Gate,
        top: Result<TopUsed, RefuseReason>,
        exposure: &Exposure,
        now: MonoNanos,
    ) -> Result<CheckedOrder, RefuseReason> {
        let stance = exposure.raises(intent);
        let raises = stance.unwrap_or(true);
        gate_allows(gate, raises)?;
        self.results_allow(raises, exposure)?;
        rules_allow(intent, version)?;
        if exposure.is_broken() {
            return Err(RefuseReason::Arithmetic);
        }
        stance?;
        let view = exposure.view(intent.strategy, version).ok_or(RefuseReason::StrategyBudget)?;
        let qty = view.scale.qty(intent.qty.qty()).ok_or(RefuseReason::Arithmetic)?;
        let notional = view.scale.notional(intent.price.price(), intent.qty.qty()).ok_or(RefuseReason::Arithmetic)?;
        minimum_allows(notional, version)?;
        let doubled_mid = self.book_allows(intent, top?, now)?;
        self.size_allows(notional, qty)?;
        let margin = match view.futures {
            Some(futures) => self.futures_allow(intent, qty, doubled_mid, raises, futures, &view)?,
            None => {
                if raises {
                    self.exposure_allows(notional, doubled_mid, &view)?;
                }
                0
            }
        };
        if exposure.open_orders() >= self.limits.max_open_orders {
            return Err(RefuseReason::OpenOrders);
        }
        if !self.orders.has_room(now) {
            return Err(RefuseReason::OrderRate);
        }
        self_trade_allows(intent, &view)?;
        if self.recent.holds(intent, now, self.limits.duplicate_window) {
            return Err(RefuseReason::Duplicate);
        }
        if view.futures.is_none() {
            ownership_allows(intent.side, qty, &view)?;
        }
        self.budget_allows(intent, qty, notional, &view)?;
        if view.futures.is_some() {
            margin_allows(margin, &view)?;
        } else {
            balance_allows(intent.side, qty, notional, &view)?;
        }
        self.orders.take(now);
        self.recent.remember(intent, now);
        Ok(CheckedOrder { intent: *intent })
    }

    /// Whether one more cancel may go out; counts it if so.
    ///
    /// # Errors
    /// [`RefuseReason::CancelRate`]: the caller asks again a moment later.
    pub fn check_cancel(&mut self, now: MonoNanos) -> Result<(), RefuseReason> {
        if !self.cancels.has_room(now) {
            return Err(RefuseReason::CancelRate);
        }
        self.cancels.take(now);
        Ok(())
    }

    /// Remembers how the venue took an order.
    pub const fn on_outcome(&mut self, rejected: bool) {
        self.outcomes.add(rejected);
    }

    /// Forgets past rejects: a person has looked at them and resumed trading.
    pub fn rearm(&mut self) {
        self.outcomes = Outcomes::default();
    }

    /// The limit that is reached and stops all trading, if one is.
    #[must_use]
    pub fn must_halt(&self, exposure: &Exposure) -> Option<HaltReason> {
        if self.daily_loss_reached(exposure) {
            return Some(HaltReason::DailyLoss);
        }
        self.drawdown_reached(exposure).then_some(HaltReason::Drawdown)
    }

    /// Takes tighter limits at once.
    ///
    /// # Errors
    /// [`LoosenRefused`] when any limit would be looser or is out of range; nothing is changed.
    pub fn tighten(&mut self, limits: Limits) -> Result<(), LoosenRefused> {
        let mut loosened = self.limits.loosened_by(&limits);
        if let Err(error) = limits.validate() {
            loosened.push(error.limit);
        }
        if !loosened.is_empty() {
            return Err(LoosenRefused { loosened });
        }
        self.fixed = FixedLimits::of(&limits);
        self.orders.set_limit(limits.max_orders_per_second);
        self.cancels.set_limit(limits.max_cancels_per_second);
        self.limits = limits;
        Ok(())
    }

    /// How much of each limit is used.
    #[must_use]
    pub fn used_ratios(&self, exposure: &Exposure, now: MonoNanos) -> UsedRatios {
        UsedRatios {
            open_orders: f64::from(exposure.open_orders()) / f64::from(self.limits.max_open_orders.max(1)),
            order_rate: f64::from(self.orders.used(now)) / f64::from(self.limits.max_orders_per_second.max(1)),
            position: ratio(exposure.largest_atto(), self.fixed.position_notional),
            gross_exposure: ratio(exposure.gross_atto(), self.fixed.gross_exposure),
            daily_loss: ratio(exposure.day_atto().saturating_neg().max(0), self.fixed.daily_loss),
            drawdown: ratio(exposure.drawdown_billionths(), self.fixed.drawdown),
            reject_ratio: ratio(self.outcomes.billionths(), self.fixed.reject_ratio),
        }
    }

    fn daily_loss_reached(&self, exposure: &Exposure) -> bool {
        exposure.day_atto() <= self.fixed.daily_loss.saturating_neg()
    }

    fn drawdown_reached(&self, exposure: &Exposure) -> bool {
        exposure.drawdown_billionths() >= self.fixed.drawdown
    }

    /// Losses and rejects stop what raises risk; what was bought may still be sold.
    fn results_allow(&self, raises: bool, exposure: &Exposure) -> Result<(), RefuseReason> {
        if !raises {
            return Ok(());
        }
        if self.daily_loss_reached(exposure) {
            return Err(RefuseReason::DailyLoss);
        }
        if self.drawdown_reached(exposure) {
            return Err(RefuseReason::Drawdown);
        }
        if self.outcomes.billionths() > self.fixed.reject_ratio {
            return Err(RefuseReason::RejectRatio);
        }
        Ok(())
    }

    /// The doubled mid of a fresh, sane book within the collar of which the price lies.
    fn book_allows(&self, intent: &OrderIntent, top: TopUsed, now: MonoNanos) -> Result<i128, RefuseReason> {
        if now.since(top.received) > self.limits.max_feed_age {
            return Err(RefuseReason::StaleBook);
        }
        if top.bid.0 <= 0 || top.bid >= top.ask {
            return Err(RefuseReason::InvalidBook);
        }
        let doubled_mid = i128::from(top.bid.0) + i128::from(top.ask.0);
        let distance = (2 * i128::from(intent.price.price().0) - doubled_mid).abs();
        let allowed = product(self.fixed.collar, doubled_mid).ok_or(RefuseReason::Arithmetic)?;
        if distance * BILLION > allowed {
            return Err(RefuseReason::PriceCollar);
        }
        Ok(doubled_mid)
    }

    fn size_allows(&self, notional: Atto, qty: Atto) -> Result<(), RefuseReason> {
        if notional > self.fixed.order_notional || qty > self.fixed.order_qty {
            return Err(RefuseReason::OrderNotional);
        }
        Ok(())
    }

    /// What would be at stake if this and every open buy filled.
    fn exposure_allows(&self, notional: Atto, doubled_mid: i128, view: &View<'_>) -> Result<(), RefuseReason> {
        if view.unknown > 0 {
            return Err(RefuseReason::UnknownOrder);
        }
        let worst = view
            .scale
            .value(view.position_steps, doubled_mid)
            .and_then(|value| value.checked_add(view.open_buy_notional)?.checked_add(notional))
            .ok_or(RefuseReason::Arithmetic)?;
        if worst > self.fixed.position_notional {
            return Err(RefuseReason::PositionNotional);
        }
        if view.gross_elsewhere.checked_add(worst).ok_or(RefuseReason::Arithmetic)? > self.fixed.gross_exposure {
            return Err(RefuseReason::GrossExposure);
        }
        Ok(())
    }

    /// What would be at stake on a perpetual future if this and every open order filled, in whatever order; gives the
    /// initial margin that it binds in addition. Kept out of the way of spot.
    #[inline(never)]
    fn futures_allow(
        &self,
        intent: &OrderIntent,
        qty: Atto,
        doubled_mid: i128,
        raises: bool,
        futures: &Futures,
        view: &View<'_>,
    ) -> Result<Atto, RefuseReason> {
        if !futures.mode_allows(intent.effect) {
            return Err(RefuseReason::PositionMode);
        }
        if raises {
            if view.unknown > 0 {
                return Err(RefuseReason::UnknownOrder);
            }
            if futures.mismatch {
                return Err(RefuseReason::PositionMismatch);
            }
            if futures.leverage_max().is_none_or(|leverage| leverage > self.limits.max_leverage) {
                return Err(RefuseReason::Leverage);
            }
            self.liquidation_allows(doubled_mid, futures, view)?;
        }
        let worth =
            |worst: Option<Atto>| view.scale.steps_up(worst?).and_then(|steps| view.scale.value(steps, doubled_mid));
        let before = worth(futures.worst()).ok_or(RefuseReason::Arithmetic)?;
        let after = worth(futures.worst_with(intent.side, intent.effect, qty)).ok_or(RefuseReason::Arithmetic)?;
        // An order that only reduces may yet clear the way for others that open the other side.
        if after > before || raises {
            if after > self.fixed.position_notional {
                return Err(RefuseReason::PositionNotional);
            }
            if view.gross_elsewhere.checked_add(after).ok_or(RefuseReason::Arithmetic)? > self.fixed.gross_exposure {
                return Err(RefuseReason::GrossExposure);
            }
        }
        if !raises {
            return Ok(0);
        }
        let bound = futures.margin_for(before).ok_or(RefuseReason::Arithmetic)?;
        futures.margin_for(after).and_then(|margin| margin.checked_sub(bound)).ok_or(RefuseReason::Arithmetic)
    }

    /// Nothing is added to a position that the market is about to take away.
    fn liquidation_allows(&self, doubled_mid: i128, futures: &Futures, view: &View<'_>) -> Result<(), RefuseReason> {
        let mid = view.scale.doubled(doubled_mid).ok_or(RefuseReason::Arithmetic)?;
        for price in futures.liquidations() {
            let distance = price.checked_mul(2).and_then(|doubled| doubled.checked_sub(mid)?.checked_abs());
            // In billionths of mid, cut down: at the limit itself it is refused no more than a billionth early.
            let share = distance.and_then(|distance| distance.checked_div((mid / BILLION).max(1)));
            if share.ok_or(RefuseReason::Arithmetic)? < self.fixed.liquidation_distance {
                return Err(RefuseReason::Liquidation);
            }
        }
        Ok(())
    }

    fn budget_allows(
        &self,
        intent: &OrderIntent,
        qty: Atto,
        notional: Atto,
        view: &View<'_>,
    ) -> Result<(), RefuseReason> {
        let Some((_, budget)) = self.budgets.iter().find(|(tag, _)| *tag == intent.strategy) else { return Ok(()) };
        if view.own.open_orders >= budget.open_orders || notional > budget.order_notional {
            return Err(RefuseReason::StrategyBudget);
        }
        let own = &view.own;
        let worst = match (intent.side, view.futures) {
            (Side::Sell, None) => return Ok(()),
            (Side::Buy, _) => own.position.checked_add(own.open_buy).and_then(|held| held.checked_add(qty)),
            (Side::Sell, Some(_)) => own.open_sell.checked_add(qty).and_then(|sold| sold.checked_sub(own.position)),
        };
        let worst = worst.ok_or(RefuseReason::Arithmetic)?;
        if view.futures.is_some() && (worst <= 0 || intent.effect.reduce_only) {
            return Ok(());
        }
        if let Some(most) = budget.position_notional {
            // Counted in whole steps, rounded up, at the price of this order.
            let step = view.scale.qty(Qty(1)).ok_or(RefuseReason::Arithmetic)?.max(1);
            let steps = i64::try_from(worst.saturating_add(step - 1) / step).map_err(|_| RefuseReason::Arithmetic)?;
            let value = view.scale.notional(intent.price.price(), Qty(steps)).ok_or(RefuseReason::Arithmetic)?;
            if value > most {
                return Err(RefuseReason::StrategyBudget);
            }
        }
        let within = worst <= budget.position && view.own.day > budget.daily_loss.saturating_neg();
        if within { Ok(()) } else { Err(RefuseReason::StrategyBudget) }
    }
}

fn gate_allows(gate: &Gate, raises: bool) -> Result<(), RefuseReason> {
    let closed = [
        (gate.stopping, RefuseReason::Stopping),
        (gate.trading == TradingState::Halted, RefuseReason::Halted),
        (!gate.reconciled, RefuseReason::NotReconciled),
        (!gate.key_active, RefuseReason::KeyNotActive),
        (!gate.stream_live, RefuseReason::StreamDown),
        (!gate.clock_ok, RefuseReason::ClockUncertain),
        (!gate.durable, RefuseReason::NotDurable),
        (gate.trading == TradingState::ReduceOnly && raises, RefuseReason::ReduceOnly),
    ];
    closed.into_iter().find(|(closed, _)| *closed).map_or(Ok(()), |(_, reason)| Err(reason))
}

fn rules_allow(intent: &OrderIntent, version: &InstrumentVersion) -> Result<(), RefuseReason> {
    if version.status != InstrumentStatus::Online {
        return Err(RefuseReason::InstrumentHalted);
    }
    if intent.price.version() != version.version || intent.qty.version() != version.version {
        return Err(RefuseReason::OldInstrumentVersion);
    }
    let (price, qty) = (intent.price.price(), intent.qty.qty());
    let sized = qty >= version.min_qty && (version.max_qty.0 == 0 || qty <= version.max_qty);
    let fits =
        intent.instrument == version.id && on_grid(price.0, version.tick) && on_grid(qty.0, version.lot) && sized;
    if fits { Ok(()) } else { Err(RefuseReason::OffGrid) }
}

fn minimum_allows(notional: Atto, version: &InstrumentVersion) -> Result<(), RefuseReason> {
    let minimum = crate::fixed::atto(version.min_notional.0).ok_or(RefuseReason::Arithmetic)?;
    if notional < minimum { Err(RefuseReason::BelowMinimum) } else { Ok(()) }
}

fn self_trade_allows(intent: &OrderIntent, view: &View<'_>) -> Result<(), RefuseReason> {
    let price = view.scale.price(intent.price.price()).ok_or(RefuseReason::Arithmetic)?;
    let crosses = match intent.side {
        Side::Buy => view.best_sell.is_some_and(|own| price >= own),
        Side::Sell => view.best_buy.is_some_and(|own| price <= own),
    };
    if crosses { Err(RefuseReason::SelfTrade) } else { Ok(()) }
}

/// A spot strategy sells only what it bought and has not yet offered.
fn ownership_allows(side: Side, qty: Atto, view: &View<'_>) -> Result<(), RefuseReason> {
    if side == Side::Buy {
        return Ok(());
    }
    let offered = view.own.open_sell.checked_add(qty).ok_or(RefuseReason::Arithmetic)?;
    if offered > view.own.position { Err(RefuseReason::NotOwned) } else { Ok(()) }
}

fn balance_allows(side: Side, qty: Atto, notional: Atto, view: &View<'_>) -> Result<(), RefuseReason> {
    let (balance, needed) = match side {
        Side::Buy => (view.quote, notional),
        Side::Sell => (view.base, qty),
    };
    if balance.and_then(Balance::free).ok_or(RefuseReason::Arithmetic)? < needed {
        Err(RefuseReason::Balance)
    } else {
        Ok(())
    }
}

/// The free margin covers what the order binds in addition.
#[inline(never)]
fn margin_allows(margin: Atto, view: &View<'_>) -> Result<(), RefuseReason> {
    let free = view.quote.and_then(Balance::free).ok_or(RefuseReason::Arithmetic)?;
    if margin > 0 && margin > free { Err(RefuseReason::Margin) } else { Ok(()) }
}

/// `used` over `allowed` to a billionth, at most 1 000 000.
fn ratio(used: Atto, allowed: Atto) -> f64 {
    const RATIO_MAX: i128 = 1_000_000;
    let (whole, part) = match (used.checked_div(allowed), used.checked_rem(allowed)) {
        (Some(whole), Some(rest)) => {
            let part = rest.checked_mul(BILLION).and_then(|rest| rest.checked_div(allowed));
            // Where the product does not fit, the divisor is large enough to be divided first.
            (whole, part.or_else(|| rest.checked_div(allowed / BILLION)).unwrap_or(0))
        }
        _ => (RATIO_MAX, 0),
    };
    let float = |number: i128| f64::from(i32::try_from(number.clamp(0, RATIO_MAX.max(BILLION))).unwrap_or(i32::MAX));
    (float(whole) + float(part) / 1e9).min(1e6)
}
