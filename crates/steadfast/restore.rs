//! What the disk says of earlier runs: instrument versions and orders that left before the journal knew of them.

use crate::registry::KnownInstrument;
use crate::report::{Exit, Trouble, causes};
use domain::{
    Amount, Asset, CancelState, ClientOrderId, InstanceTag, Instrument, InstrumentId, InstrumentStatus,
    InstrumentVersion, Notional, Order, OrderState, Qty, Symbol, UnixNanos, VenueId,
};
use journal::JournalReader;
use messages::{EventBody, OrderEvent};
use order_gateway::wire_log;
use order_path::Core;
use order_signer::{EpochStore, Identity};
use std::collections::BTreeMap;
use std::path::Path;
use venue_api::ListedInstrument;

/// The newest epoch of our own client order ids that the disk knows of.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewestEpoch(Option<Identity>);

impl NewestEpoch {
    /// Looks at one client order id; ids of another instance say nothing.
    pub fn see(&mut self, id: ClientOrderId, own: InstanceTag) {
        let (tag, (epoch, _)) = (id.tag(), id.number());
        if tag == own && self.0.is_none_or(|newest| newest.epoch < epoch) {
            self.0 = Some(Identity { tag, epoch });
        }
    }

    /// Looks at an event of the journal.
    pub fn look(&mut self, event: &OrderEvent, own: InstanceTag) {
        if let EventBody::Order { order, .. } = &event.body {
            self.see(order.id, own);
        }
    }

    /// Refuses a run whose ids were given before: the custody directory is an older copy than the journal. The copy is
    /// raised, so that the next start has ids of its own.
    ///
    /// # Errors
    /// [`Trouble`]: no order may be signed in this run.
    pub fn must_be_below(self, run: Identity, custody: &Path) -> Result<(), Trouble> {
        let Some(newest) = self.0.filter(|newest| newest.epoch >= run.epoch) else { return Ok(()) };
        let (newest_number, number) = (newest.epoch.get(), run.epoch.get());
        let told = Trouble::new(Exit::Key, "the custody directory is an older copy").why(format!(
            "this run would number its orders with epoch {number}, and the journal has orders of epoch {newest_number}"
        ));
        match EpochStore::raise(custody, newest) {
            Ok(_) => Err(told.fix(
                "its epoch was raised just now: start again; if you did not put a backup back, look for who did (audit verify)",
            )),
            Err(error) => Err(told.fix(format!("put the newest copy of the custody directory back: {}", causes(&error)))),
        }
    }
}

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
    (newest, own): (&mut NewestEpoch, InstanceTag),
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
        newest.see(id, own);
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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Epoch, Sequence};

    #[test]
    fn a_run_with_ids_that_were_given_before_is_refused_and_the_next_one_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let run = EpochStore::open(dir.path()).unwrap().identity();
        let id = |epoch: u32| ClientOrderId::new(run.tag, Epoch::new(epoch).unwrap(), Sequence::new(7).unwrap());
        let mut newest = NewestEpoch::default();
        assert!(newest.must_be_below(run, dir.path()).is_ok(), "nothing was signed yet");
        let own: u16 = 3;
        let other = if run.tag == InstanceTag::from_number(own) { own + 1 } else { own };
        let foreign =
            ClientOrderId::new(InstanceTag::from_number(other), Epoch::new(900).unwrap(), Sequence::new(1).unwrap());
        for id in [id(4), foreign, id(2)] {
            newest.see(id, run.tag);
        }
        let trouble = newest.must_be_below(run, dir.path()).unwrap_err();
        assert!(trouble.to_string().contains("older copy"), "{trouble}");
        let next = EpochStore::open(dir.path()).unwrap().identity();
        assert_eq!(next.epoch.get(), 5);
        assert!(newest.must_be_below(next, dir.path()).is_ok());
    }
}
