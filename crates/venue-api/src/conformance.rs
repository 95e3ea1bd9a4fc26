//! The suite that every venue's codec passes on its own fixtures; a venue crate runs it in one line.

use crate::{Draft, FeedFrame, VenueCodecs};
use domain::{Market, PositionSide, Symbol, UnixNanos};
use messages::SignIntent;

/// Bytes that no codec may panic on, read as anything.
const GARBAGE: &[&[u8]] = &[
    b"",
    b"{",
    b"[]",
    b"null",
    b"\"\"",
    b"{}",
    b"{\"code\":null,\"data\":null}",
    b"{\"code\":\"00000\",\"msg\":\"success\",\"data\":null}",
    b"{\"code\":0,\"data\":{\"list\":null}}",
    b"<html><body>502 Bad Gateway</body></html>",
    b"\xff\xfe\x00",
    b"{\"action\":\"snapshot\",\"arg\":{},\"data\":[]}",
    b"{\"event\":\"error\"}",
];

/// Runs every decoder on garbage: errors are fine, panics and made-up answers are not.
///
/// # Panics
/// When an answer that nothing can be read from is taken for an accepted order.
#[expect(clippy::panic, reason = "a conformance suite fails by panicking, like any test")]
pub fn garbage_is_never_taken_for_an_answer(codecs: &VenueCodecs, intents: &[messages::SignIntent]) {
    let mut frame = FeedFrame::default();
    for bytes in GARBAGE {
        let _ = codecs.feed.decode(bytes, &mut frame);
        let _ = codecs.private.decode(bytes);
        let _ = codecs.public.server_time(200, bytes);
        let _ = codecs.public.instruments(200, bytes);
        for intent in intents {
            if intent.verb().only_asks() {
                let _ = codecs.rest.query_answer(intent, 200, bytes);
            } else if let crate::ActAnswer::Accepted(id) = codecs.rest.act_answer(intent, 200, bytes) {
                panic!("garbage was taken for the accepted order {id}");
            }
        }
    }
}

/// Builds every intent twice and compares: the same intent and time give the same bytes.
///
/// # Panics
/// When the bytes differ.
#[expect(clippy::panic, reason = "a conformance suite fails by panicking, like any test")]
pub fn drafts_are_deterministic(codecs: &VenueCodecs, intents: &[messages::SignIntent], at: domain::UnixNanos) {
    for intent in intents {
        let mut first = crate::Draft::default();
        let mut second = crate::Draft::default();
        let a = codecs.signing.draft(intent, at, &mut first);
        let b = codecs.signing.draft(intent, at, &mut second);
        if a != b || first.prehash != second.prehash || first.target != second.target || first.body != second.body {
            panic!("two drafts of {intent:?} differ");
        }
    }
}

/// What an intent is written as: its target and body. `None`: it is refused.
fn written(codecs: &VenueCodecs, intent: &SignIntent, at: UnixNanos) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut draft = Draft::default();
    codecs.signing.draft(intent, at, &mut draft).ok()?;
    Some((draft.target.to_vec(), draft.body.to_vec()))
}

/// Looks for our ending of perpetual futures in what is written for the venue: it knows no such names.
///
/// # Panics
/// When the ending leaves the program.
#[expect(clippy::panic, reason = "a conformance suite fails by panicking, like any test")]
pub fn names_of_perpetuals_stay_inside(codecs: &VenueCodecs, intents: &[SignIntent], at: UnixNanos) {
    let ending = Market::PERPETUAL_SUFFIX.as_bytes();
    let has = |bytes: &[u8]| bytes.windows(ending.len()).any(|window| window == ending);
    for intent in intents {
        let Some((target, body)) = written(codecs, intent, at) else { panic!("{intent:?} is refused") };
        if has(&target) || has(&body) {
            panic!("{intent:?} is written with our ending of names");
        }
    }
}

/// Compares every order with every other: what does something else is written in other words. Above all an order that
/// closes a position is never written like one that opens one, nor one for a future like one for its spot instrument.
///
/// # Panics
/// When two orders that differ are written alike.
#[expect(clippy::panic, reason = "a conformance suite fails by panicking, like any test")]
pub fn no_two_orders_are_written_alike(codecs: &VenueCodecs, intents: &[SignIntent], at: UnixNanos) {
    let orders: Vec<_> = intents
        .iter()
        .filter_map(|intent| match intent {
            SignIntent::Place(order) => Some(*order),
            _ => None,
        })
        .collect();
    for one in &orders {
        for other in &orders {
            let mut alike = *other;
            if other.effect.opens(other.side) == Some(false) {
                // A position of hedge mode is only reduced by what closes it.
                alike.effect.reduce_only = one.effect.reduce_only;
            }
            let same = written(codecs, &SignIntent::Place(*one), at) == written(codecs, &SignIntent::Place(*other), at);
            if same != (alike == *one) {
                panic!("{one:?} and {other:?}: written alike is {same}");
            }
        }
    }
}

/// Asks for orders that contradict themselves: opening a position with an order that may only reduce it, and working on
/// a position where there is none.
///
/// # Panics
/// When such an order is written.
#[expect(clippy::panic, reason = "a conformance suite fails by panicking, like any test")]
pub fn a_position_is_not_opened_by_what_may_only_reduce(codecs: &VenueCodecs, intents: &[SignIntent], at: UnixNanos) {
    for intent in intents {
        let SignIntent::Place(order) = intent else { continue };
        let mut wrong = *order;
        match Market::of(&order.symbol) {
            Market::Spot => wrong.effect.side = PositionSide::Long,
            Market::UsdtFutures if order.effect.opens(order.side) == Some(true) => wrong.effect.reduce_only = true,
            Market::UsdtFutures => continue,
        }
        if written(codecs, &SignIntent::Place(wrong), at).is_some() {
            panic!("{wrong:?} is written");
        }
    }
}

/// Subscribes for spot alone and for all: every channel that must be acknowledged is asked for, and futures are asked
/// for only where they are traded.
///
/// # Panics
/// When channels and subscriptions do not fit.
#[expect(clippy::panic, reason = "a conformance suite fails by panicking, like any test")]
pub fn private_channels_fit_the_instruments(codecs: &VenueCodecs, symbols: &[Symbol]) {
    let spot: Vec<Symbol> = symbols.iter().copied().filter(|symbol| !Market::of(symbol).has_positions()).collect();
    let (few, all) = (codecs.private.channels(&spot), codecs.private.channels(symbols));
    if spot.len() < symbols.len() && few.len() >= all.len() {
        panic!("futures have no channel of their own");
    }
    for (symbols, channels) in [(&spot[..], few), (symbols, all)] {
        if codecs.private.subscribe(symbols).is_empty() || channels.is_empty() {
            panic!("nothing is asked for");
        }
    }
}
