//! The record of one signature, and where it stands in a segment of the guard log.
//!
//! Invariant: no record crosses a page of 4096 bytes, so that a killed process leaves none half written.

use crate::codec::{Reader, Writer, open, seal};
use domain::{Epoch, Scaled, Sequence, Side, TimeInForce, UnixNanos};
use messages::PlaceOrder;
use sha2::{Digest as _, Sha256};

/// Bytes of a record on the disk.
pub(crate) const RECORD_LEN: usize = 96;
/// Bytes of a page.
const PAGE: u64 = 4_096;
/// Records in a page.
const IN_PAGE: u64 = PAGE / RECORD_LEN as u64;
/// Bytes of a segment: 256 pages.
pub(crate) const SEGMENT_LEN: u64 = 256 * PAGE;
/// Places in a segment; the first holds its header.
pub(crate) const PLACES: u64 = SEGMENT_LEN / PAGE * IN_PAGE;

/// One signature, about to be released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardRecord {
    /// The run.
    pub epoch: Epoch,
    /// The order's sequence within the run.
    pub sequence: Sequence,
    /// Our id of the key that signs.
    pub kid: [u8; 16],
    /// What is signed, without key and time: [`economic_digest`].
    pub digest: [u8; 32],
    /// Time in the signed request.
    pub at: UnixNanos,
    /// The same content was signed before under the same id.
    pub again: bool,
}

/// SHA-256 of what an order does: id, instrument, side, price, quantity, time in force. Neither key nor time is in it,
/// and `1.50` is `1.5`, so that a retry with another key has the same digest.
#[must_use]
pub fn economic_digest(order: &PlaceOrder) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"steadfast order 1\0");
    hash.update(order.id.as_bytes());
    // The only text of varying length, so that no other order has the same bytes.
    hash.update((order.symbol.len() as u64).to_le_bytes());
    hash.update(order.symbol.as_bytes());
    hash.update([match order.side {
        Side::Buy => 1_u8,
        Side::Sell => 2,
    }]);
    for number in [order.price, order.qty] {
        let number = shortest(number);
        hash.update(number.mantissa.to_le_bytes());
        hash.update([number.decimals]);
    }
    hash.update([match order.time_in_force {
        TimeInForce::Gtc => 1_u8,
        TimeInForce::Ioc => 2,
        TimeInForce::Fok => 3,
        TimeInForce::PostOnly => 4,
    }]);
    hash.update([order.effect.code()]);
    hash.finalize().into()
}

const fn shortest(mut number: Scaled) -> Scaled {
    while number.decimals > 0 && number.mantissa % 10 == 0 {
        number.mantissa /= 10;
        number.decimals -= 1;
    }
    number
}

/// The first place of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) segment: u64,
    pub(crate) epoch: Epoch,
    /// Number of the first record, counted over all segments.
    pub(crate) first: u64,
}

const MAGIC: [u8; 8] = *b"stdfgrd1";
const NEW: u8 = 1;
const AGAIN: u8 = 2;

impl Header {
    pub(crate) fn encode(self) -> [u8; RECORD_LEN] {
        let mut bytes = [0_u8; RECORD_LEN];
        let mut fields = Writer::new(&mut bytes);
        fields.put(&[0; 4]);
        fields.put(&MAGIC);
        fields.put(&self.segment.to_le_bytes());
        fields.put(&self.epoch.get().to_le_bytes());
        fields.put(&self.first.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = open(bytes)?;
        let magic: [u8; 8] = fields.take()?;
        let segment = fields.u64()?;
        let epoch = Epoch::new(fields.u32()?).ok()?;
        let first = fields.u64()?;
        (magic == MAGIC && fields.blank()).then_some(Self { segment, epoch, first })
    }
}

impl GuardRecord {
    /// The record as number `index` of all, in segment `segment`.
    pub(crate) fn encode(&self, segment: u64, index: u64) -> [u8; RECORD_LEN] {
        let mut bytes = [0_u8; RECORD_LEN];
        let mut fields = Writer::new(&mut bytes);
        fields.put(&[0; 4]);
        fields.put(&[if self.again { AGAIN } else { NEW }, 0, 0, 0]);
        fields.put(&segment.to_le_bytes());
        fields.put(&index.to_le_bytes());
        fields.put(&self.epoch.get().to_le_bytes());
        fields.put(&self.sequence.get().to_le_bytes());
        fields.put(&self.kid);
        fields.put(&self.digest);
        fields.put(&self.at.0.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    /// The record that must be number `index` in `segment`.
    pub(crate) fn decode(bytes: &[u8], segment: u64, index: u64) -> Option<Self> {
        let mut fields = open(bytes)?;
        let again = match fields.take()? {
            [NEW, 0, 0, 0] => false,
            [AGAIN, 0, 0, 0] => true,
            _ => return None,
        };
        if fields.u64()? != segment || fields.u64()? != index {
            return None;
        }
        Self::fields(&mut fields, again).filter(|_| fields.blank())
    }

    fn fields(fields: &mut Reader<'_>, again: bool) -> Option<Self> {
        let epoch = Epoch::new(fields.u32()?).ok()?;
        let sequence = Sequence::new(fields.u64()?).ok()?;
        Some(Self { epoch, sequence, kid: fields.take()?, digest: fields.take()?, at: UnixNanos(fields.u64()?), again })
    }
}

/// Where place number `place` begins in its segment.
pub(crate) const fn offset(place: u64) -> u64 {
    place / IN_PAGE * PAGE + place % IN_PAGE * RECORD_LEN as u64
}

/// The name of a segment.
pub(crate) fn segment_name(number: u64) -> String {
    format!("guard-{number:08}.log")
}

/// The number in a segment's name; `None` for other files.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("guard-")?.strip_suffix(".log")?;
    (digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{ClientOrderId, InstanceTag, Symbol};

    fn record() -> GuardRecord {
        GuardRecord {
            epoch: Epoch::new(Epoch::MAX).unwrap(),
            sequence: Sequence::new(Sequence::MAX).unwrap(),
            kid: [7; 16],
            digest: [9; 32],
            at: UnixNanos(u64::MAX),
            again: true,
        }
    }

    #[test]
    fn record_survives_a_round_trip_in_its_place_only_and_no_bit_may_flip() {
        let bytes = record().encode(3, 44);
        assert_eq!(GuardRecord::decode(&bytes, 3, 44), Some(record()));
        assert_eq!(GuardRecord::decode(&bytes, 4, 44), None);
        assert_eq!(GuardRecord::decode(&bytes, 3, 45), None);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(GuardRecord::decode(&bad, 3, 44), None, "bit {bit}");
        }
    }

    #[test]
    fn no_record_crosses_a_page_and_none_overlaps_another() {
        for place in 0..PLACES {
            let at = offset(place);
            assert_eq!(at / PAGE, (at + RECORD_LEN as u64 - 1) / PAGE);
            assert!(place == 0 || at >= offset(place - 1) + RECORD_LEN as u64);
        }
        assert!(offset(PLACES - 1) + RECORD_LEN as u64 <= SEGMENT_LEN);
    }

    #[test]
    fn digest_changes_with_each_economic_field_and_with_nothing_else() {
        let order = PlaceOrder {
            id: ClientOrderId::new(InstanceTag::from_number(1), Epoch::new(1).unwrap(), Sequence::new(1).unwrap()),
            symbol: Symbol::from("BTCUSDT").unwrap(),
            side: Side::Buy,
            price: Scaled { mantissa: 15, decimals: 1 },
            qty: Scaled { mantissa: 3, decimals: 0 },
            time_in_force: TimeInForce::Gtc,
            effect: domain::PositionEffect::default(),
        };
        let other_id =
            ClientOrderId::new(InstanceTag::from_number(1), Epoch::new(1).unwrap(), Sequence::new(2).unwrap());
        let all = [
            order,
            PlaceOrder { id: other_id, ..order },
            PlaceOrder { symbol: Symbol::from("BTCUSD").unwrap(), ..order },
            PlaceOrder { side: Side::Sell, ..order },
            PlaceOrder { price: Scaled { mantissa: 15, decimals: 2 }, ..order },
            PlaceOrder { price: Scaled { mantissa: 16, decimals: 1 }, ..order },
            PlaceOrder { qty: Scaled { mantissa: 30, decimals: 0 }, ..order },
            PlaceOrder { time_in_force: TimeInForce::Ioc, ..order },
            PlaceOrder { time_in_force: TimeInForce::PostOnly, ..order },
            PlaceOrder { effect: domain::PositionEffect::ALL[1], ..order },
            PlaceOrder { effect: domain::PositionEffect::ALL[2], ..order },
        ];
        let digests: std::collections::BTreeSet<_> = all.iter().map(economic_digest).collect();
        assert_eq!(digests.len(), all.len());
        let longer = PlaceOrder { price: Scaled { mantissa: 1_500, decimals: 3 }, ..order };
        assert_eq!(economic_digest(&longer), economic_digest(&order));
    }
}
