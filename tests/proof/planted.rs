//! Requests that must not exist, signed by hand with the right key: the judge finds each of them.

use super::check::{Checker, Signed, Told};
use super::client::{Client, Intent};
use super::rig::Rig;
use clock::SystemClock;
use domain::Clock as _;

/// Signs anew: a thief of the codec could do that, and only what is asked for may come of it.
fn seal(rig: &Rig, mut signed: Signed, time: Option<u64>) -> Signed {
    use base64::Engine as _;
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let lines: Vec<&str> = signed.headers.lines().collect();
    let own = lines.iter().find_map(|line| line.strip_prefix("ACCESS-TIMESTAMP: ")).unwrap();
    let time = time.map_or_else(|| own.to_owned(), |time| time.to_string());
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(rig.values.secret.as_bytes()).unwrap();
    let method = ["GET", "POST"][usize::from(signed.method)];
    mac.update(format!("{time}{method}{}{}", signed.target, signed.body).as_bytes());
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let lines = lines.iter().map(|line| match line.split_once(": ").unwrap().0 {
        "ACCESS-TIMESTAMP" => format!("ACCESS-TIMESTAMP: {time}"),
        "ACCESS-SIGN" => format!("ACCESS-SIGN: {signature}"),
        _ => (*line).to_owned(),
    });
    signed.headers = lines.collect::<Vec<_>>().join("\n");
    signed
}

/// The checker is only worth what it finds: real requests, each changed in one way.
#[test]
fn every_planted_forbidden_signature_is_found() {
    let rig = Rig::start();
    let mut client = Client::new(&rig);
    client.offset(0);
    let order = client.order();
    let begun = SystemClock.unix().as_millis();
    let signed = client.ask(&order).unwrap();
    let told = Told { begun, ended: SystemClock.unix().as_millis(), emergency: false };
    let seal = |signed: Signed, time| seal(&rig, signed, time);
    let fresh = || Checker::new(&rig.values, &rig.ready, &rig.policy);
    fresh().judge(&order, &seal(signed.clone(), None), &told).unwrap();
    let body = |from: &str, to: &str| {
        assert!(signed.body.contains(from), "{} holds no {from}", signed.body);
        seal(Signed { body: signed.body.replacen(from, to, 1), ..signed.clone() }, None)
    };
    let target = |target: &str| seal(Signed { target: target.to_owned(), ..signed.clone() }, None);
    let planted = [
        ("another price", body("65000", "6500")),
        ("another side", body("buy", "sell")),
        ("another field", body("{", "{\"tpslType\":\"normal\",")),
        ("a field twice", body("{", "{\"side\":\"buy\",")),
        ("another symbol", body("BTCUSDT", "ETHUSDT")),
        ("a market order", body("limit", "market")),
        ("another id", body(&signed.body[signed.body.len() - 6..signed.body.len() - 2], "zzzz")),
        ("a withdrawal", target("/api/v2/spot/wallet/withdrawal")),
        ("a transfer", target("/api/v2/spot/wallet/transfer")),
        ("a key", target("/api/v2/user/create-virtual-subaccount-apikey")),
        ("another wallet", target("/api/v2/mix/order/place-order")),
        ("a query", target("/api/v2/spot/trade/place-order?symbol=BTCUSDT")),
        ("a later time", seal(signed.clone(), Some(begun + 60_000))),
        ("an earlier time", seal(signed.clone(), Some(begun - 60_000))),
        ("another header", Signed { headers: format!("{}\nX-CHANNEL: a", signed.headers), ..signed.clone() }),
        ("no new signature", Signed { body: signed.body.replacen("65000", "65001", 1), ..signed.clone() }),
        ("another method", seal(Signed { method: 0, ..signed.clone() }, None)),
    ];
    for (what, planted) in planted {
        assert!(fresh().judge(&order, &planted, &told).is_err(), "{what} was not found");
    }
    // Beyond the policy, though everything else is right.
    let Intent::Place { id, symbol, side, force, effect, .. } = order.clone() else { panic!("it is an order") };
    for (what, price, qty) in [("dear", (11_000_100, 2), (1_i64, 4_u8)), ("much", (6_500_000, 2), (1, 2))] {
        let order = Intent::Place { id: id.clone(), symbol: symbol.clone(), side, force, effect, price, qty };
        let text = ["0.0001", "0.01"][usize::from(what == "much")];
        let own =
            signed.body.replace("65000.00", if what == "dear" { "110001" } else { "65000" }).replace("0.0001", text);
        let fault = fresh().judge(&order, &seal(Signed { body: own, ..signed.clone() }, None), &told).unwrap_err();
        assert!(fault.contains("band") || fault.contains("above the policy"), "{what}: {fault}");
    }
    let mut narrow = Checker::new(&rig.values, &rig.ready, &super::rig::policy(10, 100));
    let faults = (0..3).filter_map(|_| {
        let order = client.order();
        let begun = SystemClock.unix().as_millis();
        let signed = client.ask(&order)?;
        let told = Told { begun, ended: SystemClock.unix().as_millis(), emergency: false };
        narrow.judge(&order, &signed, &told).err()
    });
    assert!(
        faults.last().is_some_and(|fault| fault.contains("in a window")),
        "a window beyond its limit was not found"
    );
    // An order over the emergency socket, an id of another run, and one id for two orders.
    assert!(fresh().judge(&order, &signed, &Told { emergency: true, ..told }).is_err());
    let mut other_run = fresh();
    other_run.epoch += 1;
    assert!(other_run.judge(&order, &signed, &told).is_err());
    let mut twice = fresh();
    twice.judge(&order, &signed, &told).unwrap();
    let Intent::Place { id, symbol, side, force, effect, qty, .. } = order else { panic!("it is an order") };
    let other = Intent::Place { id, symbol, side, force, effect, price: (6_500_100, 2), qty };
    let fault = twice.judge(&other, &body("65000", "65001"), &told);
    assert_eq!(fault.unwrap_err(), "one id for two different orders");
}

/// A real request and when it was asked for.
fn real(client: &mut Client<'_>, intent: &Intent) -> (Signed, Told) {
    let begun = SystemClock.unix().as_millis();
    let signed = client.ask(intent).unwrap_or_else(|| panic!("{intent:?} was refused"));
    (signed, Told { begun, ended: SystemClock.unix().as_millis(), emergency: false })
}

/// An order with another price.
fn priced(order: &Intent, price: i64) -> Intent {
    let Intent::Place { id, symbol, side, force, effect, qty, .. } = order.clone() else { panic!("it is an order") };
    Intent::Place { id, symbol, side, force, effect, price: (price, 2), qty }
}

/// For each kind of account: which words are changed in the bytes of which real request, and what for.
#[test]
fn every_planted_forbidden_signature_about_futures_is_found() {
    let rig = Rig::start();
    let mut client = Client::new(&rig);
    client.offset(0);
    let fresh = |unified: bool| {
        let mut checker = Checker::new(&rig.values, &rig.ready, &rig.policy);
        checker.mode_told(unified, false);
        checker
    };
    let perpetual = || b"BTCUSDT-PERP".to_vec();
    // By their numbers: net, net and only reducing, opening a long position, closing it, closing a short one.
    const ORDERS: [(u8, u8); 5] = [(0, 0), (1, 1), (0, 2), (1, 2), (0, 4)];
    const CLASSIC: [&[(&str, &str)]; 5] = [
        &[
            ("/api/v2/mix/", "/api/v2/spot/"),
            ("\"productType\":\"USDT-FUTURES\",", ""),
            ("USDT-FUTURES", "COIN-FUTURES"),
            ("crossed", "isolated"),
            ("\"marginCoin\":\"USDT\"", "\"marginCoin\":\"BTC\""),
            ("BTCUSDT\"", "BTCUSDT-PERP\""),
            ("BTCUSDT\"", "ETHUSDT\""),
            ("\"buy\"", "\"sell\""),
            ("\"buy\"", "\"buy\",\"tradeSide\":\"close\""),
            ("\"buy\"", "\"buy\",\"reduceOnly\":\"YES\""),
            ("\"buy\"", "\"buy\",\"presetStopLossPrice\":\"1\""),
            ("limit", "market"),
            ("place-order", "modify-order"),
            ("place-order", "click-backhand"),
            ("0.0001", "0.001"),
        ],
        &[("\"reduceOnly\":\"YES\",", ""), ("\"YES\"", "\"NO\""), ("\"YES\"", "\"yes \"")],
        &[("\"tradeSide\":\"open\",", ""), ("\"open\"", "\"close\""), ("\"buy\"", "\"sell\"")],
        &[("\"tradeSide\":\"close\",", ""), ("\"close\"", "\"open\""), ("\"buy\"", "\"sell\"")],
        &[("\"tradeSide\":\"close\",", ""), ("\"close\"", "\"open\""), ("\"sell\"", "\"buy\"")],
    ];
    const UNIFIED: [&[(&str, &str)]; 5] = [
        &[
            ("USDT-FUTURES", "SPOT"),
            ("USDT-FUTURES", "MARGIN"),
            ("\"category\":\"USDT-FUTURES\",", ""),
            ("BTCUSDT\"", "BTCUSDT-PERP\""),
            ("\"buy\"", "\"sell\""),
            ("\"buy\"", "\"buy\",\"posSide\":\"short\""),
            ("\"buy\"", "\"buy\",\"reduceOnly\":\"yes\""),
            ("/api/v3/trade/place-order", "/api/v2/mix/order/place-order"),
            ("place-order", "place-strategy-order"),
            ("trade/place-order", "account/transfer"),
            ("trade/place-order", "account/switch"),
            ("\"qty\"", "\"size\""),
            ("limit", "market"),
            ("0.0001", "0.001"),
        ],
        &[("\"reduceOnly\":\"yes\",", ""), ("\"yes\"", "\"no\"")],
        &[("\"posSide\":\"long\",", ""), ("\"long\"", "\"short\"")],
        &[("\"posSide\":\"long\",", ""), ("\"long\"", "\"short\""), ("\"sell\"", "\"buy\"")],
        &[("\"posSide\":\"short\",", ""), ("\"short\"", "\"long\""), ("\"buy\"", "\"sell\"")],
    ];
    let changed = |signed: &Signed, from: &str, to: &str| {
        assert!(signed.body.contains(from) || signed.target.contains(from), "{signed:?} holds no {from}");
        let (target, body) = (signed.target.replacen(from, to, 1), signed.body.replacen(from, to, 1));
        seal(&rig, Signed { target, body, ..signed.clone() }, None)
    };
    for (unified, planted) in [(false, CLASSIC), (true, UNIFIED)] {
        client.account_mode(u8::from(unified), false);
        for ((side, effect), planted) in ORDERS.into_iter().zip(planted) {
            let order = client.perpetual(side, effect);
            let (signed, told) = real(&mut client, &order);
            fresh(unified).judge(&order, &signed, &told).unwrap();
            fresh(!unified).judge(&order, &signed, &told).unwrap_err();
            for (from, to) in planted {
                let fault = fresh(unified).judge(&order, &changed(&signed, from, to), &told);
                assert!(fault.is_err(), "{to} instead of {from} was not found in {signed:?}");
            }
        }
        // Outside the band only what says that it reduces, and where it is only said here it is no reason.
        for (side, effect, price, allowed) in [
            (1, 1, 3_999_900, true),
            (1, 0, 3_999_900, false),
            (1, 3, 3_999_900, false),
            (0, 5, 11_000_100, false),
            (1, 3, 11_000_100, unified),
            (0, 5, 3_999_900, unified),
        ] {
            let order = client.perpetual(side, effect);
            let (signed, told) = real(&mut client, &order);
            let text = format!("{}.{:02}", price / 100, price % 100);
            let planted = changed(&signed, "65000.00", &text);
            let judged = fresh(unified).judge(&priced(&order, price), &planted, &told);
            let found = judged.as_ref().is_err_and(|fault| fault.contains("outside the band"));
            assert!(if allowed { judged.is_ok() } else { found }, "{side} {effect} {price}: {judged:?}");
        }
        // Settings beyond the policy, though they are what was asked for.
        let (leverage, told) = real(&mut client, &Intent::SetLeverage { symbol: perpetual(), leverage: 5 });
        for more in [6, 50, 0] {
            let intent = Intent::SetLeverage { symbol: perpetual(), leverage: more };
            let planted = changed(&leverage, "\"leverage\":\"5\"", &format!("\"leverage\":\"{more}\""));
            assert!(fresh(unified).judge(&intent, &planted, &told).unwrap_err().contains("leverage"), "{more}");
        }
        let mode = Intent::SetPositionMode { mode: 0 };
        let (one_way, told) = real(&mut client, &mode);
        let hedge = changed(&one_way, "one_way_mode", "hedge_mode");
        fresh(unified).judge(&mode, &hedge, &told).unwrap_err();
        let fault = fresh(unified).judge(&Intent::SetPositionMode { mode: 1 }, &hedge, &told).unwrap_err();
        assert_eq!(fault, "a position mode that the policy does not allow");
    }
    client.account_mode(0, false);
    let (crossed, told) = real(&mut client, &Intent::SetMarginMode { symbol: perpetual(), mode: 0 });
    let isolated = Intent::SetMarginMode { symbol: perpetual(), mode: 1 };
    let fault = fresh(false).judge(&isolated, &changed(&crossed, "crossed", "isolated"), &told).unwrap_err();
    assert_eq!(fault, "a margin mode that the policy does not allow");
    let (login, told) = real(&mut client, &Intent::Login);
    fresh(false).judge(&Intent::Login, &login, &told).unwrap();
    assert!(fresh(true).judge(&Intent::Login, &login, &told).unwrap_err().contains("unified"));
}

/// Windows of what only reduces, and of both readings of what closes one of two positions.
#[test]
fn a_window_beyond_its_limit_is_found_on_futures_too() {
    let rig = Rig::start();
    let mut client = Client::new(&rig);
    client.offset(0);
    client.account_mode(0, false);
    // 10 in quote and 0.0002 in base for a minute: of two orders of 6.5 one fits.
    let mut policy = super::rig::policy(10, 1);
    let twice = |client: &mut Client<'_>, policy: &sign_policy::PolicyDocument, effects: [(u8, u8); 2]| {
        let mut narrow = Checker::new(&rig.values, &rig.ready, policy);
        let outcomes = effects.map(|(side, effect)| {
            let order = client.perpetual(side, effect);
            let (signed, told) = real(client, &order);
            narrow.judge(&order, &signed, &told)
        });
        outcomes[0].clone().unwrap();
        outcomes[1].clone()
    };
    assert!(twice(&mut client, &policy, [(0, 0), (0, 0)]).unwrap_err().contains("in a window"));
    assert!(twice(&mut client, &policy, [(0, 0), (1, 0)]).is_ok(), "each side has its own");
    assert!(twice(&mut client, &policy, [(0, 0), (1, 2)]).unwrap_err().contains("in a window"), "a close may be a buy");
    assert!(twice(&mut client, &policy, [(1, 0), (1, 1)]).is_ok(), "what only reduces has its own");
    for instrument in &mut policy.instruments {
        let tiny = |turnover: &mut sign_policy::Turnover| {
            turnover.quantity = domain::Scaled { mantissa: 1, decimals: 4 };
        };
        [&mut instrument.sell.minute, &mut instrument.sell.hour, &mut instrument.sell.day].into_iter().for_each(tiny);
        if let Some(reduce) = &mut instrument.reduce {
            reduce.minute = domain::Scaled { mantissa: 5, decimals: 5 };
        }
    }
    assert!(twice(&mut client, &policy, [(1, 0), (1, 1)]).unwrap_err().contains("in all"));
}
