//! What an account is told, and the line in which it waits until the answers before it have left.
//!
//! An answer takes its place in the line when its request is judged; what the request causes comes
//! behind it. So nothing overtakes an answer that it belongs to, nothing is told out of order, and
//! nothing waits for an answer that came later.

use crate::futures_view::{AccountSnapshot, PositionSnapshot};
use crate::orders::{Fill, Order};
use crate::records::ClosedPosition;
use domain::Asset;
use std::collections::{BTreeSet, VecDeque};

/// What happened to an account, as its owner is told; a dialect gives it its form.
#[derive(Debug, Clone)]
pub(crate) enum PrivateEvent {
    /// An order as it stands now, and the trade that brought it there.
    Order { order: Box<Order>, fill: Option<Box<Fill>> },
    /// A trade of an order.
    Fill(Box<Fill>),
    /// What the account has of one coin.
    Balance { asset: Asset, balance: matching::Balance },
    /// What it has and holds on perpetuals.
    FuturesAccount(Box<AccountSnapshot>),
    /// All its open positions; none when it is flat.
    Positions(Vec<PositionSnapshot>),
    /// A position has ended.
    PositionClosed(Box<ClosedPosition>),
}

/// An event and when it happened.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) event: PrivateEvent,
    pub(crate) ts_ms: u64,
}

/// An answer's place in its account's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u64);

#[derive(Debug)]
enum Waiting {
    /// An answer that has not left.
    Answer(Place),
    Event(Push),
}

/// The line of one account.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    line: VecDeque<Waiting>,
    last: u64,
    /// Answers that have left although something before them has not.
    left: BTreeSet<u64>,
}

impl Outgoing {
    /// Places in the line; more are a client that never reads its answers.
    pub(crate) const LENGTH_MAX: usize = 10_000;

    /// A place for an answer that is being made.
    pub(crate) fn hold(&mut self) -> Place {
        self.last += 1;
        let place = Place(self.last);
        self.line.push_back(Waiting::Answer(place));
        place
    }

    /// The answer has left: what may be told now, in order.
    pub(crate) fn release(&mut self, place: Place) -> Vec<Push> {
        self.left.insert(place.0);
        let mut free = Vec::new();
        while let Some(first) = self.line.pop_front() {
            match first {
                Waiting::Event(push) => free.push(push),
                Waiting::Answer(place) if self.left.remove(&place.0) => {}
                waits @ Waiting::Answer(_) => {
                    self.line.push_front(waits);
                    break;
                }
            }
        }
        if self.line.is_empty() {
            // A place that was given up twice names nothing.
            self.left.clear();
        }
        free
    }

    /// Gives the event back when nothing is before it, and puts it in the line otherwise.
    ///
    /// # Errors
    /// [`Overflow`] when the line is full; it is empty of events then.
    pub(crate) fn push(&mut self, push: Push) -> Result<Option<Push>, Overflow> {
        if self.line.is_empty() {
            return Ok(Some(push));
        }
        if self.line.len() >= Self::LENGTH_MAX {
            self.line.retain(|waiting| matches!(waiting, Waiting::Answer(_)));
            return Err(Overflow);
        }
        self.line.push_back(Waiting::Event(push));
        Ok(None)
    }
}

/// The line is full: its events are gone, and who listens must be told by losing the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow;

#[cfg(test)]
mod tests {
    use super::*;

    fn event(ts_ms: u64) -> Push {
        Push { event: PrivateEvent::Positions(Vec::new()), ts_ms }
    }

    fn times(pushes: &[Push]) -> Vec<u64> {
        pushes.iter().map(|push| push.ts_ms).collect()
    }

    #[test]
    fn an_event_waits_for_the_answers_before_it_and_for_no_later_one() {
        let mut line = Outgoing::default();
        assert!(line.push(event(1)).unwrap().is_some(), "nothing is before it");
        let first = line.hold();
        assert!(line.push(event(2)).unwrap().is_none());
        let second = line.hold();
        assert!(line.push(event(3)).unwrap().is_none());
        assert_eq!(times(&line.release(second)), [0_u64; 0], "the first answer is still before everything");
        assert_eq!(times(&line.release(first)), [2, 3]);
        let (third, fourth) = (line.hold(), line.hold());
        line.push(event(4)).unwrap();
        assert!(line.release(third).is_empty());
        assert_eq!(times(&line.release(fourth)), [4]);
    }

    #[test]
    fn events_flow_although_some_answer_is_always_on_its_way() {
        let mut line = Outgoing::default();
        let (mut told, mut place) = (Vec::new(), line.hold());
        for number in 0..50_000 {
            assert!(line.push(event(number)).unwrap().is_none());
            let next = line.hold();
            told.extend(times(&line.release(place)));
            place = next;
        }
        told.extend(times(&line.release(place)));
        assert!(told.into_iter().eq(0..50_000));
    }

    #[test]
    fn a_line_that_nobody_moves_ends_at_its_bound() {
        let mut line = Outgoing::default();
        let place = line.hold();
        let kept = (0..).take_while(|number| line.push(event(*number)) != Err(Overflow)).count();
        assert_eq!(kept, Outgoing::LENGTH_MAX - 1);
        assert!(line.release(place).is_empty(), "what came before the overflow is not told as if nothing were missing");
    }

    impl PartialEq for Push {
        fn eq(&self, other: &Self) -> bool {
            self.ts_ms == other.ts_ms
        }
    }
}
