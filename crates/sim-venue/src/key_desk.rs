//! Making and changing API keys: the rules that the web pages and the sub-account endpoints share.

use crate::auth::{Key, KeyState};
use crate::reject::Reject;
use crate::venue::Venue;
use crate::{ApiKeyMaterial, Environment, KeyConfig, Permission};
use std::net::IpAddr;

/// Keys of one account that are not deleted (venue document).
pub(crate) const KEYS_PER_ACCOUNT: usize = 10;
/// Addresses of one key (venue document).
pub(crate) const IPS_MAX: usize = 30;
/// Characters of a note (venue document).
const NOTE_MAX: usize = 20;
/// Keys that the venue remembers in all, deleted ones included.
const KEYS_MAX: usize = 10_000;

/// A key as it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct KeyDraft {
    pub(crate) account: usize,
    pub(crate) note: String,
    pub(crate) passphrase: String,
    pub(crate) permissions: Vec<Permission>,
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) environment: Environment,
    /// In milliseconds of the venue's clock; `None`: never.
    pub(crate) expires_ms: Option<u64>,
}

/// What is changed of a key; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyChange {
    pub(crate) note: Option<String>,
    pub(crate) permissions: Option<Vec<Permission>>,
    pub(crate) ips: Option<Vec<IpAddr>>,
}

fn judge_note(note: &str) -> Result<(), Reject> {
    let length = note.chars().count();
    if (1..=NOTE_MAX).contains(&length) && !note.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Reject::new("40056", format!("Note length must be from 1 to {NOTE_MAX} characters")))
}

fn judge_passphrase(passphrase: &str) -> Result<(), Reject> {
    let fits = (8..=32).contains(&passphrase.len()) && passphrase.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { Ok(()) } else { Err(Reject::new("40070", "Passphrase must be 8 to 32 letters and digits")) }
}

fn judge_rights(permissions: &[Permission], ips: &[IpAddr]) -> Result<(), Reject> {
    if ips.len() > IPS_MAX {
        return Err(Reject::new("40017", format!("Parameter verification failed ip: at most {IPS_MAX} addresses")));
    }
    // The venue pays out to the owner of a listed address only.
    if permissions.contains(&Permission::Withdraw) && ips.is_empty() {
        return Err(Reject::bind_an_address());
    }
    Ok(())
}

/// The permissions once each, in a fixed order.
fn in_order(permissions: &[Permission]) -> Vec<Permission> {
    Permission::ALL.into_iter().filter(|permission| permissions.contains(permission)).collect()
}

impl Venue {
    /// The keys of an account that are not deleted.
    pub(crate) fn keys_of(&self, account: usize) -> impl Iterator<Item = &Key> + '_ {
        self.keys.iter().filter(move |key| key.config.account == account && key.state != KeyState::Deleted)
    }

    /// Whether a key could be made as asked for.
    pub(crate) fn judge_draft(&self, draft: &KeyDraft) -> Result<(), Reject> {
        judge_note(&draft.note)?;
        judge_passphrase(&draft.passphrase)?;
        judge_rights(&draft.permissions, &draft.ips)?;
        if self.keys_of(draft.account).count() >= KEYS_PER_ACCOUNT || self.keys.iter().count() >= KEYS_MAX {
            return Err(Reject::new("40063", "API exceeds the maximum limit added"));
        }
        Ok(())
    }

    /// Makes a key; its secret is in the answer and nowhere else that can be asked.
    pub(crate) fn make_key(&mut self, draft: &KeyDraft) -> Result<ApiKeyMaterial, Reject> {
        self.judge_draft(draft)?;
        let fresh = ApiKeyMaterial::generate().map_err(|_| Reject::new("40015", "System is abnormal"))?;
        let material = ApiKeyMaterial { passphrase: draft.passphrase.clone(), ..fresh };
        let (name, created_ms) = (material.key.clone(), self.now_ms());
        self.keys.insert(KeyConfig {
            material: material.clone(),
            permissions: in_order(&draft.permissions),
            ips: draft.ips.clone(),
            environment: draft.environment,
            account: draft.account,
        });
        if let Some(key) = self.keys.get_mut(&name) {
            key.note.clone_from(&draft.note);
            (key.created_ms, key.expires_ms) = (created_ms, draft.expires_ms);
        }
        Ok(material)
    }

    /// Changes a key of one of `owners`; requests and open streams follow at once.
    pub(crate) fn change_key(&mut self, owners: &[usize], name: &str, change: KeyChange) -> Result<&Key, Reject> {
        let key = self.own_key(owners, name)?;
        let permissions = change.permissions.map_or_else(|| key.config.permissions.clone(), |it| in_order(&it));
        let ips = change.ips.unwrap_or_else(|| key.config.ips.clone());
        judge_rights(&permissions, &ips)?;
        if let Some(note) = change.note {
            judge_note(&note)?;
            key.note = note;
        }
        (key.config.permissions, key.config.ips) = (permissions, ips);
        self.judge_streams();
        self.keys.get(name).ok_or_else(Reject::no_such_key)
    }

    /// Freezes, thaws or deletes a key of one of `owners`; requests and open streams follow at once.
    pub(crate) fn move_key(&mut self, owners: &[usize], name: &str, state: KeyState) -> Result<(), Reject> {
        self.own_key(owners, name)?.state = state;
        self.judge_streams();
        Ok(())
    }

    /// A key of one of `owners` that is not deleted.
    pub(crate) fn own_key(&mut self, owners: &[usize], name: &str) -> Result<&mut Key, Reject> {
        let key = self.keys.get_mut(name);
        let key = key.filter(|key| key.state != KeyState::Deleted && owners.contains(&key.config.account));
        key.ok_or_else(Reject::no_such_key)
    }
}

/// Addresses from their texts; blank ones are left out.
pub(crate) fn addresses<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<IpAddr>, Reject> {
    let parts = texts.map(str::trim).filter(|text| !text.is_empty());
    let mut ips: Vec<IpAddr> = Vec::new();
    for text in parts {
        let ip = text
            .parse()
            .map_err(|_| Reject::new("40017", format!("Parameter verification failed ip: `{text}` is no address")))?;
        if !ips.contains(&ip) {
            ips.push(ip);
        }
        if ips.len() > IPS_MAX {
            break;
        }
    }
    Ok(ips)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Market;
    use crate::desk::tests::venue;

    fn draft() -> KeyDraft {
        KeyDraft {
            account: 0,
            note: "bot".into(),
            passphrase: "Passw0rd1".into(),
            permissions: vec![Permission::Trade, Permission::Read],
            ips: Vec::new(),
            environment: Environment::Production,
            expires_ms: None,
        }
    }

    #[test]
    fn each_rule_of_a_new_key_has_the_venues_code() {
        let (_, mut venue) = venue(Market::Quiet);
        let code = |venue: &mut Venue, draft: KeyDraft| venue.make_key(&draft).map_err(|reject| reject.code).err();
        for passphrase in ["short1", "has blank1", "ümlautumlaut", &"a".repeat(33)] {
            assert_eq!(code(&mut venue, KeyDraft { passphrase: passphrase.into(), ..draft() }), Some("40070"));
        }
        for note in ["", "a note that is too long for it", "with\nline"] {
            assert_eq!(code(&mut venue, KeyDraft { note: note.into(), ..draft() }), Some("40056"));
        }
        let many = (0..31_u8).map(|last| IpAddr::from([10, 0, 0, last])).collect();
        assert_eq!(code(&mut venue, KeyDraft { ips: many, ..draft() }), Some("40017"));
        let withdraw = KeyDraft { permissions: vec![Permission::Withdraw], ..draft() };
        assert_eq!(code(&mut venue, withdraw), Some("22010"));
        // One key is there from the start.
        for _ in 1..KEYS_PER_ACCOUNT {
            assert_eq!(code(&mut venue, draft()), None);
        }
        assert_eq!(code(&mut venue, draft()), Some("40063"));
        let name = venue.keys_of(0).next().unwrap().config.material.key.clone();
        venue.move_key(&[0], &name, KeyState::Deleted).unwrap();
        assert_eq!(code(&mut venue, draft()), None, "a deleted key makes room");
    }

    #[test]
    fn nobody_changes_the_key_of_another_account_or_a_deleted_one() {
        let (_, mut venue) = venue(Market::Quiet);
        let name = venue.make_key(&draft()).unwrap().key;
        let change = || KeyChange { permissions: Some(vec![Permission::Read]), ..KeyChange::default() };
        assert_eq!(venue.change_key(&[1], &name, change()).unwrap_err().code, "40037");
        assert_eq!(venue.change_key(&[0], &name, change()).unwrap().config.permissions, [Permission::Read]);
        venue.move_key(&[0], &name, KeyState::Deleted).unwrap();
        assert_eq!(venue.change_key(&[0], &name, change()).unwrap_err().code, "40037");
    }

    #[test]
    fn addresses_are_read_once_each_and_what_is_none_is_named() {
        let read = |text: &str| addresses(text.split([',', ' ', '\n']));
        assert_eq!(read("127.0.0.1, ::1\n127.0.0.1").unwrap().len(), 2);
        assert!(read("127.0.0.256").unwrap_err().message.contains("127.0.0.256"));
    }
}
