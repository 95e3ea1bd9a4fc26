//! Carries what the signers refuse, rule by rule, into the metrics.
//!
//! The signers count; this asks them now and then. A signer that was made anew counts from zero again, the metric goes
//! on.

use crate::report::{Exit, Trouble};
use domain::VenueId;
use order_signer::{KeyStore, Refusals};
use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two questions: short beside a scrape, long beside the answer.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// What was counted last, so that only what is new is added.
#[derive(Debug, Default)]
struct Counted(BTreeMap<VenueId, Vec<u64>>);

impl Counted {
    /// The rules by which a signer has refused since it was last asked, and how often.
    fn news(&mut self, told: &Refusals) -> Vec<(&'static str, u64)> {
        let before = self.0.insert(told.seat, told.counts.clone()).unwrap_or_default();
        // Counters only rise: one that is lower is another signer's.
        let anew = told.counts.iter().zip(&before).any(|(now, before)| now < before);
        let before = before.into_iter().map(|count| if anew { 0 } else { count }).chain(std::iter::repeat(0));
        let news = Refusals::rules().zip(told.counts.iter().zip(before));
        news.map(|(rule, (now, before))| (rule, now - before)).filter(|(_, count)| *count > 0).collect()
    }
}

/// Asks on a thread of its own; ends with this value.
pub struct RefusalWatch {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RefusalWatch {
    /// Starts asking. `accounts`: the names by which metrics know the venue accounts.
    ///
    /// # Errors
    /// [`Trouble`] when the system gives no thread.
    pub fn start(store: Box<dyn KeyStore + Send>, accounts: Vec<(VenueId, String)>) -> Result<Self, Trouble> {
        let (stop, stopped) = sync_channel::<()>(1);
        for (_, account) in &accounts {
            Refusals::rules().for_each(|rule| telemetry::signer_refused_total(account, rule).increment(0));
        }
        let work = move || {
            let mut counted = Counted::default();
            loop {
                let ended = !matches!(stopped.recv_timeout(ASK_EVERY), Err(RecvTimeoutError::Timeout));
                // A signer that is away has nothing to tell; its successor counts from zero.
                for told in store.refusals().unwrap_or_default() {
                    let Some((_, account)) = accounts.iter().find(|(seat, _)| *seat == told.seat) else { continue };
                    for (rule, count) in counted.news(&told) {
                        telemetry::signer_refused_total(account, rule).increment(count);
                    }
                }
                if ended {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("refusals".to_owned())
            .spawn(work)
            .map_err(|error| Trouble::new(Exit::Failure, "no thread to count refusals").why(error))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for RefusalWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(seat: u8, rule: &str, count: u64) -> Refusals {
        let counts = Refusals::rules().map(|name| if name == rule { count } else { 0 }).collect();
        Refusals { seat: VenueId(seat), counts }
    }

    #[test]
    fn only_what_is_new_is_added_and_a_signer_made_anew_counts_from_zero() {
        let mut counted = Counted::default();
        assert_eq!(counted.news(&told(1, "symbol", 3)), [("symbol", 3)]);
        assert_eq!(counted.news(&told(1, "symbol", 3)), []);
        assert_eq!(counted.news(&told(1, "symbol", 8)), [("symbol", 5)]);
        assert_eq!(counted.news(&told(2, "symbol", 2)), [("symbol", 2)], "another account");
        assert_eq!(counted.news(&told(1, "day_budget", 2)), [("day_budget", 2)], "after a restart");
        assert_eq!(counted.news(&told(1, "day_budget", 4)), [("day_budget", 2)]);
    }

    #[test]
    fn rules_are_a_closed_set_without_doubles() {
        let names: Vec<_> = Refusals::rules().collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), distinct.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    }
}
