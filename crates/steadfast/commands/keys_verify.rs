//! Verifying a key while no daemon runs: order path, signer and gateway wired for one account, without feed or
//! strategies, either on the vault or on one that exists only for the trial.

use crate::cli::Global;
use crate::commands::keys::{Place, custody_trouble, epoch};
use crate::commands::keys_policy;
use crate::key_book::{self, KeyOf, KeyWires};
use crate::plan::{self, VenuePlan};
use crate::report::{Exit, Trouble, causes};
use crate::station::{Ears, InlineSeat, Parts, Station};
use crate::{key_desk, term};
use audit::{AuditSink, NoAudit};
use domain::{InstrumentId, VenueId};
use hot_actor::HotConfig;
use key_manager::{KeyCare, KeyMessage};
use messages::{Control, KeyAlias, KeyRole, KeyState, RefuseReason, SignQuery, TopUsed};
use order_gateway::{LinkConfig, WireLog, WireLogBounds};
use order_path::{Core, Now, Setup, VenueSetup};
use order_signer::{Custody, KeyRecord, KeySecrets, LocalStore, NewKey};
use sign_policy::PolicyDocument;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;
const VENUE: VenueId = VenueId(0);
/// Longest wait for a verification, retries included.
const VERIFY_MAX: Duration = Duration::from_secs(60);

/// What a verification came to.
pub(crate) struct Verified {
    /// The key's name.
    pub(crate) alias: KeyAlias,
    /// The state it came to.
    pub(crate) state: KeyState,
    /// Why it is in that state, in words.
    pub(crate) reason: String,
    /// What was looked at, in order.
    pub(crate) lines: Vec<key_manager::ProbeLine>,
    /// What the exchange says of it, once it has answered.
    pub(crate) info: Option<messages::KeyInfo>,
    /// What its signer may sign, as proposed while the exchange was asked.
    pub(crate) policy: Option<PolicyDocument>,
    /// Whether the key is in the vault.
    pub(crate) stored: bool,
}

impl Verified {
    /// The last thing that was not as it must be.
    pub(crate) fn failed(&self) -> Option<&key_manager::ProbeLine> {
        self.lines.iter().rev().find(|line| !line.ok)
    }

    /// Whether the values may be right: what is left to correct is elsewhere, and the exchange shows a secret only
    /// once. A key that has been refused for its values or its rights is not kept.
    pub(crate) fn is_worth_keeping(&self) -> bool {
        use messages::ProbeFault as Fault;
        let hopeless = [
            Fault::Key,
            Fault::Signature,
            Fault::Passphrase,
            Fault::Environment,
            Fault::ForbiddenRight,
            Fault::AccountMode,
        ];
        self.state == KeyState::Active
            || self.state != KeyState::Quarantined
                && self
                    .failed()
                    .is_some_and(|line| hopeless.into_iter().all(|fault| line.what != key_manager::what(fault)))
    }
}

/// Verifies a key from a vault that exists only meanwhile, under a passphrase that nobody knows.
///
/// # Errors
/// As [`verify`], and no room or memory for such a vault.
pub(crate) fn try_out(
    global: &Global,
    place: &Place,
    venue: VenuePlan,
    new: &NewKey,
    secrets: &KeySecrets,
) -> Result<Verified, Trouble> {
    let scratch = Scratch::under(place.dir.root());
    let mut bytes = Zeroizing::new([0_u8; 24]);
    getrandom::fill(&mut *bytes).map_err(|_| Trouble::new(Exit::Failure, "the machine gives no randomness"))?;
    let words = Zeroizing::new(hex::encode(*bytes));
    let passphrase = vault::Passphrase::from_text(&words)
        .map_err(|error| Trouble::new(Exit::Key, "no safe memory for a passphrase").why(causes(&error)))?;
    let now = place.clock.unix();
    let mut custody = Custody::create(&scratch.0, &passphrase, vault::KdfParams::FLOOR, now)
        .map_err(|error| custody_trouble(&error))?;
    custody.add(new.clone(), secrets, now).map_err(|error| custody_trouble(&error))?;
    verify(global, place, &scratch.0, custody, venue, new.alias, Arc::new(NoAudit))
}

/// A directory for one trial; gone when this value is.
struct Scratch(std::path::PathBuf);

impl Scratch {
    /// The data directory is locked, so that one name is enough; what a killed run left there goes first.
    fn under(root: &Path) -> Self {
        let scratch = Self(root.join("linking"));
        let _ = std::fs::remove_dir_all(&scratch.0);
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Wires order path, signer and gateway for one account, without feed or strategies, and verifies its key.
///
/// # Errors
/// [`Trouble`]: it could not be tried, or it is in a state in which it is not tried.
pub(crate) fn verify(
    global: &Global,
    place: &Place,
    dir: &Path,
    custody: Custody,
    venue: VenuePlan,
    alias: KeyAlias,
    audit: Arc<dyn AuditSink>,
) -> Result<Verified, Trouble> {
    net::install_tls_provider();
    actix_rt::System::new().block_on(verify_on(global, place, dir, custody, venue, alias, audit))
}

async fn verify_on(
    global: &Global,
    place: &Place,
    dir: &Path,
    custody: Custody,
    venue: VenuePlan,
    alias: KeyAlias,
    audit: Arc<dyn AuditSink>,
) -> Result<Verified, Trouble> {
    let (news_sender, mut news) = tokio::sync::mpsc::channel::<KeyMessage>(64);
    let station = station(place, dir, &custody, &venue, alias, &news_sender)?;
    let lines = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let (seen, asks, controls) =
        (std::rc::Rc::clone(&lines), station.lanes().queries.clone(), station.lanes().urgent.clone());
    let shows = !global.json && !global.quiet;
    let wires = KeyWires {
        ask: Box::new(move |query: SignQuery| asks.try_post(query).is_ok()),
        control: Box::new(move |control| drop(controls.post_wait(order_path::Urgent::Control(control)))),
        line: Box::new(move |_, line| {
            if shows {
                let mark = if line.ok { "ok  " } else { "FAIL" };
                term::tell(&format!("  {mark} {}: {}", line.what, line.detail));
            }
            seen.borrow_mut().push(line.clone());
        }),
        rotation: Box::new(|_, _, _| {}),
        new_login: Box::new(|_| {}),
        changed: Box::new(|_, _, _| {}),
        dates: Box::new(move |_, warning| {
            if shows {
                term::tell(&format!("  note: the key {}", warning.text));
            }
        }),
        probing: Box::new(|_, _| {}),
        settled: Box::new(|_, _| {}),
        audit,
    };
    let keys = [KeyOf::new(VENUE, alias, &venue)];
    let (mut manager, book) = key_book::manager(
        Box::new(LocalStore::new(custody, Arc::clone(&place.clock))),
        &keys,
        wires,
        Arc::clone(&place.clock),
    )
    .map_err(|error| custody_trouble(&error))?;
    if !manager.verifying(VENUE) && manager.state(VENUE).is_some_and(|state| state != KeyState::Active) {
        let state = manager.state(VENUE).unwrap_or(KeyState::Linked);
        station.stop(Duration::from_secs(2)).await;
        return Err(Trouble::new(Exit::Key, format!("key `{alias}` is {}", state.as_str()))
            .why("a key in this state is not verified again without a person's written reason")
            .fix(key_desk::next_step(alias, state)));
    }
    let mut tick = tokio::time::interval(KeyCare::tick_every());
    let deadline = tokio::time::sleep(VERIFY_MAX);
    tokio::pin!(deadline);
    while manager.verifying(VENUE) {
        tokio::select! {
            Some(heard) = news.recv() => manager.receive(heard),
            _ = tick.tick() => manager.tick(),
            () = &mut deadline => break,
        }
    }
    station.stop(Duration::from_secs(2)).await;
    if let Some(error) = book.borrow_mut().troubles().first() {
        return Err(custody_trouble(error));
    }
    let records = book.borrow().records().map_err(|error| custody_trouble(&error))?;
    let record = records.into_iter().find(|record| record.alias == alias);
    let reason = record.as_ref().map(|record| record.reason.clone()).unwrap_or_default();
    let info = record.as_ref().and_then(info_of);
    let state = manager.state(VENUE).unwrap_or(KeyState::Linked);
    let failed = manager.failed(VENUE);
    drop((manager, book));
    let lines = lines.borrow().clone();
    if failed && state == KeyState::Active {
        return Ok(Verified {
            alias,
            state: KeyState::Verifying,
            reason: "the last verification failed".to_owned(),
            lines,
            info,
            policy: None,
            stored: false,
        });
    }
    // Only a key that is new gets a policy; who tests one does not look at it.
    let trades = record.as_ref().is_some_and(|record| record.role == KeyRole::Trade);
    let policy = match dir == place.settings.vault_dir() || !trades {
        true => None,
        false => keys_policy::proposed(&plan::limits(&place.settings), &venue, &place.clock).await,
    };
    Ok(Verified { alias, state, reason, lines, info, policy, stored: false })
}

fn station(
    place: &Place,
    dir: &Path,
    custody: &Custody,
    venue: &VenuePlan,
    alias: KeyAlias,
    news: &tokio::sync::mpsc::Sender<KeyMessage>,
) -> Result<Station, Trouble> {
    let clock = Arc::clone(&place.clock);
    let identity = epoch(dir)?;
    let record = custody.show(&alias).map_err(|error| custody_trouble(&error))?;
    venue.codecs.mode.set(record.account_mode());
    let signer = custody
        .load_signer(&alias, Arc::clone(&venue.codecs.signing), Arc::clone(&clock), identity)
        .map_err(|error| custody_trouble(&error))?;
    let setup = Setup {
        venues: vec![VenueSetup {
            tag: identity.tag,
            epoch: identity.epoch,
            rates: venue.codecs.capabilities.budgets.to_vec(),
            account: messages::AccountMode::Classic,
            futures: None,
        }],
        instruments: Vec::new(),
        strategies: Vec::new(),
        account: venue.name.clone(),
        limits: plan::limits(&place.settings),
        index_delay: place.settings.order_path.index_delay,
        cancel_on_disconnect_after: Duration::from_secs(10),
        hold_on_foreign: false,
        halted: None,
    };
    let mut link = LinkConfig::new(VENUE, venue.name.clone(), venue.rest.clone(), (&venue.codecs).into());
    link.plaintext = venue.plaintext;
    link.answer_patience = venue.rest_timeout;
    let recorder = WireLog::open(&place.dir.wire(), WireLogBounds::default())
        .map_err(|error| Trouble::new(Exit::Failure, "the wire log cannot be opened").why(causes(&error)))?;
    let (answers, clocks) = (news.clone(), news.clone());
    Station::start(Parts {
        core: Core::new(setup, Now { mono: clock.mono(), unix: clock.unix() }),
        signers: vec![Box::new(InlineSeat(signer))],
        board: Box::new(NoBoard),
        rings: Vec::new(),
        wake_consumers: Arc::new(|| {}),
        halt_store: Box::new(|_| {}),
        recorder: Box::new(recorder),
        links: vec![link],
        config: HotConfig { tick_every: Duration::from_millis(50), ..HotConfig::default() },
        send_by: place.settings.order_path.send_by,
        on_tally: Box::new(|_| {}),
        ears: Ears {
            verify: Arc::new(move |venue, _, query, answer| {
                drop(answers.try_send(KeyMessage::Answer(venue, query, answer)))
            }),
            login_failed: Arc::new(|_, _| {}),
            control: Arc::new(move |control| {
                let heard = match control {
                    Control::ClockMeasured { venue, offset_ns, uncertainty_ns, .. } => KeyMessage::ClockMeasured {
                        venue: *venue,
                        offset_ns: *offset_ns,
                        uncertainty_ns: *uncertainty_ns,
                    },
                    Control::ClockLost(venue) => KeyMessage::ClockLost(*venue),
                    _ => return,
                };
                drop(clocks.try_send(heard));
            }),
            died: Arc::new(|_| {}),
        },
        clock,
    })
}

/// What the exchange said of a key, from its record.
fn info_of(record: &KeyRecord) -> Option<messages::KeyInfo> {
    let account = record.venue_account.as_deref()?;
    Some(messages::KeyInfo {
        account_mode: record.account_mode,
        account: arrayvec::ArrayString::from(account).ok()?,
        parent: None,
        rights: record.rights.iter().copied().collect(),
        bound_addresses: record.bound_addresses,
        expires: record.expires,
    })
}

struct NoBoard;

impl order_path::Board for NoBoard {
    fn top(&self, _instrument: InstrumentId) -> Result<TopUsed, RefuseReason> {
        Err(RefuseReason::InvalidBook)
    }
}
