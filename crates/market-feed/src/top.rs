//! Tops of book as overwritten slots: written here, read by the order path on its own thread.

use domain::{InstrumentId, Price, TopOfBook};
use hot_actor::{SlotReader, SlotWords, SlotWriter, slot};
use messages::{BookFaultKind, RefuseReason, TopUsed};

/// Words of one slot: a status and a top of book; with the slot's own sequence one cache line.
const WORDS: usize = TopOfBook::WORDS + 1;

/// The top of one book, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Top(pub Result<TopOfBook, BookFaultKind>);

/// Status word of a valid top; never zero, so that a slot of zeros is not valid.
const VALID: u64 = 1;

const FAULTS: [BookFaultKind; 6] = [
    BookFaultKind::NoSnapshot,
    BookFaultKind::Gap,
    BookFaultKind::Checksum,
    BookFaultKind::Crossed,
    BookFaultKind::Stale,
    BookFaultKind::Disconnected,
];

impl SlotWords<WORDS> for Top {
    fn to_words(&self) -> [u64; WORDS] {
        match self.0 {
            Ok(top) => {
                let [a, b, c, d, e, f] = top.to_words();
                [VALID, a, b, c, d, e, f]
            }
            Err(fault) => {
                let place = FAULTS.iter().position(|known| *known == fault).unwrap_or(0);
                [VALID + 1 + u64::try_from(place).unwrap_or(0), 0, 0, 0, 0, 0, 0]
            }
        }
    }

    fn from_words([status, a, b, c, d, e, f]: [u64; WORDS]) -> Self {
        if status == VALID {
            return Self(Ok(TopOfBook::from_words([a, b, c, d, e, f])));
        }
        let place = usize::try_from(status.saturating_sub(VALID + 1)).unwrap_or(usize::MAX);
        Self(Err(FAULTS.get(place).copied().unwrap_or(BookFaultKind::NoSnapshot)))
    }
}

/// The writing ends of the slots of one feed.
#[derive(Debug)]
pub struct TopWriters {
    slots: Vec<(InstrumentId, SlotWriter<Top, WORDS>)>,
}

impl TopWriters {
    /// Overwrites the slot of one instrument. Never waits.
    pub fn publish(&mut self, instrument: InstrumentId, top: Top) {
        if let Ok(place) = self.slots.binary_search_by_key(&instrument, |(id, _)| *id)
            && let Some((_, slot)) = self.slots.get_mut(place)
        {
            slot.publish(top);
        }
    }

    /// Makes every top unreadable.
    pub fn invalidate_all(&mut self, fault: BookFaultKind) {
        for (_, slot) in &mut self.slots {
            slot.publish(Top(Err(fault)));
        }
    }
}

/// The reading ends of all slots, by instrument. Cloneable; may be read from any thread.
#[derive(Debug, Clone, Default)]
pub struct TopBoard {
    slots: Vec<Option<SlotReader<Top, WORDS>>>,
}

impl TopBoard {
    /// The top of an instrument as it was last published.
    ///
    /// # Errors
    /// [`RefuseReason::InvalidBook`] while its book is not valid, a side is empty, or nobody feeds it;
    /// [`RefuseReason::BookBusy`] when it was being written at every attempt.
    pub fn top(&self, instrument: InstrumentId) -> Result<TopUsed, RefuseReason> {
        let top = self.read(instrument)?.0.map_err(|_| RefuseReason::InvalidBook)?;
        let (Some(bid), Some(ask)) = (top.bid, top.ask) else { return Err(RefuseReason::InvalidBook) };
        let (bid, ask): (Price, Price) = (bid.price, ask.price);
        Ok(TopUsed { bid, ask, received: top.at })
    }

    /// The slot of an instrument as it stands, with the fault if there is one.
    ///
    /// # Errors
    /// [`RefuseReason::InvalidBook`] for an instrument without a slot, [`RefuseReason::BookBusy`] as for [`Self::top`].
    pub fn read(&self, instrument: InstrumentId) -> Result<Top, RefuseReason> {
        let slot = self.slots.get(instrument.index()).and_then(Option::as_ref).ok_or(RefuseReason::InvalidBook)?;
        slot.read().map_err(|_| RefuseReason::BookBusy)
    }

    /// This board and another one, of another venue's feed, as one.
    #[must_use]
    pub fn joined(mut self, other: Self) -> Self {
        if self.slots.len() < other.slots.len() {
            self.slots.resize(other.slots.len(), None);
        }
        for (place, slot) in self.slots.iter_mut().zip(other.slots) {
            if slot.is_some() {
                *place = slot;
            }
        }
        self
    }
}

/// Slots for `instruments`, none of them readable yet.
#[must_use]
pub fn tops(instruments: impl IntoIterator<Item = InstrumentId>) -> (TopWriters, TopBoard) {
    let mut ids: Vec<InstrumentId> = instruments.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let mut board = TopBoard::default();
    board.slots.resize(ids.last().map_or(0, |last| last.index() + 1), None);
    let mut slots = Vec::with_capacity(ids.len());
    for id in ids {
        let (writer, reader) = slot(Top(Err(BookFaultKind::NoSnapshot)));
        if let Some(place) = board.slots.get_mut(id.index()) {
            *place = Some(reader);
        }
        slots.push((id, writer));
    }
    (TopWriters { slots }, board)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{MonoNanos, Qty, Quote};

    fn top() -> TopOfBook {
        TopOfBook {
            bid: Some(Quote { price: Price(99), qty: Qty(3) }),
            ask: Some(Quote { price: Price(101), qty: Qty(4) }),
            at: MonoNanos(7),
            version: 5,
        }
    }

    #[test]
    fn every_top_and_every_fault_survives_its_words() {
        for value in FAULTS.into_iter().map(|fault| Top(Err(fault))).chain([Top(Ok(top()))]) {
            assert_eq!(Top::from_words(value.to_words()), value);
        }
        assert_eq!(Top::from_words([0; WORDS]), Top(Err(BookFaultKind::NoSnapshot)));
        assert_eq!(Top::from_words([u64::MAX; WORDS]), Top(Err(BookFaultKind::NoSnapshot)));
    }

    #[test]
    fn an_invalid_top_cannot_be_read_as_a_price() {
        let (mut writers, board) = tops([InstrumentId(2)]);
        assert_eq!(board.top(InstrumentId(2)), Err(RefuseReason::InvalidBook));
        writers.publish(InstrumentId(2), Top(Ok(top())));
        assert_eq!(board.top(InstrumentId(2)).map(|top| (top.bid, top.ask)), Ok((Price(99), Price(101))));
        writers.publish(InstrumentId(2), Top(Ok(TopOfBook { bid: None, ..top() })));
        assert_eq!(board.top(InstrumentId(2)), Err(RefuseReason::InvalidBook));
        writers.publish(InstrumentId(2), Top(Ok(top())));
        writers.invalidate_all(BookFaultKind::Disconnected);
        assert_eq!(board.top(InstrumentId(2)), Err(RefuseReason::InvalidBook));
        for unknown in [0, 1, 3, 9] {
            assert_eq!(board.top(InstrumentId(unknown)), Err(RefuseReason::InvalidBook));
        }
    }

    #[test]
    fn boards_of_two_feeds_join() {
        let (mut first, one) = tops([InstrumentId(0)]);
        let (mut second, two) = tops([InstrumentId(3)]);
        let board = one.joined(two);
        first.publish(InstrumentId(0), Top(Ok(top())));
        second.publish(InstrumentId(3), Top(Ok(top())));
        assert!(board.top(InstrumentId(0)).is_ok() && board.top(InstrumentId(3)).is_ok());
        assert!(board.top(InstrumentId(1)).is_err());
    }
}
