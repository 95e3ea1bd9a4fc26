//! What the venue says, applied to the orders: answers, pushes, fills, balances.

use crate::core::{Core, Job, note};
use crate::types::{Effects, Now};
use domain::{
    CancelState, ClientOrderId, Fill, Order, OrderChange, OrderState, Qty, StrategyTag, TimeInForce, VenueId,
};
use messages::{
    DifferenceKind, EventBody, FillReport, HaltReason, OrderUpdate, ReportBody, VenueError, VenueErrorClass,
    VenueReason, VenueReport, Verb,
};

impl Core {
    /// Applies one report of the gateway.
    pub fn report(&mut self, report: &VenueReport, now: Now, out: &mut dyn Effects) {
        let venue = report.venue;
        match &report.body {
            ReportBody::Sent { id, verb: Verb::Place, at } => {
                self.change(*id, OrderChange::Sent, *at, None, now, out);
            }
            ReportBody::Sent { .. } => {}
            ReportBody::NotSent { id, verb } => self.not_sent(*id, *verb, now, out),
            ReportBody::AnswerMissing { id, verb } => self.answer_missing(*id, *verb, None, now, out),
            ReportBody::Accepted { id, verb, venue_order_id, at } => match verb {
                Verb::Place => {
                    self.guard.guard().on_outcome(false);
                    self.change(*id, OrderChange::Acked(*venue_order_id), *at, None, now, out);
                }
                _ => {
                    self.change(*id, OrderChange::CancelAccepted, *at, None, now, out);
                    self.asking.watch_cancel(*id, now.mono);
                }
            },
            ReportBody::Failed { id, verb, error } => self.failed(*id, *verb, error, now, out),
            ReportBody::Order(update) => {
                self.order_update(venue, update, now, out);
            }
            ReportBody::Fill(fill) => {
                self.fill(venue, fill, now, out);
            }
            ReportBody::Balance(balance) => {
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
            ReportBody::Answer { query, answer } => self.answer(*query, answer, now, out),
            ReportBody::Position(position) => self.position_told(venue, position, false, now, out),
            ReportBody::SettingAnswered { verb, symbol, error } => {
                self.setting_answered(venue, *verb, *symbol, *error, now, out);
            }
            ReportBody::CancelAllDone { .. } => {}
            ReportBody::RateLimited { group, wait } => self.rate_limited(venue, *group, *wait, now),
        }
    }

    fn not_sent(&mut self, id: ClientOrderId, verb: Verb, now: Now, out: &mut dyn Effects) {
        if verb == Verb::Place {
            self.change(id, OrderChange::NotSent, now.mono, None, now, out);
        } else {
            self.change(id, OrderChange::CancelFailed, now.mono, None, now, out);
            self.publish(EventBody::CancelSent { id, cancel: CancelState::None }, now, out);
        }
    }

    fn answer_missing(
        &mut self,
        id: ClientOrderId,
        verb: Verb,
        error: Option<VenueError>,
        now: Now,
        out: &mut dyn Effects,
    ) {
        let change = if verb == Verb::Place { OrderChange::AnswerMissing } else { OrderChange::CancelUnclear };
        self.change(id, change, now.mono, error, now, out);
        let open = self.table.get(&id).is_some_and(|order| {
            order.state == OrderState::Unknown || (order.cancel == CancelState::Asking && !order.state.is_terminal())
        });
        if open {
            self.asking.probe(id, now.mono);
        }
    }

    fn failed(&mut self, id: ClientOrderId, verb: Verb, error: &VenueError, now: Now, out: &mut dyn Effects) {
        if error.class == VenueErrorClass::OutcomeUnknown || error.reason == VenueReason::DuplicateClientId {
            self.answer_missing(id, verb, Some(*error), now, out);
            return;
        }
        if verb == Verb::Place {
            // Being asked to wait is no judgement about the order.
            if error.reason != VenueReason::RateLimit {
                self.guard.guard().on_outcome(true);
            }
            self.change(id, OrderChange::Rejected, now.mono, Some(*error), now, out);
        } else if matches!(error.reason, VenueReason::OrderNotFound | VenueReason::NotCancellable) {
            self.answer_missing(id, verb, Some(*error), now, out);
        } else {
            self.change(id, OrderChange::CancelFailed, now.mono, Some(*error), now, out);
            self.publish(EventBody::CancelSent { id, cancel: CancelState::None }, now, out);
        }
        if error.class == VenueErrorClass::Fatal {
            let reason = match error.reason {
                VenueReason::KeyUnknown
                | VenueReason::Signature
                | VenueReason::Passphrase
                | VenueReason::Permission => HaltReason::KeyRejected,
                _ => HaltReason::VenueFatal,
            };
            self.halt(reason, note(&error.text), now, out);
        }
    }

    /// Applies a push or query answer about one order; says which order of ours it is.
    pub(crate) fn order_update(
        &mut self,
        venue: VenueId,
        update: &OrderUpdate,
        now: Now,
        out: &mut dyn Effects,
    ) -> Option<ClientOrderId> {
        let id = update.client_id.parse::<ClientOrderId>().ok();
        let tag = self.venues.get(venue.index()).map(|state| state.setup.tag);
        let Some(id) = id.filter(|id| Some(id.tag()) == tag) else {
            self.foreign_order(venue, update, id.is_some(), now, out);
            return None;
        };
        if self.table.get(&id).is_none() && !self.adopt(venue, id, update, now, out) {
            return None;
        }
        let order = self.table.get(&id).copied()?;
        let version = self.version(order.instrument, order.version)?;
        let Ok(filled) = version.qty(update.filled) else {
            self.difference(venue, Some(id), DifferenceKind::Number, now, out);
            self.halt(HaltReason::Reconciliation, note("a quantity does not fit the instrument"), now, out);
            return Some(id);
        };
        let seen = OrderChange::Seen { venue_order_id: update.venue_order_id, status: update.status, filled };
        self.change(id, seen, now.mono, None, now, out);
        if let Some(order) = self.table.get(&id)
            && order.filled > order.filled_by_fills
        {
            self.asking.fills_are_missing(venue, now.mono);
        }
        Some(id)
    }

    /// Takes in an own order that no record knows (a power cut may lose the last records).
    fn adopt(
        &mut self,
        venue: VenueId,
        id: ClientOrderId,
        update: &OrderUpdate,
        now: Now,
        out: &mut dyn Effects,
    ) -> bool {
        let rests = matches!(update.status, domain::VenueOrderStatus::Live | domain::VenueOrderStatus::PartlyFilled);
        let issued_now = self.venues.get(venue.index()).is_some_and(|state| state.setup.epoch == id.epoch());
        if !rests && (update.filled.mantissa == 0 || issued_now || self.asking.was_recorded(id)) {
            // It moved nothing, or it was known, was counted, and has ended too long ago to be remembered.
            return false;
        }
        let Some(instrument) = self.instrument_by_symbol(venue, &update.symbol) else { return false };
        let version = instrument.version;
        let (Ok(qty), Some(Ok(price))) = (version.qty(update.qty), update.price.map(|price| version.price(price)))
        else {
            self.difference(venue, Some(id), DifferenceKind::Number, now, out);
            return false;
        };
        let order = Order {
            id,
            strategy: StrategyTag(0),
            reference: 0,
            instrument: version.id,
            version: version.version,
            side: update.side,
            price,
            qty,
            time_in_force: TimeInForce::Gtc,
            effect: domain::PositionEffect::default(),
            state: OrderState::Unknown,
            cancel: CancelState::None,
            filled: Qty::ZERO,
            filled_by_fills: Qty::ZERO,
            venue_order_id: None,
            created: update.created,
        };
        if !self.table.insert(order) {
            return false;
        }
        self.exposure.on_order(None, &order);
        self.difference(venue, Some(id), DifferenceKind::UnknownOwnOrder, now, out);
        self.publish(EventBody::Order { order, from: OrderState::New, at: now.mono, error: None }, now, out);
        self.queue(Job::Cancel(id));
        true
    }

    fn foreign_order(
        &mut self,
        venue: VenueId,
        update: &OrderUpdate,
        ours_elsewhere: bool,
        now: Now,
        out: &mut dyn Effects,
    ) {
        if self.foreign.contains(&update.venue_order_id) {
            return;
        }
        if self.foreign.len() >= Self::foreign_max() {
            self.foreign.pop_front();
        }
        self.foreign.push_back(update.venue_order_id);
        let body =
            EventBody::ForeignOrder { venue, venue_order_id: update.venue_order_id, other_instance: ours_elsewhere };
        self.publish(body, now, out);
        let resting = matches!(update.status, domain::VenueOrderStatus::Live | domain::VenueOrderStatus::PartlyFilled);
        if resting && (ours_elsewhere || self.hold_on_foreign) {
            self.halt(
                HaltReason::ForeignInstance,
                note("an order that is not this instance's rests on this account"),
                now,
                out,
            );
        }
    }

    /// Counts a fill once. `false` when its order is not known (yet): it is kept for a while.
    pub(crate) fn fill(&mut self, venue: VenueId, report: &FillReport, now: Now, out: &mut dyn Effects) -> bool {
        let by_text = report.client_id.and_then(|text| text.parse::<ClientOrderId>().ok());
        let id = by_text.filter(|id| self.table.get(id).is_some()).or_else(|| self.table.id_of(&report.venue_order_id));
        let Some(id) = id else {
            if !self.foreign.contains(&report.venue_order_id) {
                if self.stash.len() >= Self::stash_max() {
                    self.stash.pop_front();
                }
                self.stash.push_back((venue, *report));
            }
            return false;
        };
        self.count_fill(venue, id, report, now, out)
    }

    fn count_fill(
        &mut self,
        venue: VenueId,
        id: ClientOrderId,
        report: &FillReport,
        now: Now,
        out: &mut dyn Effects,
    ) -> bool {
        if self.seen.contains(id, report.trade_id) {
            return false;
        }
        let Some(order) = self.table.get(&id).copied() else { return false };
        let Some(version) = self.version(order.instrument, order.version) else { return false };
        let (Ok(price), Ok(qty)) = (version.price(report.price), version.qty(report.qty)) else {
            self.difference(venue, Some(id), DifferenceKind::Number, now, out);
            self.halt(HaltReason::Reconciliation, note("a fill does not fit the instrument"), now, out);
            return false;
        };
        self.seen.insert(id, report.trade_id);
        if self.table.get(&id).is_some_and(|order| order.venue_order_id.is_none()) {
            self.learn_venue_id(id, report, now, out);
        }
        self.change(id, OrderChange::Fill(qty), now.mono, None, now, out);
        let Some(order) = self.table.get(&id).copied() else { return false };
        let fill = Fill {
            trade_id: report.trade_id,
            order: id,
            strategy: order.strategy,
            instrument: order.instrument,
            version: order.version,
            side: order.side,
            position_side: order.effect.side,
            price,
            qty,
            fee: report.fee,
            liquidity: report.liquidity,
            venue_time: report.venue_time,
        };
        let position = self.exposure.on_fill(&fill);
        self.remember_fill(venue, fill);
        let body = EventBody::Filled { fill, state: order.state, filled: order.filled, position };
        self.publish(body, now, out);
        true
    }

    /// A fill can be the first to name the venue's id; so can it be the first sign of life of an unknown order.
    fn learn_venue_id(&mut self, id: ClientOrderId, report: &FillReport, now: Now, out: &mut dyn Effects) {
        let knowable = self
            .table
            .get(&id)
            .is_some_and(|order| matches!(order.state, OrderState::Signed | OrderState::Sent | OrderState::Unknown));
        if knowable {
            self.change(id, OrderChange::Acked(report.venue_order_id), now.mono, None, now, out);
        }
    }

    pub(crate) fn remember_fill(&mut self, venue: VenueId, fill: Fill) {
        if let Some(last) = self.last_fill.get_mut(venue.index()) {
            *last = (*last).max(fill.venue_time);
        }
        if !self.has_history.contains(&fill.strategy) {
            self.has_history.push(fill.strategy);
        }
        if self.latest_fills.len() >= messages::Restored::FILLS_MAX {
            self.latest_fills.pop_front();
        }
        self.latest_fills.push_back(fill);
    }

    /// Tries the kept fills again, now that an order's venue id is known.
    pub(crate) fn drain_stash(&mut self, now: Now, out: &mut dyn Effects) {
        for _ in 0..self.stash.len() {
            let Some((venue, report)) = self.stash.pop_front() else { return };
            match self.table.id_of(&report.venue_order_id) {
                Some(id) => {
                    self.count_fill(venue, id, &report, now, out);
                }
                None => self.stash.push_back((venue, report)),
            }
        }
    }
}
