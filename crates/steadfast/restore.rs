//! What the disk says of earlier runs: instrument versions and orders that left before the journal knew of them.

use crate::registry::KnownInstrument;
use crate::report::{Exit, Trouble, causes};
use domain::{
    Amount, Asset, CancelState, Instrument, InstrumentId, InstrumentStatus, InstrumentVersion, Notional, Order,
    OrderState, Qty, Symbol, UnixNanos, VenueId,
};
use journal::JournalReader;
use messages::EventBody;
use order_gateway::wire_log;
use order_path::Core;
use std::collections::BTreeMap;
use std::path::Path;
use venue_api::ListedInstrument;

/// Every instrument version that the journal has announced.
pub type Versions = BTreeMap<InstrumentId, BTreeMap<u32, InstrumentVersion>>;

/// Reads the instrument versions of a journal; none when there is no journal yet.
///
/// # Errors
/// [`Trouble`] when the journal is not whole.
pub fn versions(path: &Path) -> Result<Versions, Trouble> {
    let mut versions = Versions::new();
    if !path.exists() {
        return Ok(versions);
    }
    JournalReader::open(path)
        .and_then(|reader| {
            reader.replay(|event| {
                if let EventBody::Instrument(version) = event.body {
                    versions.entry(version.id).or_default().insert(version.version, version);
                }
            })
        })
        .map_err(|error| crate::commands::journal::trouble(path, &error))?;
    Ok(versions)
}

/// The version of rules that a venue lists now: the last known number when nothing has changed, else the next.
#[must_use]
pub fn next_version(
    id: InstrumentId,
    listed: &ListedInstrument,
    history: &Versions,
    now: UnixNanos,
) -> InstrumentVersion {
    let last = history.get(&id).and_then(|versions| versions.values().last()).copied();
    let fresh = InstrumentVersion {
        id,
        version: last.map_or(1, |last| last.version),
        price_decimals: listed.price_decimals,
        qty_decimals: listed.qty_decimals,
        tick: listed.tick,
        lot: listed.lot,
        min_qty: Qty(listed.min_qty),
        max_qty: Qty(listed.max_qty),
        min_notional: Notional(listed.min_notional.0),
        status: listed.status,
        valid_from: last.map_or(now, |last| last.valid_from),
    };
    match last {
        None => fresh,
        Some(last) if last == fresh => last,
        Some(last) => InstrumentVersion { version: last.version.saturating_add(1), valid_from: now, ..fresh },
    }
}

/// An instrument that the settings no longer name: its orders and fills keep their meaning, nothing new is taken.
#[must_use]
pub fn former(id: InstrumentId, known: &KnownInstrument, venue: VenueId, history: &Versions) -> Instrument {
    let unknown = InstrumentVersion {
        id,
        version: 1,
        price_decimals: 8,
        qty_decimals: 8,
        tick: 1,
        lot: 1,
        min_qty: Qty::ZERO,
        max_qty: Qty::ZERO,
        min_notional: Notional(Amount::ZERO.0),
        status: InstrumentStatus::Delisted,
        valid_from: UnixNanos(0),
    };
    let last = history.get(&id).and_then(|versions| versions.values().last()).copied().unwrap_or(unknown);
    Instrument {
        id,
        venue,
        symbol: Symbol::from(&known.symbol).unwrap_or_default(),
        market: domain::Market::of(&known.symbol),
        base: Asset::from(&known.base).unwrap_or_default(),
        quote: Asset::from(&known.quote).unwrap_or_default(),
        version: InstrumentVersion { status: InstrumentStatus::Delisted, ..last },
    }
}

/// Hands every recorded place request that the journal does not know to the order path: it left, or may have left.
///
/// # Errors
/// [`Trouble`] when the wire log cannot be read.
pub fn wire_orders(
    dir: &Path,
    core: &mut Core,
    instruments: &[Instrument],
    history: &Versions,
) -> Result<u32, Trouble> {
    if !dir.exists() {
        return Ok(0);
    }
    let records = wire_log::read_all(dir).map_err(|error| {
        Trouble::new(Exit::Failure, "the wire log cannot be read")
            .why(causes(&error))
            .fix("restore the data directory from a backup")
    })?;
    if records.damaged > 0 {
        return Err(Trouble::new(Exit::Failure, format!("the wire log in {} is damaged", dir.display()))
            .why(format!("{} records are not whole although others follow them", records.damaged))
            .fix("keep the files as evidence; move them away to start: the exchange is then asked for everything that rests there"));
    }
    let mut taken = 0_u32;
    for record in records.records {
        let (Some(id), Some(wire)) = (record.id, record.order) else { continue };
        let Some(instrument) = instruments.iter().find(|i| i.venue == record.venue && i.symbol == record.symbol) else {
            continue;
        };
        let version = history
            .get(&instrument.id)
            .and_then(|versions| versions.get(&record.version))
            .copied()
            .unwrap_or(instrument.version);
        let (Ok(price), Ok(qty)) = (version.price(wire.price), version.qty(wire.qty)) else { continue };
        let is_news = core.restore_wire_order(Order {
            id,
            strategy: record.strategy,
            reference: 0,
            instrument: instrument.id,
            version: version.version,
            side: wire.side,
            price,
            qty,
            time_in_force: wire.time_in_force,
            effect: wire.effect,
            state: OrderState::Unknown,
            cancel: CancelState::None,
            filled: Qty::ZERO,
            filled_by_fills: Qty::ZERO,
            venue_order_id: None,
            created: record.at,
        });
        taken = taken.saturating_add(u32::from(is_news));
    }
    Ok(taken)
}
