//! Takes times: many operations for each reading of the clock, or one.

use super::BenchError;
use clock::SystemClock;
use domain::Clock;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::time::Duration;

/// Times of one kind of operation, in picoseconds.
pub(super) struct Samples {
    ps: Histogram<u64>,
}

/// How the time of an operation was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Means of this many operations for each reading of the clock.
    Batch(u32),
    /// Each operation between two readings of the clock; one reading is contained.
    Single,
    /// Between two time stamps that the order path itself takes.
    Stamps,
}

/// Quantiles of one operation's time, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// How many times were taken (batches, where operations were timed in batches).
    pub count: u64,
    /// Half of all were at most this.
    pub p50_ns: f64,
    /// 99 of 100.
    pub p99_ns: f64,
    /// 999 of 1000.
    pub p999_ns: f64,
    /// All.
    pub max_ns: f64,
}

impl Samples {
    /// Longest time that is told apart from longer ones: 100 s.
    const PS_MAX: u64 = 100_000_000_000_000;

    pub(super) fn new() -> Result<Self, BenchError> {
        let ps =
            Histogram::new_with_bounds(1, Self::PS_MAX, 3).map_err(|_| BenchError::Setup("no room for the times"))?;
        Ok(Self { ps })
    }

    /// Takes the time of `operations` together.
    pub(super) fn record(&mut self, time: Duration, operations: u32) {
        let ps = time.as_nanos().saturating_mul(1_000) / u128::from(operations.max(1));
        self.ps.saturating_record(u64::try_from(ps).unwrap_or(u64::MAX));
    }

    pub(super) fn absorb(&mut self, other: &Self) {
        // Both have the same bounds, so nothing is lost.
        let _ = self.ps.add(&other.ps);
    }

    pub(super) fn figures(&self) -> Figures {
        let ns = |quantile: f64| nanos(self.ps.value_at_quantile(quantile));
        Figures {
            count: self.ps.len(),
            p50_ns: ns(0.5),
            p99_ns: ns(0.99),
            p999_ns: ns(0.999),
            max_ns: nanos(self.ps.max()),
        }
    }
}

/// Picoseconds as nanoseconds, to a hundredth.
fn nanos(ps: u64) -> f64 {
    let hundredths = u32::try_from(ps / 10).map(f64::from);
    hundredths.map_or_else(|_| Duration::from_nanos(ps / 1_000).as_secs_f64() * 1e9, |hundredths| hundredths / 100.0)
}

/// How often each thing is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounds {
    /// Batches of each piece.
    pub(super) batches: u32,
    /// Single operations of each piece.
    pub(super) singles: u32,
}

/// Operations for each reading of the clock, where a reading would cost a share of what it measures.
pub(super) const BATCH: u32 = 64;

/// Times `operation` in batches; `prepare` is told the number of each operation's batch and is not timed.
pub(super) fn batched<S>(
    batches: u32,
    state: &mut S,
    mut prepare: impl FnMut(&mut S, u32),
    mut operation: impl FnMut(&mut S, usize),
) -> Result<Samples, BenchError> {
    let mut samples = Samples::new()?;
    let size = usize::try_from(BATCH).unwrap_or(1);
    // One batch in ten more, before: caches and branch predictors as in a program that runs.
    for batch in 0..batches + batches / 10 {
        prepare(state, batch);
        let start = SystemClock.mono();
        for nth in 0..size {
            operation(state, nth);
        }
        let time = SystemClock.mono().since(start);
        if batch >= batches / 10 {
            samples.record(time, BATCH);
        }
    }
    Ok(samples)
}

/// Times each `operation` for itself; `prepare` is not timed.
pub(super) fn singly<S>(
    count: u32,
    state: &mut S,
    mut prepare: impl FnMut(&mut S, u32),
    mut operation: impl FnMut(&mut S, usize),
) -> Result<Samples, BenchError> {
    let mut samples = Samples::new()?;
    for round in 0..count + count / 10 {
        let nth = usize::try_from(round % BATCH).unwrap_or(0);
        if nth == 0 {
            prepare(state, round / BATCH);
        }
        let start = SystemClock.mono();
        operation(state, nth);
        let time = SystemClock.mono().since(start);
        if round >= count / 10 {
            samples.record(time, 1);
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_known_times_are_those_times() {
        let mut samples = Samples::new().unwrap();
        for ns in 1..=1_000 {
            samples.record(Duration::from_nanos(ns), 1);
        }
        let figures = samples.figures();
        let near = |found: f64, expected: f64| (found - expected).abs() <= expected / 500.0;
        assert_eq!(figures.count, 1_000);
        assert!(near(figures.p50_ns, 500.0) && near(figures.p99_ns, 990.0), "{figures:?}");
        assert!(near(figures.p999_ns, 999.0) && near(figures.max_ns, 1_000.0), "{figures:?}");
    }

    #[test]
    fn a_batch_counts_once_with_its_mean() {
        let mut samples = Samples::new().unwrap();
        samples.record(Duration::from_nanos(640), 64);
        let figures = samples.figures();
        assert_eq!(figures.count, 1);
        assert!((figures.p50_ns - 10.0).abs() < 0.02, "{figures:?}");
    }

    #[test]
    fn preparation_is_done_once_for_each_batch_and_before_it() {
        let mut log: Vec<(bool, u32)> = Vec::new();
        let samples =
            batched(10, &mut log, |log, batch| log.push((true, batch)), |log, _| log.push((false, 0))).unwrap();
        assert_eq!(samples.figures().count, 10);
        let size = usize::try_from(BATCH).unwrap() + 1;
        assert_eq!(log.len(), 11 * size);
        assert!(log.chunks(size).enumerate().all(|(nth, batch)| batch[0] == (true, u32::try_from(nth).unwrap())));
    }
}
