//! What goes wrong with frames on their way: withheld, doubled, swapped, torn, swollen, split.

use crate::fault_desk::Faults;
use crate::hub::{Hub, Out, Topic};
use crate::{FaultKind, FaultSite, PlannedFault};
use std::time::Duration;

/// Size of a huge frame unless told otherwise.
const HUGE_BYTES: usize = 20 * 1_024 * 1_024;
/// Frames that a message is split into, and the pause between them, unless told otherwise.
const SPLIT_PARTS: usize = 3;
const SPLIT_PAUSE: Duration = Duration::from_millis(20);
/// Publications that may wait to be overtaken, and stalls that may wait for their end.
const WAITING_MAX: usize = 1_000;
/// How long a frame waits for the one that is to overtake it, unless told otherwise.
const REORDER_WAIT: Duration = Duration::from_secs(1);

/// One publication: the frames of all who hear it.
pub(crate) struct Publication {
    pub(crate) site: FaultSite,
    /// `None`: a private push.
    pub(crate) topic: Option<Topic>,
    /// An update of a `books` channel: the frames that carry a sequence and a checksum.
    pub(crate) book_update: bool,
    pub(crate) frames: Vec<(u64, String)>,
}

/// Frames that wait to be overtaken.
#[derive(Debug)]
pub(crate) struct Held {
    site: FaultSite,
    topic: Option<Topic>,
    frames: Vec<(u64, String)>,
    until: Duration,
}

/// Text that cannot be read: what comes when a frame is torn in the middle.
fn torn(text: &str) -> String {
    let half = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
    format!("{}\u{0}\u{fffd}", text.get(..half).unwrap_or(""))
}

/// The text with another checksum; `None` when it carries none.
fn spoiled(text: &str) -> Option<String> {
    const NAME: &str = "\"checksum\":";
    let start = text.find(NAME)? + NAME.len();
    let rest = text.get(start..)?;
    let end = rest.find([',', '}'])?;
    let checksum: i32 = rest.get(..end)?.parse().ok()?;
    Some(format!("{}{}{}", text.get(..start)?, !checksum, rest.get(end..)?))
}

fn huge(bytes: usize) -> String {
    const HEAD: &str = "{\"event\":\"notice\",\"padding\":\"";
    const TAIL: &str = "\"}";
    format!("{HEAD}{}{TAIL}", "x".repeat(bytes.saturating_sub(HEAD.len() + TAIL.len())))
}

impl Hub {
    /// Sends a publication, with what is to go wrong with it.
    pub(crate) fn emit(&mut self, mut publication: Publication) {
        if publication.frames.is_empty() {
            return;
        }
        let site = publication.site;
        self.faults.on_frame(site);
        self.run_socket_faults();
        // Only these follow one another; a snapshot or a ticker that is missing is no gap.
        let follows = publication.book_update || site == FaultSite::Private;
        if follows && self.faults.take(FaultKind::Gap, site).is_some() {
            return;
        }
        if publication.book_update
            && publication.frames.iter().all(|(_, text)| spoiled(text).is_some())
            && self.faults.take(FaultKind::BadChecksum, site).is_some()
        {
            for (_, text) in &mut publication.frames {
                *text = spoiled(text).unwrap_or_default();
            }
        }
        if self.faults.take(FaultKind::Garbage, site).is_some() {
            for (_, text) in &mut publication.frames {
                *text = torn(text);
            }
        }
        if let Some(fault) = self.faults.take(FaultKind::HugeFrame, site) {
            let text = huge(fault.parameters.bytes.unwrap_or(HUGE_BYTES));
            for (id, _) in &publication.frames {
                self.send(*id, Out::Text(text.clone()));
            }
        }
        let overtakes = self.held.iter().position(|held| held.site == site && held.topic == publication.topic);
        let overtaken = overtakes.map(|position| self.held.remove(position));
        if overtaken.is_none()
            && follows
            && self.held.len() < WAITING_MAX
            && let Some(fault) = self.faults.take(FaultKind::Reorder, site)
        {
            let until = self.faults.elapsed().saturating_add(fault.parameters.delay.unwrap_or(REORDER_WAIT));
            let Publication { topic, frames, .. } = publication;
            return self.held.push(Held { site, topic, frames, until });
        }
        let split = self.faults.take(FaultKind::SplitFrame, site);
        let copies = usize::from(follows && self.doubled(site)) + 1;
        for (id, text) in &publication.frames {
            for _ in 0..copies {
                self.send(*id, whole_or_split(text.clone(), split.as_ref()));
            }
        }
        for (id, text) in overtaken.into_iter().flat_map(|held| held.frames) {
            self.send(id, Out::Text(text));
        }
    }

    fn doubled(&mut self, site: FaultSite) -> bool {
        self.faults.take(FaultKind::Duplicate, site).is_some()
            || self.faults.take(FaultKind::DuplicatePush, site).is_some()
    }

    /// Sends what has waited long enough for a frame that never came.
    pub(crate) fn release_held(&mut self) {
        let elapsed = self.faults.elapsed();
        let (due, waiting) = std::mem::take(&mut self.held).into_iter().partition(|held: &Held| held.until <= elapsed);
        self.held = waiting;
        for (id, text) in due.into_iter().flat_map(|held: Held| held.frames) {
            self.send(id, Out::Text(text));
        }
    }

    /// Acts on whole connections: cuts, stalls and falls silent. What has an end is kept for the venue to end it.
    pub(crate) fn run_socket_faults(&mut self) {
        let sockets = |kind| matches!(kind, FaultKind::Drop | FaultKind::Stall | FaultKind::HalfOpen);
        for fault in self.faults.take_at_once(sockets) {
            let public = fault.site == FaultSite::Public;
            match fault.kind {
                FaultKind::Drop => self.cut_side(public),
                FaultKind::Stall => {
                    self.stall_side(public);
                    if let Some(duration) = fault.duration.filter(|_| self.stalls_until.len() < WAITING_MAX) {
                        self.stalls_until.push((self.faults.elapsed().saturating_add(duration), public));
                    }
                }
                _ => self.silence_side(public, fault.duration),
            }
        }
    }

    /// Lets data flow again where a stall has ended.
    pub(crate) fn end_stalls(&mut self) {
        let elapsed = self.faults.elapsed();
        let over: Vec<bool> =
            self.stalls_until.iter().filter(|(until, _)| *until <= elapsed).map(|(_, public)| *public).collect();
        self.stalls_until.retain(|(until, _)| *until > elapsed);
        for public in over {
            self.resume_side(public);
        }
    }
}

fn whole_or_split(text: String, split: Option<&PlannedFault>) -> Out {
    match split {
        None => Out::Text(text),
        Some(fault) => Out::Split {
            text,
            parts: fault.parameters.parts.unwrap_or(SPLIT_PARTS),
            pause: fault.parameters.delay.unwrap_or(SPLIT_PAUSE),
        },
    }
}

impl Faults {
    /// How a handshake goes wrong: how long it waits, and the status it is refused with.
    pub(crate) fn handshake(&mut self, site: FaultSite) -> (Option<Duration>, Option<u16>) {
        const SLOW: Duration = Duration::from_secs(10);
        self.on_handshake(site);
        let slow = self.take(FaultKind::SlowHandshake, site).map(|fault| fault.parameters.delay.unwrap_or(SLOW));
        let refused = [(FaultKind::Handshake403, 403), (FaultKind::Handshake429, 429), (FaultKind::Handshake5xx, 503)];
        let status = refused.into_iter().find_map(|(kind, status)| {
            let fault = self.take(kind, site)?;
            Some(fault.parameters.code.and_then(|code| code.parse().ok()).unwrap_or(status))
        });
        (slow, status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spoiled_checksum_differs_and_everything_else_stays() {
        let text = r#"{"data":[{"checksum":-603101740,"seq":101}]}"#;
        assert_eq!(spoiled(text).as_deref(), Some(r#"{"data":[{"checksum":603101739,"seq":101}]}"#));
        assert_eq!(spoiled(r#"{"data":[{"seq":101}]}"#), None);
    }

    #[test]
    fn torn_text_is_no_json_and_a_huge_frame_has_its_size() {
        assert!(serde_json::from_str::<serde_json::Value>(&torn(r#"{"data":"ü€"}"#)).is_err());
        assert!(serde_json::from_str::<serde_json::Value>(&torn("")).is_err());
        assert_eq!(huge(5_000).len(), 5_000);
        assert!(serde_json::from_str::<serde_json::Value>(&huge(5_000)).is_ok());
    }
}
