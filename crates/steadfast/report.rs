//! What a person reads when something is wrong: what happened, why, what to do. Nothing else prints errors.

use std::fmt;
use std::process::ExitCode;

/// Exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Something failed.
    Failure = 1,
    /// The command line asks for something that does not exist, as the argument parser's own errors do.
    Usage = 2,
    /// The settings are invalid.
    Settings = 3,
    /// No daemon answers.
    NotReachable = 4,
    /// Refused by risk, or halted.
    Refused = 5,
    /// A key, permission or vault problem.
    Key = 6,
    /// Something took too long.
    Timeout = 7,
    /// A thing that was named does not exist.
    NotFound = 8,
    /// Interrupted for the second time.
    Interrupted = 130,
}

impl Exit {
    /// The exit code of this number; a failure for an unknown one.
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        let known = [Self::Usage, Self::Settings, Self::NotReachable, Self::Refused, Self::Key, Self::Timeout];
        known.into_iter().chain([Self::NotFound]).find(|exit| *exit as u8 == code).unwrap_or(Self::Failure)
    }
}

/// One problem, in the three parts that a person needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The exit code it leads to.
    pub exit: Exit,
    /// What happened, in a clause without a full stop.
    pub what: String,
    /// Why, if that is known and not the same.
    pub why: Option<String>,
    /// What to do next.
    pub fix: Option<String>,
}

impl Trouble {
    /// A problem of which only the fact is known yet.
    #[must_use]
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), why: None, fix: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn why(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Adds what to do, where nobody has said it yet.
    #[must_use]
    pub fn or_fix(self, fix: impl Into<String>) -> Self {
        if self.fix.is_some() { self } else { self.fix(fix) }
    }

    /// The process's exit code.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        if let Some(why) = &self.why {
            write!(f, "\n  why: {}", why.replace('\n', "\n       "))?;
        }
        if let Some(fix) = &self.fix {
            write!(f, "\n  try: {}", fix.replace('\n', "\n       "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Trouble {}

/// The chain of causes of an error, in one line.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
