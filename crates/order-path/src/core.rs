//! The pure order path: intents, reports and control in; events and requests to be signed out.
//!
//! The only owner of order states, exposure and request budgets. No I/O, clock or lock; a signature is
//! an output ([`SignJob`]) and then an input ([`SignOutcome`]). Applying is idempotent: fills are keyed by
//! trade id, a terminal state never reopens, and everything that changes is published once, numbered.

use crate::asking::Asking;
use crate::budget::{BudgetDenied, RateBudget};
use crate::table::{OrderTable, SeenTrades};
use crate::types::{Effects, Now, Setup, SignJob, SignOutcome, Timing, VenueSetup};
use arrayvec::ArrayString;
use domain::{
    CancelState, ClientOrderId, Instrument, InstrumentId, InstrumentVersion, MonoNanos, Order, OrderChange, OrderState,
    Qty, Sequence, StrategyTag, UnixNanos, VenueId,
};
use messages::{
    AccountMode, DifferenceKind, EndpointGroup, EventBody, HaltReason, KeyDuty, Note, OrderEvent, OrderIntent,
    PlaceOrder, RefuseReason, SignIntent, SignQuery, SignRefusal, TopUsed, TradingState, VenueError,
};
use risk_guard::{CheckOrder, Exposure, Gate, RiskGuard, RiskGuardActor};
use signing::Route;
use std::collections::VecDeque;
use std::time::Duration;

/// Longest wait that a venue may impose by one 429.
const BAN_MAX: Duration = Duration::from_secs(600);
/// Room for cancels and questions that wait for budget.
const JOBS_MAX: usize = 4_096;
/// Fills whose order is not known yet.
const STASH_MAX: usize = 256;
/// Foreign orders remembered so that each is shown once.
const FOREIGN_MAX: usize = 256;
/// Signer silences in a row that halt.
const SILENCES_MAX: u32 = 3;

pub(crate) struct VenueState {
    pub(crate) setup: VenueSetup,
    pub(crate) budget: RateBudget,
    pub(crate) duty: KeyDuty,
    pub(crate) stream_live: bool,
    /// When its private stream went down, until what rests has been cancelled for that.
    pub(crate) stream_lost: Option<MonoNanos>,
    pub(crate) reconciled: bool,
    pub(crate) clock: Option<(MonoNanos, u64)>,
    pub(crate) clock_lost: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Job {
    Cancel(ClientOrderId),
    Ask(SignQuery),
    Pass(SignQuery),
    /// Leverage or margin mode.
    Set(VenueId, SignIntent),
}

/// The order path's state.
pub struct Core {
    pub(crate) instruments: Vec<Instrument>,
    versions: Vec<Vec<InstrumentVersion>>,
    pub(crate) venues: Vec<VenueState>,
    pub(crate) table: OrderTable,
    pub(crate) seen: SeenTrades,
    pub(crate) guard: RiskGuardActor,
    pub(crate) exposure: Exposure,
    pub(crate) asking: Asking,
    pub(crate) stash: VecDeque<(VenueId, messages::FillReport)>,
    pub(crate) foreign: VecDeque<domain::VenueOrderId>,
    pub(crate) jobs: VecDeque<Job>,
    pub(crate) hold_on_foreign: bool,
    pub(crate) trading: TradingState,
    pub(crate) halt: Option<HaltReason>,
    pub(crate) journal_ok: bool,
    pub(crate) wire_ok: bool,
    /// `Some(cancel)` while shutting down.
    pub(crate) stopping: Option<bool>,
    next_event: u64,
    next_order: u64,
    pub(crate) silences: u32,
    max_uncertainty: Duration,
    pub(crate) cancel_on_disconnect_after: Duration,
    pub(crate) has_history: Vec<StrategyTag>,
    pub(crate) latest_fills: VecDeque<domain::Fill>,
    /// Venue time of the latest fill counted, for each venue.
    pub(crate) last_fill: Vec<UnixNanos>,
}

impl Core {
    /// Versions kept for each instrument.
    const VERSIONS_MAX: usize = 16;

    /// An order path that owns nothing yet; [`Core::restore`] what is on disk, then [`Core::start`].
    #[must_use]
    pub fn new(setup: Setup, now: Now) -> Self {
        let tags: Vec<StrategyTag> =
            std::iter::once(StrategyTag(0)).chain(setup.strategies.iter().map(|(tag, _)| *tag)).collect();
        let unified: Vec<VenueId> = (0..)
            .map(VenueId)
            .zip(&setup.venues)
            .filter(|(_, venue)| venue.account == AccountMode::Unified)
            .map(|(id, _)| id)
            .collect();
        let exposure = Exposure::with_unified(&setup.instruments, &tags, &unified, now.unix);
        let versions = setup
            .instruments
            .iter()
            .map(|instrument| {
                let mut list = Vec::with_capacity(Self::VERSIONS_MAX);
                list.push(instrument.version);
                list
            })
            .collect();
        let max_uncertainty = setup.limits.max_clock_uncertainty;
        let last_fill = vec![UnixNanos(0); setup.venues.len()];
        let venues = setup
            .venues
            .into_iter()
            .map(|venue| VenueState {
                budget: RateBudget::new(&venue.rates),
                setup: venue,
                duty: KeyDuty::None,
                stream_live: false,
                stream_lost: None,
                reconciled: false,
                clock: None,
                clock_lost: false,
            })
            .collect();
        Self {
            instruments: setup.instruments,
            versions,
            venues,
            table: OrderTable::new(),
            seen: SeenTrades::new(),
            guard: RiskGuardActor::new(RiskGuard::new(setup.limits, &setup.strategies), &setup.account),
            exposure,
            asking: Asking::new(setup.index_delay),
            stash: VecDeque::with_capacity(STASH_MAX + 1),
            foreign: VecDeque::with_capacity(FOREIGN_MAX + 1),
            jobs: VecDeque::with_capacity(JOBS_MAX),
            hold_on_foreign: setup.hold_on_foreign,
            trading: if setup.halted.is_some() { TradingState::Halted } else { TradingState::Active },
            halt: setup.halted,
            journal_ok: true,
            wire_ok: true,
            stopping: None,
            next_event: 1,
            next_order: 1,
            silences: 0,
            max_uncertainty,
            cancel_on_disconnect_after: setup.cancel_on_disconnect_after,
            has_history: Vec::new(),
            latest_fills: VecDeque::with_capacity(messages::Restored::FILLS_MAX + 1),
            last_fill,
        }
    }

    /// Publishes the first events of a run: start, instruments, and a halt that survived.
    pub fn start(&mut self, now: Now, out: &mut dyn Effects) {
        let started = self.venues.first().map(|venue| (venue.setup.tag, venue.setup.epoch));
        self.asking.futures.started(now.unix);
        if let Some((tag, epoch)) = started {
            self.publish(EventBody::Started { tag, epoch }, now, out);
        }
        for index in 0..self.instruments.len() {
            if let Some(version) = self.instruments.get(index).map(|instrument| instrument.version) {
                self.publish(EventBody::Instrument(version), now, out);
            }
        }
        if let Some(halt) = self.halt {
            let note = note("found at start");
            self.publish(EventBody::Trading { state: TradingState::Halted, halt: Some(halt), note }, now, out);
        }
    }

    /// The number that the next event will carry.
    #[must_use]
    pub const fn next_event(&self) -> u64 {
        self.next_event
    }

    /// Publishes the last event of a run.
    pub fn stop(&mut self, now: Now, out: &mut dyn Effects) {
        self.publish(EventBody::Stopped, now, out);
    }

    /// How many instruments there are.
    #[must_use]
    pub fn instrument_count(&self) -> usize {
        self.instruments.len()
    }

    pub(crate) fn set_next_event(&mut self, seq: u64) {
        self.next_event = seq;
    }

    /// Whether trading goes on, and why not.
    #[must_use]
    pub const fn trading(&self) -> (TradingState, Option<HaltReason>) {
        (self.trading, self.halt)
    }

    pub(crate) fn set_trading(&mut self, trading: TradingState, halt: Option<HaltReason>) {
        self.trading = trading;
        self.halt = halt;
    }

    /// Orders that may rest.
    pub fn live_orders(&self) -> impl Iterator<Item = &Order> {
        self.table.live()
    }

    /// Any order that is still remembered.
    #[must_use]
    pub fn order(&self, id: &ClientOrderId) -> Option<&Order> {
        self.table.get(id)
    }

    /// Publishes the risk guard's counters and the use of the limits.
    pub fn publish_tally(&self, now: MonoNanos) {
        self.guard.publish(&self.exposure, now);
    }

    /// Exposure, positions and P&L.
    #[must_use]
    pub const fn exposure(&self) -> &Exposure {
        &self.exposure
    }

    /// Whether the venue's orders, fills and balances have been compared with ours since its stream came up.
    #[must_use]
    pub fn reconciled(&self, venue: VenueId) -> bool {
        self.venues.get(venue.index()).is_some_and(|state| state.reconciled)
    }

    pub(crate) fn instrument(&self, id: InstrumentId) -> Option<&Instrument> {
        self.instruments.get(id.index())
    }

    pub(crate) fn instrument_by_symbol(&self, venue: VenueId, symbol: &str) -> Option<&Instrument> {
        self.instruments.iter().find(|instrument| instrument.venue == venue && instrument.symbol.as_str() == symbol)
    }

    /// The version that an order's numbers are in; its decimals never change meaning.
    pub(crate) fn version(&self, instrument: InstrumentId, version: u32) -> Option<InstrumentVersion> {
        let list = self.versions.get(instrument.index())?;
        list.iter().rev().find(|known| known.version == version).or_else(|| list.last()).copied()
    }

    pub(crate) fn add_version(&mut self, version: InstrumentVersion) {
        if let Some(list) = self.versions.get_mut(version.id.index())
            && !list.contains(&version)
        {
            if list.len() >= Self::VERSIONS_MAX {
                list.remove(0);
            }
            list.push(version);
        }
        if let Some(instrument) = self.instruments.get_mut(version.id.index()) {
            instrument.version = version;
        }
        self.exposure.set_version(version);
    }

    pub(crate) fn publish(&mut self, body: EventBody, now: Now, out: &mut dyn Effects) {
        let event = OrderEvent { seq: self.next_event, at: now.unix, body };
        self.next_event = self.next_event.saturating_add(1);
        out.publish(event);
    }

    /// What may be done through a venue now.
    #[must_use]
    pub fn gate(&self, venue: VenueId, now: MonoNanos) -> Gate {
        let state = self.venues.get(venue.index());
        Gate {
            trading: self.trading,
            reconciled: state.is_some_and(|state| state.reconciled),
            clock_ok: state.is_some_and(|state| self.clock_ok(state, now)),
            key_active: state.is_some_and(|state| state.duty == KeyDuty::Full),
            stream_live: state.is_some_and(|state| state.stream_live),
            durable: self.journal_ok && self.wire_ok,
            stopping: self.stopping.is_some(),
        }
    }

    fn clock_ok(&self, state: &VenueState, now: MonoNanos) -> bool {
        // A quartz clock drifts less than 100 parts in a million.
        const DRIFT_DIVISOR: u64 = 10_000;
        state.clock.is_some_and(|(at, uncertainty_ns)| {
            let drift = u64::try_from(now.since(at).as_nanos()).unwrap_or(u64::MAX) / DRIFT_DIVISOR;
            !state.clock_lost && u128::from(uncertainty_ns.saturating_add(drift)) <= self.max_uncertainty.as_nanos()
        })
    }

    /// Takes a strategy's intent: checks it, gives it its id, and asks for a signature; or refuses.
    pub fn intent(
        &mut self,
        intent: &OrderIntent,
        top: Result<TopUsed, RefuseReason>,
        now: Now,
        out: &mut dyn Effects,
    ) -> Option<SignJob> {
        match self.try_intent(intent, top, now) {
            Ok(job) => Some(job),
            Err(reason) => {
                self.refused(intent, None, reason, top.ok(), now, out);
                None
            }
        }
    }

    fn try_intent(
        &mut self,
        intent: &OrderIntent,
        top: Result<TopUsed, RefuseReason>,
        now: Now,
    ) -> Result<SignJob, RefuseReason> {
        let instrument = self.instruments.get(intent.instrument.index()).ok_or(RefuseReason::InstrumentHalted)?;
        let (venue, symbol, version) = (instrument.venue, instrument.symbol, instrument.version);
        let gate = self.gate(venue, now.mono);
        let exposure = &self.exposure;
        let order = CheckOrder { intent, version: &version, gate: &gate, top, exposure, now: now.mono };
        let checked = self.guard.handle(order)?;
        if !self.table.has_room() {
            self.guard.count_refusal(RefuseReason::TableFull);
            return Err(RefuseReason::TableFull);
        }
        let state = self.venues.get_mut(venue.index()).ok_or(RefuseReason::InstrumentHalted)?;
        state.budget.take(EndpointGroup::Place, now.mono).map_err(denied)?;
        let sequence = Sequence::new(self.next_order).map_err(|_| RefuseReason::Arithmetic)?;
        self.next_order = self.next_order.saturating_add(1);
        let wanted = checked.intent();
        let order = Order {
            id: ClientOrderId::new(state.setup.tag, state.setup.epoch, sequence),
            strategy: wanted.strategy,
            reference: wanted.reference,
            instrument: wanted.instrument,
            version: version.version,
            side: wanted.side,
            price: wanted.price.price(),
            qty: wanted.qty.qty(),
            time_in_force: wanted.time_in_force,
            effect: wanted.effect,
            state: OrderState::Checked,
            cancel: CancelState::None,
            filled: Qty::ZERO,
            filled_by_fills: Qty::ZERO,
            venue_order_id: None,
            created: now.unix,
        };
        self.table.insert(order);
        self.exposure.on_order(None, &order);
        Ok(SignJob {
            venue,
            intent: SignIntent::Place(PlaceOrder {
                id: order.id,
                symbol,
                side: order.side,
                price: version.price_scaled(order.price),
                qty: version.qty_scaled(order.qty),
                time_in_force: order.time_in_force,
                effect: order.effect,
            }),
            route: Route::Order(order.id),
            strategy: order.strategy,
            version: version.version,
            timing: Timing { caused: intent.caused, decided: intent.decided, checked: now.mono, top: top.ok() },
        })
    }

    fn refused(
        &mut self,
        intent: &OrderIntent,
        id: Option<ClientOrderId>,
        reason: RefuseReason,
        top: Option<TopUsed>,
        now: Now,
        out: &mut dyn Effects,
    ) {
        let body = EventBody::Refused {
            id,
            strategy: intent.strategy,
            reference: intent.reference,
            instrument: intent.instrument,
            side: intent.side,
            price: intent.price.price(),
            qty: intent.qty.qty(),
            reason,
            top,
        };
        self.publish(body, now, out);
    }

    /// Takes somebody's question; it is signed when budget and key allow.
    pub fn question(&mut self, query: SignQuery) {
        if query.intent.verb().only_asks() && self.jobs.len() < JOBS_MAX {
            self.jobs.push_back(Job::Pass(query));
        }
    }

    /// The next cancel or question that may be signed now. Cancels first.
    pub fn next_job(&mut self, now: Now, out: &mut dyn Effects) -> Option<SignJob> {
        for _ in 0..self.jobs.len() {
            let job = self.jobs.pop_front()?;
            match self.try_job(job, now, out) {
                Attempt::Go(sign) => return Some(sign),
                Attempt::Later => self.jobs.push_back(job),
                Attempt::Gone => {}
                Attempt::Refused(id, reason) => self.publish(EventBody::CancelRefused { id, reason }, now, out),
            }
        }
        None
    }

    fn try_job(&mut self, job: Job, now: Now, out: &mut dyn Effects) -> Attempt {
        match job {
            Job::Cancel(id) => self.try_cancel(id, now),
            Job::Ask(query) | Job::Pass(query) => self.try_question(query, now),
            Job::Set(venue, intent) => self.try_setting(venue, intent, now, out),
        }
    }

    fn try_setting(&mut self, venue: VenueId, intent: SignIntent, now: Now, out: &mut dyn Effects) -> Attempt {
        let Some(state) = self.venues.get_mut(venue.index()) else { return Attempt::Gone };
        if state.duty != KeyDuty::Full || self.trading == TradingState::Halted || self.stopping.is_some() {
            self.setting_refused(venue, &intent, now, out);
            return Attempt::Gone;
        }
        if state.budget.take(EndpointGroup::of(intent.verb()), now.mono).is_err() {
            return Attempt::Later;
        }
        let (strategy, version, timing) = (StrategyTag(0), 0, Timing::default());
        Attempt::Go(SignJob { venue, intent, route: Route::Setting, strategy, version, timing })
    }

    fn try_cancel(&mut self, id: ClientOrderId, now: Now) -> Attempt {
        let Some(order) = self.table.get(&id).copied() else { return Attempt::Gone };
        if order.state.is_terminal() || order.cancel != CancelState::None {
            return Attempt::Gone;
        }
        let Some(instrument) = self.instrument(order.instrument) else { return Attempt::Gone };
        let (venue, symbol) = (instrument.venue, instrument.symbol);
        let Some(state) = self.venues.get_mut(venue.index()) else { return Attempt::Gone };
        if matches!(state.duty, KeyDuty::None | KeyDuty::VerifyOnly) {
            return Attempt::Refused(id, RefuseReason::KeyNotActive);
        }
        if state.budget.take(EndpointGroup::Cancel, now.mono).is_err() {
            return Attempt::Later;
        }
        Attempt::Go(SignJob {
            venue,
            intent: SignIntent::Cancel { symbol, id, venue_order_id: order.venue_order_id },
            route: Route::Order(id),
            strategy: order.strategy,
            version: order.version,
            timing: Timing::default(),
        })
    }

    fn try_question(&mut self, query: SignQuery, now: Now) -> Attempt {
        let Some(state) = self.venues.get_mut(query.venue.index()) else { return Attempt::Gone };
        if state.duty == KeyDuty::None {
            return Attempt::Later;
        }
        if state.budget.take(EndpointGroup::of(query.intent.verb()), now.mono).is_err() {
            return Attempt::Later;
        }
        Attempt::Go(SignJob {
            venue: query.venue,
            intent: query.intent,
            route: Route::Query(query.id, query.purpose),
            strategy: StrategyTag(0),
            version: 0,
            timing: Timing::default(),
        })
    }

    /// Takes the outcome of a [`SignJob`].
    pub fn signed(&mut self, job: &SignJob, outcome: SignOutcome, now: Now, out: &mut dyn Effects) {
        if matches!(outcome, SignOutcome::Refused(SignRefusal::Silent)) {
            self.silences = self.silences.saturating_add(1);
            if self.silences >= SILENCES_MAX {
                self.halt(HaltReason::SignerLost, note("the signer does not answer"), now, out);
            }
        } else {
            self.silences = 0;
        }
        match (&job.intent, job.route) {
            (SignIntent::Place(_), Route::Order(id)) => self.place_signed(id, job, outcome, now, out),
            (_, Route::Order(id)) => self.cancel_signed(id, outcome, now, out),
            (_, Route::Query(query, _)) => {
                if !matches!(outcome, SignOutcome::Queued(_)) {
                    self.asking.not_asked(query, now.mono);
                }
            }
            (intent, Route::Setting) => {
                if !matches!(outcome, SignOutcome::Queued(_)) {
                    self.setting_refused(job.venue, intent, now, out);
                }
            }
            (_, Route::CancelAll) => {}
        }
    }

    fn place_signed(
        &mut self,
        id: ClientOrderId,
        job: &SignJob,
        outcome: SignOutcome,
        now: Now,
        out: &mut dyn Effects,
    ) {
        let Some(before) = self.table.get(&id).copied() else { return };
        let mut order = before;
        let reason = match outcome {
            SignOutcome::Queued(signed) => {
                order.apply(OrderChange::Signed);
                self.table.put(order);
                self.exposure.on_order(Some(&before), &order);
                let Timing { caused, decided, checked, top } = job.timing;
                self.publish(EventBody::Placed { order, top, caused, decided, checked, signed }, now, out);
                return;
            }
            SignOutcome::OutboxFull => RefuseReason::OutboxFull,
            SignOutcome::Refused(SignRefusal::Silent) => RefuseReason::SignerSilent,
            SignOutcome::Refused(SignRefusal::Clock) => RefuseReason::ClockUncertain,
            SignOutcome::Refused(SignRefusal::NoKey | SignRefusal::KeyState) => RefuseReason::KeyNotActive,
            SignOutcome::Refused(_) => RefuseReason::SignerRefused,
        };
        self.guard.count_refusal(reason);
        order.apply(OrderChange::Refused);
        self.table.put(order);
        self.exposure.on_order(Some(&before), &order);
        let body = EventBody::Refused {
            id: Some(id),
            strategy: order.strategy,
            reference: order.reference,
            instrument: order.instrument,
            side: order.side,
            price: order.price,
            qty: order.qty,
            reason,
            top: job.timing.top,
        };
        self.publish(body, now, out);
    }

    fn cancel_signed(&mut self, id: ClientOrderId, outcome: SignOutcome, now: Now, out: &mut dyn Effects) {
        match outcome {
            SignOutcome::Queued(_) => {
                self.change(id, OrderChange::CancelRequested, now.mono, None, now, out);
                self.publish(EventBody::CancelSent { id, cancel: CancelState::Requested }, now, out);
            }
            SignOutcome::OutboxFull => self.queue(Job::Cancel(id)),
            SignOutcome::Refused(_) => {
                self.publish(EventBody::CancelRefused { id, reason: RefuseReason::SignerRefused }, now, out);
            }
        }
    }

    pub(crate) fn queue(&mut self, job: Job) {
        if self.jobs.len() < JOBS_MAX {
            match job {
                Job::Cancel(_) => self.jobs.push_front(job),
                _ => self.jobs.push_back(job),
            }
        }
    }

    /// Applies one change to an order and publishes what it did. Returns the order after it, when it changed.
    pub(crate) fn change(
        &mut self,
        id: ClientOrderId,
        change: OrderChange,
        at: MonoNanos,
        error: Option<VenueError>,
        now: Now,
        out: &mut dyn Effects,
    ) -> domain::Applied {
        let Some(before) = self.table.get(&id).copied() else { return domain::Applied::Nothing };
        let mut order = before;
        let applied = order.apply(change);
        if order != before {
            self.table.put(order);
            self.exposure.on_order(Some(&before), &order);
            if !matches!(change, OrderChange::Fill(_)) {
                self.publish(EventBody::Order { order, from: before.state, at, error }, now, out);
            }
            if before.venue_order_id.is_none() && order.venue_order_id.is_some() {
                self.drain_stash(now, out);
            }
        }
        if applied == domain::Applied::Contradiction {
            let venue = self.instrument(before.instrument).map_or(VenueId(0), |instrument| instrument.venue);
            let kind =
                if matches!(change, OrderChange::Fill(_)) { DifferenceKind::Fill } else { DifferenceKind::OrderState };
            self.difference(venue, Some(id), kind, now, out);
            let thought_absent =
                matches!(before.state, OrderState::NotSent | OrderState::Refused | OrderState::Rejected);
            if thought_absent || kind == DifferenceKind::Fill {
                self.halt(
                    HaltReason::Reconciliation,
                    note("the venue contradicts what is known of an order"),
                    now,
                    out,
                );
            }
        }
        applied
    }

    pub(crate) fn difference(
        &mut self,
        venue: VenueId,
        order: Option<ClientOrderId>,
        kind: DifferenceKind,
        now: Now,
        out: &mut dyn Effects,
    ) {
        self.asking.note_difference(venue);
        self.publish(EventBody::Difference { venue, order, kind }, now, out);
    }

    /// Halts: stores the flag, publishes it, and cancels everything that may rest. Idempotent.
    pub fn halt(&mut self, reason: HaltReason, note: Note, now: Now, out: &mut dyn Effects) {
        if self.trading == TradingState::Halted {
            return;
        }
        self.trading = TradingState::Halted;
        self.halt = Some(reason);
        out.store_halt(Some((reason, note)));
        self.publish(EventBody::Trading { state: TradingState::Halted, halt: Some(reason), note }, now, out);
        self.cancel_everything();
    }

    pub(crate) fn maybe_reconcile(&mut self, venue: VenueId, now: Now) {
        let ready =
            self.venues.get(venue.index()).is_some_and(|state| state.stream_live && state.duty == KeyDuty::Full);
        if ready {
            self.start_run(venue, now);
        }
    }

    /// What time brings: marks, loss limits, questions that are due. At most every 100 ms.
    pub fn tick(&mut self, now: Now, tops: impl Iterator<Item = (InstrumentId, TopUsed)>, out: &mut dyn Effects) {
        self.exposure.roll_day(now.unix);
        for (instrument, top) in tops {
            self.exposure.mark(instrument, top);
        }
        if self.trading != TradingState::Halted
            && let Some(reason) = self.guard.guard().must_halt(&self.exposure)
        {
            self.halt(reason, note(reason.explain()), now, out);
        }
        if self.trading == TradingState::Halted || self.stopping == Some(true) {
            self.cancel_leftovers();
        }
        self.cancel_behind_lost_streams(now);
        self.ask_what_is_due(now, out);
    }

    /// Takes the venue's wish for a pause.
    pub(crate) fn rate_limited(&mut self, venue: VenueId, group: EndpointGroup, wait: Duration, now: Now) {
        if let Some(state) = self.venues.get_mut(venue.index()) {
            state.budget.ban(group, wait.min(BAN_MAX), now.mono);
        }
    }

    pub(crate) const fn stash_max() -> usize {
        STASH_MAX
    }

    pub(crate) const fn foreign_max() -> usize {
        FOREIGN_MAX
    }
}

enum Attempt {
    Go(SignJob),
    Later,
    Gone,
    Refused(ClientOrderId, RefuseReason),
}

fn denied(denied: BudgetDenied) -> RefuseReason {
    match denied {
        BudgetDenied::Empty(_) => RefuseReason::RateBudget,
        BudgetDenied::Banned(_) => RefuseReason::RateBan,
    }
}

/// A note from a fixed text, cut to fit.
pub(crate) fn note(text: &str) -> Note {
    let mut note = ArrayString::new();
    for character in text.chars() {
        if note.try_push(character).is_err() {
            break;
        }
    }
    note
}
