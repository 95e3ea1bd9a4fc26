//! The end in order: one stage after the other, each with a deadline.
//!
//! `System::stop` drops every mailbox at once; it comes last, after these stages.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

type Step = Pin<Box<dyn Future<Output = ()>>>;

struct Stage {
    name: &'static str,
    patience: Duration,
    step: Box<dyn FnOnce() -> Step>,
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageOutcome {
    /// It completed within its time.
    Done,
    /// Its time passed; what it was waiting for was given up.
    OutOfTime,
    /// The caller's `give_up` completed first; this stage did not complete or was never begun.
    GivenUp,
}

/// What became of one stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageReport {
    /// Name of the stage.
    pub stage: &'static str,
    /// How it ended.
    pub outcome: StageOutcome,
}

/// The stages of a shutdown, in order.
#[derive(Default)]
pub struct Shutdown {
    stages: Vec<Stage>,
}

impl Shutdown {
    /// No stages yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stage; `step` is called only when all earlier stages have ended.
    #[must_use]
    pub fn stage<F: Future<Output = ()> + 'static>(
        mut self,
        name: &'static str,
        patience: Duration,
        step: impl FnOnce() -> F + 'static,
    ) -> Self {
        self.stages.push(Stage { name, patience, step: Box::new(move || Box::pin(step())) });
        self
    }

    /// Runs the stages. A stage out of time does not keep the next from running.
    /// When `give_up` completes (a second signal), the rest is reported as given up.
    pub async fn run(self, give_up: impl Future<Output = ()>) -> Vec<StageReport> {
        tokio::pin!(give_up);
        let mut given_up = false;
        let mut reports = Vec::with_capacity(self.stages.len());
        for stage in self.stages {
            let outcome = if given_up {
                StageOutcome::GivenUp
            } else {
                tokio::select! {
                    biased;
                    () = &mut give_up => {
                        given_up = true;
                        StageOutcome::GivenUp
                    }
                    done = tokio::time::timeout(stage.patience, (stage.step)()) => match done {
                        Ok(()) => StageOutcome::Done,
                        Err(_) => StageOutcome::OutOfTime,
                    },
                }
            };
            reports.push(StageReport { stage: stage.name, outcome });
        }
        reports
    }
}
