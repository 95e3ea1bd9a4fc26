//! Which signed request goes out next: bounded, cancels first, and never a cancel beside its own place. Pure.

use domain::{ClientOrderId, MonoNanos};
use messages::{SignIntent, Verb};
use std::collections::{BTreeMap, VecDeque};

/// How many requests may be under way at a venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All together, one connection each.
    pub in_flight_max: usize,
    /// Of these, kept for cancels.
    pub for_cancels: usize,
    /// Questions at once.
    pub queries_max: usize,
    /// Requests that may wait; beyond it the outbox is left alone, so that the order path notices.
    pub waiting_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_flight_max: 8, for_cancels: 2, queries_max: 3, waiting_max: 64 }
    }
}

/// What the order of sending depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cancel,
    Place,
    Query,
}

/// Waiting and running requests of one venue.
pub(crate) struct Dispatch<T> {
    limits: Limits,
    cancels: VecDeque<T>,
    places: VecDeque<T>,
    queries: VecDeque<T>,
    /// Places that wait or whose answer is not here yet, with the cancels that wait for it.
    unanswered: BTreeMap<ClientOrderId, VecDeque<T>>,
    parked: usize,
    cancels_in_flight: usize,
    places_in_flight: usize,
    queries_in_flight: usize,
}

/// What a request must tell to be queued.
pub(crate) trait Queued {
    /// What it does, and to which order.
    fn intent(&self) -> &SignIntent;
    /// Not to be sent after this.
    fn send_by(&self) -> MonoNanos;
}

fn kind(intent: &SignIntent) -> Kind {
    match intent.verb() {
        Verb::Cancel | Verb::CancelAll => Kind::Cancel,
        Verb::Place => Kind::Place,
        _ => Kind::Query,
    }
}

impl<T: Queued> Dispatch<T> {
    /// Nothing waits, nothing runs.
    #[must_use]
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            cancels: VecDeque::new(),
            places: VecDeque::new(),
            queries: VecDeque::new(),
            unanswered: BTreeMap::new(),
            parked: 0,
            cancels_in_flight: 0,
            places_in_flight: 0,
            queries_in_flight: 0,
        }
    }

    /// Whether one more may wait.
    #[must_use]
    pub(crate) fn has_room(&self) -> bool {
        self.waiting() < self.limits.waiting_max
    }

    /// Requests that wait.
    #[must_use]
    pub(crate) fn waiting(&self) -> usize {
        self.cancels.len() + self.places.len() + self.queries.len() + self.parked
    }

    /// Requests under way.
    #[must_use]
    pub(crate) const fn in_flight(&self) -> usize {
        self.cancels_in_flight + self.places_in_flight + self.queries_in_flight
    }

    /// Takes a request in. Look at [`Self::has_room`] first.
    pub(crate) fn offer(&mut self, item: T) {
        match (kind(item.intent()), *item.intent()) {
            (Kind::Place, SignIntent::Place(place)) => {
                self.unanswered.entry(place.id).or_default();
                self.places.push_back(item);
            }
            (Kind::Cancel, SignIntent::Cancel { id, .. }) => match self.unanswered.get_mut(&id) {
                Some(parked) => {
                    parked.push_back(item);
                    self.parked += 1;
                }
                None => self.cancels.push_back(item),
            },
            (Kind::Cancel, _) => self.cancels.push_back(item),
            _ => self.queries.push_back(item),
        }
    }

    /// The request to send now, if one may go; it counts as under way until [`Self::finished`].
    pub(crate) fn next(&mut self) -> Option<T> {
        let all = self.in_flight();
        if all >= self.limits.in_flight_max {
            return None;
        }
        if let Some(item) = self.cancels.pop_front() {
            self.cancels_in_flight += 1;
            return Some(item);
        }
        let others = self.places_in_flight + self.queries_in_flight;
        if others + self.limits.for_cancels >= self.limits.in_flight_max {
            return None;
        }
        if let Some(item) = self.places.pop_front() {
            self.places_in_flight += 1;
            return Some(item);
        }
        if self.queries_in_flight >= self.limits.queries_max {
            return None;
        }
        let item = self.queries.pop_front()?;
        self.queries_in_flight += 1;
        Some(item)
    }

    /// A request that [`Self::next`] gave is answered, lost, or was not sent after all.
    pub(crate) fn finished(&mut self, intent: &SignIntent) {
        let counter = match kind(intent) {
            Kind::Cancel => &mut self.cancels_in_flight,
            Kind::Place => &mut self.places_in_flight,
            Kind::Query => &mut self.queries_in_flight,
        };
        *counter = counter.saturating_sub(1);
        self.answered(intent);
    }

    fn answered(&mut self, intent: &SignIntent) {
        if let SignIntent::Place(place) = intent
            && let Some(parked) = self.unanswered.remove(&place.id)
        {
            self.parked -= parked.len();
            self.cancels.extend(parked);
        }
    }

    /// Takes out the waiting requests whose time to be sent has passed.
    pub(crate) fn expired(&mut self, now: MonoNanos) -> Vec<T> {
        let mut late = Vec::new();
        let mut sieve = |queue: &mut VecDeque<T>| {
            for item in std::mem::take(queue) {
                if item.send_by() <= now { late.push(item) } else { queue.push_back(item) }
            }
        };
        sieve(&mut self.cancels);
        sieve(&mut self.places);
        sieve(&mut self.queries);
        for parked in self.unanswered.values_mut() {
            let before = parked.len();
            sieve(parked);
            self.parked -= before - parked.len();
        }
        for item in &late {
            self.answered(item.intent());
        }
        late
    }

    /// When the next waiting request becomes too late.
    #[must_use]
    pub(crate) fn next_expiry(&self) -> Option<MonoNanos> {
        let parked = self.unanswered.values().flatten();
        let waiting = self.cancels.iter().chain(&self.places).chain(&self.queries).chain(parked);
        waiting.map(Queued::send_by).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire_log::tests::id;
    use domain::{Scaled, Side, Symbol, TimeInForce};
    use messages::PlaceOrder;
    use proptest::prelude::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Item(SignIntent, MonoNanos);

    impl Queued for Item {
        fn intent(&self) -> &SignIntent {
            &self.0
        }
        fn send_by(&self) -> MonoNanos {
            self.1
        }
    }

    fn symbol() -> Symbol {
        Symbol::from("BTCUSDT").unwrap()
    }

    fn place(sequence: u64) -> Item {
        let one = Scaled { mantissa: 1, decimals: 0 };
        let order = PlaceOrder {
            id: id(sequence),
            symbol: symbol(),
            side: Side::Buy,
            price: one,
            qty: one,
            time_in_force: TimeInForce::Gtc,
            effect: domain::PositionEffect::default(),
        };
        Item(SignIntent::Place(order), MonoNanos(100))
    }

    fn cancel(sequence: u64) -> Item {
        Item(SignIntent::Cancel { symbol: symbol(), id: id(sequence), venue_order_id: None }, MonoNanos(100))
    }

    fn query() -> Item {
        Item(SignIntent::Balances, MonoNanos(100))
    }

    fn dispatch(items: impl IntoIterator<Item = Item>) -> Dispatch<Item> {
        let mut dispatch = Dispatch::new(Limits::default());
        for item in items {
            dispatch.offer(item);
        }
        dispatch
    }

    #[test]
    fn cancel_waits_for_the_answer_of_its_own_place() {
        let mut dispatch = dispatch([place(1), cancel(1), place(2)]);
        assert_eq!(dispatch.next(), Some(place(1)));
        assert_eq!(dispatch.next(), Some(place(2)), "the order of another id does not wait");
        assert_eq!(dispatch.next(), None);
        dispatch.finished(&place(1).0);
        assert_eq!(dispatch.next(), Some(cancel(1)));
    }

    #[test]
    fn cancel_does_not_overtake_a_place_that_has_not_left_yet() {
        let mut dispatch = dispatch((1..=6).map(place));
        while dispatch.next().is_some() {}
        dispatch.offer(place(7));
        dispatch.offer(cancel(7));
        assert_eq!(dispatch.next(), None, "only room for cancels is left, and this one must wait");
        dispatch.offer(cancel(99));
        assert_eq!(dispatch.next(), Some(cancel(99)));
    }

    #[test]
    fn cancels_go_first_and_always_have_room() {
        let mut dispatch = dispatch([query(), place(1), cancel(50)]);
        assert_eq!(
            [dispatch.next(), dispatch.next(), dispatch.next()],
            [Some(cancel(50)), Some(place(1)), Some(query())]
        );
        for sequence in 2..20 {
            dispatch.offer(place(sequence));
        }
        while dispatch.next().is_some() {}
        assert_eq!(dispatch.in_flight(), 7, "six places and questions, one cancel");
        dispatch.offer(cancel(60));
        assert_eq!(dispatch.next(), Some(cancel(60)));
        dispatch.offer(cancel(61));
        assert_eq!(dispatch.next(), None, "never more than the bound");
    }

    #[test]
    fn questions_leave_room_for_orders() {
        let mut dispatch = dispatch(std::iter::repeat_n(query(), 10));
        let out = std::iter::from_fn(|| dispatch.next()).count();
        assert_eq!(out, Limits::default().queries_max);
        dispatch.offer(place(1));
        assert_eq!(dispatch.next(), Some(place(1)));
    }

    #[test]
    fn late_requests_come_back_and_free_the_cancels_behind_them() {
        let mut dispatch = dispatch((1..=6).map(place));
        while dispatch.next().is_some() {}
        dispatch.offer(place(7));
        dispatch.offer(Item(cancel(7).0, MonoNanos(200)));
        assert_eq!(dispatch.next_expiry(), Some(MonoNanos(100)));
        assert_eq!(dispatch.expired(MonoNanos(99)), []);
        assert_eq!(dispatch.expired(MonoNanos(100)), [place(7)]);
        assert_eq!(dispatch.next(), Some(Item(cancel(7).0, MonoNanos(200))));
        assert_eq!(dispatch.waiting(), 0);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_bound_is_broken(steps in prop::collection::vec((0_u8..5, 1_u64..6), 1..200)) {
            let limits = Limits { in_flight_max: 4, for_cancels: 1, queries_max: 2, waiting_max: 8 };
            let mut dispatch = Dispatch::new(limits);
            let mut running: Vec<Item> = Vec::new();
            let (mut offered, mut done) = (0, 0);
            for (step, number) in steps {
                match step {
                    0..=2 if dispatch.has_room() => {
                        offered += 1;
                        dispatch.offer(match step { 0 => place(offered), 1 => cancel(offered.saturating_sub(number)), _ => query() });
                    }
                    3 if !running.is_empty() => {
                        let item = running.remove(usize::try_from(number).unwrap() % running.len());
                        dispatch.finished(&item.0);
                        done += 1;
                    }
                    _ => {}
                }
                while let Some(item) = dispatch.next() {
                    if let SignIntent::Cancel { id, .. } = item.0 {
                        prop_assert!(!running.iter().any(|other| matches!(other.0, SignIntent::Place(p) if p.id == id)));
                    }
                    running.push(item);
                }
                prop_assert!(running.len() <= limits.in_flight_max);
                prop_assert_eq!(running.len(), dispatch.in_flight());
                prop_assert_eq!(offered, done + running.len() as u64 + dispatch.waiting() as u64);
            }
        }
    }
}
