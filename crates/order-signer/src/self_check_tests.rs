//! Tests of the second look.

use super::*;
use domain::{ClientOrderId, Epoch, InstanceTag, PositionEffect, Sequence, Side, Symbol, TimeInForce};
use messages::{AccountMode, MarginMode, PlaceOrder, PositionMode};

const AT: UnixNanos = UnixNanos(1_700_000_000_123_000_000);

fn order() -> PlaceOrder {
    PlaceOrder {
        id: ClientOrderId::new(InstanceTag::from_number(3), Epoch::new(1).unwrap(), Sequence::new(2).unwrap()),
        symbol: Symbol::from("BTCUSDT").unwrap(),
        side: Side::Buy,
        price: Scaled { mantissa: 6_512_340, decimals: 2 },
        qty: Scaled { mantissa: 1_500, decimals: 6 },
        time_in_force: TimeInForce::Gtc,
        effect: PositionEffect::default(),
    }
}

fn symbol(name: &str) -> Symbol {
    Symbol::from(name).unwrap()
}

/// What can be asked of an account of this mode, on spot and on futures.
fn intents(mode: AccountMode) -> Vec<SignIntent> {
    let id = order().id;
    let cursor = Some(VenueOrderId::from("1234567890").unwrap());
    let mut list = vec![
        SignIntent::Place(order()),
        SignIntent::Positions,
        SignIntent::Bills { since: AT, older_than: None },
        SignIntent::Bills { since: AT, older_than: cursor },
        SignIntent::FuturesSettings { symbol: symbol("BTCUSDT-PERP") },
        SignIntent::SetLeverage { symbol: symbol("BTCUSDT-PERP"), leverage: 20 },
        SignIntent::SetPositionMode { mode: PositionMode::OneWay },
        SignIntent::SetPositionMode { mode: PositionMode::Hedge },
        SignIntent::Balances,
        SignIntent::KeyInfo,
        SignIntent::StreamLogin,
    ];
    for name in ["BTCUSDT", "BTCUSDT-PERP"] {
        let symbol = symbol(name);
        list.extend([
            SignIntent::Cancel { symbol, id, venue_order_id: None },
            SignIntent::Cancel { symbol, id, venue_order_id: cursor },
            SignIntent::CancelAll { symbol },
            SignIntent::QueryOrder { symbol, id },
            SignIntent::OpenOrders { symbol, older_than: None },
            SignIntent::OpenOrders { symbol, older_than: cursor },
            SignIntent::OrderHistory { symbol, since: AT, older_than: None },
            SignIntent::Fills { symbol, since: AT, older_than: None },
            SignIntent::Fills { symbol, since: AT, older_than: cursor },
        ]);
    }
    for (effect, side) in PositionEffect::ALL.into_iter().flat_map(|effect| [(effect, Side::Buy), (effect, Side::Sell)])
    {
        if !(effect.reduce_only && effect.opens(side) == Some(true)) {
            list.push(SignIntent::Place(PlaceOrder { symbol: symbol("BTCUSDT-PERP"), side, effect, ..order() }));
        }
    }
    if mode == AccountMode::Classic {
        list.push(SignIntent::FuturesBalances);
        list.push(SignIntent::SetMarginMode { symbol: symbol("BTCUSDT-PERP"), mode: MarginMode::Crossed });
    }
    list
}

fn drafted(intent: &SignIntent, mode: AccountMode) -> Box<Draft> {
    let mut draft = Box::<Draft>::default();
    let codec = venue_bitget::codecs_of(venue_bitget::Environment::Production, mode).signing;
    codec.draft(intent, AT, &mut draft).unwrap();
    draft
}

#[test]
fn what_the_codec_writes_is_allowed_for_its_own_intent_and_moment_alone() {
    for mode in AccountMode::ALL {
        for intent in intents(mode) {
            let draft = drafted(&intent, mode);
            assert!(VenueRules::Bitget.allow(&intent, AT, &draft), "{intent:?}");
            for wanted in intents(mode) {
                // Closing a long position in hedge mode may be said with reduce-only or without: it is one request.
                let one_request = drafted(&wanted, mode).prehash == draft.prehash;
                assert_eq!(VenueRules::Bitget.allow(&wanted, AT, &draft), one_request, "{wanted:?} as {intent:?}");
            }
            let later = UnixNanos(AT.0 + 1_000_000_000);
            assert!(!VenueRules::Bitget.allow(&intent, later, &draft), "another moment: {intent:?}");
        }
    }
}

#[test]
fn a_spot_order_that_was_to_reduce_or_to_hedge_is_refused_whatever_was_written() {
    for mode in AccountMode::ALL {
        let draft = drafted(&SignIntent::Place(order()), mode);
        for effect in PositionEffect::ALL.into_iter().filter(|effect| !effect.is_default()) {
            let intent = SignIntent::Place(PlaceOrder { effect, ..order() });
            assert!(!VenueRules::Bitget.allow(&intent, AT, &draft), "{effect:?}");
        }
    }
}

#[test]
fn a_request_of_one_generation_is_none_of_the_other() {
    for mode in AccountMode::ALL {
        for intent in intents(mode) {
            let mut draft = drafted(&intent, mode);
            let target = String::from_utf8(draft.target.to_vec()).unwrap();
            let other = match mode {
                AccountMode::Classic => target.replace("/api/v2/", "/api/v3/"),
                AccountMode::Unified => target.replace("/api/v3/", "/api/v2/"),
            };
            if other == target {
                continue;
            }
            draft.target.clear();
            draft.target.try_extend_from_slice(other.as_bytes()).unwrap();
            rehash(&mut draft);
            assert!(!VenueRules::Bitget.allow(&intent, AT, &draft), "{other}");
        }
    }
}

/// Sheet trap 5: a close that lost its word is an open, and nothing at the venue errs.
#[test]
fn a_hedge_order_without_or_with_another_position_is_refused() {
    let long = PositionEffect { side: domain::PositionSide::Long, reduce_only: false };
    let close =
        SignIntent::Place(PlaceOrder { symbol: symbol("BTCUSDT-PERP"), side: Side::Sell, effect: long, ..order() });
    for (mode, changes) in [
        (
            AccountMode::Classic,
            &[
                (r#""tradeSide":"close","#, ""),
                ("close", "open"),
                (r#""side":"buy""#, r#""side":"sell""#),
                ("crossed", "isolated"),
            ][..],
        ),
        (
            AccountMode::Unified,
            &[
                (r#""posSide":"long","#, ""),
                ("long", "short"),
                (r#""side":"sell""#, r#""side":"buy""#),
                ("USDT-FUTURES", "SPOT"),
            ],
        ),
    ] {
        for (from, to) in changes {
            let mut draft = drafted(&close, mode);
            let body = String::from_utf8(draft.body.to_vec()).unwrap();
            assert!(body.contains(from), "{body}");
            draft.body.clear();
            draft.body.try_extend_from_slice(body.replacen(from, to, 1).as_bytes()).unwrap();
            rehash(&mut draft);
            assert!(!VenueRules::Bitget.allow(&close, AT, &draft), "{from} {to}");
        }
    }
}

#[test]
fn what_would_open_and_only_reduce_and_positions_on_spot_are_refused() {
    let contradiction = PositionEffect { side: domain::PositionSide::Long, reduce_only: true };
    let perpetual = PlaceOrder { symbol: symbol("BTCUSDT-PERP"), ..order() };
    let reduces = PositionEffect { side: domain::PositionSide::Net, reduce_only: true };
    for mode in AccountMode::ALL {
        let opened = drafted(
            &SignIntent::Place(PlaceOrder {
                effect: PositionEffect { reduce_only: false, ..contradiction },
                ..perpetual
            }),
            mode,
        );
        let wanted = SignIntent::Place(PlaceOrder { effect: contradiction, ..perpetual });
        assert!(!VenueRules::Bitget.allow(&wanted, AT, &opened));
        let spot = drafted(&SignIntent::Place(order()), mode);
        assert!(!VenueRules::Bitget.allow(&SignIntent::Place(PlaceOrder { effect: reduces, ..order() }), AT, &spot));
    }
}

#[test]
fn any_changed_missing_or_added_byte_is_refused() {
    let all = AccountMode::ALL.into_iter().flat_map(|mode| intents(mode).into_iter().map(move |intent| (intent, mode)));
    for (intent, mode) in all {
        let good = drafted(&intent, mode);
        let refused = |draft: &Draft, what: &str| {
            assert!(!VenueRules::Bitget.allow(&intent, AT, draft), "{what}: {intent:?}");
        };
        for at in 0..good.prehash.len() {
            for byte in [b'0', b'"', b'&', b'/', b'x', 0xff] {
                if good.prehash[at] != byte {
                    let mut draft = drafted(&intent, mode);
                    draft.prehash[at] = byte;
                    refused(&draft, "prehash");
                }
            }
        }
        // A codec gone wrong changes what is sent and what is signed alike.
        for (at, byte) in (0..good.body.len()).flat_map(|at| [b'9', b',', b' '].map(|byte| (at, byte))) {
            if good.body[at] != byte && !(good.body[at] == b'0' && byte == b'.') {
                let mut draft = drafted(&intent, mode);
                draft.body[at] = byte;
                rehash(&mut draft);
                refused(&draft, "body");
            }
        }
        for (at, byte) in (0..good.target.len()).flat_map(|at| [b'9', b'?', b'%'].map(|byte| (at, byte))) {
            if good.target[at] != byte {
                let mut draft = drafted(&intent, mode);
                draft.target[at] = byte;
                rehash(&mut draft);
                refused(&draft, "target");
            }
        }
    }
}

fn rehash(draft: &mut Draft) {
    draft.prehash.clear();
    for part in [&draft.timestamp[..], draft.method.as_str().as_bytes(), &draft.target[..], &draft.body[..]] {
        draft.prehash.try_extend_from_slice(part).unwrap();
    }
}

#[test]
fn added_fields_doubled_fields_and_other_paths_are_refused() {
    let place = SignIntent::Place(order());
    for body in [
        r#"{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"65123.40","size":"0.001500","clientOid":"ID","triggerPrice":"1"}"#,
        r#"{"symbol":"BTCUSDT","symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"65123.40","size":"0.001500","clientOid":"ID"}"#,
        r#"{"symbol":"BTCUSDT","side":"buy","orderType":"market","force":"gtc","price":"65123.40","size":"0.001500","clientOid":"ID"}"#,
        r#"{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"651234.0","size":"0.001500","clientOid":"ID"}"#,
        r#"{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","size":"0.001500","clientOid":"ID"}"#,
        r#"{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"65123.40","size":"0.001500","clientOid":"ID"},"#,
        r#"{"symbol":"BTCUSDT","side":"b\u0075y","orderType":"limit","force":"gtc","price":"65123.40","size":"0.001500","clientOid":"ID"}"#,
    ] {
        let mut draft = drafted(&place, AccountMode::Classic);
        draft.body.clear();
        draft.body.try_extend_from_slice(body.replace("ID", order().id.as_str()).as_bytes()).unwrap();
        rehash(&mut draft);
        assert!(!VenueRules::Bitget.allow(&place, AT, &draft), "{body}");
    }
    for target in
        ["/api/v2/spot/wallet/transfer", "/api/v2/spot/trade/place-order/", "/api/v2/spot/trade/place-order?a=b"]
    {
        let mut draft = drafted(&place, AccountMode::Classic);
        draft.target.clear();
        draft.target.try_extend_from_slice(target.as_bytes()).unwrap();
        rehash(&mut draft);
        assert!(!VenueRules::Bitget.allow(&place, AT, &draft), "{target}");
    }
}

#[test]
fn a_number_is_the_same_in_every_spelling_and_no_other_number_is() {
    let number = Scaled { mantissa: 150, decimals: 2 };
    for same in ["1.5", "1.50", "1.500", "01.5"] {
        assert!(same_number(same, number), "{same}");
    }
    for other in ["15", "1.51", "", ".", "1.", "-1.5", "1.5.0", "1,5", "1e0", &"9".repeat(40)] {
        assert!(!same_number(other, number), "{other}");
    }
    assert!(!same_number("0", Scaled { mantissa: 0, decimals: 0 }), "nothing is not an order");
}
