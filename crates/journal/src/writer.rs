//! The writer thread: takes events from the ring, commits them in groups.

use crate::reader::{Stored, check_version};
use crate::record::Encoder;
use crate::{JournalError, JournalReader, VERSION};
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use domain::Clock;
use fail_point::{FailPoint, pass};
use messages::OrderEvent;
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Whether the journal can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It could not be written just now; events are kept and tried again.
    Failed(String),
    /// It is written again.
    Healed,
}

/// A journal ready to be written.
#[derive(Debug)]
pub struct Journal {
    db: Connection,
    path: PathBuf,
    stored: Stored,
    encoder: Encoder,
}

/// A running writer.
#[derive(Debug)]
pub struct JournalHandle {
    stop: Sender<()>,
    thread: Option<JoinHandle<Stored>>,
    waiting: Arc<AtomicUsize>,
    room: usize,
}

/// Events of one commit.
const GROUP_MAX: usize = 512;
/// Longest time that an event waits for others before the commit.
const GROUP_WAIT: Duration = Duration::from_millis(5);
/// Longest time between two looks at the ring when nobody wakes the thread.
const IDLE_MAX: Duration = Duration::from_millis(100);
/// Pause before a failed commit is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Events kept while the disk does not take them; the ring behind them then fills, which halts trading.
const KEPT_MAX: usize = 4_096;

impl Journal {
    /// Opens or creates a journal. An existing one is verified first and its events are handed out in order.
    ///
    /// # Errors
    /// [`JournalError`]: the database cannot be opened, a newer program wrote it, or its chain is broken.
    pub fn open(path: &Path, mut replay: impl FnMut(&OrderEvent)) -> Result<Self, JournalError> {
        let db = Connection::open(path)?;
        db.busy_timeout(Duration::from_secs(5))?;
        let version = check_version(&db)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        // A commit is durable when it returns: the log is synced at each.
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "wal_autocheckpoint", 1_000)?;
        db.pragma_update(None, "journal_size_limit", 8 * 1_024 * 1_024)?;
        db.pragma_update(None, "cache_size", -1_024)?;
        if version == 0 {
            db.execute_batch(
                "BEGIN;
                 CREATE TABLE IF NOT EXISTS events (
                   seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL,
                   order_id TEXT, body TEXT NOT NULL, hash BLOB NOT NULL) STRICT;
                 CREATE INDEX IF NOT EXISTS events_of_order ON events (order_id) WHERE order_id IS NOT NULL;
                 CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
                 COMMIT;",
            )?;
            db.pragma_update(None, "user_version", VERSION)?;
        }
        let mut encoder = Encoder::new();
        let stored = JournalReader::open(path)?.replay(|event| {
            encoder.learn(event);
            replay(event);
        })?;
        Ok(Self { db, path: path.to_owned(), stored, encoder })
    }

    /// How far it went when it was opened.
    #[must_use]
    pub const fn stored(&self) -> Stored {
        self.stored
    }

    /// Allows the database no more than `pages` pages of 4 KiB: a full disk for tests.
    ///
    /// # Errors
    /// [`JournalError::Database`].
    pub fn limit_pages(&self, pages: u32) -> Result<(), JournalError> {
        Ok(self.db.pragma_update(None, "max_page_count", pages)?)
    }

    /// Starts the writer thread. `on_health` is told when writing fails and when it works again.
    ///
    /// # Errors
    /// [`JournalError::Thread`] when the system gives no thread.
    pub fn start(
        self,
        events: Receiver<OrderEvent>,
        clock: Arc<dyn Clock>,
        on_health: impl FnMut(Health) + Send + 'static,
    ) -> Result<JournalHandle, JournalError> {
        let (stop, stopped) = bounded(1);
        let waiting = Arc::new(AtomicUsize::new(0));
        let (told, room) = (Arc::clone(&waiting), events.capacity().unwrap_or(usize::MAX));
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || Writer::new(self, events, clock, Box::new(on_health)).run(&stopped, &told))
            .map_err(JournalError::Thread)?;
        Ok(JournalHandle { stop, thread: Some(thread), waiting, room })
    }
}

impl JournalHandle {
    /// Writes what is in the ring, commits and ends. `None`: the thread had panicked.
    #[must_use]
    pub fn stop(mut self) -> Option<Stored> {
        let _ = self.stop.try_send(());
        (self.waker())();
        self.thread.take().and_then(|thread| thread.join().ok())
    }

    /// Events that wait to be written, as of the writer's last look, and the ring's room.
    #[must_use]
    pub fn reading(&self) -> (usize, usize) {
        (self.waiting.load(Ordering::Relaxed), self.room)
    }

    /// Wakes the thread, so that events in the ring are looked at now. Never waits.
    #[must_use]
    pub fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let thread = self.thread.as_ref().map(|thread| thread.thread().clone());
        Arc::new(move || {
            if let Some(thread) = &thread {
                thread.unpark();
            }
        })
    }

    /// Whether the thread still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

struct Writer {
    db: Connection,
    path: PathBuf,
    stored: Stored,
    encoder: Encoder,
    events: Receiver<OrderEvent>,
    clock: Arc<dyn Clock>,
    on_health: Box<dyn FnMut(Health) + Send>,
    group: Vec<OrderEvent>,
    failed: bool,
    stopping: bool,
    appends: metrics_handles::Handles,
}

mod metrics_handles {
    //! The journal's own metrics.

    pub(super) struct Handles {
        pub(super) appends: metrics::Counter,
        pub(super) fsync: metrics::Histogram,
        pub(super) bytes: metrics::Gauge,
    }

    impl Handles {
        pub(super) fn new() -> Self {
            Self {
                appends: telemetry::journal_appends_total(),
                fsync: telemetry::journal_fsync_duration_seconds(),
                bytes: telemetry::journal_bytes(),
            }
        }
    }
}

impl Writer {
    fn new(
        journal: Journal,
        events: Receiver<OrderEvent>,
        clock: Arc<dyn Clock>,
        on_health: Box<dyn FnMut(Health) + Send>,
    ) -> Self {
        Self {
            db: journal.db,
            path: journal.path,
            stored: journal.stored,
            encoder: journal.encoder,
            events,
            clock,
            on_health,
            group: Vec::with_capacity(GROUP_MAX),
            failed: false,
            stopping: false,
            appends: metrics_handles::Handles::new(),
        }
    }

    fn run(mut self, stopped: &Receiver<()>, waiting: &AtomicUsize) -> Stored {
        loop {
            fail_point::step("journal");
            let open = self.gather();
            if !self.group.is_empty() {
                waiting.store(self.events.len().saturating_add(self.group.len()), Ordering::Relaxed);
                self.write();
            }
            waiting.store(self.events.len().saturating_add(self.group.len()), Ordering::Relaxed);
            self.stopping |= stopped.try_recv().is_ok();
            if !open || self.stopping {
                while let Ok(event) = self.events.try_recv() {
                    self.group.push(event);
                }
                self.write();
                let _ = self.db.pragma_update(None, "wal_checkpoint", "TRUNCATE");
                return self.stored;
            }
        }
    }

    /// Waits for the first event, then a moment for others. `false` when the ring is closed and empty.
    ///
    /// The thread parks instead of blocking in the ring, so that the order path pays no wake for an event;
    /// [`JournalHandle::waker`] is called when its lanes have run empty.
    fn gather(&mut self) -> bool {
        if self.failed {
            std::thread::park_timeout(AGAIN);
        }
        let room = if self.failed { KEPT_MAX } else { GROUP_MAX };
        let begun = self.clock.mono();
        let patience = if self.group.is_empty() { IDLE_MAX } else { GROUP_WAIT };
        let mut deadline = begun.after(patience);
        while self.group.len() < room {
            match self.events.try_recv() {
                Ok(event) => {
                    if self.group.is_empty() {
                        deadline = self.clock.mono().after(GROUP_WAIT);
                    }
                    self.group.push(event);
                }
                Err(TryRecvError::Disconnected) => return !self.group.is_empty(),
                Err(TryRecvError::Empty) => {
                    let left = deadline.since(self.clock.mono());
                    if left.is_zero() || self.stopping {
                        return true;
                    }
                    std::thread::park_timeout(left);
                    if self.clock.mono() == begun {
                        return true; // a clock that stands still, in tests
                    }
                }
            }
        }
        true
    }

    fn write(&mut self) {
        if self.group.is_empty() {
            return;
        }
        pass(FailPoint::BeforeJournalCommit);
        let begun = self.clock.mono();
        match self.commit() {
            Ok(stored) => {
                self.stored = stored;
                self.appends.appends.increment(u64::try_from(self.group.len()).unwrap_or(0));
                self.appends.fsync.record(self.clock.mono().since(begun).as_secs_f64());
                #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes is a float; 2^53 bytes suffice")]
                self.appends.bytes.set(std::fs::metadata(&self.path).map_or(0, |meta| meta.len()) as f64);
                self.group.clear();
                if self.failed {
                    self.failed = false;
                    (self.on_health)(Health::Healed);
                }
            }
            Err(error) => {
                if !self.failed {
                    self.failed = true;
                    (self.on_health)(Health::Failed(error.to_string()));
                }
            }
        }
    }

    fn commit(&mut self) -> Result<Stored, JournalError> {
        let transaction = self.db.transaction()?;
        let mut stored = self.stored;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO events (seq, at, kind, order_id, body, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for event in &self.group {
                let expected = stored.last.saturating_add(1);
                if event.seq != expected {
                    return Err(JournalError::Hole { expected, found: event.seq });
                }
                let record = self.encoder.record(event)?;
                let body = serde_json::to_string(&record)
                    .map_err(|cause| JournalError::Unreadable { seq: event.seq, cause })?;
                let head = stored.head.next(event.seq, event.at.0, &body);
                let (seq, at) =
                    (i64::try_from(event.seq).unwrap_or(i64::MAX), i64::try_from(event.at.0).unwrap_or(i64::MAX));
                let order = record.order();
                let order = order.as_ref().map(domain::ClientOrderId::as_str);
                insert.execute(params![seq, at, record.kind(), order, body, head.0.as_slice()])?;
                stored = Stored { last: event.seq, head, at: event.at };
            }
            transaction.execute(
                "INSERT INTO meta (key, value) VALUES ('head', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1",
                [i64::try_from(stored.last).unwrap_or(i64::MAX)],
            )?;
        }
        transaction.commit()?;
        Ok(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        Amount, CancelState, ClientOrderId, Epoch, Fee, Fill, InstanceTag, InstrumentId, InstrumentStatus,
        InstrumentVersion, Liquidity, Market, MonoNanos, Notional, Order, OrderState, Pnl, PositionSide, Price, Qty,
        Sequence, Side, StrategyTag, TimeInForce, UnixNanos,
    };
    use messages::{
        EventBody, FuturesSettings, MarginMode, PositionAfter, PositionMode, PositionReport, RefuseReason, TopUsed,
    };
    use std::sync::Mutex;

    struct Frozen;
    impl Clock for Frozen {
        fn unix(&self) -> UnixNanos {
            UnixNanos(5)
        }
        fn mono(&self) -> MonoNanos {
            MonoNanos(5)
        }
    }

    fn order() -> Order {
        Order {
            id: ClientOrderId::new(InstanceTag::from_number(9), Epoch::new(2).unwrap(), Sequence::new(3).unwrap()),
            strategy: StrategyTag(1),
            reference: 4,
            instrument: InstrumentId(0),
            version: 1,
            side: Side::Sell,
            price: Price(6_000_050),
            qty: Qty(1_230),
            time_in_force: TimeInForce::PostOnly,
            effect: domain::PositionEffect::default(),
            state: OrderState::Signed,
            cancel: CancelState::None,
            filled: Qty(0),
            filled_by_fills: Qty(0),
            venue_order_id: None,
            created: UnixNanos(77),
        }
    }

    fn events() -> Vec<OrderEvent> {
        let version = InstrumentVersion {
            id: InstrumentId(0),
            version: 1,
            price_decimals: 2,
            qty_decimals: 6,
            tick: 1,
            lot: 1,
            min_qty: Qty(0),
            max_qty: Qty(0),
            min_notional: Notional("1".parse().unwrap()),
            status: InstrumentStatus::Online,
            valid_from: UnixNanos(1),
        };
        let top = Some(TopUsed { bid: Price(1), ask: Price(2), received: MonoNanos(3) });
        let fill = Fill {
            trade_id: "7".try_into().unwrap(),
            order: order().id,
            strategy: StrategyTag(1),
            instrument: InstrumentId(0),
            version: 1,
            side: Side::Sell,
            position_side: PositionSide::Short,
            price: Price(6_000_050),
            qty: Qty(1_230),
            fee: Fee { amount: Amount("0.0738".parse().unwrap()), asset: "USDT".try_into().unwrap() },
            liquidity: Liquidity::Maker,
            venue_time: UnixNanos(99),
        };
        let bodies = vec![
            EventBody::Started { tag: InstanceTag::from_number(9), epoch: Epoch::new(2).unwrap() },
            EventBody::Instrument(version),
            EventBody::Placed {
                order: order(),
                top,
                caused: MonoNanos(1),
                decided: MonoNanos(2),
                checked: MonoNanos(3),
                signed: MonoNanos(4),
            },
            EventBody::Refused {
                id: None,
                strategy: StrategyTag(1),
                reference: 1,
                instrument: InstrumentId(0),
                side: Side::Buy,
                price: Price(10),
                qty: Qty(20),
                reason: RefuseReason::PriceCollar,
                top,
            },
            EventBody::Filled {
                fill,
                state: OrderState::Filled,
                filled: Qty(1_230),
                position: PositionAfter { qty: Amount::ZERO, realised: Pnl("-0.1".parse().unwrap()) },
            },
            EventBody::Stopped,
        ];
        bodies.into_iter().zip(1..).map(|(body, seq)| OrderEvent { seq, at: UnixNanos(seq), body }).collect()
    }

    fn write_all(path: &Path, events: &[OrderEvent]) -> Option<Stored> {
        let (sender, receiver) = bounded(64);
        let journal = Journal::open(path, |_| {}).unwrap();
        let handle = journal.start(receiver, Arc::new(Frozen), |_| {}).unwrap();
        events.iter().for_each(|event| sender.send(*event).unwrap());
        drop(sender);
        handle.stop()
    }

    #[test]
    fn replay_gives_back_exactly_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let stored = write_all(&path, &events()).unwrap();
        let mut read = Vec::new();
        let again = JournalReader::open(&path).unwrap().replay(|event| read.push(*event)).unwrap();
        assert_eq!(read, events());
        assert_eq!(stored, again);
    }

    #[test]
    fn what_futures_add_to_the_events_survives_a_replay() {
        let amount = |text: &str| Amount(text.parse().unwrap());
        let (venue, bill) = (domain::VenueId(1), "900".try_into().unwrap());
        let asset = "USDT".try_into().unwrap();
        let report = PositionReport {
            symbol: "BTCUSDT-PERP".try_into().unwrap(),
            side: PositionSide::Net,
            qty: amount("-0.01"),
            entry: Some(amount("60000.5")),
            mark: None,
            liquidation: Some(amount("79000")),
            leverage: 3,
            margin_mode: MarginMode::Crossed,
            unrealised: amount("-1.5"),
            margin: Some(amount("200")),
            venue_time: UnixNanos(7),
        };
        let settings = FuturesSettings {
            leverage_long: 3,
            leverage_short: 2,
            margin_mode: MarginMode::Isolated,
            position_mode: PositionMode::Hedge,
        };
        let (amount, venue_time) = (amount("-0.25"), UnixNanos(8));
        let wallet = Market::UsdtFutures;
        let bodies = [
            EventBody::Balance { venue, wallet, asset, available: amount, held: Amount::ZERO },
            EventBody::Position { venue, instrument: InstrumentId(3), report },
            EventBody::FuturesSettings { venue, instrument: InstrumentId(3), settings },
            EventBody::Funding { venue, instrument: Some(InstrumentId(3)), bill, asset, amount, venue_time },
            EventBody::Transfer { venue, wallet, bill, asset, amount, venue_time },
            EventBody::Difference { venue, order: None, kind: messages::DifferenceKind::PositionMode },
        ];
        let events: Vec<_> =
            bodies.into_iter().zip(1..).map(|(body, seq)| OrderEvent { seq, at: UnixNanos(seq), body }).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        write_all(&path, &events).unwrap();
        let mut read = Vec::new();
        JournalReader::open(&path).unwrap().replay(|event| read.push(*event)).unwrap();
        assert_eq!(read, events);
    }

    #[test]
    fn an_edited_record_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        write_all(&path, &events()).unwrap();
        let db = Connection::open(&path).unwrap();
        db.execute("UPDATE events SET body = replace(body, '60000.50', '60000.51') WHERE seq = 3", []).unwrap();
        drop(db);
        assert!(matches!(JournalReader::open(&path).unwrap().verify(), Err(JournalError::Chain { seq: 3 })));
    }

    #[test]
    fn a_deleted_record_is_a_hole_and_a_deleted_tail_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        write_all(&path, &events()).unwrap();
        let db = Connection::open(&path).unwrap();
        db.execute("DELETE FROM events WHERE seq = 6", []).unwrap();
        assert!(matches!(JournalReader::open(&path).unwrap().verify(), Err(JournalError::CutOff { last: 5, head: 6 })));
        db.execute("DELETE FROM events WHERE seq = 2", []).unwrap();
        assert!(matches!(
            JournalReader::open(&path).unwrap().verify(),
            Err(JournalError::Hole { expected: 2, found: 3 })
        ));
    }

    #[test]
    fn a_full_disk_is_told_once_and_no_event_is_lost_when_it_heals() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let journal = Journal::open(&path, |_| {}).unwrap();
        let pages: u32 = journal.db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        journal.limit_pages(pages).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let (sender, receiver) = bounded(4_096);
        let mut writer = Writer::new(
            journal,
            receiver,
            Arc::new(Frozen),
            Box::new(move |health| heard.lock().unwrap().push(health)),
        );
        let mut wanted = events();
        for seq in 7..400 {
            let body = EventBody::Refused {
                id: None,
                strategy: StrategyTag(1),
                reference: 1,
                instrument: InstrumentId(0),
                side: Side::Buy,
                price: Price(10),
                qty: Qty(20),
                reason: RefuseReason::PriceCollar,
                top: None,
            };
            wanted.push(OrderEvent { seq, at: UnixNanos(seq), body });
        }
        wanted.iter().for_each(|event| sender.send(*event).unwrap());
        while writer.group.len() < wanted.len() {
            assert!(writer.gather());
        }
        writer.write();
        writer.write();
        assert!(matches!(told.lock().unwrap().as_slice(), [Health::Failed(_)]));
        writer.db.pragma_update(None, "max_page_count", 100_000).unwrap();
        writer.write();
        assert_eq!(told.lock().unwrap().last(), Some(&Health::Healed));
        let mut read = Vec::new();
        JournalReader::open(&path).unwrap().replay(|event| read.push(*event)).unwrap();
        assert_eq!(read, wanted);
    }
}
