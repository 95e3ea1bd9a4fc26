//! The suite that every venue's codec passes on its own fixtures; a venue crate runs it in one line.

use crate::{FeedFrame, VenueCodecs};

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
