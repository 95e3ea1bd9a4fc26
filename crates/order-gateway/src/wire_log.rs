//! What `wire.log` holds: one fixed-size record for each request that changes something at a venue,
//! written before its first byte goes to the socket. Encoding, decoding and reading back; pure but for
//! [`read_all`], which reads files.
//!
//! Invariants: a record never holds a signature, a header or a passphrase; a record whose last bytes are
//! missing or wrong is told from a whole one.

use crate::departure::Departure;
use domain::{
    ClientOrderId, PositionEffect, Scaled, Side, StrategyTag, Symbol, TimeInForce, UnixNanos, VenueId, VenueOrderId,
};
use messages::{SignIntent, Verb};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of one record, and of the header of a segment.
pub const RECORD_LEN: usize = 160;
/// First bytes of a segment.
const MAGIC: [u8; 8] = *b"SFWIRE\r\n";
/// The format that is written; the only one so far.
const VERSION: u16 = 1;

/// One request that may have reached a venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireRecord {
    /// Counts from 1 over the life of the data directory, without a hole.
    pub seq: u64,
    /// When it was written, by own wall clock.
    pub at: UnixNanos,
    /// The venue account.
    pub venue: VenueId,
    /// Place, cancel or cancel-all.
    pub verb: Verb,
    /// Our id; `None` for cancel-all.
    pub id: Option<ClientOrderId>,
    /// The venue's id, for a cancel that names it.
    pub venue_order_id: Option<VenueOrderId>,
    /// The venue's spelling of the instrument.
    pub symbol: Symbol,
    /// The instrument version its numbers belong to; 0 where there is none.
    pub version: u32,
    /// What was ordered; `None` for cancels.
    pub order: Option<WireOrder>,
    /// The strategy; tag 0 for the program's own requests.
    pub strategy: StrategyTag,
}

/// The economic part of a place record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireOrder {
    /// Buy or sell.
    pub side: Side,
    /// Limit price.
    pub price: Scaled,
    /// Quantity, in base.
    pub qty: Scaled,
    /// How long it may rest.
    pub time_in_force: TimeInForce,
    /// Which position it works on, and how. Records of earlier programs have zero there: the default.
    pub effect: PositionEffect,
}

impl WireRecord {
    /// The record of a request, if it is one that changes something; `seq` is given when it is written.
    #[must_use]
    pub(crate) fn of(departure: &impl Departure, at: UnixNanos) -> Option<Self> {
        let blank = Self {
            seq: 0,
            at,
            venue: departure.venue(),
            verb: departure.intent().verb(),
            id: None,
            venue_order_id: None,
            symbol: Symbol::new(),
            version: departure.version(),
            order: None,
            strategy: departure.strategy(),
        };
        match *departure.intent() {
            SignIntent::Place(place) => Some(Self {
                id: Some(place.id),
                symbol: place.symbol,
                order: Some(WireOrder {
                    side: place.side,
                    price: place.price,
                    qty: place.qty,
                    time_in_force: place.time_in_force,
                    effect: place.effect,
                }),
                ..blank
            }),
            SignIntent::Cancel { symbol, id, venue_order_id } => {
                Some(Self { id: Some(id), symbol, venue_order_id, ..blank })
            }
            SignIntent::CancelAll { symbol } => Some(Self { symbol, ..blank }),
            _ => None,
        }
    }

    /// The bytes of the record.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_LEN] {
        let mut out = Writer { bytes: [0; RECORD_LEN], at: 4 };
        out.put(&self.seq.to_le_bytes());
        out.put(&self.at.0.to_le_bytes());
        out.put(&[self.venue.0, verb_code(self.verb)]);
        out.text(self.id.as_ref().map_or("", ClientOrderId::as_str), ClientOrderId::LEN);
        out.text(&self.symbol, SYMBOL_LEN);
        out.put(&self.version.to_le_bytes());
        out.put(&self.strategy.0.to_le_bytes());
        out.text(self.venue_order_id.as_deref().unwrap_or(""), VENUE_ID_LEN);
        let empty = Scaled { mantissa: 0, decimals: 0 };
        let (codes, price, qty) = match self.order {
            Some(order) => ([1 + side_code(order.side), tif_code(order.time_in_force)], order.price, order.qty),
            None => ([0, 0], empty, empty),
        };
        out.put(&codes);
        out.put(&[price.decimals, qty.decimals]);
        out.put(&price.mantissa.to_le_bytes());
        out.put(&qty.mantissa.to_le_bytes());
        out.put(&[self.order.map_or(0, |order| order.effect.code())]);
        seal(out.bytes)
    }

    /// Reads a record back; `None` when its checksum or a field is wrong.
    #[must_use]
    pub fn decode(bytes: &[u8; RECORD_LEN]) -> Option<Self> {
        let mut input = unseal(bytes)?;
        let seq = u64::from_le_bytes(input.take()?);
        let at = UnixNanos(u64::from_le_bytes(input.take()?));
        let [venue, verb] = input.take()?;
        let verb = verb_of(verb)?;
        let id: [u8; ClientOrderId::LEN] = input.take()?;
        let id = if id == [0; ClientOrderId::LEN] { None } else { Some(std::str::from_utf8(&id).ok()?.parse().ok()?) };
        let symbol = Symbol::from(&text::<SYMBOL_LEN>(&input.take()?)?).ok()?;
        let version = u32::from_le_bytes(input.take()?);
        let strategy = StrategyTag(u16::from_le_bytes(input.take()?));
        let venue_text = text::<VENUE_ID_LEN>(&input.take()?)?;
        let venue_order_id = if venue_text.is_empty() { None } else { VenueOrderId::from(&venue_text).ok() };
        let [side, time_in_force] = input.take()?;
        let [price_decimals, qty_decimals] = input.take()?;
        let price = Scaled { mantissa: i64::from_le_bytes(input.take()?), decimals: price_decimals };
        let qty = Scaled { mantissa: i64::from_le_bytes(input.take()?), decimals: qty_decimals };
        let [effect] = input.take()?;
        let effect = PositionEffect::from_code(effect)?;
        let order = match side {
            0 => None,
            side => {
                Some(WireOrder { side: side_of(side - 1)?, price, qty, time_in_force: tif_of(time_in_force)?, effect })
            }
        };
        let shape_fits = match verb {
            Verb::Place => id.is_some() && order.is_some(),
            Verb::Cancel => id.is_some() && order.is_none(),
            Verb::CancelAll => id.is_none() && order.is_none(),
            _ => false,
        };
        let venue = VenueId(venue);
        shape_fits.then_some(Self { seq, at, venue, verb, id, venue_order_id, symbol, version, order, strategy })
    }
}

/// Bytes of a symbol in a record.
const SYMBOL_LEN: usize = 24;
/// Bytes of a venue order id in a record.
const VENUE_ID_LEN: usize = 40;

/// The first 160 bytes of a segment whose first record will be `first_seq`.
#[must_use]
pub fn encode_header(first_seq: u64, created: UnixNanos) -> [u8; RECORD_LEN] {
    let mut out = Writer { bytes: [0; RECORD_LEN], at: 4 };
    out.put(&MAGIC);
    out.put(&VERSION.to_le_bytes());
    out.put(&first_seq.to_le_bytes());
    out.put(&created.0.to_le_bytes());
    seal(out.bytes)
}

fn header_version(bytes: &[u8; RECORD_LEN]) -> Option<u16> {
    let mut input = unseal(bytes)?;
    (input.take::<8>()? == MAGIC).then_some(())?;
    Some(u16::from_le_bytes(input.take()?))
}

fn seal(mut bytes: [u8; RECORD_LEN]) -> [u8; RECORD_LEN] {
    if let Some((sum, rest)) = bytes.split_first_chunk_mut::<4>() {
        *sum = crc32fast::hash(rest).to_le_bytes();
    }
    bytes
}

fn unseal(bytes: &[u8; RECORD_LEN]) -> Option<Reader<'_>> {
    let (sum, rest) = bytes.split_first_chunk::<4>()?;
    (crc32fast::hash(rest) == u32::from_le_bytes(*sum)).then_some(Reader(rest))
}

struct Writer {
    bytes: [u8; RECORD_LEN],
    at: usize,
}

impl Writer {
    fn put(&mut self, part: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.at..self.at + part.len()) {
            place.copy_from_slice(part);
        }
        self.at += part.len();
    }

    /// Text padded with zero bytes; no text of ours is longer than its field.
    fn text(&mut self, text: &str, len: usize) {
        let kept = text.as_bytes().get(..len).unwrap_or(text.as_bytes());
        self.put(kept);
        self.at += len - kept.len();
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }
}

fn text<const N: usize>(field: &[u8; N]) -> Option<String> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(N);
    field.get(..end).and_then(|used| std::str::from_utf8(used).ok()).map(str::to_owned)
}

const fn verb_code(verb: Verb) -> u8 {
    match verb {
        Verb::Place => 1,
        Verb::Cancel => 2,
        Verb::CancelAll => 3,
        _ => 0,
    }
}

const fn verb_of(code: u8) -> Option<Verb> {
    match code {
        1 => Some(Verb::Place),
        2 => Some(Verb::Cancel),
        3 => Some(Verb::CancelAll),
        _ => None,
    }
}

const fn side_code(side: Side) -> u8 {
    match side {
        Side::Buy => 0,
        Side::Sell => 1,
    }
}

const fn side_of(code: u8) -> Option<Side> {
    match code {
        0 => Some(Side::Buy),
        1 => Some(Side::Sell),
        _ => None,
    }
}

const fn tif_code(time_in_force: TimeInForce) -> u8 {
    match time_in_force {
        TimeInForce::Gtc => 1,
        TimeInForce::Ioc => 2,
        TimeInForce::Fok => 3,
        TimeInForce::PostOnly => 4,
    }
}

const fn tif_of(code: u8) -> Option<TimeInForce> {
    match code {
        1 => Some(TimeInForce::Gtc),
        2 => Some(TimeInForce::Ioc),
        3 => Some(TimeInForce::Fok),
        4 => Some(TimeInForce::PostOnly),
        _ => None,
    }
}

/// Everything that was read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WireHistory {
    /// The whole records asked for, oldest first.
    pub records: Vec<WireRecord>,
    /// The number of the last whole record, asked for or not; zero when there is none.
    pub last_seq: u64,
    /// Bytes behind the last whole record of a segment: writes that a crash cut off, never sent.
    pub torn_bytes: u64,
    /// Records that are wrong although whole ones follow them, and holes in the numbering: damage, not a crash.
    pub damaged: u64,
}

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WireLogError {
    /// The file system refused.
    #[error("wire log {path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A segment has no header of ours, or one of a newer program.
    #[error("wire log {path} was not written by this program or by a newer one")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The log may not grow further: nothing was deleted although old records are journalled.
    #[error("wire log {path} has reached its bound of {bytes_max} bytes")]
    Full {
        /// The directory.
        path: PathBuf,
        /// The bound.
        bytes_max: u64,
    },
    /// An earlier sync failed: what was written before it may be lost in a power cut.
    #[error("wire log {path} could not be synced to the disk")]
    SyncFailed {
        /// The directory.
        path: PathBuf,
    },
}

impl WireLogError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// The segments of a directory in their order; none when the directory does not exist.
///
/// # Errors
/// [`WireLogError::Io`].
pub fn segments(dir: &Path) -> Result<Vec<(u64, PathBuf)>, WireLogError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(WireLogError::Io { path: dir.to_owned(), source }),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(WireLogError::io(dir))?.path();
        if let Some(number) = segment_number(&path) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The file name of a segment.
#[must_use]
pub fn segment_name(number: u64) -> String {
    format!("wire-{number:06}.log")
}

fn segment_number(path: &Path) -> Option<u64> {
    let number = path.file_name()?.to_str()?.strip_prefix("wire-")?.strip_suffix(".log")?.parse().ok()?;
    (path.file_name()?.to_str()? == segment_name(number)).then_some(number)
}

/// Reads every record of a directory; a missing directory is an empty log.
///
/// # Errors
/// [`WireLogError::Io`], or [`WireLogError::Foreign`] for a segment that this program cannot read.
pub fn read_all(dir: &Path) -> Result<WireHistory, WireLogError> {
    read_after(dir, 0)
}

/// Reads the records of a directory whose numbers are above `journalled`.
///
/// # Errors
/// As [`read_all`].
pub fn read_after(dir: &Path, journalled: u64) -> Result<WireHistory, WireLogError> {
    let mut history = WireHistory::default();
    for (_, path) in segments(dir)? {
        let bytes = fs::read(&path).map_err(WireLogError::io(&path))?;
        read_segment(&bytes, journalled, &mut history).map_err(|()| WireLogError::Foreign { path })?;
    }
    Ok(history)
}

/// The number of the last record of a directory; zero when there is none. Reads the newest segments only.
///
/// # Errors
/// As [`read_all`].
pub fn last_seq(dir: &Path) -> Result<u64, WireLogError> {
    for (_, path) in segments(dir)?.into_iter().rev() {
        let bytes = fs::read(&path).map_err(WireLogError::io(&path))?;
        let mut history = WireHistory::default();
        read_segment(&bytes, u64::MAX, &mut history).map_err(|()| WireLogError::Foreign { path })?;
        if history.last_seq > 0 {
            return Ok(history.last_seq);
        }
    }
    Ok(0)
}

/// Adds the records of one segment. `Err`: its header is whole and not one of ours.
fn read_segment(bytes: &[u8], journalled: u64, history: &mut WireHistory) -> Result<(), ()> {
    let Some((header, body)) = bytes.split_first_chunk::<RECORD_LEN>() else {
        // The crash came while the header was written: no record was.
        history.torn_bytes += bytes.len() as u64;
        return Ok(());
    };
    if header_version(header) != Some(VERSION) {
        return Err(());
    }
    let mut bad_since_whole: u64 = 0;
    let (chunks, rest) = body.as_chunks::<RECORD_LEN>();
    for chunk in chunks {
        let Some(record) = WireRecord::decode(chunk) else {
            bad_since_whole += 1;
            continue;
        };
        let hole = bad_since_whole == 0 && history.last_seq > 0 && record.seq != history.last_seq.saturating_add(1);
        history.damaged += bad_since_whole + u64::from(hole);
        bad_since_whole = 0;
        history.last_seq = record.seq;
        if record.seq > journalled {
            history.records.push(record);
        }
    }
    history.torn_bytes += bad_since_whole * RECORD_LEN as u64 + rest.len() as u64;
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use domain::{Epoch, InstanceTag, Sequence};
    use proptest::prelude::*;

    pub(crate) fn id(sequence: u64) -> ClientOrderId {
        ClientOrderId::new(InstanceTag::from_number(7), Epoch::new(3).unwrap(), Sequence::new(sequence).unwrap())
    }

    pub(crate) fn place_record(seq: u64) -> WireRecord {
        WireRecord {
            seq,
            at: UnixNanos(1_700_000_000_000_000_000 + seq),
            venue: VenueId(1),
            verb: Verb::Place,
            id: Some(id(seq)),
            venue_order_id: None,
            symbol: Symbol::from("BTCUSDT").unwrap(),
            version: 2,
            order: Some(WireOrder {
                side: Side::Sell,
                price: Scaled { mantissa: 6_000_000, decimals: 2 },
                qty: Scaled { mantissa: 1_000, decimals: 6 },
                time_in_force: TimeInForce::PostOnly,
                effect: PositionEffect::default(),
            }),
            strategy: StrategyTag(4),
        }
    }

    fn segment(records: &[WireRecord]) -> Vec<u8> {
        let mut bytes = encode_header(1, UnixNanos(5)).to_vec();
        for record in records {
            bytes.extend_from_slice(&record.encode());
        }
        bytes
    }

    fn read(bytes: &[u8]) -> WireHistory {
        let mut history = WireHistory::default();
        read_segment(bytes, 0, &mut history).unwrap();
        history
    }

    fn record() -> impl Strategy<Value = WireRecord> {
        (
            (any::<u64>(), any::<u64>(), any::<u8>(), 0_u64..=Sequence::MAX, any::<u32>(), any::<u16>()),
            ("[A-Z0-9]{0,24}", "[0-9]{1,40}", 0_u8..4),
            (any::<i64>(), 0_u8..=18, any::<i64>(), 0_u8..=18, any::<bool>(), 1_u8..=4),
        )
            .prop_map(
                |((seq, at, venue, sequence, version, strategy), (symbol, venue_order, kind), numbers)| {
                    let (price, price_decimals, qty, qty_decimals, buys, tif) = numbers;
                    let order = WireOrder {
                        side: if buys { Side::Buy } else { Side::Sell },
                        price: Scaled { mantissa: price, decimals: price_decimals },
                        qty: Scaled { mantissa: qty, decimals: qty_decimals },
                        time_in_force: tif_of(tif).unwrap(),
                        effect: PositionEffect::from_code(tif).unwrap(),
                    };
                    let verb = match kind {
                        0 => Verb::Place,
                        1 | 2 => Verb::Cancel,
                        _ => Verb::CancelAll,
                    };
                    WireRecord {
                        seq,
                        at: UnixNanos(at),
                        venue: VenueId(venue),
                        verb,
                        id: (verb != Verb::CancelAll).then(|| id(sequence)),
                        venue_order_id: (kind == 2).then(|| VenueOrderId::from(&venue_order).unwrap()),
                        symbol: Symbol::from(&symbol).unwrap(),
                        version,
                        order: (verb == Verb::Place).then_some(order),
                        strategy: StrategyTag(strategy),
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn record_gives_back_every_field(record in record()) {
            prop_assert_eq!(WireRecord::decode(&record.encode()), Some(record));
        }

        #[test]
        fn any_changed_bit_is_noticed(record in record(), bit in 0..RECORD_LEN * 8) {
            let mut bytes = record.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(WireRecord::decode(&bytes), None);
        }

        #[test]
        fn log_cut_anywhere_gives_the_whole_records_before_the_cut(count in 0_u64..6, cut in 0_usize..=RECORD_LEN * 6) {
            let records: Vec<_> = (1..=count).map(place_record).collect();
            let bytes = segment(&records);
            let kept = bytes.len().saturating_sub(cut);
            let history = read(&bytes[..kept]);
            let whole = (kept / RECORD_LEN).saturating_sub(1);
            prop_assert_eq!(&history.records, &records[..whole]);
            prop_assert_eq!(history.damaged, 0);
            prop_assert_eq!(history.torn_bytes as usize, if kept < RECORD_LEN { kept } else { kept % RECORD_LEN });
        }
    }

    #[test]
    fn last_records_that_are_wrong_are_torn_and_earlier_ones_are_damage() {
        let records: Vec<_> = (1..=4).map(place_record).collect();
        let good = segment(&records);
        let mut torn = good.clone();
        torn[RECORD_LEN * 4 + 50] ^= 0xFF;
        let history = read(&torn);
        assert_eq!((history.records.len(), history.torn_bytes, history.damaged), (3, 160, 0));

        let mut damaged = good.clone();
        damaged[RECORD_LEN * 2 + 50] ^= 0xFF;
        let history = read(&damaged);
        assert_eq!((history.records.len(), history.torn_bytes, history.damaged), (3, 0, 1));
        assert_eq!(history.last_seq, 4);
    }

    #[test]
    fn hole_in_the_numbering_is_damage() {
        let history = read(&segment(&[place_record(1), place_record(2), place_record(4)]));
        assert_eq!((history.records.len(), history.damaged), (3, 1));
    }

    #[test]
    fn journalled_records_are_left_out_and_the_last_number_is_known_all_the_same() {
        let home = tempfile::tempdir().unwrap();
        let bytes = segment(&[place_record(1), place_record(2), place_record(3)]);
        fs::write(home.path().join(segment_name(1)), bytes).unwrap();
        fs::write(home.path().join(segment_name(2)), encode_header(4, UnixNanos(5))).unwrap();
        let history = read_after(home.path(), 2).unwrap();
        assert_eq!(history.records, [place_record(3)]);
        assert_eq!((history.last_seq, history.damaged), (3, 0));
        assert_eq!(last_seq(home.path()).unwrap(), 3, "the newest segment is empty");
        assert_eq!(read_after(home.path(), 3).unwrap().records, []);
    }

    #[test]
    fn file_that_is_not_ours_is_refused() {
        let mut history = WireHistory::default();
        assert!(read_segment(&[b'x'; 400], 0, &mut history).is_err());
        assert!(read_segment(b"short", 0, &mut history).is_ok());
        assert_eq!(history.torn_bytes, 5);
    }

    #[test]
    fn directory_that_does_not_exist_is_an_empty_log() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(read_all(&home.path().join("none")).unwrap(), WireHistory::default());
    }

    #[test]
    fn file_names_that_are_not_ours_are_left_alone() {
        let home = tempfile::tempdir().unwrap();
        for name in ["wire-000001.log", "wire-1.log", "wire-000002.log.bak", "other", "wire-abcdef.log"] {
            fs::write(home.path().join(name), segment(&[place_record(1)])).unwrap();
        }
        let found = segments(home.path()).unwrap();
        assert_eq!(found.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1]);
    }
}
