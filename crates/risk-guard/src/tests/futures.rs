//! Perpetual futures: both sides, reduce-only, margin, leverage, liquidation, funding.

use super::*;
use messages::{FuturesSettings, MarginMode, PositionMode};

const PERP: InstrumentId = InstrumentId(2);
const NET: PositionEffect = PositionEffect { side: PositionSide::Net, reduce_only: false };
const REDUCE: PositionEffect = PositionEffect { side: PositionSide::Net, reduce_only: true };
const LONG: PositionEffect = PositionEffect { side: PositionSide::Long, reduce_only: false };
const SHORT: PositionEffect = PositionEffect { side: PositionSide::Short, reduce_only: false };

pub(super) fn perpetual() -> Instrument {
    let spot = instruments().remove(0);
    Instrument {
        id: PERP,
        symbol: Symbol::from("BTCUSDT-PERP").unwrap(),
        market: Market::UsdtFutures,
        version: InstrumentVersion { id: PERP, ..version() },
        ..spot
    }
}

pub(super) fn settings(leverage: u16, position_mode: PositionMode) -> FuturesSettings {
    FuturesSettings {
        leverage_long: leverage,
        leverage_short: leverage,
        margin_mode: MarginMode::Crossed,
        position_mode,
    }
}

/// A desk on the perpetual: one-way, leverage 2, a futures wallet of a million.
pub(super) fn desk() -> Desk {
    desk_of(&[])
}

fn desk_of(unified: &[VenueId]) -> Desk {
    let mut desk = Desk::new();
    let mut listed = instruments();
    listed.push(perpetual());
    let tags = [StrategyTag(1), StrategyTag(2)];
    desk.exposure = Exposure::with_unified(&listed, &tags, unified, UnixNanos(0));
    desk.version = perpetual().version;
    let wallet = if unified.is_empty() { Market::UsdtFutures } else { Market::Spot };
    fund(&mut desk, wallet, "1000000", "0");
    desk.exposure.on_futures_settings(PERP, settings(2, PositionMode::OneWay));
    desk.exposure.mark(PERP, desk.top.unwrap());
    desk
}

fn fund(desk: &mut Desk, wallet: Market, available: &str, held: &str) {
    let amount = |text: &str| Amount(text.parse().unwrap());
    desk.exposure.on_balance(VenueId(0), wallet, Asset::from("USDT").unwrap(), amount(available), amount(held));
}

pub(super) fn on(effect: PositionEffect, intent: OrderIntent) -> OrderIntent {
    OrderIntent { instrument: PERP, effect, ..intent }
}

fn order(sequence: u64, side: Side, price: i64, thousandths: i64, effect: PositionEffect) -> Order {
    Order { instrument: PERP, effect, ..resting(sequence, side, price, thousandths * 1_000) }
}

fn rest(desk: &mut Desk, sequence: u64, side: Side, price: i64, thousandths: i64, effect: PositionEffect) -> Order {
    let order = order(sequence, side, price, thousandths, effect);
    desk.exposure.on_order(None, &order);
    order
}

/// Strategy 1 trades `thousandths` at `price`, and the book stands around 100.00.
fn trade(desk: &mut Desk, side: Side, price: i64, thousandths: i64, effect: PositionEffect) {
    let order = order(900_000, side, price, thousandths, effect);
    desk.exposure.on_fill(&fill(&order, thousandths * 1_000));
    desk.exposure.mark(PERP, desk.top.unwrap());
}

#[test]
fn a_perpetual_may_be_sold_without_being_owned_and_counts_on_both_sides() {
    let mut desk = desk();
    desk.limits.max_position_notional = money("500");
    desk.accepts(&on(NET, sell(10_000, 5_000)));
    desk.refuses(&on(NET, sell(10_000, 5_001)), RefuseReason::PositionNotional);
    trade(&mut desk, Side::Sell, 10_000, 2_000, NET);
    rest(&mut desk, 1, Side::Sell, 10_010, 1_000, NET);
    desk.accepts(&on(NET, sell(10_010, 2_000)));
    desk.refuses(&on(NET, sell(10_010, 2_001)), RefuseReason::PositionNotional);
    // Through zero and up to the limit on the other side.
    desk.accepts(&on(NET, buy(9_990, 7_000)));
    desk.refuses(&on(NET, buy(9_990, 7_001)), RefuseReason::PositionNotional);
    assert_eq!(desk.exposure.gross_exposure().0, Decimal::from(300));
}

#[test]
fn the_worst_case_is_the_worse_of_both_sides_and_not_their_sum() {
    let mut desk = desk();
    rest(&mut desk, 1, Side::Buy, 9_990, 4_000, NET);
    rest(&mut desk, 2, Side::Sell, 10_010, 3_000, NET);
    assert_eq!(desk.exposure.gross_exposure().0, Decimal::from(400));
    trade(&mut desk, Side::Sell, 10_000, 2_000, NET);
    assert_eq!(desk.exposure.gross_exposure().0, Decimal::from(500), "two short and three more offered");
}

#[test]
fn the_net_position_decides_which_side_reduces_when_something_has_gone_wrong() {
    let mut desk = desk();
    trade(&mut desk, Side::Sell, 10_000, 10, NET);
    desk.gate.trading = TradingState::ReduceOnly;
    desk.accepts(&on(NET, buy(10_000, 10)));
    desk.refuses(&on(NET, buy(10_000, 11)), RefuseReason::ReduceOnly);
    desk.refuses(&on(NET, sell(10_010, 1)), RefuseReason::ReduceOnly);
    desk.gate.trading = TradingState::Active;
    let unknown = Order { state: OrderState::Unknown, ..order(1, Side::Sell, 10_190, 1, NET) };
    desk.exposure.on_order(None, &unknown);
    desk.refuses(&on(NET, sell(10_010, 2)), RefuseReason::UnknownOrder);
    desk.accepts(&on(NET, buy(10_000, 10)));
    desk.limits.max_daily_loss = money("0.001");
    let up = TopUsed { bid: Price(10_099), ask: Price(10_101), received: NOW };
    desk.top = Ok(up);
    desk.exposure.mark(PERP, up);
    desk.refuses(&on(NET, sell(10_110, 2)), RefuseReason::DailyLoss);
    desk.accepts(&on(NET, buy(10_090, 10)));
}

#[test]
fn reduce_only_orders_together_never_exceed_the_position() {
    let mut desk = desk();
    desk.refuses(&on(REDUCE, sell(10_010, 1)), RefuseReason::NothingToReduce);
    trade(&mut desk, Side::Buy, 10_000, 10, NET);
    desk.refuses(&on(REDUCE, buy(9_990, 1)), RefuseReason::NothingToReduce);
    rest(&mut desk, 1, Side::Sell, 10_020, 4, REDUCE);
    desk.accepts(&on(REDUCE, sell(10_010, 6)));
    desk.refuses(&on(REDUCE, sell(10_010, 7)), RefuseReason::NothingToReduce);
    assert_eq!(desk.exposure.gross_exposure().0, Decimal::ONE, "what only reduces adds nothing");
}

#[test]
fn a_reduce_only_order_passes_in_spite_of_losses_margin_leverage_and_an_unknown_order() {
    let mut desk = desk();
    trade(&mut desk, Side::Buy, 10_000, 10, NET);
    desk.exposure.on_futures_settings(PERP, settings(50, PositionMode::OneWay));
    desk.exposure.set_mismatch(PERP, true);
    desk.exposure.on_liquidation(PERP, PositionSide::Net, Some(Amount("99".parse().unwrap())));
    fund(&mut desk, Market::UsdtFutures, "0", "0");
    desk.exposure.on_order(None, &Order { state: OrderState::Unknown, ..order(1, Side::Buy, 9_900, 1, NET) });
    desk.gate.trading = TradingState::ReduceOnly;
    desk.accepts(&on(REDUCE, sell(10_010, 10)));
}

#[test]
fn a_reduce_only_order_that_clears_the_way_past_a_limit_is_refused() {
    let mut desk = desk();
    desk.limits.max_position_notional = money("2");
    trade(&mut desk, Side::Buy, 10_000, 10, NET);
    rest(&mut desk, 1, Side::Sell, 10_020, 30, NET); // from ten long to twenty short
    desk.refuses(&on(REDUCE, sell(10_010, 10)), RefuseReason::PositionNotional);
    desk.limits.max_position_notional = money("3");
    desk.accepts(&on(REDUCE, sell(10_010, 10)));
}

#[test]
fn the_initial_margin_of_the_worst_case_must_be_free() {
    let mut desk = desk();
    fund(&mut desk, Market::UsdtFutures, "100", "0");
    desk.accepts(&on(NET, sell(10_000, 2_000)));
    desk.refuses(&on(NET, sell(10_000, 2_001)), RefuseReason::Margin);
    // What rests is counted at once, before the venue's balance shows it.
    rest(&mut desk, 1, Side::Buy, 10_000, 1_500, NET);
    desk.accepts(&on(NET, buy(10_000, 500)));
    desk.refuses(&on(NET, buy(10_000, 501)), RefuseReason::Margin);
    // The other side binds nothing until it is the worse one.
    desk.accepts(&on(NET, sell(10_001, 2_000)));
    // And only once when the venue shows it.
    fund(&mut desk, Market::UsdtFutures, "25", "75");
    desk.accepts(&on(NET, buy(10_000, 500)));
    desk.refuses(&on(NET, buy(10_000, 501)), RefuseReason::Margin);
    // Spot money of a classic account is no margin.
    fund(&mut desk, Market::Spot, "1000", "0");
    desk.refuses(&on(NET, buy(10_000, 501)), RefuseReason::Margin);
}

#[test]
fn on_a_unified_account_spot_and_futures_draw_on_one_wallet() {
    let mut desk = desk_of(&[VenueId(0)]);
    fund(&mut desk, Market::Spot, "100", "0");
    rest(&mut desk, 1, Side::Buy, 10_000, 1_000, NET); // binds 50 at leverage 2
    let spot = InstrumentVersion { id: InstrumentId(0), ..version() };
    let futures = std::mem::replace(&mut desk.version, spot);
    desk.accepts(&buy(10_000, 500));
    desk.refuses(&buy(10_000, 501), RefuseReason::Balance);
    let bought = resting(2, Side::Buy, 10_000, 400_000);
    desk.exposure.on_order(None, &bought); // 40 for spot
    desk.version = futures;
    desk.accepts(&on(NET, buy(10_000, 200)));
    desk.refuses(&on(NET, buy(10_000, 201)), RefuseReason::Margin);
}

#[test]
fn an_account_that_becomes_unified_or_classic_takes_its_positions_to_the_other_wallet() {
    let mut desk = desk();
    fund(&mut desk, Market::UsdtFutures, "100", "0");
    fund(&mut desk, Market::Spot, "400", "0");
    trade(&mut desk, Side::Sell, 10_000, 1_000, NET); // binds 50
    desk.exposure.set_unified(VenueId(0), true);
    assert_eq!(desk.exposure.free_margin(PERP).0, Decimal::from(350));
    desk.exposure.set_unified(VenueId(0), true);
    assert_eq!(desk.exposure.free_margin(PERP).0, Decimal::from(350), "once is enough");
    desk.exposure.set_unified(VenueId(0), false);
    assert_eq!(desk.exposure.free_margin(PERP).0, Decimal::ZERO, "until its wallet is told again");
    fund(&mut desk, Market::UsdtFutures, "100", "0");
    assert_eq!(desk.exposure.free_margin(PERP).0, Decimal::from(50));
    let spot = InstrumentVersion { id: InstrumentId(0), ..version() };
    desk.version = spot;
    desk.accepts(&buy(10_000, 4_000));
}

#[test]
fn a_loss_on_paper_binds_margin_and_a_profit_frees_none() {
    let mut desk = desk();
    desk.limits.max_drawdown = Decimal::ONE;
    fund(&mut desk, Market::UsdtFutures, "100", "0");
    trade(&mut desk, Side::Buy, 11_000, 1_000, NET); // 10 lost on paper, 50 bound
    desk.accepts(&on(NET, buy(10_000, 800)));
    desk.refuses(&on(NET, buy(10_000, 801)), RefuseReason::Margin);
    let mut desk = self::desk();
    fund(&mut desk, Market::UsdtFutures, "100", "0");
    trade(&mut desk, Side::Buy, 9_000, 1_000, NET);
    desk.accepts(&on(NET, buy(10_000, 1_000)));
    desk.refuses(&on(NET, buy(10_000, 1_001)), RefuseReason::Margin);
}

#[test]
fn unknown_or_higher_leverage_than_allowed_opens_nothing() {
    let mut desk = desk();
    desk.exposure.on_futures_settings(PERP, settings(3, PositionMode::OneWay));
    desk.accepts(&on(NET, buy(9_990, 10)));
    desk.exposure.on_futures_settings(PERP, settings(4, PositionMode::OneWay));
    desk.refuses(&on(NET, buy(9_990, 10)), RefuseReason::Leverage);
    desk.limits.max_leverage = 4;
    desk.accepts(&on(NET, buy(9_990, 10)));
    let uneven = FuturesSettings { leverage_short: 5, ..settings(4, PositionMode::OneWay) };
    desk.exposure.on_futures_settings(PERP, uneven);
    desk.refuses(&on(NET, buy(9_990, 10)), RefuseReason::Leverage);
    let mut fresh = Desk::new();
    fresh.exposure = Exposure::new(&[perpetual()], &[StrategyTag(1)], UnixNanos(0));
    fresh.version = perpetual().version;
    fresh.refuses(&on(NET, buy(9_990, 10)), RefuseReason::Leverage);
}

#[test]
fn nothing_is_added_near_the_liquidation_price_on_either_side() {
    let mut desk = desk();
    trade(&mut desk, Side::Buy, 10_000, 10, NET);
    let at = |text: &str| Some(Amount(text.parse().unwrap()));
    for (far, near) in [("90", "90.00001"), ("110", "109.99999")] {
        desk.exposure.on_liquidation(PERP, PositionSide::Net, at(far));
        desk.accepts(&on(NET, buy(9_990, 10)));
        desk.exposure.on_liquidation(PERP, PositionSide::Net, at(near));
        desk.refuses(&on(NET, buy(9_990, 10)), RefuseReason::Liquidation);
        desk.accepts(&on(REDUCE, sell(10_010, 10)));
    }
    // It goes with the position.
    trade(&mut desk, Side::Sell, 10_000, 10, REDUCE);
    desk.accepts(&on(NET, buy(9_990, 10)));
}

#[test]
fn an_order_that_names_a_position_which_the_mode_has_not_is_refused() {
    let mut desk = desk();
    desk.refuses(&on(LONG, buy(9_990, 10)), RefuseReason::PositionMode);
    desk.exposure.on_futures_settings(PERP, settings(2, PositionMode::Hedge));
    desk.refuses(&on(NET, buy(9_990, 10)), RefuseReason::PositionMode);
    desk.accepts(&on(LONG, buy(9_990, 10)));
    desk.version = version();
    desk.refuses(&OrderIntent { effect: REDUCE, ..buy(9_990, 10) }, RefuseReason::PositionMode);
}

#[test]
fn in_hedge_mode_each_side_opens_and_closes_on_its_own_and_both_count() {
    let mut desk = desk();
    desk.exposure.on_futures_settings(PERP, settings(2, PositionMode::Hedge));
    desk.limits.max_position_notional = money("500");
    trade(&mut desk, Side::Buy, 10_000, 2_000, LONG);
    trade(&mut desk, Side::Sell, 10_000, 1_000, SHORT);
    assert_eq!(desk.exposure.gross_exposure().0, Decimal::from(300));
    assert_eq!(desk.exposure.leg_position(PERP, PositionSide::Short).0, -Decimal::ONE);
    desk.accepts(&on(SHORT, sell(10_010, 2_000)));
    desk.refuses(&on(SHORT, sell(10_010, 2_001)), RefuseReason::PositionNotional);
    // Closing: the venue lets it go to zero and no further.
    rest(&mut desk, 1, Side::Sell, 10_020, 1_500, LONG);
    desk.accepts(&on(LONG, sell(10_010, 500)));
    desk.refuses(&on(LONG, sell(10_010, 501)), RefuseReason::NothingToReduce);
    desk.accepts(&on(SHORT, buy(9_990, 1_000)));
    desk.refuses(&on(SHORT, buy(9_990, 1_001)), RefuseReason::NothingToReduce);
}

#[test]
fn a_position_that_the_venue_disputes_is_only_reduced() {
    let mut desk = desk();
    trade(&mut desk, Side::Buy, 10_000, 10, NET);
    desk.exposure.set_mismatch(PERP, true);
    desk.refuses(&on(NET, buy(9_990, 1)), RefuseReason::PositionMismatch);
    desk.accepts(&on(REDUCE, sell(10_010, 10)));
    desk.exposure.set_mismatch(PERP, false);
    desk.accepts(&on(NET, buy(9_990, 1)));
}

#[test]
fn a_short_round_trip_ends_with_its_result_and_fees_are_taken_in_the_settle_asset() {
    let mut desk = desk();
    let usdt = |text: &str| Fee { amount: Amount(text.parse().unwrap()), asset: Asset::from("USDT").unwrap() };
    let sold = order(1, Side::Sell, 10_000, 1_000, NET);
    desk.exposure.on_fill(&Fill { fee: usdt("0.1"), ..fill(&sold, 1_000_000) });
    let bought = order(2, Side::Buy, 9_000, 1_000, NET);
    let after = desk.exposure.on_fill(&Fill { fee: usdt("0.09"), ..fill(&bought, 1_000_000) });
    assert_eq!((after.qty.0, after.realised.0), (Decimal::ZERO, "9.91".parse().unwrap()));
    let position = desk.exposure.position(StrategyTag(1), PERP);
    assert_eq!((position.cost.0, position.realised.0), (Decimal::ZERO, "9.81".parse().unwrap()));
    assert_eq!(desk.exposure.free_margin(PERP).0, "1000009.81".parse().unwrap(), "until the venue tells it again");
}

#[test]
fn two_strategies_against_each_other_are_flat_for_the_venue_and_their_results_stay_apart() {
    let mut desk = desk();
    trade(&mut desk, Side::Buy, 10_000, 1_000, NET);
    let other = Order { strategy: StrategyTag(2), ..order(5, Side::Sell, 11_000, 1_000, NET) };
    desk.exposure.on_fill(&fill(&other, 1_000_000));
    assert_eq!(desk.exposure.leg_position(PERP, PositionSide::Net).0, Decimal::ZERO);
    assert_eq!(desk.exposure.gross_exposure().0, Decimal::ZERO);
    assert_eq!(desk.exposure.total_pnl().0, Decimal::TEN);
    assert_eq!(desk.exposure.position(StrategyTag(2), PERP).qty.0, -Decimal::ONE);
    // The wallet has the ten: nothing is won on paper for the account.
    assert_eq!(desk.exposure.free_margin(PERP).0, Decimal::from(1_000_010));
}

#[test]
fn funding_counts_for_the_day_and_for_the_one_strategy_that_holds_the_position() {
    let mut desk = desk();
    trade(&mut desk, Side::Buy, 10_000, 1_000, NET);
    let paid = Amount("-0.5".parse().unwrap());
    desk.exposure.on_funding(Some(PERP), paid, UnixNanos(1));
    assert_eq!((desk.exposure.day_pnl().0, desk.exposure.strategy_day_pnl(StrategyTag(1)).0), (paid.0, paid.0));
    let other = Order { strategy: StrategyTag(2), ..order(5, Side::Sell, 10_000, 500, NET) };
    desk.exposure.on_fill(&fill(&other, 500_000));
    desk.exposure.on_funding(Some(PERP), paid, UnixNanos(2));
    assert_eq!((desk.exposure.day_pnl().0, desk.exposure.strategy_day_pnl(StrategyTag(1)).0), (-Decimal::ONE, paid.0));
    desk.limits.max_daily_loss = money("1");
    assert_eq!(desk.guard().must_halt(&desk.exposure), Some(HaltReason::DailyLoss));
}

#[test]
fn drawdown_counts_what_futures_lose_on_paper_once() {
    let mut desk = desk();
    for wallet in [Market::Spot, Market::UsdtFutures] {
        fund(&mut desk, wallet, "500", "0");
    }
    trade(&mut desk, Side::Sell, 10_000, 5_000, NET);
    let up = TopUsed { bid: Price(11_999), ask: Price(12_001), received: NOW };
    desk.exposure.mark(PERP, up);
    assert_eq!(desk.exposure.drawdown(), "0.1".parse().unwrap(), "100 of 1000");
}

#[test]
fn a_strategys_own_budget_binds_its_short_side_too() {
    let mut desk = desk();
    let position = StrategyLimits { max_position: Some(Amount("0.02".parse().unwrap())), ..StrategyLimits::default() };
    desk.budgets = vec![(StrategyTag(1), position)];
    trade(&mut desk, Side::Sell, 10_000, 10, NET);
    rest(&mut desk, 1, Side::Sell, 10_020, 4, NET);
    desk.accepts(&on(NET, sell(10_010, 6)));
    desk.refuses(&on(NET, sell(10_010, 7)), RefuseReason::StrategyBudget);
    desk.accepts(&on(NET, buy(9_990, 30)));
    desk.refuses(&on(NET, buy(9_990, 31)), RefuseReason::StrategyBudget);
}
