//! The portfolio as metrics.

use crate::core::Portfolio;
use domain::{InstrumentId, OrderState};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use std::collections::BTreeMap;

/// Publishes the gauges of one account; called about once a second.
#[derive(Debug, Clone)]
pub struct PortfolioMetrics {
    account: String,
    quote: String,
}

impl PortfolioMetrics {
    /// Metrics under this account's name, in this quote asset.
    #[must_use]
    pub fn new(account: &str, quote: &str) -> Self {
        Self { account: account.to_owned(), quote: quote.to_owned() }
    }

    /// Sets equity, positions, results and unknown orders. `f64` is exact enough for a graph.
    pub fn publish(&self, portfolio: &Portfolio, venue: &str) {
        let snapshot = portfolio.snapshot(0);
        telemetry::equity_quote(&self.account, &self.quote).set(float(snapshot.equity.0));
        let unknown = portfolio.open_orders().filter(|order| order.state == OrderState::Unknown).count();
        telemetry::orders_unknown(venue).set(float(Decimal::from(unknown)));
        let resting = portfolio.open_orders().filter(|order| order.state.may_rest()).count();
        telemetry::orders_open(venue, &self.account).set(float(Decimal::from(resting)));
        for strategy in &snapshot.strategies {
            let today = strategy.realised_today.0.saturating_add(strategy.unrealised.0);
            telemetry::strategy_pnl_quote(&strategy.name, &self.quote).set(float(today));
        }
        let mut held: BTreeMap<InstrumentId, Decimal> = BTreeMap::new();
        for ((_, instrument), position) in portfolio.positions() {
            let sum = held.entry(*instrument).or_default();
            *sum = sum.saturating_add(position.qty.0);
        }
        for (id, qty) in held {
            let Some(instrument) = portfolio.instrument(id) else { continue };
            telemetry::position_base(&self.account, &instrument.symbol).set(float(qty));
            if let Some(mark) = portfolio.mark_of(id) {
                let value = qty.saturating_mul(mark);
                telemetry::position_notional_quote(&self.account, &instrument.symbol).set(float(value));
            }
        }
    }
}

fn float(number: Decimal) -> f64 {
    number.to_f64().unwrap_or(f64::NAN)
}
