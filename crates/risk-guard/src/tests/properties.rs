//! Random histories: running sums equal a recomputation, and no set of fills crosses a limit.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One step of a random life of an account.
#[derive(Debug, Clone)]
enum Step {
    Ask { side: Side, price: i64, thousandths: i64, instrument: u16 },
    Fill { which: usize, share: i64 },
    End { which: usize },
    Lose { which: usize },
    Mark { price: i64 },
}

fn any_step() -> impl Strategy<Value = Step> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    prop_oneof![
        4 => (side, 9_900_i64..10_100, 1_i64..3_000, 0_u16..2)
            .prop_map(|(side, price, thousandths, instrument)| Step::Ask { side, price, thousandths, instrument }),
        3 => (0_usize..64, 1_i64..=100).prop_map(|(which, share)| Step::Fill { which, share }),
        1 => (0_usize..64).prop_map(|which| Step::End { which }),
        1 => (0_usize..64).prop_map(|which| Step::Lose { which }),
        2 => (9_950_i64..10_050).prop_map(|price| Step::Mark { price }),
    ]
}

struct Account {
    desk: Desk,
    guard: RiskGuard,
    orders: BTreeMap<u64, Order>,
    fills: Vec<Fill>,
    tops: [TopUsed; 2],
    now: MonoNanos,
    next: u64,
}

impl Account {
    fn new() -> Self {
        let desk = Desk::with(|limits| {
            limits.max_order_notional = money("200");
            limits.max_position_notional = money("600");
            limits.max_gross_exposure = money("900");
            limits.max_open_orders = 6;
        });
        let top = desk.top.unwrap();
        Self { guard: desk.guard(), desk, orders: BTreeMap::new(), fills: vec![], tops: [top; 2], now: NOW, next: 1 }
    }

    fn change(&mut self, which: usize, change: impl Fn(&mut Order) -> Option<i64>) {
        let live: Vec<u64> =
            self.orders.iter().filter(|(_, order)| order.state.may_rest()).map(|(id, _)| *id).collect();
        let Some(id) = live.get(which % live.len().max(1)) else { return };
        let order = self.orders.get_mut(id).unwrap();
        let before = *order;
        let filled = change(order);
        self.desk.exposure.on_order(Some(&before), order);
        if let Some(qty) = filled {
            let fill = fill(order, qty);
            self.desk.exposure.on_fill(&fill);
            self.fills.push(fill);
        }
    }

    fn step(&mut self, step: &Step) {
        self.now = MonoNanos(self.now.0 + 1_000_000_000);
        for top in &mut self.tops {
            top.received = self.now;
        }
        match *step {
            Step::Ask { side, price, thousandths, instrument } => {
                let mut wish = intent(side, price, thousandths);
                wish.instrument = InstrumentId(instrument);
                self.desk.version.id = wish.instrument;
                self.desk.top = Ok(self.tops[usize::from(instrument)]);
                self.desk.exposure.mark(wish.instrument, self.tops[usize::from(instrument)]);
                if self.desk.check_with(&mut self.guard, &wish, self.now).is_ok() {
                    let order =
                        Order { instrument: wish.instrument, ..resting(self.next, side, price, thousandths * 1_000) };
                    self.desk.exposure.on_order(None, &order);
                    self.orders.insert(self.next, order);
                    self.next += 1;
                }
            }
            Step::Fill { which, share } => self.change(which, |order| {
                let qty = (order.remaining().0 * share / 100).max(1);
                order.apply(OrderChange::Fill(Qty(qty)));
                Some(qty)
            }),
            Step::End { which } => self.change(which, |order| {
                let seen = VenueOrderStatus::Cancelled;
                let venue_order_id = VenueOrderId::from("1").unwrap();
                order.apply(OrderChange::Seen { venue_order_id, status: seen, filled: order.filled });
                None
            }),
            Step::Lose { which } => self.change(which, |order| {
                order.state = OrderState::Unknown;
                None
            }),
            Step::Mark { price } => {
                self.tops[0] = TopUsed { bid: Price(price - 1), ask: Price(price + 1), received: self.now };
                self.desk.exposure.mark(InstrumentId(0), self.tops[0]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn exposure_equals_a_recomputation_from_all_orders_and_fills(steps in proptest::collection::vec(any_step(), 1..80)) {
        let mut account = Account::new();
        for step in &steps {
            account.step(step);
        }
        let mut anew = Exposure::new(&instruments(), &[StrategyTag(1), StrategyTag(2)], UnixNanos(0));
        for fill in &account.fills {
            anew.on_fill(fill);
        }
        for order in account.orders.values().rev() {
            anew.on_order(None, order);
        }
        for instrument in [InstrumentId(0), InstrumentId(1)] {
            // Without any mark a position is valued at its latest fill; bring both to the same mark.
            anew.mark(instrument, account.tops[instrument.index()]);
            account.desk.exposure.mark(instrument, account.tops[instrument.index()]);
        }
        let lived_again = &account.desk.exposure;
        prop_assert_eq!(lived_again.open_orders(), anew.open_orders());
        prop_assert_eq!(lived_again.unknown_orders(), anew.unknown_orders());
        prop_assert_eq!(lived_again.gross_exposure(), anew.gross_exposure());
        prop_assert_eq!(lived_again.total_pnl(), anew.total_pnl());
        for instrument in [InstrumentId(0), InstrumentId(1)] {
            prop_assert_eq!(lived_again.position(StrategyTag(1), instrument), anew.position(StrategyTag(1), instrument));
            prop_assert_eq!(lived_again.sellable(StrategyTag(1), instrument), anew.sellable(StrategyTag(1), instrument));
            let view = lived_again.view(StrategyTag(1), &InstrumentVersion { id: instrument, ..version() }).unwrap();
            let other = anew.view(StrategyTag(1), &InstrumentVersion { id: instrument, ..version() }).unwrap();
            prop_assert_eq!((view.best_buy, view.best_sell, view.unknown), (other.best_buy, other.best_sell, other.unknown));
            let resting = account.orders.values().filter(|order| order.instrument == instrument && order.state.may_rest());
            let best = resting.clone().filter(|order| order.side == Side::Buy).map(|order| order.price.0).max();
            prop_assert_eq!(view.best_buy, best.map(|cents| i128::from(cents) * 10_000_000_000_000_000));
        }
    }

    #[test]
    fn no_accepted_orders_can_fill_beyond_the_limits(steps in proptest::collection::vec(any_step(), 1..80)) {
        let mut account = Account::new();
        for step in &steps {
            let buys_before = account.next;
            account.step(step);
            if account.next == buys_before {
                continue; // nothing was accepted by this step
            }
            // The worst case at the moment of acceptance: every open buy fills at its limit.
            let mut gross = Decimal::ZERO;
            for instrument in [InstrumentId(0), InstrumentId(1)] {
                let top = account.tops[instrument.index()];
                let mid = (version().price_decimal(top.bid) + version().price_decimal(top.ask)) / Decimal::TWO;
                let mut worst = account.desk.exposure.position(StrategyTag(1), instrument).qty.0 * mid;
                for order in account.orders.values().filter(|order| order.instrument == instrument && order.side == Side::Buy) {
                    worst += version().notional(order.price, order.remaining()).unwrap().0;
                }
                let accepted = account.orders.get(&buys_before).unwrap();
                if accepted.instrument == instrument && accepted.side == Side::Buy {
                    prop_assert!(worst <= Decimal::from(600), "position {worst}");
                }
                gross += worst;
            }
            let accepted = account.orders.get(&buys_before).unwrap();
            if accepted.side == Side::Buy {
                prop_assert!(gross <= Decimal::from(900), "gross {gross}");
            }
            prop_assert!(account.desk.exposure.open_orders() <= 6);
            for instrument in [InstrumentId(0), InstrumentId(1)] {
                let owned = account.desk.exposure.position(StrategyTag(1), instrument).qty.0;
                let offered: i64 = account.orders.values()
                    .filter(|order| order.instrument == instrument && order.side == Side::Sell)
                    .map(|order| order.remaining().0).sum();
                prop_assert!(version().qty_decimal(Qty(offered)) <= owned, "offered more than owned");
            }
        }
    }
}
