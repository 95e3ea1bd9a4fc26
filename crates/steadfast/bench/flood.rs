//! The order path while the feed's thread decodes a flood of market frames, against a quiet market.

use super::BenchError;
use super::report::round;
use super::sampler::{Figures, Samples};
use super::thread::{Seats, Session};
use clock::SystemClock;
use domain::Clock;
use hot_actor::WaitPolicy;
use serde::Serialize;
use std::time::Duration;

/// What the flood did to the order path, in one wait mode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FloodOutcome {
    /// How the order path's thread waits: `spin` or `block`.
    pub wait: &'static str,
    /// Whether both threads were kept on a core of their own.
    pub pinned: bool,
    /// Orders measured, half of them in the flood.
    pub orders: u64,
    /// Orders that were refused since the feed's thread lost its core while it wrote the top of book.
    pub refused_busy: u64,
    /// Frames decoded in each second of the flood.
    pub frames_per_second: u64,
    /// p99 in the flood over p99 in the quiet, from all phases.
    pub ratio: f64,
    /// The same for each pair of phases.
    pub pair_ratios: Vec<f64>,
    /// From the strategy's decision to the signed bytes, while no frame is decoded.
    pub quiet: Figures,
    /// The same while frames are decoded.
    pub flooded: Figures,
}

/// Flood against quiet, for each wait mode that is asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flood {
    /// The thread never sleeps.
    pub spin: FloodOutcome,
    /// The thread sleeps while nothing is to do.
    pub block: FloodOutcome,
    /// Frames that should have been decoded in each second.
    pub frames_per_second_wanted: u64,
}

/// Frames decoded in each second of the flood.
pub(super) const FRAMES_PER_SECOND: u64 = 100_000;
/// Time between two orders.
const ORDER_EVERY: Duration = Duration::from_micros(50);
/// Time between two frames.
const FRAME_EVERY: Duration = Duration::from_nanos(1_000_000_000 / FRAMES_PER_SECOND);
/// A feed that fell behind by so much goes on from where it is: it would measure its own arrears otherwise.
const ARREARS_MAX: Duration = Duration::from_millis(2);
/// Quiet and flood, this many times in turn.
const PAIRS: usize = 2;

struct Phase {
    samples: Samples,
    frames: u64,
    busy: u64,
    took: Duration,
}

pub(super) fn flood(
    wait: WaitPolicy,
    cores: Option<(usize, usize)>,
    orders_per_phase: u32,
) -> Result<FloodOutcome, BenchError> {
    Session::with(Seats { wait, cores }, |session| {
        let (mut quiet, mut flooded) = (Samples::new()?, Samples::new()?);
        let (mut frames, mut refused_busy, mut took) = (0, 0, Duration::ZERO);
        let mut pair_ratios = Vec::with_capacity(PAIRS);
        for _ in 0..PAIRS {
            let calm = phase(session, false, orders_per_phase)?;
            let busy = phase(session, true, orders_per_phase)?;
            pair_ratios.push(round(busy.samples.figures().p99_ns / calm.samples.figures().p99_ns.max(1.0)));
            quiet.absorb(&calm.samples);
            flooded.absorb(&busy.samples);
            frames += busy.frames;
            refused_busy += calm.busy + busy.busy;
            took += busy.took;
        }
        let (quiet, flooded) = (quiet.figures(), flooded.figures());
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        Ok(FloodOutcome {
            wait: if wait == WaitPolicy::Spin { "spin" } else { "block" },
            pinned: cores.is_some(),
            orders: quiet.count + flooded.count,
            refused_busy,
            frames_per_second: frames.saturating_mul(1_000_000) / micros,
            ratio: round(flooded.p99_ns / quiet.p99_ns.max(1.0)),
            pair_ratios,
            quiet,
            flooded,
        })
    })
}

fn phase(session: &mut Session, flooded: bool, orders: u32) -> Result<Phase, BenchError> {
    let mut samples = Samples::new()?;
    session.confirm_clock()?;
    let begun = SystemClock.mono();
    let (mut next_frame, mut next_order) = (begun, begun.after(ORDER_EVERY));
    let (mut frames, mut busy, mut posted, mut open, mut counts) = (0_u64, 0_u64, 0_u32, false, false);
    while posted < orders || open {
        let seen = session.look()?;
        if let Some(hops) = seen.hops
            && counts
        {
            samples.record(hops.signed.since(hops.decided), 1);
        }
        open &= seen.ended + seen.busy == 0;
        busy += u64::from(seen.busy);
        let mut now = SystemClock.mono();
        if flooded && now >= next_frame {
            session.desk.take_frame(session.clock.mono())?;
            frames += 1;
            next_frame = next_frame.after(FRAME_EVERY);
            now = SystemClock.mono();
            if now.since(next_frame) > ARREARS_MAX {
                next_frame = now;
            }
        }
        if !open && posted < orders && now >= next_order {
            session.pace();
            let caused = session.clock.mono();
            // A book of the step before would be too old; in the quiet nothing is decoded.
            session.desk.confirm(caused)?;
            counts = session.post(caused)?;
            posted += 1;
            open = true;
            next_order = now.after(ORDER_EVERY);
        }
        if open && now.since(next_order) > Duration::from_secs(5) {
            return Err(BenchError::Silent);
        }
        session.give_way();
    }
    Ok(Phase { samples, frames, busy, took: SystemClock.mono().since(begun) })
}
