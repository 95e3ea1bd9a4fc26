//! Binary frames and records of this program: the signer's socket, the vault's header, the wire log, the journal.

use domain::VenueId;
use domain::{ClientOrderId, UnixNanos};
use messages::SignIntent;
use order_gateway::WireRecord;
use order_gateway::wire_log::{RECORD_LEN, encode_header};
use signing::Blanks;
use signing::frames::{Answer, Frame, Question, read_answer, read_question, write_answer, write_question};

/// What is read from a frame, written again, is the frame: nothing has two spellings.
pub(crate) fn signer(data: &[u8]) {
    let mut frame = Frame::new();
    if let Ok(question) = read_question(data) {
        write_question(&question, &mut frame).unwrap();
        assert_eq!(frame.as_slice(), data, "a question of two spellings");
    }
    let blanks = Blanks::new();
    if let Ok((nonce, answer)) = read_answer(data, &blanks) {
        let written = match &answer {
            Answer::Signed(request) => write_answer(nonce, &Ok(Some(request)), &mut frame),
            Answer::Done => write_answer(nonce, &Ok(None), &mut frame),
            Answer::Refused(refusal) => write_answer(nonce, &Err(*refusal), &mut frame),
        };
        written.unwrap();
        assert_eq!(frame.as_slice(), data, "an answer of two spellings");
    }
}

/// A header that is accepted has one spelling.
pub(crate) fn vault_header(data: &[u8]) {
    if let Ok((was, again)) = vault::format::header_again(data) {
        assert_eq!(was, again, "a header of two spellings");
    }
}

/// A record that is accepted is the same when it was written again; a damaged one is never accepted.
pub(crate) fn records(data: &[u8]) {
    let mut bytes = [0_u8; RECORD_LEN];
    for (to, from) in bytes.iter_mut().zip(data) {
        *to = *from;
    }
    keeps(&bytes);
    // The same with a checksum that agrees, so that what lies behind it is reached.
    let (sum, rest) = bytes.split_at_mut(4);
    sum.copy_from_slice(&crc32fast::hash(rest).to_le_bytes());
    keeps(&bytes);
    if let Ok(record) = serde_json::from_slice::<journal::Record>(data) {
        let event = journal::decode(1, UnixNanos(1), &record);
        let text = serde_json::to_vec(&record).unwrap();
        let again = journal::decode(1, UnixNanos(1), &serde_json::from_slice(&text).unwrap());
        assert_eq!(format!("{event:?}"), format!("{again:?}"), "a record of two meanings");
    }
}

fn keeps(bytes: &[u8; RECORD_LEN]) {
    let Some(record) = WireRecord::decode(bytes) else { return };
    let written = record.encode();
    assert_eq!(WireRecord::decode(&written), Some(record), "a record says what it said");
    let mut damaged = written;
    if let Some(byte) = damaged.get_mut(20) {
        *byte ^= 1;
    }
    assert_eq!(WireRecord::decode(&damaged), None, "a damaged record is refused");
}

pub(crate) fn signer_seeds() -> Vec<Vec<u8>> {
    let id: ClientOrderId = "s00700000g5s2mrkg1".parse().unwrap();
    let symbol = domain::Symbol::from("BTCUSDT").unwrap();
    let mut seeds = Vec::new();
    for intent in [
        SignIntent::Cancel { symbol, id, venue_order_id: None },
        SignIntent::OpenOrders { symbol, older_than: None },
        SignIntent::Balances,
        SignIntent::SetLeverage { symbol, leverage: 5 },
    ] {
        let mut frame = Frame::new();
        write_question(&Question::Sign { seat: VenueId(0), nonce: 7, intent }, &mut frame).unwrap();
        seeds.push(frame.to_vec());
    }
    let mut frame = Frame::new();
    write_answer(7, &Ok(None), &mut frame).unwrap();
    seeds.push(frame.to_vec());
    seeds
}

/// A vault of its own layout: one passphrase slot, no record.
pub(crate) fn vault_seeds() -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("v");
    let passphrase = vault::Passphrase::from_text("six plain words guard this vault").unwrap();
    let made = vault::Vault::create(&path, &passphrase, vault::KdfParams::FLOOR, 1);
    let bytes = made.ok().and_then(|_| std::fs::read(&path).ok());
    bytes.into_iter().collect()
}

pub(crate) fn record_seeds() -> Vec<Vec<u8>> {
    vec![encode_header(1, UnixNanos(5)).to_vec(), vec![0; RECORD_LEN]]
}
