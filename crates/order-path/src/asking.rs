//! Asking the venue: what became of an unknown order, and whether its books agree with ours.
//!
//! An unknown order ends negatively only when order-by-id, history and fills have all answered
//! "not found" twice, the index delay apart. "Could not ask" is not "not found" and never counts.

mod futures;

use crate::core::{Core, Job, note};
use crate::types::{Effects, Now};
use domain::{CancelState, ClientOrderId, MonoNanos, OrderChange, OrderState, UnixNanos, VenueId, VenueOrderId};
use futures::{FuturesMemory, FuturesRun};
use messages::{
    CouldNotAsk, DifferenceKind, EventBody, FillReport, HaltReason, OrderUpdate, QueryAnswer, QueryId, QueryPurpose,
    SignIntent, SignQuery,
};
use std::time::Duration;

/// A question that brought no answer for this long is asked again.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// Pause before a question that could not be asked is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// A cancel that was received must have ended its order by then; else the venue is asked.
const CANCEL_PATIENCE: Duration = Duration::from_secs(3);
/// Fills that a push promised must have come by then; else they are asked for.
const FILL_PATIENCE: Duration = Duration::from_secs(2);
/// Books are compared at least this often.
const PERIOD: Duration = Duration::from_secs(60);
/// How far back of the last known fill, or of an order's birth, questions reach.
const OVERLAP_NS: i64 = 60_000_000_000;
/// Pages read of one list; 100 rows each.
const PAGES_MAX: u8 = 50;
/// Rounds of "not found" that prove absence.
const ROUNDS: u8 = 2;

/// Which question about an order comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Order,
    History,
    Fills,
}

/// One order whose fate is being asked for.
#[derive(Debug, Clone, Copy)]
struct Probe {
    id: ClientOrderId,
    step: Step,
    /// Complete rounds of "not found" so far.
    rounds: u8,
    due: MonoNanos,
    waiting: bool,
    older_than: Option<VenueOrderId>,
    pages: u8,
    /// Something in this round's answers could be this order.
    unclear: bool,
}

/// What a run of comparison asks next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    OpenOrders(usize),
    Probes,
    /// Leverage and modes of each perpetual.
    Settings(usize),
    Fills(usize),
    Positions,
    Bills,
    Balances,
    /// The wallet of futures, where it is one of its own.
    FuturesBalances,
}

/// One comparison of a venue's books with ours.
#[derive(Debug)]
struct Run {
    venue: VenueId,
    stage: Stage,
    /// Only fills and balances.
    fills_only: bool,
    waiting: bool,
    due: MonoNanos,
    older_than: Option<VenueOrderId>,
    pages: u8,
    started: UnixNanos,
    since: UnixNanos,
    open_seen: Vec<ClientOrderId>,
    missed_fills: u32,
    differences: u32,
    futures: FuturesRun,
}

#[derive(Debug, Clone, Copy)]
enum Asker {
    Probe(ClientOrderId),
    Run(VenueId),
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    query: QueryId,
    asker: Asker,
    intent: SignIntent,
    asked: MonoNanos,
}

/// Everything that is being asked now.
#[derive(Debug)]
pub(crate) struct Asking {
    index_delay: Duration,
    next_query: u64,
    waiting: Vec<Waiting>,
    probes: Vec<Probe>,
    runs: Vec<Run>,
    cancels: Vec<(ClientOrderId, MonoNanos)>,
    fills_due: Vec<(VenueId, MonoNanos)>,
    last_run: Vec<(VenueId, MonoNanos)>,
    /// All fills up to then have been asked for and counted.
    fills_known: Vec<(VenueId, UnixNanos)>,
    pub(crate) futures: FuturesMemory,
    /// The newest own order that the journal knew at the start: it knows all before it, ended ones included.
    journalled: Option<ClientOrderId>,
    /// The newest own order on any record at the start.
    recorded: Option<ClientOrderId>,
}

impl Asking {
    pub(crate) fn new(index_delay: Duration) -> Self {
        Self {
            index_delay,
            next_query: 1,
            waiting: Vec::with_capacity(64),
            probes: Vec::with_capacity(64),
            runs: Vec::with_capacity(4),
            cancels: Vec::with_capacity(256),
            fills_due: Vec::with_capacity(4),
            last_run: Vec::with_capacity(4),
            fills_known: Vec::with_capacity(4),
            futures: FuturesMemory::new(),
            journalled: None,
            recorded: None,
        }
    }

    /// Starts asking what became of an order.
    pub(crate) fn probe(&mut self, id: ClientOrderId, now: MonoNanos) {
        if self.probes.iter().any(|probe| probe.id == id) {
            return;
        }
        self.probes.push(Probe {
            id,
            step: Step::Order,
            rounds: 0,
            due: now,
            waiting: false,
            older_than: None,
            pages: 0,
            unclear: false,
        });
    }

    pub(crate) fn watch_cancel(&mut self, id: ClientOrderId, now: MonoNanos) {
        self.cancels.push((id, now.after(CANCEL_PATIENCE)));
    }

    pub(crate) fn fills_are_missing(&mut self, venue: VenueId, now: MonoNanos) {
        if !self.fills_due.iter().any(|(due, _)| *due == venue) {
            self.fills_due.push((venue, now.after(FILL_PATIENCE)));
        }
    }

    pub(crate) fn note_difference(&mut self, venue: VenueId) {
        for run in self.runs.iter_mut().filter(|run| run.venue == venue) {
            run.differences = run.differences.saturating_add(1);
        }
    }

    /// Forgets a comparison; an answer that is under way belongs to no later one.
    pub(crate) fn abandon_run(&mut self, venue: VenueId) {
        self.runs.retain(|run| run.venue != venue);
        self.waiting.retain(|waiting| !matches!(waiting.asker, Asker::Run(of) if of == venue));
    }

    /// A question was not signed or did not get into the outbox.
    pub(crate) fn not_asked(&mut self, query: QueryId, now: MonoNanos) {
        if let Some(waiting) = self.take_waiting(query) {
            self.again(waiting.asker, now);
        }
    }

    fn take_waiting(&mut self, query: QueryId) -> Option<Waiting> {
        let index = self.waiting.iter().position(|waiting| waiting.query == query)?;
        Some(self.waiting.swap_remove(index))
    }

    fn again(&mut self, asker: Asker, now: MonoNanos) {
        match asker {
            Asker::Probe(id) => {
                if let Some(probe) = self.probes.iter_mut().find(|probe| probe.id == id) {
                    probe.waiting = false;
                    probe.due = now.after(AGAIN);
                }
            }
            Asker::Run(venue) => {
                if let Some(run) = self.runs.iter_mut().find(|run| run.venue == venue) {
                    run.waiting = false;
                    run.due = now.after(AGAIN);
                }
            }
        }
    }

    pub(crate) fn fills_are_known(&mut self, venue: VenueId, to: UnixNanos) {
        self.fills_known.retain(|(known, _)| *known != venue);
        self.fills_known.push((venue, to));
    }

    /// The journal knows this order. Ids are given in order and journalled in order.
    pub(crate) fn note_journalled(&mut self, id: ClientOrderId) {
        self.journalled = self.journalled.max(Some(id));
        self.note_recorded(id);
    }

    /// The wire log knows this order.
    pub(crate) fn note_recorded(&mut self, id: ClientOrderId) {
        self.recorded = self.recorded.max(Some(id));
    }

    /// Whether the journal has told all there is to this order, even if it has ended too long ago to be remembered.
    pub(crate) fn is_journalled(&self, id: ClientOrderId) -> bool {
        reaches(self.journalled, id)
    }

    /// Whether some record knew this order at the start.
    pub(crate) fn was_recorded(&self, id: ClientOrderId) -> bool {
        reaches(self.recorded, id)
    }

    /// How many orders are being asked about.
    pub(crate) fn probing(&self) -> usize {
        self.probes.len()
    }
}

impl Core {
    /// Starts a comparison with a venue's books, unless one is under way.
    pub(crate) fn start_run(&mut self, venue: VenueId, now: Now) {
        self.begin(venue, false, now);
    }

    fn begin(&mut self, venue: VenueId, fills_only: bool, now: Now) {
        match self.asking.runs.iter().find(|run| run.venue == venue) {
            // Fills alone do not say what rests: a whole comparison takes the place of such a one.
            Some(run) if run.fills_only && !fills_only => self.asking.abandon_run(venue),
            Some(_) => return,
            None => {}
        }
        let oldest_live = self
            .table
            .live()
            .filter(|order| self.instrument(order.instrument).is_some_and(|instrument| instrument.venue == venue))
            .map(|order| order.created)
            .min();
        let last_fill = self.last_fill.get(venue.index()).copied().filter(|time| time.0 > 0);
        let missing = self.table.ended_with_missing_fills().map(|order| order.created).min();
        let known = self.asking.fills_known.iter().find(|(known, _)| *known == venue).map(|(_, to)| *to);
        let since = match known {
            Some(known) => missing.map_or(known, |missing| missing.min(known)),
            None => [last_fill, oldest_live, missing].into_iter().flatten().min().unwrap_or(now.unix),
        };
        self.asking.runs.push(Run {
            venue,
            stage: if fills_only { Stage::Fills(0) } else { Stage::OpenOrders(0) },
            fills_only,
            waiting: false,
            due: now.mono,
            older_than: None,
            pages: 0,
            started: now.unix,
            since: since.shifted(-OVERLAP_NS),
            open_seen: Vec::new(),
            missed_fills: 0,
            differences: 0,
            futures: FuturesRun::default(),
        });
    }

    /// Queues every question that is due now.
    pub(crate) fn ask_what_is_due(&mut self, now: Now, out: &mut dyn Effects) {
        self.lost_answers(now);
        self.late_cancels(now);
        self.missing_fills(now);
        self.periodic(now);
        self.probe_what_is_due(now);
        self.run_what_is_due(now, out);
    }

    fn lost_answers(&mut self, now: Now) {
        while let Some(lost) = self
            .asking
            .waiting
            .iter()
            .find(|waiting| now.mono.since(waiting.asked) > ANSWER_MAX)
            .map(|waiting| waiting.query)
        {
            self.asking.not_asked(lost, now.mono);
        }
    }

    fn late_cancels(&mut self, now: Now) {
        let mut late = Vec::new();
        self.asking.cancels.retain(|(id, due)| {
            let is_late = *due <= now.mono;
            if is_late {
                late.push(*id);
            }
            !is_late
        });
        for id in late {
            let still_there = self
                .table
                .get(&id)
                .is_some_and(|order| !order.state.is_terminal() && order.cancel == CancelState::Accepted);
            if still_there {
                self.asking.probe(id, now.mono);
            }
        }
    }

    fn missing_fills(&mut self, now: Now) {
        let due: Vec<VenueId> =
            self.asking.fills_due.iter().filter(|(_, due)| *due <= now.mono).map(|(venue, _)| *venue).collect();
        for venue in due {
            self.asking.fills_due.retain(|(waiting, _)| *waiting != venue);
            let missing = self.table.ended_with_missing_fills().next().is_some()
                || self.table.live().any(|order| order.filled > order.filled_by_fills);
            if missing {
                self.begin(venue, true, now);
                self.asking.fills_are_missing(venue, now.mono.after(AGAIN));
            }
        }
    }

    fn periodic(&mut self, now: Now) {
        for index in 0..self.venues.len() {
            let venue = VenueId(u8::try_from(index).unwrap_or(u8::MAX));
            let settled = self.venues.get(index).is_some_and(|state| state.reconciled && state.stream_live);
            let last = self.asking.last_run.iter().find(|(ran, _)| *ran == venue).map(|(_, at)| *at);
            let idle = !self.asking.runs.iter().any(|run| run.venue == venue);
            let reconciled = self.venues.get(index).is_some_and(|state| state.reconciled);
            if idle && !reconciled {
                // Whatever came between: while a venue can be asked and has not been, it is asked.
                self.maybe_reconcile(venue, now);
            }
            if settled && last.is_some_and(|at| now.mono.since(at) > PERIOD) {
                self.begin(venue, false, now);
            }
        }
    }

    fn ask(&mut self, asker: Asker, venue: VenueId, intent: SignIntent, now: Now) {
        let query = QueryId(self.asking.next_query);
        self.asking.next_query = self.asking.next_query.saturating_add(1);
        self.asking.waiting.push(Waiting { query, asker, intent, asked: now.mono });
        self.queue(Job::Ask(SignQuery { id: query, purpose: QueryPurpose::Reconcile, venue, intent }));
    }

    fn probe_what_is_due(&mut self, now: Now) {
        for index in 0..self.asking.probes.len() {
            let Some(probe) = self.asking.probes.get(index).copied() else { break };
            if probe.waiting || probe.due > now.mono {
                continue;
            }
            let Some(order) = self.table.get(&probe.id).copied() else { continue };
            let Some(instrument) = self.instrument(order.instrument) else { continue };
            let (venue, symbol) = (instrument.venue, instrument.symbol);
            let since = order.created.shifted(-OVERLAP_NS);
            let older_than = probe.older_than;
            let intent = match probe.step {
                Step::Order => SignIntent::QueryOrder { symbol, id: probe.id },
                Step::History => SignIntent::OrderHistory { symbol, since, older_than },
                Step::Fills => SignIntent::Fills { symbol, since, older_than },
            };
            if let Some(probe) = self.asking.probes.get_mut(index) {
                probe.waiting = true;
            }
            self.ask(Asker::Probe(probe.id), venue, intent, now);
        }
        let table = &self.table;
        self.asking.probes.retain(|probe| table.get(&probe.id).is_some_and(still_open));
    }

    fn run_what_is_due(&mut self, now: Now, out: &mut dyn Effects) {
        for index in 0..self.asking.runs.len() {
            let Some(run) = self.asking.runs.get(index) else { break };
            if run.waiting || run.due > now.mono {
                continue;
            }
            let (venue, stage, since, older_than) = (run.venue, run.stage, run.since, run.older_than);
            let at = |nth: usize| self.instruments.iter().filter(|i| i.venue == venue).nth(nth);
            let question = match stage {
                Stage::OpenOrders(nth) => at(nth).map(|i| SignIntent::OpenOrders { symbol: i.symbol, older_than }),
                Stage::Fills(nth) => at(nth).map(|i| SignIntent::Fills { symbol: i.symbol, since, older_than }),
                Stage::Settings(_) | Stage::Positions | Stage::Bills | Stage::FuturesBalances => {
                    self.futures_question(venue, stage, older_than, now)
                }
                Stage::Balances => Some(SignIntent::Balances),
                Stage::Probes => None,
            };
            match question {
                Some(intent) => {
                    if let Some(run) = self.asking.runs.get_mut(index) {
                        run.waiting = true;
                    }
                    self.ask(Asker::Run(venue), venue, intent, now);
                }
                None => self.next_stage(venue, now, out),
            }
        }
    }

    /// Moves a run on when its stage has nothing left to ask.
    fn next_stage(&mut self, venue: VenueId, now: Now, out: &mut dyn Effects) {
        let Some(stage) = self.asking.runs.iter().find(|run| run.venue == venue).map(|run| run.stage) else { return };
        let next = match stage {
            Stage::OpenOrders(_) => {
                self.compare_open(venue, now);
                Some(Stage::Probes)
            }
            Stage::Probes => {
                let open = self.asking.probes.iter().any(|probe| {
                    self.table
                        .get(&probe.id)
                        .and_then(|order| self.instrument(order.instrument))
                        .is_some_and(|instrument| instrument.venue == venue)
                });
                (!open).then_some(Stage::Settings(0))
            }
            Stage::Settings(_) => Some(Stage::Fills(0)),
            Stage::Fills(_) => {
                let only = self.asking.runs.iter().any(|run| run.venue == venue && run.fills_only);
                Some(if only { Stage::Balances } else { Stage::Positions })
            }
            Stage::Positions => Some(Stage::Bills),
            Stage::Bills => Some(Stage::Balances),
            Stage::Balances | Stage::FuturesBalances => {
                self.finish(venue, now, out);
                None
            }
        };
        if let (Some(next), Some(run)) = (next, self.asking.runs.iter_mut().find(|run| run.venue == venue)) {
            run.stage = next;
            run.older_than = None;
            run.pages = 0;
        }
    }

    /// Own orders that we hold for resting but that the venue did not list are asked about one by one.
    fn compare_open(&mut self, venue: VenueId, now: Now) {
        let Some(run) = self.asking.runs.iter().find(|run| run.venue == venue) else { return };
        let (started, seen) = (run.started, run.open_seen.clone());
        let mut doubtful: Vec<ClientOrderId> = self
            .table
            .live()
            .filter(|order| {
                let here = self.instrument(order.instrument).is_some_and(|instrument| instrument.venue == venue);
                let believed =
                    matches!(order.state, OrderState::Acked | OrderState::PartlyFilled | OrderState::Unknown);
                here && believed && order.created < started && !seen.contains(&order.id)
            })
            .map(|order| order.id)
            .collect();
        doubtful.sort_unstable();
        doubtful.into_iter().for_each(|id| self.asking.probe(id, now.mono));
    }

    fn finish(&mut self, venue: VenueId, now: Now, out: &mut dyn Effects) {
        let Some(index) = self.asking.runs.iter().position(|run| run.venue == venue) else { return };
        let run = self.asking.runs.swap_remove(index);
        self.asking.fills_are_known(venue, run.started);
        if run.fills_only {
            return;
        }
        self.asking.futures.bills_are_known(venue, run.started);
        self.asking.last_run.retain(|(ran, _)| *ran != venue);
        self.asking.last_run.push((venue, now.mono));
        let open_orders = u32::try_from(run.open_seen.len()).unwrap_or(u32::MAX);
        let stream_live = self.venues.get(venue.index()).is_some_and(|state| state.stream_live);
        if let Some(state) = self.venues.get_mut(venue.index()) {
            state.reconciled = stream_live;
        }
        let body =
            EventBody::Reconciled { venue, open_orders, missed_fills: run.missed_fills, differences: run.differences };
        self.publish(body, now, out);
    }

    /// Takes the answer to one of our own questions.
    pub(crate) fn answer(&mut self, query: QueryId, answer: &QueryAnswer, now: Now, out: &mut dyn Effects) {
        let Some(waiting) = self.asking.take_waiting(query) else { return };
        if let QueryAnswer::CouldNotAsk(cause) = answer {
            let venue = match waiting.asker {
                Asker::Run(venue) => venue,
                Asker::Probe(id) => self
                    .table
                    .get(&id)
                    .and_then(|order| self.instrument(order.instrument))
                    .map_or(VenueId(0), |instrument| instrument.venue),
            };
            self.could_not_ask(venue, &waiting, *cause, now, out);
            return;
        }
        match waiting.asker {
            Asker::Probe(id) => self.probe_answer(id, answer, now, out),
            Asker::Run(venue) => self.run_answer(venue, answer, now, out),
        }
    }

    fn could_not_ask(
        &mut self,
        venue: VenueId,
        waiting: &Waiting,
        cause: CouldNotAsk,
        now: Now,
        out: &mut dyn Effects,
    ) {
        self.publish(EventBody::AskFailed { venue, verb: waiting.intent.verb(), cause }, now, out);
        self.asking.again(waiting.asker, now.mono);
        if let CouldNotAsk::Venue(error) = cause
            && error.class == messages::VenueErrorClass::Fatal
        {
            self.halt(HaltReason::VenueFatal, note(&error.text), now, out);
        }
    }

    fn probe_answer(&mut self, id: ClientOrderId, answer: &QueryAnswer, now: Now, out: &mut dyn Effects) {
        let Some(order) = self.table.get(&id).copied() else { return };
        let Some(venue) = self.instrument(order.instrument).map(|instrument| instrument.venue) else { return };
        let mut found = false;
        let mut more = None;
        let mut unclear = false;
        match answer {
            QueryAnswer::Order(Some(update)) => found = self.order_update(venue, update, now, out) == Some(id),
            QueryAnswer::Order(None) => {}
            QueryAnswer::Orders { page, next } => {
                for update in page {
                    found |= self.order_update(venue, update, now, out) == Some(id);
                }
                more = *next;
            }
            QueryAnswer::Fills { page, next } => {
                unclear = self.fills_page(venue, page, now, out).1 && order.venue_order_id.is_none();
                more = *next;
            }
            QueryAnswer::Balances(_)
            | QueryAnswer::Positions(_)
            | QueryAnswer::FuturesSettings(_)
            | QueryAnswer::Bills { .. }
            | QueryAnswer::KeyInfo(_)
            | QueryAnswer::CouldNotAsk(_) => return,
        }
        let now_known = self.table.get(&id).is_some_and(|order| !still_open(order));
        if found || now_known {
            self.probe_found(id, now);
            return;
        }
        self.probe_not_found(id, venue, more, unclear, now, out);
    }

    /// The venue knows the order. If a cancel was unclear, its answer has settled that too.
    fn probe_found(&mut self, id: ClientOrderId, now: Now) {
        let rests = self.table.get(&id).is_some_and(|order| !order.state.is_terminal());
        self.asking.probes.retain(|probe| probe.id != id);
        if rests {
            let cancel = self.table.get(&id).map(|order| order.cancel);
            if cancel == Some(CancelState::Accepted) {
                // Received, not yet carried out: look again.
                self.asking.watch_cancel(id, now.mono);
            }
        }
    }

    fn probe_not_found(
        &mut self,
        id: ClientOrderId,
        venue: VenueId,
        more: Option<VenueOrderId>,
        unclear: bool,
        now: Now,
        out: &mut dyn Effects,
    ) {
        let index_delay = self.asking.index_delay;
        let Some(probe) = self.asking.probes.iter_mut().find(|probe| probe.id == id) else { return };
        probe.waiting = false;
        probe.due = now.mono;
        probe.unclear |= unclear;
        if more.is_some() && probe.pages < PAGES_MAX {
            probe.older_than = more;
            probe.pages = probe.pages.saturating_add(1);
            return;
        }
        probe.unclear |= more.is_some();
        probe.older_than = None;
        probe.pages = 0;
        match probe.step {
            Step::Order => probe.step = Step::History,
            Step::History => probe.step = Step::Fills,
            Step::Fills => {
                probe.rounds = if probe.unclear { 0 } else { probe.rounds.saturating_add(1) };
                probe.unclear = false;
                probe.step = Step::Order;
                probe.due = now.mono.after(index_delay.max(AGAIN));
                if probe.rounds >= ROUNDS {
                    self.asking.probes.retain(|probe| probe.id != id);
                    self.absent(id, venue, now, out);
                }
            }
        }
    }

    /// All sources have said twice that they do not know the order.
    fn absent(&mut self, id: ClientOrderId, venue: VenueId, now: Now, out: &mut dyn Effects) {
        let unknown = self.table.get(&id).is_some_and(|order| order.state == OrderState::Unknown);
        if unknown {
            self.change(id, OrderChange::ProvenAbsent, now.mono, None, now, out);
        } else {
            // The venue had it once and lists it nowhere now: a person must look.
            self.difference(venue, Some(id), DifferenceKind::OrderState, now, out);
            self.halt(HaltReason::Reconciliation, note("an order has vanished at the venue"), now, out);
        }
    }

    /// Applies a page of fills: how many were new, and whether some belong to no order that we know.
    fn fills_page(&mut self, venue: VenueId, page: &[FillReport], now: Now, out: &mut dyn Effects) -> (u32, bool) {
        let mut new = 0_u32;
        let mut unattributed = false;
        for report in page.iter().rev() {
            if self.fill(venue, report, now, out) {
                new = new.saturating_add(1);
            } else if self.table.id_of(&report.venue_order_id).is_none()
                && !self.foreign.contains(&report.venue_order_id)
            {
                unattributed = true;
            }
        }
        (new, unattributed)
    }

    fn run_answer(&mut self, venue: VenueId, answer: &QueryAnswer, now: Now, out: &mut dyn Effects) {
        match answer {
            QueryAnswer::Orders { page, next } => {
                let seen = self.open_page(venue, page, now, out);
                if let Some(run) = self.asking.runs.iter_mut().find(|run| run.venue == venue) {
                    run.open_seen.extend(seen);
                }
                self.turn_page(venue, *next, now);
            }
            QueryAnswer::Fills { page, next } => {
                let (new, _) = self.fills_page(venue, page, now, out);
                if let Some(run) = self.asking.runs.iter_mut().find(|run| run.venue == venue) {
                    run.missed_fills = run.missed_fills.saturating_add(new);
                }
                self.turn_page(venue, *next, now);
            }
            QueryAnswer::Balances(balances) => {
                for balance in balances {
                    self.exposure.on_balance(venue, balance.wallet, balance.asset, balance.available, balance.held);
                    let body = EventBody::Balance {
                        venue,
                        wallet: balance.wallet,
                        asset: balance.asset,
                        available: balance.available,
                        held: balance.held,
                    };
                    self.publish(body, now, out);
                }
                self.balances_told(venue, now, out);
            }
            QueryAnswer::FuturesSettings(settings) => self.settings_answer(venue, *settings, now, out),
            QueryAnswer::Positions(list) => self.positions_answer(venue, list, now, out),
            QueryAnswer::Bills { page, next } => {
                self.bills_page(venue, page, now, out);
                self.bills_cut(venue, next.is_some(), now, out);
                self.turn_page(venue, *next, now);
            }
            QueryAnswer::Order(_) | QueryAnswer::KeyInfo(_) | QueryAnswer::CouldNotAsk(_) => {}
        }
    }

    fn open_page(
        &mut self,
        venue: VenueId,
        page: &[OrderUpdate],
        now: Now,
        out: &mut dyn Effects,
    ) -> Vec<ClientOrderId> {
        page.iter().filter_map(|update| self.order_update(venue, update, now, out)).collect()
    }

    fn turn_page(&mut self, venue: VenueId, next: Option<VenueOrderId>, now: Now) {
        let Some(run) = self.asking.runs.iter_mut().find(|run| run.venue == venue) else { return };
        run.waiting = false;
        run.due = now.mono;
        let pages_max = if run.stage == Stage::Bills { futures::BILL_PAGES_MAX } else { PAGES_MAX };
        if next.is_some() && run.pages < pages_max {
            run.older_than = next;
            run.pages = run.pages.saturating_add(1);
            return;
        }
        run.older_than = None;
        run.pages = 0;
        run.stage = match run.stage {
            Stage::OpenOrders(nth) => Stage::OpenOrders(nth.saturating_add(1)),
            Stage::Fills(nth) => Stage::Fills(nth.saturating_add(1)),
            Stage::Bills => Stage::Balances,
            stage => stage,
        };
    }

    /// How many orders the venue is being asked about.
    #[must_use]
    pub fn orders_being_asked(&self) -> usize {
        self.asking.probing()
    }
}

fn reaches(mark: Option<ClientOrderId>, id: ClientOrderId) -> bool {
    mark.is_some_and(|mark| mark.tag() == id.tag() && id <= mark)
}

/// Whether an order still has a question that only the venue can answer.
fn still_open(order: &domain::Order) -> bool {
    !order.state.is_terminal()
}
