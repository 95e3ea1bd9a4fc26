//! The suite that every venue passes.
#![expect(clippy::unwrap_used, reason = "a suite fails by panicking")]

#[path = "suite/common.rs"]
mod common;

use domain::{Market, UnixNanos};
use messages::AccountMode;
use venue_api::conformance;

#[test]
fn the_common_suite_passes_for_both_kinds_of_account() {
    for mode in AccountMode::ALL {
        let (codecs, mut intents) = (common::all_of(mode), common::every_intent());
        if mode == AccountMode::Classic {
            intents.extend(common::classic_intents());
        }
        let at = UnixNanos::from_millis(1_700_000_000_000);
        conformance::garbage_is_never_taken_for_an_answer(&codecs, &intents);
        conformance::drafts_are_deterministic(&codecs, &intents, at);
        conformance::names_of_perpetuals_stay_inside(&codecs, &intents, at);
        conformance::no_two_orders_are_written_alike(&codecs, &intents, at);
        conformance::a_position_is_not_opened_by_what_may_only_reduce(&codecs, &intents, at);
        conformance::private_channels_fit_the_instruments(
            &codecs,
            &Market::ALL.map(|market| match market {
                Market::Spot => common::symbol("BTCUSDT"),
                Market::UsdtFutures => common::symbol("BTCUSDT-PERP"),
            }),
        );
    }
}
