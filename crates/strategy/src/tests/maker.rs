//! Market maker.

use super::*;

fn maker(params: MakerParams) -> impl Fn() -> MarketMaker {
    move || MarketMaker::new(params, SETUP)
}

fn balanced() -> MakerParams {
    MakerParams { opening_position: Amount(decimal("0.5")), ..quotes() }
}

#[test]
fn with_nothing_held_only_a_bid_rests_nearer_to_mid() {
    let venue = Venue::started(maker(quotes()), 10_000);
    assert_eq!(venue.resting(), [(Side::Buy, 9_950, 100_000)]);
}

#[test]
fn with_half_of_the_largest_position_both_quotes_stand_a_half_spread_away() {
    let mut venue = Venue::new(maker(balanced()));
    venue.fee = Decimal::ZERO;
    venue.start();
    venue.market(10_000);
    assert_eq!(venue.resting(), [(Side::Buy, 9_900, 100_000), (Side::Sell, 10_100, 100_000)]);
}

#[test]
fn at_the_largest_position_only_the_ask_remains() {
    let mut venue = Venue::new(maker(MakerParams { opening_position: Amount(decimal("1")), ..quotes() }));
    venue.fee = Decimal::ZERO;
    venue.start();
    venue.market(10_000);
    assert_eq!(venue.resting(), [(Side::Sell, 10_050, 100_000)]);
}

#[test]
fn a_small_move_leaves_the_quotes_and_a_large_one_renews_them() {
    let mut venue = Venue::started(maker(quotes()), 10_000);
    venue.now = MonoNanos(venue.now.0 + 200_000_000);
    venue.market(10_020);
    assert_eq!(venue.resting(), [(Side::Buy, 9_950, 100_000)]);
    venue.market(10_030);
    venue.pass(100);
    assert_eq!(venue.resting(), [(Side::Buy, 9_979, 100_000)]);
}

#[test]
fn after_the_refresh_time_quotes_follow_a_small_move() {
    let mut venue = Venue::started(maker(quotes()), 10_000);
    venue.market(10_010);
    venue.pass(400);
    assert_eq!(venue.resting(), [(Side::Buy, 9_950, 100_000)]);
    venue.pass(200);
    assert_eq!(venue.resting(), [(Side::Buy, 9_959, 100_000)]);
}

#[test]
fn an_unmoved_market_costs_no_orders() {
    let mut venue = Venue::started(maker(quotes()), 10_000);
    for _ in 0..100 {
        venue.pass(600);
        venue.market(10_000);
    }
    assert_eq!(venue.asked.len(), 1);
}

#[test]
fn quotes_are_withdrawn_when_the_book_stays_invalid() {
    let mut venue = Venue::started(maker(quotes()), 10_000);
    venue.lose_book();
    venue.pass(1_000);
    assert_eq!(venue.resting().len(), 1);
    venue.pass(200);
    assert_eq!(venue.resting().len(), 0);
    venue.market(10_000);
    assert_eq!(venue.resting(), [(Side::Buy, 9_950, 100_000)]);
}

#[test]
fn quotes_are_withdrawn_when_the_market_falls_silent() {
    let mut venue = Venue::started(maker(quotes()), 10_000);
    venue.pass(3_000);
    assert_eq!(venue.resting().len(), 1);
    venue.pass(200);
    assert_eq!(venue.resting().len(), 0);
}

#[test]
fn a_fill_moves_both_quotes_against_the_position() {
    let mut venue = Venue::new(maker(balanced()));
    venue.fee = Decimal::ZERO;
    venue.start();
    venue.market(10_000);
    venue.fill_some(Side::Buy, 9_900, 100_000);
    // Held 0.6 of 1: both quotes move down by a tenth of the half-spread.
    assert_eq!(venue.resting(), [(Side::Buy, 9_890, 100_000), (Side::Sell, 10_090, 100_000)]);
}

#[test]
fn after_a_restart_the_quotes_are_taken_over() {
    let mut venue = Venue::new(maker(balanced()));
    venue.fee = Decimal::ZERO;
    venue.start();
    venue.market(10_000);
    let (resting, asked) = (venue.resting(), venue.asked.len());
    let desired = venue.strategy.desired(&venue.context());
    venue.restart();
    venue.market(10_000);
    venue.pass(2_000);
    assert_eq!((venue.resting(), venue.asked.len()), (resting, asked));
    assert_eq!(venue.strategy.desired(&venue.context()), desired);
}

#[test]
fn quotes_that_lost_their_reference_are_taken_over_by_their_side() {
    let mut venue = Venue::new(maker(balanced()));
    venue.fee = Decimal::ZERO;
    venue.start();
    venue.market(10_000);
    let (resting, asked) = (venue.resting(), venue.asked.len());
    assert_eq!(resting.len(), 2, "a bid and an ask");
    venue.orders.values_mut().for_each(|order| order.reference = 0);
    venue.restart();
    venue.market(10_000);
    venue.pass(2_000);
    assert_eq!((venue.resting(), venue.asked.len()), (resting, asked));
}

#[test]
fn refused_quotes_are_tried_again_with_growing_pauses() {
    let mut venue = Venue::new(maker(quotes()));
    venue.fates = vec![Fate::Rejected; 10_000].into();
    venue.start();
    for step in 0..600 {
        venue.market(10_000 + step % 7);
        venue.pass(100);
    }
    assert!((5..=10).contains(&venue.asked.len()), "{}", venue.asked.len());
}

#[test]
fn a_quote_that_would_cross_stands_one_tick_from_the_other_side() {
    let tight = MakerParams { half_spread: decimal("0.00001"), skew: Decimal::ZERO, ..quotes() };
    let venue = Venue::started(maker(tight), 10_000);
    assert!(venue.asked.iter().all(|(intent, _)| intent.price.price() <= Price(10_000)));
    assert_eq!(venue.resting().len(), 1);
}
