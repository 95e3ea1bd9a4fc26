//! Reading, writing, comparing and deriving policies.

use super::{document, instrument, number, symbol};
use crate::{DeriveFacts, Direction, PolicyDocument, PolicyError, RateLimit};
use domain::UnixNanos;
use messages::Verb;

#[test]
fn text_survives_a_round_trip_and_holds_amounts_as_decimal_text() {
    let text = document().to_text();
    assert_eq!(PolicyDocument::parse(&text), Ok(document()));
    assert!(text.contains(r#""order_notional": "400""#), "{text}");
    assert!(text.contains(r#""cancel_all""#), "{text}");
}

#[test]
fn what_is_unknown_missing_doubled_or_out_of_range_is_an_error() {
    let good = document().to_text();
    for (from, to) in [
        (r#""version": 1"#, r#""version": 2"#),
        (r#""version": 1"#, r#""version": 1, "extra": 0"#),
        (r#""low": "50""#, r#""low": "50", "low": "40""#),
        (r#""low": "50""#, r#""floor": "50""#),
        (r#""low": "50""#, r#""low": 50"#),
        (r#""low": "50""#, r#""low": "0""#),
        (r#""low": "50""#, r#""low": "-1""#),
        (r#""low": "50""#, r#""low": "5e1""#),
        (r#""low": "50""#, r#""low": "NaN""#),
        (r#""low": "50""#, r#""low": "200""#),
        (r#""order_notional": "400""#, r#""order_notional": "-400""#),
        (r#""symbol": "ETHUSDT""#, r#""symbol": "BTCUSDT""#),
        (r#""symbol": "ETHUSDT""#, r#""symbol": "ETH USDT""#),
        (r#""symbol": "ETHUSDT""#, r#""symbol": """#),
        (r#""open_orders": 1000"#, r#""open_orders": 1001"#),
        (r#""burst": 2"#, r#""burst": 0"#),
        (r#""per_second": 10,"#, r#""per_second": 1000001,"#),
        (r#""quantity": "100""#, r#""quantity": "-0.1""#),
        (r#""loosening_delay_seconds": 60"#, r#""loosening_delay_seconds": 2592001"#),
        (r#""place","#, r#""withdraw","#),
        (r#""place","#, r#""place", "place","#),
        (r#""cancel_all","#, ""),
    ] {
        assert!(good.contains(from), "{from}");
        let bad = good.replacen(from, to, 1);
        assert!(PolicyDocument::parse(&bad).is_err(), "{from} -> {to}");
    }
    let mut stream = document();
    stream.roles.stream.push(Verb::Cancel);
    assert!(matches!(PolicyDocument::parse(&stream.to_text()), Err(PolicyError::Field { .. })));
    assert!(PolicyDocument::parse("").is_err());
    assert!(PolicyDocument::parse(&" ".repeat(PolicyDocument::TEXT_MAX + 1)).is_err());
}

/// Checks one edit in both directions: what loosens one way tightens back, unless it is named as doubtful.
fn judged(edit: impl FnOnce(&mut PolicyDocument), tightens: bool, back_tightens: bool) {
    let now = document();
    let mut next = document();
    edit(&mut next);
    assert_ne!(now, next);
    let changes = now.changes(&next);
    assert!(!changes.is_empty(), "{next:?}");
    assert_eq!(now.is_loosening(&next), !tightens, "{changes:?}");
    assert_eq!(next.is_loosening(&now), !back_tightens, "{changes:?}");
}

#[test]
fn each_field_tightens_in_its_direction_and_loosens_in_the_other() {
    judged(|next| next.instruments[0].low = number("51"), true, false);
    judged(|next| next.instruments[0].high = number("199.99"), true, false);
    judged(|next| next.instruments[0].order_notional = number("399"), true, false);
    judged(|next| next.instruments[0].order_quantity = number("3.9"), true, false);
    judged(|next| next.instruments[0].open_orders = 999, true, false);
    judged(|next| next.instruments[1].buy.minute.notional = number("1"), true, false);
    judged(|next| next.instruments[1].buy.hour.quantity = number("1"), true, false);
    judged(|next| next.instruments[1].sell.day.notional = number("1"), true, false);
    judged(|next| next.instruments[1].sell.minute.quantity = number("1"), true, false);
    judged(|next| next.orders.per_second = 1, true, false);
    judged(|next| next.orders.burst = 1, true, false);
    judged(|next| next.loosening_delay_seconds = Some(61), true, false);
    judged(|next| next.loosening_delay_seconds = None, false, true);
    judged(|next| next.instruments.truncate(1), true, false);
    judged(|next| next.instruments.push(instrument("SOLUSDT")), false, true);
    judged(|next| next.roles.trade.retain(|verb| *verb != Verb::Balances), true, false);
    judged(|next| next.roles.stream.clear(), true, false);
}

#[test]
fn doubt_is_a_loosening() {
    // Fewer cancels take risk back more slowly, more of them is not surely safe either.
    judged(|next| next.cancels = RateLimit { per_second: 11, burst: 2 }, false, false);
    judged(|next| next.version = 2, false, false);
    // One tighter and one looser field together loosen, both ways.
    judged(
        |next| {
            next.instruments[0].low = number("60");
            next.instruments[0].high = number("300");
        },
        false,
        false,
    );
    let unsound = PolicyDocument { instruments: vec![instrument("BTCUSDT"); 2], ..document() };
    assert!(document().is_loosening(&unsound));
}

#[test]
fn another_spelling_changes_nothing_and_each_change_is_named() {
    let mut next = document();
    next.instruments[0].low = number("50.00");
    next.instruments.reverse();
    let changes = document().changes(&next);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].direction, Direction::Same);
    assert!(!document().is_loosening(&next));
    next.instruments[0].sell.day.quantity = number("101");
    let changes = document().changes(&next);
    let loosening: Vec<_> = changes.iter().filter(|change| change.direction == Direction::Loosens).collect();
    assert_eq!(loosening.len(), 1);
    assert_eq!(loosening[0].field, "ETHUSDT.sell.day.quantity");
    assert_eq!((loosening[0].before.as_str(), loosening[0].after.as_str()), ("100", "101"));
}

#[test]
fn description_names_every_limit() {
    let lines = document().describe().join("\n");
    for part in ["no sell below 50", "no buy above 200", "400", "any minute", "any day: at most 10000", "1000 a second"]
    {
        assert!(lines.contains(part), "{part} is missing in\n{lines}");
    }
    let nothing = PolicyDocument { instruments: Vec::new(), ..document() };
    assert!(nothing.describe().contains(&"no instrument may be traded".to_owned()));
}

#[test]
fn derived_policy_is_twice_the_risk_limits_around_the_price() {
    let facts = DeriveFacts {
        symbol: symbol("BTCUSDT"),
        price: number("61000.5"),
        max_order_notional: number("250"),
        max_order_quantity: None,
        max_open_orders: 50,
        max_orders_per_second: 5,
        max_cancels_per_second: 20,
        placements_per_minute: 6,
        futures: None,
    };
    let worthless = DeriveFacts { symbol: symbol("NOPE"), price: number("0"), ..facts };
    let fixed = DeriveFacts {
        symbol: symbol("ETHUSDT"),
        max_order_quantity: Some(number("0.25")),
        price: number("2000"),
        ..facts
    };
    let policy = PolicyDocument::derive(&[facts, worthless, fixed, facts], UnixNanos::from_millis(5_000));
    assert_eq!(policy.check(), Ok(()));
    assert_eq!(PolicyDocument::parse(&policy.to_text()), Ok(policy.clone()));
    assert_eq!(policy.derived_at, Some(5));
    assert_eq!(policy.instruments.len(), 2);
    let [bitcoin, ether] = [policy.instruments[0], policy.instruments[1]];
    assert_eq!((bitcoin.low, bitcoin.high), (number("30500.2"), number("122001")));
    assert_eq!(bitcoin.order_notional, number("500"));
    assert_eq!(bitcoin.order_quantity, number("0.00819665"));
    assert_eq!(bitcoin.open_orders, 100);
    assert_eq!(policy.orders.per_second, 10);
    assert_eq!(policy.cancels.per_second, 40);
    assert_eq!(bitcoin.buy, bitcoin.sell);
    assert_eq!(bitcoin.buy.minute.notional, number("3000"));
    assert_eq!(bitcoin.buy.hour.notional, number("90000"));
    assert_eq!(bitcoin.buy.day.notional, number("540000"));
    assert_eq!((ether.low, ether.high, ether.order_quantity), (number("1000"), number("4000"), number("0.5")));
}
