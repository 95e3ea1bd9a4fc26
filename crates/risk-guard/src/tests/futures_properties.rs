//! Random histories on a perpetual: no fills of accepted orders cross a limit on either side, running sums equal a
//! recomputation, and what is to reduce never makes a position larger.

use super::futures::{desk, on, perpetual, settings};
use super::*;
use messages::PositionMode;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Ask { side: Side, price: i64, thousandths: i64, effect: usize },
    Fill { which: usize, share: i64 },
    End { which: usize },
    Lose { which: usize },
    Mark { price: i64 },
}

fn any_step() -> impl Strategy<Value = Step> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    prop_oneof![
        5 => (side, 9_900_i64..10_100, 1_i64..3_000, 0_usize..6)
            .prop_map(|(side, price, thousandths, effect)| Step::Ask { side, price, thousandths, effect }),
        4 => (0_usize..64, 1_i64..=100).prop_map(|(which, share)| Step::Fill { which, share }),
        1 => (0_usize..64).prop_map(|which| Step::End { which }),
        1 => (0_usize..64).prop_map(|which| Step::Lose { which }),
        2 => (9_950_i64..10_050).prop_map(|price| Step::Mark { price }),
    ]
}

/// Positions of the legs as the venue holds them, in mantissas.
type Legs = BTreeMap<PositionSide, i64>;

struct Account {
    desk: Desk,
    guard: RiskGuard,
    orders: BTreeMap<u64, Order>,
    fills: Vec<Fill>,
    legs: Legs,
    now: MonoNanos,
    next: u64,
}

/// Whether the venue itself keeps the order from opening.
fn closes(order: &Order) -> bool {
    order.effect.reduce_only || order.effect.opens(order.side) == Some(false)
}

/// What the venue lets an order fill now.
fn fillable(order: &Order, legs: &Legs) -> i64 {
    let held = legs.get(&order.effect.side).copied().unwrap_or(0);
    let there = if order.side == Side::Sell { held.max(0) } else { (-held).max(0) };
    if closes(order) { order.remaining().0.min(there) } else { order.remaining().0 }
}

fn moved(legs: &mut Legs, order: &Order, qty: i64) {
    *legs.entry(order.effect.side).or_default() += if order.side == Side::Buy { qty } else { -qty };
}

impl Account {
    fn new(mode: PositionMode) -> Self {
        let mut desk = desk();
        desk.limits.max_order_notional = money("200");
        desk.limits.max_position_notional = money("600");
        desk.limits.max_open_orders = 8;
        desk.exposure.on_futures_settings(perpetual().id, settings(2, mode));
        let guard = desk.guard();
        Self { desk, guard, orders: BTreeMap::new(), fills: vec![], legs: Legs::new(), now: NOW, next: 1 }
    }

    fn change(&mut self, which: usize, change: impl Fn(&mut Order, &Legs) -> i64) {
        let live: Vec<u64> =
            self.orders.iter().filter(|(_, order)| order.state.may_rest()).map(|(id, _)| *id).collect();
        let Some(id) = live.get(which % live.len().max(1)) else { return };
        let order = self.orders.get_mut(id).unwrap();
        let before = *order;
        let qty = change(order, &self.legs);
        let order = *order;
        self.desk.exposure.on_order(Some(&before), &order);
        if qty > 0 {
            let fill = fill(&order, qty);
            self.desk.exposure.on_fill(&fill);
            self.fills.push(fill);
            moved(&mut self.legs, &order, qty);
        }
    }

    /// Does one step; `true`: an order was accepted.
    fn step(&mut self, step: &Step) -> bool {
        self.now = MonoNanos(self.now.0 + 1_000_000_000);
        if let Ok(top) = &mut self.desk.top {
            top.received = self.now;
        }
        match *step {
            Step::Ask { side, price, thousandths, effect } => {
                let wish = on(PositionEffect::ALL[effect], intent(side, price, thousandths));
                self.desk.exposure.mark(wish.instrument, self.desk.top.unwrap());
                if self.desk.check_with(&mut self.guard, &wish, self.now).is_err() {
                    return false;
                }
                let order = Order {
                    instrument: wish.instrument,
                    effect: wish.effect,
                    ..resting(self.next, side, price, thousandths * 1_000)
                };
                self.desk.exposure.on_order(None, &order);
                self.orders.insert(self.next, order);
                self.next += 1;
                return true;
            }
            Step::Fill { which, share } => self.change(which, |order, legs| {
                let room = fillable(order, legs);
                let qty = (order.remaining().0 * share / 100).max(1).min(room);
                if qty > 0 {
                    order.apply(OrderChange::Fill(Qty(qty)));
                }
                qty
            }),
            Step::End { which } => self.change(which, |order, _| {
                let venue_order_id = VenueOrderId::from("1").unwrap();
                let seen = VenueOrderStatus::Cancelled;
                order.apply(OrderChange::Seen { venue_order_id, status: seen, filled: order.filled });
                0
            }),
            Step::Lose { which } => self.change(which, |order, _| {
                order.state = OrderState::Unknown;
                0
            }),
            Step::Mark { price } => {
                let top = TopUsed { bid: Price(price - 1), ask: Price(price + 1), received: self.now };
                self.desk.top = Ok(top);
                self.desk.exposure.mark(perpetual().id, top);
            }
        }
        false
    }

    /// The largest sum of positions that fills of the open orders can make, tried in an order drawn from `seed`.
    fn filled_in(&self, mut seed: u64) -> i64 {
        let mut legs = self.legs.clone();
        let mut open: Vec<Order> = self.orders.values().filter(|order| order.state.may_rest()).copied().collect();
        let size = |legs: &Legs| legs.values().map(|held| held.abs()).sum::<i64>();
        let mut most = size(&legs);
        while !open.is_empty() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let order = open.swap_remove(usize::try_from(seed >> 33).unwrap() % open.len());
            let qty = fillable(&order, &legs);
            moved(&mut legs, &order, qty);
            most = most.max(size(&legs));
        }
        most
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_accepted_orders_can_fill_beyond_the_limit_on_either_side(
        steps in proptest::collection::vec(any_step(), 1..80), hedge in any::<bool>(), seed in any::<u64>()
    ) {
        let mut account = Account::new(if hedge { PositionMode::Hedge } else { PositionMode::OneWay });
        for step in &steps {
            let before = account.desk.exposure.largest_position();
            let accepted = account.step(step);
            let top = account.desk.top.unwrap();
            let mid = (version().price_decimal(top.bid) + version().price_decimal(top.ask)) / Decimal::TWO;
            for turn in 0..24 {
                let most = version().qty_decimal(Qty(account.filled_in(seed.wrapping_add(turn)))) * mid;
                // Never more than is counted, and what is counted was within the limit when it grew.
                prop_assert!(most <= account.desk.exposure.gross_exposure().0 + Decimal::new(1, 6), "{most}");
            }
            if accepted && account.desk.exposure.largest_position() > before {
                prop_assert!(account.desk.exposure.largest_position().0 <= Decimal::from(600));
            }
            prop_assert!(account.desk.exposure.open_orders() <= 8);
        }
    }

    #[test]
    fn what_is_to_reduce_never_makes_a_position_larger(
        steps in proptest::collection::vec(any_step(), 1..80), hedge in any::<bool>()
    ) {
        let mut account = Account::new(if hedge { PositionMode::Hedge } else { PositionMode::OneWay });
        for step in &steps {
            if !account.step(step) {
                continue;
            }
            let newest = account.orders[&(account.next - 1)];
            if closes(&newest) {
                let offered: i64 = account.orders.values()
                    .filter(|order| order.effect.side == newest.effect.side && order.side == newest.side)
                    .filter(|order| closes(order) && order.state.may_rest())
                    .map(|order| order.remaining().0)
                    .sum();
                let held = account.legs.get(&newest.effect.side).copied().unwrap_or(0);
                let there = if newest.side == Side::Sell { held } else { -held };
                prop_assert!(offered <= there, "{offered} of {there}");
            }
        }
    }

    #[test]
    fn futures_exposure_equals_a_recomputation_from_all_orders_and_fills(
        steps in proptest::collection::vec(any_step(), 1..80), hedge in any::<bool>()
    ) {
        let mode = if hedge { PositionMode::Hedge } else { PositionMode::OneWay };
        let mut account = Account::new(mode);
        for step in &steps {
            account.step(step);
        }
        let id = perpetual().id;
        let mut anew = desk().exposure;
        anew.on_futures_settings(id, settings(2, mode));
        for fill in &account.fills {
            anew.on_fill(fill);
        }
        for order in account.orders.values().rev() {
            anew.on_order(None, order);
        }
        anew.mark(id, account.desk.top.unwrap());
        let lived = &mut account.desk.exposure;
        lived.mark(id, account.desk.top.unwrap());
        prop_assert!(!lived.is_broken() && !anew.is_broken());
        prop_assert_eq!(lived.gross_exposure(), anew.gross_exposure());
        prop_assert_eq!(lived.total_pnl(), anew.total_pnl());
        prop_assert_eq!(lived.free_margin(id), anew.free_margin(id));
        prop_assert_eq!((lived.open_orders(), lived.unknown_orders()), (anew.open_orders(), anew.unknown_orders()));
        for side in [PositionSide::Net, PositionSide::Long, PositionSide::Short] {
            prop_assert_eq!(lived.leg_position(id, side), anew.leg_position(id, side));
            let held = account.legs.get(&side).copied().unwrap_or(0);
            prop_assert_eq!(lived.leg_position(id, side).0, version().qty_decimal(Qty(held)));
        }
    }
}
