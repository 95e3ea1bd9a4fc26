//! Each rule of the gate: what it refuses, and what it lets through just beside that.

use super::{Memory, client_id, document, epoch, instrument, number, order, symbol};
use crate::{PolicyDocument, PolicyGate, PolicyRefusal, RateLimit, SavedBudgets};
use domain::{MonoNanos, Scaled, Side, TimeInForce, UnixNanos};
use messages::{KeyRole, PlaceOrder, SignIntent, Verb};

const START: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// A gate, its store, and a clock.
struct Bench {
    gate: PolicyGate,
    store: Memory,
    now: u64,
}

impl Bench {
    fn new(document: PolicyDocument) -> Self {
        document.check().unwrap();
        let gate = PolicyGate::new(document, epoch(1), SavedBudgets::none(), UnixNanos(START));
        Self { gate, store: Memory::default(), now: 0 }
    }

    fn ask(&mut self, intent: &SignIntent, again: bool) -> Result<(), PolicyRefusal> {
        let (unix, mono) = (UnixNanos(START + self.now), MonoNanos(77 + self.now));
        self.gate.admit(intent, again, unix, mono, &mut self.store)
    }

    fn place(&mut self, order: PlaceOrder) -> Result<(), PolicyRefusal> {
        self.ask(&SignIntent::Place(order), false)
    }

    fn cancel_all(&mut self, name: &str) -> Result<(), PolicyRefusal> {
        self.ask(&SignIntent::CancelAll { symbol: symbol(name) }, false)
    }

    fn cancel(&mut self, name: &str, sequence: u64) -> Result<(), PolicyRefusal> {
        self.ask(&SignIntent::Cancel { symbol: symbol(name), id: client_id(1, sequence), venue_order_id: None }, false)
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now += seconds * SECOND;
        self
    }
}

fn buy(price: &str, qty: &str) -> PlaceOrder {
    order(Side::Buy, price, qty)
}

fn sell(price: &str, qty: &str) -> PlaceOrder {
    order(Side::Sell, price, qty)
}

#[test]
fn verb_that_the_role_does_not_have_is_refused_before_all_else() {
    let mut narrow = document();
    narrow.roles.trade.retain(|verb| *verb != Verb::KeyInfo);
    let mut bench = Bench::new(narrow);
    assert_eq!(bench.ask(&SignIntent::KeyInfo, false), Err(PolicyRefusal::Verb));
    assert_eq!(bench.ask(&SignIntent::Balances, false), Ok(()));
    bench.gate = bench.gate.for_role(KeyRole::Stream);
    assert_eq!(bench.ask(&SignIntent::StreamLogin, false), Ok(()));
    assert_eq!(bench.place(PlaceOrder { symbol: symbol("DOGEUSDT"), ..buy("0", "0") }), Err(PolicyRefusal::Verb));
    assert_eq!(bench.cancel("BTCUSDT", 1), Err(PolicyRefusal::Verb));
    assert_eq!(bench.gate.tally().of(PolicyRefusal::Verb), 3);
}

#[test]
fn instrument_that_is_not_listed_is_refused() {
    let mut bench = Bench::new(document());
    for name in ["BTCUSD", "BTCUSDT2", "btcusdt", "AAA", "ZZZ"] {
        let foreign = PlaceOrder { symbol: symbol(name), ..buy("0", "1") };
        assert_eq!(bench.place(foreign), Err(PolicyRefusal::Symbol), "{name}");
        assert_eq!(bench.cancel_all(name), Err(PolicyRefusal::Symbol), "{name}");
    }
    assert_eq!(bench.place(PlaceOrder { symbol: symbol("ETHUSDT"), ..buy("100", "1") }), Ok(()));
}

#[test]
fn numbers_that_are_not_positive_or_do_not_fit_are_refused() {
    let mut bench = Bench::new(document());
    let strange = Scaled { mantissa: 1, decimals: 19 };
    let huge = Scaled { mantissa: i64::MAX, decimals: 0 };
    for (price, qty) in [
        (number("0"), number("1")),
        (number("-100"), number("1")),
        (number("100"), number("0")),
        (number("100"), number("-1")),
        (number("-100"), number("-1")),
        (strange, number("1")),
        (number("100"), strange),
        (huge, huge),
        (Scaled { mantissa: i64::MIN, decimals: 0 }, number("1")),
    ] {
        for side in [Side::Buy, Side::Sell] {
            let bad = PlaceOrder { price, qty, side, ..buy("100", "1") };
            assert_eq!(bench.place(bad), Err(PolicyRefusal::Number), "{price} {qty}");
        }
    }
    assert_eq!(bench.gate.tally().admitted, 0);
}

#[test]
fn one_order_may_reach_its_limits_and_not_pass_them() {
    let mut bench = Bench::new(document());
    assert_eq!(bench.place(buy("100", "4")), Ok(()));
    assert_eq!(bench.place(buy("100.01", "4")), Err(PolicyRefusal::OrderNotional));
    assert_eq!(bench.place(buy("100.0000000000000001", "4")), Err(PolicyRefusal::OrderNotional));
    assert_eq!(bench.place(buy("51", "4.000000000000000001")), Err(PolicyRefusal::OrderQuantity));
}

#[test]
fn selling_cheap_and_buying_dear_are_refused_and_the_other_way_round_is_not() {
    let mut bench = Bench::new(document());
    assert_eq!(bench.place(sell("49.99", "1")), Err(PolicyRefusal::SellBelowBand));
    assert_eq!(bench.place(buy("200.01", "1")), Err(PolicyRefusal::BuyAboveBand));
    assert_eq!(bench.place(sell("50", "1")), Ok(()));
    assert_eq!(bench.place(buy("200", "1")), Ok(()));
    assert_eq!(bench.place(buy("1", "1")), Ok(()));
    assert_eq!(bench.place(sell("399", "1")), Ok(()));
}

#[test]
fn each_window_refuses_what_would_pass_it_and_forgets_what_is_older() {
    let mut bench = Bench::new(document());
    // 300 each: three in a minute, ten in an hour, thirty-three in a day.
    for _ in 0..3 {
        assert_eq!(bench.place(buy("150", "2")), Ok(()));
    }
    assert_eq!(bench.place(buy("150", "2")), Err(PolicyRefusal::Minute));
    assert_eq!(bench.place(sell("150", "2")), Ok(()), "the other side has its own budget");
    assert_eq!(bench.place(PlaceOrder { symbol: symbol("ETHUSDT"), ..buy("150", "2") }), Ok(()));
    assert_eq!(bench.wait(59).place(buy("150", "2")), Err(PolicyRefusal::Minute));
    for _ in 0..2 {
        bench.wait(62);
        for _ in 0..3 {
            assert_eq!(bench.place(buy("150", "2")), Ok(()));
        }
    }
    assert_eq!(bench.wait(62).place(buy("150", "2")), Ok(()));
    assert_eq!(bench.wait(62).place(buy("150", "2")), Err(PolicyRefusal::Hour));
    let mut placed = 10;
    while bench.now < 80_000 * SECOND {
        match bench.wait(400).place(buy("150", "2")) {
            Ok(()) => placed += 1,
            Err(rule) => assert!(matches!(rule, PolicyRefusal::Hour | PolicyRefusal::Day)),
        }
    }
    assert_eq!(placed, 33);
    assert_eq!(bench.place(buy("150", "2")), Err(PolicyRefusal::Day));
    assert_eq!(bench.wait(90_000).place(buy("150", "2")), Ok(()));
}

#[test]
fn quantity_has_windows_of_its_own() {
    let mut bench = Bench::new(document());
    for _ in 0..2 {
        assert_eq!(bench.place(buy("1", "4")), Ok(()));
    }
    assert_eq!(bench.place(buy("1", "2.1")), Err(PolicyRefusal::Minute));
    assert_eq!(bench.place(buy("1", "2")), Ok(()));
    assert_eq!(bench.place(buy("1", "0.000000000000000001")), Err(PolicyRefusal::Minute));
}

#[test]
fn signing_again_takes_from_the_rate_and_from_no_window() {
    let mut slow = document();
    slow.orders = RateLimit { per_second: 1, burst: 3 };
    let mut bench = Bench::new(slow);
    assert_eq!(bench.place(buy("150", "2")), Ok(()));
    for _ in 0..2 {
        assert_eq!(bench.ask(&SignIntent::Place(buy("150", "2")), true), Ok(()));
    }
    assert_eq!(bench.ask(&SignIntent::Place(buy("150", "2")), true), Err(PolicyRefusal::OrderRate));
    bench.wait(10);
    for _ in 0..2 {
        assert_eq!(bench.place(buy("150", "2")), Ok(()));
    }
    bench.wait(10);
    assert_eq!(bench.place(buy("150", "2")), Err(PolicyRefusal::Minute));
    assert_eq!(bench.ask(&SignIntent::Place(buy("150", "2")), true), Ok(()));
    assert_eq!(bench.ask(&SignIntent::Place(sell("1", "2")), true), Err(PolicyRefusal::SellBelowBand));
}

#[test]
fn refused_order_takes_neither_rate_nor_window() {
    let mut slow = document();
    slow.orders = RateLimit { per_second: 1, burst: 1 };
    let mut bench = Bench::new(slow);
    for _ in 0..50 {
        assert_eq!(bench.place(buy("250", "1")), Err(PolicyRefusal::BuyAboveBand));
    }
    assert_eq!(bench.place(buy("150", "2")), Ok(()));
    for _ in 0..50 {
        assert_eq!(bench.place(buy("150", "2")), Err(PolicyRefusal::OrderRate));
    }
    for _ in 0..2 {
        assert_eq!(bench.wait(1).place(buy("150", "2")), Ok(()));
    }
    assert_eq!(bench.gate.tally().of(PolicyRefusal::OrderRate), 50);
    assert_eq!(bench.gate.tally().admitted, 3);
    assert_eq!(bench.gate.tally().refused(), 100);
}

#[test]
fn cancels_have_a_rate_of_their_own_and_pass_while_orders_are_refused() {
    let mut slow = document();
    slow.orders = RateLimit { per_second: 1, burst: 1 };
    let mut bench = Bench::new(slow);
    bench.store.broken = true;
    assert_eq!(bench.place(buy("100", "1")), Err(PolicyRefusal::BudgetStore));
    bench.store.broken = false;
    assert_eq!(bench.place(buy("100", "1")), Ok(()));
    assert_eq!(bench.place(buy("100", "1")), Err(PolicyRefusal::OrderRate));
    assert_eq!(bench.cancel("BTCUSDT", 1), Ok(()));
    assert_eq!(bench.cancel_all("BTCUSDT"), Ok(()));
    assert_eq!(bench.cancel("BTCUSDT", 1), Err(PolicyRefusal::CancelRate));
    assert_eq!(bench.cancel_all("BTCUSDT"), Err(PolicyRefusal::CancelRate));
    assert_eq!(bench.wait(1).cancel("BTCUSDT", 1), Ok(()));
    assert_eq!(bench.place(buy("100", "1")), Ok(()), "cancels take nothing from orders");
}

#[test]
fn store_that_fails_refuses_orders_until_it_heals_and_grants_nothing_meanwhile() {
    let mut bench = Bench::new(document());
    assert_eq!(bench.place(buy("100", "1")), Ok(()));
    assert_eq!(bench.store.asked, 1);
    assert_eq!(bench.place(buy("100", "1")), Ok(()), "a quarter of the minute's thousand was reserved");
    assert_eq!(bench.store.asked, 1);
    bench.store.broken = true;
    assert_eq!(bench.place(buy("100", "1")), Err(PolicyRefusal::BudgetStore));
    assert_eq!(bench.place(buy("100", "1")), Err(PolicyRefusal::BudgetStore));
    bench.store.broken = false;
    assert_eq!(bench.place(buy("100", "1")), Ok(()));
}

#[test]
fn small_order_after_a_failed_reservation_needs_one_that_succeeds() {
    let mut bench = Bench::new(document());
    assert_eq!(bench.place(buy("100", "2")), Ok(()));
    bench.store.broken = true;
    assert_eq!(bench.place(buy("100", "4")), Err(PolicyRefusal::BudgetStore));
    // Fifty were left; the store may believe that they were given back.
    assert_eq!(bench.place(buy("100", "0.4")), Err(PolicyRefusal::BudgetStore));
}

#[test]
fn moved_clock_refuses_orders_until_it_is_measured_and_cancels_pass() {
    for moved in [-3_600, -1, 1, 3_600_i64] {
        let mut bench = Bench::new(document());
        assert_eq!(bench.place(buy("100", "1")), Ok(()));
        let unix = UnixNanos(START).shifted(moved * 1_000_000_000);
        let cancel = SignIntent::CancelAll { symbol: symbol("BTCUSDT") };
        let place = SignIntent::Place(buy("100", "1"));
        let Bench { gate, store, .. } = &mut bench;
        assert_eq!(gate.admit(&place, false, unix, MonoNanos(77), store), Err(PolicyRefusal::Clock));
        assert_eq!(gate.admit(&place, true, unix, MonoNanos(77), store), Err(PolicyRefusal::Clock));
        assert_eq!(gate.admit(&cancel, false, unix, MonoNanos(77), store), Ok(()));
        gate.clock_measured(unix, MonoNanos(77));
        assert_eq!(gate.admit(&place, false, unix, MonoNanos(77), store), Ok(()));
    }
}

#[test]
fn moved_clock_gives_no_budget_back() {
    let mut bench = Bench::new(document());
    for _ in 0..3 {
        assert_eq!(bench.place(buy("150", "2")), Ok(()));
    }
    let later = UnixNanos(START + 100_000 * SECOND);
    bench.gate.clock_measured(later, MonoNanos(77));
    let place = SignIntent::Place(buy("150", "2"));
    let outcome = bench.gate.admit(&place, false, later, MonoNanos(77), &mut bench.store);
    assert_eq!(outcome, Err(PolicyRefusal::Minute));
}

#[test]
fn clock_that_drifts_as_real_ones_do_is_no_moved_clock() {
    let mut bench = Bench::new(document());
    assert_eq!(bench.place(buy("100", "1")), Ok(()));
    let place = SignIntent::Place(buy("100", "1"));
    let day = 86_400 * SECOND;
    let unix = UnixNanos(START + day + day / 2_000);
    assert_eq!(bench.gate.admit(&place, false, unix, MonoNanos(77 + day), &mut bench.store), Ok(()));
}

#[test]
fn outstanding_orders_are_bounded_and_ends_make_room() {
    let mut narrow = document();
    narrow.cancels = RateLimit { per_second: 100, burst: 100 };
    narrow.instruments[0].open_orders = 2;
    let mut bench = Bench::new(narrow);
    let small = |sequence| PlaceOrder { id: client_id(1, sequence), ..buy("100", "0.1") };
    assert_eq!(bench.place(small(1)), Ok(()));
    assert_eq!(bench.place(small(2)), Ok(()));
    assert_eq!(bench.place(small(3)), Err(PolicyRefusal::OpenOrders));
    assert_eq!(bench.ask(&SignIntent::Place(small(2)), true), Ok(()));
    bench.gate.order_closed(client_id(1, 9));
    assert_eq!(bench.place(small(3)), Err(PolicyRefusal::OpenOrders));
    bench.gate.order_closed(client_id(1, 1));
    assert_eq!(bench.place(small(3)), Ok(()));
    assert_eq!(bench.place(small(4)), Err(PolicyRefusal::OpenOrders));
    assert_eq!(bench.cancel("BTCUSDT", 3), Ok(()));
    let fleeting = PlaceOrder { time_in_force: TimeInForce::Ioc, ..small(4) };
    assert_eq!(bench.place(fleeting), Ok(()));
    assert_eq!(bench.place(small(5)), Err(PolicyRefusal::OpenOrders));
    assert_eq!(bench.wait(6).place(small(5)), Ok(()));
    assert_eq!(bench.place(small(6)), Err(PolicyRefusal::OpenOrders));
    assert_eq!(bench.cancel_all("BTCUSDT"), Ok(()));
    assert_eq!(bench.place(small(6)), Ok(()));
}

#[test]
fn reported_end_gives_no_turnover_back() {
    let mut bench = Bench::new(document());
    for _ in 0..3 {
        assert_eq!(bench.place(buy("150", "2")), Ok(()));
        bench.gate.order_closed(client_id(1, 1));
    }
    assert_eq!(bench.place(buy("150", "2")), Err(PolicyRefusal::Minute));
}

#[test]
fn new_policy_keeps_what_was_used_also_of_an_instrument_that_comes_back() {
    let mut bench = Bench::new(document());
    for _ in 0..3 {
        assert_eq!(bench.place(buy("150", "2")), Ok(()));
    }
    let without = PolicyDocument { instruments: vec![instrument("ETHUSDT")], ..document() };
    bench.gate.replace(without);
    assert_eq!(bench.place(buy("150", "2")), Err(PolicyRefusal::Symbol));
    assert_eq!(bench.cancel_all("BTCUSDT"), Ok(()), "what rests there can still be cancelled");
    bench.gate.replace(document());
    assert_eq!(bench.place(buy("150", "2")), Err(PolicyRefusal::Minute));
    let mut wider = document();
    wider.instruments[0].buy.minute.notional = number("1200");
    bench.gate.replace(wider);
    assert_eq!(bench.place(buy("150", "2")), Ok(()));
    assert_eq!(bench.place(buy("150", "2")), Err(PolicyRefusal::Minute));
}

#[test]
fn new_policy_does_not_refill_the_rate() {
    let mut slow = document();
    slow.orders = RateLimit { per_second: 1, burst: 1 };
    let mut bench = Bench::new(slow.clone());
    assert_eq!(bench.place(buy("100", "1")), Ok(()));
    bench.gate.replace(slow);
    assert_eq!(bench.place(buy("100", "1")), Err(PolicyRefusal::OrderRate));
}

#[test]
fn unknown_budgets_refuse_every_order_and_no_cancel() {
    let mut bench = Bench::new(document());
    bench.gate = PolicyGate::new(document(), epoch(2), SavedBudgets::unknown(), UnixNanos(START));
    assert_eq!(bench.place(buy("100", "1")), Err(PolicyRefusal::BudgetLost));
    assert_eq!(bench.cancel_all("BTCUSDT"), Ok(()));
    assert_eq!(bench.ask(&SignIntent::Balances, false), Ok(()));
}

#[test]
fn restart_finds_used_what_was_reserved_and_an_orderly_stop_gives_the_rest_back() {
    let reopened = |orderly: bool| {
        let mut bench = Bench::new(document());
        assert_eq!(bench.place(buy("100", "1")), Ok(()));
        if orderly {
            bench.gate.settle(UnixNanos(START), MonoNanos(77), &mut bench.store).unwrap();
        }
        let saved = bench.store.saved.clone();
        bench.gate = PolicyGate::new(document(), epoch(2), saved, UnixNanos(START));
        bench
    };
    // A slice is 250 and 2.5: after a crash it counts whole, after a stop only the 100 and 1 that were used.
    let mut crashed = reopened(false);
    assert_eq!(crashed.place(buy("1", "4")), Ok(()));
    assert_eq!(crashed.place(buy("1", "3.6")), Err(PolicyRefusal::Minute));
    assert_eq!(crashed.place(buy("1", "3.5")), Ok(()));
    let mut stopped = reopened(true);
    assert_eq!(stopped.place(buy("1", "4")), Ok(()));
    assert_eq!(stopped.place(buy("1", "4")), Ok(()));
    assert_eq!(stopped.place(buy("1", "1")), Ok(()));
    assert_eq!(stopped.place(buy("1", "0.1")), Err(PolicyRefusal::Minute));
}

#[test]
fn letting_orders_and_cancels_through_allocates_nothing_but_for_a_slice() {
    let mut wide = PolicyDocument::permissive_for_tests(&[symbol("BTCUSDT"), symbol("ETHUSDT")]);
    wide.cancels = RateLimit { per_second: 10_000, burst: 10_000 };
    let mut bench = Bench::new(wide);
    assert_eq!(bench.place(buy("100", "1")), Ok(()));
    let counted = allocation_counter::measure(|| {
        for sequence in 2..900 {
            bench.now += 1_000_000;
            let one = PlaceOrder { id: client_id(1, sequence), ..buy("100", "0.01") };
            assert_eq!(bench.place(one), Ok(()));
            assert_eq!(bench.cancel("BTCUSDT", sequence), Ok(()));
        }
    });
    assert_eq!(counted.count_total, 0);
    let control = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(control.count_total, 1);
}

#[test]
fn every_refusal_has_a_code_of_its_own() {
    let codes: std::collections::BTreeSet<_> = PolicyRefusal::ALL.iter().map(|rule| rule.as_str()).collect();
    assert_eq!(codes.len(), PolicyRefusal::ALL.len());
}
