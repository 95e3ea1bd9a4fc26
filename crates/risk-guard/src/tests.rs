//! Every reason for a refusal, each beside the order that just passes; then properties over random histories.

mod exposure;
mod futures;
mod futures_properties;
mod properties;

use crate::testing::{fill, instruments, resting, version};
use crate::{CheckedOrder, Exposure, Gate, Limits, RiskGuard, StrategyLimits};
use domain::*;
use messages::{HaltReason, OrderIntent, RefuseReason, TopUsed, TradingState};
use rust_decimal::Decimal;
use std::time::Duration;

const NOW: MonoNanos = MonoNanos(60_000_000_000);
const OPEN: Gate = Gate {
    trading: TradingState::Active,
    reconciled: true,
    clock_ok: true,
    key_active: true,
    stream_live: true,
    durable: true,
    stopping: false,
};

/// A desk with wide limits, of which each test narrows one. Mid is 100.00; quantities are in whole thousandths.
struct Desk {
    limits: Limits,
    budgets: Vec<(StrategyTag, StrategyLimits)>,
    exposure: Exposure,
    version: InstrumentVersion,
    gate: Gate,
    top: Result<TopUsed, RefuseReason>,
}

fn money(text: &str) -> Notional {
    Notional(text.parse().unwrap())
}

impl Desk {
    fn new() -> Self {
        let mut exposure = Exposure::new(&instruments(), &[StrategyTag(1), StrategyTag(2)], UnixNanos(0));
        for asset in ["USDT", "BTC", "ETH"] {
            let amount = Amount(Decimal::from(1_000_000));
            exposure.on_balance(VenueId(0), Market::Spot, Asset::from(asset).unwrap(), amount, Amount(Decimal::ZERO));
        }
        let limits = Limits {
            max_order_notional: money("100000"),
            max_position_notional: money("1000000"),
            max_gross_exposure: money("1000000"),
            max_daily_loss: money("1000000"),
            max_orders_per_second: 1_000,
            ..Limits::default()
        };
        let top = TopUsed { bid: Price(9_999), ask: Price(10_001), received: NOW };
        Self { limits, budgets: vec![], exposure, version: version(), gate: OPEN, top: Ok(top) }
    }

    fn with(limits: impl FnOnce(&mut Limits)) -> Self {
        let mut desk = Self::new();
        limits(&mut desk.limits);
        desk
    }

    fn guard(&self) -> RiskGuard {
        RiskGuard::new(self.limits.clone(), &self.budgets)
    }

    fn check(&self, intent: &OrderIntent) -> Result<CheckedOrder, RefuseReason> {
        self.check_with(&mut self.guard(), intent, NOW)
    }

    fn check_with(
        &self,
        guard: &mut RiskGuard,
        intent: &OrderIntent,
        now: MonoNanos,
    ) -> Result<CheckedOrder, RefuseReason> {
        guard.check(intent, &self.version, &self.gate, self.top, &self.exposure, now)
    }

    /// Gives strategy 1 `thousandths` of base, bought at 100.00.
    fn own(&mut self, thousandths: i64) {
        let order = resting(900_000, Side::Buy, 10_000, thousandths * 1_000);
        self.exposure.on_fill(&fill(&order, thousandths * 1_000));
        self.exposure.mark(InstrumentId(0), self.top.unwrap());
    }

    fn rest(&mut self, sequence: u64, side: Side, price: i64, thousandths: i64) -> Order {
        let order = resting(sequence, side, price, thousandths * 1_000);
        self.exposure.on_order(None, &order);
        order
    }

    #[track_caller]
    fn refuses(&self, intent: &OrderIntent, reason: RefuseReason) {
        assert_eq!(self.check(intent).map(|_| ()), Err(reason));
    }

    #[track_caller]
    fn accepts(&self, intent: &OrderIntent) {
        assert_eq!(self.check(intent).map(|checked| *checked.intent()), Ok(*intent));
    }
}

fn intent(side: Side, price: i64, thousandths: i64) -> OrderIntent {
    OrderIntent {
        strategy: StrategyTag(1),
        reference: 0,
        instrument: InstrumentId(0),
        side,
        price: version().order_price(Price(price), Rounding::Exact).unwrap(),
        qty: version().order_qty(Qty(thousandths * 1_000), Rounding::Exact).unwrap(),
        time_in_force: TimeInForce::PostOnly,
        effect: domain::PositionEffect::default(),
        caused: NOW,
        decided: NOW,
    }
}

fn buy(price: i64, thousandths: i64) -> OrderIntent {
    intent(Side::Buy, price, thousandths)
}

fn sell(price: i64, thousandths: i64) -> OrderIntent {
    intent(Side::Sell, price, thousandths)
}

#[test]
fn each_closed_gate_refuses_with_its_own_reason_and_an_open_one_passes() {
    let closed = [
        (Gate { stopping: true, ..OPEN }, RefuseReason::Stopping),
        (Gate { trading: TradingState::Halted, ..OPEN }, RefuseReason::Halted),
        (Gate { reconciled: false, ..OPEN }, RefuseReason::NotReconciled),
        (Gate { key_active: false, ..OPEN }, RefuseReason::KeyNotActive),
        (Gate { stream_live: false, ..OPEN }, RefuseReason::StreamDown),
        (Gate { clock_ok: false, ..OPEN }, RefuseReason::ClockUncertain),
        (Gate { durable: false, ..OPEN }, RefuseReason::NotDurable),
    ];
    let mut desk = Desk::new();
    desk.own(10);
    for (gate, reason) in closed {
        desk.gate = gate;
        desk.refuses(&buy(9_990, 10), reason);
        desk.refuses(&sell(10_010, 10), reason);
    }
    desk.gate = OPEN;
    desk.accepts(&buy(9_990, 10));
    desk.accepts(&sell(10_010, 10));
}

#[test]
fn when_paused_only_what_is_owned_may_be_sold() {
    let mut desk = Desk::new();
    desk.gate.trading = TradingState::ReduceOnly;
    desk.own(10);
    desk.refuses(&buy(9_990, 10), RefuseReason::ReduceOnly);
    desk.accepts(&sell(10_010, 10));
    desk.refuses(&sell(10_010, 11), RefuseReason::NotOwned);
}

#[test]
fn a_suspended_or_delisted_instrument_takes_no_order() {
    let mut desk = Desk::new();
    desk.accepts(&buy(9_990, 10));
    for status in [InstrumentStatus::Halted, InstrumentStatus::Delisted] {
        desk.version.status = status;
        desk.refuses(&buy(9_990, 10), RefuseReason::InstrumentHalted);
    }
}

#[test]
fn an_intent_made_for_older_rules_is_refused() {
    let mut desk = Desk::new();
    let old = buy(9_990, 10);
    desk.version.version = 2;
    desk.exposure.set_version(desk.version);
    desk.refuses(&old, RefuseReason::OldInstrumentVersion);
    let new = OrderIntent {
        price: desk.version.order_price(Price(9_990), Rounding::Exact).unwrap(),
        qty: desk.version.order_qty(Qty(10_000), Rounding::Exact).unwrap(),
        ..old
    };
    desk.accepts(&new);
}

#[test]
fn a_price_or_quantity_off_the_grid_in_force_is_refused() {
    let mut desk = Desk::new();
    desk.version.tick = 4; // same version number, other grid: a defect upstream
    desk.refuses(&buy(9_990, 10), RefuseReason::OffGrid);
    desk.accepts(&buy(9_992, 10));
    desk.version = InstrumentVersion { lot: 3_000, ..version() };
    desk.refuses(&buy(9_990, 10), RefuseReason::OffGrid);
    desk.accepts(&buy(9_990, 9));
    desk.version = InstrumentVersion { max_qty: Qty(9_999), ..version() };
    desk.refuses(&buy(9_990, 10), RefuseReason::OffGrid);
}

#[test]
fn an_order_below_the_minimum_notional_is_refused() {
    let mut desk = Desk::new();
    desk.version.min_notional = money("0.999");
    desk.accepts(&buy(9_990, 10));
    desk.version.min_notional = money("0.999000001");
    desk.refuses(&buy(9_990, 10), RefuseReason::BelowMinimum);
}

#[test]
fn a_missing_old_or_impossible_book_refuses_the_order() {
    let mut desk = Desk::new();
    for reason in [RefuseReason::InvalidBook, RefuseReason::BookBusy] {
        desk.top = Err(reason);
        desk.refuses(&buy(9_990, 10), reason);
    }
    let oldest = MonoNanos(NOW.0 - 2_000_000_000);
    desk.top = Ok(TopUsed { bid: Price(9_999), ask: Price(10_001), received: oldest });
    desk.accepts(&buy(9_990, 10));
    desk.top = Ok(TopUsed { bid: Price(9_999), ask: Price(10_001), received: MonoNanos(oldest.0 - 1) });
    desk.refuses(&buy(9_990, 10), RefuseReason::StaleBook);
    desk.top = Ok(TopUsed { bid: Price(10_001), ask: Price(10_001), received: NOW });
    desk.refuses(&buy(9_990, 10), RefuseReason::InvalidBook);
}

#[test]
fn a_price_outside_the_collar_is_refused_on_both_sides() {
    let mut desk = Desk::new();
    desk.own(10);
    for (inside, outside) in [(buy(9_800, 10), buy(9_799, 10)), (buy(10_200, 10), buy(10_201, 10))] {
        desk.accepts(&inside);
        desk.refuses(&outside, RefuseReason::PriceCollar);
    }
    desk.accepts(&sell(10_200, 10));
    desk.refuses(&sell(10_201, 10), RefuseReason::PriceCollar);
}

#[test]
fn an_order_above_its_largest_value_or_quantity_is_refused() {
    let mut desk = Desk::with(|limits| limits.max_order_notional = money("250"));
    desk.accepts(&buy(10_000, 2_500));
    desk.refuses(&buy(10_000, 2_501), RefuseReason::OrderNotional);
    desk.limits.max_order_qty = Some(Amount(Decimal::ONE));
    desk.accepts(&buy(10_000, 1_000));
    desk.refuses(&buy(10_000, 1_001), RefuseReason::OrderNotional);
}

#[test]
fn an_unknown_order_stops_new_risk_on_its_instrument_and_nothing_else() {
    let mut desk = Desk::new();
    desk.own(10);
    let before = desk.rest(1, Side::Buy, 9_900, 1);
    let unknown = Order { state: OrderState::Unknown, ..before };
    desk.exposure.on_order(Some(&before), &unknown);
    desk.refuses(&buy(9_990, 10), RefuseReason::UnknownOrder);
    desk.accepts(&sell(10_010, 10));
    desk.exposure.on_order(Some(&unknown), &before);
    desk.accepts(&buy(9_990, 10));
}

#[test]
fn the_position_counts_with_every_open_buy_filled() {
    let mut desk = Desk::with(|limits| limits.max_position_notional = money("1000"));
    desk.own(3_000);
    desk.rest(1, Side::Buy, 10_000, 4_000);
    desk.accepts(&buy(10_000, 3_000));
    desk.refuses(&buy(10_000, 3_001), RefuseReason::PositionNotional);
    desk.accepts(&sell(10_010, 3_000));
}

#[test]
fn gross_exposure_counts_every_instrument() {
    let mut desk = Desk::with(|limits| limits.max_gross_exposure = money("1000"));
    let elsewhere = Order { instrument: InstrumentId(1), ..resting(5, Side::Buy, 10_000, 6_000_000) };
    desk.exposure.on_order(None, &elsewhere);
    desk.accepts(&buy(10_000, 4_000));
    desk.refuses(&buy(10_000, 4_001), RefuseReason::GrossExposure);
}

#[test]
fn one_order_more_than_may_rest_is_refused() {
    let mut desk = Desk::with(|limits| limits.max_open_orders = 2);
    desk.rest(1, Side::Buy, 9_900, 1);
    desk.accepts(&buy(9_990, 10));
    let last = desk.rest(2, Side::Buy, 9_901, 1);
    desk.refuses(&buy(9_990, 10), RefuseReason::OpenOrders);
    desk.exposure.on_order(Some(&last), &Order { state: OrderState::Cancelled, ..last });
    desk.accepts(&buy(9_990, 10));
}

#[test]
fn orders_in_any_one_second_are_limited_and_refused_ones_do_not_count() {
    let desk = Desk::with(|limits| limits.max_orders_per_second = 2);
    let mut guard = desk.guard();
    let at = |ms: u64| MonoNanos(NOW.0 + ms * 1_000_000);
    assert!(desk.check_with(&mut guard, &buy(9_990, 10), at(0)).is_ok());
    assert_eq!(desk.check_with(&mut guard, &sell(10_010, 10), at(100)), Err(RefuseReason::NotOwned));
    assert!(desk.check_with(&mut guard, &buy(9_991, 10), at(600)).is_ok());
    assert_eq!(desk.check_with(&mut guard, &buy(9_992, 10), at(999)), Err(RefuseReason::OrderRate));
    assert!(desk.check_with(&mut guard, &buy(9_992, 10), at(1_000)).is_ok());
    assert_eq!(desk.check_with(&mut guard, &buy(9_993, 10), at(1_001)), Err(RefuseReason::OrderRate));
}

#[test]
fn cancels_in_any_one_second_are_limited() {
    let mut guard = Desk::with(|limits| limits.max_cancels_per_second = 2).guard();
    assert_eq!([0, 1].map(|ns| guard.check_cancel(MonoNanos(ns))), [Ok(()); 2]);
    assert_eq!(guard.check_cancel(MonoNanos(999_999_999)), Err(RefuseReason::CancelRate));
    assert_eq!(guard.check_cancel(MonoNanos(1_000_000_000)), Ok(()));
}

#[test]
fn an_order_that_could_meet_an_own_one_is_refused() {
    let mut desk = Desk::new();
    desk.own(20);
    let offer = desk.rest(1, Side::Sell, 10_010, 1);
    desk.rest(2, Side::Sell, 10_020, 1);
    desk.accepts(&buy(10_009, 10));
    desk.refuses(&buy(10_010, 10), RefuseReason::SelfTrade);
    desk.exposure.on_order(Some(&offer), &Order { state: OrderState::Cancelled, ..offer });
    desk.accepts(&buy(10_010, 10));
    desk.refuses(&buy(10_020, 10), RefuseReason::SelfTrade);
    desk.rest(3, Side::Buy, 9_990, 1);
    desk.accepts(&sell(9_991, 10));
    desk.refuses(&sell(9_990, 10), RefuseReason::SelfTrade);
}

#[test]
fn the_same_order_within_a_moment_is_refused_and_another_is_not() {
    let desk = Desk::with(|limits| limits.duplicate_window = Duration::from_millis(200));
    let mut guard = desk.guard();
    let at = |ms: u64| MonoNanos(NOW.0 + ms * 1_000_000);
    assert!(desk.check_with(&mut guard, &buy(9_990, 10), at(0)).is_ok());
    assert!(desk.check_with(&mut guard, &buy(9_991, 10), at(1)).is_ok());
    assert!(desk.check_with(&mut guard, &buy(9_990, 11), at(1)).is_ok());
    assert_eq!(desk.check_with(&mut guard, &buy(9_990, 10), at(199)), Err(RefuseReason::Duplicate));
    assert!(desk.check_with(&mut guard, &buy(9_990, 10), at(200)).is_ok());
}

#[test]
fn a_spot_strategy_sells_only_what_it_bought_and_has_not_offered() {
    let mut desk = Desk::new();
    desk.refuses(&sell(10_010, 1), RefuseReason::NotOwned);
    desk.own(10);
    desk.rest(1, Side::Sell, 10_020, 4);
    desk.accepts(&sell(10_010, 6));
    desk.refuses(&sell(10_010, 7), RefuseReason::NotOwned);
    let other = OrderIntent { strategy: StrategyTag(2), ..sell(10_010, 1) };
    desk.refuses(&other, RefuseReason::NotOwned);
}

#[test]
fn a_strategys_own_budget_binds_it_and_nobody_else() {
    let mut desk = Desk::new();
    desk.own(10);
    desk.rest(1, Side::Buy, 9_900, 5);
    let position =
        |text: &str| StrategyLimits { max_position: Some(Amount(text.parse().unwrap())), ..StrategyLimits::default() };
    desk.budgets = vec![(StrategyTag(1), position("0.025"))];
    desk.accepts(&buy(9_990, 10));
    desk.refuses(&buy(9_990, 11), RefuseReason::StrategyBudget);
    desk.accepts(&OrderIntent { strategy: StrategyTag(2), ..buy(9_990, 11) });
    desk.accepts(&sell(10_010, 10));
    let worth = |lots: i64| version().notional(Price(9_990), Qty(lots * 1_000)).map(|notional| Amount(notional.0));
    let position_notional = |steps| StrategyLimits { max_position_notional: worth(steps), ..StrategyLimits::default() };
    desk.budgets = vec![(StrategyTag(1), position_notional(25))];
    desk.accepts(&buy(9_990, 10));
    desk.budgets = vec![(StrategyTag(1), position_notional(24))];
    desk.refuses(&buy(9_990, 10), RefuseReason::StrategyBudget);
    let order_notional = |steps| StrategyLimits { max_order_notional: worth(steps), ..StrategyLimits::default() };
    desk.budgets = vec![(StrategyTag(1), order_notional(10))];
    desk.accepts(&buy(9_990, 10));
    desk.refuses(&buy(9_990, 11), RefuseReason::StrategyBudget);
    desk.budgets = vec![(StrategyTag(1), StrategyLimits { max_open_orders: Some(1), ..StrategyLimits::default() })];
    desk.refuses(&buy(9_990, 10), RefuseReason::StrategyBudget);
    desk.budgets = vec![(StrategyTag(1), StrategyLimits { max_open_orders: Some(2), ..StrategyLimits::default() })];
    desk.accepts(&buy(9_990, 10));
}

#[test]
fn a_strategy_that_lost_its_daily_budget_may_only_sell() {
    let mut desk = Desk::new();
    desk.own(1_000); // one whole, at 100.00
    let budget = |text: &str| StrategyLimits {
        max_daily_loss: Some(Amount(text.parse().unwrap())),
        ..StrategyLimits::default()
    };
    desk.top = Ok(TopUsed { bid: Price(9_899), ask: Price(9_901), received: NOW });
    desk.exposure.mark(InstrumentId(0), desk.top.unwrap());
    desk.budgets = vec![(StrategyTag(1), budget("1.01"))];
    desk.accepts(&buy(9_890, 10));
    desk.budgets = vec![(StrategyTag(1), budget("1"))];
    desk.refuses(&buy(9_890, 10), RefuseReason::StrategyBudget);
    desk.accepts(&sell(9_910, 10));
}

#[test]
fn a_strategy_without_a_place_in_the_tables_is_refused() {
    let desk = Desk::new();
    desk.refuses(&OrderIntent { strategy: StrategyTag(77), ..buy(9_990, 10) }, RefuseReason::StrategyBudget);
}

#[test]
fn the_free_balance_must_cover_the_order() {
    let mut desk = Desk::new();
    let usdt = Asset::from("USDT").unwrap();
    desk.exposure.on_balance(VenueId(0), Market::Spot, usdt, Amount(Decimal::from(100)), Amount(Decimal::ZERO));
    desk.accepts(&buy(10_000, 1_000));
    desk.refuses(&buy(10_000, 1_001), RefuseReason::Balance);
    // An order that the venue's balance does not show yet counts at once.
    desk.rest(1, Side::Buy, 10_000, 400);
    desk.accepts(&buy(10_000, 600));
    desk.refuses(&buy(10_000, 601), RefuseReason::Balance);
    // And only once when the venue shows it as held.
    desk.exposure.on_balance(VenueId(0), Market::Spot, usdt, Amount(Decimal::from(60)), Amount(Decimal::from(40)));
    desk.accepts(&buy(10_000, 600));
    desk.refuses(&buy(10_000, 601), RefuseReason::Balance);
    desk.own(10);
    desk.exposure.on_balance(
        VenueId(0),
        Market::Spot,
        Asset::from("BTC").unwrap(),
        Amount("0.005".parse().unwrap()),
        Amount(Decimal::ZERO),
    );
    desk.accepts(&sell(10_010, 5));
    desk.refuses(&sell(10_010, 6), RefuseReason::Balance);
}

#[test]
fn without_a_known_balance_nothing_is_bought() {
    let mut desk = Desk::new();
    desk.exposure = Exposure::new(&instruments(), &[StrategyTag(1)], UnixNanos(0));
    desk.refuses(&buy(10_000, 100), RefuseReason::Balance);
}

#[test]
fn the_loss_of_the_day_stops_buying_and_halts() {
    let mut desk = Desk::new();
    desk.own(1_000);
    desk.top = Ok(TopUsed { bid: Price(9_899), ask: Price(9_901), received: NOW });
    desk.exposure.mark(InstrumentId(0), desk.top.unwrap());
    assert_eq!(desk.exposure.day_pnl().0, Decimal::from(-1));
    desk.limits.max_daily_loss = money("1.000001");
    desk.accepts(&buy(9_890, 10));
    assert_eq!(desk.guard().must_halt(&desk.exposure), None);
    desk.limits.max_daily_loss = money("1");
    desk.refuses(&buy(9_890, 10), RefuseReason::DailyLoss);
    desk.accepts(&sell(9_910, 10));
    assert_eq!(desk.guard().must_halt(&desk.exposure), Some(HaltReason::DailyLoss));
    desk.exposure.roll_day(UnixNanos(86_400_000_000_000));
    assert_eq!(desk.guard().must_halt(&desk.exposure), None);
    desk.accepts(&buy(9_890, 10));
}

#[test]
fn drawdown_from_the_highest_result_stops_buying_and_halts_over_days() {
    let mut desk = Desk::new();
    for asset in ["BTC", "ETH"] {
        desk.exposure.on_balance(
            VenueId(0),
            Market::Spot,
            Asset::from(asset).unwrap(),
            Amount::default(),
            Amount::default(),
        );
    }
    let usdt = Asset::from("USDT").unwrap();
    desk.exposure.on_balance(VenueId(0), Market::Spot, usdt, Amount(Decimal::from(1_000)), Amount(Decimal::ZERO));
    desk.own(5_000); // half of the account
    let at = |cents: i64| TopUsed { bid: Price(cents - 1), ask: Price(cents + 1), received: NOW };
    desk.exposure.mark(InstrumentId(0), at(10_200));
    desk.exposure.roll_day(UnixNanos(86_400_000_000_000));
    // Value 1010 at the peak; 10 % of it is 101, which is 20.2 a piece.
    desk.exposure.mark(InstrumentId(0), at(8_181));
    assert_eq!(desk.guard().must_halt(&desk.exposure), None);
    desk.exposure.mark(InstrumentId(0), at(8_180));
    assert_eq!(desk.exposure.drawdown(), "0.1".parse().unwrap());
    assert_eq!(desk.guard().must_halt(&desk.exposure), Some(HaltReason::Drawdown));
    desk.top = Ok(at(8_180));
    desk.refuses(&buy(8_170, 10), RefuseReason::Drawdown);
    desk.accepts(&sell(8_190, 10));
    desk.exposure.mark(InstrumentId(0), at(8_181));
    desk.accepts(&buy(8_170, 10));
}

#[test]
fn too_many_rejects_stop_buying_until_a_person_resumes() {
    let mut desk = Desk::with(|limits| limits.max_reject_ratio = Decimal::new(2, 1));
    desk.own(10);
    let mut guard = desk.guard();
    let outcomes = |guard: &mut RiskGuard, rejected: u32, taken: u32| {
        (0..rejected).for_each(|_| guard.on_outcome(true));
        (0..taken).for_each(|_| guard.on_outcome(false));
    };
    outcomes(&mut guard, 9, 0);
    assert!(desk.check_with(&mut guard, &buy(9_990, 10), NOW).is_ok(), "nine outcomes are no sample");
    outcomes(&mut guard, 1, 40);
    assert!(desk.check_with(&mut guard, &buy(9_991, 10), NOW).is_ok(), "10 of 50 is the limit itself");
    outcomes(&mut guard, 11, 0);
    assert_eq!(desk.check_with(&mut guard, &buy(9_992, 10), NOW), Err(RefuseReason::RejectRatio));
    assert!(desk.check_with(&mut guard, &sell(10_010, 10), NOW).is_ok());
    guard.rearm();
    assert!(desk.check_with(&mut guard, &buy(9_993, 10), NOW).is_ok());
}

#[test]
fn amounts_beyond_exact_arithmetic_are_refused() {
    let mut desk = Desk::new();
    let huge = InstrumentVersion { price_decimals: 0, qty_decimals: 0, max_qty: Qty(0), version: 3, ..version() };
    desk.version = huge;
    desk.exposure.set_version(huge);
    let mut order = buy(10_000, 10);
    order.price = huge.order_price(Price(i64::MAX), Rounding::Exact).unwrap();
    order.qty = huge.order_qty(Qty(i64::MAX - 7), Rounding::Exact).unwrap();
    desk.refuses(&order, RefuseReason::Arithmetic);
    order.price = huge.order_price(Price(10_000), Rounding::Exact).unwrap();
    order.qty = huge.order_qty(Qty(10), Rounding::Exact).unwrap();
    desk.accepts(&order);
}

#[test]
fn a_broken_exposure_refuses_everything() {
    let mut desk = Desk::new();
    let foreign = Order { version: 99, ..resting(1, Side::Buy, 9_900, 1_000) };
    desk.exposure.on_order(None, &foreign);
    assert!(desk.exposure.is_broken());
    desk.refuses(&buy(9_990, 10), RefuseReason::Arithmetic);
}

#[test]
fn limits_are_tightened_at_once_and_never_loosened() {
    let desk = Desk::new();
    let mut guard = desk.guard();
    let tight = Limits { max_order_notional: money("1"), max_orders_per_second: 1, ..desk.limits.clone() };
    guard.tighten(tight.clone()).unwrap();
    assert_eq!(desk.check_with(&mut guard, &buy(10_000, 11), NOW), Err(RefuseReason::OrderNotional));
    assert!(desk.check_with(&mut guard, &buy(10_000, 10), NOW).is_ok());
    assert_eq!(desk.check_with(&mut guard, &buy(9_999, 10), NOW), Err(RefuseReason::OrderRate));
    let looser = Limits { max_order_notional: money("2"), price_collar: Decimal::new(3, 2), ..tight.clone() };
    assert_eq!(guard.tighten(looser).unwrap_err().loosened, ["max_order_notional", "price_collar"]);
    assert_eq!(guard.limits(), &tight);
}

#[test]
fn the_hand_over_counts_each_answer_by_its_reason() {
    let desk = Desk::new();
    let mut actor = crate::RiskGuardActor::new(desk.guard(), "main");
    let mut hand = |intent: &OrderIntent| {
        let order = crate::CheckOrder {
            intent,
            version: &desk.version,
            gate: &desk.gate,
            top: desk.top,
            exposure: &desk.exposure,
            now: NOW,
        };
        actor.handle(order).is_ok()
    };
    assert!(hand(&buy(9_990, 10)));
    assert!(!hand(&sell(10_010, 10)));
    actor.count_refusal(RefuseReason::OutboxFull);
    actor.publish(&desk.exposure, NOW);
    assert_eq!(actor.accepted(), 1);
    assert_eq!(actor.refused(RefuseReason::NotOwned), 1);
    assert_eq!(actor.refused(RefuseReason::OutboxFull), 1);
    assert_eq!(actor.refused(RefuseReason::Balance), 0);
}

#[test]
fn used_ratios_say_how_near_each_limit_is() {
    let mut desk = Desk::with(|limits| {
        limits.max_position_notional = money("1000");
        limits.max_gross_exposure = money("2000");
        limits.max_daily_loss = money("4");
        limits.max_open_orders = 4;
    });
    desk.own(1_000);
    desk.rest(1, Side::Buy, 10_000, 4_000);
    desk.exposure.mark(InstrumentId(0), TopUsed { bid: Price(9_899), ask: Price(9_901), received: NOW });
    let used = desk.guard().used_ratios(&desk.exposure, NOW);
    let near = |left: f64, right: f64| (left - right).abs() < 1e-6;
    assert!(near(used.position, 0.499) && near(used.gross_exposure, 0.2495), "{used:?}");
    assert!(near(used.daily_loss, 0.25) && near(used.open_orders, 0.25), "{used:?}");
    assert!(near(used.order_rate, 0.0) && near(used.reject_ratio, 0.0), "{used:?}");
}
