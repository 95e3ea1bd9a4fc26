//! A client of the signer's sockets that says whatever it likes: the frames written and read by hand, from their
//! description alone, so that what the program would never send can be sent.

use super::check::{Checker, Signed, Told};
use super::rig::{Rig, SEAT};
use clock::SystemClock;
use domain::Clock as _;
use order_signer::process::{OrderPage, Packets, SocketError};
use signing::frames::FRAME_MAX;
use std::cell::RefCell;
use std::time::Duration;

/// Longest wait for an answer on a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Printable text, or what pretends to be.
pub(crate) type Text = Vec<u8>;
/// A mantissa and its decimals.
pub(crate) type Number = (i64, u8);

/// What is asked for; every field may be nonsense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Intent {
    Place { id: Text, symbol: Text, side: u8, force: u8, effect: u8, price: Number, qty: Number },
    Cancel { symbol: Text, id: Text, venue_id: Option<Text> },
    CancelAll { symbol: Text },
    QueryOrder { symbol: Text, id: Text },
    OpenOrders { symbol: Text, older: Option<Text> },
    History { symbol: Text, since: u64, older: Option<Text> },
    Fills { symbol: Text, since: u64, older: Option<Text> },
    Balances,
    KeyInfo,
    Login,
    Positions,
    FuturesSettings { symbol: Text },
    Bills { since: u64, older: Option<Text> },
    SetLeverage { symbol: Text, leverage: u16 },
    SetMarginMode { symbol: Text, mode: u8 },
    SetPositionMode { mode: u8 },
    FuturesBalances,
}

/// The version of the frames.
const VERSION: u8 = 2;
/// Length of a client order id.
pub(crate) const ID: usize = 18;

impl Intent {
    pub(crate) fn login() -> Self {
        Self::Login
    }

    pub(crate) fn balances() -> Self {
        Self::Balances
    }

    pub(crate) fn cancel_all(symbol: &str) -> Self {
        Self::CancelAll { symbol: symbol.into() }
    }

    /// The verb's number on the wire.
    pub(crate) fn verb(&self) -> u8 {
        match self {
            Self::Place { .. } => 0,
            Self::Cancel { .. } => 1,
            Self::CancelAll { .. } => 2,
            Self::QueryOrder { .. } => 3,
            Self::OpenOrders { .. } => 4,
            Self::History { .. } => 5,
            Self::Fills { .. } => 6,
            Self::Balances => 7,
            Self::KeyInfo => 8,
            Self::Login => 9,
            Self::Positions => 10,
            Self::FuturesSettings { .. } => 11,
            Self::Bills { .. } => 12,
            Self::SetLeverage { .. } => 13,
            Self::SetMarginMode { .. } => 14,
            Self::SetPositionMode { .. } => 15,
            Self::FuturesBalances => 16,
        }
    }

    /// The instrument that it is about, by the program's name.
    pub(crate) fn symbol(&self) -> Option<&Text> {
        match self {
            Self::Place { symbol, .. }
            | Self::Cancel { symbol, .. }
            | Self::CancelAll { symbol }
            | Self::QueryOrder { symbol, .. }
            | Self::OpenOrders { symbol, .. }
            | Self::History { symbol, .. }
            | Self::Fills { symbol, .. }
            | Self::FuturesSettings { symbol }
            | Self::SetLeverage { symbol, .. }
            | Self::SetMarginMode { symbol, .. } => Some(symbol),
            Self::Balances
            | Self::KeyInfo
            | Self::Login
            | Self::Positions
            | Self::Bills { .. }
            | Self::SetPositionMode { .. }
            | Self::FuturesBalances => None,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        fn text(out: &mut Vec<u8>, text: &Text) {
            out.push(u8::try_from(text.len().min(255)).unwrap());
            out.extend_from_slice(text);
        }
        fn optional(out: &mut Vec<u8>, value: &Option<Text>) {
            out.push(u8::from(value.is_some()));
            value.iter().for_each(|value| text(out, value));
        }
        out.push(self.verb());
        match self {
            Self::Place { id, symbol, side, force, effect, price, qty } => {
                out.extend_from_slice(id);
                text(out, symbol);
                out.extend_from_slice(&[*side, *force, *effect]);
                for (mantissa, decimals) in [price, qty] {
                    out.extend_from_slice(&mantissa.to_le_bytes());
                    out.push(*decimals);
                }
            }
            Self::Cancel { symbol, id, venue_id } => {
                text(out, symbol);
                out.extend_from_slice(id);
                optional(out, venue_id);
            }
            Self::CancelAll { symbol } | Self::FuturesSettings { symbol } => text(out, symbol),
            Self::QueryOrder { symbol, id } => {
                text(out, symbol);
                out.extend_from_slice(id);
            }
            Self::OpenOrders { symbol, older } => {
                text(out, symbol);
                optional(out, older);
            }
            Self::History { symbol, since, older } | Self::Fills { symbol, since, older } => {
                text(out, symbol);
                out.extend_from_slice(&since.to_le_bytes());
                optional(out, older);
            }
            Self::Bills { since, older } => {
                out.extend_from_slice(&since.to_le_bytes());
                optional(out, older);
            }
            Self::SetLeverage { symbol, leverage } => {
                text(out, symbol);
                out.extend_from_slice(&leverage.to_le_bytes());
            }
            Self::SetMarginMode { symbol, mode } => {
                text(out, symbol);
                out.push(*mode);
            }
            Self::SetPositionMode { mode } => out.push(*mode),
            Self::Balances | Self::KeyInfo | Self::Login | Self::Positions | Self::FuturesBalances => {}
        }
    }
}

/// Reads fields one after the other; `None` beyond the end.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take(&mut self, len: usize) -> Option<Text> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head.to_vec())
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn eight(&mut self) -> Option<[u8; 8]> {
        self.take(8)?.try_into().ok()
    }

    fn text(&mut self) -> Option<Text> {
        let len = self.byte()?;
        self.take(usize::from(len))
    }

    fn optional(&mut self) -> Option<Option<Text>> {
        match self.byte()? {
            0 => Some(None),
            1 => self.text().map(Some),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Number> {
        Some((i64::from_le_bytes(self.eight()?), self.byte()?))
    }
}

/// What a frame asks for, as its description says; `None`: nothing that could be signed.
pub(crate) fn read(frame: &[u8]) -> Option<(u8, u64, Intent)> {
    let mut fields = Fields(frame);
    if (fields.byte()?, fields.byte()?) != (VERSION, 1) {
        return None;
    }
    let seat = fields.byte()?;
    let nonce = u64::from_le_bytes(fields.eight()?);
    let intent = match fields.byte()? {
        0 => Intent::Place {
            id: fields.take(ID)?,
            symbol: fields.text()?,
            side: fields.byte()?,
            force: fields.byte()?,
            effect: fields.byte()?,
            price: fields.number()?,
            qty: fields.number()?,
        },
        1 => Intent::Cancel { symbol: fields.text()?, id: fields.take(ID)?, venue_id: fields.optional()? },
        2 => Intent::CancelAll { symbol: fields.text()? },
        3 => Intent::QueryOrder { symbol: fields.text()?, id: fields.take(ID)? },
        4 => Intent::OpenOrders { symbol: fields.text()?, older: fields.optional()? },
        verb @ (5 | 6) => {
            let symbol = fields.text()?;
            let since = u64::from_le_bytes(fields.eight()?);
            let older = fields.optional()?;
            if verb == 5 { Intent::History { symbol, since, older } } else { Intent::Fills { symbol, since, older } }
        }
        7 => Intent::Balances,
        8 => Intent::KeyInfo,
        9 => Intent::Login,
        10 => Intent::Positions,
        11 => Intent::FuturesSettings { symbol: fields.text()? },
        12 => Intent::Bills { since: u64::from_le_bytes(fields.eight()?), older: fields.optional()? },
        13 => {
            let symbol = fields.text()?;
            Intent::SetLeverage { symbol, leverage: u16::from_le_bytes([fields.byte()?, fields.byte()?]) }
        }
        14 => Intent::SetMarginMode { symbol: fields.text()?, mode: fields.byte()? },
        15 => Intent::SetPositionMode { mode: fields.byte()? },
        16 => Intent::FuturesBalances,
        _ => return None,
    };
    fields.0.is_empty().then_some((seat, nonce, intent))
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Answer {
    Signed(Signed),
    Done,
    Refused(u8),
}

fn read_answer(frame: &[u8]) -> Option<(u64, Answer)> {
    let mut fields = Fields(frame);
    let nonce = u64::from_le_bytes(fields.eight()?);
    let answer = match fields.byte()? {
        0 => {
            let (verb, method) = (fields.byte()?, fields.byte()?);
            let mut length = || Some(usize::from(u16::from_le_bytes(fields.take(2)?.try_into().ok()?)));
            let (target, headers, body) = (length()?, length()?, length()?);
            let mut text = |len| String::from_utf8(fields.take(len)?).ok();
            let (target, headers, body) = (text(target)?, text(headers)?, text(body)?);
            Answer::Signed(Signed { verb, method, target, headers, body })
        }
        1 => Answer::Done,
        status @ 16..=31 => Answer::Refused(status - 16),
        _ => return None,
    };
    fields.0.is_empty().then_some((nonce, answer))
}

/// How often what happened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) asked: u64,
    /// By the numbers of the verbs.
    pub(crate) signed: [u64; 17],
    /// Orders on perpetual futures, and those of them whose bytes say that they only reduce.
    pub(crate) futures: [u64; 2],
    pub(crate) refused: [u64; 16],
    /// Frames that say nothing, each refused.
    pub(crate) foul: u64,
}

/// The client, with all that it has had signed.
pub(crate) struct Client<'a> {
    orders: &'a Packets,
    page: &'a RefCell<OrderPage>,
    cancels: &'a Packets,
    pub(crate) checker: Checker,
    pub(crate) counts: Counts,
    head: String,
    sequence: u64,
    nonce: u64,
    inward: Vec<u8>,
}

fn base36(mut number: u128, digits: usize) -> String {
    let mut text = vec![b'0'; digits];
    for place in text.iter_mut().rev() {
        *place = b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize];
        number /= 36;
    }
    String::from_utf8(text).unwrap()
}

/// A client order id: a tag, and epoch and sequence as 14 digits.
pub(crate) fn id(tag: &str, epoch: u32, sequence: u64) -> Text {
    format!("{tag}{}", base36(u128::from(epoch) << 48 | u128::from(sequence), 14)).into_bytes()
}

impl<'a> Client<'a> {
    pub(crate) fn new(rig: &'a Rig) -> Self {
        Self {
            orders: &rig.orders,
            page: &rig.page,
            cancels: &rig.cancels,
            checker: Checker::new(&rig.values, &rig.ready, &rig.policy),
            counts: Counts::default(),
            head: rig.ready.tag.clone(),
            sequence: 0,
            nonce: 0,
            inward: vec![0; 64 * 1024],
        }
    }

    /// The same client with another process in its hands.
    pub(crate) fn next_run(rig: &'a Rig, mut checker: Checker) -> Self {
        checker.next_run(&rig.ready);
        Self { checker, ..Self::new(rig) }
    }

    /// The next id of this run.
    pub(crate) fn next_id(&mut self) -> Text {
        self.sequence += 1;
        id(&self.head, self.checker.epoch, self.sequence)
    }

    /// The latest id of this run, or one a little above or below.
    pub(crate) fn near_id(&mut self, by: i64) -> Text {
        id(&self.head, self.checker.epoch, self.sequence.saturating_add_signed(by))
    }

    /// An order that nobody could object to.
    pub(crate) fn order(&mut self) -> Intent {
        Intent::Place {
            id: self.next_id(),
            symbol: b"BTCUSDT".to_vec(),
            side: u8::from(self.sequence.is_multiple_of(2)),
            force: 3,
            effect: 0,
            price: (6_500_000, 2),
            qty: (1, 4),
        }
    }

    /// As [`Self::order`], on the perpetual future, with an effect.
    pub(crate) fn perpetual(&mut self, side: u8, effect: u8) -> Intent {
        let symbol = b"BTCUSDT-PERP".to_vec();
        Intent::Place { id: self.next_id(), symbol, side, force: 3, effect, price: (6_500_000, 2), qty: (1, 4) }
    }

    /// The frame that asks for an intent.
    pub(crate) fn frame(&mut self, seat: u8, intent: &Intent) -> Vec<u8> {
        self.nonce += 1;
        let mut frame = vec![VERSION, 1, seat];
        frame.extend_from_slice(&self.nonce.to_le_bytes());
        intent.write(&mut frame);
        frame
    }

    /// Asks for an intent over the order socket; what was signed.
    pub(crate) fn ask(&mut self, intent: &Intent) -> Option<Signed> {
        let frame = self.frame(SEAT.0, intent);
        match self.send(&frame, false) {
            Answer::Signed(signed) => Some(signed),
            _ => None,
        }
    }

    /// Tells venue time minus own time; whether it was accepted for orders.
    pub(crate) fn offset(&mut self, offset_ns: i64) -> bool {
        self.offset_over(offset_ns, false)
    }

    /// As [`Self::offset`], over either socket.
    pub(crate) fn offset_over(&mut self, offset_ns: i64, emergency: bool) -> bool {
        self.nonce += 1;
        let mut frame = vec![VERSION, 2, SEAT.0];
        frame.extend_from_slice(&self.nonce.to_le_bytes());
        frame.extend_from_slice(&offset_ns.to_le_bytes());
        matches!(self.send(&frame, emergency), Answer::Done)
    }

    /// Says how the account is kept: 0 as wallets, 1 as one account.
    pub(crate) fn account_mode(&mut self, mode: u8, emergency: bool) {
        self.nonce += 1;
        let mut frame = vec![VERSION, 4, SEAT.0];
        frame.extend_from_slice(&self.nonce.to_le_bytes());
        frame.push(mode);
        self.send(&frame, emergency);
    }

    fn over_socket(&mut self, frame: &[u8]) -> Result<usize, SocketError> {
        self.cancels.send(frame)?;
        self.cancels.receive(&mut self.inward)
    }

    fn over_page(&mut self, frame: &[u8]) -> Result<usize, SocketError> {
        let mut page = self.page.borrow_mut();
        page.ask(frame, false)?;
        let begun = SystemClock.mono();
        page.answer(&mut self.inward, self.orders, false, || SystemClock.mono().since(begun) > ANSWER_MAX)
    }

    /// Sends any bytes and judges the answer.
    pub(crate) fn send(&mut self, frame: &[u8], emergency: bool) -> Answer {
        // What has no room on the page can only be said to the other socket.
        let emergency = emergency || frame.len() > FRAME_MAX;
        let begun = SystemClock.unix().as_millis();
        let len = if emergency { self.over_socket(frame) } else { self.over_page(frame) };
        let len = len.unwrap_or_else(|error| panic!("the signer is gone or silent: {error}, at {frame:?}"));
        let ended = SystemClock.unix().as_millis();
        let (nonce, answer) = read_answer(&self.inward[..len]).unwrap_or_else(|| panic!("foul answer to {frame:?}"));
        self.counts.asked += 1;
        let asked = read(frame);
        match &answer {
            Answer::Signed(signed) => {
                let (seat, own, intent) = asked.unwrap_or_else(|| panic!("{frame:?} was signed: {signed:?}"));
                assert_eq!((seat, own), (SEAT.0, nonce), "another question's answer");
                let told = Told { begun, ended, emergency };
                let judged = self.checker.judge(&intent, signed, &told);
                judged.unwrap_or_else(|fault| panic!("{fault}: {intent:?} came back as {signed:?}"));
                self.counts.signed[usize::from(signed.verb)] += 1;
                if let Intent::Place { id, symbol, .. } = &intent {
                    self.counts.futures[0] += u64::from(symbol.ends_with(b"-PERP"));
                    self.counts.futures[1] += u64::from(signed.body.contains("reduceOnly"));
                    self.follow(id);
                }
            }
            Answer::Done => match (frame.get(1), frame.len()) {
                (Some(2), 19) => self.offset_told(frame, emergency),
                (Some(4), 12) => self.mode_told(frame, emergency),
                _ => panic!("{frame:?} was done"),
            },
            Answer::Refused(why) => {
                self.counts.refused[usize::from(*why)] += 1;
                self.counts.foul += u64::from(asked.is_none());
                if frame.get(..3) == Some(&[VERSION, 2, SEAT.0]) && frame.len() == 19 {
                    self.offset_told(frame, emergency);
                }
            }
        }
        answer
    }

    /// Ids below one that was used are burned: the next ones are above it, unless hardly any are left.
    fn follow(&mut self, id: &Text) {
        let digits = std::str::from_utf8(&id[4..]).unwrap();
        let sequence = (u128::from_str_radix(digits, 36).unwrap() & ((1 << 48) - 1)) as u64;
        if sequence < 1 << 47 {
            self.sequence = self.sequence.max(sequence);
        }
    }

    fn mode_told(&mut self, frame: &[u8], emergency: bool) {
        assert!(frame[2] == SEAT.0 && frame[11] < 2, "{frame:?} was done");
        self.checker.mode_told(frame[11] == 1, emergency);
    }

    fn offset_told(&mut self, frame: &[u8], emergency: bool) {
        if frame[2] == SEAT.0 {
            let told = i64::from_le_bytes(frame[11..19].try_into().unwrap());
            self.checker.offset_told(told, emergency);
        }
    }
}
