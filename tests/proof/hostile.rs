//! A client with full access to both sockets, who tries everything: no forbidden signature, and no crash.

use super::client::{Client, Counts, Intent, Text, id};
use super::rig::{LEVERAGE_MAX, Rig, SEAT};
use clock::SystemClock;
use domain::Clock as _;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// Texts in the place of an instrument or an id.
const TEXTS: [&[u8]; 23] = [
    b"BTCUSDT",
    b"BTCUSDT-PERP",
    b"ETHUSDT-PERP",
    b"BTCUSDT-PERP-PERP",
    b"-PERP",
    b"BTCUSDT-PERP cut",
    b"ETHUSDT",
    b"btcusdt",
    b"",
    b"/../wallet/withdrawal",
    b"BTCUSDT&symbol=ETHUSDT",
    b"BTCUSDT\",\"side\":\"buy",
    b"BTC?USDT",
    b"BTC%55SDT",
    b"a#b",
    b"a b",
    b"a\r\nACCESS-KEY: b",
    b"a\0b",
    b"\x1b[2J",
    b"\xff\xfe",
    "\u{fc}".as_bytes(),
    b"transfer",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ",
];
const HOUR_NS: i64 = 3_600_000_000_000;

fn some_text(random: &mut SmallRng) -> Text {
    match random.random_range(0..10) {
        0..3 => b"BTCUSDT".to_vec(),
        3..6 => b"BTCUSDT-PERP".to_vec(),
        _ => TEXTS.choose(random).unwrap().to_vec(),
    }
}

fn some_id(random: &mut SmallRng, client: &mut Client<'_>) -> Text {
    let epoch = client.checker.epoch;
    match random.random_range(0..8) {
        0 => id("sfzz", epoch, random.random_range(1..1 << 40)),
        1 => id("abcd", epoch, 1),
        2 => client.near_id(1 << 20).iter().map(u8::to_ascii_uppercase).collect(),
        3 => (0..18).map(|_| random.random_range(0x20..0x7f)).collect(),
        4 => {
            let near = client.near_id(0);
            let tag = String::from_utf8(near[..4].to_vec()).unwrap();
            id(&tag, [epoch - 1, epoch + 1, 0, 0xff_ffff][random.random_range(0..4_usize)], 7)
        }
        5 => client.near_id(-random.random_range(0..200)),
        _ => client.next_id(),
    }
}

fn some_number(random: &mut SmallRng) -> (i64, u8) {
    let mantissa = match random.random_range(0..8) {
        0 => 0,
        1 => -1,
        2 => i64::MAX,
        3 => i64::MIN,
        4 => random.random(),
        5 => 1,
        _ => random.random_range(1..10_000_000),
    };
    (mantissa, if random.random_bool(0.8) { random.random_range(0..9) } else { random.random() })
}

/// An order of which any part may be beyond every limit.
fn some_order(random: &mut SmallRng, client: &mut Client<'_>) -> Intent {
    let sane = random.random_bool(0.5);
    let id = if sane { client.next_id() } else { some_id(random, client) };
    let number = |random: &mut SmallRng, sane| if random.random_bool(0.7) { sane } else { some_number(random) };
    Intent::Place {
        id,
        symbol: some_text(random),
        side: random.random_range(0..if sane { 2 } else { 4 }),
        force: random.random_range(0..if sane { 4 } else { 6 }),
        // To reduce or to hedge: on spot there is no such thing.
        effect: if random.random_bool(0.3) { random.random_range(1..9) } else { 0 },
        price: number(random, (6_500_000, 2)),
        qty: number(random, (1, 4)),
    }
}

fn some_intent(random: &mut SmallRng, client: &mut Client<'_>) -> Intent {
    let older = |random: &mut SmallRng| match random.random_range(0..3) {
        0 => None,
        1 => Some(random.random::<u64>().to_string().into_bytes()),
        _ => Some(some_text(random)),
    };
    match random.random_range(0..19) {
        11 => Intent::Positions,
        12 => Intent::FuturesSettings { symbol: some_text(random) },
        13 => Intent::Bills { since: random.random(), older: older(random) },
        14 => {
            let some = [0, 1, LEVERAGE_MAX, LEVERAGE_MAX + 1, u16::MAX, random.random()];
            Intent::SetLeverage { symbol: some_text(random), leverage: *some.choose(random).unwrap() }
        }
        15 => Intent::SetMarginMode { symbol: some_text(random), mode: random.random_range(0..3) },
        16 => Intent::SetPositionMode { mode: random.random_range(0..3) },
        17 => Intent::FuturesBalances,
        18 => {
            // Outside the band, and with every way to say that it only reduces.
            let order = client.perpetual(random.random_range(0..2), random.random_range(0..6));
            let Intent::Place { id, symbol, side, force, effect, qty, .. } = order else { return order };
            let price = *[3_999_900, 11_000_100, 1_000_000, 6_500_000].choose(random).unwrap();
            Intent::Place { id, symbol, side, force, effect, price: (price, 2), qty }
        }
        0 => Intent::Cancel { symbol: some_text(random), id: some_id(random, client), venue_id: older(random) },
        1 => Intent::CancelAll { symbol: some_text(random) },
        2 => Intent::QueryOrder { symbol: some_text(random), id: some_id(random, client) },
        3 => Intent::OpenOrders { symbol: some_text(random), older: older(random) },
        4 => Intent::History { symbol: some_text(random), since: random.random(), older: older(random) },
        5 => Intent::Fills { symbol: some_text(random), since: random.random(), older: older(random) },
        6 => Intent::Balances,
        7 => Intent::KeyInfo,
        8 => Intent::Login,
        9 => client.order(),
        _ => some_order(random, client),
    }
}

/// Changes a frame that would be understood.
fn spoil(random: &mut SmallRng, frame: &mut Vec<u8>) {
    match random.random_range(0..5) {
        0 => frame.truncate(random.random_range(1..frame.len())),
        1 => frame.extend((0..random.random_range(1..40)).map(|_| random.random::<u8>())),
        2 => frame.resize(random.random_range(8_000..60_000), random.random()),
        _ => {
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..frame.len());
                frame[at] =
                    if random.random_bool(0.5) { random.random() } else { frame[at] ^ 1 << random.random_range(0..8) };
            }
        }
    }
}

/// One thing that a hostile client does.
fn one(random: &mut SmallRng, client: &mut Client<'_>) {
    let emergency = random.random_bool(0.1);
    match random.random_range(0..100) {
        0..5 => {
            let offset = match random.random_range(0..6) {
                0 => HOUR_NS,
                1 => -HOUR_NS,
                2 => [i64::MIN, i64::MAX][random.random_range(0..2_usize)],
                3 => random.random(),
                _ => random.random_range(-6_000_000_000..6_000_000_000),
            };
            client.offset_over(offset, emergency);
        }
        // Back to an honest one, so that orders are signed again.
        5..12 => {
            client.offset_over(0, emergency);
            if random.random_bool(0.2) {
                client.account_mode(u8::from(random.random_bool(0.3)), emergency);
            }
        }
        12..30 => {
            let intent = some_intent(random, client);
            let mut frame = client.frame(SEAT.0, &intent);
            spoil(random, &mut frame);
            client.send(&frame, emergency);
        }
        30..35 => {
            let frame: Vec<u8> = (0..random.random_range(1..400)).map(|_| random.random()).collect();
            client.send(&frame, emergency);
        }
        // In the dialect of the other kind of account.
        35..37 => client.account_mode(random.random_range(0..3), emergency),
        37 => {
            let intent = some_intent(random, client);
            let frame = client.frame(random.random(), &intent);
            // A seat that does not exist has no key; the own one is like any other question.
            client.send(&frame, emergency);
        }
        38..46 => {
            // The same id with other content, and with the same again.
            let order = if random.random_bool(0.5) {
                client.order()
            } else {
                client.perpetual(random.random_range(0..2), random.random_range(0..6))
            };
            let Intent::Place { id, symbol, side, force, effect, price, qty } = order.clone() else { return };
            let signed = client.ask(&order).is_some();
            let dearer = (price.0 + 1, price.1);
            let other = match random.random_range(0..5) {
                4 => Intent::Place { id, symbol, side, force, effect: (effect + 1) % 6, price, qty },
                0 => Intent::Place { id, symbol, side: 1 - side, force, effect, price, qty },
                1 => Intent::Place { id, symbol, side, force, effect, price: dearer, qty },
                2 => Intent::Place { id, symbol, side, force, effect, price, qty: (qty.0 + 1, qty.1) },
                _ => Intent::Place { id, symbol: b"ETHUSDT".to_vec(), side, force, effect, price, qty },
            };
            assert!(!signed || client.ask(&other).is_none(), "one id for two orders: {order:?} and {other:?}");
            // In the other dialect it is the same order.
            if random.random_bool(0.2) {
                client.account_mode(u8::from(random.random_bool(0.5)), false);
            }
            client.ask(&order);
        }
        _ => {
            let intent = some_intent(random, client);
            let frame = client.frame(SEAT.0, &intent);
            client.send(&frame, emergency);
        }
    }
}

/// Questions to one process: some of them burn all ids that are left to it.
const ROUND: u64 = 10_000;

/// Does so much from a seed; what came of it.
fn attack(seed: u64, count: u64) -> Counts {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut rig = Rig::start();
    let (mut counts, mut checker) = (Counts::default(), Client::new(&rig).checker);
    loop {
        let mut client = Client::new(&rig);
        (client.checker, client.counts) = (checker, counts);
        client.offset(0);
        let most = count.min(client.counts.asked + ROUND);
        while client.counts.asked < most {
            one(&mut random, &mut client);
        }
        (checker, counts) = (client.checker, client.counts);
        rig.is_alive();
        if counts.asked >= count {
            return counts;
        }
        rig = rig.after_an_end();
        checker.next_run(&rig.ready);
    }
}

/// Fails when an attack never came to what it is about.
pub(crate) fn told_something(counts: &Counts) {
    for (verb, signed) in counts.signed.iter().enumerate() {
        assert!(*signed > 0, "verb {verb} was never signed: {counts:?}");
    }
    assert!(counts.signed[0] * 40 > counts.asked, "hardly any order was signed: {counts:?}");
    // By their numbers: no key, key state, malformed, client id, clock, policy.
    for why in [0, 1, 2, 3, 4, 7] {
        assert!(counts.refused[why] > 0, "nothing was refused for reason {why}: {counts:?}");
    }
    assert!(counts.futures[0] * 10 > counts.signed[0], "hardly any order on futures: {counts:?}");
    assert!(counts.futures[1] * 200 > counts.signed[0], "hardly any order that only reduces: {counts:?}");
    assert!(counts.foul * 20 > counts.asked, "hardly any foul frame: {counts:?}");
    assert!(counts.signed.iter().sum::<u64>() * 10 > counts.asked, "hardly anything was signed: {counts:?}");
}

fn seed() -> u64 {
    std::env::var("STEADFAST_LONG_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(17)
}

fn run(count: u64) {
    let seed = seed();
    let begun = SystemClock.mono();
    let counts = attack(seed, count);
    told_something(&counts);
    let seconds = SystemClock.mono().since(begun).as_secs_f64();
    println!("seed {seed}: {counts:?} in {seconds:.1} s");
    let signed: u64 = counts.signed.iter().sum();
    let figures = [
        ("questions", counts.asked),
        ("signatures", signed),
        ("orders", counts.signed[0]),
        ("orders_on_futures", counts.futures[0]),
        ("foul_frames", counts.foul),
    ];
    for (name, value) in figures {
        println!("measure: {}", serde_json::json!({"name": name, "value": value, "unit": "count"}));
    }
}

#[test]
fn no_forbidden_signature_comes_of_twenty_thousand_hostile_questions() {
    run(20_000);
}

#[test]
#[ignore = "a million questions take minutes: cargo xtask long hostile"]
fn no_forbidden_signature_comes_of_a_million_hostile_questions() {
    run(1_000_000);
}

/// An order of a thief who wants the money out: sold cheap, bought dear, or simply much of it.
fn greedy(random: &mut SmallRng, client: &mut Client<'_>) -> Intent {
    let side = random.random_range(0..2);
    let price = match random.random_range(0..4) {
        0 => random.random_range(1..20_000_000),
        1 => [1, 3_999_999, 4_000_000, 11_000_000, 11_000_001, i64::MAX][random.random_range(0..6_usize)],
        _ => random.random_range(6_000_000..7_000_000),
    };
    let qty = if random.random_bool(0.2) { random.random_range(1..1_000_000) } else { random.random_range(1..16) };
    let future = random.random_bool(0.5);
    Intent::Place {
        id: client.next_id(),
        symbol: if future { b"BTCUSDT-PERP".to_vec() } else { b"BTCUSDT".to_vec() },
        side,
        force: random.random_range(0..4),
        effect: if future && random.random_bool(0.5) { random.random_range(0..6) } else { 0 },
        price: (price, 2),
        qty: (qty, 4),
    }
}

fn plunder(client: &mut Client<'_>, random: &mut SmallRng, orders: u32) {
    client.offset(0);
    for _ in 0..orders {
        match random.random_range(0..20) {
            // The clock is told to have moved: no budget comes back with that.
            0 => _ = client.offset([HOUR_NS, -HOUR_NS, 4_900_000_000, i64::MAX][random.random_range(0..4_usize)]),
            1..5 => _ = client.offset(0),
            // Room for more orders.
            5 => _ = client.ask(&Intent::cancel_all(["BTCUSDT", "BTCUSDT-PERP"][random.random_range(0..2_usize)])),
            // No budget comes back with another dialect either.
            7 => client.account_mode(random.random_range(0..2), false),
            6 => {
                // A flag that would say that it only reduces: there is none.
                let order = greedy(random, client);
                let mut frame = client.frame(SEAT.0, &order);
                frame.push(1);
                client.send(&frame, false);
            }
            _ => {
                let order = greedy(random, client);
                client.ask(&order);
            }
        }
    }
}

/// The checker adds up what is signed in each window; here it is added up whether the thief came to the limits at all.
#[test]
fn a_thief_gets_no_more_than_the_policy_grants_also_with_another_process() {
    const NOTIONAL: i64 = 3_000;
    let mut random = SmallRng::seed_from_u64(seed());
    let rig = Rig::within(super::rig::policy(NOTIONAL, 100));
    let mut client = Client::new(&rig);
    plunder(&mut client, &mut random, 4_000);
    let (counts, checker) = (client.counts.clone(), client.checker);
    assert!(counts.refused[7] > 1_000, "the policy refused: {counts:?}");
    let limit = rust_decimal::Decimal::from(NOTIONAL);
    let sides = [("BTCUSDT", 0), ("BTCUSDT", 1), ("BTCUSDT-PERP", 0), ("BTCUSDT-PERP", 1)];
    for (instrument, side) in sides {
        let (notional, qty) = checker.spent_on(instrument, side);
        println!("{instrument} {side}: {notional} in quote and {qty} in base of {limit} and 1 in a minute");
        // On the future, orders that only reduce have taken a part of it.
        let tenths = rust_decimal::Decimal::from(if instrument == "BTCUSDT" { 8 } else { 6 });
        assert!(notional * rust_decimal::Decimal::TEN > limit * tenths, "{instrument} {side}: {notional}");
        assert!(notional <= limit && qty <= rust_decimal::Decimal::ONE, "{instrument} {side}: {notional}, {qty}");
    }
    let before = sides.map(|(instrument, side)| checker.spent_on(instrument, side));
    let rig = rig.after_a_kill();
    let mut client = Client::next_run(&rig, checker);
    plunder(&mut client, &mut random, 1_000);
    let after = sides.map(|(instrument, side)| client.checker.spent_on(instrument, side));
    println!("before and after a kill: {before:?}, {after:?}");
}
