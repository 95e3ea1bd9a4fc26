//! The queue before the audit log of a run: entries are written in their order by a thread of its own, so that nobody
//! who stops trading waits for a disk or for the signer process.

use crate::report::{Exit, Trouble, causes};
use audit::{AuditEntry, AuditError, AuditSink, AuditVerb, Decision};
use domain::{Clock, MonoNanos};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Entries that may wait for the thread, and as many that may wait there for the log.
const ENTRIES_MAX: usize = 256;
/// Between two syncs of what waits; as often what could not be recorded is tried again.
const TICK_EVERY: Duration = Duration::from_secs(1);
/// Longest wait of somebody who may not go on unrecorded.
const PATIENCE: Duration = Duration::from_secs(5);

enum Word {
    /// To be recorded, tried again when it cannot be.
    Entry(AuditEntry),
    /// To be recorded now or never; whoever waits hears.
    Asked(AuditEntry, SyncSender<Result<u64, AuditError>>),
    /// The last one: to be recorded, then everything is sealed.
    Last(AuditEntry, SyncSender<Result<u64, AuditError>>),
}

/// Where the parts of a run record. Copies share one queue.
#[derive(Clone)]
pub struct AuditQueue(SyncSender<Word>);

impl AuditQueue {
    /// A queue before this log, and the thread that empties it; it ends when nobody holds the queue any more.
    ///
    /// # Errors
    /// [`Trouble`] when the system gives no thread.
    pub fn start(sink: Arc<dyn AuditSink>, clock: Arc<dyn Clock>) -> Result<Self, Trouble> {
        let (sender, words) = sync_channel(ENTRIES_MAX);
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || Writer { sink, waiting: VecDeque::new(), left_out: 0 }.write(&words, &*clock))
            .map_err(|error| Trouble::new(Exit::Failure, "no thread for the audit log").why(error))?;
        Ok(Self(sender))
    }

    /// Has an entry recorded soon, and never waits. For what lowers risk.
    pub fn post(&self, entry: AuditEntry) {
        let verb = entry.verb;
        if self.0.try_send(Word::Entry(entry)).is_err() {
            tracing::error!(verb = verb.as_str(), "not recorded in the audit log: too much waits already");
        }
    }

    /// Records an entry behind all that were posted before it, and waits until it is on disk. For what raises risk.
    ///
    /// # Errors
    /// [`AuditError`]: it was not recorded, or not in time.
    pub fn append(&self, entry: AuditEntry) -> Result<u64, AuditError> {
        self.ask(|told| Word::Asked(entry, told))
    }

    /// The program stops: records it and seals everything.
    pub fn stopped(&self, why: &str) {
        let entry = AuditEntry::by_system(AuditVerb::Stop, Decision::Done).because(why);
        if let Err(error) = self.ask(|told| Word::Last(entry, told)) {
            tracing::error!(error = %causes(&error), "the stop could not be recorded");
        }
    }

    fn ask(&self, word: impl FnOnce(SyncSender<Result<u64, AuditError>>) -> Word) -> Result<u64, AuditError> {
        let elsewhere = |why: &str| AuditError::Elsewhere { why: why.to_owned() };
        let (told, hears) = sync_channel(1);
        self.0.try_send(word(told)).map_err(|_| elsewhere("too much waits to be recorded"))?;
        hears.recv_timeout(PATIENCE).map_err(|_| elsewhere("it could not be recorded in time"))?
    }
}

struct Writer {
    sink: Arc<dyn AuditSink>,
    waiting: VecDeque<AuditEntry>,
    left_out: u64,
}

impl Writer {
    fn write(mut self, words: &Receiver<Word>, clock: &dyn Clock) {
        let mut due = clock.mono().after(TICK_EVERY);
        loop {
            fail_point::step("audit");
            let patience = Duration::from_nanos(due.0.saturating_sub(clock.mono().0));
            match words.recv_timeout(patience) {
                Ok(Word::Entry(entry)) => {
                    self.wait(entry);
                    self.catch_up();
                }
                Ok(Word::Asked(entry, told)) => {
                    // Somebody who has stopped waiting takes no answer.
                    let _ = told.try_send(self.now(entry));
                }
                Ok(Word::Last(entry, told)) => {
                    let recorded = self.now(entry);
                    let _ = told.try_send(recorded.and_then(|_| self.seal()));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.catch_up();
                    let _ = self.seal();
                    return;
                }
            }
            due = self.tick(due, clock.mono());
        }
    }

    fn tick(&mut self, due: MonoNanos, now: MonoNanos) -> MonoNanos {
        if now < due {
            return due;
        }
        self.catch_up();
        match self.sink.tick() {
            Ok(seq) => show(seq),
            Err(error) => tracing::error!(error = %causes(&error), "the audit log cannot be written"),
        }
        now.after(TICK_EVERY)
    }

    /// Records an entry behind all that wait; not at all when they cannot be recorded.
    fn now(&mut self, entry: AuditEntry) -> Result<u64, AuditError> {
        self.empty()?;
        self.sink.append(entry)
    }

    fn wait(&mut self, entry: AuditEntry) {
        if self.waiting.len() >= ENTRIES_MAX {
            self.waiting.pop_front();
            self.left_out = self.left_out.saturating_add(1);
            tracing::error!(left_out = self.left_out, "entries of the audit log are lost: it cannot be written");
        }
        self.waiting.push_back(entry);
    }

    fn catch_up(&mut self) {
        if let Err(error) = self.empty() {
            let waiting = self.waiting.len();
            tracing::error!(error = %causes(&error), waiting, "not recorded in the audit log yet; tried again");
        }
    }

    fn empty(&mut self) -> Result<(), AuditError> {
        while let Some(entry) = self.waiting.front() {
            self.sink.append(entry.clone())?;
            self.waiting.pop_front();
        }
        Ok(())
    }

    fn seal(&self) -> Result<u64, AuditError> {
        let sealed = self.sink.seal();
        if let Ok(seq) = &sealed {
            show(*seq);
        }
        sealed
    }
}

fn show(seq: u64) {
    #[expect(clippy::cast_precision_loss, reason = "exact up to nine quadrillion records")]
    telemetry::audit_seq().set(seq as f64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::SystemClock;
    use std::sync::Mutex;

    /// Keeps reasons; fails while it is told to; stands still while its gate is held.
    #[derive(Default)]
    struct Paper {
        fails: Mutex<bool>,
        gate: Mutex<()>,
        lines: Mutex<Vec<String>>,
    }

    impl AuditSink for Paper {
        fn append(&self, entry: AuditEntry) -> Result<u64, AuditError> {
            drop(self.gate.lock().unwrap());
            if *self.fails.lock().unwrap() {
                return Err(AuditError::WriterDied);
            }
            let mut lines = self.lines.lock().unwrap();
            lines.push(entry.reason);
            Ok(lines.len() as u64)
        }
        fn tick(&self) -> Result<u64, AuditError> {
            Ok(0)
        }
        fn seal(&self) -> Result<u64, AuditError> {
            self.lines.lock().unwrap().push("sealed".to_owned());
            Ok(0)
        }
    }

    fn halt(words: &str) -> AuditEntry {
        AuditEntry::by_system(AuditVerb::Halt, Decision::Done).because(words)
    }

    fn queue() -> (Arc<Paper>, AuditQueue) {
        let paper = Arc::new(Paper::default());
        let sink = Arc::clone(&paper) as Arc<dyn AuditSink>;
        (paper, AuditQueue::start(sink, Arc::new(SystemClock)).unwrap())
    }

    #[test]
    fn entries_are_written_in_their_order_and_sealed_at_the_stop() {
        let (paper, queue) = queue();
        queue.post(halt("halt 1"));
        queue.post(halt("halt 2"));
        assert_eq!(queue.append(halt("unhalt")).unwrap(), 3);
        queue.stopped("asked to");
        assert_eq!(*paper.lines.lock().unwrap(), ["halt 1", "halt 2", "unhalt", "asked to", "sealed"]);
    }

    #[test]
    fn what_could_not_be_recorded_is_tried_again_before_anything_else() {
        let (paper, queue) = queue();
        *paper.fails.lock().unwrap() = true;
        queue.post(halt("halt"));
        assert!(queue.append(halt("unhalt")).is_err());
        *paper.fails.lock().unwrap() = false;
        queue.append(halt("unhalt again")).unwrap();
        assert_eq!(*paper.lines.lock().unwrap(), ["halt", "unhalt again"]);
    }

    #[test]
    fn posting_goes_on_while_the_log_stands_still_and_the_first_are_kept() {
        let (paper, queue) = queue();
        let gate = paper.gate.lock().unwrap();
        for number in 0..4 * ENTRIES_MAX {
            queue.post(halt(&number.to_string()));
        }
        assert!(queue.append(halt("unhalt")).is_err(), "what raises risk is refused");
        drop(gate);
        while queue.append(halt("last")).is_err() {}
        let lines = paper.lines.lock().unwrap();
        assert_eq!(lines[..ENTRIES_MAX], (0..ENTRIES_MAX).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}
