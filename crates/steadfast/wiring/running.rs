//! A running program: its main loop, its orderly end, and its end after a death in the money path.

use super::{End, Running};
use crate::caretaker::CareNews;
use crate::shared::Shared;
use alerts::{Alert, Event};
use key_manager::KeyCare;
use messages::Control;
use std::time::Duration;

impl Running {
    /// Keeps the program going until `wanted` is true or a part of the money path dies. `each` is called about
    /// four times a second.
    pub async fn drive(&mut self, wanted: impl Fn() -> bool, mut each: impl FnMut(&Shared)) -> Option<&'static str> {
        let mut tick = tokio::time::interval(KeyCare::tick_every());
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !wanted() {
            tokio::select! {
                Some(heard) = self.news.recv() => {
                    if let CareNews::Clock { offset_ns, .. } = heard {
                        self.emergency.set_clock_offset(offset_ns);
                    }
                    self.caretaker.hear(heard);
                }
                _ = tick.tick() => {
                    self.caretaker.tick();
                    self.audit.tick();
                    self.watch();
                    each(&self.shared);
                    if let Ok(part) = self.deaths.try_recv() {
                        return Some(part);
                    }
                    if !self.journal.is_running() {
                        return Some("journal");
                    }
                }
            }
        }
        None
    }

    fn watch(&self) {
        for reading in self.keeper.readings() {
            #[expect(clippy::cast_precision_loss, reason = "a gauge of a few thousand at most")]
            {
                telemetry::mailbox_depth(reading.actor).set(reading.depth as f64);
                telemetry::mailbox_capacity(reading.actor).set(reading.messages_max as f64);
            }
            telemetry::messages_dropped_total(reading.actor, "conflated").absolute(reading.conflated_total);
        }
        let urgent = &self.station.lanes().urgent;
        #[expect(clippy::cast_precision_loss, reason = "a gauge of a few thousand at most")]
        {
            telemetry::mailbox_depth("order-path").set(urgent.depth() as f64);
            telemetry::mailbox_capacity("order-path").set(urgent.room() as f64);
        }
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
            tokio::select! {
                Some(heard) = self.news.recv() => self.caretaker.hear(heard),
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
            left = self.station.live_orders().unwrap_or(0);
        }
        self.station.stop(Duration::from_secs(2)).await;
        self.observer.stop();
        let _ = self.journal.stop();
        self.audit.stopped(why);
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
        let lines = self.emergency.cancel_everything(Duration::from_secs(20));
        for line in &lines {
            tracing::error!(line, "emergency");
        }
        self.audit.stopped(&format!("{part} died"));
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
