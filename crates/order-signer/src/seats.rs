//! The signers of all venue accounts, shared by whoever signs and by custody, which changes and takes away.

use domain::VenueId;
use std::sync::{Arc, Mutex, PoisonError};

/// The signers of all venue accounts, by their ids; shared with the custody thread, which takes them away.
pub struct Seats<S>(Arc<Vec<Mutex<Option<S>>>>);

impl<S> Clone for Seats<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Seats<S> {
    /// Seats for the venue accounts from 0 on; `None` signs nothing.
    #[must_use]
    pub fn new(signers: Vec<Option<S>>) -> Self {
        Self(Arc::new(signers.into_iter().map(Mutex::new).collect()))
    }

    /// Does something with the signer of a venue account, between two signatures; `None`: there is no such seat.
    pub fn with<T>(&self, seat: VenueId, act: impl FnOnce(&mut Option<S>) -> T) -> Option<T> {
        let mut signer = self.0.get(seat.index())?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(act(&mut signer))
    }
}
