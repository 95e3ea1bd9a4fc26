//! API keys: made, shown once, checked, revoked, kept in one private file.

use crate::file::{self, FileError};
use crate::scope::{Scope, Scopes};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Version of the file's layout.
const FORMAT: u32 = 1;
/// Keys at most; a person manages them by hand.
const KEYS_MAX: usize = 64;
/// Source ranges of one key at most.
const RANGES_MAX: usize = 16;
/// Characters of a name at most.
const NAME_CHARS_MAX: usize = 32;
/// Hexadecimal digits of an id: 64 bits, unguessable enough to be unique and short enough to read.
const ID_CHARS: usize = 16;
/// Hexadecimal digits of a secret: 256 bits.
const SECRET_CHARS: usize = 64;
/// Seconds of a day.
const DAY: u64 = 86_400;
/// Longest life of a key, in days.
const DAYS_MAX: u32 = 365;
/// Between two saves for the sake of the time of last use, in seconds.
const USE_SAVED_EVERY: u64 = 60;

/// A key as it is kept and shown: without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The part before the dot; no secret.
    pub id: String,
    /// What a person calls it.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// The addresses that may use it; none: any.
    pub from: Vec<IpNet>,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// When it ends, in seconds since 1970.
    pub expires: u64,
    /// When it was last used, in seconds since 1970; `None`: never.
    pub last_used: Option<u64>,
}

/// What is said of a key when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// What a person calls it: lower-case letters, digits, `-`, `_`, `.`; at most 32.
    pub name: String,
    /// What it allows; at least one scope.
    pub scopes: Scopes,
    /// The addresses that may use it; none: any.
    pub from: Vec<IpNet>,
    /// How long it lives, in days: 1 to 365.
    pub days: u32,
}

impl NewApiKey {
    /// Days that a key lives when nothing else is said.
    pub const DAYS_DEFAULT: u32 = 90;
}

/// What a caller with the right key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The key's id.
    pub id: String,
    /// The key's name.
    pub name: String,
    /// Its scopes.
    pub scopes: Scopes,
}

impl Grant {
    /// Whether this scope is granted.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(scope)
    }
}

/// Why a presented key is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRefusal {
    /// No such key, or not its secret: which of the two is not told.
    Wrong,
    /// The right key from an address that is not on its list.
    Source,
    /// The right key after its end.
    Expired,
}

/// Why a key was not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system gives no randomness.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// The name cannot be used.
    #[error("`{name}` is no name for a key: 1 to 32 of a-z, 0-9, `-`, `_` and `.`")]
    BadName {
        /// The name, cut short and without control characters.
        name: String,
    },
    /// There is a key of this name.
    #[error("there is an API key `{name}` already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// It would allow nothing.
    #[error("an API key needs a role or at least one scope")]
    NoScope,
    /// It would end at once or live too long.
    #[error("an API key lives 1 to {DAYS_MAX} days")]
    BadLife,
    /// Too many of something.
    #[error("at most {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// No key has this id or name.
    #[error("there is no API key `{name}`")]
    NoSuchKey {
        /// What was asked for, cut short and without control characters.
        name: String,
    },
}

#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    key: ApiKey,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
struct Layout {
    format: u32,
    revision: u64,
    keys: Vec<Stored>,
}

/// All API keys of a data directory.
pub struct ApiKeys {
    path: PathBuf,
    revision: u64,
    keys: Vec<Stored>,
    used_saved: u64,
    used_since: bool,
}

impl ApiKeys {
    /// Name of the file in the data directory.
    pub const FILE: &'static str = "access.json";

    /// The keys in the file at `path`; none when there is no file.
    ///
    /// # Errors
    /// [`FileError`]: open to others, not ours, not readable. The control interface must not start then.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let malformed = |why| FileError::Malformed { path: path.to_owned(), why };
        let (revision, keys) = match file::read(path)? {
            None => (0, Vec::new()),
            Some(bytes) => {
                let layout: Layout =
                    serde_json::from_slice(&bytes).map_err(|_| malformed("it is damaged; restore it from a backup"))?;
                if layout.format != FORMAT {
                    return Err(malformed("it was written by another version"));
                }
                let sound = |stored: &Stored| hash_of(&stored.sha256).is_some() && stored.key.id.len() == ID_CHARS;
                if !layout.keys.iter().all(sound) {
                    return Err(malformed("a key in it is damaged; restore it from a backup"));
                }
                (layout.revision, layout.keys)
            }
        };
        Ok(Self { path: path.to_owned(), revision, keys, used_saved: 0, used_since: false })
    }

    /// Every key, oldest first.
    pub fn list(&self) -> impl Iterator<Item = &ApiKey> {
        self.keys.iter().map(|stored| &stored.key)
    }

    /// Grows with every key made or revoked.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Makes a key and gives its text, `id.secret`, which cannot be had again. Saved when this returns.
    ///
    /// # Errors
    /// [`AccessError`]; nothing has changed then.
    pub fn add(&mut self, new: NewApiKey, now: u64) -> Result<(ApiKey, Zeroizing<String>), AccessError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        if new.name.is_empty() || new.name.len() > NAME_CHARS_MAX || !new.name.chars().all(fits) {
            return Err(AccessError::BadName { name: shown(&new.name) });
        }
        if self.list().any(|key| key.name == new.name) {
            return Err(AccessError::NameTaken { name: new.name });
        }
        if new.scopes.is_empty() {
            return Err(AccessError::NoScope);
        }
        if !(1..=DAYS_MAX).contains(&new.days) {
            return Err(AccessError::BadLife);
        }
        if self.keys.len() >= KEYS_MAX {
            return Err(AccessError::TooMany { what: "API keys", max: KEYS_MAX });
        }
        if new.from.len() > RANGES_MAX {
            return Err(AccessError::TooMany { what: "source ranges of a key", max: RANGES_MAX });
        }
        let id = hex::encode(*random::<8>()?);
        let secret = Zeroizing::new(hex::encode(*random::<32>()?));
        let key = ApiKey {
            id,
            name: new.name,
            scopes: new.scopes,
            from: new.from,
            created: now,
            expires: now.saturating_add(u64::from(new.days).saturating_mul(DAY)),
            last_used: None,
        };
        let text = Zeroizing::new(format!("{}.{}", key.id, *secret));
        let stored = Stored { key: key.clone(), sha256: hex::encode(Sha256::digest(secret.as_bytes())) };
        self.change(|keys| keys.push(stored))?;
        Ok((key, text))
    }

    /// Ends a key, named by its id or its name. Saved when this returns.
    ///
    /// # Errors
    /// [`AccessError`]; the key is as it was then.
    pub fn revoke(&mut self, name: &str) -> Result<ApiKey, AccessError> {
        let none = || AccessError::NoSuchKey { name: shown(name) };
        let named = |stored: &&Stored| stored.key.id == name || stored.key.name == name;
        let key = self.keys.iter().find(named).ok_or_else(none)?.key.clone();
        self.change(|keys| keys.retain(|stored| stored.key.id != key.id))?;
        Ok(key)
    }

    /// What a caller may do who presents `id.secret` from this address; `None`: from this machine, over the socket.
    ///
    /// # Errors
    /// [`KeyRefusal`]. Unknown id and wrong secret take the same way.
    pub fn check(&mut self, presented: &[u8], source: Option<IpAddr>, now: u64) -> Result<Grant, KeyRefusal> {
        let (id, secret) = match presented.get(ID_CHARS) {
            Some(b'.') if presented.len() == ID_CHARS + 1 + SECRET_CHARS => {
                (presented.get(..ID_CHARS).unwrap_or_default(), presented.get(ID_CHARS + 1..).unwrap_or_default())
            }
            _ => (&b""[..], presented),
        };
        let given: [u8; 32] = Sha256::digest(secret).into();
        // No secret has this hash as far as anybody knows; an unknown id is compared with it like any other.
        let mut wanted = [0_u8; 32];
        let mut place = None;
        for (index, stored) in self.keys.iter().enumerate() {
            if stored.key.id.as_bytes() == id {
                place = Some(index);
                wanted = hash_of(&stored.sha256).unwrap_or(wanted);
            }
        }
        let same = bool::from(given.ct_eq(&wanted));
        let stored = place.and_then(|index| self.keys.get_mut(index)).filter(|_| same).ok_or(KeyRefusal::Wrong)?;
        let key = &mut stored.key;
        let source = source.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)).to_canonical();
        if !key.from.is_empty() && !key.from.iter().any(|range| range.contains(&source)) {
            return Err(KeyRefusal::Source);
        }
        if now >= key.expires {
            return Err(KeyRefusal::Expired);
        }
        key.last_used = Some(now);
        self.used_since = true;
        Ok(Grant { id: key.id.clone(), name: key.name.clone(), scopes: key.scopes.clone() })
    }

    /// Stores the times of last use, at most once a minute; call it now and then.
    ///
    /// # Errors
    /// [`FileError`]; the times are stored the next time.
    pub fn save_use(&mut self, now: u64) -> Result<(), FileError> {
        if !self.used_since || now.saturating_sub(self.used_saved) < USE_SAVED_EVERY {
            return Ok(());
        }
        self.used_saved = now;
        self.used_since = false;
        write(&self.path, self.revision, &self.keys)
    }

    fn change(&mut self, edit: impl FnOnce(&mut Vec<Stored>)) -> Result<(), AccessError> {
        let mut keys = self.keys.clone();
        edit(&mut keys);
        let revision = self.revision.saturating_add(1);
        write(&self.path, revision, &keys)?;
        (self.keys, self.revision) = (keys, revision);
        Ok(())
    }
}

fn write(path: &Path, revision: u64, keys: &[Stored]) -> Result<(), FileError> {
    let layout = Layout { format: FORMAT, revision, keys: keys.to_vec() };
    let malformed = |_| FileError::Malformed { path: path.to_owned(), why: "it cannot be written as JSON" };
    file::replace(path, &serde_json::to_vec_pretty(&layout).map_err(malformed)?)
}

fn hash_of(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
}

fn random<const BYTES: usize>() -> Result<Zeroizing<[u8; BYTES]>, AccessError> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    getrandom::fill(&mut *bytes).map_err(|_| AccessError::NoRandomness)?;
    Ok(bytes)
}

fn shown(text: &str) -> String {
    text.chars().take(NAME_CHARS_MAX).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    const NOW: u64 = 1_800_000_000;

    fn new(name: &str) -> NewApiKey {
        NewApiKey { name: name.to_owned(), scopes: Role::Operator.scopes(), from: Vec::new(), days: 90 }
    }

    fn store() -> (tempfile::TempDir, ApiKeys) {
        let directory = tempfile::tempdir().unwrap();
        let keys = ApiKeys::open(&directory.path().join(ApiKeys::FILE)).unwrap();
        (directory, keys)
    }

    #[test]
    fn key_is_accepted_after_reopening_and_its_secret_is_not_in_the_file() {
        let (directory, mut keys) = store();
        let (key, text) = keys.add(new("phone"), NOW).unwrap();
        let path = directory.path().join(ApiKeys::FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no draft stays behind");
        let (id, secret) = text.split_once('.').unwrap();
        assert_eq!((id, secret.len()), (key.id.as_str(), 64));
        assert!(!std::fs::read_to_string(&path).unwrap().contains(secret));

        let mut again = ApiKeys::open(&path).unwrap();
        assert_eq!(again.list().cloned().collect::<Vec<_>>(), [key]);
        let grant = again.check(text.as_bytes(), None, NOW + 1).unwrap();
        assert_eq!((grant.name.as_str(), grant.allows(Scope::TradePause)), ("phone", true));
        assert!(!grant.allows(Scope::TradeResume));
    }

    #[test]
    fn every_wrong_key_is_refused_alike() {
        let (_directory, mut keys) = store();
        let (_, text) = keys.add(new("phone"), NOW).unwrap();
        let (_, other) = keys.add(new("laptop"), NOW).unwrap();
        let (id, secret) = text.split_once('.').unwrap();
        let (other_id, _) = other.split_once('.').unwrap();
        let zero = "0".repeat(64);
        for wrong in [
            String::new(),
            ".".to_owned(),
            id.to_owned(),
            secret.to_owned(),
            format!("{id}."),
            format!("{id}.{zero}"),
            format!("{other_id}.{secret}"),
            format!("0000000000000000.{secret}"),
            format!("{}0", &*text),
            text[..text.len() - 1].to_owned(),
            text.to_uppercase(),
            format!("{id}:{secret}"),
        ] {
            assert_eq!(keys.check(wrong.as_bytes(), None, NOW), Err(KeyRefusal::Wrong), "{}", wrong.len());
        }
        assert!(keys.check(text.as_bytes(), None, NOW).is_ok());
    }

    #[test]
    fn key_ends_at_its_time() {
        let (_directory, mut keys) = store();
        let (key, text) = keys.add(new("phone"), NOW).unwrap();
        assert_eq!(key.expires, NOW + 90 * 86_400);
        assert!(keys.check(text.as_bytes(), None, key.expires - 1).is_ok());
        assert_eq!(keys.check(text.as_bytes(), None, key.expires), Err(KeyRefusal::Expired));
    }

    #[test]
    fn key_works_from_its_addresses_only() {
        let (_directory, mut keys) = store();
        let from = vec!["10.1.0.0/16".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let (_, text) = keys.add(NewApiKey { from, ..new("office") }, NOW).unwrap();
        for (address, fine) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("2001:db8::5", true),
            ("10.2.0.1", false),
            ("127.0.0.1", false),
            ("::1", false),
        ] {
            let result = keys.check(text.as_bytes(), Some(address.parse().unwrap()), NOW);
            assert_eq!(result.is_ok(), fine, "{address}");
            assert!(fine || result == Err(KeyRefusal::Source));
        }
        assert_eq!(keys.check(text.as_bytes(), None, NOW), Err(KeyRefusal::Source), "the socket is this machine");
    }

    #[test]
    fn revoked_key_is_gone_also_after_reopening() {
        let (directory, mut keys) = store();
        let (_, text) = keys.add(new("phone"), NOW).unwrap();
        let before = keys.revision();
        keys.revoke("phone").unwrap();
        assert!(keys.revision() > before);
        assert_eq!(keys.check(text.as_bytes(), None, NOW), Err(KeyRefusal::Wrong));
        assert!(matches!(keys.revoke("phone"), Err(AccessError::NoSuchKey { .. })));
        let mut again = ApiKeys::open(&directory.path().join(ApiKeys::FILE)).unwrap();
        assert_eq!(again.check(text.as_bytes(), None, NOW), Err(KeyRefusal::Wrong));
    }

    #[test]
    fn what_cannot_be_a_key_is_not_made() {
        let (_directory, mut keys) = store();
        keys.add(new("phone"), NOW).unwrap();
        assert!(matches!(keys.add(new("phone"), NOW), Err(AccessError::NameTaken { .. })));
        for name in ["", "Phone", "two words", "a\nb", &"a".repeat(33)] {
            assert!(matches!(keys.add(new(name), NOW), Err(AccessError::BadName { .. })), "{name}");
        }
        let none = NewApiKey { scopes: Scopes::default(), ..new("a") };
        assert!(matches!(keys.add(none, NOW), Err(AccessError::NoScope)));
        for days in [0, 366] {
            assert!(matches!(keys.add(NewApiKey { days, ..new("a") }, NOW), Err(AccessError::BadLife)));
        }
        for number in 1..KEYS_MAX {
            keys.add(new(&format!("key-{number}")), NOW).unwrap();
        }
        assert!(matches!(keys.add(new("one-more"), NOW), Err(AccessError::TooMany { .. })));
    }

    #[test]
    fn key_that_could_not_be_saved_does_not_exist() {
        let (directory, mut keys) = store();
        let (_, kept) = keys.add(new("phone"), NOW).unwrap();
        // A directory in the draft's place cannot be removed as a file.
        std::fs::create_dir(directory.path().join("access.draft")).unwrap();
        assert!(matches!(keys.add(new("laptop"), NOW), Err(AccessError::File(_))));
        assert!(matches!(keys.revoke("phone"), Err(AccessError::File(_))));
        assert_eq!(keys.list().count(), 1);
        assert!(keys.check(kept.as_bytes(), None, NOW).is_ok());
    }

    #[test]
    fn file_that_others_may_read_or_that_is_damaged_is_refused() {
        let (directory, mut keys) = store();
        keys.add(new("phone"), NOW).unwrap();
        let path = directory.path().join(ApiKeys::FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(ApiKeys::open(&path), Err(FileError::OpenToOthers { mode: 0o640, .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        for bad in
            ["", "{}", &good.replace("\"format\": 1", "\"format\": 2"), &good.replace("sha256\": \"", "sha256\": \"zz")]
        {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(ApiKeys::open(&path), Err(FileError::Malformed { .. })), "{bad}");
        }
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(matches!(ApiKeys::open(&path), Err(FileError::Io { .. })));
    }

    #[test]
    fn last_use_is_stored_at_most_once_a_minute() {
        let (directory, mut keys) = store();
        let (_, text) = keys.add(new("phone"), NOW).unwrap();
        let stored = || {
            let keys = ApiKeys::open(&directory.path().join(ApiKeys::FILE)).unwrap();
            keys.list().next().unwrap().last_used
        };
        keys.check(text.as_bytes(), None, NOW + 5).unwrap();
        keys.save_use(NOW + 5).unwrap();
        assert_eq!(stored(), Some(NOW + 5));
        keys.check(text.as_bytes(), None, NOW + 6).unwrap();
        keys.save_use(NOW + 6).unwrap();
        assert_eq!(stored(), Some(NOW + 5));
        keys.save_use(NOW + 66).unwrap();
        assert_eq!(stored(), Some(NOW + 6));
    }
}
