//! The kinds on perpetual futures: around zero in one-way mode, on one side in hedge mode.

use super::*;
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};

fn grid(params: GridParams, setup: KindSetup) -> impl Fn() -> Grid {
    move || Grid::new(params, setup)
}

fn maker(params: MakerParams, setup: KindSetup) -> impl Fn() -> MarketMaker {
    move || MarketMaker::new(params, setup)
}

/// Side, price and whether the venue lets it only reduce, of everything that rests.
fn resting<S: crate::api::Strategy>(venue: &Venue<S>) -> Vec<(Side, i64, bool)> {
    let mut all: Vec<_> = venue.live().map(|order| (order.side, order.price.0, order.effect.reduce_only)).collect();
    all.sort_unstable();
    all
}

fn side(all: &[(Side, i64, bool)], side: Side) -> Vec<(i64, bool)> {
    all.iter().filter(|(of, ..)| *of == side).map(|(_, price, reduces)| (*price, *reduces)).collect()
}

#[test]
fn a_neutral_grid_buys_below_the_start_and_sells_above_it_and_leaves_the_nearest_level_empty() {
    let venue = Venue::perpetual(grid(range(), NEUTRAL), 10_010);
    let all = resting(&venue);
    assert_eq!(side(&all, Side::Buy), [9_000, 9_200, 9_400, 9_600, 9_800].map(|price| (price, false)));
    assert_eq!(side(&all, Side::Sell), [10_200, 10_400, 10_600, 10_800, 11_000].map(|price| (price, false)));
    assert_eq!(venue.position, Decimal::ZERO);
}

#[test]
fn each_filled_level_gets_its_counter_order_which_only_reduces() {
    let mut venue = Venue::perpetual(grid(range(), NEUTRAL), 10_010);
    venue.market(9_750);
    assert_eq!(venue.position, decimal("0.1"));
    assert!(resting(&venue).contains(&(Side::Sell, 10_000, true)), "{:?}", resting(&venue));
    assert!(!resting(&venue).contains(&(Side::Buy, 9_800, false)));
    venue.market(10_050);
    assert_eq!(venue.position, Decimal::ZERO);
    assert!(resting(&venue).contains(&(Side::Buy, 9_800, false)));
    venue.market(10_450);
    assert_eq!(venue.position, decimal("-0.2"));
    let buys = side(&resting(&venue), Side::Buy);
    assert!(buys.contains(&(10_200, true)) && buys.contains(&(10_000, true)), "{buys:?}");
    venue.market(9_990);
    assert_eq!(venue.position, Decimal::ZERO);
    assert_eq!(side(&resting(&venue), Side::Sell)[0], (10_200, false));
}

#[test]
fn a_neutral_grid_is_the_same_after_a_restart_with_and_without_resting_orders() {
    for params in [range(), around()] {
        for mids in [&[9_960, 9_770][..], &[10_090, 10_230], &[10_130, 9_840, 10_010], &[10_011]] {
            let mut venue = Venue::perpetual(grid(params, NEUTRAL), 10_010);
            mids.iter().for_each(|mid| venue.market(*mid));
            venue.pass(2_000);
            let (before, asked) = (resting(&venue), venue.asked.len());
            venue.restart();
            venue.pass(5_000);
            assert_eq!((resting(&venue), venue.asked.len()), (before.clone(), asked), "{mids:?}");
            if matches!(params.at, GridLevels::Step { .. }) {
                continue; // without an order its levels are found anew around the mid
            }
            // Everything was cancelled at the stop: the position alone says where the start was.
            let ids: Vec<_> = venue.live().map(|order| order.id).collect();
            for id in ids {
                venue.orders.get_mut(&id).unwrap().state = OrderState::Cancelled;
            }
            venue.restart();
            venue.pass(5_000);
            assert_eq!(resting(&venue), before, "{mids:?}");
        }
    }
}

#[test]
fn a_market_maker_around_zero_quotes_both_sides_at_once_and_leans_against_its_position() {
    let mut venue = Venue::perpetual(maker(quotes(), NEUTRAL), 10_000);
    assert_eq!(venue.resting(), [(Side::Buy, 9_900, 100_000), (Side::Sell, 10_100, 100_000)]);
    venue.market(10_110);
    venue.pass(1_000);
    assert_eq!(venue.position, decimal("-0.1"));
    // A tenth of the largest position short: both quotes stand a twentieth of a half-spread higher.
    assert_eq!(venue.resting(), [(Side::Buy, 10_013, 100_000), (Side::Sell, 10_217, 100_000)]);
}

#[test]
fn a_market_maker_at_its_largest_short_position_only_buys() {
    let params = MakerParams { max_position: Amount(decimal("0.1")), ..quotes() };
    let mut venue = Venue::perpetual(maker(params, NEUTRAL), 10_000);
    venue.market(10_110);
    venue.pass(1_000);
    assert_eq!(venue.position, decimal("-0.1"));
    assert!(venue.resting().iter().all(|(side, ..)| *side == Side::Buy), "{:?}", venue.resting());
    venue.market(9_900);
    venue.pass(1_000);
    assert!(venue.resting().iter().any(|(side, ..)| *side == Side::Sell));
}

#[test]
fn the_long_side_of_hedge_mode_works_like_spot() {
    let venue = Venue::perpetual(grid(range(), LONG), 10_050);
    let spot = Venue::started(move || Grid::new(range(), SETUP), 10_050);
    assert_eq!(venue.resting(), spot.resting());
    assert!(venue.live().all(|order| order.effect.side == PositionSide::Long));
    let mut venue = Venue::perpetual(maker(quotes(), LONG), 10_000);
    assert_eq!(venue.resting(), [(Side::Buy, 9_950, 100_000)]);
    venue.market(9_940);
    venue.pass(1_000);
    assert_eq!(venue.resting().len(), 2);
}

#[test]
fn the_short_side_of_hedge_mode_is_mirrored() {
    let mut venue = Venue::perpetual(grid(range(), SHORT), 9_950);
    assert_eq!(
        side(&resting(&venue), Side::Sell),
        [10_000, 10_200, 10_400, 10_600, 10_800, 11_000].map(|p| (p, false))
    );
    assert!(venue.live().all(|order| order.effect.side == PositionSide::Short));
    venue.market(10_050);
    assert_eq!((venue.position, side(&resting(&venue), Side::Buy)), (decimal("-0.1"), vec![(9_800, false)]));
    venue.restart();
    venue.pass(2_000);
    assert_eq!(side(&resting(&venue), Side::Buy), [(9_800, false)]);
    venue.market(9_750);
    assert_eq!(venue.position, Decimal::ZERO);
    let params = MakerParams { opening_position: Amount(decimal("0.5")), ..quotes() };
    let venue = Venue::perpetual(maker(params, SHORT), 10_000);
    let (opening, _) = venue.asked[0];
    assert_eq!((opening.side, opening.time_in_force), (Side::Sell, TimeInForce::Ioc));
    assert_eq!(venue.position, decimal("-0.5"));
    assert_eq!(venue.resting(), [(Side::Buy, 9_900, 100_000), (Side::Sell, 10_100, 100_000)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_happens_no_kind_holds_more_than_it_may_on_either_side(
        steps in proptest::collection::vec(super::properties::any_step(), 1..60), which in 0_usize..3, makes in any::<bool>()
    ) {
        let setup = [NEUTRAL, LONG, SHORT][which];
        let (lowest, highest) = match which {
            0 => (decimal("-1.1"), decimal("1.1")),
            1 => (Decimal::ZERO, decimal("1.1")),
            _ => (decimal("-1.1"), Decimal::ZERO),
        };
        if makes {
            let mut venue = Venue::perpetual(maker(quotes(), setup), 10_000);
            for step in &steps {
                super::properties::live(&mut venue, std::slice::from_ref(step));
                prop_assert!(venue.position.abs() <= Decimal::ONE, "{}", venue.position);
                prop_assert!((lowest..=highest).contains(&venue.position), "{}", venue.position);
            }
            venue.fates.clear();
            venue.market(10_005);
            venue.pass(40_000);
            prop_assert!(venue.resting().len() <= 2);
        } else {
            let mut venue = Venue::perpetual(grid(range(), setup), 10_000);
            for step in &steps {
                super::properties::live(&mut venue, std::slice::from_ref(step));
                prop_assert!((lowest..=highest).contains(&venue.position), "{}", venue.position);
            }
            venue.fates.clear();
            venue.market(10_005);
            venue.pass(40_000);
            let most = |side: Side| venue.resting().iter().filter(|(of, ..)| *of == side).map(|(.., qty)| *qty).sum::<i64>();
            prop_assert!(most(Side::Buy) <= 11 * 100_000 && most(Side::Sell) <= 11 * 100_000);
        }
    }
}
