//! The shell around [`RiskGuard`]: the typed hand-over from the order path, the tally and `actor_up`. It has neither
//! mailbox nor thread: the order path calls it.

use crate::core::{CheckedOrder, Gate, RiskGuard};
use crate::exposure::Exposure;
use domain::{InstrumentVersion, MonoNanos};
use messages::{OrderIntent, RefuseReason, TopUsed};
use telemetry::{Actor, CheckResult, Limit};

/// One intent with everything it is checked against.
#[derive(Debug, Clone, Copy)]
pub struct CheckOrder<'a> {
    /// What the strategy wants.
    pub intent: &'a OrderIntent,
    /// The trading rules in force.
    pub version: &'a InstrumentVersion,
    /// What holds at the venue.
    pub gate: &'a Gate,
    /// The top of book, or why there is none.
    pub top: Result<TopUsed, RefuseReason>,
    /// What is at stake.
    pub exposure: &'a Exposure,
    /// The moment of the check.
    pub now: MonoNanos,
}

/// The risk guard as the order path calls it: counts in plain integers, publishes when told to.
#[derive(Debug)]
pub struct RiskGuardActor {
    guard: RiskGuard,
    account: String,
    accepted: u64,
    refused: [u64; RefuseReason::ALL.len()],
    handles: Handles,
}

struct Handles {
    accepted: metrics::Counter,
    refused: Vec<metrics::Counter>,
    up: metrics::Gauge,
    used: [metrics::Gauge; 7],
}

impl std::fmt::Debug for Handles {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Handles")
    }
}

impl RiskGuardActor {
    /// Takes the guard into service; `account` names it in the metrics.
    #[must_use]
    pub fn new(guard: RiskGuard, account: &str) -> Self {
        let gauge = |limit| telemetry::risk_limit_used_ratio(limit, account);
        let handles = Handles {
            accepted: telemetry::risk_checks_total(CheckResult::Accepted, "none"),
            refused: RefuseReason::ALL
                .iter()
                .map(|reason| telemetry::risk_checks_total(CheckResult::Refused, reason.as_str()))
                .collect(),
            up: telemetry::actor_up(Actor::RiskGuard),
            used: [
                gauge(Limit::OpenOrders),
                gauge(Limit::OrderRate),
                gauge(Limit::Position),
                gauge(Limit::GrossExposure),
                gauge(Limit::DailyLoss),
                gauge(Limit::Drawdown),
                gauge(Limit::RejectRatio),
            ],
        };
        handles.up.set(1.0);
        Self { guard, account: account.to_owned(), accepted: 0, refused: [0; RefuseReason::ALL.len()], handles }
    }

    /// Checks one order and counts the answer.
    ///
    /// # Errors
    /// As [`RiskGuard::check`].
    pub fn handle(&mut self, order: CheckOrder<'_>) -> Result<CheckedOrder, RefuseReason> {
        let answer = self.guard.check(order.intent, order.version, order.gate, order.top, order.exposure, order.now);
        match &answer {
            Ok(_) => self.accepted += 1,
            Err(reason) => self.count_refusal(*reason),
        }
        answer
    }

    /// Counts a refusal that somebody else on the order path decided (table full, outbox full, signer).
    pub fn count_refusal(&mut self, reason: RefuseReason) {
        if let Some(count) = self.refused.get_mut(reason.index()) {
            *count += 1;
        }
    }

    /// The guard itself: cancels, outcomes, halts, tightening.
    pub const fn guard(&mut self) -> &mut RiskGuard {
        &mut self.guard
    }

    /// The account's name in the metrics.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Orders accepted so far.
    #[must_use]
    pub const fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Orders refused so far for `reason`.
    #[must_use]
    pub fn refused(&self, reason: RefuseReason) -> u64 {
        self.refused.get(reason.index()).copied().unwrap_or(0)
    }

    /// Publishes the tally and the use of the limits; called when the order path is idle.
    pub fn publish(&self, exposure: &Exposure, now: MonoNanos) {
        self.handles.accepted.absolute(self.accepted);
        for (handle, count) in self.handles.refused.iter().zip(self.refused) {
            if count > 0 {
                handle.absolute(count);
            }
        }
        let used = self.guard.used_ratios(exposure, now);
        let values = [
            used.open_orders,
            used.order_rate,
            used.position,
            used.gross_exposure,
            used.daily_loss,
            used.drawdown,
            used.reject_ratio,
        ];
        for (gauge, value) in self.handles.used.iter().zip(values) {
            gauge.set(value);
        }
    }
}

impl Drop for RiskGuardActor {
    fn drop(&mut self) {
        self.handles.up.set(0.0);
    }
}
