//! Where the bytes of a request lie, and the stock of empty places.
//!
//! Invariants: a place that comes back has been wiped of credentials; taking one allocates only when more requests
//! than [`Blanks::ROOM`] are on their way at once.

use arrayvec::ArrayVec;
use crossbeam_queue::ArrayQueue;
use std::sync::{Arc, Weak};
use venue_api::{BODY_MAX, HEADERS_MAX, TARGET_MAX};

type Stock = ArrayQueue<Box<Page>>;

/// The bytes of one request.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) target: ArrayVec<u8, TARGET_MAX>,
    pub(crate) headers: ArrayVec<u8, HEADERS_MAX>,
    pub(crate) body: ArrayVec<u8, BODY_MAX>,
    /// Where it goes when its request has been sent; gone when the signer is.
    home: Weak<Stock>,
}

impl Page {
    fn blank(home: Weak<Stock>) -> Box<Self> {
        Box::new(Self { target: ArrayVec::new(), headers: ArrayVec::new(), body: ArrayVec::new(), home })
    }

    /// Overwrites what may name key and passphrase, and puts the page back into its stock.
    pub(crate) fn wipe_and_return(mut self: Box<Self>, body_too: bool) {
        wipe(&mut self.headers);
        if body_too {
            wipe(&mut self.body);
        }
        self.target.clear();
        self.headers.clear();
        self.body.clear();
        if let Some(home) = self.home.upgrade() {
            // A stock that is full already lets it go.
            let _ = home.push(self);
        }
    }
}

fn wipe<const N: usize>(bytes: &mut ArrayVec<u8, N>) {
    bytes.fill(0);
    // As if somebody read them: the zeros must really be written.
    std::hint::black_box(&*bytes);
}

/// A signer's stock of empty places for requests, made once and used again and again.
pub struct Blanks {
    stock: Arc<Stock>,
}

impl Blanks {
    /// Requests that may be on their way at once without an allocation; about 48 KiB.
    pub const ROOM: usize = 32;

    /// A full stock.
    #[must_use]
    pub fn new() -> Self {
        let stock = Arc::new(ArrayQueue::new(Self::ROOM));
        while stock.push(Page::blank(Arc::downgrade(&stock))).is_ok() {}
        Self { stock }
    }

    pub(crate) fn take(&self) -> Box<Page> {
        self.stock.pop().unwrap_or_else(|| Page::blank(Arc::downgrade(&self.stock)))
    }
}

impl Default for Blanks {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wiped_is_zero() {
        let mut bytes = ArrayVec::<u8, 32>::new();
        bytes.try_extend_from_slice(b"ACCESS-KEY: secret").unwrap();
        wipe(&mut bytes);
        assert_eq!(bytes.as_slice(), [0; 18]);
    }

    #[test]
    fn a_place_comes_back_empty_and_is_used_again() {
        let blanks = Blanks::new();
        let mut page = blanks.take();
        page.headers.try_extend_from_slice(b"ACCESS-KEY: secret").unwrap();
        page.body.try_extend_from_slice(b"frame with secret").unwrap();
        let address = std::ptr::from_ref(&*page);
        page.wipe_and_return(true);
        let again = std::iter::repeat_with(|| blanks.take())
            .take(Blanks::ROOM)
            .find(|page| std::ptr::from_ref(&**page) == address)
            .unwrap();
        assert!(again.headers.is_empty() && again.body.is_empty() && again.target.is_empty());
    }

    #[test]
    fn more_requests_than_places_are_served_and_the_stock_does_not_grow() {
        let blanks = Blanks::new();
        let taken: Vec<_> = (0..Blanks::ROOM + 5).map(|_| blanks.take()).collect();
        assert_eq!(blanks.stock.len(), 0);
        taken.into_iter().for_each(|page| page.wipe_and_return(false));
        assert_eq!(blanks.stock.len(), Blanks::ROOM);
    }

    #[test]
    fn a_place_whose_signer_has_gone_is_let_go() {
        let blanks = Blanks::new();
        let page = blanks.take();
        drop(blanks);
        page.wipe_and_return(true);
    }
}
