//! What the guard remembers: the pace of orders, the latest intents, the latest outcomes. All of fixed size.

use crate::limits::Limits;
use domain::{InstrumentId, MonoNanos, PositionEffect, Price, Qty, Side, StrategyTag};
use messages::OrderIntent;
use std::time::Duration;

/// Counts events in any one second.
#[derive(Debug)]
pub(super) struct Pace {
    times: Vec<Option<MonoNanos>>,
    next: usize,
    limit: usize,
}

impl Pace {
    const SECOND: Duration = Duration::from_secs(1);

    pub(super) fn new(limit: u32) -> Self {
        let room = usize::try_from(Limits::RATE_MAX).unwrap_or(1);
        let mut pace = Self { times: vec![None; room], next: 0, limit: 0 };
        pace.set_limit(limit);
        pace
    }

    pub(super) fn set_limit(&mut self, limit: u32) {
        self.limit = usize::try_from(limit).unwrap_or(1).clamp(1, self.times.len());
    }

    /// Whether fewer than the limit happened within the last second.
    pub(super) fn has_room(&self, now: MonoNanos) -> bool {
        // `limit` is at most the room, so one turn of the ring is enough.
        let back = self.next.checked_sub(self.limit).unwrap_or_else(|| self.next + self.times.len() - self.limit);
        self.times.get(back).copied().flatten().is_none_or(|then| now.since(then) >= Self::SECOND)
    }

    pub(super) fn take(&mut self, now: MonoNanos) {
        if let Some(slot) = self.times.get_mut(self.next) {
            *slot = Some(now);
        }
        self.next = if self.next + 1 < self.times.len() { self.next + 1 } else { 0 };
    }

    /// Events within the last second.
    pub(super) fn used(&self, now: MonoNanos) -> u32 {
        let recent = self.times.iter().flatten().filter(|then| now.since(**then) < Self::SECOND).count();
        u32::try_from(recent).unwrap_or(u32::MAX)
    }
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    strategy: StrategyTag,
    instrument: InstrumentId,
    side: Side,
    effect: PositionEffect,
    price: Price,
    qty: Qty,
    at: MonoNanos,
}

/// The latest accepted intents.
#[derive(Debug)]
pub(super) struct Recent {
    seen: Vec<Option<Seen>>,
    next: usize,
}

impl Recent {
    /// One second at the largest order rate; a longer window forgets the oldest.
    const ROOM: usize = 1_000;

    pub(super) fn new() -> Self {
        Self { seen: vec![None; Self::ROOM], next: 0 }
    }

    /// Whether the same order was accepted within `window`.
    pub(super) fn holds(&self, intent: &OrderIntent, now: MonoNanos, window: Duration) -> bool {
        // Compared in plain nanoseconds: a burst has many entries within the window.
        let window_ns = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let (newer, older) = self.seen.split_at_checked(self.next).unwrap_or((&[], &[]));
        newer
            .iter()
            .rev()
            .chain(older.iter().rev())
            .map_while(|seen| seen.as_ref().filter(|seen| now.0.saturating_sub(seen.at.0) < window_ns))
            .any(|seen| {
                seen.price == intent.price.price()
                    && seen.qty == intent.qty.qty()
                    && seen.side == intent.side
                    && seen.effect == intent.effect
                    && seen.instrument == intent.instrument
                    && seen.strategy == intent.strategy
            })
    }

    pub(super) fn remember(&mut self, intent: &OrderIntent, now: MonoNanos) {
        if let Some(slot) = self.seen.get_mut(self.next) {
            *slot = Some(Seen {
                strategy: intent.strategy,
                instrument: intent.instrument,
                side: intent.side,
                effect: intent.effect,
                price: intent.price.price(),
                qty: intent.qty.qty(),
                at: now,
            });
        }
        self.next = (self.next + 1) % Self::ROOM;
    }
}

/// How the venue took the latest orders, newest in the lowest bit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outcomes {
    rejected: u64,
    seen: u32,
}

impl Outcomes {
    /// Outcomes that count.
    const ROOM: u32 = 50;
    const BILLION: u64 = 1_000_000_000;
    /// Fewer say nothing about a ratio.
    const SAMPLE_MIN: u32 = 10;

    pub(super) const fn add(&mut self, rejected: bool) {
        let bit = if rejected { 1 } else { 0 };
        self.rejected = ((self.rejected << 1) | bit) & ((1 << Self::ROOM) - 1);
        if self.seen < Self::ROOM {
            self.seen += 1;
        }
    }

    /// Share of rejects in billionths; zero until there is a sample.
    pub(super) fn billionths(&self) -> i128 {
        if self.seen < Self::SAMPLE_MIN {
            return 0;
        }
        // At most 50 billion: 64 bits are enough.
        i128::from(u64::from(self.rejected.count_ones()) * Self::BILLION / u64::from(self.seen))
    }
}
