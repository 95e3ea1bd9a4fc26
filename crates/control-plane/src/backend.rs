//! The seam to the rest of the program: what the control plane asks for, and what it may have done.

use crate::keys_api::{KeyDetail, KeyDone, KeyWish, SealingKeyView};
use crate::view::{BalanceView, BookView, EquityPoint, FillView, OrderView, Page, PositionView, Status};
use messages::{NotReadyReason, TradingState};
use serde::{Deserialize, Serialize};

/// Gives the views and does the acts. Called from the control plane's own threads; it may take locks, but must not
/// make the order path wait.
pub trait Backend: Send + Sync + 'static {
    /// Everything about the program in one view.
    fn status(&self) -> Status;
    /// Orders, newest first: at most `limit`, from before `cursor` (none: from the newest).
    fn orders(&self, cursor: Option<u64>, limit: usize) -> Page<OrderView>;
    /// Fills, newest first: at most `limit`, from before `cursor` (none: from the newest).
    fn fills(&self, cursor: Option<u64>, limit: usize) -> Page<FillView>;
    /// Positions of the bot.
    fn positions(&self) -> Vec<PositionView>;
    /// Balances at the venues.
    fn balances(&self) -> Vec<BalanceView>;
    /// Equity over time, oldest first.
    fn equity(&self) -> Vec<EquityPoint>;
    /// The top of each instrument's book.
    fn book(&self) -> Vec<BookView>;
    /// Why no orders may be sent now; empty: they may.
    fn ready(&self) -> Vec<NotReadyReason>;
    /// Does an operator's act and returns when it is in force: a halt when it is confirmed. May block for some seconds.
    ///
    /// # Errors
    /// [`ActRefused`] when it was not done; the caller tells the person why.
    fn act(&self, act: &Act) -> Result<ActDone, ActRefused>;
    /// All exchange keys, revoked ones included, oldest first.
    ///
    /// # Errors
    /// [`ActRefused`] when whoever keeps them does not answer.
    fn keys(&self) -> Result<Vec<KeyDetail>, ActRefused>;
    /// The key to which the values of a new exchange key are sealed.
    ///
    /// # Errors
    /// [`ActRefused`] when whoever keeps the keys does not answer.
    fn sealing_key(&self) -> Result<SealingKeyView, ActRefused>;
    /// Fulfils a wish about an exchange key; what it changed is on disk when this returns. A verification goes on
    /// after that.
    ///
    /// # Errors
    /// [`ActRefused`] when it was not done; the caller tells the person why.
    fn key_act(&self, wish: &KeyWish) -> Result<KeyDone, ActRefused>;
}

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActVerb {
    /// Only reducing orders from now on.
    Pause,
    /// Back to normal from a pause.
    Resume,
    /// Cancel all, block new orders, survive a restart.
    Halt,
    /// Lift a halt.
    Unhalt,
}

impl ActVerb {
    /// The word in addresses, metrics and the journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Halt => "halt",
            Self::Unhalt => "unhalt",
        }
    }
}

/// One act: what, why and from where. It is asked for by a holder of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// What to do.
    pub verb: ActVerb,
    /// Why, in the operator's words: one line, at most 256 characters, empty when none was given. Never empty for
    /// [`ActVerb::Unhalt`].
    pub reason: String,
    /// From where: an address with port, or `socket`.
    pub origin: String,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActDone {
    /// The state that holds now.
    pub trading: TradingState,
    /// Each thing that was done, a sentence each, such as `cancelled 4 resting orders`.
    pub done: Vec<String>,
}

/// Why an act was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActRefused {
    /// A stable word for programs, such as `not_halted`.
    pub code: &'static str,
    /// What stood in the way, in a sentence.
    pub why: String,
    /// What to do next.
    pub fix: String,
}
