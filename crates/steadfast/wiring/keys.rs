//! Who hears what of the keys: the key manager, the desk of the control plane, alerts and the order path.

use super::{clock_measured, market};
use crate::commands;
use crate::key_book::{self, KeyOf, KeyWires};
use crate::key_desk::{self, DeskKey, KeyDesk, Settled};
use crate::plan::VenuePlan;
use crate::report::{Exit, Trouble};
use crate::shared::{KeyRow, RotationRow, Shared};
use crate::signers::SharedStore;
use crate::station::Station;
use alerts::{Alert, Alerts, Event};
use audit::AuditSink;
use domain::VenueId;
use keeper::{Keeper, Mailbox, Phase, Rebuild};
use key_manager::{KeyManager, RotationNews};
use messages::{Control, KeyAlias, SignQuery};
use order_path::Urgent;
use order_signer::{KeyStore, Origin};
use std::sync::{Arc, Mutex};

/// Starts the key manager on this thread: saving a move waits for the disk, and nobody in the money path waits with it.
pub(super) async fn start_keys(
    keeper: &Keeper,
    mailbox: &Mailbox<KeyManager>,
    manager: KeyManager,
    station: &Station,
    shared: &Arc<Shared>,
    died: &std::sync::mpsc::SyncSender<&'static str>,
) {
    let (mut ready, clock) = (Some(manager), Arc::clone(&shared.clock));
    let factory = move || ready.take().unwrap_or_else(|| KeyManager::without_keys(Arc::clone(&clock)));
    // The open vault died with it: without keys in care nothing new may be signed.
    let escalate = market::escalation(died, KeyManager::NAME, station.lanes().urgent.clone());
    keeper.supervise(mailbox, factory, Rebuild::Never, escalate);
    while mailbox.phase() == Phase::Down {
        tokio::task::yield_now().await;
    }
    // What was measured before it could listen.
    let measured = shared.state().clocks.clone();
    for (venue, (offset_ns, uncertainty_ns, _)) in measured {
        drop(mailbox.post(clock_measured(venue, offset_ns, uncertainty_ns)));
    }
}

/// The keys of the venue accounts.
pub(super) fn keys_of(venues: &[(VenueId, VenuePlan)]) -> Result<Vec<DeskKey>, Trouble> {
    let key_of = |(id, venue): &(VenueId, VenuePlan)| {
        let alias = KeyAlias::from(&venue.key)
            .map_err(|_| Trouble::new(Exit::Settings, format!("the key name `{}` is too long", venue.key)))?;
        let key = KeyOf::new(*id, alias, venue);
        let origin = Origin { environment: venue.environment.to_owned(), login_confirmed: venue.login_confirmed };
        Ok(DeskKey { key, account: venue.account.clone(), origin })
    };
    venues.iter().map(key_of).collect()
}

pub(super) fn key_desk(
    store: &SharedStore,
    mailbox: &Mailbox<KeyManager>,
    settled: &Arc<Settled>,
    venues: &[(VenueId, VenuePlan)],
    shared: &Arc<Shared>,
) -> Result<KeyDesk, Trouble> {
    Ok(KeyDesk {
        store: Mutex::new(store.boxed()),
        mailbox: mailbox.clone(),
        settled: Arc::clone(settled),
        keys: keys_of(venues)?,
        reseats: !matches!(store, SharedStore::Local(_)),
        shared: Arc::clone(shared),
    })
}

/// Who hears about keys beside the order path.
pub(super) struct KeysTold {
    pub(super) alerts: Option<Alerts>,
    /// Whether findings are shown on the terminal.
    pub(super) show: bool,
    pub(super) settled: Arc<Settled>,
}

pub(super) fn key_manager(
    store: SharedStore,
    venues: &[(VenueId, VenuePlan)],
    station: &Station,
    shared: &Arc<Shared>,
    told: KeysTold,
    audit: Arc<dyn AuditSink>,
) -> Result<KeyManager, Trouble> {
    let KeysTold { alerts, show, settled } = told;
    let mut keys: Vec<KeyOf> = keys_of(venues)?.into_iter().map(|desk| desk.key).collect();
    let store: Box<dyn KeyStore> = store.boxed();
    let records = store.list().map_err(|error| commands::keys::custody_trouble(&error))?;
    for key in &mut keys {
        // A key may have taken over from the one of the settings.
        key.alias = order_signer::signing_key(records.iter(), &key.alias).map_or(key.alias, |record| record.alias);
    }
    let rows = records.iter().filter_map(|record| {
        let key = keys.iter().find(|key| key.alias == record.alias)?;
        Some(row(key, record))
    });
    let rows: Vec<KeyRow> = rows.collect();
    shared.state().keys = rows;
    let (asks, urgent, seen) = (station.lanes().queries.clone(), station.lanes().urgent.clone(), Arc::clone(shared));
    let (dated, probed, probing) = (alerts.clone(), Arc::clone(shared), Arc::clone(shared));
    let modes: Vec<(VenueId, venue_api::ModeSwitch)> =
        venues.iter().map(|(id, venue)| (*id, venue.codecs.mode.clone())).collect();
    let remodelled = station.renewals();
    let (told, turned, renewals) = (Arc::clone(shared), alerts.clone(), station.renewals());
    let wires = KeyWires {
        new_login: Box::new(move |venue| renewals.renew(venue)),
        rotation: Box::new(move |venue, alias, news| {
            let row = RotationRow::after(told.state().rotations.remove(&venue), venue, alias, news);
            if let (Some(alerts), RotationNews::TakenBack { failed, reason }) = (&turned, news) {
                let text = format!("key {failed} does not work, {alias} signs again: {reason}");
                alerts.tell(&Alert::new(
                    Event::KeyRejected,
                    text,
                    "look at the key on the exchange, then link another",
                ));
            }
            told.state().rotations.insert(venue, row);
        }),
        ask: Box::new(move |query: SignQuery| asks.try_post(query).is_ok()),
        control: Box::new(move |control| {
            if let Control::AccountMode(venue, mode) = control {
                // Requests and streams from here on; the signer hears of it before the next one is asked for.
                if let Some((_, codecs)) = modes.iter().find(|(id, _)| *id == venue) {
                    codecs.set(mode);
                    tracing::info!(venue = venue.0, mode = mode.as_str(), "the account is kept in another mode");
                }
                remodelled.renew(venue);
            }
            drop(urgent.post_wait(Urgent::Control(control)));
        }),
        line: Box::new(move |venue, line| {
            probed.state().probes.entry(venue).or_default().1.push(key_desk::probe(line));
            let fix = line.fix.as_deref().unwrap_or_default();
            tracing::info!(probe = line.what, ok = line.ok, detail = line.detail, fix, "key probe");
            if show || !line.ok {
                let mark = if line.ok { "ok  " } else { "FAIL" };
                crate::term::tell(&format!("  {mark} {}: {}", line.what, line.detail));
                if !line.ok {
                    crate::term::tell(&format!("       {fix}"));
                }
            }
        }),
        changed: Box::new(move |key_of, record, reason| {
            let mut state = seen.state();
            match state.keys.iter_mut().find(|key| key.alias == record.alias.as_str()) {
                Some(key) => *key = row(key_of, record),
                None => state.keys.push(row(key_of, record)),
            }
            if let (Some(alerts), messages::KeyState::Quarantined | messages::KeyState::Expired) =
                (&alerts, record.state)
            {
                let text = format!("key {} is {}: {reason}", record.alias, record.state.as_str());
                let next = match record.state {
                    messages::KeyState::Quarantined => {
                        format!("once the cause is gone: steadfast keys enable {} --reason '...'", record.alias)
                    }
                    _ => format!("steadfast keys test {}", record.alias),
                };
                alerts.tell(&Alert::new(Event::KeyRejected, text, next).account(record.account.clone()));
            }
        }),
        dates: Box::new(move |record, warning| {
            if let Some(alerts) = &dated {
                let text = format!("key {} {}", record.alias, warning.text);
                let next = "create a new key on the exchange and link it; then delete the old one there";
                alerts.tell(&Alert::new(Event::KeyRotationDue, text, next).account(record.account.clone()));
            }
        }),
        probing: Box::new(move |venue, begins| {
            let mut state = probing.state();
            let probes = state.probes.entry(venue).or_default();
            probes.0 = begins;
            if begins {
                probes.1.clear();
            }
        }),
        settled: Box::new(move |id, result| settled.settle(id, result)),
        audit,
    };
    key_book::manager(store, &keys, wires, Arc::clone(&shared.clock))
        .map(|(manager, _)| manager)
        .map_err(|error| commands::keys::custody_trouble(&error))
}

fn row(key: &KeyOf, record: &order_signer::KeyRecord) -> KeyRow {
    KeyRow {
        alias: record.alias.to_string(),
        venue: key.venue,
        status: record.state.as_str(),
        rights: record.rights.iter().map(|right| right.as_str().to_owned()).collect(),
        bound_addresses: record.bound_addresses,
        rotation_due: key.dates(record).rotation_due(),
    }
}
