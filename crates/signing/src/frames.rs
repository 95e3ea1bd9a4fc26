//! What a signer process is asked and what it answers, as bytes on a socket that keeps message boundaries.
//!
//! Layout, all numbers little-endian. A question: version u8, kind u8, seat u8, nonce u64, then the kind's fields.
//! An answer: nonce u64, status u8, then for a signed request verb u8, method u8, three lengths u16, and the bytes.
//! Short texts are a length u8 and their bytes.
//!
//! Invariants: one intent has one spelling; a missing, unknown or trailing byte is refused; no question carries a
//! path, a header, a time stamp or a free body, because no field for one exists.

use crate::{Blanks, SignedRequest};
use arrayvec::{ArrayString, ArrayVec};
use domain::{ClientOrderId, PositionEffect, Scaled, Side, TimeInForce, UnixNanos, VenueId};
use messages::{AccountMode, MarginMode, PlaceOrder, PositionMode, SignIntent, SignRefusal, Verb};
use venue_api::{BODY_MAX, HEADERS_MAX, Method, TARGET_MAX};

/// Largest question and answer, in bytes.
pub const FRAME_MAX: usize = 32 + TARGET_MAX + HEADERS_MAX + BODY_MAX;
/// The version of this layout; a process of another version is refused.
pub const FRAME_VERSION: u8 = 2;

/// A buffer for one frame.
pub type Frame = ArrayVec<u8, FRAME_MAX>;

/// What the order path or the emergency thread asks of a signer process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Sign this for the key of a venue account.
    Sign {
        /// The venue account.
        seat: VenueId,
        /// Comes back with the answer.
        nonce: u64,
        /// What to sign.
        intent: SignIntent,
    },
    /// Sign this for the key that is to take over at a venue account; only what asks.
    SignCandidate {
        /// The venue account.
        seat: VenueId,
        /// Comes back with the answer.
        nonce: u64,
        /// What to sign.
        intent: SignIntent,
    },
    /// Venue time minus own time of a venue account, as measured.
    Offset {
        /// The venue account.
        seat: VenueId,
        /// Comes back with the answer.
        nonce: u64,
        /// In nanoseconds.
        offset_ns: i64,
    },
    /// How the venue keeps the account of a seat.
    Mode {
        /// The venue account.
        seat: VenueId,
        /// Comes back with the answer.
        nonce: u64,
        /// Requests are written for this from now on.
        mode: AccountMode,
    },
}

/// The frame is none of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a frame of version {FRAME_VERSION}")]
pub struct FrameError;

const KIND_SIGN: u8 = 1;
const KIND_OFFSET: u8 = 2;
const KIND_SIGN_CANDIDATE: u8 = 3;
const KIND_MODE: u8 = 4;

const STATUS_SIGNED: u8 = 0;
const STATUS_DONE: u8 = 1;
/// Statuses from here on are refusals.
const STATUS_REFUSED: u8 = 16;

/// The refusals by their status above [`STATUS_REFUSED`].
const REFUSALS: [SignRefusal; 8] = [
    SignRefusal::NoKey,
    SignRefusal::KeyState,
    SignRefusal::Malformed,
    SignRefusal::ClientId,
    SignRefusal::Clock,
    SignRefusal::Unsupported,
    SignRefusal::Silent,
    SignRefusal::Policy,
];

const METHODS: [Method; 4] = [Method::Get, Method::Post, Method::Delete, Method::Frame];
const SIDES: [Side; 2] = [Side::Buy, Side::Sell];
const TIMES_IN_FORCE: [TimeInForce; 4] = [TimeInForce::Gtc, TimeInForce::Ioc, TimeInForce::Fok, TimeInForce::PostOnly];

/// Where `wanted` stands in `known`, as its code on the wire.
fn code<T: PartialEq>(known: &[T], wanted: &T) -> Result<u8, FrameError> {
    known.iter().position(|each| each == wanted).and_then(|at| u8::try_from(at).ok()).ok_or(FrameError)
}

struct Writer<'a>(&'a mut Frame);

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        self.0.try_extend_from_slice(bytes).map_err(|_| FrameError)
    }

    fn text(&mut self, text: &str) -> Result<(), FrameError> {
        self.bytes(&[u8::try_from(text.len()).map_err(|_| FrameError)?])?;
        self.bytes(text.as_bytes())
    }

    fn number(&mut self, number: u64) -> Result<(), FrameError> {
        self.bytes(&number.to_le_bytes())
    }

    fn scaled(&mut self, value: Scaled) -> Result<(), FrameError> {
        self.bytes(&value.mantissa.to_le_bytes())?;
        self.bytes(&[value.decimals])
    }

    fn optional(&mut self, text: Option<&str>) -> Result<(), FrameError> {
        match text {
            Some(text) => {
                self.bytes(&[1])?;
                self.text(text)
            }
            None => self.bytes(&[0]),
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], FrameError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(FrameError)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        self.bytes(N)?.try_into().map_err(|_| FrameError)
    }

    fn byte(&mut self) -> Result<u8, FrameError> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64, FrameError> {
        self.array().map(u64::from_le_bytes)
    }

    fn len(&mut self) -> Result<usize, FrameError> {
        self.array().map(|bytes| usize::from(u16::from_le_bytes(bytes)))
    }

    fn of<T: Copy>(&mut self, known: &[T]) -> Result<T, FrameError> {
        known.get(usize::from(self.byte()?)).copied().ok_or(FrameError)
    }

    /// Printable ASCII only: every id and instrument of every venue is that.
    fn text<const N: usize>(&mut self) -> Result<ArrayString<N>, FrameError> {
        let len = usize::from(self.byte()?);
        let bytes = self.bytes(len)?;
        if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(FrameError);
        }
        std::str::from_utf8(bytes).ok().and_then(|text| ArrayString::from(text).ok()).ok_or(FrameError)
    }

    fn optional<const N: usize>(&mut self) -> Result<Option<ArrayString<N>>, FrameError> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.text().map(Some),
            _ => Err(FrameError),
        }
    }

    fn scaled(&mut self) -> Result<Scaled, FrameError> {
        let mantissa = self.array().map(i64::from_le_bytes)?;
        let decimals = self.byte()?;
        if decimals > Scaled::DECIMALS_MAX { Err(FrameError) } else { Ok(Scaled { mantissa, decimals }) }
    }

    fn id(&mut self) -> Result<ClientOrderId, FrameError> {
        let bytes = self.bytes(ClientOrderId::LEN)?;
        let text = std::str::from_utf8(bytes).map_err(|_| FrameError)?;
        text.parse().map_err(|_| FrameError)
    }

    const fn end(&self) -> Result<(), FrameError> {
        if self.0.is_empty() { Ok(()) } else { Err(FrameError) }
    }
}

/// Writes a question into an empty frame.
///
/// # Errors
/// [`FrameError`] when it does not fit, which no intent of this program does.
pub fn write_question(question: &Question, frame: &mut Frame) -> Result<(), FrameError> {
    frame.clear();
    let mut writer = Writer(frame);
    let (kind, seat, nonce) = match question {
        Question::Sign { seat, nonce, .. } => (KIND_SIGN, *seat, *nonce),
        Question::SignCandidate { seat, nonce, .. } => (KIND_SIGN_CANDIDATE, *seat, *nonce),
        Question::Offset { seat, nonce, .. } => (KIND_OFFSET, *seat, *nonce),
        Question::Mode { seat, nonce, .. } => (KIND_MODE, *seat, *nonce),
    };
    writer.bytes(&[FRAME_VERSION, kind, seat.0])?;
    writer.number(nonce)?;
    match question {
        Question::Sign { intent, .. } | Question::SignCandidate { intent, .. } => write_intent(intent, &mut writer),
        Question::Offset { offset_ns, .. } => writer.bytes(&offset_ns.to_le_bytes()),
        Question::Mode { mode, .. } => writer.bytes(&[code(&AccountMode::ALL, mode)?]),
    }
}

fn write_intent(intent: &SignIntent, writer: &mut Writer<'_>) -> Result<(), FrameError> {
    writer.bytes(&[code(&Verb::ALL, &intent.verb())?])?;
    match intent {
        SignIntent::Place(order) => {
            writer.bytes(order.id.as_str().as_bytes())?;
            writer.text(&order.symbol)?;
            writer.bytes(&[
                code(&SIDES, &order.side)?,
                code(&TIMES_IN_FORCE, &order.time_in_force)?,
                order.effect.code(),
            ])?;
            writer.scaled(order.price)?;
            writer.scaled(order.qty)
        }
        SignIntent::Cancel { symbol, id, venue_order_id } => {
            writer.text(symbol)?;
            writer.bytes(id.as_str().as_bytes())?;
            writer.optional(venue_order_id.as_deref())
        }
        SignIntent::CancelAll { symbol } => writer.text(symbol),
        SignIntent::QueryOrder { symbol, id } => {
            writer.text(symbol)?;
            writer.bytes(id.as_str().as_bytes())
        }
        SignIntent::OpenOrders { symbol, older_than } => {
            writer.text(symbol)?;
            writer.optional(older_than.as_deref())
        }
        SignIntent::OrderHistory { symbol, since, older_than } | SignIntent::Fills { symbol, since, older_than } => {
            writer.text(symbol)?;
            writer.number(since.0)?;
            writer.optional(older_than.as_deref())
        }
        SignIntent::Bills { since, older_than } => {
            writer.number(since.0)?;
            writer.optional(older_than.as_deref())
        }
        SignIntent::FuturesSettings { symbol } => writer.text(symbol),
        SignIntent::SetLeverage { symbol, leverage } => {
            writer.text(symbol)?;
            writer.bytes(&leverage.to_le_bytes())
        }
        SignIntent::SetMarginMode { symbol, mode } => {
            writer.text(symbol)?;
            writer.bytes(&[code(&MarginMode::ALL, mode)?])
        }
        SignIntent::SetPositionMode { mode } => writer.bytes(&[code(&PositionMode::ALL, mode)?]),
        SignIntent::Balances
        | SignIntent::FuturesBalances
        | SignIntent::KeyInfo
        | SignIntent::StreamLogin
        | SignIntent::Positions => Ok(()),
    }
}

/// Reads a question, strictly.
///
/// # Errors
/// [`FrameError`] for anything that [`write_question`] does not write.
pub fn read_question(bytes: &[u8]) -> Result<Question, FrameError> {
    let mut reader = Reader(bytes);
    if reader.byte()? != FRAME_VERSION {
        return Err(FrameError);
    }
    let kind = reader.byte()?;
    let seat = VenueId(reader.byte()?);
    let nonce = reader.number()?;
    let question = match kind {
        KIND_SIGN => Question::Sign { seat, nonce, intent: read_intent(&mut reader)? },
        KIND_SIGN_CANDIDATE => Question::SignCandidate { seat, nonce, intent: read_intent(&mut reader)? },
        KIND_OFFSET => Question::Offset { seat, nonce, offset_ns: reader.array().map(i64::from_le_bytes)? },
        KIND_MODE => Question::Mode { seat, nonce, mode: reader.of(&AccountMode::ALL)? },
        _ => return Err(FrameError),
    };
    reader.end()?;
    Ok(question)
}

fn read_intent(reader: &mut Reader<'_>) -> Result<SignIntent, FrameError> {
    Ok(match reader.of(&Verb::ALL)? {
        Verb::Place => {
            let (id, symbol) = (reader.id()?, reader.text()?);
            let (side, time_in_force) = (reader.of(&SIDES)?, reader.of(&TIMES_IN_FORCE)?);
            let effect = reader.of(&PositionEffect::ALL)?;
            let (price, qty) = (reader.scaled()?, reader.scaled()?);
            SignIntent::Place(PlaceOrder { id, symbol, side, price, qty, time_in_force, effect })
        }
        Verb::Cancel => {
            let (symbol, id) = (reader.text()?, reader.id()?);
            SignIntent::Cancel { symbol, id, venue_order_id: reader.optional()? }
        }
        Verb::CancelAll => SignIntent::CancelAll { symbol: reader.text()? },
        Verb::QueryOrder => SignIntent::QueryOrder { symbol: reader.text()?, id: reader.id()? },
        Verb::OpenOrders => SignIntent::OpenOrders { symbol: reader.text()?, older_than: reader.optional()? },
        Verb::OrderHistory => {
            let (symbol, since) = (reader.text()?, UnixNanos(reader.number()?));
            SignIntent::OrderHistory { symbol, since, older_than: reader.optional()? }
        }
        Verb::Fills => {
            let (symbol, since) = (reader.text()?, UnixNanos(reader.number()?));
            SignIntent::Fills { symbol, since, older_than: reader.optional()? }
        }
        Verb::Balances => SignIntent::Balances,
        Verb::FuturesBalances => SignIntent::FuturesBalances,
        Verb::KeyInfo => SignIntent::KeyInfo,
        Verb::StreamLogin => SignIntent::StreamLogin,
        Verb::Positions => SignIntent::Positions,
        Verb::FuturesSettings => SignIntent::FuturesSettings { symbol: reader.text()? },
        Verb::Bills => {
            let since = UnixNanos(reader.number()?);
            SignIntent::Bills { since, older_than: reader.optional()? }
        }
        Verb::SetLeverage => {
            let symbol = reader.text()?;
            SignIntent::SetLeverage { symbol, leverage: reader.array().map(u16::from_le_bytes)? }
        }
        Verb::SetMarginMode => {
            let symbol = reader.text()?;
            SignIntent::SetMarginMode { symbol, mode: reader.of(&MarginMode::ALL)? }
        }
        Verb::SetPositionMode => SignIntent::SetPositionMode { mode: reader.of(&PositionMode::ALL)? },
    })
}

/// What comes back for a question.
#[derive(Debug)]
pub enum Answer {
    /// The exact bytes to send.
    Signed(SignedRequest),
    /// Done; there is nothing to send.
    Done,
    /// Not signed, or not done.
    Refused(SignRefusal),
}

/// Writes an answer.
///
/// # Errors
/// [`FrameError`] when it does not fit; a signed request always does.
pub fn write_answer(
    nonce: u64,
    answer: &Result<Option<&SignedRequest>, SignRefusal>,
    frame: &mut Frame,
) -> Result<(), FrameError> {
    frame.clear();
    let mut writer = Writer(frame);
    writer.number(nonce)?;
    match answer {
        Ok(None) => writer.bytes(&[STATUS_DONE]),
        Err(refusal) => writer.bytes(&[STATUS_REFUSED + code(&REFUSALS, refusal)?]),
        Ok(Some(request)) => {
            let page = request.page.as_ref().ok_or(FrameError)?;
            writer.bytes(&[STATUS_SIGNED, code(&Verb::ALL, &request.verb)?, code(&METHODS, &request.method)?])?;
            let parts = [page.target.as_slice(), page.headers.as_slice(), page.body.as_slice()];
            for part in parts {
                writer.bytes(&u16::try_from(part.len()).map_err(|_| FrameError)?.to_le_bytes())?;
            }
            parts.iter().try_for_each(|part| writer.bytes(part))
        }
    }
}

/// Reads an answer; the signed bytes go onto one of `blanks`.
///
/// # Errors
/// [`FrameError`] for anything that [`write_answer`] does not write.
pub fn read_answer(bytes: &[u8], blanks: &Blanks) -> Result<(u64, Answer), FrameError> {
    let mut reader = Reader(bytes);
    let nonce = reader.number()?;
    let answer = match reader.byte()? {
        STATUS_SIGNED => Answer::Signed(read_request(&mut reader, blanks)?),
        STATUS_DONE => Answer::Done,
        status => {
            let at = status.checked_sub(STATUS_REFUSED).ok_or(FrameError)?;
            Answer::Refused(REFUSALS.get(usize::from(at)).copied().ok_or(FrameError)?)
        }
    };
    reader.end()?;
    Ok((nonce, answer))
}

fn read_request(reader: &mut Reader<'_>, blanks: &Blanks) -> Result<SignedRequest, FrameError> {
    let verb = reader.of(&Verb::ALL)?;
    let method = reader.of(&METHODS)?;
    let (target, headers, body) = (reader.len()?, reader.len()?, reader.len()?);
    let mut request = SignedRequest { verb, method, page: Some(blanks.take()) };
    let page = request.page.as_mut().ok_or(FrameError)?;
    page.target.try_extend_from_slice(reader.bytes(target)?).map_err(|_| FrameError)?;
    page.headers.try_extend_from_slice(reader.bytes(headers)?).map_err(|_| FrameError)?;
    page.body.try_extend_from_slice(reader.bytes(body)?).map_err(|_| FrameError)?;
    Ok(request)
}

/// Overwrites a frame that carried credentials.
pub fn wipe(frame: &mut Frame) {
    frame.fill(0);
    std::hint::black_box(&*frame);
    frame.clear();
}
