//! A thread of its own for work that blocks: files, databases, password hashing.
//!
//! Blocking on an Arbiter stalls every actor there, and actix does not replace a
//! dead `SyncArbiter` thread; this thread is made anew from its factory.

use crate::mailbox::{Counters, MailboxBound, MailboxReading, Outlet, PostError, Receipt};
use crate::restart::{Rebuild, RestartWindow};
use crate::supervise::{Escalation, Keeper};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Does the jobs of one [`Worker`], one after the other.
pub trait WorkerJob<J>: 'static {
    /// Does one job; may block.
    fn work(&mut self, job: J);
}

impl<J, F: FnMut(J) + 'static> WorkerJob<J> for F {
    fn work(&mut self, job: J) {
        self(job);
    }
}

/// The posting end of a worker thread. Dropping all clones ends the thread
/// after the jobs that were accepted.
pub struct Worker<J> {
    jobs: SyncSender<(J, Receipt)>,
    counters: Arc<Counters>,
}

impl<J> Clone for Worker<J> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), counters: Arc::clone(&self.counters) }
    }
}

impl<J: Send + 'static> Worker<J> {
    /// Starts a thread named `name` that does its jobs with what `factory` makes there.
    ///
    /// # Errors
    /// What the system said when it gave no thread.
    pub fn start<W: WorkerJob<J>>(
        keeper: &Keeper,
        name: &'static str,
        jobs_max: usize,
        rebuild: Rebuild,
        factory: impl FnMut() -> W + Send + 'static,
        on_escalate: impl FnOnce(Escalation) + Send + 'static,
    ) -> std::io::Result<Self> {
        let bound = MailboxBound { messages_max: jobs_max, reserve: 0 };
        let counters = keeper.counters(name, bound);
        let (jobs, inbox) = sync_channel(jobs_max);
        let (keeper, shared) = (keeper.clone(), Arc::clone(&counters));
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || live(&keeper, name, &inbox, rebuild, factory, on_escalate, &shared))?;
        Ok(Self { jobs, counters })
    }

    /// Posts a job without waiting.
    ///
    /// # Errors
    /// [`PostError`] with the job.
    pub fn post(&self, job: J) -> Result<(), PostError<J>> {
        if self.counters.is_closed() {
            self.counters.count_refusal();
            return Err(PostError::Closed(job));
        }
        let Some(receipt) = self.counters.enter(self.counters.bound().messages_max) else {
            self.counters.count_refusal();
            return Err(PostError::Full(job));
        };
        // As many places as the channel has room for, so it cannot be full.
        self.jobs.try_send((job, receipt)).map_err(|refusal| {
            let (std::sync::mpsc::TrySendError::Full((job, _)) | std::sync::mpsc::TrySendError::Disconnected((job, _))) =
                refusal;
            self.counters.count_refusal();
            PostError::Down(job)
        })
    }

    /// The state of this worker's queue.
    #[must_use]
    pub fn reading(&self) -> MailboxReading {
        self.counters.reading()
    }

    /// An outlet that posts to this worker.
    #[must_use]
    pub fn outlet(&self) -> Outlet<J> {
        let worker = self.clone();
        Outlet::from_fn(move |job| worker.post(job))
    }

    /// Accepts nothing further and completes when all accepted jobs are done.
    pub async fn finish(&self) {
        self.counters.close();
        self.counters.drained().await;
    }
}

fn live<J, W: WorkerJob<J>>(
    keeper: &Keeper,
    name: &'static str,
    inbox: &Receiver<(J, Receipt)>,
    rebuild: Rebuild,
    mut factory: impl FnMut() -> W,
    on_escalate: impl FnOnce(Escalation),
    counters: &Counters,
) {
    panic_place::note();
    let mut window = RestartWindow::new(rebuild);
    loop {
        keeper.observer().actor_up(name, true);
        let life = catch_unwind(AssertUnwindSafe(|| {
            let mut worker = factory();
            while let Ok((job, _receipt)) = inbox.recv() {
                fail_point::step(name);
                worker.work(job);
            }
        }));
        keeper.observer().actor_up(name, false);
        if life.is_ok() {
            return;
        }
        let cause = panic_place::told();
        keeper.observer().actor_died(name, &cause);
        let Some(wait) = window.died(keeper.clock().mono()) else {
            counters.close();
            while let Ok((_job, receipt)) = inbox.try_recv() {
                receipt.lost(std::any::type_name::<J>());
            }
            on_escalate(Escalation { actor: name, cause, rebuilt: window.count() });
            return;
        };
        std::thread::sleep(wait);
        keeper.observer().actor_rebuilt(name, window.count());
    }
}
