//! Feed, strategy and order path on one thread: the way without a hand-over.

use super::BenchError;
use super::frames::Desk;
use super::rig::{Rig, SteppedClock, VENUE};
use super::venue::{Hops, News, Venue};
use clock::SystemClock;
use domain::Clock;
use hot_actor::HotActor;
use messages::{Control, KeyDuty};
use order_path::{OrderPath, Urgent};
use std::sync::Arc;
use std::time::Duration;

/// An order path that is called on the caller's thread, with a feed before it and a venue behind it.
pub struct OneThread {
    path: OrderPath,
    desk: Desk,
    venue: Venue,
    clock: Arc<SteppedClock>,
    orders: u64,
    hops: Option<Hops>,
}

/// The parts of a rig once the order path may trade.
pub(super) struct Parts {
    pub(super) path: OrderPath,
    pub(super) desk: Desk,
    pub(super) venue: Venue,
    pub(super) clock: Arc<SteppedClock>,
}

impl OneThread {
    /// Orders after which every table of the order path has its final size.
    pub const WARM_UP: u64 = 8_192;
    /// Questions of one comparison with the venue; it takes four.
    const ROUNDS_MAX: u32 = 64;

    /// Joins everything and lets the order path compare its books with the venue's.
    ///
    /// # Errors
    /// [`BenchError`]: this machine lets nothing be measured.
    pub fn new() -> Result<Self, BenchError> {
        let rig = Rig::new()?;
        let mut one = Self {
            path: rig.path,
            desk: Desk::new(rig.board),
            venue: Venue::new(rig.outbox, rig.events),
            clock: rig.clock,
            orders: 0,
            hops: None,
        };
        one.come_up()?;
        one.rest_some()?;
        Ok(one)
    }

    fn come_up(&mut self) -> Result<(), BenchError> {
        let now = self.clock.mono();
        self.path.started(now);
        let measured = Control::ClockMeasured { venue: VENUE, offset_ns: 0, uncertainty_ns: 1_000, at: now };
        for control in
            [Control::KeyDuty(VENUE, KeyDuty::Full), measured, Control::PrivateStream { venue: VENUE, live: true }]
        {
            self.path.urgent(Urgent::Control(control), now);
        }
        for _ in 0..Self::ROUNDS_MAX {
            self.clock.step(Duration::from_millis(250));
            self.path.tick(self.clock.mono());
            self.settle()?;
            if self.path.core().reconciled(VENUE) {
                return Ok(());
            }
        }
        Err(BenchError::Setup("the order path does not come to agree with the bench's venue"))
    }

    /// Places the orders that rest all the time.
    fn rest_some(&mut self) -> Result<(), BenchError> {
        for number in 0..Venue::RESTING {
            self.clock.step(SteppedClock::STEP);
            let now = self.clock.mono();
            self.desk.take_frame(now)?;
            self.path.handle(Venue::resting_order(number, now)?, now);
            self.settle()?;
        }
        if self.path.core().live_orders().count() == Venue::RESTING {
            Ok(())
        } else {
            Err(BenchError::Setup("the orders of the bench do not rest"))
        }
    }

    /// Moves the clock on when that is due; call before each order.
    pub fn pace(&mut self) {
        self.orders += 1;
        if self.orders.is_multiple_of(SteppedClock::ORDERS_PER_STEP) {
            self.clock.step(SteppedClock::STEP);
        }
    }

    /// One order from the frame's bytes to the signed request in the outbox. Returns the time it took.
    ///
    /// # Errors
    /// [`BenchError`] when a frame cannot be read; a refused order shows in [`Self::settle`].
    pub fn order(&mut self) -> Result<Duration, BenchError> {
        let received = self.clock.mono();
        self.desk.take_frame(received)?;
        let intent = self.desk.decide(received, self.clock.mono())?;
        self.path.handle(intent, self.clock.mono());
        Ok(self.clock.mono().since(received))
    }

    /// Everything that follows an order: events read, the venue's answers applied. Returns the orders placed.
    ///
    /// # Errors
    /// [`BenchError::Refused`] when the order path did not take the order.
    pub fn settle(&mut self) -> Result<u64, BenchError> {
        let mut placed = 0;
        loop {
            let mut quiet = true;
            while let Some(answers) = self.venue.answer(SystemClock.unix(), self.clock.mono()) {
                quiet = false;
                for report in answers {
                    self.path.urgent(Urgent::Report(report), self.clock.mono());
                }
            }
            while let Some(news) = self.venue.news()? {
                quiet = false;
                if let News::Placed(hops) = news {
                    placed += 1;
                    self.hops = Some(hops);
                }
            }
            if quiet {
                return Ok(placed);
            }
        }
    }

    /// Orders until every table has its final size.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub fn warm_up(&mut self, orders: u64) -> Result<(), BenchError> {
        for _ in 0..orders {
            self.pace();
            self.order()?;
            self.settle()?;
        }
        Ok(())
    }

    /// When the latest order that was settled passed each hop.
    pub(super) const fn hops(&self) -> Option<Hops> {
        self.hops
    }

    /// Takes it apart, so that the order path can be put on a thread of its own.
    pub(super) fn into_parts(self) -> Parts {
        Parts { path: self.path, desk: self.desk, venue: self.venue, clock: self.clock }
    }
}
