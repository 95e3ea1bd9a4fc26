//! The seam behind which one-time codes are checked: in this process or in the signer's.

/// Checks that a person is there, by a fresh one-time code.
pub trait StepUp: Send + Sync + 'static {
    /// Whether codes are set up; if not, no step needs one.
    fn enrolled(&self) -> bool;

    /// Accepts a one-time code, or a recovery code, for one step. It is spent when this returns `Ok`. May block for
    /// as long as a save to disk takes.
    ///
    /// # Errors
    /// [`StepUpRefusal`]; the step must not be done.
    fn verify(&self, code: &str, purpose: &str) -> Result<(), StepUpRefusal>;
}

/// Why a code was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum StepUpRefusal {
    /// Not the code of now, nor an unused recovery code.
    #[error("the code is wrong")]
    Wrong,
    /// It was accepted before.
    #[error("the code was used before; wait for the next one")]
    Replayed,
    /// Too many wrong codes.
    #[error("too many wrong codes: none is accepted for {seconds} s")]
    Locked {
        /// Until then, in seconds.
        seconds: u64,
    },
    /// No codes are set up.
    #[error("no codes are set up")]
    NotEnrolled,
    /// It could not be checked, or that it was spent could not be stored.
    #[error("the code could not be checked now")]
    Unavailable,
}

impl StepUpRefusal {
    /// The word in metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wrong => "step_up_wrong",
            Self::Replayed => "step_up_replayed",
            Self::Locked { .. } => "step_up_locked",
            Self::NotEnrolled => "step_up_not_enrolled",
            Self::Unavailable => "step_up_unavailable",
        }
    }
}

/// No codes are set up, and none can be.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotEnrolled;

impl StepUp for NotEnrolled {
    fn enrolled(&self) -> bool {
        false
    }

    fn verify(&self, _code: &str, _purpose: &str) -> Result<(), StepUpRefusal> {
        Err(StepUpRefusal::NotEnrolled)
    }
}
