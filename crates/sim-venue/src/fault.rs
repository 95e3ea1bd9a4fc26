//! Faults on demand: what can go wrong, where, and when.

use crate::Permission;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Something that can go wrong at a venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// Every socket of its side is cut.
    Drop,
    /// The sockets of its side that are open now stay open, answer pings and send no data.
    Stall,
    /// The sockets of its side that are open now are neither read nor written any more, and not closed.
    HalfOpen,
    /// A connection waits for the answer to its WebSocket handshake.
    SlowHandshake,
    /// A WebSocket handshake is answered with 403.
    Handshake403,
    /// A WebSocket handshake is answered with 429.
    Handshake429,
    /// A WebSocket handshake is answered with 503, or another status from 500.
    Handshake5xx,
    /// One update is withheld, so that the next one does not follow.
    Gap,
    /// One update is sent again.
    Duplicate,
    /// One update comes after the one that follows it.
    Reorder,
    /// One update of a `books` channel carries a wrong checksum.
    BadChecksum,
    /// One frame is torn text that is not JSON.
    Garbage,
    /// A frame of many megabytes comes before the next one.
    HugeFrame,
    /// One message comes in several WebSocket frames with pauses between them.
    SplitFrame,
    /// The order is accepted, then answered with HTTP 503 and no JSON.
    ServerErrorAfterAccept,
    /// The order is accepted, then the connection is closed without an answer.
    AckLost,
    /// The order is accepted and pushed, and its answer comes long after.
    AckLate,
    /// The order trades, and its fill is pushed before the request is answered.
    FillBeforeAck,
    /// The order that is to be cancelled fills first, and the cancellation is confirmed all the same.
    CancelFillRace,
    /// One private push is sent again.
    DuplicatePush,
    /// The venue is closed: REST answers a system code, streams are told and closed, handshakes get 503.
    Maintenance,
    /// The order is accepted and pushed as live, and taken away by the venue a little later.
    RejectedLater,
    /// A key has other rights from now on.
    RightsChanged,
    /// A key is frozen.
    KeyFrozen,
    /// The venue's clock jumps.
    ClockJump,
}

/// What a fault concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// Whole connections.
    Sockets,
    /// The opening of a connection.
    Handshake,
    /// One frame.
    Frame,
    /// One order and its answer.
    Order,
    /// The venue, its keys and its clock.
    Venue,
}

/// Where a fault acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultSite {
    /// On connections to the public address.
    Public,
    /// On connections to the private address.
    Private,
    /// On requests, or on the venue as a whole.
    Rest,
    /// On handshakes with either address.
    Handshake,
}

impl FaultSite {
    /// The name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Rest => "rest",
            Self::Handshake => "handshake",
        }
    }

    /// Whether a fault that is planned here acts on a connection of `other`.
    pub(crate) fn covers(self, other: Self) -> bool {
        self == other || (self == Self::Handshake && matches!(other, Self::Public | Self::Private))
    }
}

impl FaultKind {
    /// Every fault there is.
    pub const ALL: [Self; 25] = [
        Self::Drop,
        Self::Stall,
        Self::HalfOpen,
        Self::SlowHandshake,
        Self::Handshake403,
        Self::Handshake429,
        Self::Handshake5xx,
        Self::Gap,
        Self::Duplicate,
        Self::Reorder,
        Self::BadChecksum,
        Self::Garbage,
        Self::HugeFrame,
        Self::SplitFrame,
        Self::ServerErrorAfterAccept,
        Self::AckLost,
        Self::AckLate,
        Self::FillBeforeAck,
        Self::CancelFillRace,
        Self::DuplicatePush,
        Self::Maintenance,
        Self::RejectedLater,
        Self::RightsChanged,
        Self::KeyFrozen,
        Self::ClockJump,
    ];

    /// The name on the command line and in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Stall => "stall",
            Self::HalfOpen => "half-open",
            Self::SlowHandshake => "slow-handshake",
            Self::Handshake403 => "handshake-403",
            Self::Handshake429 => "handshake-429",
            Self::Handshake5xx => "handshake-5xx",
            Self::Gap => "gap",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::BadChecksum => "bad-checksum",
            Self::Garbage => "garbage",
            Self::HugeFrame => "huge-frame",
            Self::SplitFrame => "split-frame",
            Self::ServerErrorAfterAccept => "5xx-after-accept",
            Self::AckLost => "ack-lost",
            Self::AckLate => "ack-late",
            Self::FillBeforeAck => "fill-before-ack",
            Self::CancelFillRace => "cancel-fill-race",
            Self::DuplicatePush => "duplicate-push",
            Self::Maintenance => "maintenance",
            Self::RejectedLater => "rejected-later",
            Self::RightsChanged => "rights-changed",
            Self::KeyFrozen => "key-frozen",
            Self::ClockJump => "clock-jump",
        }
    }

    /// The fault with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    const fn family(self) -> Family {
        match self {
            Self::Drop | Self::Stall | Self::HalfOpen => Family::Sockets,
            Self::SlowHandshake | Self::Handshake403 | Self::Handshake429 | Self::Handshake5xx => Family::Handshake,
            Self::Gap
            | Self::Duplicate
            | Self::Reorder
            | Self::BadChecksum
            | Self::Garbage
            | Self::HugeFrame
            | Self::SplitFrame
            | Self::DuplicatePush => Family::Frame,
            Self::ServerErrorAfterAccept
            | Self::AckLost
            | Self::AckLate
            | Self::FillBeforeAck
            | Self::CancelFillRace
            | Self::RejectedLater => Family::Order,
            Self::Maintenance | Self::RightsChanged | Self::KeyFrozen | Self::ClockJump => Family::Venue,
        }
    }

    /// Where it may act, the default first.
    #[must_use]
    pub const fn sites(self) -> &'static [FaultSite] {
        use FaultSite::{Handshake, Private, Public, Rest};
        match (self, self.family()) {
            (Self::BadChecksum, _) => &[Public],
            (Self::DuplicatePush, _) => &[Private],
            (_, Family::Sockets | Family::Frame) => &[Public, Private],
            (_, Family::Handshake) => &[Handshake, Public, Private],
            (_, Family::Order | Family::Venue) => &[Rest],
        }
    }

    /// Where it acts unless told otherwise.
    #[must_use]
    pub const fn default_site(self) -> FaultSite {
        match (self, self.family()) {
            (Self::DuplicatePush, _) => FaultSite::Private,
            (_, Family::Sockets | Family::Frame) => FaultSite::Public,
            (_, Family::Handshake) => FaultSite::Handshake,
            (_, Family::Order | Family::Venue) => FaultSite::Rest,
        }
    }

    /// The parameters that it knows, by their names in files.
    #[must_use]
    pub const fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::SlowHandshake | Self::AckLate | Self::RejectedLater | Self::Reorder => &["delay_ms"],
            Self::SplitFrame => &["delay_ms", "parts"],
            Self::HugeFrame => &["bytes"],
            Self::Maintenance | Self::Handshake5xx => &["code"],
            Self::RightsChanged => &["key", "permissions"],
            Self::KeyFrozen => &["key"],
            Self::ClockJump => &["jump_ms"],
            _ => &[],
        }
    }

    /// Whether it acts on the next order that is accepted.
    #[must_use]
    pub const fn concerns_an_order(self) -> bool {
        matches!(self.family(), Family::Order) && !matches!(self, Self::CancelFillRace)
    }

    /// Whether it acts at its time, and does not wait for an order, frame or handshake.
    #[must_use]
    pub const fn acts_at_once(self) -> bool {
        matches!(self.family(), Family::Sockets | Family::Venue)
    }

    /// Whether a chance is drawn for each frame, each handshake, or (neither) each order.
    pub(crate) const fn drawn_per(self) -> Occasion {
        match self.family() {
            Family::Sockets | Family::Frame => Occasion::Frame,
            Family::Handshake => Occasion::Handshake,
            Family::Order | Family::Venue => Occasion::Order,
        }
    }
}

/// What a chance is drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    Order,
    Frame,
    Handshake,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When a fault acts; one that waits for an order, frame or handshake acts on the next one from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultTime {
    /// With the N-th order that reaches the exchange, from 1.
    PlaceRequest(u64),
    /// With the N-th publication of its side that somebody hears, from 1.
    Frame(u64),
    /// With the N-th handshake of its side, from 1.
    Handshake(u64),
    /// This long after the start.
    Elapsed(Duration),
    /// Again and again, each time with this chance in a million: per frame, handshake or order.
    Chance(u32),
    /// At once.
    Now,
}

/// What a fault is told beside its name; what is `None` has a default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FaultParameters {
    /// How long it holds something back.
    pub delay: Option<Duration>,
    /// Size of a huge frame.
    pub bytes: Option<usize>,
    /// Number of frames that one message is split into.
    pub parts: Option<usize>,
    /// The venue's code during maintenance, or the HTTP status of a handshake.
    pub code: Option<String>,
    /// How far the clock jumps, in milliseconds; negative: backwards.
    pub jump_ms: Option<i64>,
    /// Which key; the main key when absent.
    pub key: Option<String>,
    /// What the key may do from then on; reading only when absent.
    pub permissions: Option<Vec<Permission>>,
}

/// One fault and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// When.
    pub at: FaultTime,
    /// Where.
    pub site: FaultSite,
    /// How many orders, frames or handshakes it meets; `None`: one, or all within its duration.
    pub times: Option<u32>,
    /// How long it lasts; `None`: once, or for good.
    pub duration: Option<Duration>,
    /// The rest.
    pub parameters: FaultParameters,
}

impl PlannedFault {
    /// A fault in its usual place, once, with its usual parameters.
    #[must_use]
    pub fn new(kind: FaultKind, at: FaultTime) -> Self {
        Self {
            kind,
            at,
            site: kind.default_site(),
            times: None,
            duration: None,
            parameters: FaultParameters::default(),
        }
    }
}

/// All faults of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FaultPlan {
    /// The faults, in the order given.
    pub faults: Vec<PlannedFault>,
    /// Seed of the chances.
    pub seed: u64,
}

/// Why a text is not a fault plan.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum FaultPlanError {
    /// No such fault.
    #[error("unknown fault `{name}`; known: {known}", known = known_names())]
    Unknown {
        /// The name given.
        name: String,
    },
    /// The part behind `@` is missing or not a time.
    #[error(
        "fault `{name}` needs a time: `{name}@20` acts on the 20th order, `{name}@5s` five seconds after the start"
    )]
    Time {
        /// The fault's name.
        name: String,
    },
    /// A file or request that says something else than faults.
    #[error("{}", problems.join("\n"))]
    Problems {
        /// Everything that is wrong, each with its place.
        problems: Vec<String>,
    },
}

pub(crate) fn known_names() -> String {
    FaultKind::ALL.map(FaultKind::name).join(", ")
}

impl FaultPlan {
    /// Faults planned here at most.
    pub const FAULTS_MAX: usize = 1_000;

    /// Reads `NAME@N` or `NAME@Ns`, several of them separated by commas; nothing at all is no fault.
    ///
    /// # Errors
    /// [`FaultPlanError`] with the known names, or with the forms of a time.
    pub fn parse(text: &str) -> Result<Self, FaultPlanError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        Ok(Self { faults: parts.map(parse_one).collect::<Result<_, _>>()?, seed: 0 })
    }

    /// Adds the faults of another plan; its seed counts if it has one.
    pub fn extend(&mut self, other: Self) {
        self.faults.extend(other.faults);
        if other.seed != 0 {
            self.seed = other.seed;
        }
    }
}

impl FromStr for FaultPlan {
    type Err = FaultPlanError;

    fn from_str(text: &str) -> Result<Self, FaultPlanError> {
        Self::parse(text)
    }
}

fn parse_one(text: &str) -> Result<PlannedFault, FaultPlanError> {
    let (name, time) = text.split_once('@').unwrap_or((text, ""));
    let kind = FaultKind::named(name).ok_or_else(|| FaultPlanError::Unknown { name: name.to_owned() })?;
    let at = match time.strip_suffix('s') {
        Some(seconds) => seconds.parse().ok().map(|seconds| FaultTime::Elapsed(Duration::from_secs(seconds))),
        None => time.parse().ok().filter(|count| *count > 0).map(FaultTime::PlaceRequest),
    };
    let at = at.ok_or_else(|| FaultPlanError::Time { name: name.to_owned() })?;
    Ok(PlannedFault::new(kind, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name_with_either_time() {
        for kind in FaultKind::ALL {
            let plan = FaultPlan::parse(&format!("{kind}@20, {kind}@5s")).unwrap();
            let times: Vec<FaultTime> = plan.faults.iter().map(|fault| fault.at).collect();
            assert_eq!(times, [FaultTime::PlaceRequest(20), FaultTime::Elapsed(Duration::from_secs(5))]);
            assert!(plan.faults.iter().all(|fault| fault.kind == kind));
            assert_eq!(kind.sites().first(), Some(&kind.default_site()));
        }
        assert_eq!(FaultPlan::parse(""), Ok(FaultPlan::default()));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let message = FaultPlan::parse("ack-gone@3").unwrap_err().to_string();
        for kind in FaultKind::ALL {
            assert!(message.contains(kind.name()), "{message}");
        }
    }

    #[test]
    fn a_missing_or_odd_time_is_answered_with_the_forms() {
        for text in ["drop", "drop@", "drop@0", "drop@-1", "drop@5m", "drop@s"] {
            let message = FaultPlan::parse(text).unwrap_err().to_string();
            assert!(message.contains("drop@20") && message.contains("drop@5s"), "{text}: {message}");
        }
    }
}
