//! The seam between order path and signer: the port, and the signed request.
//!
//! Invariants: a [`SignedRequest`] holds the exact bytes to send and has no public constructor;
//! it is made through [`Seal`], which only `order-signer` may name (`tests/architecture.rs`).

mod outbound;

pub use outbound::*;

use arrayvec::ArrayVec;
use domain::{Epoch, InstanceTag};
use messages::{SignIntent, SignRefusal, Verb};
use std::fmt;
use venue_api::{BODY_MAX, HEADERS_MAX, HeaderSink, Method, TARGET_MAX};

/// One request, ready to be sent as it is: {method, target, headers, body}.
///
/// It has no `Debug` that shows bytes: headers carry the API key and passphrase.
#[derive(Clone)]
pub struct SignedRequest {
    verb: Verb,
    method: Method,
    target: ArrayVec<u8, TARGET_MAX>,
    headers: ArrayVec<u8, HEADERS_MAX>,
    body: ArrayVec<u8, BODY_MAX>,
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedRequest({})", self.verb.as_str())
    }
}

impl Drop for SignedRequest {
    fn drop(&mut self) {
        // Headers and log-in frames carry API key and passphrase: leave no copy behind in queues.
        self.headers.iter_mut().for_each(|byte| *byte = 0);
        std::hint::black_box(&self.headers);
        if self.method == Method::Frame {
            self.body.iter_mut().for_each(|byte| *byte = 0);
            std::hint::black_box(&self.body);
        }
    }
}

impl SignedRequest {
    /// What it does.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        self.verb
    }

    /// HTTP method, or a frame on the private stream.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        std::str::from_utf8(&self.target).unwrap_or("")
    }

    /// Header names and values, in the order to send.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        std::str::from_utf8(&self.headers).unwrap_or("").lines().filter_map(|line| line.split_once(": "))
    }

    /// The exact body, or the frame's text.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// The one way to make a [`SignedRequest`]. Named by `order-signer` alone.
pub struct Seal {
    request: SignedRequest,
}

impl Seal {
    /// Begins a request whose parts the signer has just built.
    ///
    /// # Errors
    /// [`SignRefusal::Malformed`] when a part does not fit.
    pub fn new(verb: Verb, method: Method, target: &[u8]) -> Result<Self, SignRefusal> {
        let mut request =
            SignedRequest { verb, method, target: ArrayVec::new(), headers: ArrayVec::new(), body: ArrayVec::new() };
        request.target.try_extend_from_slice(target).map_err(|_| SignRefusal::Malformed)?;
        Ok(Self { request })
    }

    /// Sets the body and hands the request out.
    ///
    /// # Errors
    /// [`SignRefusal::Malformed`] when it does not fit.
    pub fn close(mut self, body: &[u8]) -> Result<SignedRequest, SignRefusal> {
        self.request.body.try_extend_from_slice(body).map_err(|_| SignRefusal::Malformed)?;
        Ok(self.request)
    }
}

impl HeaderSink for Seal {
    fn header(&mut self, name: &str, value: &[u8]) -> Result<(), SignRefusal> {
        let clean = |bytes: &[u8]| bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
        if !clean(name.as_bytes()) || !clean(value) || name.contains(':') {
            return Err(SignRefusal::Malformed);
        }
        for part in [name.as_bytes(), b": ", value, b"\n"] {
            self.request.headers.try_extend_from_slice(part).map_err(|_| SignRefusal::Malformed)?;
        }
        Ok(())
    }
}

/// What a signer says of itself when it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignerHello {
    /// Marks the client order ids of this data directory.
    pub tag: InstanceTag,
    /// The epoch of this start, already on disk.
    pub epoch: Epoch,
    /// How far the signer is kept apart.
    pub isolation: Isolation,
    /// Where its secrets lie.
    pub memory: MemoryKind,
}

/// How far the signer is kept apart from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// On the order path's own thread.
    Inline,
    /// In a sandboxed process of its own.
    Process,
}

/// Where secrets lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryKind {
    /// Memory that even the kernel does not map for others.
    SecretMap,
    /// Locked, left out of core files.
    Locked,
    /// Ordinary memory: the machine refused to lock.
    Plain,
}

/// A signer, seen from the order path. Synchronous: the caller waits at most 250 ms.
pub trait SignerPort: Send {
    /// Tag, epoch and level of isolation.
    fn hello(&self) -> SignerHello;

    /// Venue time minus own wall time of the account's venue, as measured; within the signer's own limits.
    ///
    /// # Errors
    /// [`SignRefusal::Clock`] when the signer does not accept it: only cancels are signed then.
    fn set_clock_offset(&mut self, offset_ns: i64) -> Result<(), SignRefusal>;

    /// Builds, checks and signs one request.
    ///
    /// # Errors
    /// [`SignRefusal`]: why there is no signature. After [`SignRefusal::Silent`] the id is burned.
    fn sign(&mut self, intent: &SignIntent) -> Result<SignedRequest, SignRefusal>;
}
