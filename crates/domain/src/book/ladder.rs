//! One side of a book: a sorted, contiguous, bounded row of levels.
//!
//! The worst level stands first and the best last, so that a change near the
//! top moves only the few levels above it. Once levels were dropped for want of
//! room, everything worse than the dropping line is ignored until the next
//! snapshot: what is held is complete down to that line, never a row with holes.

use super::Level;
use crate::Price;

/// Levels near the top that are looked through without a branch; only beyond them the rest is halved (measured: 48 in
/// blocks of 8 take a fifth less than 16 one by one, and less than 32, 64 or 128).
const NEAR: usize = 48;
/// Levels that one comparison passes over.
const BLOCK: usize = 8;

/// Levels dropped at once when a side is full: one long move for hundreds of insertions.
const DROPPED_AT_ONCE: usize = super::LEVELS_MAX / 10;

/// One side of a book; `BIDS` says which.
#[derive(Debug, Clone, Default)]
pub(super) struct Ladder<const BIDS: bool> {
    /// Worst first, best last, prices unique, quantities above zero.
    levels: Vec<Level>,
    /// Rank of the worst level for which the side is complete; `None`: nothing was dropped.
    horizon: Option<i64>,
}

impl<const BIDS: bool> Ladder<BIDS> {
    /// Grows towards the better price: the price itself for bids, its mirror image for asks.
    const fn rank(price: Price) -> i64 {
        if BIDS { price.0 } else { !price.0 }
    }

    /// Takes over the levels of a snapshot, in whatever order they come.
    pub(super) fn replace(&mut self, levels: &[Level]) {
        self.horizon = None;
        self.levels.clear();
        // Venues send the best level first, so this order is nearly always sorted already.
        let (mut sorted, mut last) = (true, None);
        for level in levels.iter().rev().filter(|level| level.qty.0 > 0) {
            let rank = Self::rank(level.price);
            sorted &= last.is_none_or(|last| last < rank);
            last = Some(rank);
            self.levels.push(*level);
        }
        if !sorted {
            // The sort is stable and the rows were reversed: of a price sent twice the last one stays.
            self.levels.sort_by_key(|level| Self::rank(level.price));
            self.levels.dedup_by_key(|level| level.price);
        }
        if self.levels.len() > super::LEVELS_MAX {
            self.drop_worst(self.levels.len() - super::LEVELS_MAX);
        }
    }

    /// Inserts, replaces or (quantity zero) deletes one level.
    pub(super) fn apply(&mut self, level: Level) {
        let rank = Self::rank(level.price);
        if self.horizon.is_some_and(|horizon| rank < horizon) {
            return;
        }
        let mut at = self.position(rank);
        if let Some(held) = self.levels.get_mut(at)
            && held.price == level.price
        {
            if level.qty.0 > 0 {
                *held = level;
            } else {
                self.levels.remove(at);
            }
            return;
        }
        if level.qty.0 <= 0 {
            return; // Deleting what is not held is normal.
        }
        if self.levels.len() >= super::LEVELS_MAX {
            self.drop_worst(DROPPED_AT_ONCE);
            if at <= DROPPED_AT_ONCE {
                return; // The new level is worse than everything kept, so it is beyond the horizon.
            }
            at -= DROPPED_AT_ONCE;
        }
        self.levels.insert(at, level);
    }

    /// How many levels are worse than `rank`.
    fn position(&self, rank: i64) -> usize {
        let deep_count = self.levels.len().saturating_sub(NEAR);
        let (deep, near) = self.levels.split_at(deep_count);
        if deep.last().is_some_and(|level| Self::rank(level.price) >= rank) {
            return deep.partition_point(|level| Self::rank(level.price) < rank);
        }
        // Counted without an early end: no branch to mispredict. First the blocks that are not worse, by their worst
        // level, then the levels of the block in which they end.
        let not_worse = |level: &Level| usize::from(Self::rank(level.price) >= rank);
        let blocks: usize = near.rchunks_exact(BLOCK).map(|block| block.first().map_or(0, not_worse)).sum();
        let edge = near.len() - blocks * BLOCK;
        let last = near.get(edge.saturating_sub(BLOCK)..edge).unwrap_or(&[]);
        self.levels.len() - blocks * BLOCK - last.iter().map(not_worse).sum::<usize>()
    }

    /// Forgets all but the best `count`; what is forgotten may come again, so nothing is noted as cut.
    pub(super) fn keep_best(&mut self, count: usize) {
        let beyond = self.levels.len().saturating_sub(count);
        if beyond > 0 {
            self.levels.drain(..beyond);
        }
    }

    fn drop_worst(&mut self, count: usize) {
        self.levels.drain(..count.min(self.levels.len()));
        self.horizon = self.levels.first().map(|level| Self::rank(level.price));
    }

    /// The best level.
    pub(super) fn best(&self) -> Option<&Level> {
        self.levels.last()
    }

    /// Levels held.
    pub(super) fn len(&self) -> usize {
        self.levels.len()
    }

    /// Whether levels were dropped since the last snapshot.
    pub(super) const fn is_cut(&self) -> bool {
        self.horizon.is_some()
    }

    /// The levels, best first.
    pub(super) fn iter(&self) -> std::iter::Rev<std::slice::Iter<'_, Level>> {
        self.levels.iter().rev()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.levels.clear();
        self.horizon = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Qty;

    fn assert_finds_every_place<const BIDS: bool>() {
        for length in 0..=i64::try_from(2 * NEAR + BLOCK).unwrap() {
            let mut ladder = Ladder::<BIDS>::default();
            let levels: Vec<Level> = (1..=length)
                .map(|at| Level { price: Price(10 * at), qty: Qty(1), price_shown: 0, qty_shown: 0 })
                .collect();
            ladder.replace(&levels);
            for price in 5..=10 * length + 5 {
                let rank = Ladder::<BIDS>::rank(Price(price));
                let worse = ladder.levels.iter().filter(|level| Ladder::<BIDS>::rank(level.price) < rank).count();
                assert_eq!(ladder.position(rank), worse, "{price} among {length}");
            }
        }
    }

    #[test]
    fn every_price_has_its_place_near_the_top_and_far_from_it() {
        assert_finds_every_place::<true>();
        assert_finds_every_place::<false>();
    }
}
