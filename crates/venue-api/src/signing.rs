//! From a typed intent to the canonical request: what is to be signed and where the signature goes.
//!
//! The codec sees the API key id and passphrase only through [`Credentials`], borrowed for one call,
//! and never the secret: the MAC is made in `order-signer`.

use arrayvec::ArrayVec;
use domain::UnixNanos;
use messages::{AccountMode, SignIntent, SignRefusal};

/// Most bytes of a request target (path and query).
pub const TARGET_MAX: usize = 320;
/// Most bytes of a request body or stream frame.
pub const BODY_MAX: usize = 640;
/// Most bytes of the header lines of one request.
pub const HEADERS_MAX: usize = 512;
/// Most bytes of the text to be signed.
pub const PREHASH_MAX: usize = TARGET_MAX + BODY_MAX + 64;

/// HTTP method, or a frame on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// HTTP GET.
    Get,
    /// HTTP POST.
    Post,
    /// HTTP DELETE.
    Delete,
    /// A text frame on the private stream; target and headers are empty.
    Frame,
}

impl Method {
    /// The word on the wire; `FRAME` for a stream frame.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Frame => "FRAME",
        }
    }
}

/// The parts of a request before it is signed. Reused from request to request; nothing is allocated.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub target: ArrayVec<u8, TARGET_MAX>,
    /// Body; for a frame, what a codec wants to keep until [`SigningCodec::finish`].
    pub body: ArrayVec<u8, BODY_MAX>,
    /// The exact text to be signed.
    pub prehash: ArrayVec<u8, PREHASH_MAX>,
    /// The time stamp as the venue wants it written, used again in a header.
    pub timestamp: ArrayVec<u8, 32>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            method: Method::Get,
            target: ArrayVec::new(),
            body: ArrayVec::new(),
            prehash: ArrayVec::new(),
            timestamp: ArrayVec::new(),
        }
    }
}

impl Draft {
    /// Empties it for the next request.
    pub fn clear(&mut self) {
        self.method = Method::Get;
        self.target.clear();
        self.body.clear();
        self.prehash.clear();
        self.timestamp.clear();
    }
}

/// Appends bytes to a bounded buffer.
///
/// # Errors
/// [`SignRefusal::Malformed`] when they do not fit; the request must not be used then.
pub fn append<const N: usize>(buffer: &mut ArrayVec<u8, N>, bytes: &[u8]) -> Result<(), SignRefusal> {
    buffer.try_extend_from_slice(bytes).map_err(|_| SignRefusal::Malformed)
}

/// The parts of a key that travel in headers and log-in frames, lent for one call.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// API key id.
    pub key: &'a str,
    /// Passphrase; empty for venues without one.
    pub passphrase: &'a str,
}

/// Takes header lines while a request is finished.
pub trait HeaderSink {
    /// Adds one header.
    ///
    /// # Errors
    /// [`SignRefusal::Malformed`] when it does not fit, or holds a line break.
    fn header(&mut self, name: &str, value: &[u8]) -> Result<(), SignRefusal>;
}

/// How the MAC is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureEncoding {
    /// Standard base64 with padding.
    Base64,
    /// Lower-case hexadecimal.
    Hex,
}

/// Builds canonical requests. Deterministic: same intent and time, same bytes.
pub trait SigningCodec: Send + Sync {
    /// How the HMAC-SHA256 is written into the request.
    fn encoding(&self) -> SignatureEncoding;

    /// Writes method, target, body, time stamp and the text to be signed for `intent` at venue time `at`.
    ///
    /// # Errors
    /// [`SignRefusal::Malformed`] when something does not fit, [`SignRefusal::Unsupported`] for a verb
    /// that the venue does not have.
    fn draft(&self, intent: &SignIntent, at: UnixNanos, draft: &mut Draft) -> Result<(), SignRefusal>;

    /// Adds the headers that are the same in every request of `method`. They are written once for each key and
    /// stand before those of [`Self::finish`].
    ///
    /// # Errors
    /// [`SignRefusal::Malformed`] when something does not fit.
    fn standing_headers(
        &self,
        _method: Method,
        _credentials: Credentials<'_>,
        _headers: &mut dyn HeaderSink,
    ) -> Result<(), SignRefusal> {
        Ok(())
    }

    /// Requests are written for an account kept in this way from now on. For venues with one way nothing changes.
    fn set_account_mode(&self, _mode: AccountMode) {}

    /// Adds the other headers (or completes the frame in `draft.body`) once the signature is known.
    ///
    /// # Errors
    /// [`SignRefusal::Malformed`] when something does not fit.
    fn finish(
        &self,
        draft: &mut Draft,
        signature: &str,
        credentials: Credentials<'_>,
        headers: &mut dyn HeaderSink,
    ) -> Result<(), SignRefusal>;
}
