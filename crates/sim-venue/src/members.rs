//! Who has signed up: members, their sessions, their mail, and keys that wait for a confirmation.
//!
//! Everything is in memory and bounded, and gone when the exchange stops. A password is kept as a
//! salted hash; a session is a random text that its holder shows.

use crate::config::random_hex;
use crate::key_desk::KeyDraft;
use crate::reject::Reject;
use crate::venue::Venue;
use crate::{AccountMode, ApiKeyMaterial};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Members there may be.
const MEMBERS_MAX: usize = 500;
/// Sessions there may be; the one that was used longest ago ends first.
const SESSIONS_MAX: usize = 1_000;
/// A session that is not used for this long ends.
const SESSION_IDLE: Duration = Duration::from_secs(12 * 3_600);
/// Letters that the mailbox keeps, of all members together.
const MAIL_MAX: usize = 1_000;
/// Keys of one member that may wait for a confirmation.
const PENDING_PER_MEMBER: usize = 10;
/// How long a confirmation is possible.
const PENDING_LIFE: Duration = Duration::from_secs(1_800);
/// Wrong passwords in a row before a member has to wait.
const WRONG_MAX: u32 = 5;
/// How long.
const WRONG_WAIT: Duration = Duration::from_secs(30);

/// One member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) email: String,
    salt: String,
    hash: [u8; 32],
    /// The main account.
    pub(crate) account: usize,
    wrong: u32,
    waits_until: Duration,
}

#[derive(Debug)]
struct WebSession {
    member: usize,
    used: Duration,
}

/// One letter.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) id: u64,
    pub(crate) member: usize,
    pub(crate) subject: String,
    pub(crate) text: String,
    /// A link of this exchange.
    pub(crate) link: Option<String>,
    pub(crate) at_ms: u64,
}

/// A key that waits for the link in its letter.
#[derive(Debug)]
pub(crate) struct Pending {
    token: String,
    pub(crate) member: usize,
    pub(crate) draft: KeyDraft,
    until: Duration,
    pub(crate) made_ms: u64,
}

/// Everybody who has signed up.
#[derive(Debug, Default)]
pub(crate) struct Members {
    members: Vec<Member>,
    sessions: BTreeMap<String, WebSession>,
    mail: VecDeque<Mail>,
    letters: u64,
    pending: Vec<Pending>,
}

fn hashed(salt: &str, password: &str) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(salt.as_bytes()) {
        Ok(mut mac) => {
            mac.update(password.as_bytes());
            mac.finalize().into_bytes().into()
        }
        Err(_) => [0; 32],
    }
}

fn random() -> Result<String, Reject> {
    random_hex::<24>().map_err(|_| Reject::new("40015", "System is abnormal, please try again later"))
}

fn judge_email(email: &str) -> Result<String, Reject> {
    let parts =
        email.split_once('@').filter(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    let plain = email.bytes().all(|byte| byte.is_ascii_graphic());
    if parts.is_none() || !plain || email.len() > 254 {
        return Err(Reject::new("40017", "that is no e-mail address; anything of the form name@host will do"));
    }
    Ok(email.to_ascii_lowercase())
}

fn judge_password(password: &str) -> Result<(), Reject> {
    if (8..=128).contains(&password.chars().count()) {
        return Ok(());
    }
    Err(Reject::new("40017", "a password has 8 to 128 characters"))
}

impl Members {
    pub(crate) fn get(&self, member: usize) -> Option<&Member> {
        self.members.get(member)
    }

    /// A member's letters, newest first.
    pub(crate) fn mail_of(&self, member: usize) -> impl Iterator<Item = &Mail> + '_ {
        self.mail.iter().rev().filter(move |mail| mail.member == member)
    }

    /// A member's keys that wait for their confirmation.
    pub(crate) fn pending_of(&self, member: usize, now: Duration) -> impl Iterator<Item = &Pending> + '_ {
        self.pending.iter().filter(move |pending| pending.member == member && pending.until > now)
    }

    /// Who holds a session.
    pub(crate) fn who(&mut self, session: &str, now: Duration) -> Option<usize> {
        let found = self.sessions.get_mut(session)?;
        if now.saturating_sub(found.used) > SESSION_IDLE {
            self.sessions.remove(session);
            return None;
        }
        found.used = now;
        Some(found.member)
    }

    pub(crate) fn sign_out(&mut self, session: &str) {
        self.sessions.remove(session);
    }

    fn open_session(&mut self, member: usize, now: Duration) -> Result<String, Reject> {
        if self.sessions.len() >= SESSIONS_MAX {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used).map(|(name, _)| name.clone());
            oldest.and_then(|name| self.sessions.remove(&name));
        }
        let session = random()?;
        self.sessions.insert(session.clone(), WebSession { member, used: now });
        Ok(session)
    }

    /// Takes a link that was used out of its letter.
    fn close_link(&mut self, member: usize, token: &str) {
        for mail in self.mail.iter_mut().filter(|mail| mail.member == member) {
            mail.link = mail.link.take().filter(|link| !link.ends_with(token));
        }
    }

    fn write(&mut self, member: usize, subject: String, text: String, link: Option<String>, at_ms: u64) {
        if self.mail.len() >= MAIL_MAX {
            self.mail.pop_front();
        }
        self.letters += 1;
        self.mail.push_back(Mail { id: self.letters, member, subject, text, link, at_ms });
    }
}

impl Venue {
    /// Opens a member's main account; a session.
    pub(crate) fn sign_up(&mut self, email: &str, password: &str) -> Result<String, Reject> {
        let email = judge_email(email)?;
        judge_password(password)?;
        if self.members.members.iter().any(|member| member.email == email) {
            return Err(Reject::new("40017", "this address has an account already; sign in instead"));
        }
        if self.members.members.len() >= MEMBERS_MAX {
            return Err(Reject::new("40032", "no more members are taken"));
        }
        let full = || Reject::new("40032", "no more accounts are opened");
        let account = self.open_account(AccountMode::Classic, None).ok_or_else(full)?;
        let (now, now_ms, salt) = (self.elapsed(), self.now_ms(), random()?);
        if let Some(opened) = self.accounts.get_mut(account) {
            opened.created_ms = now_ms;
        }
        let member = self.members.members.len();
        let hash = hashed(&salt, password);
        self.members.members.push(Member { email, salt, hash, account, wrong: 0, waits_until: Duration::ZERO });
        let text = "Your account is open. The faucet under Wallets gives test coins; under API keys you make a key for \
                    your bot. Nothing here is worth anything, and all of it is gone when the exchange stops.";
        self.members.write(member, "Welcome".into(), text.into(), None, now_ms);
        self.members.open_session(member, now)
    }

    /// A session for the right password.
    pub(crate) fn sign_in(&mut self, email: &str, password: &str) -> Result<String, Reject> {
        let now = self.elapsed();
        let wrong = || Reject { status: 401, ..Reject::new("40009", "e-mail or password is wrong") };
        let found = self.members.members.iter_mut().enumerate().find(|(_, it)| it.email.eq_ignore_ascii_case(email));
        let (index, member) = found.ok_or_else(wrong)?;
        if member.waits_until > now {
            return Err(Reject {
                message: "too many wrong passwords; try again in half a minute".into(),
                ..Reject::too_many()
            });
        }
        if !bool::from(member.hash.ct_eq(&hashed(&member.salt, password))) {
            member.wrong += 1;
            if member.wrong >= WRONG_MAX {
                (member.wrong, member.waits_until) = (0, now.saturating_add(WRONG_WAIT));
            }
            return Err(wrong());
        }
        member.wrong = 0;
        self.members.open_session(index, now)
    }

    /// Takes down a key that is asked for and writes the letter whose link makes it.
    pub(crate) fn ask_for_key(&mut self, member: usize, draft: KeyDraft, origin: &str) -> Result<(), Reject> {
        let (now, now_ms) = (self.elapsed(), self.now_ms());
        self.members.pending.retain(|pending| pending.until > now);
        if self.members.pending_of(member, now).count() >= PENDING_PER_MEMBER {
            return Err(Reject::new("40063", "too many keys wait for their confirmation; look into your mailbox"));
        }
        self.judge_draft(&draft)?;
        let token = random()?;
        let rights: Vec<&str> = draft.permissions.iter().map(|permission| permission.name()).collect();
        let ips: Vec<String> = draft.ips.iter().map(ToString::to_string).collect();
        let text = format!(
            "You asked for an API key with the note \"{}\". It may: {}. It may be used from: {}. If this was you, \
             confirm it with the link within half an hour. If not, do nothing: without the link there is no key.",
            draft.note,
            if rights.is_empty() { "nothing".to_owned() } else { rights.join(", ") },
            if ips.is_empty() { "any address".to_owned() } else { ips.join(", ") },
        );
        let link = format!("{origin}/web/#confirm={token}");
        self.members.write(member, "Confirm your new API key".into(), text, Some(link), now_ms);
        let until = now.saturating_add(PENDING_LIFE);
        self.members.pending.push(Pending { token, member, draft, until, made_ms: now_ms });
        Ok(())
    }

    /// Makes the key whose letter carried `token`; this is the only time that its secret is shown.
    pub(crate) fn confirm_key(&mut self, member: usize, token: &str) -> Result<(ApiKeyMaterial, KeyDraft), Reject> {
        let (now, now_ms) = (self.elapsed(), self.now_ms());
        let fits = |pending: &Pending| {
            pending.member == member
                && pending.until > now
                && bool::from(pending.token.as_bytes().ct_eq(token.as_bytes()))
        };
        let gone = "this link was used before, is too old or belongs to another member";
        let found = self.members.pending.iter().position(fits).ok_or_else(|| Reject::new("40017", gone))?;
        let draft = self.members.pending.remove(found).draft;
        self.members.close_link(member, token);
        let material = self.make_key(&draft)?;
        let text = format!("The API key {} (\"{}\") is active.", material.key, draft.note);
        self.members.write(member, "Your API key is active".into(), text, None, now_ms);
        Ok((material, draft))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::tests::venue;
    use crate::{Environment, Market, Permission};

    fn draft(account: usize) -> KeyDraft {
        KeyDraft {
            account,
            note: "bot".into(),
            passphrase: "Passw0rd1".into(),
            permissions: vec![Permission::Read],
            ips: Vec::new(),
            environment: Environment::Production,
            expires_ms: None,
        }
    }

    fn token(venue: &Venue, member: usize) -> String {
        let link = venue.members.mail_of(member).find_map(|mail| mail.link.clone()).unwrap();
        link.split_once("#confirm=").unwrap().1.to_owned()
    }

    #[test]
    fn a_key_exists_only_after_its_letter_is_confirmed_by_the_right_member_once_and_in_time() {
        let (clock, mut venue) = venue(Market::Quiet);
        for email in ["ada@example.org", "bob@example.org"] {
            venue.sign_up(email, "correct horse").unwrap();
        }
        let account = venue.members.get(0).unwrap().account;
        venue.ask_for_key(0, draft(account), "http://127.0.0.1:1").unwrap();
        assert_eq!(venue.keys_of(account).count(), 0);
        let sent = token(&venue, 0);
        assert!(venue.confirm_key(1, &sent).is_err() && venue.confirm_key(0, "other").is_err());
        let (material, _) = venue.confirm_key(0, &sent).unwrap();
        assert_eq!(venue.keys_of(account).count(), 1);
        assert!(venue.confirm_key(0, &sent).is_err(), "a second time");
        assert!(venue.members.mail_of(0).all(|mail| mail.link.is_none()), "a link that was used is gone");
        let letters: Vec<String> = venue.members.mail_of(0).map(|mail| mail.text.clone()).collect();
        assert!(letters.iter().all(|text| !text.contains(&material.secret) && !text.contains("Passw0rd1")));
        venue.ask_for_key(0, draft(account), "http://127.0.0.1:1").unwrap();
        let late = token(&venue, 0);
        clock.advance(PENDING_LIFE);
        assert!(venue.confirm_key(0, &late).is_err(), "too late");
    }

    #[test]
    fn sessions_end_when_unused_and_wrong_passwords_have_to_wait() {
        let (clock, mut venue) = venue(Market::Quiet);
        let session = venue.sign_up("Ada@Example.org", "correct horse").unwrap();
        let now = venue.elapsed();
        assert_eq!(venue.members.who(&session, now), Some(0));
        assert_eq!(venue.members.who("made-up", now), None);
        assert!(venue.sign_up("ada@example.org", "another one").is_err());
        for _ in 0..WRONG_MAX {
            assert_eq!(venue.sign_in("ada@example.org", "wrong horse").unwrap_err().status, 401);
        }
        assert_eq!(venue.sign_in("ada@example.org", "correct horse").unwrap_err().status, 429);
        clock.advance(WRONG_WAIT);
        let second = venue.sign_in("ada@example.org", "correct horse").unwrap();
        venue.members.sign_out(&second);
        let now = venue.elapsed();
        assert_eq!(venue.members.who(&second, now), None);
        assert_eq!(venue.members.who(&session, now + SESSION_IDLE + Duration::from_secs(60)), None);
    }

    #[test]
    fn mail_sessions_and_waiting_keys_are_bounded() {
        let (_, mut venue) = venue(Market::Quiet);
        venue.sign_up("ada@example.org", "correct horse").unwrap();
        let account = venue.members.get(0).unwrap().account;
        for _ in 0..PENDING_PER_MEMBER {
            venue.ask_for_key(0, draft(account), "").unwrap();
        }
        assert_eq!(venue.ask_for_key(0, draft(account), "").unwrap_err().code, "40063");
        for _ in 0..1_100 {
            venue.members.write(0, String::new(), String::new(), None, 0);
            venue.members.open_session(0, Duration::ZERO).unwrap();
        }
        assert_eq!((venue.members.mail.len(), venue.members.sessions.len()), (MAIL_MAX, SESSIONS_MAX));
        for bad in ["nobody", "a@b@c", "a b@c", "@host", "name@"] {
            assert!(venue.sign_up(bad, "correct horse").is_err(), "{bad}");
        }
        assert!(venue.sign_up("new@example.org", "short").is_err());
    }
}
