//! Grid.

use super::*;

fn grid(params: GridParams) -> impl Fn() -> Grid {
    move || Grid::new(params, SETUP)
}

#[test]
fn without_a_position_only_buys_below_the_market_rest() {
    let venue = Venue::started(grid(range()), 10_050);
    let expected: Vec<_> = [9_000, 9_200, 9_400, 9_600, 9_800, 10_000].map(|price| (Side::Buy, price, 100_000)).into();
    assert_eq!(venue.resting(), expected);
}

#[test]
fn after_a_buy_fills_its_counterpart_rests_one_level_higher_and_after_that_the_buy_again() {
    let mut venue = Venue::started(grid(range()), 10_050);
    venue.market(9_950);
    // The fee was taken in base: 0.0999 is what can be sold.
    assert_eq!(venue.resting().last(), Some(&(Side::Sell, 10_200, 99_900)));
    assert!(!venue.resting().contains(&(Side::Buy, 10_000, 100_000)));
    venue.market(10_250);
    assert!(venue.resting().contains(&(Side::Buy, 10_000, 100_000)));
    assert!(venue.resting().iter().all(|(side, ..)| *side == Side::Buy));
    assert_eq!(venue.position, Decimal::ZERO);
}

#[test]
fn a_partial_fill_is_offered_at_once_and_topped_up() {
    let mut venue = Venue::started(grid(range()), 10_050);
    venue.fee = Decimal::ZERO;
    venue.fill_some(Side::Buy, 10_000, 40_000);
    assert!(venue.resting().contains(&(Side::Sell, 10_200, 40_000)));
    assert!(venue.resting().contains(&(Side::Buy, 10_000, 60_000)));
    venue.fill_some(Side::Buy, 10_000, 60_000);
    let offered: i64 = venue.resting().iter().filter(|(side, ..)| *side == Side::Sell).map(|(.., qty)| qty).sum();
    assert_eq!(offered, 100_000);
}

#[test]
fn a_fill_that_is_announced_before_it_is_seen_is_not_bought_twice() {
    let mut venue = Venue::new(grid(range()));
    venue.end_before_fill = true;
    venue.start();
    venue.market(10_050);
    let before = venue.asked.len();
    venue.market(9_950);
    let asked: Vec<_> = venue.asked[before..].iter().map(|(intent, _)| intent.side).collect();
    assert_eq!(asked, [Side::Sell]);
}

#[test]
fn the_opening_position_is_bought_once_by_one_marketable_order_and_offered_above() {
    let mut venue = Venue::started(grid(GridParams { opening_position: Amount(decimal("0.25")), ..range() }), 10_050);
    let (opening, _) = venue.asked[0];
    assert_eq!((opening.side, opening.time_in_force), (Side::Buy, TimeInForce::Ioc));
    assert!(opening.price.price() > Price(10_051) && opening.qty.qty() == Qty(250_000));
    let sells: Vec<_> = venue.resting().into_iter().filter(|(side, ..)| *side == Side::Sell).collect();
    assert_eq!(sells, [(Side::Sell, 10_200, 100_000), (Side::Sell, 10_400, 100_000), (Side::Sell, 10_600, 49_750)]);
    venue.restart();
    venue.market(10_050);
    let openings = venue.asked.iter().filter(|(intent, _)| intent.time_in_force == TimeInForce::Ioc).count();
    assert_eq!(openings, 1);
}

#[test]
fn a_refused_opening_is_tried_again_after_a_pause() {
    let mut venue = Venue::new(grid(GridParams { opening_position: Amount(decimal("0.1")), ..range() }));
    venue.fates = [Fate::Refused, Fate::Rejected, Fate::NotSent].into();
    venue.start();
    venue.market(10_050);
    venue.market(10_051);
    assert_eq!(venue.asked.len(), 1);
    venue.pass(10_000);
    let openings = venue.asked.iter().filter(|(intent, _)| intent.time_in_force == TimeInForce::Ioc).count();
    assert_eq!(openings, 4);
    assert!(venue.position > Decimal::ZERO);
}

#[test]
fn refusals_are_followed_by_growing_pauses_and_never_by_a_tight_loop() {
    let mut venue = Venue::new(grid(range()));
    venue.fates = vec![Fate::Refused; 10_000].into();
    venue.start();
    venue.market(10_050);
    for _ in 0..600 {
        venue.pass(100);
        venue.market(10_050);
    }
    // Six levels over a minute: 0.25 s doubling gives eight attempts each.
    assert!((36..=60).contains(&venue.asked.len()), "{}", venue.asked.len());
}

#[test]
fn orders_are_asked_for_no_faster_than_the_strategys_share() {
    let mut venue = Venue::started(move || Grid::new(range(), KindSetup { orders_per_second: 2, ..SETUP }), 10_050);
    assert_eq!(venue.asked.len(), 2);
    venue.pass(900);
    assert_eq!(venue.asked.len(), 2);
    venue.pass(100);
    assert_eq!(venue.asked.len(), 4);
    venue.pass(3_000);
    assert_eq!(venue.resting().len(), 6);
}

#[test]
fn after_a_restart_the_same_orders_are_desired_and_none_is_touched() {
    for params in [range(), around(), GridParams { opening_position: Amount(decimal("0.3")), ..around() }] {
        let mut venue = Venue::started(grid(params), 10_050);
        for mid in [9_960, 9_880, 10_010, 9_930, 10_090] {
            venue.market(mid);
        }
        let desired = venue.strategy.desired(&venue.context());
        let (resting, asked) = (venue.resting(), venue.asked.len());
        venue.restart();
        assert_eq!(venue.strategy.desired(&venue.context()), desired);
        venue.pass(5_000);
        assert_eq!(venue.resting(), resting);
        assert_eq!(venue.asked.len(), asked, "everything was taken over, nothing placed anew");
    }
}

#[test]
fn a_restart_between_a_buy_and_its_counterpart_still_sells_one_level_above_the_buy() {
    let mut venue = Venue::started(grid(range()), 10_050);
    venue.market(10_210);
    venue.fates = vec![Fate::Refused; 2].into();
    venue.market(9_990); // buys at 102.00 and 100.00 fill, both counterparts are refused
    assert!(venue.resting().iter().all(|(side, ..)| *side == Side::Buy));
    venue.restart();
    venue.market(9_990);
    let sells: Vec<_> = venue.resting().into_iter().filter(|(side, ..)| *side == Side::Sell).collect();
    assert_eq!(sells, [(Side::Sell, 10_200, 99_900), (Side::Sell, 10_400, 99_900)]);
}

#[test]
fn orders_that_lost_their_reference_are_known_by_side_and_price_after_a_restart() {
    for params in [range(), around(), GridParams { opening_position: Amount(decimal("0.3")), ..around() }] {
        let mut venue = Venue::started(grid(params), 10_050);
        for mid in [9_960, 9_880, 10_010, 9_930] {
            venue.market(mid);
        }
        let (resting, asked) = (venue.resting(), venue.asked.len());
        // One order is left that tells where the levels are; the wire log alone knew the others.
        let live: Vec<_> = venue.live().map(|order| order.id).collect();
        for id in live.iter().rev().skip(1) {
            venue.orders.get_mut(id).unwrap().reference = 0;
        }
        venue.restart();
        venue.pass(5_000);
        assert_eq!((venue.resting(), venue.asked.len()), (resting, asked), "taken over, nothing placed anew");
    }
}

#[test]
fn orders_that_fit_no_level_are_cancelled_after_a_restart() {
    let mut venue = Venue::started(grid(range()), 10_050);
    let id = *venue.orders.keys().next().unwrap();
    venue.orders.get_mut(&id).unwrap().price = Price(9_001);
    venue.restart();
    venue.market(10_050);
    venue.pass(1_000);
    assert_eq!(venue.orders[&id].state, OrderState::Cancelled);
    assert_eq!(venue.resting().len(), 6);
}

#[test]
fn resting_orders_stay_and_nothing_is_placed_while_the_book_is_invalid() {
    let mut venue = Venue::started(grid(range()), 10_050);
    let (resting, asked) = (venue.resting(), venue.asked.len());
    venue.lose_book();
    venue.pass(10_000);
    assert_eq!((venue.resting(), venue.asked.len()), (resting, asked));
}

#[test]
fn a_counterpart_that_would_cross_is_moved_one_tick_away() {
    let mut venue = Venue::started(grid(range()), 10_050);
    venue.fates = vec![Fate::Refused].into();
    venue.market(9_950);
    venue.market(10_300); // beyond the level at which the refused counterpart belongs
    venue.pass(1_000);
    assert!(venue.resting().contains(&(Side::Sell, 10_300, 99_900)), "{:?}", venue.resting());
}

#[test]
fn new_trading_rules_replace_every_order_under_the_old_ones() {
    let mut venue = Venue::started(grid(range()), 10_050);
    venue.change_rules(|version| version.tick = 100);
    venue.market(10_050);
    venue.pass(1_000);
    assert_eq!(venue.resting().len(), 6);
    assert!(venue.live().all(|order| order.version == 2));
}

#[test]
fn a_grid_around_mid_has_its_levels_a_step_apart() {
    let venue = Venue::started(grid(around()), 10_050);
    // 0.5 % of 100.50 is 50 ticks.
    assert_eq!(venue.resting(), [9_800, 9_850, 9_900, 9_950, 10_000, 10_050].map(|price| (Side::Buy, price, 100_000)));
}
