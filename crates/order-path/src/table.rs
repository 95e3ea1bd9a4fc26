//! The bounded table of orders: everything that may rest, and the latest that have ended.
//!
//! Invariants: room is taken once, at construction; an order that may rest is never dropped;
//! iteration is in order of client order id.

use domain::{ClientOrderId, Order, VenueOrderId, VenueTradeId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

/// For texts of the venue, which it could choose so that they collide.
type Fixed = BuildHasherDefault<DefaultHasher>;
/// For our own ids.
type OwnIds = BuildHasherDefault<OwnIdHasher>;

/// Hashes an id of ours by its last digits, which count the orders up.
#[derive(Debug, Default)]
pub(crate) struct OwnIdHasher(u64);

impl Hasher for OwnIdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(tail) = bytes.last_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*tail);
            return;
        }
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        // Both halves of the product: every digit reaches the high and the low bits.
        const ODD: u128 = 0x9E37_79B9_7F4A_7C15;
        let product = u128::from(self.0) * ODD;
        u64::try_from((product >> 64) ^ (product & u128::from(u64::MAX))).unwrap_or(0)
    }
}

/// Orders by id, with the venue's ids beside.
#[derive(Debug)]
pub(crate) struct OrderTable {
    slots: Vec<Option<Order>>,
    free: Vec<usize>,
    by_id: HashMap<ClientOrderId, usize, OwnIds>,
    by_venue_id: HashMap<VenueOrderId, usize, Fixed>,
    ended: VecDeque<usize>,
}

impl OrderTable {
    /// Orders that may rest at the same time; far above any risk limit.
    pub(crate) const LIVE_MAX: usize = 1_024;
    /// Ended orders kept so that a late push or fill finds them.
    pub(crate) const ENDED_MAX: usize = 3_072;

    pub(crate) fn new() -> Self {
        let room = Self::LIVE_MAX + Self::ENDED_MAX;
        Self {
            slots: vec![None; room],
            free: (0..room).rev().collect(),
            by_id: HashMap::with_capacity_and_hasher(room, OwnIds::default()),
            by_venue_id: HashMap::with_capacity_and_hasher(room, Fixed::default()),
            ended: VecDeque::with_capacity(Self::ENDED_MAX + 1),
        }
    }

    pub(crate) fn live_len(&self) -> usize {
        self.by_id.len() - self.ended.len()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.live_len() < Self::LIVE_MAX && !self.free.is_empty()
    }

    /// Adds an order; `false` when the table is full or the id is known.
    pub(crate) fn insert(&mut self, order: Order) -> bool {
        if self.by_id.contains_key(&order.id) || !self.has_room() {
            return false;
        }
        let Some(slot) = self.free.pop() else { return false };
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(order);
        }
        self.by_id.insert(order.id, slot);
        if let Some(venue_id) = order.venue_order_id {
            self.by_venue_id.insert(venue_id, slot);
        }
        if order.state.is_terminal() {
            self.retire(slot);
        }
        true
    }

    pub(crate) fn get(&self, id: &ClientOrderId) -> Option<&Order> {
        self.by_id.get(id).and_then(|slot| self.slots.get(*slot)?.as_ref())
    }

    pub(crate) fn id_of(&self, venue_id: &VenueOrderId) -> Option<ClientOrderId> {
        self.by_venue_id.get(venue_id).and_then(|slot| self.slots.get(*slot)?.as_ref()).map(|order| order.id)
    }

    /// Replaces an order by its changed self.
    pub(crate) fn put(&mut self, order: Order) {
        let Some(slot) = self.by_id.get(&order.id).copied() else { return };
        let Some(place) = self.slots.get_mut(slot) else { return };
        let was_live = place.as_ref().is_some_and(|before| !before.state.is_terminal());
        let known_as = place.as_ref().and_then(|before| before.venue_order_id);
        *place = Some(order);
        if let Some(venue_id) = order.venue_order_id
            && known_as != Some(venue_id)
        {
            self.by_venue_id.insert(venue_id, slot);
        }
        if was_live && order.state.is_terminal() {
            self.retire(slot);
        }
    }

    fn retire(&mut self, slot: usize) {
        self.ended.push_back(slot);
        while self.ended.len() > Self::ENDED_MAX {
            let Some(oldest) = self.ended.pop_front() else { break };
            if let Some(order) = self.slots.get_mut(oldest).and_then(Option::take) {
                self.by_id.remove(&order.id);
                if let Some(venue_id) = order.venue_order_id {
                    self.by_venue_id.remove(&venue_id);
                }
            }
            self.free.push(oldest);
        }
    }

    /// Orders that have not ended, in slot order. Callers that publish sort by id.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Order> {
        self.slots.iter().flatten().filter(|order| !order.state.is_terminal())
    }

    /// Ended orders of which more is filled than was seen fill by fill.
    pub(crate) fn ended_with_missing_fills(&self) -> impl Iterator<Item = &Order> {
        self.slots.iter().flatten().filter(|order| order.state.is_terminal() && order.filled > order.filled_by_fills)
    }

    /// The ids of all live orders, sorted.
    pub(crate) fn live_ids(&self) -> Vec<ClientOrderId> {
        let mut ids: Vec<_> = self.live().map(|order| order.id).collect();
        ids.sort_unstable();
        ids
    }
}

/// Trade ids that have been counted, the latest of them.
#[derive(Debug)]
pub(crate) struct SeenTrades {
    set: HashSet<(ClientOrderId, VenueTradeId), Fixed>,
    order: VecDeque<(ClientOrderId, VenueTradeId)>,
}

impl SeenTrades {
    /// Fills remembered; a replay of older ones is kept out by the time from which fills are asked for.
    pub(crate) const MAX: usize = 8_192;

    pub(crate) fn new() -> Self {
        Self {
            set: HashSet::with_capacity_and_hasher(Self::MAX + 1, Fixed::default()),
            order: VecDeque::with_capacity(Self::MAX + 1),
        }
    }

    pub(crate) fn contains(&self, order: ClientOrderId, trade: VenueTradeId) -> bool {
        self.set.contains(&(order, trade))
    }

    /// Remembers a fill; `false` when it is known already.
    pub(crate) fn insert(&mut self, order: ClientOrderId, trade: VenueTradeId) -> bool {
        if !self.set.insert((order, trade)) {
            return false;
        }
        self.order.push_back((order, trade));
        if self.order.len() > Self::MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Epoch, InstanceTag, Sequence};
    use std::hash::BuildHasher as _;

    #[test]
    fn ids_that_follow_each_other_spread_over_all_buckets() {
        const BUCKETS: usize = 4_096;
        let mut low = vec![0_u32; BUCKETS];
        let mut high = [0_u32; 128];
        let build = OwnIds::default();
        for number in 1..=4 * 4_096 {
            let (epoch, sequence) = (Epoch::new(7).unwrap(), Sequence::new(number).unwrap());
            let hash = build.hash_one(ClientOrderId::new(InstanceTag::from_number(9), epoch, sequence));
            low[usize::try_from(hash).unwrap() % BUCKETS] += 1;
            high[usize::try_from(hash >> 57).unwrap()] += 1;
        }
        // Four to a bucket on average; what chance would do stays far below these bounds.
        assert!(low.iter().max() < Some(&24) && low.iter().filter(|count| **count == 0).count() < BUCKETS / 8);
        assert!(high.iter().all(|count| (32..512).contains(count)), "{high:?}");
    }
}
