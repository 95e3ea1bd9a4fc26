//! A futures position as a journal record, and back.

use domain::{Amount, InstrumentId, PositionSide, Symbol, UnixNanos, VenueId};
use messages::{EventBody, MarginMode, PositionReport};
use serde::{Deserialize, Serialize};

/// A futures position as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub struct PositionRecord {
    venue: VenueId,
    instrument: InstrumentId,
    symbol: Symbol,
    side: PositionSide,
    qty: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    liquidation: Option<Amount>,
    leverage: u16,
    margin_mode: MarginMode,
    unrealised: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    margin: Option<Amount>,
    venue_time: UnixNanos,
}

impl PositionRecord {
    /// The record of what a venue said.
    pub(crate) const fn of(venue: VenueId, instrument: InstrumentId, report: &PositionReport) -> Self {
        Self {
            venue,
            instrument,
            symbol: report.symbol,
            side: report.side,
            qty: report.qty,
            entry: report.entry,
            mark: report.mark,
            liquidation: report.liquidation,
            leverage: report.leverage,
            margin_mode: report.margin_mode,
            unrealised: report.unrealised,
            margin: report.margin,
            venue_time: report.venue_time,
        }
    }

    /// The event that it records.
    pub(crate) const fn event(&self) -> EventBody {
        EventBody::Position {
            venue: self.venue,
            instrument: self.instrument,
            report: PositionReport {
                symbol: self.symbol,
                side: self.side,
                qty: self.qty,
                entry: self.entry,
                mark: self.mark,
                liquidation: self.liquidation,
                leverage: self.leverage,
                margin_mode: self.margin_mode,
                unrealised: self.unrealised,
                margin: self.margin,
                venue_time: self.venue_time,
            },
        }
    }
}
