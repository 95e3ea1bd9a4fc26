//! Verification, answer by answer.

use super::*;
use crate::probe::tests::error;
use arrayvec::{ArrayString, ArrayVec};
use messages::{CouldNotAsk, VenueErrorClass, VenueReason};

pub(crate) const NOW: MonoNanos = MonoNanos(1_000_000_000);
pub(crate) const UNIX: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

pub(crate) fn policy() -> Policy {
    Policy {
        role: KeyRole::Trade,
        allow_unbound: false,
        account: None,
        account_mode: AccountMode::Classic,
        markets: [true, false],
    }
}

pub(crate) fn info(rights: &[KeyRight], bound_addresses: u16) -> KeyInfo {
    let mut list = ArrayVec::new();
    list.try_extend_from_slice(rights).unwrap();
    KeyInfo {
        account: ArrayString::from("7264631750").unwrap(),
        rights: list,
        bound_addresses,
        expires: None,
        account_mode: None,
        parent: None,
    }
}

pub(crate) fn good() -> KeyInfo {
    info(&[KeyRight::SpotRead, KeyRight::SpotTrade], 1)
}

/// A verification that has asked for the key's rights under number 1.
fn asked(policy: Policy) -> Verification {
    let mut verification = Verification::new(policy, 1, NOW);
    let acts = verification.clock(20_000_000, 3_000_000, NOW);
    assert!(matches!(&acts[..], [Act::Line(line), Act::Ask(QueryId(1), SignIntent::KeyInfo)] if line.ok));
    verification
}

fn verdict(acts: &[Act]) -> Option<&Verdict> {
    acts.iter().find_map(|act| if let Act::Done(verdict) = act { Some(verdict) } else { None })
}

fn last_line(acts: &[Act]) -> &ProbeLine {
    acts.iter().rev().find_map(|act| if let Act::Line(line) = act { Some(line) } else { None }).unwrap()
}

fn told(verification: &mut Verification, info: KeyInfo) -> Vec<Act> {
    verification.answer(QueryId(1), QueryAnswer::KeyInfo(info), NOW, UNIX)
}

#[test]
fn key_passes_after_rights_were_read_and_a_signed_read_succeeded() {
    let mut verification = asked(policy());
    let acts = told(&mut verification, good());
    assert_eq!(acts.last(), Some(&Act::Ask(QueryId(2), SignIntent::Balances)));
    assert_eq!(verdict(&acts), None);
    let acts = verification.answer(QueryId(2), QueryAnswer::Balances(Vec::new()), NOW, UNIX);
    assert_eq!(verdict(&acts), Some(&Verdict::Passed { info: good(), balances: Vec::new() }));
    assert!(verification.done());
}

#[test]
fn nothing_is_signed_before_the_clock_is_known_and_within_its_limit() {
    let mut verification = Verification::new(policy(), 1, NOW);
    assert_eq!(verification.tick(NOW), []);
    let acts = verification.clock(-40_000_000_000, 1_000_000, NOW);
    assert_eq!(verdict(&acts), Some(&Verdict::Failed(ProbeFault::Clock)));
    assert!(last_line(&acts).detail.contains("40.0 s"), "{:?}", last_line(&acts));
    assert!(last_line(&acts).fix.as_deref().unwrap().contains("NTP"));

    let mut verification = Verification::new(policy(), 1, NOW);
    let acts = verification.tick(NOW.after(Verification::CLOCK_PATIENCE));
    assert_eq!(verdict(&acts), Some(&Verdict::VenueSilent));
}

#[test]
fn forbidden_rights_are_named_and_final() {
    for right in [KeyRight::Withdraw, KeyRight::Transfer, KeyRight::ManageAccounts] {
        let mut verification = asked(policy());
        let found = info(&[KeyRight::SpotTrade, right], 1);
        let acts = told(&mut verification, found.clone());
        assert_eq!(verdict(&acts), Some(&Verdict::ForbiddenRight(found)));
        assert!(last_line(&acts).detail.contains(right.as_str()));
        assert!(!acts.iter().any(|act| matches!(act, Act::Ask(..))), "no further signature");
    }
}

#[test]
fn rights_must_fit_the_role() {
    let stream = Policy { role: KeyRole::Stream, ..policy() };
    let cases = [
        (policy(), vec![KeyRight::SpotRead], Some(ProbeFault::Permission)),
        (policy(), vec![KeyRight::FuturesTrade], Some(ProbeFault::Permission)),
        (policy(), vec![KeyRight::SpotTrade, KeyRight::Unknown], None),
        (stream.clone(), vec![KeyRight::SpotRead], None),
        (stream.clone(), vec![], Some(ProbeFault::Permission)),
        (stream, vec![KeyRight::SpotRead, KeyRight::SpotTrade], Some(ProbeFault::Permission)),
    ];
    for (policy, rights, expected) in cases {
        let acts = told(&mut asked(policy), info(&rights, 1));
        assert_eq!(verdict(&acts), expected.map(Verdict::Failed).as_ref(), "{rights:?}");
    }
}

#[test]
fn unbound_key_is_taken_only_where_the_settings_allow_it() {
    let unbound = || info(&[KeyRight::SpotTrade], 0);
    let acts = told(&mut asked(policy()), unbound());
    assert_eq!(verdict(&acts), Some(&Verdict::Failed(ProbeFault::IpUnbound)));
    let acts = told(&mut asked(Policy { allow_unbound: true, ..policy() }), unbound());
    assert_eq!(verdict(&acts), None);
    let advised = acts.iter().any(|act| matches!(act, Act::Line(line) if line.ok && line.fix.is_some()));
    assert!(advised, "and the person is advised to bind it");
}

#[test]
fn key_of_another_account_or_past_its_end_does_not_pass() {
    let bound_to = |account: &str| Policy { account: Some(account.to_owned()), ..policy() };
    assert_eq!(verdict(&told(&mut asked(bound_to("7264631750")), good())), None);
    let acts = told(&mut asked(bound_to("1")), good());
    assert_eq!(verdict(&acts), Some(&Verdict::WrongAccount(good())));

    let ended = KeyInfo { expires: Some(UNIX), ..good() };
    assert_eq!(verdict(&told(&mut asked(policy()), ended)), Some(&Verdict::Failed(ProbeFault::Key)));
}

#[test]
fn venues_word_about_the_key_ends_it_at_once_with_its_cause() {
    for (reason, fault) in [
        (VenueReason::KeyUnknown, ProbeFault::Key),
        (VenueReason::Signature, ProbeFault::Signature),
        (VenueReason::Passphrase, ProbeFault::Passphrase),
        (VenueReason::IpNotAllowed, ProbeFault::Ip),
        (VenueReason::Environment, ProbeFault::Environment),
    ] {
        let mut verification = asked(policy());
        let answer = QueryAnswer::CouldNotAsk(CouldNotAsk::Venue(error(reason, VenueErrorClass::Fatal)));
        let acts = verification.answer(QueryId(1), answer, NOW, UNIX);
        assert_eq!(verdict(&acts), Some(&Verdict::Failed(fault)));
        assert!(last_line(&acts).detail.contains("40012"), "the venue's code is shown");
        assert!(!last_line(&acts).ok && last_line(&acts).fix.is_some());
    }
}

#[test]
fn account_kept_the_other_way_is_asked_again_in_that_way_once() {
    let mut verification = asked(policy());
    let refused = || {
        let error = error(VenueReason::AccountMode, VenueErrorClass::Refused);
        QueryAnswer::CouldNotAsk(CouldNotAsk::Venue(error))
    };
    let acts = verification.answer(QueryId(1), refused(), NOW, UNIX);
    assert_eq!(acts, [Act::Mode(AccountMode::Unified), Act::Ask(QueryId(2), SignIntent::KeyInfo)]);
    let acts = verification.answer(QueryId(2), refused(), NOW, UNIX);
    assert_eq!(verdict(&acts), Some(&Verdict::Failed(ProbeFault::AccountMode)));
}

#[test]
fn trading_key_needs_the_right_of_each_market_that_its_account_trades() {
    let futures = Policy { markets: [true, true], ..policy() };
    let acts = told(&mut asked(futures.clone()), good());
    assert_eq!(verdict(&acts), Some(&Verdict::Failed(ProbeFault::Permission)));
    assert!(last_line(&acts).detail.contains("futures trade"), "{}", last_line(&acts).detail);
    let both = info(&[KeyRight::SpotTrade, KeyRight::FuturesTrade], 1);
    assert_eq!(verdict(&told(&mut asked(futures), both.clone())), None);
    let only_futures = Policy { markets: [false, true], ..policy() };
    assert_eq!(verdict(&told(&mut asked(only_futures), both)), None);
}

#[test]
fn silent_venue_is_asked_three_times_with_growing_waits() {
    let mut verification = asked(policy());
    let silence = || QueryAnswer::CouldNotAsk(CouldNotAsk::Network);
    assert_eq!(verification.answer(QueryId(1), silence(), NOW, UNIX), []);
    let second = NOW.after(Duration::from_secs(2));
    assert_eq!(verification.tick(NOW.after(Duration::from_millis(1_999))), []);
    assert_eq!(verification.tick(second), [Act::Ask(QueryId(2), SignIntent::KeyInfo)]);
    let third = second.after(Verification::ANSWER_PATIENCE);
    assert_eq!(verification.tick(third), [], "no answer at all counts the same");
    let third = third.after(Duration::from_secs(4));
    assert_eq!(verification.tick(third), [Act::Ask(QueryId(3), SignIntent::KeyInfo)]);
    let maintenance = error(VenueReason::Maintenance, VenueErrorClass::Retry);
    let acts = verification.answer(QueryId(3), QueryAnswer::CouldNotAsk(CouldNotAsk::Venue(maintenance)), third, UNIX);
    assert_eq!(verdict(&acts), Some(&Verdict::VenueSilent));
    assert_eq!(verification.next_query(), 4);
}

#[test]
fn answers_to_other_questions_change_nothing() {
    let mut verification = asked(policy());
    assert_eq!(verification.answer(QueryId(9), QueryAnswer::KeyInfo(good()), NOW, UNIX), []);
    told(&mut verification, good());
    assert_eq!(verification.answer(QueryId(1), QueryAnswer::Balances(Vec::new()), NOW, UNIX), [], "a late answer");
    assert!(!verification.done());
}
