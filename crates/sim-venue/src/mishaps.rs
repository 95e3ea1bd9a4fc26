//! What goes wrong at the venue itself: with orders, with keys, with its clock, and when it is closed.

use crate::auth::KeyState;
use crate::fault_desk::OrderFaults;
use crate::hub::Out;
use crate::orders::OrderStatus;
use crate::reject::Reject;
use crate::venue::Venue;
use crate::{FaultKind, FaultPlan, FaultSite, FaultTime, Permission, PlannedFault};
use domain::TimeInForce;
use matching::{CancelReason, Event, OrderId, Removal};
use std::time::Duration;

/// How far the clock jumps unless told otherwise, in milliseconds.
const JUMP_MS: i64 = 60_000;
/// The venue's code while it is closed, unless told otherwise: server upgrade.
const CLOSED_CODE: &str = "40200";
/// How long an order lives that is rejected later, unless told otherwise.
const REJECTED_AFTER: Duration = Duration::from_millis(300);

/// How late an answer is unless told otherwise.
pub(crate) const LATE_ACK_DELAY: Duration = Duration::from_secs(3);

/// Of what waits for its end or its time: states, orders, answers; more are not begun.
const WAITING_MAX: usize = 1_000;

/// Something that ends by itself, and how it was before.
#[derive(Debug)]
struct Lasting {
    /// Since the start of the exchange.
    until: Duration,
    before: Before,
}

#[derive(Debug)]
enum Before {
    Rights(String, Vec<Permission>),
    Works(String),
    /// Nanoseconds that the clock was moved by.
    Clock(i64),
    Open,
}

/// An order that is out of the market already and does not know it yet.
#[derive(Debug)]
struct Doomed {
    due: Duration,
    events: Vec<Event>,
}

/// An answer over a stream that comes late.
#[derive(Debug)]
struct Late {
    due: Duration,
    session: u64,
    text: String,
}

/// What is going on at the venue because of faults.
#[derive(Debug, Default)]
pub(crate) struct Mishaps {
    lasting: Vec<Lasting>,
    doomed: Vec<Doomed>,
    late: Vec<Late>,
    /// The code that everybody is answered while the venue is closed.
    closed: Option<String>,
}

impl Venue {
    /// Counts an order that reached the exchange; what is to go wrong with its answer.
    pub(crate) fn on_place_request(&mut self) -> OrderFaults {
        self.place_requests += 1;
        self.tell_faults_the_time();
        self.hub.faults.on_order();
        self.run_faults();
        self.hub.faults.take_for_order()
    }

    /// Keeps faults for the next order: the one they were meant for was not taken.
    pub(crate) fn rearm(&mut self, faults: OrderFaults) {
        self.hub.faults.give_back(faults);
    }

    /// Lets something go wrong now, or with the next order, frame or handshake if it concerns one.
    pub(crate) fn inject(&mut self, kind: FaultKind) {
        self.tell_faults_the_time();
        self.hub.faults.arm(PlannedFault::new(kind, FaultTime::Now));
        self.run_faults();
    }

    /// Plans further faults; their times and numbers count from now.
    pub(crate) fn add_faults(&mut self, plan: FaultPlan) -> Result<(), String> {
        self.tell_faults_the_time();
        self.hub.faults.add(plan)?;
        self.run_faults();
        Ok(())
    }

    fn tell_faults_the_time(&mut self) {
        let (elapsed, now_ms) = (self.elapsed(), self.now_ms());
        self.hub.faults.tell_time(elapsed, now_ms);
    }

    /// Everything that time brings to faults.
    pub(crate) fn faults_on_time(&mut self, elapsed: Duration) {
        let now_ms = self.now_ms();
        self.hub.faults.on_time(elapsed, now_ms);
        self.run_faults();
        self.hub.end_stalls();
        self.hub.release_held();
        let (over, lasting) =
            std::mem::take(&mut self.mishaps.lasting).into_iter().partition(|it: &Lasting| it.until <= elapsed);
        self.mishaps.lasting = lasting;
        for Lasting { before, .. } in over {
            self.restore(before);
        }
        let (due, doomed) =
            std::mem::take(&mut self.mishaps.doomed).into_iter().partition(|it: &Doomed| it.due <= elapsed);
        self.mishaps.doomed = doomed;
        for Doomed { events, .. } in due {
            self.digest(&events);
        }
        let (due, late) = std::mem::take(&mut self.mishaps.late).into_iter().partition(|it: &Late| it.due <= elapsed);
        self.mishaps.late = late;
        for Late { session, text, .. } in due {
            self.hub.send(session, Out::Text(text));
        }
    }

    /// Answers a stream later than the request deserves.
    pub(crate) fn answer_late(&mut self, session: u64, text: String, delay: Duration) {
        if self.mishaps.late.len() >= WAITING_MAX {
            return self.hub.send(session, Out::Text(text));
        }
        let due = self.elapsed().saturating_add(delay);
        self.mishaps.late.push(Late { due, session, text });
    }

    /// Acts on what is due and waits for nothing.
    pub(crate) fn run_faults(&mut self) {
        self.hub.run_socket_faults();
        for fault in self.hub.faults.take_at_once(|_| true) {
            if fault.duration.is_some() && self.mishaps.lasting.len() >= WAITING_MAX {
                tracing::warn!(fault = fault.kind.name(), "too many faults last already; this one is not begun");
                continue;
            }
            let before = match fault.kind {
                FaultKind::Maintenance => Some(self.close_down(&fault)),
                FaultKind::RightsChanged => self.change_rights(&fault),
                FaultKind::KeyFrozen => self.freeze_key(&fault),
                FaultKind::ClockJump => Some(self.jump(&fault)),
                _ => None,
            };
            if let (Some(before), Some(duration)) = (before, fault.duration) {
                let until = self.hub.faults.elapsed().saturating_add(duration);
                self.mishaps.lasting.push(Lasting { until, before });
            }
        }
    }

    fn close_down(&mut self, fault: &PlannedFault) -> Before {
        let code = fault.parameters.code.as_deref().unwrap_or(CLOSED_CODE);
        self.mishaps.closed = Some(code.to_owned());
        let notice = "{\"event\":\"error\",\"code\":30033,\"msg\":\"Service upgrade, connection will be closed\"}";
        self.hub.dismiss_all(&Out::Text(notice.to_owned()));
        Before::Open
    }

    fn named_key(&self, fault: &PlannedFault) -> String {
        fault.parameters.key.clone().unwrap_or_else(|| self.main_key.clone())
    }

    fn change_rights(&mut self, fault: &PlannedFault) -> Option<Before> {
        let name = self.named_key(fault);
        let key = self.keys.get_mut(&name)?;
        let now = fault.parameters.permissions.clone().unwrap_or_else(|| vec![Permission::Read]);
        let before = std::mem::replace(&mut key.config.permissions, now);
        self.judge_streams();
        Some(Before::Rights(name, before))
    }

    fn freeze_key(&mut self, fault: &PlannedFault) -> Option<Before> {
        let name = self.named_key(fault);
        let key = self.keys.get_mut(&name).filter(|key| key.state == KeyState::Active)?;
        key.state = KeyState::Frozen;
        self.judge_streams();
        Some(Before::Works(name))
    }

    fn jump(&mut self, fault: &PlannedFault) -> Before {
        let by_ns = fault.parameters.jump_ms.unwrap_or(JUMP_MS).saturating_mul(1_000_000);
        self.shift_clock(by_ns);
        Before::Clock(by_ns)
    }

    fn restore(&mut self, before: Before) {
        match before {
            Before::Rights(name, permissions) => {
                if let Some(key) = self.keys.get_mut(&name) {
                    key.config.permissions = permissions;
                }
            }
            Before::Works(name) => {
                if let Some(key) = self.keys.get_mut(&name).filter(|key| key.state == KeyState::Frozen) {
                    key.state = KeyState::Active;
                }
            }
            Before::Clock(by_ns) => self.shift_clock(by_ns.saturating_neg()),
            Before::Open => self.mishaps.closed = None,
        }
    }

    /// Whether the venue is closed to everybody: what a request is answered then.
    pub(crate) fn closed(&self) -> Option<Reject> {
        let code = self.mishaps.closed.as_deref()?;
        Some(match code {
            "45001" => Reject::new("45001", "Unknown error"),
            "40725" => Reject::new("40725", "service return an error"),
            "40015" => Reject::new("40015", "System is abnormal, please try again later"),
            "50031" => Reject::new("50031", "System error"),
            "503" => Reject::no_json(),
            _ => Reject::new("40200", "Server upgrade, please try again later"),
        })
    }

    /// What happens to an order that has just been accepted; the faults that concern its answer come back.
    pub(crate) fn after_accept(&mut self, account: usize, id: OrderId, mut faults: OrderFaults) -> OrderFaults {
        if faults.contains(&FaultKind::FillBeforeAck) {
            self.fill_now(account, id);
        }
        if let Some(after) = faults.delay(FaultKind::RejectedLater, REJECTED_AFTER)
            && !self.reject_later(account, id, after)
        {
            // It has traded already: the next order is the one.
            self.rearm(faults.split_off(FaultKind::RejectedLater));
        }
        faults
    }

    /// Takes an order out of the market at once and tells its owner only later; false when it has begun to trade.
    ///
    /// What the owner hears is what the venue says of an order that never rested: its reason follows from its kind.
    pub(crate) fn reject_later(&mut self, account: usize, id: OrderId, after: Duration) -> bool {
        let Some(owner) = self.accounts.get(account) else { return false };
        let (engine_id, Some(order)) = (owner.engine, owner.order(id)) else { return false };
        if order.status != OrderStatus::Live || self.mishaps.doomed.len() >= WAITING_MAX {
            return false;
        }
        let reason = match order.force {
            TimeInForce::PostOnly => CancelReason::WouldTake,
            TimeInForce::Fok => CancelReason::NotFillable,
            TimeInForce::Ioc => CancelReason::Unfilled,
            TimeInForce::Gtc => CancelReason::Requested,
        };
        let (instrument, mut events) = (order.instrument, Vec::new());
        if !self.engine.cancel(engine_id, instrument, id, &mut events) {
            return false;
        }
        for event in &mut events {
            if let Event::Removed { how, .. } = event {
                *how = Removal::Cancelled(reason);
            }
        }
        let due = self.hub.faults.elapsed().saturating_add(after);
        self.mishaps.doomed.push(Doomed { due, events });
        true
    }

    /// Lets the market be quicker than a cancellation, if that is planned; true when the order filled.
    pub(crate) fn lost_race(&mut self, account: usize, id: OrderId) -> bool {
        let open = self.accounts.get(account).and_then(|owner| owner.order(id));
        if !open.is_some_and(|order| order.status.is_open())
            || self.hub.faults.take(FaultKind::CancelFillRace, FaultSite::Rest).is_none()
        {
            return false;
        }
        self.fill_now(account, id);
        let order = self.accounts.get(account).and_then(|owner| owner.order(id));
        order.is_some_and(|order| !order.status.is_open())
    }
}
