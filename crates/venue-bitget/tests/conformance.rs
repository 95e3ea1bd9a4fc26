//! The suite that every venue passes.
#![expect(clippy::unwrap_used, reason = "a suite fails by panicking")]

#[path = "suite/common.rs"]
mod common;

use venue_api::conformance;
use venue_bitget::{AccountMode, Environment, codecs_of};

#[test]
fn the_common_suite_passes() {
    let (codecs, intents) = (codecs_of(Environment::Production, AccountMode::Classic), common::every_intent());
    conformance::garbage_is_never_taken_for_an_answer(&codecs, &intents);
    conformance::drafts_are_deterministic(&codecs, &intents, domain::UnixNanos::from_millis(1_700_000_000_000));
}
