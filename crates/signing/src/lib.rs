//! The seam between order path and signer: the port, and the signed request.
//!
//! Invariants: a [`SignedRequest`] holds the exact bytes to send and has no public constructor;
//! it is made through [`Seal`], which only `order-signer` may name (`tests/architecture.rs`).

pub mod frames;
mod outbound;
mod page;

pub use outbound::*;
pub use page::Blanks;

use domain::{Epoch, InstanceTag};
use messages::{AccountMode, SignIntent, SignRefusal, Verb};
use page::Page;
use secrets::SecretBytes;
use std::fmt;
use venue_api::{HEADERS_MAX, HeaderSink, Method};
use zeroize::Zeroize as _;

/// One request, ready to be sent as it is: {method, target, headers, body}.
///
/// Its bytes lie in one place from the signature to the socket, however often the request is moved, and are wiped
/// there when it is dropped. It has no `Debug` that shows bytes: headers carry the API key and passphrase.
#[derive(Clone)]
pub struct SignedRequest {
    verb: Verb,
    method: Method,
    /// `None` only while it is being dropped.
    page: Option<Box<Page>>,
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedRequest({})", self.verb.as_str())
    }
}

impl Drop for SignedRequest {
    fn drop(&mut self) {
        if let Some(page) = self.page.take() {
            // Headers and log-in frames carry API key and passphrase: leave no copy behind in queues.
            page.wipe_and_return(self.method == Method::Frame);
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
        self.page.as_ref().and_then(|page| std::str::from_utf8(&page.target).ok()).unwrap_or("")
    }

    /// Header names and values, in the order to send.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.page.as_ref().and_then(|page| std::str::from_utf8(&page.headers).ok()).unwrap_or("");
        lines.lines().filter_map(|line| line.split_once(": "))
    }

    /// The exact body, or the frame's text.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.page.as_ref().map_or(&[], |page| page.body.as_slice())
    }
}

/// The one way to make a [`SignedRequest`]. Named by `order-signer` alone.
pub struct Seal {
    request: SignedRequest,
}

impl Seal {
    /// Begins a request, on one of `blanks`, whose parts the signer has just built.
    ///
    /// # Errors
    /// [`SignRefusal::Malformed`] when a part does not fit.
    pub fn new(blanks: &Blanks, verb: Verb, method: Method, target: &[u8]) -> Result<Self, SignRefusal> {
        let mut request = SignedRequest { verb, method, page: Some(blanks.take()) };
        let page = request.page.as_mut().ok_or(SignRefusal::Malformed)?;
        page.target.try_extend_from_slice(target).map_err(|_| SignRefusal::Malformed)?;
        Ok(Self { request })
    }

    /// Adds header lines that were checked when they were written.
    ///
    /// # Errors
    /// [`SignRefusal::Malformed`] when they do not fit.
    pub fn standing(&mut self, lines: &StandingHeaders) -> Result<(), SignRefusal> {
        let page = self.request.page.as_mut().ok_or(SignRefusal::Malformed)?;
        page.headers.try_extend_from_slice(lines.0.expose()).map_err(|_| SignRefusal::Malformed)
    }

    /// Sets the body and hands the request out.
    ///
    /// # Errors
    /// [`SignRefusal::Malformed`] when it does not fit.
    pub fn close(mut self, body: &[u8]) -> Result<SignedRequest, SignRefusal> {
        let page = self.request.page.as_mut().ok_or(SignRefusal::Malformed)?;
        page.body.try_extend_from_slice(body).map_err(|_| SignRefusal::Malformed)?;
        Ok(self.request)
    }
}

impl HeaderSink for Seal {
    fn header(&mut self, name: &str, value: &[u8]) -> Result<(), SignRefusal> {
        let page = self.request.page.as_mut().ok_or(SignRefusal::Malformed)?;
        write_line(&mut page.headers, name, value)
    }
}

/// Header lines that are the same in every request of one method: checked once, kept in locked memory.
pub struct StandingHeaders(SecretBytes);

impl StandingHeaders {
    /// Takes the lines that `write` writes.
    ///
    /// # Errors
    /// What `write` says; [`SignRefusal::NoKey`] when there is no memory to hold them.
    pub fn new(write: impl FnOnce(&mut dyn HeaderSink) -> Result<(), SignRefusal>) -> Result<Self, SignRefusal> {
        let mut lines = Lines(arrayvec::ArrayVec::new());
        write(&mut lines)?;
        SecretBytes::from_slice(&lines.0).map(Self).map_err(|_| SignRefusal::NoKey)
    }
}

/// Lines on their way into locked memory; wiped where they were written.
struct Lines(arrayvec::ArrayVec<u8, HEADERS_MAX>);

impl HeaderSink for Lines {
    fn header(&mut self, name: &str, value: &[u8]) -> Result<(), SignRefusal> {
        write_line(&mut self.0, name, value)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

fn write_line(headers: &mut arrayvec::ArrayVec<u8, HEADERS_MAX>, name: &str, value: &[u8]) -> Result<(), SignRefusal> {
    // Counted to the end: names are too short for a search that ends early to be worth its start.
    let colons: usize = name.bytes().map(|byte| usize::from(byte == b':')).sum();
    if !is_printable(name.as_bytes()) || !is_printable(value) || colons > 0 {
        return Err(SignRefusal::Malformed);
    }
    for part in [name.as_bytes(), b": ", value, b"\n"] {
        headers.try_extend_from_slice(part).map_err(|_| SignRefusal::Malformed)?;
    }
    Ok(())
}

/// Whether all bytes are printable ASCII: space to tilde. Looks at eight bytes at once.
fn is_printable(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // The high bit of some byte is set if a byte lies below the space, above the tilde or beyond ASCII, and only then:
    // borrows and carries come from such bytes alone.
    let foul = |chunk: &[u8; 8]| {
        let bytes = u64::from_le_bytes(*chunk);
        (bytes.wrapping_sub(ONES * 0x20) | bytes.wrapping_add(ONES) | bytes) & (ONES * 0x80)
    };
    match bytes.last_chunk() {
        // The last eight bytes overlap those before them; a byte may be looked at twice.
        Some(last) => bytes.as_chunks().0.iter().fold(foul(last), |all, chunk| all | foul(chunk)) == 0,
        None => bytes.iter().all(|byte| (b' '..=b'~').contains(byte)),
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

    /// Requests are written for an account kept in this way from now on.
    ///
    /// # Errors
    /// [`SignRefusal`]: nothing has changed.
    fn set_account_mode(&mut self, _mode: AccountMode) -> Result<(), SignRefusal> {
        Ok(())
    }

    /// Builds, checks and signs one request.
    ///
    /// # Errors
    /// [`SignRefusal`]: why there is no signature. After [`SignRefusal::Silent`] the id is burned.
    fn sign(&mut self, intent: &SignIntent) -> Result<SignedRequest, SignRefusal>;

    /// Signs one question with the key that is to take over, if one is being verified here.
    ///
    /// # Errors
    /// [`SignRefusal::NoKey`] when none is; else as [`Self::sign`].
    fn sign_candidate(&mut self, _intent: &SignIntent) -> Result<SignedRequest, SignRefusal> {
        Err(SignRefusal::NoKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(blanks: &Blanks) -> Seal {
        Seal::new(blanks, Verb::Place, Method::Post, b"/target").unwrap()
    }

    #[test]
    fn standing_lines_come_with_every_request_before_its_own() {
        let blanks = Blanks::new();
        let standing = StandingHeaders::new(|sink| sink.header("KEY", b"k")).unwrap();
        for stamp in [&b"1"[..], b"2"] {
            let mut seal = seal(&blanks);
            seal.standing(&standing).unwrap();
            seal.header("STAMP", stamp).unwrap();
            let request = seal.close(b"{}").unwrap();
            let expected = [("KEY", "k"), ("STAMP", std::str::from_utf8(stamp).unwrap())];
            assert_eq!(request.headers().collect::<Vec<_>>(), expected);
            assert_eq!((request.target(), request.body()), ("/target", &b"{}"[..]));
        }
    }

    #[test]
    fn no_line_break_control_byte_or_colon_gets_into_a_header() {
        let blanks = Blanks::new();
        for (name, value) in [
            ("A", "x\ny: z"),
            ("A", "x\r"),
            ("A", "\u{7f}"),
            ("A", "\t"),
            ("A", "ü"),
            ("A\nB", "x"),
            ("A:B", "x"),
            ("Ü", "x"),
        ] {
            assert_eq!(seal(&blanks).header(name, value.as_bytes()), Err(SignRefusal::Malformed), "{name} {value}");
            let standing = StandingHeaders::new(|sink| sink.header(name, value.as_bytes()));
            assert_eq!(standing.err(), Some(SignRefusal::Malformed), "{name} {value}");
        }
    }

    #[test]
    fn only_space_to_tilde_is_printable_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for (length, at) in [(1, 0), (7, 3), (8, 0), (8, 5), (8, 7), (13, 4), (13, 12), (44, 43)] {
                for filler in [b' ', b'm', b'~'] {
                    let mut bytes = vec![filler; length];
                    bytes[at] = byte;
                    assert_eq!(is_printable(&bytes), (b' '..=b'~').contains(&byte), "{byte} at {at} of {length}");
                }
            }
        }
        assert!(is_printable(b"") && !is_printable(&[0x1F; 16]) && !is_printable(&[0xFF; 16]));
    }

    #[test]
    fn parts_beyond_their_room_are_refused() {
        let blanks = Blanks::new();
        assert!(Seal::new(&blanks, Verb::Place, Method::Post, &[b'x'; venue_api::TARGET_MAX + 1]).is_err());
        assert!(seal(&blanks).close(&[b'x'; venue_api::BODY_MAX + 1]).is_err());
        assert!(seal(&blanks).header("A", &[b'x'; HEADERS_MAX]).is_err());
        let standing = StandingHeaders::new(|sink| sink.header("A", &[b'x'; HEADERS_MAX - 4])).unwrap();
        let mut full = seal(&blanks);
        full.standing(&standing).unwrap();
        assert!(full.standing(&standing).is_err());
    }

    #[test]
    fn a_copy_has_the_same_bytes_and_outlives_the_first() {
        let blanks = Blanks::new();
        let mut seal = seal(&blanks);
        seal.header("KEY", b"k").unwrap();
        let first = seal.close(b"body").unwrap();
        let copy = first.clone();
        drop(first);
        drop(blanks);
        assert_eq!(copy.headers().collect::<Vec<_>>(), [("KEY", "k")]);
        assert_eq!((copy.target(), copy.body()), ("/target", &b"body"[..]));
    }
}
