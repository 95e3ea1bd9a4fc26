//! A process that signs is killed at any moment: no signature was released without its record.
#![expect(clippy::expect_used, reason = "a suite of tests")]

use domain::{ClientOrderId, Epoch, InstanceTag, MonoNanos, Scaled, Sequence, Side, Symbol, TimeInForce, UnixNanos};
use messages::PlaceOrder;
use sign_policy::{GuardLog, GuardReader, GuardRecord, IdGuard, Identity, Opening, SyncMode, economic_digest};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

const DIR: &str = "GUARD_KILL_DIR";
const EPOCH: &str = "GUARD_KILL_EPOCH";
/// How many kills; the long form has 1000.
const COUNT: &str = "GUARD_KILL_COUNT";

fn order(epoch: Epoch, sequence: u64) -> PlaceOrder {
    let sequence_number = Sequence::new(sequence).expect("a sequence");
    PlaceOrder {
        id: ClientOrderId::new(InstanceTag::from_number(3), epoch, sequence_number),
        symbol: Symbol::from("BTCUSDT").expect("a symbol"),
        side: if sequence.is_multiple_of(2) { Side::Buy } else { Side::Sell },
        price: Scaled { mantissa: 6_000_000 + i64::try_from(sequence).expect("a price"), decimals: 2 },
        qty: Scaled { mantissa: 15, decimals: 4 },
        time_in_force: TimeInForce::Gtc,
        effect: domain::PositionEffect::default(),
    }
}

/// Runs in the child alone: signs until it is killed, and names each signature after its record was taken.
#[test]
#[ignore = "is started, and killed, by the other test"]
fn signs_until_killed() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let epoch = std::env::var(EPOCH).ok().and_then(|text| text.parse().ok()).expect("an epoch");
    let epoch = Epoch::new(epoch).expect("an epoch");
    let identity = Identity { tag: InstanceTag::from_number(3), epoch };
    let mut guard = IdGuard::new(identity);
    let mut log = GuardLog::open(Path::new(&dir), epoch, SyncMode::Group, "one boot").expect("a log");
    let expected = if epoch.get() == 1 { Opening::Clean } else { Opening::KilledProcess };
    assert_eq!(log.opening(), expected);
    let mut out = std::io::stdout().lock();
    for sequence in 1.. {
        let order = order(epoch, sequence);
        guard.admit(&order, MonoNanos(sequence)).expect("a new id");
        let (kid, digest) = ([5; 16], economic_digest(&order));
        let record =
            GuardRecord { epoch, sequence: order.id.sequence(), kid, digest, at: UnixNanos(sequence), again: false };
        log.append(&record).expect("a record");
        // The parent reads as fast as it likes; a full pipe only slows this down.
        out.write_all(format!("released {sequence}\n").as_bytes()).expect("a parent that listens");
    }
}

/// Starts a child, kills it after `kill_after` signatures, and gives back all that it has named.
fn released_until_killed(dir: &Path, epoch: u32, kill_after: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "signs_until_killed", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(EPOCH, epoch.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child");
    let mut pipe = BufReader::new(child.stdout.take().expect("its output"));
    let mut released: Vec<u64> = Vec::new();
    let mut line = String::new();
    let mut killed = false;
    while pipe.read_line(&mut line).expect("text") > 0 {
        // A line without its end was being written when the child died.
        if let Some(number) = line.strip_suffix('\n').and_then(|line| line.rsplit("released ").next()) {
            released.extend(number.parse::<u64>().ok());
        }
        line.clear();
        if !killed && released.len() >= kill_after {
            child.kill().expect("a child to kill");
            killed = true;
        }
    }
    child.wait().expect("an end");
    assert!(killed, "the child ended by itself after {} signatures in epoch {epoch}", released.len());
    released
}

fn missing<'a>(released: &'a BTreeSet<(u32, u64)>, recorded: &'a BTreeSet<(u32, u64)>) -> Vec<&'a (u32, u64)> {
    released.difference(recorded).collect()
}

#[test]
fn no_signature_is_released_without_a_record_however_often_the_process_is_killed() {
    let kills: u32 = std::env::var(COUNT).ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let home = tempfile::tempdir().expect("a directory");
    let mut released = BTreeSet::new();
    for epoch in 1..=kills {
        // Spread over everything from the first record to more than one segment.
        let kill_after = [1, 2, 41, 300, 3_000, 11_000][usize::try_from(epoch % 6).expect("an index")];
        let named = released_until_killed(home.path(), epoch, kill_after);
        released.extend(named.into_iter().map(|sequence| (epoch, sequence)));
    }
    let mut recorded = BTreeSet::new();
    for item in GuardReader::open(home.path()).expect("a log") {
        let record = item.expect("no damage: a kill leaves no half record");
        let order = order(record.epoch, record.sequence.get());
        assert_eq!(record.digest, economic_digest(&order));
        assert!(recorded.insert((record.epoch.get(), record.sequence.get())), "recorded twice: {record:?}");
    }
    assert_eq!(missing(&released, &recorded), Vec::<&(u32, u64)>::new());
    // At most the one that was being released when the process died was not named.
    assert!(recorded.len() - released.len() <= usize::try_from(kills).expect("a count"));
    // The control: a release without a record is seen.
    released.insert((kills + 1, 1));
    assert_eq!(missing(&released, &recorded), [&(kills + 1, 1)]);
}
