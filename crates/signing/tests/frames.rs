//! The frames between the daemon and its signer process: each intent has one spelling, and nothing else is read.
#![expect(clippy::unwrap_used, reason = "a failing step ends the test")]

use arrayvec::ArrayString;
use domain::{
    ClientOrderId, Epoch, InstanceTag, PositionEffect, Scaled, Sequence, Side, TimeInForce, UnixNanos, VenueId,
};
use messages::{MarginMode, PlaceOrder, PositionMode, SignIntent};
use proptest::prelude::*;
use signing::Blanks;
use signing::frames::{Frame, Question, read_answer, read_question, write_question};

fn id() -> impl Strategy<Value = ClientOrderId> {
    (0_u16..46_656, 1_u32..1 << 24, 0_u64..1 << 48).prop_map(|(tag, epoch, sequence)| {
        let (epoch, sequence) = (Epoch::new(epoch).unwrap(), Sequence::new(sequence).unwrap());
        ClientOrderId::new(InstanceTag::from_number(tag), epoch, sequence)
    })
}

fn text<const N: usize>(pattern: &'static str) -> impl Strategy<Value = ArrayString<N>> {
    pattern.prop_map(|text| ArrayString::from(&text).unwrap())
}

fn scaled() -> impl Strategy<Value = Scaled> {
    (any::<i64>(), 0..=Scaled::DECIMALS_MAX).prop_map(|(mantissa, decimals)| Scaled { mantissa, decimals })
}

fn intent() -> impl Strategy<Value = SignIntent> {
    let symbol = || text::<24>("[!-~]{1,24}");
    let venue_id = || proptest::option::of(text::<40>("[!-~]{1,40}"));
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let time = prop_oneof![
        Just(TimeInForce::Gtc),
        Just(TimeInForce::Ioc),
        Just(TimeInForce::Fok),
        Just(TimeInForce::PostOnly)
    ];
    let effect = (0_u8..6).prop_map(|code| PositionEffect::from_code(code).unwrap());
    let margin = prop_oneof![Just(MarginMode::Crossed), Just(MarginMode::Isolated)];
    let mode = prop_oneof![Just(PositionMode::OneWay), Just(PositionMode::Hedge)];
    prop_oneof![
        (id(), symbol(), side, scaled(), scaled(), time, effect).prop_map(
            |(id, symbol, side, price, qty, time_in_force, effect)| {
                SignIntent::Place(PlaceOrder { id, symbol, side, price, qty, time_in_force, effect })
            }
        ),
        (symbol(), id(), venue_id()).prop_map(|(symbol, id, venue_order_id)| SignIntent::Cancel {
            symbol,
            id,
            venue_order_id
        }),
        symbol().prop_map(|symbol| SignIntent::CancelAll { symbol }),
        (symbol(), id()).prop_map(|(symbol, id)| SignIntent::QueryOrder { symbol, id }),
        (symbol(), venue_id()).prop_map(|(symbol, older_than)| SignIntent::OpenOrders { symbol, older_than }),
        (symbol(), any::<u64>(), venue_id()).prop_map(|(symbol, since, older_than)| SignIntent::OrderHistory {
            symbol,
            since: UnixNanos(since),
            older_than
        }),
        (symbol(), any::<u64>(), venue_id()).prop_map(|(symbol, since, older_than)| SignIntent::Fills {
            symbol,
            since: UnixNanos(since),
            older_than
        }),
        Just(SignIntent::Positions),
        symbol().prop_map(|symbol| SignIntent::FuturesSettings { symbol }),
        (any::<u64>(), venue_id())
            .prop_map(|(since, older_than)| SignIntent::Bills { since: UnixNanos(since), older_than }),
        (symbol(), any::<u16>()).prop_map(|(symbol, leverage)| SignIntent::SetLeverage { symbol, leverage }),
        (symbol(), margin).prop_map(|(symbol, mode)| SignIntent::SetMarginMode { symbol, mode }),
        mode.prop_map(|mode| SignIntent::SetPositionMode { mode }),
        Just(SignIntent::Balances),
        Just(SignIntent::FuturesBalances),
        Just(SignIntent::KeyInfo),
        Just(SignIntent::StreamLogin),
    ]
}

fn question() -> impl Strategy<Value = Question> {
    prop_oneof![
        (any::<u8>(), any::<u64>(), intent()).prop_map(|(seat, nonce, intent)| Question::Sign {
            seat: VenueId(seat),
            nonce,
            intent
        }),
        (any::<u8>(), any::<u64>(), intent()).prop_map(|(seat, nonce, intent)| Question::SignCandidate {
            seat: VenueId(seat),
            nonce,
            intent
        }),
        (any::<u8>(), any::<u64>(), any::<i64>()).prop_map(|(seat, nonce, offset_ns)| Question::Offset {
            seat: VenueId(seat),
            nonce,
            offset_ns
        }),
    ]
}

proptest! {
    #[test]
    fn a_question_is_read_as_it_was_written_and_not_cut_or_lengthened(question in question()) {
        let mut frame = Frame::new();
        write_question(&question, &mut frame).unwrap();
        prop_assert_eq!(read_question(&frame), Ok(question));
        for len in 0..frame.len() {
            prop_assert!(read_question(&frame[..len]).is_err());
        }
        frame.push(0);
        prop_assert!(read_question(&frame).is_err());
    }

    #[test]
    fn what_is_read_of_changed_bytes_has_one_spelling(question in question(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut frame = Frame::new();
        write_question(&question, &mut frame).unwrap();
        let at = at.index(frame.len());
        frame[at] = byte;
        if let Ok(read) = read_question(&frame) {
            let mut again = Frame::new();
            write_question(&read, &mut again).unwrap();
            prop_assert_eq!(again.as_slice(), frame.as_slice());
        }
    }

    #[test]
    fn random_bytes_are_refused_or_have_one_spelling(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(read) = read_question(&bytes) {
            let mut again = Frame::new();
            write_question(&read, &mut again).unwrap();
            prop_assert_eq!(again.as_slice(), bytes.as_slice());
        }
        let _ = read_answer(&bytes, &Blanks::new());
    }
}
