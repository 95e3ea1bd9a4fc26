//! What the bench found, for people (a table) and for programs (one JSON object).

use super::flood::Flood;
use super::machine::Machine;
use super::sampler::{Figures, Method, Samples};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::fmt::Write as _;

/// A figure that a row should stay within.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wanted {
    P50InC(f64),
    P99InC(f64),
    P50Ns(f64),
    P99Ns(f64),
}

/// One kind of operation as it was measured.
pub(super) struct Measured {
    name: &'static str,
    method: Method,
    figures: Figures,
    singles: Option<Figures>,
    wanted: Vec<Wanted>,
}

impl Measured {
    /// Shorter operations are lost in the reading of the clock.
    const SINGLE_NS_MIN: f64 = 200.0;

    pub(super) fn new(name: &'static str, method: Method, samples: &Samples, wanted: Vec<Wanted>) -> Self {
        Self { name, method, figures: samples.figures(), singles: None, wanted }
    }

    /// Adds the times of single operations, where they say something.
    pub(super) fn with_singles(mut self, samples: &Samples) -> Self {
        let figures = samples.figures();
        self.singles = (self.figures.p50_ns >= Self::SINGLE_NS_MIN).then_some(figures);
        self
    }
}

/// A target and whether it was met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Target {
    /// The target in words, such as `p50 <= 1.6 c`.
    pub target: String,
    /// What was found, in the target's unit.
    pub found: f64,
    /// Whether that is within the target.
    pub met: bool,
}

impl Target {
    fn new(target: String, found: f64, limit: f64) -> Self {
        Self { target, found: round(found), met: found <= limit }
    }
}

/// One kind of operation with its times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What was done.
    pub name: &'static str,
    /// How its time was taken.
    pub method: Method,
    /// Its times.
    #[serde(flatten)]
    pub figures: Figures,
    /// Half of all in units of the control's median.
    pub p50_c: f64,
    /// 99 of 100 in units of the control's median.
    pub p99_c: f64,
    /// Times of single operations, one reading of the clock contained; only for operations of 200 ns and more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub single_operations: Option<Figures>,
    /// What it should stay within.
    pub targets: Vec<Target>,
}

/// Everything that one run found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchReport {
    /// Measured on.
    pub machine: Machine,
    /// How the times were taken, in words.
    pub method: &'static str,
    /// The median time of the control, five SHA-256 compressions: `c`.
    pub control_ns: f64,
    /// All times of the control.
    pub control: Figures,
    /// The median time of one reading of the clock.
    pub clock_reading_ns: f64,
    /// The operations.
    pub results: Vec<Row>,
    /// Allocations for each order on the order path; `None`: this build does not count them, `cargo bench` does.
    pub allocations_per_order: Option<f64>,
    /// Who counted the allocations, or who can.
    pub allocations_counted_by: &'static str,
    /// The order path in a flood of market frames.
    pub flood: Flood,
    /// Targets that are not about one operation: allocations and flood.
    pub targets: Vec<Target>,
}

/// The command whose build has a counting allocator; the program that trades has none.
const COUNTS_ALLOCATIONS: &str = "cargo bench --bench order_path";

const METHOD: &str = "Pieces: 64 operations for each reading of the clock, quantiles of the batch means, so max is \
the slowest batch. One thread: each order between two readings of the clock, from the frame's bytes until the signed \
request lies in the outbox. Two threads: by time stamps of the same monotonic clock, from the frame's bytes on the \
feed's thread to the signed bytes on the order path's; one order at a time, the next when the one before has ended; \
the feed's thread does not sleep, the order path's waits as named, and spin is pinned where there are two cores. The \
monotonic clock is led ahead by 200 ms every 16 orders, since the risk guard takes at most 1,000 orders a second; on \
two threads the two orders after each lead are not counted. 20 orders rest all the time. Flood: from the strategy's \
decision to the signed bytes, quiet and flood in turn, twice.";

/// Largest flood ratio that is no concern.
const FLOOD_RATIO_MAX: f64 = 1.5;

/// To hundredths: more digits are noise.
pub(super) fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

impl BenchReport {
    pub(super) fn new(
        machine: Machine,
        controls: &Samples,
        clock_reading: Figures,
        rows: &[Measured],
        allocations_per_order: Option<f64>,
        flood: Flood,
    ) -> Self {
        let control = controls.figures();
        let c = control.p50_ns.max(f64::MIN_POSITIVE);
        let results = rows.iter().map(|measured| row(measured, c)).collect();
        let mut targets = Vec::new();
        if let Some(allocations) = allocations_per_order {
            targets.push(Target::new("0 allocations for each order".to_owned(), allocations, 0.0));
        }
        targets.push(flood_target(&flood));
        Self {
            machine,
            method: METHOD,
            control_ns: control.p50_ns,
            control,
            clock_reading_ns: clock_reading.p50_ns,
            results,
            allocations_per_order,
            allocations_counted_by: if allocations_per_order.is_some() { "this run" } else { COUNTS_ALLOCATIONS },
            flood,
            targets,
        }
    }

    /// Every target, with the name of what it is about.
    pub fn all_targets(&self) -> impl Iterator<Item = (&'static str, &Target)> {
        let of_rows = self.results.iter().flat_map(|row| row.targets.iter().map(|target| (row.name, target)));
        of_rows.chain(self.targets.iter().map(|target| ("order path", target)))
    }

    /// The report for a terminal, or a file that a person reads.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        let Machine { cpu, cores, system, optimised, sha_instructions, load } = &self.machine;
        let sha = match sha_instructions {
            Some(true) => "with SHA instructions",
            Some(false) => "without SHA instructions",
            None => "SHA instructions unknown",
        };
        let _ = writeln!(text, "machine: {cpu}, {cores} cores, {system}, {sha}");
        let _ = writeln!(text, "control: c = {} (five SHA-256 compressions)", time(self.control_ns));
        let _ = writeln!(text, "clock:   {} a reading", time(self.clock_reading_ns));
        if let Some(load) = load {
            let _ = writeln!(text, "load:    {load} when the bench began; other work makes p99 and above larger");
        }
        if !optimised {
            let _ = writeln!(text, "warning: built without optimisation; run `cargo run --release -- bench`");
        }
        let _ = writeln!(text, "\n{}\n", self.table());
        for outcome in [&self.flood.spin, &self.flood.block] {
            let _ = writeln!(
                text,
                "flood, {}{}: p99 {} quiet, {} at {} frames/s, ratio {} (pairs {}), {} orders, {} refused: book busy",
                outcome.wait,
                if outcome.pinned { ", pinned" } else { "" },
                time(outcome.quiet.p99_ns),
                time(outcome.flooded.p99_ns),
                outcome.frames_per_second,
                outcome.ratio,
                outcome.pair_ratios.iter().map(f64::to_string).collect::<Vec<_>>().join(", "),
                outcome.orders,
                outcome.refused_busy,
            );
        }
        let _ = match self.allocations_per_order {
            Some(allocations) => writeln!(text, "allocations for each order on the order path: {allocations}"),
            None => writeln!(text, "allocations: not counted by this build; `{COUNTS_ALLOCATIONS}` counts them"),
        };
        for target in &self.targets {
            let _ = writeln!(text, "target {}: {}", target.target, verdict(target));
        }
        let _ = writeln!(text, "\nmethod: {}", self.method);
        text
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["operation", "p50", "p99", "p99.9", "max", "p50 in c", "p99 in c", "target", "verdict"]);
        for row in &self.results {
            let targets: Vec<_> = row.targets.iter().map(|target| target.target.as_str()).collect();
            let verdicts: Vec<_> = row.targets.iter().map(verdict).collect();
            let mut cells = quantiles(row.name, &row.figures);
            cells.extend([row.p50_c.to_string(), row.p99_c.to_string(), targets.join(", "), verdicts.join(", ")]);
            table.add_row(cells);
            if let Some(singles) = &row.single_operations {
                table.add_row(quantiles("  (each timed alone)", singles));
            }
        }
        for column in table.column_iter_mut().skip(1).take(6) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

/// A feed that decoded much less than it should have was no flood, whatever the ratio.
fn flood_target(flood: &Flood) -> Target {
    let wanted = flood.frames_per_second_wanted;
    let text = format!("flood ratio (spin) <= {FLOOD_RATIO_MAX} at {wanted} frames/s");
    let target = Target::new(text, flood.spin.ratio, FLOOD_RATIO_MAX);
    let flooded = flood.spin.frames_per_second >= wanted - wanted / 20;
    Target { met: target.met && flooded, ..target }
}

fn row(measured: &Measured, c: f64) -> Row {
    let Figures { p50_ns, p99_ns, .. } = measured.figures;
    let targets = measured.wanted.iter().map(|wanted| match *wanted {
        Wanted::P50InC(limit) => Target::new(format!("p50 <= {limit} c"), p50_ns / c, limit),
        Wanted::P99InC(limit) => Target::new(format!("p99 <= {limit} c"), p99_ns / c, limit),
        Wanted::P50Ns(limit) => Target::new(format!("p50 <= {limit} ns"), p50_ns, limit),
        Wanted::P99Ns(limit) => Target::new(format!("p99 <= {limit} ns"), p99_ns, limit),
    });
    Row {
        name: measured.name,
        method: measured.method,
        figures: measured.figures,
        p50_c: round(p50_ns / c),
        p99_c: round(p99_ns / c),
        single_operations: measured.singles,
        targets: targets.collect(),
    }
}

fn quantiles(name: &str, figures: &Figures) -> Vec<String> {
    let Figures { p50_ns, p99_ns, p999_ns, max_ns, .. } = *figures;
    vec![name.to_owned(), time(p50_ns), time(p99_ns), time(p999_ns), time(max_ns)]
}

const fn verdict(target: &Target) -> &'static str {
    if target.met { "met" } else { "not met" }
}

/// A time with three or four digits.
fn time(ns: f64) -> String {
    match ns {
        ..100.0 => format!("{ns:.1} ns"),
        ..10_000.0 => format!("{ns:.0} ns"),
        ..10_000_000.0 => format!("{:.1} us", ns / 1_000.0),
        _ => format!("{:.1} ms", ns / 1_000_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::flood::FloodOutcome;
    use std::time::Duration;

    fn samples(ns: u64) -> Samples {
        let mut samples = Samples::new().unwrap();
        samples.record(Duration::from_nanos(ns), 1);
        samples
    }

    fn report(flood_ratio: f64, allocations: Option<f64>, signing_ns: u64) -> BenchReport {
        let figures = samples(900).figures();
        let outcome = |wait| FloodOutcome {
            wait,
            pinned: true,
            orders: 100_000,
            refused_busy: 0,
            frames_per_second: 100_000,
            ratio: flood_ratio,
            pair_ratios: vec![flood_ratio, flood_ratio],
            quiet: figures,
            flooded: figures,
        };
        let flood = Flood { spin: outcome("spin"), block: outcome("block"), frames_per_second_wanted: 100_000 };
        let measured = Measured::new(
            "sign",
            Method::Batch(64),
            &samples(signing_ns),
            vec![Wanted::P50InC(1.6), Wanted::P50Ns(400.0)],
        )
        .with_singles(&samples(signing_ns + 30));
        BenchReport::new(Machine::look(), &samples(200), samples(25).figures(), &[measured], allocations, flood)
    }

    #[test]
    fn targets_are_met_up_to_their_limit_and_not_beyond() {
        let met = |report: &BenchReport| report.all_targets().map(|(_, target)| target.met).collect::<Vec<_>>();
        assert_eq!(met(&report(1.5, Some(0.0), 318)), [true, true, true, true]);
        assert_eq!(met(&report(1.51, Some(0.001), 418)), [false, false, false, false]);
    }

    #[test]
    fn a_feed_that_decoded_too_little_was_no_flood() {
        let mut flood = report(1.0, None, 300).flood;
        assert!(flood_target(&flood).met);
        flood.spin.frames_per_second = 94_999;
        assert!(!flood_target(&flood).met);
    }

    #[test]
    fn allocations_that_were_not_counted_are_no_target_that_was_met() {
        let report = report(1.0, None, 300);
        assert_eq!(report.targets.len(), 1);
        assert!(report.render().contains("not counted by this build"));
        let json = serde_json::to_value(&report).unwrap();
        assert!(json["allocations_per_order"].is_null());
        assert_eq!(json["allocations_counted_by"], "cargo bench --bench order_path");
    }

    #[test]
    fn json_has_the_figures_of_each_operation_beside_its_name() {
        let json = serde_json::to_value(report(1.2, Some(0.0), 300)).unwrap();
        let row = &json["results"][0];
        assert_eq!(row["name"], "sign");
        assert_eq!(row["count"], 1);
        for key in ["p50_ns", "p99_ns", "p999_ns", "max_ns"] {
            assert!((row[key].as_f64().unwrap() - 300.0).abs() < 1.0, "{key}");
        }
        assert!((row["p50_c"].as_f64().unwrap() - 1.5).abs() < 0.02);
        assert_eq!(json["flood"]["spin"]["ratio"], 1.2);
        assert!((json["control_ns"].as_f64().unwrap() - 200.0).abs() < 1.0);
    }

    #[test]
    fn single_operations_are_shown_only_where_the_clock_is_a_small_part() {
        assert!(report(1.0, None, 199).results[0].single_operations.is_none());
        assert!(report(1.0, None, 201).results[0].single_operations.is_some());
    }

    #[test]
    fn the_table_says_of_each_target_whether_it_was_met() {
        let text = report(1.0, Some(0.0), 400).render();
        assert!(text.contains("p50 <= 1.6 c") && text.contains("not met"), "{text}");
        assert!(text.contains("target 0 allocations for each order: met"), "{text}");
    }
}
