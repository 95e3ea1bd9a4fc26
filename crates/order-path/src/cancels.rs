//! Cancels: on a strategy's wish, at a halt or stop, and behind a private stream that stays down.

use crate::core::{Core, Job};
use crate::types::{Effects, Now};
use domain::{CancelState, ClientOrderId, OrderState, StrategyTag};
use messages::EventBody;

impl Core {
    /// A strategy may cancel its own orders, at a bounded rate.
    pub(crate) fn strategy_cancel(
        &mut self,
        strategy: StrategyTag,
        id: ClientOrderId,
        now: Now,
        out: &mut dyn Effects,
    ) {
        let owned = self.table.get(&id).is_some_and(|order| order.strategy == strategy);
        if !owned {
            return;
        }
        match self.guard.guard().check_cancel(now.mono) {
            Ok(()) => self.queue(Job::Cancel(id)),
            Err(reason) => self.publish(EventBody::CancelRefused { id, reason }, now, out),
        }
    }

    /// Nobody sees the fills of what rests while a private stream is down: after a while it is cancelled.
    pub(crate) fn cancel_behind_lost_streams(&mut self, now: Now) {
        for index in 0..self.venues.len() {
            let patience = self.cancel_on_disconnect_after;
            let Some(state) = self.venues.get_mut(index) else { continue };
            if state.stream_lost.is_none_or(|lost| now.mono.since(lost) < patience) {
                continue;
            }
            state.stream_lost = None;
            for id in self.table.live_ids() {
                let here = self
                    .table
                    .get(&id)
                    .and_then(|order| self.instrument(order.instrument))
                    .is_some_and(|instrument| instrument.venue.index() == index);
                if here {
                    self.queue(Job::Cancel(id));
                }
            }
        }
    }

    /// A halt's or shutdown's cancels that failed are made again until nothing rests.
    pub(crate) fn cancel_leftovers(&mut self) {
        if self.jobs.iter().any(|job| matches!(job, Job::Cancel(_))) {
            return;
        }
        for id in self.table.live_ids() {
            let rests = self.table.get(&id).is_some_and(|order| {
                order.cancel == CancelState::None && matches!(order.state, OrderState::Acked | OrderState::PartlyFilled)
            });
            if rests {
                self.queue(Job::Cancel(id));
            }
        }
    }

    pub(crate) fn cancel_everything(&mut self) {
        for id in self.table.live_ids() {
            self.queue(Job::Cancel(id));
        }
    }
}
