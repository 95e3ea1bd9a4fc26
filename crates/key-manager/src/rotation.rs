//! One account's change of keys: the next key is verified beside the one at work, takes over, and is judged while the
//! former one drains; then that one is revoked, or it comes back by itself.
//!
//! Invariants: a key takes over only after its rights were read, and a signed read has succeeded, with its own
//! signature; the former key is revoked only after a whole drain without an authentication failure; whatever fails
//! before the cut-over leaves the key at work where it is.

use crate::actor::{KeyManager, KeyNews, KeyNewsBody};
use crate::care::{CareAct, KeyCare, KeySpec};
use crate::lifecycle::Trigger;
use crate::probe::venue_words;
use domain::{MonoNanos, UnixNanos, VenueId};
use messages::{KeyAlias, KeyState, QueryAnswer, QueryId, QueryPurpose, SignQuery, VenueError, VenueReason};
use std::time::Duration;

/// What a change of keys asks of custody and gateway. Every change is saved, and in force, when it returns.
pub trait RotationDesk {
    /// Loads a signer for the key that is to take over: the one named, else the only one that waits.
    ///
    /// # Errors
    /// Why not, for people.
    fn prepare(&mut self, venue: VenueId, next: Option<KeyAlias>) -> Result<KeySpec, String>;

    /// Puts the next key to work; the last sequence that was signed with the former one.
    ///
    /// # Errors
    /// Why not, for people: the former key signs as before.
    fn cut_over(&mut self, venue: VenueId, next: KeyAlias) -> Result<u64, String>;

    /// Puts the former key back to work, and the other into quarantine.
    ///
    /// # Errors
    /// Why not, for people: nothing has changed.
    fn take_back(&mut self, venue: VenueId, reason: &str) -> Result<u64, String>;

    /// Wipes the former key and leaves its tombstone.
    ///
    /// # Errors
    /// Why not, for people: nothing has changed.
    fn revoke(&mut self, venue: VenueId, former: KeyAlias, reason: &str) -> Result<(), String>;

    /// Takes the next key's signer away.
    fn give_up(&mut self, venue: VenueId);

    /// Lets the private stream log in with the key at work, beside the log-in that stands.
    fn new_login(&mut self, venue: VenueId);
}

/// One where keys are never changed.
pub struct NoRotation;

impl RotationDesk for NoRotation {
    fn prepare(&mut self, _: VenueId, _: Option<KeyAlias>) -> Result<KeySpec, String> {
        Err("keys are not changed here".to_owned())
    }

    fn cut_over(&mut self, _: VenueId, _: KeyAlias) -> Result<u64, String> {
        Err("keys are not changed here".to_owned())
    }

    fn take_back(&mut self, _: VenueId, _: &str) -> Result<u64, String> {
        Err("keys are not changed here".to_owned())
    }

    fn revoke(&mut self, _: VenueId, _: KeyAlias, _: &str) -> Result<(), String> {
        Err("keys are not changed here".to_owned())
    }

    fn give_up(&mut self, _: VenueId) {}

    fn new_login(&mut self, _: VenueId) {}
}

/// How a change of keys goes on. The news carry the name of the key that was at work when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RotationNews {
    /// The next key is being verified.
    Began {
        /// The next key.
        next: KeyAlias,
    },
    /// The next key signs.
    CutOver {
        /// The next key.
        next: KeyAlias,
        /// New orders up to this sequence of the run were signed with the former key.
        after_sequence: u64,
        /// For so long the former key could come back.
        drain: Duration,
    },
    /// The next key does not work: the former one signs again.
    TakenBack {
        /// The key that is in quarantine now.
        failed: KeyAlias,
        /// What happened.
        reason: String,
    },
    /// The former key is wiped.
    Done {
        /// The key that signs.
        next: KeyAlias,
    },
    /// It ended before the cut-over; the key at work is as it was.
    Refused {
        /// Why.
        why: String,
    },
}

/// One change of keys under way.
#[derive(Debug)]
pub(crate) struct Rotation {
    venue: VenueId,
    /// The key at work when it began.
    former: KeyAlias,
    next: KeyAlias,
    phase: Phase,
    drain: Duration,
}

#[derive(Debug)]
enum Phase {
    /// The next key is being verified.
    Verifying(Box<KeyCare>),
    /// The next key signs, and has not been verified again since the start of the program.
    Resumed(Box<KeyCare>),
    /// The next key signs; the former one is kept until then.
    Draining { former: Box<KeyCare>, until: MonoNanos },
    /// The next key does not work, and the former one could not be put back yet.
    TakingBack { former: Box<KeyCare>, reason: String },
    /// The former key is back; what the other one has signed is still being refused until then.
    Settling { until: MonoNanos },
}

/// Whether an error of the venue is about the key and not about what was asked with it.
#[must_use]
pub const fn is_about_the_key(error: &VenueError) -> bool {
    matches!(
        error.reason,
        VenueReason::KeyUnknown
            | VenueReason::Signature
            | VenueReason::Passphrase
            | VenueReason::IpNotAllowed
            | VenueReason::Permission
            | VenueReason::Environment
    )
}

/// Between two tries to save a step that could not be saved.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Rotation {
    /// One that was cut off after its cut-over: `next` signs, `former` waits.
    pub(crate) fn resumed(venue: VenueId, next: KeyAlias, former: KeySpec, drain: Duration, now: MonoNanos) -> Self {
        let alias = former.alias;
        let (former, _) = KeyCare::start(former, now, UnixNanos(0));
        Self { venue, former: alias, next, phase: Phase::Resumed(Box::new(former)), drain }
    }

    pub(crate) const fn venue(&self) -> VenueId {
        self.venue
    }
}

impl KeyManager {
    /// Begins a change of keys; how it goes on, the news say.
    pub(crate) fn rotate(&mut self, venue: VenueId, next: Option<KeyAlias>, drain: Duration) {
        let Some(care) = self.key(venue) else { return };
        let (former, state, clock) = (care.spec().alias, care.state(), care.clock_known());
        if self.rotations.iter().any(|rotation| rotation.venue == venue) {
            let why = "a change of this account's keys is under way".to_owned();
            return self.rotation_news(venue, former, RotationNews::Refused { why });
        }
        if state != KeyState::Active {
            let why = format!("key `{former}` is {}; only an Active key is replaced", state.as_str());
            return self.rotation_news(venue, former, RotationNews::Refused { why });
        }
        let spec = match self.outlets.rotation.prepare(venue, next) {
            Ok(spec) => spec,
            Err(why) => return self.rotation_news(venue, former, RotationNews::Refused { why }),
        };
        let next = spec.alias;
        self.rotation_news(venue, former, RotationNews::Began { next });
        let (now, unix) = (self.clock.mono(), self.clock.unix());
        let (mut candidate, mut acts) = KeyCare::start(spec, now, unix);
        acts.extend(candidate.verify(now, unix));
        if let Some((offset_ns, uncertainty_ns)) = clock {
            acts.extend(candidate.clock(offset_ns, uncertainty_ns, now, unix));
        }
        let phase = Phase::Verifying(Box::new(candidate));
        self.rotations.push(Rotation { venue, former, next, phase, drain });
        self.candidate_acts(venue, acts);
    }

    fn rotation_news(&mut self, venue: VenueId, alias: KeyAlias, news: RotationNews) {
        tracing::info!(%alias, ?news, "change of keys");
        (self.outlets.news)(KeyNews { venue, alias, body: KeyNewsBody::Rotation(news) });
    }

    fn rotation(&mut self, venue: VenueId) -> Option<&mut Rotation> {
        self.rotations.iter_mut().find(|rotation| rotation.venue == venue)
    }

    fn candidate(&mut self, venue: VenueId) -> Option<&mut KeyCare> {
        match self.rotation(venue).map(|rotation| &mut rotation.phase) {
            Some(Phase::Verifying(care)) => Some(care),
            _ => None,
        }
    }

    pub(crate) fn candidate_answer(&mut self, venue: VenueId, query: QueryId, answer: QueryAnswer) {
        let (now, unix) = (self.clock.mono(), self.clock.unix());
        let acts = self.candidate(venue).map(|care| care.answer(query, answer, now, unix)).unwrap_or_default();
        self.candidate_acts(venue, acts);
    }

    pub(crate) fn candidate_clock(&mut self, venue: VenueId, offset_ns: i64, uncertainty_ns: u64) {
        let (now, unix) = (self.clock.mono(), self.clock.unix());
        let acts = self.candidate(venue).map(|care| care.clock(offset_ns, uncertainty_ns, now, unix));
        self.candidate_acts(venue, acts.unwrap_or_default());
    }

    /// Carries out what the verification of the next key wants; its duty is fixed where it is loaded.
    fn candidate_acts(&mut self, venue: VenueId, acts: Vec<CareAct>) {
        let Some((former, next)) = self.rotation(venue).map(|rotation| (rotation.former, rotation.next)) else {
            return;
        };
        let mut failed = false;
        let mut why = None;
        for act in acts {
            let body = match act {
                CareAct::Ask(id, intent) => {
                    let query = SignQuery { id, purpose: QueryPurpose::VerifyCandidate, venue, intent };
                    if !(self.outlets.ask)(query) {
                        tracing::warn!(alias = %next, "no room to ask for a signature; asked again");
                    }
                    continue;
                }
                CareAct::Line(line) => {
                    if !line.ok {
                        why = Some(format!("{}: {}", line.what, line.detail));
                    }
                    KeyNewsBody::Line(line.about(next))
                }
                CareAct::Moved { from, to, reason, info } => KeyNewsBody::Moved { from, to, reason, info },
                CareAct::Verified { info, balances } => KeyNewsBody::Verified { info, balances },
                CareAct::Warn(warning) => KeyNewsBody::Dates(warning),
                CareAct::Duty(_) => continue,
                // The account's key at work goes on in its own way: this one is of another account.
                CareAct::Mode(mode) => {
                    why = Some(format!("account mode: the next key belongs to an account in {} mode", mode.as_str()));
                    failed = true;
                    continue;
                }
                CareAct::Failed => {
                    failed = true;
                    continue;
                }
            };
            (self.outlets.news)(KeyNews { venue, alias: next, body });
        }
        if failed {
            self.outlets.rotation.give_up(venue);
            self.rotations.retain(|rotation| rotation.venue != venue);
            let why = format!("key `{next}` did not pass: {}", why.unwrap_or_else(|| "see the log".to_owned()));
            self.rotation_news(venue, former, RotationNews::Refused { why });
        } else if self.candidate(venue).is_some_and(|care| care.state() == KeyState::Standby && !care.verifying()) {
            self.cut_over(venue);
        }
    }

    fn cut_over(&mut self, venue: VenueId) {
        let Some(at) = self.rotations.iter().position(|rotation| rotation.venue == venue) else { return };
        let Rotation { former, next, phase, drain, .. } = self.rotations.swap_remove(at);
        let Phase::Verifying(mut candidate) = phase else { return };
        // A key that is not Active any more is nobody's to replace, and its successor is verified anew.
        let ready = self.state(venue) == Some(KeyState::Active);
        let changed = if ready {
            self.outlets.rotation.cut_over(venue, next)
        } else {
            Err(format!("key `{former}` is not Active any more"))
        };
        let after_sequence = match changed {
            Ok(after_sequence) => after_sequence,
            Err(why) => {
                self.outlets.rotation.give_up(venue);
                return self.rotation_news(venue, former, RotationNews::Refused { why });
            }
        };
        let now = self.clock.mono();
        let acts = candidate.take_over(now);
        let Some(place) = self.place(venue) else { return };
        let Some(seat) = self.keys.get_mut(place) else { return };
        let mut out = std::mem::replace(seat, *candidate);
        out.give_way();
        let phase = Phase::Draining { former: Box::new(out), until: now.after(drain) };
        self.rotations.push(Rotation { venue, former, next, phase, drain });
        self.rotation_news(venue, former, RotationNews::CutOver { next, after_sequence, drain });
        self.carry_out(place, acts);
        self.outlets.rotation.new_login(venue);
    }

    /// Whether the venue's refusal says that the key which has taken over does not work; then the former one comes back.
    pub(crate) fn judge(&mut self, venue: VenueId, error: &VenueError) -> bool {
        let settling = self.rotation(venue).is_some_and(|it| matches!(it.phase, Phase::Settling { .. }));
        is_about_the_key(error)
            && (settling || self.take_back(venue, &format!("rejected by the exchange: {}", venue_words(error))))
    }

    /// Whether these acts take the key that has taken over from its work; then the former one comes back instead.
    pub(crate) fn judge_acts(&mut self, venue: VenueId, acts: &[CareAct]) -> bool {
        let trigger = self.key(venue).and_then(KeyCare::last_trigger);
        let reason = acts.iter().find_map(|act| match act {
            CareAct::Moved { to, reason, .. } if *to != KeyState::Active && *to != KeyState::Verifying => Some(reason),
            _ => None,
        });
        match (reason, trigger) {
            (Some(reason), Some(trigger)) if trigger != Trigger::VenueSilent => self.take_back(venue, &reason.clone()),
            _ => false,
        }
    }

    fn take_back(&mut self, venue: VenueId, reason: &str) -> bool {
        let Some(at) = self.rotations.iter().position(|rotation| rotation.venue == venue) else { return false };
        let mut rotation = self.rotations.swap_remove(at);
        let mut former = match rotation.phase {
            Phase::Draining { former, .. } | Phase::Resumed(former) | Phase::TakingBack { former, .. } => former,
            other @ (Phase::Verifying(_) | Phase::Settling { .. }) => {
                rotation.phase = other;
                self.rotations.push(rotation);
                return false;
            }
        };
        let (alias, failed) = (rotation.former, rotation.next);
        if let Err(why) = self.outlets.rotation.take_back(venue, reason) {
            tracing::error!(%alias, why, "the former key could not be put back; tried again");
            rotation.phase = Phase::TakingBack { former, reason: reason.to_owned() };
            self.rotations.push(rotation);
            return true;
        }
        let (now, unix) = (self.clock.mono(), self.clock.unix());
        rotation.phase = Phase::Settling { until: now.after(rotation.drain) };
        self.rotations.push(rotation);
        let clock = self.key(venue).and_then(KeyCare::clock_known);
        let mut acts = former.come_back(now);
        acts.extend(former.verify(now, unix));
        if let Some((offset_ns, uncertainty_ns)) = clock {
            acts.extend(former.clock(offset_ns, uncertainty_ns, now, unix));
        }
        let Some(place) = self.place(venue) else { return true };
        if let Some(seat) = self.keys.get_mut(place) {
            *seat = *former;
        }
        self.rotation_news(venue, alias, RotationNews::TakenBack { failed, reason: reason.to_owned() });
        self.carry_out(place, acts);
        self.outlets.rotation.new_login(venue);
        true
    }

    /// Looks at the deadlines of all changes of keys.
    pub(crate) fn tick_rotations(&mut self) {
        let (now, unix) = (self.clock.mono(), self.clock.unix());
        let venues: Vec<VenueId> = self.rotations.iter().map(Rotation::venue).collect();
        for venue in venues {
            let works = self.state(venue) == Some(KeyState::Active);
            let Some(rotation) = self.rotation(venue) else { continue };
            let drain = rotation.drain;
            match &mut rotation.phase {
                Phase::Verifying(care) => {
                    let acts = care.tick(now, unix);
                    self.candidate_acts(venue, acts);
                }
                Phase::Resumed(former) if works => {
                    // Its record does not change while it waits, so neither does what is known of it.
                    let (former, _) = KeyCare::start(former.spec().clone(), now, unix);
                    rotation.phase = Phase::Draining { former: Box::new(former), until: now.after(drain) };
                }
                Phase::Resumed(_) => {}
                Phase::Draining { until, .. } if now >= *until => {
                    *until = now.after(AGAIN_AFTER);
                    self.end(venue);
                }
                Phase::Draining { .. } => {}
                Phase::Settling { until } => {
                    let over = now >= *until;
                    self.rotations.retain(|rotation| rotation.venue != venue || !over);
                }
                Phase::TakingBack { reason, .. } => {
                    let reason = reason.clone();
                    self.take_back(venue, &reason);
                }
            }
        }
    }

    fn end(&mut self, venue: VenueId) {
        let Some((former, next)) = self.rotation(venue).map(|rotation| (rotation.former, rotation.next)) else {
            return;
        };
        match self.outlets.rotation.revoke(venue, former, &format!("replaced by {next}")) {
            Ok(()) => {
                self.rotations.retain(|rotation| rotation.venue != venue);
                self.rotation_news(venue, former, RotationNews::Done { next });
            }
            Err(why) => tracing::error!(alias = %former, why, "the former key could not be wiped; tried again"),
        }
    }
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
