//! Perpetual futures in a comparison with the venue: leverage and modes, positions, funding.
//!
//! Invariants: a venue without perpetuals is asked nothing of this; leverage and margin mode are set before the first
//! order and never with blind repetition; the position mode is never changed; a position that differs twice by the
//! same amount, with fills asked for in between, is a difference and may only be reduced; a bill is counted once.

use super::{AGAIN, Asker, Run, Stage, Waiting};
use crate::core::{Core, Job};
use crate::types::{Effects, Now};
use domain::{Amount, InstrumentId, Market, PositionSide, Symbol, UnixNanos, VenueId, VenueOrderId};
use messages::{
    AccountMode, BillKind, BillReport, CouldNotAsk, DifferenceKind, EventBody, FuturesSettings, PositionMode,
    PositionReport, QueryId, SignIntent, VenueError, Verb,
};
use rust_decimal::Decimal;
use std::collections::VecDeque;

/// How far back of the latest known bill questions reach: funding is written down minutes after its time.
const BILLS_OVERLAP_NS: i64 = 600_000_000_000;
/// Bills remembered so that each is counted once: those of the overlap, with room.
const BILLS_MAX: usize = 2_048;
/// Pages of bills read in one comparison: each fill may be one, so there are more of them than of other lists.
pub(super) const BILL_PAGES_MAX: u8 = 250;
/// Attempts at one setting in one comparison.
const SETTING_ATTEMPTS: u8 = 2;
/// Looks at positions in one comparison before a difference that changes is left to the next.
const LOOKS_MAX: u8 = 4;

/// What is remembered of futures between comparisons.
#[derive(Debug)]
pub(crate) struct FuturesMemory {
    /// The latest word on each position that is not closed.
    told: Vec<(InstrumentId, PositionReport)>,
    bills: VecDeque<(VenueId, VenueOrderId)>,
    /// All bills up to then have been asked for and counted.
    bills_known: Vec<(VenueId, UnixNanos)>,
    /// When this data directory first traded; earlier bills are not this program's.
    first_start: Option<UnixNanos>,
    /// Settings that a venue did not take, until its stream comes up anew.
    given_up: Vec<(InstrumentId, Verb)>,
    /// Venues of which a wrong position mode was told.
    mode_told: Vec<VenueId>,
}

impl FuturesMemory {
    pub(super) fn new() -> Self {
        Self {
            told: Vec::with_capacity(8),
            bills: VecDeque::with_capacity(BILLS_MAX),
            bills_known: Vec::with_capacity(4),
            first_start: None,
            given_up: Vec::new(),
            mode_told: Vec::new(),
        }
    }

    /// Takes note of a start, of this or an earlier run.
    pub(crate) fn started(&mut self, at: UnixNanos) {
        self.first_start.get_or_insert(at);
    }

    /// All bills up to `to` are counted.
    pub(crate) fn bills_are_known(&mut self, venue: VenueId, to: UnixNanos) {
        self.bills_known.retain(|(known, _)| *known != venue);
        self.bills_known.push((venue, to));
    }

    /// Remembers a bill; `false` when it was counted before.
    pub(crate) fn count_bill(&mut self, venue: VenueId, bill: VenueOrderId) -> bool {
        if self.bills.contains(&(venue, bill)) {
            return false;
        }
        if self.bills.len() >= BILLS_MAX {
            self.bills.pop_front();
        }
        self.bills.push_back((venue, bill));
        true
    }

    fn bills_since(&self, venue: VenueId, now: UnixNanos) -> UnixNanos {
        let first = self.first_start.unwrap_or(now);
        let known = self.bills_known.iter().find(|(known, _)| *known == venue).map(|(_, to)| *to);
        known.map_or(first, |known| known.shifted(-BILLS_OVERLAP_NS).max(first))
    }

    /// The venue's stream came up anew: settings may be tried again.
    pub(crate) fn try_settings_again(&mut self, here: impl Fn(InstrumentId) -> bool) {
        self.given_up.retain(|(instrument, _)| !here(*instrument));
    }
}

/// What one comparison keeps of futures.
#[derive(Debug, Default)]
pub(super) struct FuturesRun {
    attempts: u8,
    looks: u8,
    doubts: Vec<(InstrumentId, PositionSide, Decimal)>,
}

impl Core {
    /// The `nth` perpetual of a venue.
    fn perpetual(&self, venue: VenueId, nth: usize) -> Option<(InstrumentId, Symbol)> {
        let here = self.instruments.iter().filter(|i| i.venue == venue && i.market.has_positions());
        here.map(|instrument| (instrument.id, instrument.symbol)).nth(nth)
    }

    /// What a stage of a comparison asks about futures; `None`: nothing (left).
    pub(super) fn futures_question(
        &self,
        venue: VenueId,
        stage: Stage,
        older_than: Option<VenueOrderId>,
        now: Now,
    ) -> Option<SignIntent> {
        let any = self.perpetual(venue, 0).is_some();
        match stage {
            Stage::Settings(nth) => {
                self.perpetual(venue, nth).map(|(_, symbol)| SignIntent::FuturesSettings { symbol })
            }
            Stage::Positions => any.then_some(SignIntent::Positions),
            Stage::Bills => any.then(|| {
                let since = self.asking.futures.bills_since(venue, now.unix);
                SignIntent::Bills { since, older_than }
            }),
            Stage::FuturesBalances => (any && self.has_futures_wallet(venue)).then_some(SignIntent::FuturesBalances),
            _ => None,
        }
    }

    fn has_futures_wallet(&self, venue: VenueId) -> bool {
        self.venues.get(venue.index()).is_some_and(|state| state.setup.account == AccountMode::Classic)
    }

    /// A wallet's balances have come: the next wallet, or the end.
    pub(super) fn balances_told(&mut self, venue: VenueId, now: Now, out: &mut dyn Effects) {
        let first = self.run_mut(venue).is_some_and(|run| run.stage == Stage::Balances);
        if first && self.perpetual(venue, 0).is_some() && self.has_futures_wallet(venue) {
            self.go_to(venue, Stage::FuturesBalances, now);
        } else {
            self.finish(venue, now, out);
        }
    }

    fn run_mut(&mut self, venue: VenueId) -> Option<&mut Run> {
        self.asking.runs.iter_mut().find(|run| run.venue == venue)
    }

    fn go_to(&mut self, venue: VenueId, stage: Stage, now: Now) {
        if let Some(run) = self.run_mut(venue) {
            (run.stage, run.waiting, run.due, run.older_than, run.pages) = (stage, false, now.mono, None, 0);
        }
    }

    /// Leverage and modes of the instrument that the comparison stands at; what is wished otherwise is set.
    pub(super) fn settings_answer(
        &mut self,
        venue: VenueId,
        settings: FuturesSettings,
        now: Now,
        out: &mut dyn Effects,
    ) {
        let Some(Stage::Settings(nth)) = self.run_mut(venue).map(|run| run.stage) else { return };
        let Some((instrument, symbol)) = self.perpetual(venue, nth) else { return };
        if self.exposure.futures_settings(instrument) != Some(settings) {
            self.exposure.on_futures_settings(instrument, settings);
            self.publish(EventBody::FuturesSettings { venue, instrument, settings }, now, out);
        }
        self.compare_mode(venue, settings.position_mode, now, out);
        let mut change = self.wished_change(venue, instrument, symbol, settings);
        let tried = self.run_mut(venue).map_or(0, |run| run.futures.attempts);
        if let Some(intent) = change.filter(|_| tried >= SETTING_ATTEMPTS) {
            self.asking.futures.given_up.push((instrument, intent.verb()));
            change = self.wished_change(venue, instrument, symbol, settings);
        }
        let tried = if tried >= SETTING_ATTEMPTS { 0 } else { tried };
        match (change, self.run_mut(venue)) {
            (Some(intent), Some(run)) => {
                run.futures.attempts = tried.saturating_add(1);
                run.waiting = true;
                let query = QueryId(self.asking.next_query);
                self.asking.next_query = self.asking.next_query.saturating_add(1);
                // Its outcome is read from the venue again, whatever was answered.
                self.asking.waiting.push(Waiting { query, asker: Asker::Run(venue), intent, asked: now.mono });
                self.queue(Job::Set(venue, intent));
            }
            (None, Some(run)) => {
                run.futures.attempts = 0;
                self.go_to(venue, Stage::Settings(nth.saturating_add(1)), now);
            }
            (_, None) => {}
        }
    }

    /// The next change that brings the venue's settings to the configured ones.
    fn wished_change(
        &self,
        venue: VenueId,
        instrument: InstrumentId,
        symbol: Symbol,
        now: FuturesSettings,
    ) -> Option<SignIntent> {
        let wish = self.venues.get(venue.index())?.setup.futures?;
        let open = |verb: Verb| !self.asking.futures.given_up.contains(&(instrument, verb));
        if now.margin_mode != wish.margin_mode && open(Verb::SetMarginMode) {
            return Some(SignIntent::SetMarginMode { symbol, mode: wish.margin_mode });
        }
        let differs = now.leverage_long != wish.leverage || now.leverage_short != wish.leverage;
        (differs && open(Verb::SetLeverage)).then_some(SignIntent::SetLeverage { symbol, leverage: wish.leverage })
    }

    /// A position mode other than the configured one is told once and never changed: orders are refused by the guard.
    fn compare_mode(&mut self, venue: VenueId, mode: PositionMode, now: Now, out: &mut dyn Effects) {
        let wished =
            self.venues.get(venue.index()).and_then(|state| state.setup.futures).map(|wish| wish.position_mode);
        let told = &mut self.asking.futures.mode_told;
        if wished.is_none_or(|wished| wished == mode) {
            told.retain(|of| *of != venue);
        } else if !told.contains(&venue) {
            told.push(venue);
            self.difference(venue, None, DifferenceKind::PositionMode, now, out);
        }
    }

    /// The venue answered a request that changes leverage or a mode; the setting is read again.
    pub(crate) fn setting_answered(
        &mut self,
        venue: VenueId,
        verb: Verb,
        symbol: Symbol,
        error: Option<VenueError>,
        now: Now,
        out: &mut dyn Effects,
    ) {
        if let Some(error) = error {
            self.publish(EventBody::AskFailed { venue, verb, cause: CouldNotAsk::Venue(error) }, now, out);
        }
        let pause = if error.is_some() { AGAIN } else { std::time::Duration::ZERO };
        self.setting_over(venue, verb, symbol, now.mono.after(pause));
    }

    /// A request that changes a setting was not signed.
    pub(crate) fn setting_refused(&mut self, venue: VenueId, intent: &SignIntent, now: Now, out: &mut dyn Effects) {
        let verb = intent.verb();
        self.publish(EventBody::AskFailed { venue, verb, cause: CouldNotAsk::NotSent }, now, out);
        self.setting_over(venue, verb, symbol_of(intent), now.mono.after(AGAIN));
    }

    fn setting_over(&mut self, venue: VenueId, verb: Verb, symbol: Symbol, due: domain::MonoNanos) {
        let is_it = |waiting: &Waiting| waiting.intent.verb() == verb && symbol_of(&waiting.intent) == symbol;
        let here = |waiting: &Waiting| matches!(waiting.asker, Asker::Run(of) if of == venue);
        let Some(at) = self.asking.waiting.iter().position(|waiting| is_it(waiting) && here(waiting)) else { return };
        self.asking.waiting.swap_remove(at);
        if let Some(run) = self.run_mut(venue) {
            (run.waiting, run.due) = (false, due);
        }
    }

    /// Applies one position as pushed or listed. Marks alone are no news.
    pub(crate) fn position_told(
        &mut self,
        venue: VenueId,
        report: &PositionReport,
        listed: bool,
        now: Now,
        out: &mut dyn Effects,
    ) {
        let known = self.instrument_by_symbol(venue, &report.symbol).filter(|known| known.market.has_positions());
        let Some(instrument) = known.map(|known| known.id) else { return };
        let open = report.qty != Amount::ZERO;
        self.exposure.on_liquidation(instrument, report.side, report.liquidation.filter(|_| open));
        let place = self.asking.futures.told.iter().position(|(of, was)| *of == instrument && was.side == report.side);
        let was = place.and_then(|place| self.asking.futures.told.get(place)).map(|(_, was)| *was);
        let news = match was {
            None => open,
            Some(was) => {
                let core = |of: &PositionReport| (of.qty, of.entry, of.leverage, of.margin_mode);
                let timeless = |of: &PositionReport| PositionReport { venue_time: UnixNanos(0), ..*of };
                core(&was) != core(report) || (listed && timeless(&was) != timeless(report))
            }
        };
        if !news {
            return;
        }
        let told = &mut self.asking.futures.told;
        match place.and_then(|place| told.get_mut(place)) {
            Some(place) => place.1 = *report,
            None => told.push((instrument, *report)),
        }
        self.publish(EventBody::Position { venue, instrument, report: *report }, now, out);
    }

    /// All open positions of an account, compared with the sum of our fills.
    pub(super) fn positions_answer(
        &mut self,
        venue: VenueId,
        list: &[PositionReport],
        now: Now,
        out: &mut dyn Effects,
    ) {
        for report in list {
            self.position_told(venue, report, true, now, out);
        }
        self.close_unlisted(venue, list, now, out);
        let index_delay = self.asking.index_delay.max(AGAIN);
        let found = self.position_differences(venue, list);
        let Some(run) = self.run_mut(venue) else { return };
        run.futures.looks = run.futures.looks.saturating_add(1);
        let stays = |doubt: &(InstrumentId, PositionSide, Decimal)| run.futures.doubts.contains(doubt);
        let settled = found.iter().all(stays);
        let last_look = run.futures.looks >= LOOKS_MAX;
        if !settled && !last_look {
            // Fills may be on their way: ask for them, and look again.
            run.futures.doubts = found;
            self.go_to(venue, Stage::Fills(0), now);
            if let Some(run) = self.run_mut(venue) {
                run.due = now.mono.after(index_delay);
            }
            return;
        }
        let doubts: Vec<_> = found.into_iter().filter(stays).collect();
        self.judge_positions(venue, &doubts, settled, now, out);
        self.go_to(venue, Stage::Bills, now);
    }

    /// A position that is no longer listed is closed.
    fn close_unlisted(&mut self, venue: VenueId, list: &[PositionReport], now: Now, out: &mut dyn Effects) {
        let gone: Vec<PositionReport> = self
            .asking
            .futures
            .told
            .iter()
            .filter(|(id, was)| {
                let here = self.instrument(*id).is_some_and(|instrument| instrument.venue == venue);
                let listed = list.iter().any(|report| report.symbol == was.symbol && report.side == was.side);
                here && !listed && was.qty != Amount::ZERO
            })
            .map(|(_, was)| PositionReport {
                qty: Amount::ZERO,
                entry: None,
                mark: None,
                liquidation: None,
                unrealised: Amount::ZERO,
                margin: None,
                ..*was
            })
            .collect();
        for report in gone {
            self.position_told(venue, &report, true, now, out);
        }
    }

    /// Each position of which the venue's quantity is not the sum of our fills, with what it is more.
    fn position_differences(
        &self,
        venue: VenueId,
        list: &[PositionReport],
    ) -> Vec<(InstrumentId, PositionSide, Decimal)> {
        let mut found = Vec::new();
        for instrument in self.instruments.iter().filter(|i| i.venue == venue && i.market.has_positions()) {
            let hedge = self.exposure.futures_settings(instrument.id).map(|settings| settings.position_mode)
                == Some(PositionMode::Hedge);
            let sides: &[PositionSide] =
                if hedge { &[PositionSide::Long, PositionSide::Short] } else { &[PositionSide::Net] };
            for side in sides {
                let theirs = list
                    .iter()
                    .filter(|report| report.symbol == instrument.symbol && (!hedge || report.side == *side))
                    .fold(Decimal::ZERO, |sum, report| sum.saturating_add(report.qty.0));
                let more = theirs.saturating_sub(self.exposure.leg_position(instrument.id, *side).0);
                if !more.is_zero() {
                    found.push((instrument.id, *side, more.normalize()));
                }
            }
        }
        found
    }

    /// `settled`: every doubt was seen twice alike, so what is not among them agrees.
    fn judge_positions(
        &mut self,
        venue: VenueId,
        doubts: &[(InstrumentId, PositionSide, Decimal)],
        settled: bool,
        now: Now,
        out: &mut dyn Effects,
    ) {
        let here: Vec<InstrumentId> = (0..).map_while(|nth| self.perpetual(venue, nth)).map(|(id, _)| id).collect();
        for instrument in here {
            let differs = doubts.iter().any(|(of, ..)| *of == instrument);
            if differs && !self.exposure.mismatch(instrument) {
                self.difference(venue, None, DifferenceKind::Position, now, out);
            }
            if differs || settled {
                self.exposure.set_mismatch(instrument, differs);
            }
        }
    }

    /// More bills than are read leave a balance that does not add up, which is told.
    pub(super) fn bills_cut(&mut self, venue: VenueId, more: bool, now: Now, out: &mut dyn Effects) {
        let last = self.run_mut(venue).is_some_and(|run| run.stage == Stage::Bills && run.pages >= BILL_PAGES_MAX);
        if more && last {
            self.difference(venue, None, DifferenceKind::Balance, now, out);
        }
    }

    /// Counts a page of bills, each once: funding and transfers.
    pub(super) fn bills_page(&mut self, venue: VenueId, page: &[BillReport], now: Now, out: &mut dyn Effects) {
        let first = self.asking.futures.first_start.unwrap_or(now.unix);
        for bill in page.iter().rev().filter(|bill| bill.venue_time >= first) {
            if !matches!(bill.kind, BillKind::Funding | BillKind::Transfer)
                || !self.asking.futures.count_bill(venue, bill.id)
            {
                continue;
            }
            let (asset, amount, venue_time) = (bill.asset, bill.amount, bill.venue_time);
            if bill.kind == BillKind::Transfer {
                let wallet = if self.has_futures_wallet(venue) { Market::UsdtFutures } else { Market::Spot };
                self.publish(EventBody::Transfer { venue, wallet, bill: bill.id, asset, amount, venue_time }, now, out);
                continue;
            }
            let instrument = bill.symbol.and_then(|symbol| self.instrument_by_symbol(venue, &symbol)).map(|of| of.id);
            self.exposure.on_funding(instrument, amount, venue_time);
            self.publish(EventBody::Funding { venue, instrument, bill: bill.id, asset, amount, venue_time }, now, out);
        }
    }
}

fn symbol_of(intent: &SignIntent) -> Symbol {
    match intent {
        SignIntent::SetLeverage { symbol, .. } | SignIntent::SetMarginMode { symbol, .. } => *symbol,
        _ => Symbol::new(),
    }
}
