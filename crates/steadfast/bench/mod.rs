//! Measures the order path on this machine: one harness behind `steadfast bench` and `cargo bench`.
//!
//! Everything that is timed is the code that trades: codec, book, risk guard, signer and order path as the daemon
//! joins them. Stand-ins are only the frames (made from memory), the venue's answers and a strategy that quotes at
//! a fixed distance from mid. Every figure is also given in `c`, the time of five bare SHA-256 compressions in the
//! same run, so that machines can be compared.

mod flood;
mod frames;
mod machine;
mod one_thread;
mod pieces;
mod report;
mod rig;
mod sampler;
#[cfg(target_os = "linux")]
mod signer_process;
mod thread;
mod venue;

pub use flood::{Flood, FloodOutcome};
pub use machine::Machine;
pub use one_thread::OneThread;
pub use report::{BenchReport, Row, Target};
pub use sampler::{Figures, Method};

use hot_actor::{SpawnError, WaitPolicy};
use messages::{HaltReason, RefuseReason};
use pieces::Piece;
use report::Wanted;
use sampler::{Rounds, Samples};
use std::time::Duration;
use thread::{Seats, Session};

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A part could not be made, or does not do what the bench needs of it.
    #[error("{0}")]
    Setup(&'static str),
    /// The order path refused an order of the bench.
    #[error("the order path refused an order of the bench: {}", .0.as_str())]
    Refused(RefuseReason),
    /// The order path halted.
    #[error("the order path halted during the bench: {}", .0.as_str())]
    Halted(HaltReason),
    /// The signer process could not be started, or refuses the bench's orders.
    #[error("{0}")]
    Signer(String),
    /// The order path did not answer for seconds.
    #[error("the order path does not answer")]
    Silent,
    /// The order path's thread has died.
    #[error("the order path's thread has died: {0}")]
    Died(String),
    /// The order path's thread could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// About a minute: the figures to be compared.
    Full,
    /// Some seconds: the same figures from fewer rounds.
    Quick,
}

/// Runs a closure and tells how many allocations it made on this thread.
pub type CountAllocations = fn(&mut dyn FnMut()) -> u64;

struct Plan {
    rounds: Rounds,
    /// Orders of the whole way on one thread.
    one_thread: u32,
    back_to_back: u32,
    with_gaps: u32,
    flood_spin: u32,
    flood_block: u32,
}

impl Extent {
    const fn plan(self) -> Plan {
        match self {
            Self::Full => Plan {
                rounds: Rounds { batches: 20_000, singles: 200_000 },
                one_thread: 200_000,
                back_to_back: 20_000,
                with_gaps: 10_000,
                flood_spin: 60_000,
                flood_block: 15_000,
            },
            Self::Quick => Plan {
                rounds: Rounds { batches: 2_000, singles: 20_000 },
                one_thread: 20_000,
                back_to_back: 4_000,
                with_gaps: 2_000,
                flood_spin: 5_000,
                flood_block: 2_000,
            },
        }
    }
}

/// Pause between two orders where they do not follow at once: what a sleeping thread needs to fall asleep.
const GAP: Duration = Duration::from_micros(150);
/// Orders over which allocations are counted.
const COUNTED_ORDERS: u64 = 2_000;

/// Measures everything. `count` counts allocations where the program was built with a counting allocator;
/// `progress` is told what is being measured.
///
/// # Errors
/// [`BenchError`]: what kept the bench from measuring.
pub fn measure(
    extent: Extent,
    count: Option<CountAllocations>,
    progress: &mut dyn FnMut(&str),
) -> Result<BenchReport, BenchError> {
    let plan = extent.plan();
    let machine = Machine::look();
    let mut controls = Samples::new()?;
    let mut rows = Vec::new();
    progress("pieces");
    let clock_reading = pieces::clock_reading(plan.rounds)?.figures();
    type Measure = fn(Rounds) -> Result<Piece, BenchError>;
    let list: [(&'static str, Measure, Wanted); 4] = [
        ("decode a books5 frame", pieces::decode, Wanted::P50InC(3.8)),
        ("risk check", pieces::risk_check, Wanted::P50InC(0.55)),
        ("sign 220 bytes, base64", pieces::sign, Wanted::P50InC(1.6)),
        ("build and sign an order", pieces::build_and_sign, Wanted::P50InC(2.6)),
    ];
    for (name, measure, wanted) in list {
        // The control is taken before each piece, so that a change of the processor's speed shows in both.
        controls.absorb(&pieces::control(plan.rounds)?.batches);
        let Piece { batches, singles } = measure(plan.rounds)?;
        rows.push(
            report::Measured::new(name, Method::Batch(sampler::BATCH), &batches, vec![wanted]).with_singles(&singles),
        );
        if name.starts_with("decode") {
            let levels = pieces::book_level(plan.rounds)?;
            rows.push(report::Measured::new(
                "apply one book level",
                Method::Batch(128),
                &levels,
                vec![Wanted::P50Ns(25.0)],
            ));
        }
    }
    progress("frame to signed request on one thread");
    controls.absorb(&pieces::control(plan.rounds)?.batches);
    let way = one_thread(plan.one_thread)?;
    let wanted = vec![Wanted::P50InC(8.0), Wanted::P99InC(14.0)];
    rows.push(report::Measured::new("frame to signed, one thread", Method::Single, &way.whole, wanted));
    for (name, samples) in HOPS.into_iter().zip(&way.hops) {
        rows.push(report::Measured::new(name, Method::Stamps, samples, Vec::new()));
    }
    #[cfg(target_os = "linux")]
    through_the_process(&plan, &mut rows, progress)?;
    for (wait, back_to_back, with_gaps) in MODES {
        progress(back_to_back);
        let seats = Seats { wait, cores: if wait == WaitPolicy::Spin { machine::two_cores() } else { None } };
        let (tight, loose) = Session::with(seats, |session| {
            Ok((session.run(Duration::ZERO, plan.back_to_back)?, session.run(GAP, plan.with_gaps)?))
        })?;
        rows.push(report::Measured::new(back_to_back, Method::Stamps, &tight, Vec::new()));
        rows.push(report::Measured::new(with_gaps, Method::Stamps, &loose, Vec::new()));
    }
    progress("flood against quiet");
    let flood = Flood {
        spin: flood::flood(WaitPolicy::Spin, machine::two_cores(), plan.flood_spin)?,
        block: flood::flood(WaitPolicy::Block, None, plan.flood_block)?,
        frames_per_second_wanted: flood::FRAMES_PER_SECOND,
    };
    controls.absorb(&pieces::control(plan.rounds)?.batches);
    let allocations = count.map(allocations_per_order).transpose()?;
    Ok(BenchReport::new(machine, &controls, clock_reading, &rows, allocations, flood))
}

/// The signer process beside the inline signer.
#[cfg(target_os = "linux")]
fn through_the_process(
    plan: &Plan,
    rows: &mut Vec<report::Measured>,
    progress: &mut dyn FnMut(&str),
) -> Result<(), BenchError> {
    use signer_process::{Signed, Way, inline, process};
    let (tight, gaps) = (plan.back_to_back, plan.with_gaps);
    let targets = || vec![Wanted::P50Ns(6_000.0), Wanted::P99Ns(15_000.0)];
    let mut row = |name: &'static str, samples: &Samples, wanted| {
        rows.push(report::Measured::new(name, Method::Single, samples, wanted));
    };
    progress("intent to signed bytes, inline and by the signer process");
    let Signed { tight: near, gaps: far } = inline(tight, gaps)?;
    row("intent to signed, inline, back to back", &near, Vec::new());
    row("intent to signed, inline, 150 us gaps", &far, Vec::new());
    if machine::two_cores().is_some() {
        let Signed { tight: near, gaps: far } = process(Way::SpinOnTwo, tight, gaps)?;
        row("intent to signed, process, spin, back to back", &near, targets());
        row("intent to signed, process, spin, 150 us gaps", &far, Vec::new());
    }
    let Signed { tight: near, gaps: far } = process(Way::BlockOnOne, tight, gaps)?;
    row("intent to signed, process, block on one core, back to back", &near, targets());
    row("intent to signed, process, block on one core, 150 us gaps", &far, Vec::new());
    let Signed { tight: near, gaps: far } = process(Way::BlockAcross, tight, gaps)?;
    row("intent to signed, process, block, back to back", &near, Vec::new());
    row("intent to signed, process, block, 150 us gaps", &far, Vec::new());
    Ok(())
}

/// Wait modes with the names of their rows: back to back, and with gaps.
const MODES: [(WaitPolicy, &str, &str); 3] = [
    (
        WaitPolicy::Block,
        "frame to signed, two threads, block, back to back",
        "frame to signed, two threads, block, 150 us gaps",
    ),
    (
        WaitPolicy::SpinThenPark,
        "frame to signed, two threads, spin-then-park, back to back",
        "frame to signed, two threads, spin-then-park, 150 us gaps",
    ),
    (
        WaitPolicy::Spin,
        "frame to signed, two threads, spin, back to back",
        "frame to signed, two threads, spin, 150 us gaps",
    ),
];

/// Names of the parts of the way on one thread.
const HOPS: [&str; 3] = ["  of it: frame to decision", "  of it: decision to checked", "  of it: checked to signed"];

/// The way on one thread, whole and by hops.
struct Way {
    whole: Samples,
    hops: [Samples; 3],
}

fn one_thread(orders: u32) -> Result<Way, BenchError> {
    let mut one = OneThread::new()?;
    one.warm_up(OneThread::WARM_UP)?;
    let mut way = Way { whole: Samples::new()?, hops: [Samples::new()?, Samples::new()?, Samples::new()?] };
    for _ in 0..orders {
        one.pace();
        way.whole.record(one.order()?, 1);
        one.settle()?;
        let Some(hops) = one.hops() else { return Err(BenchError::Silent) };
        let [to_decision, to_checked, to_signed] = &mut way.hops;
        to_decision.record(hops.decided.since(hops.caused), 1);
        to_checked.record(hops.checked.since(hops.decided), 1);
        to_signed.record(hops.signed.since(hops.checked), 1);
    }
    Ok(way)
}

/// Allocations for each order from its frame to its end, on the order path's thread.
///
/// # Errors
/// [`BenchError`] when the orders cannot be placed.
pub fn allocations_per_order(count: CountAllocations) -> Result<f64, BenchError> {
    let mut one = OneThread::new()?;
    one.warm_up(OneThread::WARM_UP)?;
    let mut outcome = Ok(());
    let allocations = count(&mut || outcome = one.warm_up(COUNTED_ORDERS));
    outcome?;
    let allocations = u32::try_from(allocations).unwrap_or(u32::MAX);
    let orders = u32::try_from(COUNTED_ORDERS).unwrap_or(u32::MAX);
    Ok(f64::from(allocations) / f64::from(orders))
}
