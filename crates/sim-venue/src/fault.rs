//! Faults on demand: what goes wrong, and when.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Something that can go wrong at a venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Every public socket is cut.
    Drop,
    /// The public sockets that are open now stay open and send no data any more.
    Stall,
    /// One update of a `books` channel is withheld, so that the next one does not follow.
    Gap,
    /// One update of a `books` channel carries a wrong checksum.
    BadChecksum,
    /// The order is accepted, then answered with HTTP 503 and no JSON.
    ServerErrorAfterAccept,
    /// The order is accepted, then the connection is closed without an answer.
    AckLost,
    /// The order trades, and its fill is pushed before the request is answered.
    FillBeforeAck,
}

impl FaultKind {
    /// Every fault there is.
    pub const ALL: [Self; 7] = [
        Self::Drop,
        Self::Stall,
        Self::Gap,
        Self::BadChecksum,
        Self::ServerErrorAfterAccept,
        Self::AckLost,
        Self::FillBeforeAck,
    ];

    /// The name used on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Stall => "stall",
            Self::Gap => "gap",
            Self::BadChecksum => "bad-checksum",
            Self::ServerErrorAfterAccept => "5xx-after-accept",
            Self::AckLost => "ack-lost",
            Self::FillBeforeAck => "fill-before-ack",
        }
    }

    /// Whether it concerns the answer to an order, and not the market data.
    #[must_use]
    pub const fn concerns_an_order(self) -> bool {
        matches!(self, Self::ServerErrorAfterAccept | Self::AckLost | Self::FillBeforeAck)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When a fault acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultTime {
    /// With the N-th order that reaches the exchange, from 1.
    PlaceRequest(u64),
    /// This long after the start; one that concerns an order then acts on the next order.
    Elapsed(Duration),
}

/// One fault and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedFault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// When.
    pub at: FaultTime,
}

/// All faults of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FaultPlan {
    /// The faults, in the order given.
    pub faults: Vec<PlannedFault>,
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
}

fn known_names() -> String {
    FaultKind::ALL.map(FaultKind::name).join(", ")
}

impl FaultPlan {
    /// Reads `NAME@N` or `NAME@Ns`, several of them separated by commas; nothing at all is no fault.
    ///
    /// # Errors
    /// [`FaultPlanError`] with the known names, or with the forms of a time.
    pub fn parse(text: &str) -> Result<Self, FaultPlanError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        Ok(Self { faults: parts.map(parse_one).collect::<Result<_, _>>()? })
    }

    /// Adds the faults of another plan.
    pub fn extend(&mut self, other: Self) {
        self.faults.extend(other.faults);
    }

    /// Takes out the faults that act with order number `count`.
    pub(crate) fn due_at_order(&mut self, count: u64) -> Vec<FaultKind> {
        self.take(|at| at == FaultTime::PlaceRequest(count))
    }

    /// Takes out the faults that act by `elapsed`.
    pub(crate) fn due_by(&mut self, elapsed: Duration) -> Vec<FaultKind> {
        self.take(|at| matches!(at, FaultTime::Elapsed(after) if after <= elapsed))
    }

    fn take(&mut self, due: impl Fn(FaultTime) -> bool) -> Vec<FaultKind> {
        let taken = self.faults.iter().filter(|fault| due(fault.at)).map(|fault| fault.kind).collect();
        self.faults.retain(|fault| !due(fault.at));
        taken
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
    let kind = FaultKind::ALL.into_iter().find(|kind| kind.name() == name);
    let kind = kind.ok_or_else(|| FaultPlanError::Unknown { name: name.to_owned() })?;
    let at = match time.strip_suffix('s') {
        Some(seconds) => seconds.parse().ok().map(|seconds| FaultTime::Elapsed(Duration::from_secs(seconds))),
        None => time.parse().ok().filter(|count| *count > 0).map(FaultTime::PlaceRequest),
    };
    Ok(PlannedFault { kind, at: at.ok_or_else(|| FaultPlanError::Time { name: name.to_owned() })? })
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

    #[test]
    fn a_fault_acts_once() {
        let mut plan = FaultPlan::parse("gap@2,drop@1s").unwrap();
        assert!(plan.due_at_order(1).is_empty());
        assert_eq!(plan.due_at_order(2), [FaultKind::Gap]);
        assert!(plan.due_at_order(2).is_empty());
        assert!(plan.due_by(Duration::from_millis(999)).is_empty());
        assert_eq!(plan.due_by(Duration::from_secs(3)), [FaultKind::Drop]);
        assert!(plan.faults.is_empty());
    }
}
