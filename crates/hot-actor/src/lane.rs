//! The sending end of one bounded lane.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a message was not accepted; it comes back to the caller, nothing is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostError<T> {
    /// The lane holds its full bound; the caller refuses, waits or conflates.
    #[error("the lane is full")]
    Full(T),
    /// The actor has ended; it will not come back.
    #[error("the actor has ended")]
    Gone(T),
}

impl<T> PostError<T> {
    /// The message that was not accepted.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(message) | Self::Gone(message) => message,
        }
    }
}

/// A cloneable sender of one lane. All clones share the one bound.
#[derive(Debug)]
pub struct Lane<T> {
    sender: Sender<T>,
    refused: Arc<AtomicU64>,
}

impl<T> Clone for Lane<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), refused: Arc::clone(&self.refused) }
    }
}

impl<T> Lane<T> {
    pub(crate) fn bounded(room: usize) -> (Self, Receiver<T>) {
        let (sender, receiver) = bounded(room.max(1));
        (Self { sender, refused: Arc::new(AtomicU64::new(0)) }, receiver)
    }

    /// Posts without waiting.
    ///
    /// # Errors
    /// [`PostError::Full`] at the bound (counted in [`Self::refused_total`]),
    /// [`PostError::Gone`] after the actor's end; both give the message back.
    pub fn try_post(&self, message: T) -> Result<(), PostError<T>> {
        self.sender.try_send(message).map_err(|refusal| match refusal {
            TrySendError::Full(message) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                PostError::Full(message)
            }
            TrySendError::Disconnected(message) => PostError::Gone(message),
        })
    }

    /// Posts, and makes this thread wait while the lane is full: for senders
    /// that must rather stop reading their socket than lose a report.
    ///
    /// # Errors
    /// [`PostError::Gone`] with the message if the actor has ended, also while waiting.
    pub fn post_wait(&self, message: T) -> Result<(), PostError<T>> {
        self.sender.send(message).map_err(|gone| PostError::Gone(gone.into_inner()))
    }

    /// Messages waiting in the lane now.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.sender.len()
    }

    /// Messages the lane can hold.
    #[must_use]
    pub fn room(&self) -> usize {
        self.sender.capacity().unwrap_or(usize::MAX)
    }

    /// Posts refused because the lane was full, over all clones, since the start.
    #[must_use]
    pub fn refused_total(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
