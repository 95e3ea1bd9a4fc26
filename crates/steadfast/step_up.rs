//! One-time codes that are kept in the open vault: asked for by the control plane, checked where the vault is open,
//! which is the signer process where there is one.

use access::{StepUp, StepUpRefusal};
use order_signer::{CustodyError, KeyStore};
use std::sync::{Mutex, PoisonError};

/// The control plane's way to the codes.
pub struct VaultCodes {
    enrolled: bool,
    store: Mutex<Box<dyn KeyStore + Send>>,
}

impl VaultCodes {
    /// The codes of this vault. They are set up while the daemon is stopped, so whether there are any does not change
    /// in a run.
    ///
    /// # Errors
    /// [`CustodyError::Away`] when the signer process does not answer.
    pub fn new(store: Box<dyn KeyStore + Send>) -> Result<Self, CustodyError> {
        Ok(Self { enrolled: store.has_codes()?, store: Mutex::new(store) })
    }
}

impl StepUp for VaultCodes {
    fn enrolled(&self) -> bool {
        self.enrolled
    }

    fn verify(&self, code: &str, purpose: &str) -> Result<(), StepUpRefusal> {
        let result = self.store.lock().unwrap_or_else(PoisonError::into_inner).check_code(code);
        match &result {
            Ok(()) => tracing::info!(purpose, "a one-time code was accepted"),
            Err(refusal) => tracing::warn!(purpose, refusal = refusal.as_str(), "a one-time code was refused"),
        }
        result
    }
}
