//! Random lives: fills, refusals, rejects, lost books, new rules and restarts. The venue model asserts throughout that
//! nothing is offered that is not owned.

use super::*;
use crate::api::Strategy;
use proptest::prelude::{Just, ProptestConfig, any, prop_assert, prop_oneof, proptest};
use proptest::strategy::Strategy as Generator;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Market(i64),
    Fill { which: usize, share: i64 },
    Fates(Vec<Fate>),
    LoseBook,
    Rules,
    Restart,
    Pass(u64),
    Order(bool),
}

pub(super) fn any_step() -> impl Generator<Value = Step> {
    let fate = prop_oneof![Just(Fate::Taken), Just(Fate::Refused), Just(Fate::Rejected), Just(Fate::NotSent)];
    prop_oneof![
        6 => (9_000_i64..11_000).prop_map(Step::Market),
        4 => (0_usize..64, 1_i64..100).prop_map(|(which, share)| Step::Fill { which, share }),
        2 => proptest::collection::vec(fate, 1..6).prop_map(Step::Fates),
        1 => Just(Step::LoseBook),
        1 => Just(Step::Rules),
        1 => Just(Step::Restart),
        3 => (100_u64..3_000).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Order),
    ]
}

pub(super) fn live<S: Strategy>(venue: &mut Venue<S>, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Market(mid) => venue.market(*mid),
            Step::Fill { which, share } => {
                let resting = venue.resting();
                if let Some((side, price, qty)) = resting.get(which % resting.len().max(1)) {
                    venue.fill_some(*side, *price, (qty * share / 100).max(1));
                }
            }
            Step::Fates(fates) => venue.fates.extend(fates),
            Step::LoseBook => venue.lose_book(),
            Step::Rules => venue.change_rules(|version| version.lot = 20),
            Step::Restart => venue.restart(),
            Step::Pass(ms) => venue.pass(*ms),
            Step::Order(before) => venue.end_before_fill = *before,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_grid_never_offers_more_than_it_owns(steps in proptest::collection::vec(any_step(), 1..60), stepped in any::<bool>()) {
        let params = if stepped { around() } else { range() };
        let params = GridParams { opening_position: Amount(decimal("0.35")), ..params };
        let mut venue = Venue::started(move || Grid::new(params, SETUP), 10_000);
        live(&mut venue, &steps);
        // When the trouble is over, at most one order per level and side rests whole.
        venue.fates.clear();
        venue.market(10_005);
        venue.pass(40_000);
        let bought: i64 = venue.resting().iter().filter(|(side, ..)| *side == Side::Buy).map(|(.., qty)| qty).sum();
        prop_assert!(bought <= 11 * 100_000, "{bought} to buy");
    }

    #[test]
    fn a_market_maker_never_offers_more_than_it_owns_nor_holds_more_than_its_limit(steps in proptest::collection::vec(any_step(), 1..60)) {
        let params = MakerParams { opening_position: Amount(decimal("0.4")), ..quotes() };
        let mut venue = Venue::started(move || MarketMaker::new(params, SETUP), 10_000);
        for step in &steps {
            live(&mut venue, std::slice::from_ref(step));
            prop_assert!(venue.position <= decimal("1.0"), "holds {}", venue.position);
        }
        venue.fates.clear();
        venue.market(10_005);
        venue.pass(40_000);
        prop_assert!(venue.resting().len() <= 2);
    }
}
