//! What the program knows of itself, for the control plane, the terminal and the metrics: written by the observer
//! and the wiring, read by anybody, never by the order path.

use domain::{Clock, Instrument, InstrumentId, MonoNanos, Order, StrategyTag, UnixNanos, VenueId};
use hdrhistogram::Histogram;
use key_manager::RotationNews;
use market_feed::TopBoard;
use messages::{BookStatus, EventBody, HaltReason, KeyAlias, NotReadyReason, Note, OrderEvent, TradingState};
use portfolio::Portfolio;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Orders kept for the list, ended ones included.
pub const ORDERS_MAX: usize = 1_000;
/// Points of the equity curve: at one a second, the last hour; older ones are thinned.
pub const EQUITY_MAX: usize = 3_600;

/// Names of numbers, fixed for a run.
#[derive(Debug, Clone)]
pub struct Names {
    /// Venue accounts, those included that the settings no longer name.
    pub venues: Vec<String>,
    /// The venue accounts of this run.
    pub own: Vec<VenueId>,
    /// Instruments, with the rules in force at the start.
    pub instruments: Vec<Instrument>,
    /// Strategies.
    pub strategies: Vec<(StrategyTag, String)>,
    /// The asset in which everything is valued.
    pub quote: String,
}

impl Names {
    /// A venue account's name.
    #[must_use]
    pub fn venue(&self, id: VenueId) -> &str {
        self.venues.get(id.index()).map_or("unknown", String::as_str)
    }

    /// The name in metrics and messages for what is about all accounts of this run together: the account's own name
    /// when it is the only one.
    #[must_use]
    pub fn account(&self) -> &str {
        match self.own.as_slice() {
            [] => "none",
            [only] => self.venue(*only),
            _ => "all",
        }
    }

    /// An instrument.
    #[must_use]
    pub fn instrument(&self, id: InstrumentId) -> Option<&Instrument> {
        self.instruments.get(id.index())
    }

    /// A strategy's name; tag 0 is the program itself.
    #[must_use]
    pub fn strategy(&self, tag: StrategyTag) -> &str {
        self.strategies.iter().find(|(known, _)| *known == tag).map_or("operator", |(_, name)| name.as_str())
    }
}

/// A stretch of an order's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stretch {
    /// Market frame received to strategy's decision.
    FrameSignal,
    /// Decision to end of the risk check, the way between threads included.
    SignalRisk,
    /// End of the check to signed bytes.
    RiskSign,
    /// Signed bytes to first byte on the socket.
    SignSend,
    /// First byte to the venue's answer.
    SendAck,
    /// Answer to first fill.
    AckFill,
    /// Market frame received to first byte on the socket.
    TickToWire,
}

impl Stretch {
    /// Every stretch, in order.
    pub const ALL: [Self; 7] = [
        Self::FrameSignal,
        Self::SignalRisk,
        Self::RiskSign,
        Self::SignSend,
        Self::SendAck,
        Self::AckFill,
        Self::TickToWire,
    ];

    /// The name in summaries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FrameSignal => "frame_signal",
            Self::SignalRisk => "signal_risk",
            Self::RiskSign => "risk_sign",
            Self::SignSend => "sign_send",
            Self::SendAck => "send_ack",
            Self::AckFill => "ack_fill",
            Self::TickToWire => "tick_to_wire",
        }
    }
}

/// One row of the list of orders.
#[derive(Debug, Clone)]
pub struct OrderRow {
    /// Number of the event that made it; newer is larger.
    pub seq: u64,
    /// The order as it is now.
    pub order: Order,
    /// Why it was refused or rejected.
    pub note: Option<String>,
}

/// The latest orders, as the control interface lists them: of this life and of earlier ones.
#[derive(Debug, Clone)]
pub struct OrderList {
    rows: VecDeque<OrderRow>,
}

impl Default for OrderList {
    fn default() -> Self {
        Self { rows: VecDeque::with_capacity(ORDERS_MAX) }
    }
}

impl OrderList {
    /// Takes in an event, be it journalled or new.
    pub fn apply(&mut self, event: &OrderEvent) {
        match &event.body {
            EventBody::Placed { order, .. } => self.add(OrderRow { seq: event.seq, order: *order, note: None }),
            EventBody::Order { order, error, .. } => {
                let note = error.map(|error| format!("{} {}", error.code, error.text));
                match self.row(&order.id) {
                    Some(row) => {
                        row.order = *order;
                        row.note = note.or_else(|| row.note.take());
                    }
                    None => self.add(OrderRow { seq: event.seq, order: *order, note }),
                }
            }
            EventBody::Filled { fill, state, filled, .. } => {
                if let Some(row) = self.row(&fill.order) {
                    row.order.state = *state;
                    row.order.filled = *filled;
                }
            }
            _ => {}
        }
    }

    /// The rows, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &OrderRow> {
        self.rows.iter()
    }

    /// The strategy of an order that is still listed.
    #[must_use]
    pub fn strategy(&self, id: &domain::ClientOrderId) -> Option<StrategyTag> {
        self.rows.iter().rev().find(|row| row.order.id == *id).map(|row| row.order.strategy)
    }

    fn row(&mut self, id: &domain::ClientOrderId) -> Option<&mut OrderRow> {
        self.rows.iter_mut().rev().find(|row| row.order.id == *id)
    }

    /// Adds a row; when the list is full the oldest that has ended goes, so that what rests stays listed.
    fn add(&mut self, row: OrderRow) {
        if self.rows.len() >= ORDERS_MAX {
            let oldest = self.rows.iter().position(|row| row.order.state.is_terminal()).unwrap_or(0);
            self.rows.remove(oldest);
        }
        self.rows.push_back(row);
    }
}

/// One key as it may be shown.
#[derive(Debug, Clone)]
pub struct KeyRow {
    /// Its name.
    pub alias: String,
    /// The venue account.
    pub venue: VenueId,
    /// Its state's word.
    pub status: &'static str,
    /// Its rights, in words.
    pub rights: Vec<String>,
    /// Addresses it is bound to.
    pub bound_addresses: u16,
    /// When it should be replaced.
    pub rotation_due: UnixNanos,
}

/// The change of a venue account's key, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationRow {
    /// The venue account.
    pub venue: VenueId,
    /// The key at work when it began.
    pub former: String,
    /// The key that is to take over; empty until it is known.
    pub next: String,
    /// Where it is: `verifying`, `draining`, `done`, `taken_back` or `refused`.
    pub stage: &'static str,
    /// What has happened, a line each.
    pub lines: Vec<String>,
}

impl RotationRow {
    /// The row with one more piece of news.
    #[must_use]
    pub fn after(before: Option<Self>, venue: VenueId, former: KeyAlias, news: &RotationNews) -> Self {
        let fresh =
            || Self { venue, former: former.to_string(), next: String::new(), stage: "verifying", lines: Vec::new() };
        let mut row = match news {
            RotationNews::Began { .. } => fresh(),
            // A second wish is refused beside one that goes on.
            RotationNews::Refused { .. } => before.filter(|row| row.stage == "verifying").unwrap_or_else(fresh),
            _ => before.unwrap_or_else(fresh),
        };
        let (stage, line) = match news {
            RotationNews::Began { next } => ("verifying", format!("verifying key {next}; {former} goes on signing")),
            RotationNews::CutOver { next, after_sequence, drain } => (
                "draining",
                format!(
                    "{next} signs since order {after_sequence} of this run; {former} is kept for {} s",
                    drain.as_secs()
                ),
            ),
            RotationNews::TakenBack { failed, reason } => (
                "taken_back",
                format!("{failed} does not work ({reason}): {former} signs again, {failed} is Quarantined"),
            ),
            RotationNews::Done { .. } => {
                ("done", format!("{former} is wiped here; delete it on the exchange, which still knows it"))
            }
            RotationNews::Refused { why } => ("refused", why.clone()),
        };
        if let RotationNews::Began { next } | RotationNews::CutOver { next, .. } | RotationNews::Done { next } = news {
            row.next = next.to_string();
        }
        row.stage = stage;
        row.lines.push(line);
        row
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.stage, "done" | "taken_back" | "refused")
    }
}

/// Everything that changes.
pub struct State {
    /// The read model.
    pub portfolio: Portfolio,
    /// Whether trading goes on.
    pub trading: TradingState,
    /// Why it is halted.
    pub halt: Option<HaltReason>,
    /// What was noted about that.
    pub note: Note,
    /// Since when it is so.
    pub since: UnixNanos,
    /// Number of the event that said so.
    pub trading_seq: u64,
    /// Venues compared with our books since their stream came up.
    pub reconciled: BTreeMap<VenueId, bool>,
    /// Venues compared with our books at least once: balances are known.
    pub compared: BTreeSet<VenueId>,
    /// Private streams.
    pub streams: BTreeMap<VenueId, bool>,
    /// Public streams.
    pub feeds: BTreeMap<VenueId, bool>,
    /// Venue clocks: offset of the venue, uncertainty, when measured.
    pub clocks: BTreeMap<VenueId, (i64, u64, MonoNanos)>,
    /// Keys.
    pub keys: Vec<KeyRow>,
    /// The latest change of key of each venue account.
    pub rotations: BTreeMap<VenueId, RotationRow>,
    /// What each account's key showed when it was last verified, and whether it is being verified now.
    pub probes: BTreeMap<VenueId, (bool, Vec<control_plane::ProbeView>)>,
    /// Whether the journal takes records.
    pub journal_ok: bool,
    /// Whether an orderly stop has begun.
    pub stopping: bool,
    /// Books as last seen.
    pub books: BTreeMap<InstrumentId, (BookStatus, MonoNanos)>,
    /// How long each stretch took.
    pub hops: BTreeMap<Stretch, Histogram<u64>>,
    /// Latest orders.
    pub orders: OrderList,
    /// Equity over time, oldest first.
    pub equity: VecDeque<(u64, Decimal)>,
    /// Orders refused by us.
    pub refused: u64,
    /// Orders that were ever of unknown outcome.
    pub unknown_seen: u64,
    /// Actors: name, up, restarts.
    pub actors: BTreeMap<&'static str, (bool, u64)>,
    /// Their mailboxes: messages that wait, and the most that may.
    pub mailboxes: BTreeMap<&'static str, (usize, usize)>,
    /// Parts that died and were not to be rebuilt.
    pub dead: Vec<&'static str>,
}

/// The state with what it is read with.
pub struct Shared {
    /// Names of numbers.
    pub names: Names,
    /// The mode's word.
    pub mode: &'static str,
    /// When the program started.
    pub started: MonoNanos,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Tops of book.
    pub board: TopBoard,
    /// Addresses to show.
    pub addresses: BTreeMap<String, String>,
    state: Mutex<State>,
}

impl Shared {
    /// A program that has just started.
    #[must_use]
    pub fn new(
        names: Names,
        mode: &'static str,
        board: TopBoard,
        clock: Arc<dyn Clock>,
        addresses: BTreeMap<String, String>,
        portfolio: Portfolio,
    ) -> Self {
        let state = State {
            portfolio,
            trading: TradingState::Active,
            halt: None,
            note: Note::new(),
            since: clock.unix(),
            trading_seq: 0,
            reconciled: BTreeMap::new(),
            compared: BTreeSet::new(),
            streams: BTreeMap::new(),
            feeds: BTreeMap::new(),
            clocks: BTreeMap::new(),
            keys: Vec::new(),
            rotations: BTreeMap::new(),
            probes: BTreeMap::new(),
            journal_ok: true,
            stopping: false,
            books: BTreeMap::new(),
            hops: BTreeMap::new(),
            orders: OrderList::default(),
            equity: VecDeque::with_capacity(EQUITY_MAX),
            refused: 0,
            unknown_seen: 0,
            actors: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            dead: Vec::new(),
        };
        Self { names, mode, started: clock.mono(), clock, board, addresses, state: Mutex::new(state) }
    }

    /// The state, for a moment. A panic elsewhere while it was held does not make it unreadable.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all accounts are worth, in quote; `None` before each has been compared with its venue.
    #[must_use]
    pub fn equity(&self, state: &State) -> Option<Decimal> {
        let known = !self.names.own.is_empty() && self.names.own.iter().all(|venue| state.compared.contains(venue));
        known.then(|| state.portfolio.equity().0.0)
    }

    /// Why no orders may be sent now.
    #[must_use]
    pub fn not_ready(&self) -> Vec<NotReadyReason> {
        const CLOCK_UNCERTAINTY_NS_MAX: u64 = 500_000_000;
        let state = self.state();
        let mut reasons = Vec::new();
        for venue in self.names.own.iter().copied() {
            let active = state.keys.iter().any(|key| key.venue == venue && key.status == "Active");
            let clock =
                state.clocks.get(&venue).is_some_and(|(_, uncertainty, _)| *uncertainty <= CLOCK_UNCERTAINTY_NS_MAX);
            let checks = [
                (active, NotReadyReason::KeyNotActive),
                (state.feeds.get(&venue) == Some(&true), NotReadyReason::FeedStale),
                (state.streams.get(&venue) == Some(&true), NotReadyReason::PrivateStream),
                (state.reconciled.get(&venue) == Some(&true), NotReadyReason::NotReconciled),
                (clock, NotReadyReason::ClockUncertain),
            ];
            reasons.extend(checks.into_iter().filter_map(|(good, reason)| (!good).then_some(reason)));
        }
        if state.trading == TradingState::Halted {
            reasons.push(NotReadyReason::Halted);
        }
        if !state.journal_ok {
            reasons.push(NotReadyReason::JournalFailed);
        }
        if state.stopping {
            reasons.push(NotReadyReason::Stopping);
        }
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    }
}

impl State {
    /// Notes how long a stretch took.
    pub fn hop(&mut self, stretch: Stretch, ns: u64) {
        // Three significant digits up to a minute; longer counts as a minute.
        const NS_MAX: u64 = 60_000_000_000;
        if !self.hops.contains_key(&stretch)
            && let Ok(histogram) = Histogram::new_with_bounds(1, NS_MAX, 2)
        {
            self.hops.insert(stretch, histogram);
        }
        if let Some(histogram) = self.hops.get_mut(&stretch) {
            histogram.saturating_record(ns.clamp(1, NS_MAX));
        }
    }

    /// Adds a point to the equity curve; when it is full, every second point of its older half goes.
    pub fn note_equity(&mut self, time_ms: u64, equity: Decimal) {
        if self.equity.len() >= EQUITY_MAX {
            let half = self.equity.len() / 2;
            let kept: Vec<_> = self
                .equity
                .iter()
                .copied()
                .enumerate()
                .filter(|(i, _)| *i >= half || i % 2 == 0)
                .map(|(_, p)| p)
                .collect();
            self.equity.clear();
            self.equity.extend(kept);
        }
        self.equity.push_back((time_ms, equity));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::SystemClock;

    fn shared(own: &[u8]) -> Shared {
        let names = Names {
            venues: vec!["former".to_owned(), "main".to_owned(), "second".to_owned()],
            own: own.iter().map(|id| VenueId(*id)).collect(),
            instruments: Vec::new(),
            strategies: Vec::new(),
            quote: "USDT".to_owned(),
        };
        let portfolio = Portfolio::new(&[], &[]);
        Shared::new(names, "sim", TopBoard::default(), Arc::new(SystemClock), BTreeMap::new(), portfolio)
    }

    #[test]
    fn equity_is_unknown_until_every_account_was_compared_once() {
        let shared = shared(&[1, 2]);
        let mut state = shared.state();
        assert_eq!(shared.equity(&state), None);
        state.compared.insert(VenueId(1));
        assert_eq!(shared.equity(&state), None);
        state.compared.insert(VenueId(2));
        assert_eq!(shared.equity(&state), Some(Decimal::ZERO));
        state.reconciled.insert(VenueId(2), false);
        assert!(shared.equity(&state).is_some(), "a stream that is down for a moment does not make it unknown");
    }

    #[test]
    fn what_is_about_several_accounts_carries_no_single_name() {
        assert_eq!(shared(&[1]).names.account(), "main");
        assert_eq!(shared(&[1, 2]).names.account(), "all");
    }

    #[test]
    fn account_that_the_settings_no_longer_name_keeps_nobody_from_being_ready() {
        let shared = shared(&[]);
        assert_eq!(shared.not_ready(), []);
    }
}
