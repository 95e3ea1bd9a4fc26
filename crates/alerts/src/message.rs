//! One message as it is posted.

use crate::event::Alert;
use domain::UnixNanos;
use serde::{Deserialize, Serialize};

/// Who speaks; the same in every message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The machine's name.
    pub host: String,
    /// `sim`, `demo`, `paper` or `live`.
    pub mode: String,
    /// The address of the live page, without a token.
    pub dashboard: String,
}

/// The document that is posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Different for each message, the same for each attempt to send it.
    pub id: String,
    /// When it happened, RFC 3339 in UTC.
    pub time: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// The machine's name.
    pub host: String,
    /// `sim`, `demo`, `paper` or `live`.
    pub mode: String,
    /// The alias of the account, if it is about one.
    pub account: Option<String>,
    /// The event's word.
    pub event: String,
    /// What happened.
    pub text: String,
    /// What to do next.
    pub next_step: String,
    /// The address of the live page.
    pub dashboard: String,
    /// How often the same happened since it was last told.
    pub repeated: u32,
    /// How many other messages the rate limit has left out since the last one.
    pub left_out: u32,
}

/// What the gate lets a message say about those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) repeated: u32,
    pub(crate) left_out: u32,
}

impl Message {
    pub(crate) fn new(alert: &Alert, at: UnixNanos, origin: &Origin, with_money: bool, before: Before) -> Self {
        let text = match (&alert.money, with_money) {
            (Some(money), true) => format!("{} {money}", alert.text),
            _ => alert.text.clone(),
        };
        Self {
            id: id(at),
            time: rfc3339(at),
            severity: alert.event.severity().word().to_owned(),
            host: origin.host.clone(),
            mode: origin.mode.clone(),
            account: alert.account.clone(),
            event: alert.event.word().to_owned(),
            text,
            next_step: alert.next_step.clone(),
            dashboard: origin.dashboard.clone(),
            repeated: before.repeated,
            left_out: before.left_out,
        }
    }
}

fn id(at: UnixNanos) -> String {
    // Without randomness from the system the time alone has to do.
    format!("{:016x}{:016x}", at.0, getrandom::u64().unwrap_or(0))
}

fn rfc3339(at: UnixNanos) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[test]
    fn money_is_told_only_where_it_is_wished() {
        let origin = Origin { host: "h".to_owned(), mode: "sim".to_owned(), dashboard: "d".to_owned() };
        let alert =
            Alert::new(Event::Halt, "Trading is halted.", "Look at it.").account("main").money("Lost 100 USDT.");
        let before = Before { repeated: 0, left_out: 0 };
        let at = UnixNanos::from_millis(1_790_000_000_123);
        let without = Message::new(&alert, at, &origin, false, before);
        assert_eq!(without.text, "Trading is halted.");
        assert_eq!(without.time, "2026-09-21T14:13:20.123Z");
        let with = Message::new(&alert, at, &origin, true, before);
        assert_eq!(with.text, "Trading is halted. Lost 100 USDT.");
        assert_ne!(with.id, without.id);
    }
}
