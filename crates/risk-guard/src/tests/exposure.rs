//! What fills, orders and marks do to exposure.

use super::*;

fn usdt(amount: &str) -> Fee {
    Fee { amount: Amount(amount.parse().unwrap()), asset: Asset::from("USDT").unwrap() }
}

fn btc(amount: &str) -> Fee {
    Fee { amount: Amount(amount.parse().unwrap()), asset: Asset::from("BTC").unwrap() }
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn exposure() -> Exposure {
    Exposure::new(&instruments(), &[StrategyTag(1), StrategyTag(2)], UnixNanos(0))
}

#[test]
fn a_fee_in_base_lowers_the_position_and_is_valued_at_the_fills_price() {
    let mut exposure = exposure();
    let bought = Fill { fee: btc("0.001"), ..fill(&resting(1, Side::Buy, 10_000, 1_000_000), 1_000_000) };
    let after = exposure.on_fill(&bought);
    assert_eq!(after.qty.0, decimal("0.999"));
    assert_eq!(after.realised.0, decimal("-0.1"));
    let position = exposure.position(StrategyTag(1), InstrumentId(0));
    assert_eq!((position.cost.0, position.fees_quote.0), (decimal("99.9"), decimal("0.1")));
}

#[test]
fn selling_realises_against_average_cost_after_fees() {
    let mut exposure = exposure();
    exposure.on_fill(&fill(&resting(1, Side::Buy, 10_000, 1_000_000), 1_000_000));
    exposure.on_fill(&fill(&resting(2, Side::Buy, 11_000, 1_000_000), 1_000_000));
    let sold = Fill { fee: usdt("0.12"), ..fill(&resting(3, Side::Sell, 12_000, 1_000_000), 1_000_000) };
    assert_eq!(exposure.on_fill(&sold).realised.0, decimal("14.88"));
    let sold = Fill { fee: usdt("0.12"), ..fill(&resting(4, Side::Sell, 10_500, 1_000_000), 1_000_000) };
    assert_eq!(exposure.on_fill(&sold).realised.0, decimal("-0.12"));
    let position = exposure.position(StrategyTag(1), InstrumentId(0));
    assert_eq!((position.qty.0, position.cost.0), (Decimal::ZERO, Decimal::ZERO));
    assert_eq!(exposure.total_pnl().0, decimal("14.76"));
}

#[test]
fn sellable_is_the_position_down_to_the_lot_minus_own_open_sells() {
    let mut exposure = exposure();
    let bought = Fill { fee: btc("0.000003"), ..fill(&resting(1, Side::Buy, 10_000, 1_000), 1_000) };
    exposure.on_fill(&bought);
    assert_eq!(exposure.sellable(StrategyTag(1), InstrumentId(0)), Qty(990), "997 is no multiple of 10");
    exposure.on_order(None, &resting(2, Side::Sell, 10_100, 400));
    assert_eq!(exposure.sellable(StrategyTag(1), InstrumentId(0)), Qty(590));
    assert_eq!(exposure.sellable(StrategyTag(2), InstrumentId(0)), Qty(0));
}

#[test]
fn a_fill_that_was_announced_but_not_seen_still_counts() {
    let mut exposure = exposure();
    let before = resting(1, Side::Buy, 10_000, 1_000_000);
    exposure.on_order(None, &before);
    let announced = Order { state: OrderState::Cancelled, filled: Qty(400_000), ..before };
    exposure.on_order(Some(&before), &announced);
    assert_eq!((exposure.open_orders(), exposure.gross_exposure().0), (0, decimal("40")));
    let seen = Order { filled_by_fills: Qty(400_000), ..announced };
    exposure.on_order(Some(&announced), &seen);
    assert_eq!(exposure.gross_exposure().0, Decimal::ZERO);
    exposure.on_fill(&fill(&seen, 400_000));
    assert_eq!(exposure.gross_exposure().0, decimal("40"));
}

#[test]
fn the_same_order_again_changes_nothing() {
    let mut exposure = exposure();
    let order = resting(1, Side::Buy, 10_000, 1_000_000);
    exposure.on_order(None, &order);
    exposure.on_order(None, &order);
    exposure.on_order(Some(&order), &order);
    assert_eq!((exposure.open_orders(), exposure.gross_exposure().0), (1, decimal("100")));
}

#[test]
fn fills_of_earlier_days_do_not_count_for_the_day() {
    let day = 86_400_000_000_000_u64;
    let mut exposure = Exposure::new(&instruments(), &[StrategyTag(1)], UnixNanos(10 * day + 5));
    let at = |time: u64, side, price, sequence| Fill {
        venue_time: UnixNanos(time),
        ..fill(&resting(sequence, side, price, 1_000_000), 1_000_000)
    };
    exposure.on_fill(&at(9 * day, Side::Buy, 10_000, 1));
    exposure.on_fill(&at(9 * day + 1, Side::Sell, 9_000, 2));
    assert_eq!((exposure.day_pnl().0, exposure.total_pnl().0), (decimal("0"), decimal("-10")));
    exposure.on_fill(&at(10 * day + 1, Side::Buy, 9_000, 3));
    exposure.on_fill(&at(10 * day + 2, Side::Sell, 8_900, 4));
    assert_eq!((exposure.day_pnl().0, exposure.strategy_day_pnl(StrategyTag(1)).0), (decimal("-1"), decimal("-1")));
}

#[test]
fn an_order_under_an_older_version_counts_in_its_own_decimals() {
    let mut exposure = exposure();
    let finer = InstrumentVersion { version: 2, price_decimals: 4, qty_decimals: 8, lot: 1, ..version() };
    exposure.set_version(finer);
    exposure.on_order(None, &resting(1, Side::Buy, 10_000, 1_000_000));
    let order = Order { version: 2, ..resting(2, Side::Buy, 1_000_000, 100_000_000) };
    exposure.on_order(None, &order);
    assert_eq!(exposure.gross_exposure().0, decimal("200"));
    assert!(!exposure.is_broken());
}

#[test]
fn fills_move_the_free_balance_until_the_venue_tells_it_again() {
    let mut desk = Desk::new();
    let usdt = Asset::from("USDT").unwrap();
    desk.exposure.on_balance(VenueId(0), Market::Spot, usdt, Amount(Decimal::from(100)), Amount(Decimal::ZERO));
    desk.exposure.on_balance(
        VenueId(0),
        Market::Spot,
        Asset::from("BTC").unwrap(),
        Amount::default(),
        Amount::default(),
    );
    desk.own(400); // 40 spent, 0.4 received; the venue has not said so yet
    desk.accepts(&buy(10_000, 600));
    desk.refuses(&buy(10_000, 601), RefuseReason::Balance);
    desk.accepts(&sell(10_010, 400));
    desk.exposure.on_balance(VenueId(0), Market::Spot, usdt, Amount(Decimal::from(50)), Amount(Decimal::ZERO));
    desk.refuses(&buy(10_000, 501), RefuseReason::Balance);
    desk.accepts(&buy(10_000, 500));
}

#[test]
fn a_strategy_that_is_no_longer_configured_keeps_its_place() {
    let mut exposure = exposure();
    let order = Order { strategy: StrategyTag(40), ..resting(1, Side::Buy, 10_000, 1_000_000) };
    exposure.on_fill(&fill(&order, 1_000_000));
    assert_eq!(exposure.position(StrategyTag(40), InstrumentId(0)).qty.0, Decimal::ONE);
    assert_eq!(exposure.instrument_position(InstrumentId(0)).0, Decimal::ONE);
}

#[test]
fn more_strategies_than_there_is_room_for_break_the_exposure_instead_of_being_forgotten() {
    let mut exposure = exposure();
    for tag in 100..117 {
        let order = Order { strategy: StrategyTag(tag), ..resting(u64::from(tag), Side::Buy, 10_000, 1_000) };
        assert!(!exposure.is_broken());
        exposure.on_fill(&fill(&order, 1_000));
    }
    assert!(exposure.is_broken());
}
