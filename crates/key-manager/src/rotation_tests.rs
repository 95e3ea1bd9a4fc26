//! A change of keys, from the wish to its end, against a custody that keeps a list.

use super::*;
use crate::actor::{KeyMessage, KeyOutlets};
use crate::core::tests::{good, policy};
use crate::dates::tests::dates;

use clock::ManualClock;
use messages::{CouldNotAsk, KeyDuty, KeyInfo, KeyRight, SignIntent, VenueErrorClass};
use std::sync::{Arc, Mutex};

const VENUE: VenueId = VenueId(0);
const DRAIN: Duration = Duration::from_secs(10);

fn error(reason: VenueReason) -> VenueError {
    crate::probe::tests::error(reason, VenueErrorClass::Refused)
}

#[derive(Default)]
struct Seen {
    asked: Vec<SignQuery>,
    news: Vec<(KeyAlias, KeyNewsBody)>,
    custody: Vec<String>,
    /// What custody fails at, with the word of it.
    broken: Option<&'static str>,
}

struct Desk(Arc<Mutex<Seen>>);

impl Desk {
    fn note(&self, what: &'static str) -> Result<u64, String> {
        let mut seen = self.0.lock().unwrap();
        if seen.broken == Some(what) {
            return Err("the disk is full".to_owned());
        }
        seen.custody.push(what.to_owned());
        Ok(41)
    }
}

impl RotationDesk for Desk {
    fn prepare(&mut self, venue: VenueId, next: Option<KeyAlias>) -> Result<KeySpec, String> {
        self.note("prepare")?;
        Ok(KeySpec { venue, beside_active: true, ..spec(next.unwrap().as_str(), KeyState::Linked) })
    }

    fn cut_over(&mut self, _: VenueId, _: KeyAlias) -> Result<u64, String> {
        self.note("cut over")
    }

    fn take_back(&mut self, _: VenueId, _: &str) -> Result<u64, String> {
        self.note("take back")
    }

    fn revoke(&mut self, _: VenueId, former: KeyAlias, _: &str) -> Result<(), String> {
        assert_eq!(former.as_str(), "old");
        self.note("revoke").map(drop)
    }

    fn give_up(&mut self, _: VenueId) {
        self.note("give up").unwrap();
    }

    fn new_login(&mut self, _: VenueId) {
        self.note("new login").unwrap();
    }
}

fn spec(alias: &str, state: KeyState) -> KeySpec {
    KeySpec {
        venue: VENUE,
        alias: KeyAlias::from(alias).unwrap(),
        account: "bitget-main".to_owned(),
        state,
        policy: policy(),
        dates: dates(None),
        verified_before: state != KeyState::Linked,
        beside_active: false,
        verify_every: KeyCare::EVERY,
    }
}

struct Lab {
    manager: KeyManager,
    clock: Arc<ManualClock>,
    seen: Arc<Mutex<Seen>>,
}

impl Lab {
    fn new(first: KeySpec) -> Self {
        let clock = Arc::new(ManualClock::new(crate::core::tests::UNIX, crate::core::tests::NOW));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (asks, hears) = (Arc::clone(&seen), Arc::clone(&seen));
        let outlets = KeyOutlets {
            ask: Box::new(move |query| {
                asks.lock().unwrap().asked.push(query);
                true
            }),
            news: Box::new(move |news| hears.lock().unwrap().news.push((news.alias, news.body))),
            rotation: Box::new(Desk(Arc::clone(&seen))),
        };
        let clock_of = Arc::clone(&clock);
        Self { manager: KeyManager::new(vec![first], outlets, clock_of), clock, seen }
    }

    /// With `old` verified and at work.
    fn working() -> Self {
        let mut lab = Self::new(spec("old", KeyState::Active));
        lab.manager.receive(KeyMessage::ClockMeasured { venue: VENUE, offset_ns: 0, uncertainty_ns: 0 });
        lab.answer_all(&good());
        assert_eq!(lab.manager.state(VENUE), Some(KeyState::Active));
        lab
    }

    fn rotate(&mut self) {
        let next = Some(KeyAlias::from("new").unwrap());
        self.manager.receive(KeyMessage::Rotate { venue: VENUE, next, drain: DRAIN });
    }

    /// Answers every question that was asked, in the manner of its purpose.
    fn answer_all(&mut self, info: &KeyInfo) {
        self.answer_with(|query| match query.intent {
            SignIntent::KeyInfo => QueryAnswer::KeyInfo(info.clone()),
            _ => QueryAnswer::Balances(Vec::new()),
        });
    }

    fn answer_with(&mut self, answer: impl Fn(&SignQuery) -> QueryAnswer) {
        loop {
            let asked = std::mem::take(&mut self.seen.lock().unwrap().asked);
            if asked.is_empty() {
                return;
            }
            for query in asked {
                let told = answer(&query);
                self.manager.receive(match query.purpose {
                    QueryPurpose::VerifyCandidate => KeyMessage::CandidateAnswer(query.venue, query.id, told),
                    _ => KeyMessage::Answer(query.venue, query.id, told),
                });
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.clock.advance(time);
        self.manager.tick();
    }

    fn custody(&self) -> Vec<String> {
        self.seen.lock().unwrap().custody.clone()
    }

    fn alias(&self) -> String {
        self.manager.key(VENUE).unwrap().spec().alias.to_string()
    }

    fn rotation_news(&self) -> Vec<RotationNews> {
        let seen = self.seen.lock().unwrap();
        let of = |body: &KeyNewsBody| if let KeyNewsBody::Rotation(news) = body { Some(news.clone()) } else { None };
        seen.news.iter().filter_map(|(_, body)| of(body)).collect()
    }

    fn duties(&self) -> Vec<KeyDuty> {
        let seen = self.seen.lock().unwrap();
        let of = |body: &KeyNewsBody| if let KeyNewsBody::Duty(duty) = body { Some(*duty) } else { None };
        seen.news.iter().filter_map(|(_, body)| of(body)).collect()
    }
}

#[test]
fn verified_key_takes_over_and_the_former_one_is_wiped_after_the_drain() {
    let mut lab = Lab::working();
    lab.rotate();
    {
        let seen = lab.seen.lock().unwrap();
        let asked = seen.asked.first().unwrap();
        assert_eq!((asked.purpose, asked.intent), (QueryPurpose::VerifyCandidate, SignIntent::KeyInfo));
    }
    assert_eq!(lab.alias(), "old", "it works until the other is verified");
    lab.answer_all(&good());
    assert_eq!(lab.custody(), ["prepare", "cut over", "new login"]);
    assert_eq!((lab.alias().as_str(), lab.manager.state(VENUE)), ("new", Some(KeyState::Active)));
    assert_eq!(lab.duties().last(), Some(&KeyDuty::Full));
    assert!(lab.duties().iter().skip(1).all(|duty| *duty == KeyDuty::Full), "no moment without: {:?}", lab.duties());
    lab.pass(DRAIN - Duration::from_millis(1));
    assert_eq!(lab.custody().len(), 3, "the former key can still come back");
    lab.pass(Duration::from_millis(1));
    assert_eq!(lab.custody().last().unwrap(), "revoke");
    let next = KeyAlias::from("new").unwrap();
    let told = [
        RotationNews::Began { next },
        RotationNews::CutOver { next, after_sequence: 41, drain: DRAIN },
        RotationNews::Done { next },
    ];
    assert_eq!(lab.rotation_news(), told);
    lab.pass(DRAIN);
    assert_eq!(lab.custody().len(), 4, "and that was all");
}

#[test]
fn one_rejection_within_the_drain_brings_the_former_key_back_and_one_after_it_does_not() {
    for reason in [
        VenueReason::KeyUnknown,
        VenueReason::Signature,
        VenueReason::Passphrase,
        VenueReason::IpNotAllowed,
        VenueReason::Permission,
    ] {
        for late in [false, true] {
            let mut lab = Lab::working();
            lab.rotate();
            lab.answer_all(&good());
            lab.manager.receive(KeyMessage::Rejected(VENUE, error(VenueReason::Balance)));
            assert_eq!(lab.alias(), "new", "an order refused for want of coins says nothing about a key");
            lab.pass(if late { DRAIN } else { DRAIN - Duration::from_millis(1) });
            lab.manager.receive(KeyMessage::Rejected(VENUE, error(reason)));
            let back = lab.custody().iter().any(|step| step == "take back");
            assert_eq!(back, !late, "{reason:?}");
            assert_eq!(lab.alias(), if late { "new" } else { "old" });
            if !late {
                assert_eq!(lab.manager.state(VENUE), Some(KeyState::Active));
                assert_eq!(lab.duties().last(), Some(&KeyDuty::Full));
                for _ in 0..10 {
                    lab.manager.receive(KeyMessage::Rejected(VENUE, error(reason)));
                }
                assert_eq!(
                    lab.manager.state(VENUE),
                    Some(KeyState::Active),
                    "that was about what the other has signed"
                );
                lab.pass(DRAIN);
                assert!(!lab.custody().iter().any(|step| step == "revoke"), "nothing is wiped");
            }
        }
    }
}

#[test]
fn key_that_does_not_pass_never_takes_over_and_the_one_at_work_goes_on() {
    let withdraws = {
        let mut info = good();
        info.rights.push(KeyRight::Withdraw);
        info
    };
    let elsewhere = KeyInfo { account: arrayvec::ArrayString::from("77").unwrap(), ..good() };
    let refused = |reason| QueryAnswer::CouldNotAsk(CouldNotAsk::Venue(error(reason)));
    let answers: [(&str, QueryAnswer); 6] = [
        ("rights", QueryAnswer::KeyInfo(withdraws)),
        ("address", refused(VenueReason::IpNotAllowed)),
        ("expired", QueryAnswer::KeyInfo(KeyInfo { expires: Some(UnixNanos(1)), ..good() })),
        ("other account", QueryAnswer::KeyInfo(elsewhere)),
        ("wrong secret", refused(VenueReason::Signature)),
        ("exchange down", QueryAnswer::CouldNotAsk(CouldNotAsk::Network)),
    ];
    for (how, answer) in answers {
        let mut lab = Lab::working();
        lab.rotate();
        for _ in 0..40 {
            lab.answer_with(|_| answer.clone());
            lab.pass(Duration::from_millis(500));
        }
        assert_eq!(lab.custody(), ["prepare", "give up"], "{how}");
        assert_eq!((lab.alias().as_str(), lab.manager.state(VENUE)), ("old", Some(KeyState::Active)), "{how}");
        assert!(matches!(lab.rotation_news().last(), Some(RotationNews::Refused { .. })), "{how}");
        let seen = lab.seen.lock().unwrap();
        let moves = seen.news.iter().filter_map(|(alias, body)| match body {
            KeyNewsBody::Moved { to, .. } if alias.as_str() == "new" => Some(*to),
            _ => None,
        });
        assert!(moves.clone().count() >= 2 && moves.clone().all(|to| to != KeyState::Active), "{how}");
    }
}

#[test]
fn step_that_cannot_be_saved_changes_nothing_or_is_tried_again() {
    let mut lab = Lab::working();
    lab.seen.lock().unwrap().broken = Some("cut over");
    lab.rotate();
    lab.answer_all(&good());
    assert_eq!(lab.custody(), ["prepare", "give up"]);
    assert_eq!(lab.alias(), "old");

    for step in ["take back", "revoke"] {
        let mut lab = Lab::working();
        lab.rotate();
        lab.answer_all(&good());
        lab.seen.lock().unwrap().broken = Some(step);
        if step == "take back" {
            lab.manager.receive(KeyMessage::Rejected(VENUE, error(VenueReason::KeyUnknown)));
        }
        lab.pass(DRAIN);
        lab.pass(DRAIN);
        assert!(!lab.custody().iter().any(|done| done == step));
        lab.seen.lock().unwrap().broken = None;
        lab.pass(DRAIN);
        assert_eq!(lab.custody().iter().filter(|done| *done == step).count(), 1);
        assert_eq!(lab.alias(), if step == "revoke" { "new" } else { "old" });
    }
}

#[test]
fn second_wish_and_a_key_that_is_not_active_are_refused() {
    let mut lab = Lab::working();
    lab.rotate();
    lab.rotate();
    assert!(matches!(lab.rotation_news().as_slice(), [RotationNews::Began { .. }, RotationNews::Refused { .. }]));
    lab.answer_all(&good());
    assert_eq!(lab.alias(), "new", "and the first goes on");

    let mut lab = Lab::new(spec("old", KeyState::Linked));
    lab.rotate();
    assert!(matches!(lab.rotation_news().as_slice(), [RotationNews::Refused { .. }]));
    assert_eq!(lab.custody(), Vec::<String>::new());
}

#[test]
fn change_that_was_cut_off_goes_on_after_a_start_or_turns_back() {
    for works in [true, false] {
        let mut lab = Lab::new(spec("new", KeyState::Active));
        lab.manager = lab.manager.resuming(spec("old", KeyState::Rotating), DRAIN);
        lab.manager.tick();
        lab.manager.receive(KeyMessage::ClockMeasured { venue: VENUE, offset_ns: 0, uncertainty_ns: 0 });
        if works {
            lab.answer_all(&good());
            lab.pass(Duration::from_secs(1));
            assert_eq!(lab.custody(), Vec::<String>::new(), "a whole drain again");
            lab.pass(DRAIN);
            assert_eq!((lab.custody().as_slice(), lab.alias().as_str()), (["revoke".to_owned()].as_slice(), "new"));
        } else {
            let query = lab.seen.lock().unwrap().asked.remove(0);
            let answer = QueryAnswer::CouldNotAsk(CouldNotAsk::Venue(error(VenueReason::Signature)));
            lab.manager.receive(KeyMessage::Answer(VENUE, query.id, answer));
            assert_eq!(lab.custody(), ["take back", "new login"]);
            assert_eq!((lab.alias().as_str(), lab.manager.state(VENUE)), ("old", Some(KeyState::Active)));
            assert!(!lab.seen.lock().unwrap().news.iter().any(|(alias, body)| {
                alias.as_str() == "new" && matches!(body, KeyNewsBody::Moved { to: KeyState::Linked, .. })
            }));
        }
    }
}
