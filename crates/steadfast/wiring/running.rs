//! A running program: its main loop, its orderly end, and its end after a death in the money path.

use super::{End, Running};
use crate::emergency::Emergency;
use crate::shared::Shared;
use alerts::{Alert, Event};
use messages::Control;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two looks at what died and what waits.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Orders named one by one when they cannot be cancelled.
const LISTED_MAX: usize = 20;

impl Running {
    /// Keeps the program going until `wanted` is true or a part of the money path dies. `each` is called about
    /// four times a second.
    pub async fn drive(&mut self, wanted: impl Fn() -> bool, mut each: impl FnMut(&Shared)) -> Option<&'static str> {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !wanted() {
            tick.tick().await;
            self.tell_reconciled();
            self.watch();
            each(&self.shared);
            if let Ok(part) = self.deaths.try_recv() {
                return Some(part);
            }
            if !self.journal.is_running() {
                return Some("journal");
            }
        }
        None
    }

    /// The signer signs no order after a machine that went down until every venue has been asked.
    fn tell_reconciled(&mut self) {
        let all = {
            let state = self.shared.state();
            self.plan.venues.len() == state.reconciled.len() && state.reconciled.values().all(|done| *done)
        };
        if all
            && let Some(mut store) = self.untold.take()
            && let Err(error) = store.reconciled()
        {
            tracing::error!(error = %crate::report::causes(&error), "the signer's records could not be released");
            self.untold = Some(store);
        }
    }

    fn watch(&mut self) {
        for (venue, (offset_ns, ..)) in &self.shared.state().clocks {
            if self.told_offsets.insert(*venue, *offset_ns) != Some(*offset_ns) {
                self.emergency.set_clock_offset(*venue, *offset_ns);
            }
        }
        let mut mailboxes: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
        for reading in self.keeper.readings() {
            // Actors of one name, one for each venue, are shown by the fullest.
            let shown = mailboxes.entry(reading.actor).or_default();
            *shown = (reading.depth.max(shown.0), reading.messages_max.max(shown.1));
            #[expect(clippy::cast_precision_loss, reason = "a gauge of a few thousand at most")]
            {
                telemetry::mailbox_depth(reading.actor).set(reading.depth as f64);
                telemetry::mailbox_capacity(reading.actor).set(reading.messages_max as f64);
            }
            telemetry::messages_dropped_total(reading.actor, "conflated").absolute(reading.conflated_total);
        }
        for (actor, (depth, room)) in self.station.readings().into_iter().chain([("journal", self.journal.reading())]) {
            #[expect(clippy::cast_precision_loss, reason = "a gauge of a few thousand at most")]
            {
                telemetry::mailbox_depth(actor).set(depth as f64);
                telemetry::mailbox_capacity(actor).set(room as f64);
            }
            mailboxes.insert(actor, (depth, room));
        }
        self.shared.state().mailboxes.extend(mailboxes);
    }

    /// Stops in order: no new intents, cancels (if the settings say so), drains the gateway, flushes the journal.
    pub async fn stop(mut self, why: &str) -> End {
        self.shared.state().stopping = true;
        let begun = self.shared.clock.mono();
        // Feeds and strategies first: nobody asks for a new order while the old ones are being cancelled.
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
        self.station.control(Control::Shutdown { cancel: self.plan.cancel_on_shutdown });
        let patience = self.plan.shutdown_timeout;
        let mut left = self.station.live_orders().unwrap_or(0);
        while self.plan.cancel_on_shutdown && left > 0 && self.shared.clock.mono().since(begun) < patience {
            tokio::time::sleep(Duration::from_millis(20)).await;
            left = self.station.live_orders().unwrap_or(0);
        }
        self.station.stop(Duration::from_secs(2)).await;
        self.observer.stop();
        let _ = self.journal.stop();
        if let Some(alerts) = &self.alerts {
            alerts.tell(&Alert::new(
                Event::Stopped,
                format!("steadfast stopped: {why}; {left} orders rest"),
                "start it again to go on trading",
            ));
            let _ = alerts.flush(Duration::from_secs(3));
        }
        drop(self.control.take());
        End::Orderly { left }
    }

    /// A part of the money path has died: cancel through the emergency thread, flush, end.
    pub async fn abandon(mut self, part: &'static str) -> End {
        self.shared.state().stopping = true;
        let mut lines = self.emergency.cancel_everything(Duration::from_secs(20));
        if !Emergency::all_cancelled(&lines) {
            let state = self.shared.state();
            let resting = state.portfolio.snapshot(0).open_orders;
            lines.push(format!("{} orders may still rest:", resting.len()));
            lines.extend(resting.iter().take(LISTED_MAX).map(|order| {
                format!("{} {} {} at {} ({})", order.instrument, order.side.as_str(), order.qty, order.price, order.id)
            }));
        }
        for line in &lines {
            tracing::error!(line, "emergency");
        }
        if let Some(alerts) = &self.alerts {
            alerts.tell(&Alert::new(
                Event::ActorEscalated,
                format!("{part} died; {}", lines.join("; ")),
                "look at the log; it is restarted by the service manager",
            ));
            let _ = alerts.flush(Duration::from_secs(3));
        }
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
        self.station.stop(Duration::from_secs(1)).await;
        self.observer.stop();
        let _ = self.journal.stop();
        drop(self.control.take());
        End::Died(part, lines)
    }
}
