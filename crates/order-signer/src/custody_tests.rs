//! Custody over a real vault on disk, with a cheap key derivation.

use crate::custody::{Custody, CustodyError, NewKey, allowed_transition, duty_at_start};
use crate::record::KeySecrets;
use crate::record::tests::secrets as key_secrets;
use crate::{EpochStore, Identity};
use clock::ManualClock;
use domain::{Epoch, InstanceTag, UnixNanos};
use messages::{KeyAlias, KeyDuty, KeyInfo, KeyRight, KeyRole, KeyState, SignIntent};
use std::path::Path;
use std::sync::Arc;
use vault::{Passphrase, Vault, VaultError};

pub(crate) fn passphrase() -> Passphrase {
    Passphrase::from_text("an invented passphrase of many words").unwrap()
}

pub(crate) fn create(dir: &Path) -> Custody {
    #[cfg(unix)]
    std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let vault = Vault::create_cheap(Custody::vault_path(dir), &passphrase(), 1_700_000_000).unwrap();
    Custody::over(vault, dir).unwrap()
}

pub(crate) fn new_key(alias: &str) -> NewKey {
    NewKey {
        alias: KeyAlias::from(alias).unwrap(),
        venue: "bitget".to_owned(),
        environment: "sim".to_owned(),
        account: "bitget-main".to_owned(),
        role: KeyRole::Trade,
        wallets: vec!["spot".to_owned()],
        stream_login_confirmed: true,
    }
}

pub(crate) fn values(number: u32) -> KeySecrets {
    key_secrets(&format!("bg_invented_{number}"), "sk_invented_secret_canary", "Passw0rd1")
}

pub(crate) const NOW: UnixNanos = UnixNanos(1_700_000_000_000_000_000);

pub(crate) fn walk(custody: &mut Custody, alias: &str, states: &[KeyState]) {
    for state in states {
        custody.set_state(alias, *state, "test", NOW).unwrap();
    }
}

#[test]
fn linked_key_is_there_after_reopening_with_its_state_and_what_the_venue_said() {
    let home = tempfile::tempdir().unwrap();
    let mut custody = create(home.path());
    custody.add(new_key("main"), &values(1), NOW).unwrap();
    walk(&mut custody, "main", &[KeyState::Verifying]);
    let mut info = KeyInfo {
        account_mode: None,
        account: arrayvec::ArrayString::from("7264631750").unwrap(),
        parent: None,
        rights: arrayvec::ArrayVec::new(),
        bound_addresses: 2,
        expires: None,
    };
    info.rights.push(KeyRight::SpotTrade);
    custody.learn("main", &info, false, NOW).unwrap();
    custody.set_state("main", KeyState::Active, "verified", NOW).unwrap();
    drop(custody);

    let reopened = Custody::open(home.path(), &passphrase()).unwrap();
    let record = reopened.show("main").unwrap();
    assert_eq!(record.state, KeyState::Active);
    assert_eq!(record.reason, "verified");
    assert_eq!(record.rights, [KeyRight::SpotTrade]);
    assert_eq!(record.venue_account.as_deref(), Some("7264631750"));
    assert_eq!(record.verified, Some(NOW));
}

#[test]
fn every_step_of_a_keys_life_that_is_not_listed_is_refused() {
    use KeyState::{Active, Expired, Linked, Quarantined, Revoked, Rotating, Standby, Verifying};
    // The state, and what it may become.
    let life: [(KeyState, &[KeyState]); 8] = [
        (Linked, &[Verifying, Revoked]),
        (Verifying, &[Linked, Active, Standby, Quarantined, Revoked]),
        (Active, &[Verifying, Rotating, Quarantined, Expired, Revoked]),
        (Standby, &[Verifying, Active, Revoked]),
        (Rotating, &[Active, Revoked]),
        (Quarantined, &[Verifying, Revoked]),
        (Expired, &[Verifying, Revoked]),
        (Revoked, &[]),
    ];
    for (from, next) in life {
        for to in KeyState::ALL {
            assert_eq!(allowed_transition(from, to), next.contains(&to), "{from:?} to {to:?}");
        }
    }
    let home = tempfile::tempdir().unwrap();
    let mut custody = create(home.path());
    custody.add(new_key("main"), &values(1), NOW).unwrap();
    let refused = custody.set_state("main", Active, "skipping verification", NOW);
    assert!(matches!(refused, Err(CustodyError::Transition { from: Linked, to: Active, .. })));
    assert_eq!(custody.show("main").unwrap().state, Linked);
}

#[test]
fn linked_key_takes_other_values_and_no_later_state_does() {
    let home = tempfile::tempdir().unwrap();
    let mut custody = create(home.path());
    custody.add(new_key("main"), &key_secrets("bg_invented_1", "sk_mistyped_canary", "wrong"), NOW).unwrap();
    let kid = custody.show("main").unwrap().kid.clone();
    let other = custody.add(new_key("other"), &values(1), NOW);
    assert!(matches!(other, Err(CustodyError::KnownKey { state: KeyState::Linked, .. })), "only under its own name");
    let record = custody.add(new_key("main"), &values(1), NOW).unwrap();
    assert_eq!((record.kid.as_str(), record.state), (kid.as_str(), KeyState::Linked));
    assert_eq!(custody.list().count(), 1);
    drop(custody);
    let mut custody = Custody::open(home.path(), &passphrase()).unwrap();
    let kept = custody.secrets_of("main");
    assert_eq!(kept.secret.expose(), values(1).secret.expose());
    assert_eq!(kept.passphrase.expose(), values(1).passphrase.expose());
    for state in [KeyState::Verifying, KeyState::Active, KeyState::Quarantined, KeyState::Revoked] {
        walk(&mut custody, "main", &[state]);
        let again = custody.add(new_key("main"), &values(1), NOW);
        assert!(matches!(again, Err(CustodyError::KnownKey { state: known, .. }) if known == state), "{state:?}");
    }
}

#[test]
fn an_account_has_one_active_key_of_a_role() {
    let home = tempfile::tempdir().unwrap();
    let mut custody = create(home.path());
    custody.add(new_key("first"), &values(1), NOW).unwrap();
    custody.add(new_key("second"), &values(2), NOW).unwrap();
    custody.add(NewKey { role: KeyRole::Stream, ..new_key("stream") }, &values(3), NOW).unwrap();
    walk(&mut custody, "first", &[KeyState::Verifying, KeyState::Active]);
    walk(&mut custody, "stream", &[KeyState::Verifying, KeyState::Active]);
    walk(&mut custody, "second", &[KeyState::Verifying]);
    let refused = custody.set_state("second", KeyState::Active, "verified", NOW);
    assert!(matches!(refused, Err(CustodyError::OtherActive { active }) if active.as_str() == "first"));
    custody.set_state("second", KeyState::Standby, "verified", NOW).unwrap();
}

#[test]
fn same_api_key_is_not_linked_twice_even_after_it_was_revoked() {
    let home = tempfile::tempdir().unwrap();
    let mut custody = create(home.path());
    custody.add(new_key("main"), &values(1), NOW).unwrap();
    assert!(matches!(custody.add(new_key("other"), &values(1), NOW), Err(CustodyError::KnownKey { .. })));
    assert!(matches!(custody.add(new_key("main"), &values(2), NOW), Err(CustodyError::AliasTaken { .. })));
    custody.set_state("main", KeyState::Revoked, "lost", NOW).unwrap();
    let again = custody.add(new_key("main"), &values(1), NOW);
    assert!(matches!(again, Err(CustodyError::KnownKey { state: KeyState::Revoked, .. })));
    custody.add(new_key("main"), &values(2), NOW).unwrap();
    assert_eq!(custody.show("main").unwrap().state, KeyState::Linked, "the living key has the name");
    assert_eq!(custody.list().count(), 2, "the tombstone stays");
}

#[test]
fn revoked_key_signs_nothing_and_no_kept_generation_holds_it() {
    let home = tempfile::tempdir().unwrap();
    let mut custody = create(home.path());
    custody.add(new_key("main"), &values(1), NOW).unwrap();
    walk(&mut custody, "main", &[KeyState::Verifying, KeyState::Active]);
    let identity = Identity { tag: InstanceTag::from_number(1), epoch: Epoch::new(1).unwrap() };
    let load =
        |custody: &Custody| custody.load_signer("main", Arc::new(NoCodec), Arc::new(ManualClock::default()), identity);
    assert!(load(&custody).is_ok());
    let kept = || {
        std::fs::read_dir(home.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".g"))
            .count()
    };
    assert!(kept() > 0);
    custody.set_state("main", KeyState::Revoked, "replaced", NOW).unwrap();
    assert_eq!(kept(), 0);
    assert!(matches!(load(&custody), Err(CustodyError::NotLoaded { .. })));
    drop(custody);
    let reopened = Custody::open(home.path(), &passphrase()).unwrap();
    assert!(matches!(load(&reopened), Err(CustodyError::NotLoaded { .. })));
    assert!(matches!(
        Custody::open(home.path(), &passphrase()).unwrap().set_state("main", KeyState::Verifying, "", NOW),
        Err(CustodyError::Transition { .. })
    ));
}

#[test]
fn older_copy_of_the_vault_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let mut custody = create(home.path());
    custody.add(new_key("main"), &values(1), NOW).unwrap();
    let path = Custody::vault_path(home.path());
    let old = std::fs::read(&path).unwrap();
    walk(&mut custody, "main", &[KeyState::Verifying]);
    drop(custody);
    std::fs::write(&path, old).unwrap();
    let refused = Custody::open(home.path(), &passphrase());
    assert!(matches!(refused, Err(CustodyError::Vault(VaultError::RolledBack { .. }))));
}

#[test]
fn wrong_passphrase_opens_nothing_and_no_secret_is_on_disk_in_clear() {
    let home = tempfile::tempdir().unwrap();
    let mut custody = create(home.path());
    custody.add(new_key("main"), &values(1), NOW).unwrap();
    EpochStore::open(home.path()).unwrap();
    drop(custody);
    let other = Passphrase::from_text("another invented passphrase of words").unwrap();
    assert!(matches!(Custody::open(home.path(), &other), Err(CustodyError::Vault(VaultError::CannotUnlock))));
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode("sk_invented_secret_canary");
    for entry in std::fs::read_dir(home.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for needle in [b"sk_invented_secret_canary".as_slice(), encoded.as_bytes(), b"bg_invented_1", b"Passw0rd1"] {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle));
        }
    }
}

#[test]
fn loaded_key_signs_only_cancels_and_questions_until_it_was_verified_in_this_run() {
    assert_eq!(duty_at_start(KeyState::Active), KeyDuty::CancelOnly);
    for state in KeyState::ALL {
        assert_ne!(duty_at_start(state), KeyDuty::Full);
    }
    let home = tempfile::tempdir().unwrap();
    let mut custody = create(home.path());
    custody.add(new_key("main"), &values(1), NOW).unwrap();
    let identity = Identity { tag: InstanceTag::from_number(1), epoch: Epoch::new(1).unwrap() };
    let signer = custody.load_signer("main", Arc::new(NoCodec), Arc::new(ManualClock::default()), identity).unwrap();
    assert_eq!(signer.handle().duty(), KeyDuty::VerifyOnly);
    assert!(matches!(
        custody.load_signer("nobody", Arc::new(NoCodec), Arc::new(ManualClock::default()), identity),
        Err(CustodyError::NoSuchKey { .. })
    ));
}

struct NoCodec;

impl venue_api::SigningCodec for NoCodec {
    fn encoding(&self) -> venue_api::SignatureEncoding {
        venue_api::SignatureEncoding::Base64
    }
    fn draft(&self, _: &SignIntent, _: UnixNanos, _: &mut venue_api::Draft) -> Result<(), messages::SignRefusal> {
        Err(messages::SignRefusal::Unsupported)
    }
    fn finish(
        &self,
        _: &mut venue_api::Draft,
        _: &str,
        _: venue_api::Credentials<'_>,
        _: &mut dyn venue_api::HeaderSink,
    ) -> Result<(), messages::SignRefusal> {
        Err(messages::SignRefusal::Unsupported)
    }
}

#[test]
fn one_time_codes_are_kept_beside_the_keys_and_gone_from_every_generation_when_removed() {
    let home = tempfile::tempdir().unwrap();
    let mut custody = create(home.path());
    custody.add(new_key("main"), &values(1), NOW).unwrap();
    assert!(custody.step_up().is_none());
    let record = |step: u32| {
        let text = format!("{{\"format\":1,\"kind\":\"totp\",\"last_step\":{step}}}");
        secrets::SecretBytes::from_slice(text.as_bytes()).unwrap()
    };
    custody.set_step_up(Some(record(1))).unwrap();
    custody.set_step_up(Some(record(2))).unwrap();
    drop(custody);
    let mut custody = Custody::open(home.path(), &passphrase()).unwrap();
    assert_eq!(custody.step_up().unwrap().expose(), record(2).expose());
    assert_eq!(custody.list().count(), 1, "codes are no key");
    custody.set_step_up(None).unwrap();
    assert!(custody.step_up().is_none());
    let vaults = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(vaults.filter(|name| name.to_string_lossy().contains(".vault")).count(), 1);
    drop(custody);
    let custody = Custody::open(home.path(), &passphrase()).unwrap();
    assert!(custody.step_up().is_none() && custody.show("main").is_ok());
}
