//! One key as it is kept: what may be shown of it, and beside that its three secrets.
//!
//! A vault record is versioned JSON. The secrets are base64 inside it, so that neither writing nor
//! reading ever needs a second copy of their text in ordinary memory.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::UnixNanos;
use messages::{AccountMode, KeyAlias, KeyInfo, KeyRight, KeyRole, KeyState};
use secrets::SecretBytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// What may be shown of a key. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Our id of the key: 16 random bytes in hexadecimal.
    pub kid: String,
    /// The name the user gave it; unique among keys that are not revoked.
    pub alias: KeyAlias,
    /// Kind of venue, such as `bitget`.
    pub venue: String,
    /// `production`, `demo` or `sim`.
    pub environment: String,
    /// The account as the settings name it.
    pub account: String,
    /// What the key is for.
    pub role: KeyRole,
    /// The first 8 bytes of SHA-256 of the API key, in hexadecimal.
    pub fingerprint: String,
    /// Where it is in its life.
    pub state: KeyState,
    /// Since when.
    pub state_since: UnixNanos,
    /// Why it is in that state, for people.
    pub reason: String,
    /// When it was linked.
    pub created: UnixNanos,
    /// When it was last verified with success.
    pub verified: Option<UnixNanos>,
    /// The venue's id of its account, as last read.
    pub venue_account: Option<String>,
    /// Its rights, as last read.
    pub rights: Vec<KeyRight>,
    /// How many addresses it is bound to, as last read; zero: any address.
    pub bound_addresses: u16,
    /// When it ends at the venue, where the venue says so.
    pub expires: Option<UnixNanos>,
    /// How the venue keeps its account, as last read; see [`KeyRecord::account_mode`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_mode: Option<AccountMode>,
    /// The wallets to follow, such as `spot`.
    pub wallets: Vec<String>,
    /// Whether the user confirmed that orders cannot be entered over the key's log-in
    /// (a log-in is a bearer right where they can).
    pub stream_login_confirmed: bool,
    /// What may be signed with it, as text that only the signer's policy reads; empty: the default.
    pub policy: String,
    /// Which activation of the account's keys brought it to work, counted from 1; zero: none yet. Of the keys of an
    /// account and role, the one activated last signs.
    #[serde(default)]
    pub activation: u64,
    /// Every new order up to this sequence of its run was signed with the key before it.
    #[serde(default)]
    pub from_sequence: u64,
    /// The id of the key that it replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<String>,
    /// A confirmed loosening of that policy that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_policy: Option<WaitingPolicy>,
    /// Its way through its life, oldest first, at most [`KeyRecord::HISTORY_MAX`] steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<KeyStep>,
}

/// A policy that takes effect later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitingPolicy {
    /// The policy's text.
    pub policy: String,
    /// When it takes effect.
    pub due: UnixNanos,
}

/// One step of a key's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyStep {
    /// When.
    pub at: UnixNanos,
    /// The state that it came to; none: its policy changed.
    pub state: Option<KeyState>,
    /// Why, for people.
    pub reason: String,
}

impl KeyRecord {
    /// Steps that a record keeps; the oldest go first.
    pub const HISTORY_MAX: usize = 24;
    /// Characters of a reason that are kept.
    const REASON_MAX: usize = 120;

    /// How requests of its account are written until the venue says otherwise. A new key is tried in unified mode
    /// first; keys of programs that knew classic accounts only were verified in that.
    #[must_use]
    pub fn account_mode(&self) -> AccountMode {
        let before = if self.verified.is_some() { AccountMode::Classic } else { AccountMode::Unified };
        self.account_mode.unwrap_or(before)
    }

    /// Notes a step of its life.
    pub(crate) fn note(&mut self, at: UnixNanos, state: Option<KeyState>, reason: &str) {
        let reason = reason.chars().take(Self::REASON_MAX).collect();
        self.history.push(KeyStep { at, state, reason });
        let over = self.history.len().saturating_sub(Self::HISTORY_MAX);
        self.history.drain(..over);
    }

    /// Notes what the venue said of the key.
    pub fn learn(&mut self, info: &KeyInfo) {
        self.venue_account = Some(info.account.to_string());
        self.rights = info.rights.to_vec();
        self.bound_addresses = info.bound_addresses;
        self.expires = info.expires;
        self.account_mode = info.account_mode.or(self.account_mode);
    }
}

/// The three values that a venue gives for one API key.
pub struct KeySecrets {
    /// API key id; not secret by itself, and never shown whole.
    pub key: SecretBytes,
    /// The secret that signs.
    pub secret: SecretBytes,
    /// The passphrase; empty for venues without one.
    pub passphrase: SecretBytes,
}

impl KeySecrets {
    /// Longest of each value, in bytes; a paste of something else is longer.
    pub const LEN_MAX: usize = 256;

    /// The first 8 bytes of SHA-256 of the API key, in hexadecimal: tells keys apart without showing them.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.key.expose());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// What is wrong with the values before a venue is asked; `None`: nothing.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let printable = |value: &SecretBytes| value.expose().iter().all(|byte| (b'!'..=b'~').contains(byte));
        if self.key.is_empty() || self.secret.is_empty() {
            return Some("API key and secret must not be empty");
        }
        if [&self.key, &self.secret, &self.passphrase].iter().any(|value| value.len() > Self::LEN_MAX) {
            return Some("one of the values is longer than any API key");
        }
        if ![&self.key, &self.secret, &self.passphrase].iter().all(|value| printable(value)) {
            return Some("one of the values holds a blank or a character outside ASCII; copy it again");
        }
        None
    }
}

/// Why a vault record is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not the JSON that this program writes.
    #[error("a record of the vault cannot be read")]
    Unreadable,
    /// Written by a newer program.
    #[error("a record of the vault has format {found}, the newest known is {newest}; use a newer program")]
    Newer {
        /// Format of the record.
        found: u32,
        /// Newest format that this program reads.
        newest: u32,
    },
    /// No memory for its secrets.
    #[error(transparent)]
    Secret(#[from] secrets::SecretError),
}

/// The format that is written.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    info: &'a KeyRecord,
    key: &'a str,
    secret: &'a str,
    passphrase: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    #[expect(dead_code, reason = "read before, to tell a newer record from a broken one")]
    format: u32,
    info: KeyRecord,
    #[serde(borrow)]
    key: &'a str,
    #[serde(borrow)]
    secret: &'a str,
    #[serde(borrow)]
    passphrase: &'a str,
}

#[derive(Deserialize)]
struct Versioned<'a> {
    format: u32,
    /// What the record is; absent: a key.
    #[serde(borrow, default)]
    kind: Option<&'a str>,
}

/// Whether a record holds one-time codes and not a key. What else it is, [`read_info`] says.
pub(crate) fn is_step_up(bytes: &SecretBytes) -> bool {
    serde_json::from_slice::<Versioned<'_>>(bytes.expose()).is_ok_and(|record| record.kind == Some("totp"))
}

/// The bytes of a record; `secrets` is `None` for a key that was revoked.
///
/// # Errors
/// [`RecordError`] when there is no memory for it.
pub(crate) fn write_record(info: &KeyRecord, secrets: Option<&KeySecrets>) -> Result<SecretBytes, RecordError> {
    let encoded =
        |value: Option<&SecretBytes>| Zeroizing::new(value.map_or_else(String::new, |v| BASE64.encode(v.expose())));
    let key = encoded(secrets.map(|s| &s.key));
    let secret = encoded(secrets.map(|s| &s.secret));
    let passphrase = encoded(secrets.map(|s| &s.passphrase));
    let written = Written { format: FORMAT, info, key: &key, secret: &secret, passphrase: &passphrase };
    // First measured, then written into memory that never grows: a grown buffer leaves copies behind.
    let mut measure = Measure(0);
    serde_json::to_writer(&mut measure, &written).map_err(|_| RecordError::Unreadable)?;
    let mut bytes = SecretBytes::zeroed(measure.0)?;
    serde_json::to_writer(bytes.expose_mut(), &written).map_err(|_| RecordError::Unreadable)?;
    Ok(bytes)
}

/// Reads what may be shown of a record.
///
/// # Errors
/// [`RecordError`] when it is not one of ours.
pub(crate) fn read_info(bytes: &SecretBytes) -> Result<KeyRecord, RecordError> {
    Ok(read(bytes)?.info)
}

/// Reads the secrets of a record; `None` for a revoked key.
///
/// # Errors
/// [`RecordError`] when it is not one of ours.
pub(crate) fn read_secrets(bytes: &SecretBytes) -> Result<Option<KeySecrets>, RecordError> {
    let record = read(bytes)?;
    if record.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(KeySecrets {
        key: decode(record.key)?,
        secret: decode(record.secret)?,
        passphrase: decode(record.passphrase)?,
    }))
}

fn read(bytes: &SecretBytes) -> Result<Read<'_>, RecordError> {
    let version: Versioned<'_> = serde_json::from_slice(bytes.expose()).map_err(|_| RecordError::Unreadable)?;
    if version.format > FORMAT {
        return Err(RecordError::Newer { found: version.format, newest: FORMAT });
    }
    serde_json::from_slice(bytes.expose()).map_err(|_| RecordError::Unreadable)
}

fn decode(text: &str) -> Result<SecretBytes, RecordError> {
    let mut padded = SecretBytes::zeroed(base64::decoded_len_estimate(text.len()))?;
    let len = BASE64.decode_slice(text, padded.expose_mut()).map_err(|_| RecordError::Unreadable)?;
    Ok(SecretBytes::from_slice(padded.expose().get(..len).ok_or(RecordError::Unreadable)?)?)
}

/// Counts what would be written.
struct Measure(usize);

impl std::io::Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn secrets(key: &str, secret: &str, passphrase: &str) -> KeySecrets {
        let bytes = |text: &str| SecretBytes::from_slice(text.as_bytes()).unwrap();
        KeySecrets { key: bytes(key), secret: bytes(secret), passphrase: bytes(passphrase) }
    }

    fn record() -> KeyRecord {
        KeyRecord {
            kid: "00112233445566778899aabbccddeeff".to_owned(),
            alias: KeyAlias::from("main").unwrap(),
            venue: "bitget".to_owned(),
            environment: "demo".to_owned(),
            account: "bitget-main".to_owned(),
            role: KeyRole::Trade,
            fingerprint: "0011223344556677".to_owned(),
            state: KeyState::Linked,
            state_since: UnixNanos(5),
            reason: "a reason with \"quotes\" and \\ in it".to_owned(),
            created: UnixNanos(5),
            verified: None,
            venue_account: Some("7264631750".to_owned()),
            rights: vec![KeyRight::SpotRead, KeyRight::SpotTrade],
            bound_addresses: 1,
            expires: None,
            account_mode: Some(AccountMode::Unified),
            wallets: vec!["spot".to_owned()],
            stream_login_confirmed: true,
            policy: String::new(),
            activation: 0,
            from_sequence: 0,
            predecessor: None,
            waiting_policy: None,
            history: Vec::new(),
        }
    }

    #[test]
    fn record_gives_back_info_and_secrets_whatever_characters_they_have() {
        for passphrase in ["", "Passw0rd1", "q\"u\\o\u{7f}te", "ünïcode"] {
            let given = secrets("bg_invented", "sk_\"invented\"\\secret", passphrase);
            let bytes = write_record(&record(), Some(&given)).unwrap();
            assert_eq!(read_info(&bytes).unwrap(), record());
            let back = read_secrets(&bytes).unwrap().unwrap();
            assert_eq!(back.key.expose(), given.key.expose());
            assert_eq!(back.secret.expose(), given.secret.expose());
            assert_eq!(back.passphrase.expose(), given.passphrase.expose());
        }
    }

    #[test]
    fn tombstone_has_info_and_no_secrets() {
        let bytes = write_record(&record(), None).unwrap();
        assert_eq!(read_info(&bytes).unwrap(), record());
        assert!(read_secrets(&bytes).unwrap().is_none());
    }

    #[test]
    fn record_of_a_newer_program_is_named_as_such_and_garbage_is_unreadable() {
        let newer = SecretBytes::from_slice(br#"{"format":2,"more":true}"#).unwrap();
        assert_eq!(read_info(&newer), Err(RecordError::Newer { found: 2, newest: 1 }));
        let garbage = SecretBytes::from_slice(b"\xff{}").unwrap();
        assert_eq!(read_info(&garbage), Err(RecordError::Unreadable));
        let extra = write_record(&record(), None).unwrap();
        let text = extra.expose_text().unwrap().replacen('{', "{\"planted\":1,", 1);
        assert_eq!(read_info(&SecretBytes::from_slice(text.as_bytes()).unwrap()), Err(RecordError::Unreadable));
    }

    #[test]
    fn fingerprint_is_the_start_of_the_digest_of_the_key() {
        // SHA-256("abc") is a published vector: ba7816bf 8f01cfea ...
        assert_eq!(secrets("abc", "s", "").fingerprint(), "ba7816bf8f01cfea");
    }

    #[test]
    fn values_with_blanks_or_line_ends_are_found_before_a_venue_is_asked() {
        assert_eq!(secrets("key", "secret", "pass").fault(), None);
        assert_eq!(secrets("key", "secret", "").fault(), None, "some venues have no passphrase");
        for (key, secret, passphrase) in
            [("", "s", "p"), ("k", "", "p"), ("k ", "s", "p"), ("k", "s\n", "p"), ("k", "s", "pé")]
        {
            assert!(secrets(key, secret, passphrase).fault().is_some());
        }
        assert!(secrets(&"k".repeat(257), "s", "").fault().is_some());
    }
}
