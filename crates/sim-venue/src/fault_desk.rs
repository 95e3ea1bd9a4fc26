//! The book-keeping of faults: which wait, which are due, which have acted.
//!
//! A fault waits for its time; then it acts at once, or it is armed and meets the next order, frame
//! or handshake that suits it. Chances are drawn from a generator of each fault's own, so that the
//! same seed and the same traffic give the same faults.

use crate::fault::Occasion;
use crate::{FaultKind, FaultPlan, FaultSite, FaultTime, PlannedFault};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A fault whose time has not come, or comes again and again.
#[derive(Debug)]
struct Waiting {
    fault: PlannedFault,
    dice: ChaCha8Rng,
}

/// A fault whose time has come, and that waits for what it is to meet.
#[derive(Debug)]
struct Armed {
    fault: PlannedFault,
    /// What it still may meet; `None`: everything until its end.
    left: Option<u32>,
    /// Its end, since the start of the exchange.
    until: Option<Duration>,
}

/// One time that a fault acted.
#[derive(Debug)]
struct Fired {
    kind: FaultKind,
    site: FaultSite,
    at_ms: u64,
    elapsed: Duration,
}

/// How often a fault acted.
#[derive(Debug, Default)]
struct Tally {
    times: u64,
    last_ms: u64,
}

/// All faults of a running exchange.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    seed: u64,
    waiting: Vec<Waiting>,
    armed: Vec<Armed>,
    at_once: Vec<PlannedFault>,
    orders: u64,
    /// Publications that somebody heard: public, private.
    frames: [u64; 2],
    /// Public, private.
    handshakes: [u64; 2],
    elapsed: Duration,
    now_ms: u64,
    tallies: BTreeMap<(FaultKind, FaultSite), Tally>,
    log: VecDeque<Fired>,
    /// Faults planned so far; the number gives each its own chances.
    planned: u64,
}

/// What goes wrong with one order and its answer.
#[derive(Debug, Default)]
pub(crate) struct OrderFaults(Vec<PlannedFault>);

impl OrderFaults {
    pub(crate) fn contains(&self, kind: &FaultKind) -> bool {
        self.0.iter().any(|fault| fault.kind == *kind)
    }

    /// How long the fault of this kind holds something back, if it is among these.
    pub(crate) fn delay(&self, kind: FaultKind, default: Duration) -> Option<Duration> {
        self.0.iter().find(|fault| fault.kind == kind).map(|fault| fault.parameters.delay.unwrap_or(default))
    }

    /// Takes out the faults of one kind.
    pub(crate) fn split_off(&mut self, kind: FaultKind) -> Self {
        let (taken, left) = std::mem::take(&mut self.0).into_iter().partition(|fault| fault.kind == kind);
        self.0 = left;
        Self(taken)
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

const fn side(site: FaultSite) -> usize {
    if matches!(site, FaultSite::Private) { 1 } else { 0 }
}

fn count(counters: &mut [u64; 2], site: FaultSite) -> u64 {
    let Some(counter) = counters.get_mut(side(site)) else { return 0 };
    *counter += 1;
    *counter
}

impl Faults {
    /// Faults that may be armed at once; more are forgotten.
    const ARMED_MAX: usize = 1_000;
    /// Times of acting that are remembered.
    const LOG_MAX: usize = 1_000;

    pub(crate) fn new(plan: FaultPlan) -> Self {
        let mut faults = Self { seed: plan.seed, ..Self::default() };
        for fault in plan.faults {
            faults.wait(fault);
        }
        faults
    }

    /// Adds faults while the exchange runs; their times and numbers count from now.
    pub(crate) fn add(&mut self, plan: FaultPlan) -> Result<(), String> {
        if self.waiting.len() + plan.faults.len() > FaultPlan::FAULTS_MAX {
            return Err(format!("more than {} faults would wait", FaultPlan::FAULTS_MAX));
        }
        if plan.seed != 0 {
            self.seed = plan.seed;
        }
        for mut fault in plan.faults {
            let of = |counters: &[u64; 2]| match fault.site {
                FaultSite::Handshake => counters.iter().sum(),
                site => counters.get(side(site)).copied().unwrap_or(0),
            };
            fault.at = match fault.at {
                FaultTime::PlaceRequest(number) => FaultTime::PlaceRequest(self.orders.saturating_add(number)),
                FaultTime::Frame(number) => FaultTime::Frame(of(&self.frames).saturating_add(number)),
                FaultTime::Handshake(number) => FaultTime::Handshake(of(&self.handshakes).saturating_add(number)),
                FaultTime::Elapsed(after) => FaultTime::Elapsed(self.elapsed.saturating_add(after)),
                other => other,
            };
            if fault.at == FaultTime::Now { self.arm(fault) } else { self.wait(fault) }
        }
        Ok(())
    }

    /// Forgets what waits and what is armed; what lasts goes on until its end.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.armed.clear();
        self.at_once.clear();
    }

    fn wait(&mut self, fault: PlannedFault) {
        self.planned += 1;
        let dice = ChaCha8Rng::seed_from_u64(self.seed.rotate_left(32) ^ self.planned);
        self.waiting.push(Waiting { fault, dice });
    }

    /// Time since the start of the exchange, as it was last told.
    pub(crate) const fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// A fault's time has come.
    pub(crate) fn arm(&mut self, fault: PlannedFault) {
        tracing::info!(fault = fault.kind.name(), site = fault.site.name(), "fault due");
        if fault.kind.acts_at_once() {
            if self.at_once.len() < Self::ARMED_MAX {
                self.at_once.push(fault);
            }
            return;
        }
        if self.armed.len() >= Self::ARMED_MAX {
            tracing::warn!(fault = fault.kind.name(), "too many faults are armed; this one is forgotten");
            return;
        }
        let left = match (fault.times, fault.duration) {
            (None, Some(_)) => None,
            (times, _) => Some(times.unwrap_or(1)),
        };
        let until = fault.duration.map(|duration| self.elapsed.saturating_add(duration));
        self.armed.push(Armed { fault, left, until });
    }

    fn due(&mut self, occasion: Option<(Occasion, FaultSite)>, is_due: impl Fn(&PlannedFault) -> bool) {
        if self.waiting.is_empty() {
            return;
        }
        let mut due = Vec::new();
        self.waiting.retain_mut(|waiting| {
            if let FaultTime::Chance(in_a_million) = waiting.fault.at {
                let meets = occasion.is_some_and(|(occasion, site)| {
                    waiting.fault.kind.drawn_per() == occasion && waiting.fault.site.covers(site)
                });
                if meets && waiting.dice.random_range(0..1_000_000) < in_a_million {
                    due.push(waiting.fault.clone());
                }
                return true;
            }
            let now = is_due(&waiting.fault);
            if now {
                due.push(waiting.fault.clone());
            }
            !now
        });
        for fault in due {
            self.arm(fault);
        }
    }

    /// Tells the time at which something acts.
    pub(crate) const fn tell_time(&mut self, elapsed: Duration, now_ms: u64) {
        (self.elapsed, self.now_ms) = (elapsed, now_ms);
    }

    /// Time goes on; ends what has an end.
    pub(crate) fn on_time(&mut self, elapsed: Duration, now_ms: u64) {
        self.tell_time(elapsed, now_ms);
        self.armed.retain(|armed| armed.until.is_none_or(|until| until > elapsed));
        self.due(None, |fault| matches!(fault.at, FaultTime::Elapsed(after) if after <= elapsed));
    }

    /// An order has reached the exchange.
    pub(crate) fn on_order(&mut self) {
        self.orders += 1;
        let number = self.orders;
        self.due(Some((Occasion::Order, FaultSite::Rest)), |fault| fault.at == FaultTime::PlaceRequest(number));
    }

    /// Somebody is about to hear a publication.
    pub(crate) fn on_frame(&mut self, site: FaultSite) {
        let number = count(&mut self.frames, site);
        self.due(Some((Occasion::Frame, site)), |fault| fault.site == site && fault.at == FaultTime::Frame(number));
    }

    /// Somebody wants to open a stream.
    pub(crate) fn on_handshake(&mut self, site: FaultSite) {
        let number = count(&mut self.handshakes, site);
        let all: u64 = self.handshakes.iter().sum();
        self.due(Some((Occasion::Handshake, site)), |fault| {
            let counted = if fault.site == FaultSite::Handshake { all } else { number };
            fault.site.covers(site) && fault.at == FaultTime::Handshake(counted)
        });
    }

    /// An armed fault meets something; it is recorded.
    pub(crate) fn take(&mut self, kind: FaultKind, site: FaultSite) -> Option<PlannedFault> {
        let found = self.armed.iter().position(|armed| armed.fault.kind == kind && armed.fault.site.covers(site))?;
        let armed = self.armed.get_mut(found)?;
        let fault = armed.fault.clone();
        if let Some(left) = &mut armed.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.armed.remove(found);
            }
        }
        self.record(kind, site);
        Some(fault)
    }

    /// Everything that the next order meets.
    pub(crate) fn take_for_order(&mut self) -> OrderFaults {
        let kinds = FaultKind::ALL.into_iter().filter(|kind| kind.concerns_an_order());
        OrderFaults(kinds.filter_map(|kind| self.take(kind, FaultSite::Rest)).collect())
    }

    /// The order that faults were meant for was not taken: they wait for the next one.
    pub(crate) fn give_back(&mut self, faults: OrderFaults) {
        for fault in faults.0 {
            if let Some(tally) = self.tallies.get_mut(&(fault.kind, FaultSite::Rest)) {
                tally.times = tally.times.saturating_sub(1);
            }
            if let Some(found) = self.log.iter().rposition(|fired| fired.kind == fault.kind) {
                self.log.remove(found);
            }
            match self.armed.iter_mut().find(|armed| armed.fault == fault) {
                Some(armed) => armed.left = armed.left.map(|left| left.saturating_add(1)),
                None => self.arm(PlannedFault { times: Some(1), ..fault }),
            }
        }
    }

    /// Takes out what acts at once, of the kinds that `fits`.
    pub(crate) fn take_at_once(&mut self, fits: impl Fn(FaultKind) -> bool) -> Vec<PlannedFault> {
        let (now, later) = std::mem::take(&mut self.at_once).into_iter().partition(|fault| fits(fault.kind));
        self.at_once = later;
        for fault in &now {
            let PlannedFault { kind, site, .. } = fault;
            self.record(*kind, *site);
        }
        now
    }

    fn record(&mut self, kind: FaultKind, site: FaultSite) {
        tracing::info!(fault = kind.name(), site = site.name(), "fault acts");
        let tally = self.tallies.entry((kind, site)).or_default();
        tally.times += 1;
        tally.last_ms = self.now_ms;
        if self.log.len() >= Self::LOG_MAX {
            self.log.pop_front();
        }
        self.log.push_back(Fired { kind, site, at_ms: self.now_ms, elapsed: self.elapsed });
    }

    /// What waits, what is armed, and what acted, when and how often.
    pub(crate) fn status(&self) -> Value {
        let shown = |fault: &PlannedFault| {
            let at = match fault.at {
                FaultTime::PlaceRequest(number) => json!({"at_order": number}),
                FaultTime::Frame(number) => json!({"at_frame": number}),
                FaultTime::Handshake(number) => json!({"at_handshake": number}),
                FaultTime::Elapsed(after) => json!({"after_s": after.as_secs_f64()}),
                FaultTime::Chance(in_a_million) => json!({"probability": f64::from(in_a_million) / 1e6}),
                FaultTime::Now => json!({}),
            };
            json!({"name": fault.kind.name(), "where": fault.site.name(), "when": at})
        };
        let waiting: Vec<Value> = self.waiting.iter().map(|waiting| shown(&waiting.fault)).collect();
        let armed = self.armed.iter().map(
            |armed| json!({"name": armed.fault.kind.name(), "where": armed.fault.site.name(), "left": armed.left}),
        );
        let armed: Vec<Value> = armed.collect();
        let fired = self.tallies.iter().filter(|(_, tally)| tally.times > 0).map(|((kind, site), tally)| {
            json!({"name": kind.name(), "where": site.name(), "times": tally.times, "last_ms": tally.last_ms})
        });
        let fired: Vec<Value> = fired.collect();
        let log = self.log.iter().map(|fired| {
            json!({"name": fired.kind.name(), "where": fired.site.name(), "at_ms": fired.at_ms,
                   "elapsed_ms": u64::try_from(fired.elapsed.as_millis()).unwrap_or(u64::MAX)})
        });
        let log: Vec<Value> = log.collect();
        let [public, private] = self.frames;
        let [public_handshakes, private_handshakes] = self.handshakes;
        json!({
            "seed": self.seed, "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            "counted": {"orders": self.orders, "public_frames": public, "private_frames": private,
                        "public_handshakes": public_handshakes, "private_handshakes": private_handshakes},
            "waiting": waiting, "armed": armed, "fired": fired, "log": log,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(plan: &str) -> Faults {
        Faults::new(FaultPlan::parse(plan).unwrap())
    }

    fn times(faults: &Faults, kind: FaultKind) -> u64 {
        faults.tallies.iter().filter(|((it, _), _)| *it == kind).map(|(_, tally)| tally.times).sum()
    }

    #[test]
    fn a_fault_acts_once_and_at_its_time() {
        let mut faults = desk("ack-lost@2,drop@1s");
        faults.on_order();
        assert!(!faults.take_for_order().contains(&FaultKind::AckLost));
        faults.on_order();
        assert!(faults.take_for_order().contains(&FaultKind::AckLost));
        faults.on_order();
        assert!(!faults.take_for_order().contains(&FaultKind::AckLost));
        faults.on_time(Duration::from_millis(999), 0);
        assert!(faults.take_at_once(|_| true).is_empty());
        faults.on_time(Duration::from_secs(3), 5);
        assert_eq!(faults.take_at_once(|_| true).first().map(|fault| fault.kind), Some(FaultKind::Drop));
        faults.on_time(Duration::from_secs(4), 6);
        assert!(faults.take_at_once(|_| true).is_empty() && faults.waiting.is_empty());
        assert_eq!((times(&faults, FaultKind::Drop), times(&faults, FaultKind::AckLost)), (1, 1));
    }

    #[test]
    fn a_fault_that_is_given_back_has_not_acted_and_meets_the_next_order() {
        let mut faults = desk("ack-lost@1");
        faults.on_order();
        let taken = faults.take_for_order();
        faults.give_back(taken);
        assert_eq!((times(&faults, FaultKind::AckLost), faults.log.len()), (0, 0));
        faults.on_order();
        assert!(faults.take_for_order().contains(&FaultKind::AckLost));
        assert_eq!((times(&faults, FaultKind::AckLost), faults.log.len()), (1, 1));
    }

    #[test]
    fn chances_repeat_with_the_seed_and_differ_with_another_and_do_not_disturb_each_other() {
        let drawn = |seed: u64, others: bool| {
            let text = format!("seed = {seed}\n[[fault]]\nname = \"gap\"\nprobability = 0.2\n");
            let mut plan = FaultPlan::from_toml(&text).unwrap();
            if others {
                plan.faults.push(PlannedFault::new(FaultKind::AckLost, FaultTime::Chance(500_000)));
            }
            let mut faults = Faults::new(plan);
            let each = |faults: &mut Faults| {
                faults.on_order();
                faults.on_frame(FaultSite::Private);
                faults.on_frame(FaultSite::Public);
                faults.take(FaultKind::Gap, FaultSite::Public).is_some()
            };
            (0..200).map(|_| each(&mut faults)).collect::<Vec<bool>>()
        };
        let first = drawn(7, false);
        let hits = first.iter().filter(|hit| **hit).count();
        assert!((20..=60).contains(&hits), "{hits}");
        assert_eq!(first, drawn(7, true));
        assert_ne!(first, drawn(8, false));
    }

    #[test]
    fn a_duration_meets_everything_until_its_end_and_times_count_down() {
        let mut fault = PlannedFault::new(FaultKind::Handshake403, FaultTime::Elapsed(Duration::from_secs(1)));
        fault.duration = Some(Duration::from_secs(2));
        let twice = PlannedFault { times: Some(2), ..PlannedFault::new(FaultKind::Gap, FaultTime::Frame(1)) };
        let mut faults = Faults::new(FaultPlan { faults: vec![fault, twice], seed: 1 });
        let refused = |faults: &mut Faults| {
            faults.on_handshake(FaultSite::Private);
            faults.take(FaultKind::Handshake403, FaultSite::Private).is_some()
        };
        assert!(!refused(&mut faults));
        faults.on_time(Duration::from_secs(1), 0);
        assert!((0..10).all(|_| refused(&mut faults)));
        faults.on_time(Duration::from_secs(3), 0);
        assert!(!refused(&mut faults));
        faults.on_frame(FaultSite::Public);
        let met = (0..5).filter(|_| faults.take(FaultKind::Gap, FaultSite::Public).is_some()).count();
        assert_eq!(met, 2);
    }

    #[test]
    fn numbers_and_times_of_a_request_count_from_now() {
        let mut faults = desk("");
        faults.on_time(Duration::from_secs(10), 0);
        (0..5).for_each(|_| faults.on_order());
        let request = r#"{"fault": [{"name": "ack-lost", "at_order": 2}, {"name": "drop", "after_s": 1}]}"#;
        faults.add(FaultPlan::from_json(request).unwrap()).unwrap();
        faults.on_order();
        assert!(!faults.take_for_order().contains(&FaultKind::AckLost));
        faults.on_order();
        assert!(faults.take_for_order().contains(&FaultKind::AckLost));
        faults.on_time(Duration::from_millis(10_900), 0);
        assert!(faults.take_at_once(|_| true).is_empty());
        faults.on_time(Duration::from_secs(11), 0);
        assert_eq!(faults.take_at_once(|_| true).len(), 1);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut faults = desk("");
        let gap = PlannedFault { times: Some(1_000_000), ..PlannedFault::new(FaultKind::Gap, FaultTime::Now) };
        (0..2_000).for_each(|_| faults.arm(gap.clone()));
        assert_eq!(faults.armed.len(), Faults::ARMED_MAX);
        (0..3_000).for_each(|_| drop(faults.take(FaultKind::Gap, FaultSite::Public)));
        assert_eq!(faults.log.len(), Faults::LOG_MAX);
        assert_eq!(faults.status()["fired"][0]["times"], 3_000);
    }
}
