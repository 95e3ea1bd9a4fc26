//! Rebuilding the order path from disk: journalled events first, then wire records past their end.

use crate::core::{Core, Job};
use crate::types::{Effects, Now};
use domain::{CancelState, Fill, InstrumentId, Order, OrderState, StrategyTag};
use messages::{EventBody, OrderEvent, Restored, TradingState};

/// A place request that `wire.log` recorded, in the instrument's mantissas.
pub type WireOrder = Order;

impl Core {
    /// Applies one journalled event, in order of its number.
    pub fn restore(&mut self, event: &OrderEvent) {
        self.set_next_event(event.seq.saturating_add(1));
        match &event.body {
            EventBody::Instrument(version) => self.add_version(*version),
            EventBody::Placed { order, .. } | EventBody::Order { order, .. } => {
                self.asking.note_journalled(order.id);
                self.restore_order(*order);
            }
            EventBody::Started { .. } => self.asking.futures.started(event.at),
            EventBody::Reconciled { venue, .. } => {
                self.asking.fills_are_known(*venue, event.at);
                self.asking.futures.bills_are_known(*venue, event.at);
            }
            EventBody::Funding { venue, instrument, bill, amount, venue_time, .. }
                if self.asking.futures.count_bill(*venue, *bill) =>
            {
                self.exposure.on_funding(*instrument, *amount, *venue_time);
            }
            EventBody::Transfer { venue, bill, .. } => {
                self.asking.futures.count_bill(*venue, *bill);
            }
            EventBody::Filled { fill, .. } => self.restore_fill(fill),
            EventBody::Trading { state, .. } if self.trading().0 != TradingState::Halted => {
                // A halt is remembered by its flag alone, so that lifting it cannot be undone by a replay.
                let state = if *state == TradingState::ReduceOnly { *state } else { TradingState::Active };
                self.set_trading(state, None);
            }
            _ => {}
        }
    }

    fn restore_order(&mut self, order: Order) {
        match self.table.get(&order.id).copied() {
            Some(before) => {
                self.table.put(order);
                self.exposure.on_order(Some(&before), &order);
            }
            None => {
                if self.table.insert(order) {
                    self.exposure.on_order(None, &order);
                }
            }
        }
    }

    fn restore_fill(&mut self, fill: &Fill) {
        if !self.seen.insert(fill.order, fill.trade_id) {
            return;
        }
        if let Some(before) = self.table.get(&fill.order).copied() {
            let mut order = before;
            order.apply(domain::OrderChange::Fill(fill.qty));
            self.table.put(order);
            self.exposure.on_order(Some(&before), &order);
        }
        self.exposure.on_fill(fill);
        if let Some(venue) = self.instrument(fill.instrument).map(|instrument| instrument.venue) {
            self.remember_fill(venue, *fill);
        }
    }

    /// Takes in a recorded place request that the journal may not know: it left, or may have left. `false`: the
    /// journal knows the order, be it that it ended long ago and is remembered no more. Comes after every
    /// [`Core::restore`].
    pub fn restore_wire_order(&mut self, order: WireOrder) -> bool {
        self.asking.note_recorded(order.id);
        if self.asking.is_journalled(order.id) || self.table.get(&order.id).is_some() {
            return false;
        }
        let order = Order { state: OrderState::Unknown, cancel: CancelState::None, ..order };
        let taken = self.table.insert(order);
        if taken {
            self.exposure.on_order(None, &order);
        }
        taken
    }

    /// Ends the rebuilding: whatever had been signed or sent without an answer is unknown until the venue says
    /// what it is. The questions begin with the first comparison of books.
    pub fn restored(&mut self, now: Now, out: &mut dyn Effects) {
        for id in self.table.live_ids() {
            let Some(before) = self.table.get(&id).copied() else { continue };
            let mut order = Order { cancel: CancelState::None, ..before };
            match order.state {
                OrderState::New | OrderState::Checked => {
                    order.apply(domain::OrderChange::Refused);
                }
                OrderState::Signed | OrderState::Sent => {
                    order.apply(domain::OrderChange::AnswerMissing);
                }
                _ => {}
            }
            if order == before && order.state != OrderState::Unknown {
                continue;
            }
            self.table.put(order);
            self.exposure.on_order(Some(&before), &order);
            self.publish(EventBody::Order { order, from: before.state, at: now.mono, error: None }, now, out);
            if order.state == OrderState::Unknown {
                self.asking.probe(id, now.mono);
            }
            if order.strategy == StrategyTag(0) {
                self.queue(Job::Cancel(id));
            }
        }
    }

    /// What a strategy rebuilds itself from: what it did on the instrument that it trades now. What it left resting
    /// on another one belongs to nobody any more and is cancelled.
    pub fn restored_for(&mut self, strategy: StrategyTag, instrument: InstrumentId) -> Restored {
        let own = self.table.live().filter(|order| order.strategy == strategy);
        let (mut orders, left): (Vec<Order>, Vec<Order>) = own.partition(|order| order.instrument == instrument);
        left.iter().for_each(|order| self.queue(Job::Cancel(order.id)));
        orders.sort_by_key(|order| order.id);
        let is_own = |fill: &&Fill| fill.strategy == strategy && fill.instrument == instrument;
        let fills: Vec<_> = self.latest_fills.iter().filter(is_own).copied().collect();
        let position = self.exposure.position(strategy, instrument).qty;
        let has_history = self.has_history.contains(&strategy) || !orders.is_empty();
        Restored { strategy, orders, fills, position, has_history }
    }
}
