//! One key in the place of another, over a real vault on disk.

use crate::custody::{Custody, CustodyError};
use crate::custody_tests::{NOW, create, new_key, passphrase, values, walk};
use crate::desk::{CustodyDesk, DeskPlace};
use crate::guard::Identity;
use crate::rotation::signing_key;
use clock::ManualClock;
use domain::{ClientOrderId, Epoch, InstanceTag, MonoNanos, Scaled, Sequence, Side, Symbol, TimeInForce, VenueId};
use messages::{KeyAlias, KeyDuty, KeyState, PlaceOrder, SignIntent, SignRefusal};
use signing::{SignedRequest, SignerPort};
use std::path::Path;
use std::sync::Arc;

const SEAT: VenueId = VenueId(0);
const VERIFIED: [KeyState; 2] = [KeyState::Verifying, KeyState::Standby];

fn identity() -> Identity {
    Identity { tag: InstanceTag::from_number(7), epoch: Epoch::new(1).unwrap() }
}

fn place(sequence: u64) -> SignIntent {
    let (tag, epoch) = (identity().tag, identity().epoch);
    SignIntent::Place(PlaceOrder {
        id: ClientOrderId::new(tag, epoch, Sequence::new(sequence).unwrap()),
        symbol: Symbol::from("BTCUSDT").unwrap(),
        side: Side::Buy,
        price: Scaled { mantissa: 6_000_000, decimals: 2 },
        qty: Scaled { mantissa: 100, decimals: 6 },
        time_in_force: TimeInForce::Gtc,
        effect: domain::PositionEffect::default(),
    })
}

/// A vault with `old` at work and `new` linked.
fn two_keys(dir: &Path) -> Custody {
    let mut custody = create(dir);
    custody.add(new_key("old"), &values(1), NOW).unwrap();
    walk(&mut custody, "old", &[KeyState::Verifying, KeyState::Active]);
    custody.add(new_key("new"), &values(2), NOW).unwrap();
    custody
}

fn desk(custody: Custody) -> CustodyDesk {
    let codec = venue_bitget::codecs(venue_bitget::Environment::Production).signing;
    let place = DeskPlace { seat: SEAT, alias: KeyAlias::from("old").unwrap(), codec, login_confirmed: true };
    let clock = Arc::new(ManualClock::new(NOW, MonoNanos(1)));
    let desk = CustodyDesk::open(custody, vec![place], None, identity(), clock).unwrap();
    desk.set_duty(SEAT, KeyDuty::Full);
    desk.seats.with(SEAT, |seat| seat.as_mut().unwrap().set_clock_offset(0).unwrap());
    desk
}

fn sign(desk: &CustodyDesk, intent: &SignIntent) -> Result<SignedRequest, SignRefusal> {
    desk.seats.with(SEAT, |seat| seat.as_mut().unwrap().sign(intent)).unwrap()
}

fn key_of(request: &SignedRequest) -> String {
    request.headers().find(|(name, _)| *name == "ACCESS-KEY").unwrap().1.to_owned()
}

fn states(custody: &Custody) -> [KeyState; 2] {
    ["old", "new"].map(|alias| custody.show(alias).unwrap().state)
}

#[test]
fn candidate_signs_only_questions_about_itself_and_the_key_at_work_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let mut desk = desk(two_keys(home.path()));
    desk.load_candidate(SEAT, "new").unwrap();
    let candidate =
        |desk: &CustodyDesk, intent: &SignIntent| desk.candidates.with(SEAT, |it| it.as_mut().unwrap().sign(intent));
    assert_eq!(key_of(&candidate(&desk, &SignIntent::KeyInfo).unwrap().unwrap()), "bg_invented_2");
    for intent in
        [place(1), SignIntent::StreamLogin, SignIntent::CancelAll { symbol: Symbol::from("BTCUSDT").unwrap() }]
    {
        assert_eq!(candidate(&desk, &intent).unwrap().err(), Some(SignRefusal::KeyState), "{intent:?}");
    }
    assert_eq!(key_of(&sign(&desk, &place(1)).unwrap()), "bg_invented_1");
}

#[test]
fn every_order_before_the_cut_over_is_signed_by_the_one_key_and_every_later_one_by_the_other() {
    let home = tempfile::tempdir().unwrap();
    let mut desk = desk(two_keys(home.path()));
    desk.load_candidate(SEAT, "new").unwrap();
    walk(&mut desk.custody, "new", &VERIFIED);
    assert_eq!(key_of(&sign(&desk, &place(5)).unwrap()), "bg_invented_1");
    let change = desk.cut_over(SEAT, "new").unwrap();
    assert_eq!((change.from.as_str(), change.to.as_str(), change.after_sequence), ("old", "new", 5));
    assert_eq!(key_of(&sign(&desk, &place(6)).unwrap()), "bg_invented_2");
    assert_eq!(key_of(&sign(&desk, &place(5)).unwrap()), "bg_invented_2", "the same order, signed again, keeps its id");
    let SignIntent::Place(mut other) = place(5) else { unreachable!() };
    other.qty.mantissa += 1;
    let refused = sign(&desk, &SignIntent::Place(other)).err();
    assert_eq!(refused, Some(SignRefusal::ClientId), "what was signed before is remembered");
    let former = desk.candidates.with(SEAT, |it| it.as_mut().unwrap().sign(&SignIntent::KeyInfo)).unwrap();
    assert_eq!(former.err(), Some(SignRefusal::KeyState), "the former key signs nothing any more");
    assert_eq!(states(&desk.custody), [KeyState::Rotating, KeyState::Active]);

    desk.set_state("old", KeyState::Revoked, "replaced").unwrap();
    assert_eq!(key_of(&sign(&desk, &place(7)).unwrap()), "bg_invented_2", "the next key keeps its seat");
    drop(desk);
    let reopened = Custody::open(home.path(), &passphrase()).unwrap();
    assert_eq!(states(&reopened), [KeyState::Revoked, KeyState::Active]);
    let record = reopened.signing_key("old").unwrap();
    assert_eq!((record.alias.as_str(), record.activation, record.from_sequence), ("new", 2, 5));
    let former = reopened.show("old").unwrap();
    assert_eq!(record.predecessor.as_deref(), Some(former.kid.as_str()));
}

#[test]
fn key_that_does_not_work_gives_way_to_the_former_one_also_after_a_start() {
    for restarted in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let mut before = desk(two_keys(home.path()));
        before.load_candidate(SEAT, "new").unwrap();
        walk(&mut before.custody, "new", &VERIFIED);
        before.cut_over(SEAT, "new").unwrap();
        let mut desk = if restarted {
            drop(before);
            desk(Custody::open(home.path(), &passphrase()).unwrap())
        } else {
            before
        };
        assert_eq!(key_of(&sign(&desk, &place(1)).unwrap()), "bg_invented_2");
        let back = desk.take_back(SEAT, "rejected").unwrap();
        assert_eq!((back.from.as_str(), back.to.as_str(), back.activation, back.after_sequence), ("new", "old", 3, 1));
        assert_eq!(states(&desk.custody), [KeyState::Active, KeyState::Quarantined]);
        assert_eq!(key_of(&sign(&desk, &place(2)).unwrap()), "bg_invented_1");
        assert_eq!(desk.custody.signing_key("old").unwrap().alias.as_str(), "old");
        let again = desk.take_back(SEAT, "rejected");
        assert!(matches!(again, Err(CustodyError::NothingToReplace)), "there is no way back from the way back");
    }
}

#[test]
fn key_that_was_not_verified_or_belongs_elsewhere_never_takes_over() {
    let home = tempfile::tempdir().unwrap();
    let mut custody = two_keys(home.path());
    let elsewhere = crate::NewKey { account: "bitget-second".to_owned(), ..new_key("elsewhere") };
    custody.add(elsewhere, &values(3), NOW).unwrap();
    let mut desk = desk(custody);
    assert!(matches!(desk.load_candidate(SEAT, "elsewhere"), Err(CustodyError::NotOfSeat { .. })));
    assert!(matches!(desk.load_candidate(SEAT, "old"), Err(CustodyError::NotOfSeat { .. })));
    assert!(desk.cut_over(SEAT, "new").is_err(), "no signer of it was loaded");
    desk.load_candidate(SEAT, "new").unwrap();
    let refused = desk.cut_over(SEAT, "new");
    assert!(matches!(refused, Err(CustodyError::Transition { from: KeyState::Linked, .. })));
    assert_eq!(states(&desk.custody), [KeyState::Active, KeyState::Linked]);
    assert_eq!(key_of(&sign(&desk, &place(1)).unwrap()), "bg_invented_1");
    desk.drop_candidate(SEAT);
    assert!(desk.candidates.with(SEAT, |place| place.is_none()).unwrap());
}

#[test]
fn key_of_the_settings_signs_until_another_of_the_account_was_activated_after_it() {
    let home = tempfile::tempdir().unwrap();
    let mut custody = two_keys(home.path());
    let signs =
        |custody: &Custody, alias: &str| signing_key(custody.list(), alias).map(|record| record.alias.to_string());
    assert_eq!(signs(&custody, "old").as_deref(), Some("old"));
    assert_eq!(signs(&custody, "nothing"), None);
    walk(&mut custody, "new", &VERIFIED);
    custody.cut_over("new", 0, NOW).unwrap();
    assert_eq!(signs(&custody, "old").as_deref(), Some("new"));
    // The names are used in turn.
    walk(&mut custody, "old", &[KeyState::Revoked]);
    custody.add(new_key("old"), &values(3), NOW).unwrap();
    assert_eq!(signs(&custody, "old").as_deref(), Some("new"), "linked is not at work");
    walk(&mut custody, "old", &VERIFIED);
    custody.cut_over("old", 0, NOW).unwrap();
    assert_eq!(signs(&custody, "old").as_deref(), Some("old"));
}
