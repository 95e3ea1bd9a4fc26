//! The portfolio as metrics.

use crate::core::Portfolio;
use domain::{InstrumentId, OrderState, VenueId};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use std::collections::BTreeMap;

/// Publishes the gauges of all accounts; called about once a second.
#[derive(Debug, Clone)]
pub struct PortfolioMetrics {
    account: String,
    quote: String,
}

impl PortfolioMetrics {
    /// Metrics in this quote asset; what is about all accounts together stands under the name `account`.
    #[must_use]
    pub fn new(account: &str, quote: &str) -> Self {
        Self { account: account.to_owned(), quote: quote.to_owned() }
    }

    /// Sets equity, positions, results and unknown orders. `f64` is exact enough for a graph.
    /// Equity only when `valued`: before the accounts have been compared with their venues it is not known.
    pub fn publish(&self, portfolio: &Portfolio, venues: &[(VenueId, &str)], valued: bool) {
        let snapshot = portfolio.snapshot(0);
        if valued {
            telemetry::equity_quote(&self.account, &self.quote).set(float(snapshot.equity.0));
        }
        let venue_of = |id| portfolio.instrument(id).map(|instrument| instrument.venue);
        for (venue, name) in venues {
            let own = || portfolio.open_orders().filter(|order| venue_of(order.instrument) == Some(*venue));
            let unknown = own().filter(|order| order.state == OrderState::Unknown).count();
            telemetry::orders_unknown(name).set(float(Decimal::from(unknown)));
            let resting = own().filter(|order| order.state.may_rest()).count();
            telemetry::orders_open(name, name).set(float(Decimal::from(resting)));
        }
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
            let Some((_, account)) = venues.iter().find(|(venue, _)| *venue == instrument.venue) else { continue };
            telemetry::position_base(account, &instrument.symbol).set(float(qty));
            if let Some(mark) = portfolio.mark_of(id) {
                let value = qty.saturating_mul(mark);
                telemetry::position_notional_quote(account, &instrument.symbol).set(float(value));
                if let Some(distance) = portfolio.liquidation_distance(id, mark) {
                    telemetry::position_liquidation_distance_ratio(account, &instrument.symbol).set(float(distance));
                }
            }
            if instrument.market.has_positions() {
                telemetry::funding_quote(account, &instrument.symbol).set(float(portfolio.funding_of(id)));
            }
        }
    }
}

fn float(number: Decimal) -> f64 {
    number.to_f64().unwrap_or(f64::NAN)
}
