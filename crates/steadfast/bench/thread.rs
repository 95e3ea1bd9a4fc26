//! The order path on a thread of its own, as in the daemon; feed and strategy on the caller's.

use super::BenchError;
use super::frames::Desk;
use super::machine::{pin, two_cores};
use super::one_thread::{OneThread, Parts};
use super::rig::{SteppedClock, VENUE};
use super::sampler::Samples;
use super::venue::{Hops, News, Venue};
use clock::SystemClock;
use domain::Clock;
use hot_actor::{HotConfig, HotExit, HotHandle, Lanes, WaitPolicy, mailbox};
use messages::Control;
use order_path::{OrderPath, Urgent};
use std::sync::Arc;
use std::time::Duration;

/// A running order path and the thread that talks to it.
pub(super) struct Session {
    handle: HotHandle<OrderPath>,
    lanes: Lanes<OrderPath>,
    pub(super) desk: Desk,
    venue: Venue,
    pub(super) clock: Arc<SteppedClock>,
    orders: u64,
    /// There is one core: a thread that spins keeps the other from running.
    one_core: bool,
}

/// Where the two threads run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seats {
    pub(super) wait: WaitPolicy,
    /// Cores of the feed's and the order path's thread; `None`: wherever the system puts them.
    pub(super) cores: Option<(usize, usize)>,
}

/// What has come from the order path since the last look.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) ended: u32,
    /// Orders refused since the top of book was being written.
    pub(super) busy: u32,
    pub(super) hops: Option<Hops>,
}

impl Session {
    /// Longest wait for the order path before it counts as dead.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// Orders before the first that counts.
    const WARM_UP: u32 = 6_000;

    /// Runs `body` on a thread of its own that talks to an order path seated as asked.
    pub(super) fn with<R: Send>(
        seats: Seats,
        body: impl FnOnce(&mut Self) -> Result<R, BenchError> + Send,
    ) -> Result<R, BenchError> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let mut session = Self::start(seats)?;
                // Only now: a thread inherits the cores of the one that starts it.
                if let Some((feed, _)) = seats.cores
                    && !pin(feed)
                {
                    return Err(BenchError::Setup("the system does not let a thread be pinned"));
                }
                let done = session.run(Duration::ZERO, Self::WARM_UP).and_then(|_| body(&mut session));
                session.end()?;
                done
            });
            thread.join().unwrap_or(Err(BenchError::Setup("a thread of the bench has died")))
        })
    }

    fn start(seats: Seats) -> Result<Self, BenchError> {
        let Parts { path, desk, venue, clock } = OneThread::new()?.into_parts();
        let config = HotConfig { wait: seats.wait, core: seats.cores.map(|(_, path)| path), ..HotConfig::default() };
        let (lanes, room) = mailbox::<OrderPath>(config);
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let handle = room.start(path, shared, |_| {})?;
        Ok(Self { handle, lanes, desk, venue, clock, orders: 0, one_core: two_cores().is_none() })
    }

    fn end(mut self) -> Result<(), BenchError> {
        match self.handle.stop_and_wait(Self::PATIENCE) {
            Some(HotExit::Stopped { .. }) => Ok(()),
            Some(HotExit::Died(death)) => Err(BenchError::Died(death.cause)),
            None => Err(BenchError::Silent),
        }
    }

    /// Tells the order path that venue time is still known; the steps of the clock make it forget otherwise.
    pub(super) fn confirm_clock(&self) -> Result<(), BenchError> {
        let at = self.clock.mono();
        let measured = Control::ClockMeasured { venue: VENUE, offset_ns: 0, uncertainty_ns: 1_000, at };
        self.lanes.urgent.try_post(Urgent::Control(measured)).map_err(|_| BenchError::Silent)
    }

    /// Posts an order on the book that stands. Returns whether its time counts: the two after a step of the clock
    /// do not, since the step makes the order path publish figures and look at limits more often than time does.
    pub(super) fn post(&mut self, caused: domain::MonoNanos) -> Result<bool, BenchError> {
        let since_step = self.orders % SteppedClock::ORDERS_PER_STEP;
        self.orders += 1;
        let intent = self.desk.decide(caused, self.clock.mono())?;
        self.lanes.messages.try_post(intent).map_err(|_| BenchError::Silent)?;
        Ok(since_step >= 2)
    }

    /// Moves the clock on, when that is due; call before an order and its frame.
    pub(super) fn pace(&mut self) {
        if self.orders.is_multiple_of(SteppedClock::ORDERS_PER_STEP) {
            self.clock.step(SteppedClock::STEP);
        }
    }

    /// Reads what has come from the order path, and answers as the venue.
    pub(super) fn look(&mut self) -> Result<Seen, BenchError> {
        let mut seen = Seen::default();
        while let Some(news) = self.venue.news()? {
            match news {
                News::Placed(hops) => seen.hops = Some(hops),
                News::Ended => seen.ended += 1,
                News::Busy => seen.busy += 1,
                News::Other => {}
            }
        }
        while let Some(answers) = self.venue.answer(SystemClock.unix(), self.clock.mono()) {
            for report in answers {
                self.lanes.urgent.try_post(Urgent::Report(report)).map_err(|_| BenchError::Silent)?;
            }
        }
        Ok(seen)
    }

    /// `orders` one after another, each when the one before has ended and `gap` has passed; from its frame to its
    /// signed bytes.
    pub(super) fn run(&mut self, gap: Duration, orders: u32) -> Result<Samples, BenchError> {
        let mut samples = Samples::new()?;
        self.confirm_clock()?;
        for _ in 0..orders {
            self.rest(gap);
            self.pace();
            let caused = self.clock.mono();
            self.desk.take_frame(caused)?;
            let counts = self.post(caused)?;
            if let Some(hops) = self.until_ended()?
                && counts
            {
                samples.record(hops.signed.since(hops.caused), 1);
            }
        }
        Ok(samples)
    }

    /// Looks until the order has been signed and has ended; `None`: it was refused since the book was busy.
    fn until_ended(&mut self) -> Result<Option<Hops>, BenchError> {
        let begun = SystemClock.mono();
        let mut hops = None;
        loop {
            let seen = self.look()?;
            hops = seen.hops.or(hops);
            if seen.ended + seen.busy > 0 {
                return Ok(hops);
            }
            self.give_way();
            if SystemClock.mono().since(begun) > Self::PATIENCE {
                return Err(BenchError::Silent);
            }
        }
    }

    fn rest(&self, gap: Duration) {
        let begun = SystemClock.mono();
        while SystemClock.mono().since(begun) < gap {
            self.give_way();
        }
    }

    /// Two spinning threads on one core would take it from each other for milliseconds.
    pub(super) fn give_way(&self) {
        if self.one_core {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}
