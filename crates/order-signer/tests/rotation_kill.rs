//! `kill -9` at every persisted step of a change of keys: afterwards exactly one key is Active, it can sign, and the
//! change can be brought to its end.
//!
//! Built with the feature `fail-points`: `cargo test -p order-signer --features fail-points --test rotation_kill`.

#![cfg(feature = "fail-points")]
#![expect(clippy::unwrap_used, reason = "a failing step ends the test")]

use clock::SystemClock;
use domain::{ClientOrderId, Clock as _, Scaled, Sequence, Side, Symbol, TimeInForce, VenueId};
use messages::{KeyAlias, KeyDuty, KeyRole, KeyState, PlaceOrder, SignIntent};
use order_signer::{Custody, CustodyDesk, DeskPlace, EpochStore, KeySecrets, NewKey};
use secrets::SecretBytes;
use signing::SignerPort as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::Arc;
use vault::{Passphrase, Vault};

const SEAT: VenueId = VenueId(0);
const DIRECTORY: &str = "STEADFAST_TEST_DIRECTORY";
const TURNS_BACK: &str = "STEADFAST_TEST_TURNS_BACK";

fn passphrase() -> Passphrase {
    Passphrase::from_text("an invented passphrase of many words").unwrap()
}

fn new_vault(dir: &Path) {
    std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let vault = Vault::create_cheap(Custody::vault_path(dir), &passphrase(), 1_700_000_000).unwrap();
    let mut custody = Custody::over(vault, dir).unwrap();
    let now = SystemClock.unix();
    for alias in ["old", "new"] {
        let value = |text: &str| SecretBytes::from_slice(text.as_bytes()).unwrap();
        let secrets = KeySecrets {
            key: value(&format!("bg_{alias}")),
            secret: value("sk_invented"),
            passphrase: value("Passw0rd1"),
        };
        let new = NewKey {
            alias: KeyAlias::from(alias).unwrap(),
            venue: "bitget".to_owned(),
            environment: "sim".to_owned(),
            account: "bitget-main".to_owned(),
            role: KeyRole::Trade,
            wallets: vec!["spot".to_owned()],
            stream_login_confirmed: true,
        };
        custody.add(new, &secrets, now).unwrap();
    }
    for state in [KeyState::Verifying, KeyState::Active] {
        custody.set_state("old", state, "test", now).unwrap();
    }
}

fn desk(dir: &Path) -> CustodyDesk {
    let custody = Custody::open(dir, &passphrase()).unwrap();
    let codec = venue_bitget::codecs(venue_bitget::Environment::Production).signing;
    let identity = EpochStore::open(dir).unwrap().identity();
    let place = DeskPlace { seat: SEAT, alias: KeyAlias::from("old").unwrap(), codec, login_confirmed: true };
    let desk = CustodyDesk::open(custody, vec![place], None, identity, Arc::new(SystemClock)).unwrap();
    desk.seats.with(SEAT, |seat| seat.as_mut().unwrap().set_clock_offset(0).unwrap());
    desk.set_duty(SEAT, KeyDuty::Full);
    desk
}

/// The key that signs the next order.
fn signs(desk: &CustodyDesk, sequence: u64) -> String {
    let identity = desk.identity.unwrap();
    let order = SignIntent::Place(PlaceOrder {
        id: ClientOrderId::new(identity.tag, identity.epoch, Sequence::new(sequence).unwrap()),
        symbol: Symbol::from("BTCUSDT").unwrap(),
        side: Side::Buy,
        price: Scaled { mantissa: 6_000_000, decimals: 2 },
        qty: Scaled { mantissa: 100, decimals: 6 },
        time_in_force: TimeInForce::Gtc,
        effect: domain::PositionEffect::default(),
    });
    let request = desk.seats.with(SEAT, |seat| seat.as_mut().unwrap().sign(&order).unwrap()).unwrap();
    let (_, key) = request.headers().find(|(name, _)| *name == "ACCESS-KEY").unwrap();
    key.to_owned()
}

/// Goes on from wherever the vault is, to the end.
fn go_on(desk: &mut CustodyDesk, turns_back: bool) {
    let state = |desk: &CustodyDesk, alias: &str| desk.custody.show(alias).unwrap().state;
    if state(desk, "old") == KeyState::Active && state(desk, "new") != KeyState::Quarantined {
        desk.load_candidate(SEAT, "new").unwrap();
        if state(desk, "new") != KeyState::Verifying {
            desk.set_state("new", KeyState::Verifying, "being verified").unwrap();
        }
        desk.set_state("new", KeyState::Standby, "verified").unwrap();
        desk.cut_over(SEAT, "new").unwrap();
    }
    match (turns_back, state(desk, "old")) {
        (true, KeyState::Rotating) => drop(desk.take_back(SEAT, "rejected").unwrap()),
        (false, KeyState::Rotating) => desk.set_state("old", KeyState::Revoked, "replaced").unwrap(),
        _ => {}
    }
}

#[test]
#[ignore = "the child of the test below"]
fn child() {
    let dir = std::env::var(DIRECTORY).unwrap();
    let mut desk = desk(Path::new(&dir));
    go_on(&mut desk, std::env::var(TURNS_BACK).is_ok());
}

fn dies_at(point: &str, dir: &Path, turns_back: bool) -> bool {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child", "--ignored"]).env("STEADFAST_FAIL_POINT", point).env(DIRECTORY, dir);
    if turns_back {
        child.env(TURNS_BACK, "1");
    }
    let output = child.output().unwrap();
    assert!(output.status.success() || output.status.signal().is_some(), "{point}: {output:?}");
    output.status.signal().is_some()
}

#[test]
fn killed_at_any_step_exactly_one_key_is_active_and_the_change_can_be_finished() {
    let ahead = ["before-cut-over", "after-cut-over-save", "after-cut-over"];
    let on = ["before-revoke", "after-revoke-save", "after-revoke"];
    let back = ["before-take-back", "after-take-back-save", "after-take-back"];
    let saves: Vec<String> = (1..=4).map(|nth| format!("after-vault-save@{nth}")).collect();
    let mut killed = 0;
    for (turns_back, end) in [(false, on), (true, back)] {
        let named = ahead.into_iter().chain(end).map(|name| format!("{name}@1"));
        for point in named.chain(saves.iter().cloned()) {
            let home = tempfile::tempdir().unwrap();
            new_vault(home.path());
            assert!(dies_at(&point, home.path(), turns_back), "{point} was not passed");
            killed += 1;

            let mut desk = desk(home.path());
            let active: Vec<String> = desk
                .custody
                .list()
                .filter(|record| record.state == KeyState::Active)
                .map(|record| format!("bg_{}", record.alias))
                .collect();
            let [active] = active.as_slice() else { panic!("{point}: {active:?} are Active") };
            assert_eq!(&signs(&desk, 1), active, "{point}: the Active key signs");
            go_on(&mut desk, turns_back);
            let expected = if turns_back { "bg_old" } else { "bg_new" };
            assert_eq!(signs(&desk, 2), expected, "{point}: and the change comes to its end");
            let states = ["old", "new"].map(|alias| desk.custody.show(alias).unwrap().state);
            let end = if turns_back {
                [KeyState::Active, KeyState::Quarantined]
            } else {
                [KeyState::Revoked, KeyState::Active]
            };
            assert_eq!(states, end, "{point}");
        }
    }
    assert_eq!(killed, 20);
    let home = tempfile::tempdir().unwrap();
    new_vault(home.path());
    assert!(!dies_at("after-vault-save@5", home.path(), false), "four saves are all there are");
}
