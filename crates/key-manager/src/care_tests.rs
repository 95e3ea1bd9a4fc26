//! A key from linking to mistrust.

use super::*;
use crate::core::tests::{NOW, UNIX, good, info, policy};
use crate::dates::tests::{dates, day};
use crate::probe::tests::error;
use messages::{CouldNotAsk, KeyRight, VenueErrorClass};

fn spec(state: KeyState) -> KeySpec {
    KeySpec {
        venue: VenueId(0),
        alias: KeyAlias::from("main").unwrap(),
        account: "bitget-main".to_owned(),
        state,
        policy: policy(),
        dates: dates(None),
        verified_before: false,
        beside_active: false,
        verify_every: KeyCare::EVERY,
    }
}

fn moves(acts: &[CareAct]) -> Vec<(KeyState, KeyState)> {
    acts.iter()
        .filter_map(|act| if let CareAct::Moved { from, to, .. } = act { Some((*from, *to)) } else { None })
        .collect()
}

fn duties(acts: &[CareAct]) -> Vec<KeyDuty> {
    acts.iter().filter_map(|act| if let CareAct::Duty(duty) = act { Some(*duty) } else { None }).collect()
}

fn question(acts: &[CareAct]) -> QueryId {
    acts.iter().find_map(|act| if let CareAct::Ask(query, _) = act { Some(*query) } else { None }).unwrap()
}

/// Answers both questions of a verification that waits for the clock, the first with `found`.
fn verify_with(care: &mut KeyCare, found: KeyInfo, now: MonoNanos) -> Vec<CareAct> {
    let first = question(&care.clock(1_000_000, 1_000_000, now, UNIX));
    let mut acts = care.answer(first, QueryAnswer::KeyInfo(found), now, UNIX);
    if acts.iter().any(|act| matches!(act, CareAct::Ask(..))) {
        let second = question(&acts);
        acts.extend(care.answer(second, QueryAnswer::Balances(Vec::new()), now, UNIX));
    }
    acts
}

fn active() -> KeyCare {
    let (mut care, _) = KeyCare::start(spec(KeyState::Linked), NOW, UNIX);
    verify_with(&mut care, good(), NOW);
    assert_eq!(care.state(), KeyState::Active);
    care
}

#[test]
fn linked_key_becomes_active_and_only_then_may_place_orders() {
    let (mut care, acts) = KeyCare::start(spec(KeyState::Linked), NOW, UNIX);
    assert_eq!(moves(&acts), [(KeyState::Linked, KeyState::Verifying)]);
    assert_eq!(duties(&acts), [KeyDuty::VerifyOnly]);
    let acts = verify_with(&mut care, good(), NOW);
    assert_eq!(moves(&acts), [(KeyState::Verifying, KeyState::Active)]);
    assert_eq!(duties(&acts), [KeyDuty::Full]);
    assert!(acts.contains(&CareAct::Verified { info: good(), balances: Vec::new() }));
    let CareAct::Moved { info, .. } = acts.iter().find(|act| matches!(act, CareAct::Moved { .. })).unwrap() else {
        unreachable!()
    };
    assert_eq!(info.as_ref(), Some(&good()), "what the venue said is saved with the move");
}

#[test]
fn active_key_is_verified_again_after_a_start_and_cancels_pass_meanwhile() {
    let (mut care, acts) = KeyCare::start(spec(KeyState::Active), NOW, UNIX);
    assert_eq!(moves(&acts), [(KeyState::Active, KeyState::Verifying)]);
    assert_eq!(duties(&acts), [KeyDuty::CancelOnly]);
    let acts = verify_with(&mut care, good(), NOW);
    assert_eq!(duties(&acts), [KeyDuty::Full]);

    let crashed = KeySpec { verified_before: true, ..spec(KeyState::Verifying) };
    let (mut care, acts) = KeyCare::start(crashed, NOW, UNIX);
    assert_eq!(duties(&acts), [KeyDuty::CancelOnly], "a crash while verifying leaves cancels");
    assert_eq!(duties(&verify_with(&mut care, good(), NOW)), [KeyDuty::Full]);
}

#[test]
fn key_beside_an_active_one_waits_for_its_cut_over() {
    let beside = KeySpec { beside_active: true, ..spec(KeyState::Linked) };
    let (mut care, _) = KeyCare::start(beside, NOW, UNIX);
    let acts = verify_with(&mut care, good(), NOW);
    assert_eq!(moves(&acts), [(KeyState::Verifying, KeyState::Standby)]);
    assert!(!duties(&acts).contains(&KeyDuty::Full));
}

#[test]
fn forbidden_right_quarantines_at_linking_and_when_added_later() {
    let bad = || info(&[KeyRight::SpotTrade, KeyRight::Withdraw], 1);
    let (mut care, _) = KeyCare::start(spec(KeyState::Linked), NOW, UNIX);
    let acts = verify_with(&mut care, bad(), NOW);
    assert_eq!(moves(&acts), [(KeyState::Verifying, KeyState::Quarantined)]);
    assert_eq!(duties(&acts), [KeyDuty::None], "it never placed anything");

    let mut care = active();
    let later = NOW.after(KeyCare::EVERY);
    let asked = care.tick(later, UNIX);
    let first = question(&asked);
    assert_eq!(care.state(), KeyState::Active, "it goes on trading while it is checked");
    let acts = care.answer(first, QueryAnswer::KeyInfo(bad()), later, UNIX);
    assert_eq!(moves(&acts), [(KeyState::Active, KeyState::Quarantined)]);
    assert_eq!(duties(&acts), [KeyDuty::CancelOnly]);
    let acts = care.tick(later.after(FLATTEN_WINDOW), UNIX);
    assert_eq!(duties(&acts), [KeyDuty::None]);
    assert_eq!(care.tick(later.after(KeyCare::EVERY * 2), UNIX), [], "only a person brings it back");
}

#[test]
fn three_rejections_in_a_row_or_one_unknown_key_cost_the_trust() {
    let signature = error(VenueReason::Signature, VenueErrorClass::Fatal);
    let mut care = active();
    assert_eq!(care.rejected(&signature, NOW), []);
    assert_eq!(care.rejected(&signature, NOW), []);
    care.worked();
    assert_eq!(care.rejected(&signature, NOW), [], "counted from the last success");
    assert_eq!(care.rejected(&signature, NOW), []);
    assert_eq!(moves(&care.rejected(&signature, NOW)), [(KeyState::Active, KeyState::Quarantined)]);

    let unknown = error(VenueReason::KeyUnknown, VenueErrorClass::Fatal);
    let acts = active().rejected(&unknown, NOW);
    assert_eq!(moves(&acts), [(KeyState::Active, KeyState::Quarantined)]);
    let balance = error(VenueReason::Balance, VenueErrorClass::Refused);
    let mut care = active();
    for _ in 0..10 {
        assert_eq!(care.rejected(&balance, NOW), []);
    }
}

#[test]
fn silent_venue_sends_a_new_key_back_to_linked_and_tries_again_by_itself() {
    let (mut care, _) = KeyCare::start(spec(KeyState::Linked), NOW, UNIX);
    care.clock(0, 0, NOW, UNIX);
    let mut now = NOW;
    let mut seen = Vec::new();
    for _ in 0..600 {
        now = now.after(Duration::from_secs(1));
        seen.extend(care.tick(now, UNIX));
    }
    let expected = [(KeyState::Verifying, KeyState::Linked), (KeyState::Linked, KeyState::Verifying)];
    assert_eq!(moves(&seen).get(..2), Some(&expected[..]));
    assert!(!duties(&seen).contains(&KeyDuty::Full));
    let tries = seen.iter().filter(|act| matches!(act, CareAct::Failed)).count();
    assert!((3..=8).contains(&tries), "the waits grow: {tries} in ten minutes");
}

#[test]
fn silent_venue_does_not_cost_an_active_key_its_state() {
    let mut care = active();
    let mut now = NOW.after(KeyCare::EVERY);
    for _ in 0..100 {
        now = now.after(Duration::from_secs(1));
        assert_eq!(moves(&care.tick(now, UNIX)), []);
    }
    assert_eq!(care.state(), KeyState::Active);
}

#[test]
fn key_that_a_person_must_correct_stays_linked_with_its_cause() {
    let (mut care, _) = KeyCare::start(spec(KeyState::Linked), NOW, UNIX);
    let first = question(&care.clock(0, 0, NOW, UNIX));
    let cause = CouldNotAsk::Venue(error(VenueReason::Passphrase, VenueErrorClass::Fatal));
    let acts = care.answer(first, QueryAnswer::CouldNotAsk(cause), NOW, UNIX);
    assert_eq!(moves(&acts), [(KeyState::Verifying, KeyState::Linked)]);
    assert!(acts.contains(&CareAct::Failed));
    let acts = care.verify(NOW, UNIX);
    assert_eq!(moves(&acts), [(KeyState::Linked, KeyState::Verifying)]);
    assert_ne!(question(&acts), first, "no query number is used twice");
}

#[test]
fn keys_without_trust_are_not_verified_by_themselves() {
    for state in [KeyState::Quarantined, KeyState::Expired, KeyState::Revoked, KeyState::Standby] {
        let (mut care, acts) = KeyCare::start(spec(state), NOW, UNIX);
        assert_eq!(moves(&acts), []);
        assert!(!care.verifying());
        assert_eq!(care.tick(NOW.after(KeyCare::EVERY * 2), UNIX), []);
    }
    let (mut care, _) = KeyCare::start(spec(KeyState::Revoked), NOW, UNIX);
    assert_eq!(care.verify(NOW, UNIX), [], "revoked is final");
}

#[test]
fn active_key_expires_at_the_venues_date_and_cancels_for_a_minute() {
    let mut care = active();
    let found = KeyInfo { expires: Some(day(40)), ..good() };
    let first = question(&care.verify(NOW, UNIX));
    let second = question(&care.answer(first, QueryAnswer::KeyInfo(found), NOW, UNIX));
    care.answer(second, QueryAnswer::Balances(Vec::new()), NOW, UNIX);
    assert_eq!(moves(&care.tick(NOW, day(39))), []);
    let acts = care.tick(NOW, day(40));
    assert_eq!(moves(&acts), [(KeyState::Active, KeyState::Expired)]);
    assert_eq!(duties(&acts), [KeyDuty::CancelOnly]);
    assert_eq!(duties(&care.tick(NOW.after(FLATTEN_WINDOW), day(40))), [KeyDuty::None]);
}

#[test]
fn no_key_is_used_after_180_days_and_none_is_activated_then() {
    let mut care = active();
    assert_eq!(moves(&care.tick(NOW, day(180))), [(KeyState::Active, KeyState::Expired)]);
    let (care, acts) = KeyCare::start(spec(KeyState::Active), NOW, day(181));
    assert_eq!((care.state(), duties(&acts)), (KeyState::Expired, vec![KeyDuty::CancelOnly]));
    let (mut care, _) = KeyCare::start(KeySpec { dates: dates(None), ..spec(KeyState::Linked) }, NOW, day(181));
    let first = question(&care.clock(0, 0, NOW, day(181)));
    let second = question(&care.answer(first, QueryAnswer::KeyInfo(good()), NOW, day(181)));
    let acts = care.answer(second, QueryAnswer::Balances(Vec::new()), NOW, day(181));
    assert!(acts.iter().any(|act| matches!(act, CareAct::Line(line) if !line.ok && line.what == "age")));
    assert_eq!(moves(&acts), [(KeyState::Verifying, KeyState::Linked)]);
}

#[test]
fn person_is_told_of_the_dates_while_the_key_is_in_use() {
    let warnings = |acts: Vec<CareAct>| acts.into_iter().filter(|act| matches!(act, CareAct::Warn(_))).count();
    let mut care = active();
    assert_eq!(warnings(care.tick(NOW, day(75))), 0);
    assert_eq!(warnings(care.tick(NOW, day(83))), 1);
    assert_eq!(warnings(care.tick(NOW, day(83))), 0, "told once");
    assert_eq!(warnings(care.tick(NOW, day(90))), 1);
    care.tick(NOW, day(180));
    assert_eq!(warnings(care.tick(NOW, day(200))), 0, "an expired key has been told of as such");
}

fn why() -> String {
    "a laptop was lost".to_owned()
}

#[test]
fn person_takes_trust_gives_it_back_after_a_full_verification_and_ends_a_key() {
    let mut care = active();
    let acts = care.wish(&WishAct::Disable(why()), NOW, UNIX).unwrap();
    assert_eq!(moves(&acts), [(KeyState::Active, KeyState::Quarantined)]);
    assert_eq!(duties(&acts), [KeyDuty::CancelOnly], "what rests can be cancelled");
    let CareAct::Moved { reason, .. } = &acts[0] else { unreachable!() };
    assert_eq!(reason, "disabled: a laptop was lost");
    assert!(care.tick(NOW.after(KeyCare::EVERY * 3), UNIX).iter().all(|act| !matches!(act, CareAct::Ask(..))));
    assert_eq!(care.wish(&WishAct::Test, NOW, UNIX), Err(KeyState::Quarantined), "a test gives no trust back");

    let acts = care.wish(&WishAct::Enable(why()), NOW, UNIX).unwrap();
    assert_eq!(moves(&acts), [(KeyState::Quarantined, KeyState::Verifying)]);
    assert!(!duties(&acts).contains(&KeyDuty::Full), "not before the exchange was asked");
    let first = question(&acts);
    let acts = care.answer(first, QueryAnswer::KeyInfo(good()), NOW, UNIX);
    let acts = care.answer(question(&acts), QueryAnswer::Balances(Vec::new()), NOW, UNIX);
    assert_eq!(moves(&acts), [(KeyState::Verifying, KeyState::Active)]);
    assert_eq!(duties(&acts), [KeyDuty::Full]);

    let acts = care.wish(&WishAct::Revoke(why()), NOW, UNIX).unwrap();
    assert_eq!(moves(&acts), [(KeyState::Active, KeyState::Revoked)]);
    assert_eq!(duties(&acts), [KeyDuty::None]);
}

#[test]
fn wishes_follow_the_table_and_change_nothing_where_it_has_no_row() {
    for state in KeyState::ALL {
        for act in [WishAct::Test, WishAct::Disable(why()), WishAct::Enable(why()), WishAct::Revoke(why())] {
            let (mut care, _) = KeyCare::start(KeySpec { verified_before: true, ..spec(state) }, NOW, UNIX);
            let from = care.state();
            let allowed = match act {
                WishAct::Test => !matches!(from, KeyState::Quarantined | KeyState::Revoked | KeyState::Rotating),
                WishAct::Disable(_) => from == KeyState::Active,
                WishAct::Enable(_) => from == KeyState::Quarantined,
                WishAct::Revoke(_) => from != KeyState::Revoked,
            };
            let result = care.wish(&act, NOW, UNIX);
            assert_eq!(result.is_ok(), allowed, "{from:?} {act:?}");
            for (before, after) in result.iter().flat_map(|acts| moves(acts)) {
                assert!(crate::lifecycle::TABLE.iter().any(|(a, _, b)| (*a, *b) == (before, after)));
            }
            if !allowed {
                assert_eq!((result, care.state()), (Err(from), from));
            }
        }
    }
}

#[test]
fn key_is_looked_at_again_as_often_as_the_settings_say() {
    let often = KeySpec { verify_every: Duration::from_secs(600), ..spec(KeyState::Linked) };
    let (mut care, _) = KeyCare::start(often, NOW, UNIX);
    verify_with(&mut care, good(), NOW);
    assert!(care.take_begun());
    care.tick(NOW.after(Duration::from_secs(599)), UNIX);
    assert!(!care.take_begun() && !care.verifying());
    care.tick(NOW.after(Duration::from_secs(600)), UNIX);
    assert!(care.take_begun() && care.verifying());
    assert_eq!(care.state(), KeyState::Active, "it trades meanwhile");
}

#[test]
fn orders_of_nobody_here_and_a_flood_of_refusals_cost_an_active_key_its_trust() {
    let mut care = active();
    assert_eq!(moves(&care.foreign_activity(NOW)), [(KeyState::Active, KeyState::Quarantined)]);
    assert_eq!(care.foreign_activity(NOW), [], "once");

    let mut care = active();
    for number in 0..200 {
        let at = NOW.after(Duration::from_secs(2 * number));
        assert_eq!(care.policy_refused(at), [], "thirty a minute are no flood");
    }
    let later = NOW.after(Duration::from_secs(1_000));
    for _ in 0..KeyCare::REFUSALS_MAX {
        assert_eq!(care.policy_refused(later), []);
    }
    assert_eq!(moves(&care.policy_refused(later)), [(KeyState::Active, KeyState::Quarantined)]);
}
