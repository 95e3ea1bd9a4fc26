//! Answers remembered under the caller's idempotency key, so that a repeated request does nothing twice.
//!
//! Invariants: same caller, route, key and body: the same answer, and nothing is done again; another body: an error;
//! while the first is under way: an error. The memory is bounded and ends with the process.

use crate::limits::{IDEMPOTENCY_KEY_MAX, REPEATS_KEPT, REPEATS_MAX};
use crate::problem::Problem;
use actix_web::http::header::HeaderMap;
use domain::MonoNanos;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Whose request it is: caller, path, key.
type Name = (String, &'static str, String);

/// The remembered answers.
#[derive(Clone, Default)]
pub(crate) struct Repeats(Arc<Mutex<HashMap<Name, Entry>>>);

struct Entry {
    body: [u8; 32],
    at: MonoNanos,
    /// `None` while it is under way.
    answer: Option<Answered>,
}

/// An answer that is given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body; `None`: it held a secret that is shown once.
    pub(crate) body: Option<String>,
}

/// What is to be done with a request.
pub(crate) enum Begin {
    /// Do it, then tell the ticket.
    First(Ticket),
    /// It was done: this was the answer.
    Again(Answered),
}

/// The right to do a request for the first time; dropped without an answer it leaves no trace.
pub(crate) struct Ticket {
    repeats: Repeats,
    name: Option<Name>,
}

impl Repeats {
    /// Looks up the request's key; a request without one is always the first.
    pub(crate) fn begin(
        &self,
        headers: &HeaderMap,
        caller: &str,
        path: &'static str,
        body: &[u8],
        now: MonoNanos,
    ) -> Result<Begin, Problem> {
        let Some(key) = key(headers)? else {
            return Ok(Begin::First(Ticket { repeats: self.clone(), name: None }));
        };
        let name = (caller.to_owned(), path, key);
        let body: [u8; 32] = Sha256::digest(body).into();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| entry.answer.is_none() || now.since(entry.at) < REPEATS_KEPT);
        match entries.get(&name) {
            Some(entry) if entry.body != body => Err(Problem::new(
                422,
                "idempotency_mismatch",
                "the key was used for another request",
                "use a new Idempotency-Key for each new request",
            )),
            Some(Entry { answer: Some(answer), .. }) => Ok(Begin::Again(answer.clone())),
            Some(_) => Err(Problem::new(
                409,
                "in_progress",
                "the same request is under way",
                "wait for its answer, then ask again under the same Idempotency-Key",
            )),
            None => {
                if entries.len() >= REPEATS_MAX {
                    let oldest = entries.iter().filter(|(_, entry)| entry.answer.is_some());
                    let oldest = oldest.min_by_key(|(_, entry)| entry.at).map(|(name, _)| name.clone());
                    let Some(oldest) = oldest else {
                        return Err(Problem::wait(1, "busy", "too many requests are under way"));
                    };
                    entries.remove(&oldest);
                }
                entries.insert(name.clone(), Entry { body, at: now, answer: None });
                Ok(Begin::First(Ticket { repeats: self.clone(), name: Some(name) }))
            }
        }
    }
}

impl Ticket {
    /// Remembers the answer.
    pub(crate) fn answered(mut self, answer: Answered) {
        let Some(name) = self.name.take() else { return };
        let mut entries = self.repeats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(&name) {
            entry.answer = Some(answer);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.repeats.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        }
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all("idempotency-key");
    let (first, second) = (given.next(), given.next());
    let Some(value) = first else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let fits = (1..=IDEMPOTENCY_KEY_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits && second.is_none() {
        return Ok(Some(text.to_owned()));
    }
    let detail = format!("an Idempotency-Key is one header of 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters");
    Err(Problem::new(400, "bad_idempotency_key", "bad request", detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(key: &str) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.append(HeaderName::from_static("idempotency-key"), HeaderValue::from_str(key).unwrap());
        map
    }

    fn begin(repeats: &Repeats, key: &str, caller: &str, body: &str, now: u64) -> Result<Begin, Problem> {
        repeats.begin(&headers(key), caller, "/halt", body.as_bytes(), MonoNanos(now))
    }

    fn first(begun: Result<Begin, Problem>) -> Ticket {
        match begun {
            Ok(Begin::First(ticket)) => ticket,
            _ => panic!("not the first"),
        }
    }

    fn answer() -> Answered {
        Answered { status: 200, body: Some("done".to_owned()) }
    }

    #[test]
    fn same_request_gets_the_same_answer_and_another_body_an_error() {
        let repeats = Repeats::default();
        first(begin(&repeats, "k", "me", "{}", 0)).answered(answer());
        assert!(matches!(begin(&repeats, "k", "me", "{}", 1), Ok(Begin::Again(given)) if given == answer()));
        assert_eq!(begin(&repeats, "k", "me", "{ }", 1).err().unwrap().status, 422);
        first(begin(&repeats, "k", "other", "{}", 1)).answered(answer());
    }

    #[test]
    fn second_request_while_the_first_is_under_way_is_told_so_and_a_failed_one_leaves_no_trace() {
        let repeats = Repeats::default();
        let ticket = first(begin(&repeats, "k", "me", "{}", 0));
        assert_eq!(begin(&repeats, "k", "me", "{}", 0).err().unwrap().code, "in_progress");
        drop(ticket);
        first(begin(&repeats, "k", "me", "other body", 0));
    }

    #[test]
    fn answers_are_forgotten_after_an_hour_and_when_there_are_too_many() {
        let repeats = Repeats::default();
        first(begin(&repeats, "k", "me", "{}", 0)).answered(answer());
        let later = u64::try_from(REPEATS_KEPT.as_nanos()).unwrap();
        first(begin(&repeats, "k", "me", "{}", later));
        for number in 0..2 * REPEATS_MAX as u64 {
            first(begin(&repeats, &format!("key-{number}"), "me", "{}", later + number)).answered(answer());
        }
        assert!(repeats.0.lock().unwrap().len() <= REPEATS_MAX);
        let newest = format!("key-{}", 2 * REPEATS_MAX - 1);
        assert!(matches!(begin(&repeats, &newest, "me", "{}", later), Ok(Begin::Again(_))));
        let all_running = Repeats::default();
        let tickets: Vec<_> =
            (0..REPEATS_MAX).map(|number| first(begin(&all_running, &format!("{number}"), "me", "", 0))).collect();
        assert_eq!(begin(&all_running, "more", "me", "", 0).err().unwrap().status, 429);
        drop(tickets);
    }

    #[test]
    fn key_must_be_one_short_visible_word() {
        let repeats = Repeats::default();
        for bad in ["", "two words", &"k".repeat(65)] {
            assert_eq!(begin(&repeats, bad, "me", "", 0).err().unwrap().code, "bad_idempotency_key", "{bad}");
        }
        let mut twice = headers("a");
        twice.append(HeaderName::from_static("idempotency-key"), HeaderValue::from_static("b"));
        assert!(repeats.begin(&twice, "me", "/halt", b"", MonoNanos(0)).is_err());
    }
}
