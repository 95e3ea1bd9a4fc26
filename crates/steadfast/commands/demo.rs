//! `steadfast demo`: the whole program on the embedded exchange, without a file, an account or a question.

use crate::audit_trail;
use crate::cli::{DemoArgs, Global};
use crate::commands::demo_scene::Scene;
use crate::commands::tape_market;
use crate::data_dir::{DataDir, write_private};
use crate::plan::{Plan, StrategyPlan, VenuePlan};
use crate::report::{Exit, Trouble, causes};
use crate::shared::{Shared, Stretch};
use crate::signers::{Boot, Signers, UnlockFrom};
use crate::term::{self, StopSignal};
use crate::wiring::{self, End, Start};
use crate::{commands, logging, metrics_page, signers};
use clock::SystemClock;
use domain::{Amount, Clock, Notional, OrderState};
use hot_actor::WaitPolicy;
use messages::KeyRole;
use net::Plaintext;
use order_signer::{Custody, KeySecrets, NewKey};
use risk_guard::{Limits, StrategyLimits};
use rust_decimal::Decimal;
use secrets::SecretBytes;
use sign_policy::PolicyDocument;
use sim_venue::{ApiKeyMaterial, Market, RunningSim, SimConfig, TapeEnd};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::IsTerminal as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vault::{KdfParams, Passphrase};

const ACCOUNT: &str = "demo";
/// Longest wait for the exchange's first trade.
const PRICE_WAIT: Duration = Duration::from_secs(5);

/// Runs until the first signal or the end of `--for`.
///
/// # Errors
/// [`Trouble`]: what a person needs to read.
pub fn run(global: &Global, args: &DemoArgs) -> Result<(), Trouble> {
    let stop = StopSignal::listen()?;
    logging::quiet(global);
    let clock = SystemClock;
    let begun = clock.mono();
    let root = Root::choose(global)?;
    let dir = DataDir::open(&root.path)?;
    let journal = dir.journal();
    let listener = listen(args)?;
    let recorded = args.tape.as_deref().map(tape_market::recorded).unwrap_or_default();
    let scene = Scene::of(&recorded);
    let sim = commands::sim::start(SimConfig {
        seed: args.seed,
        instruments: tape_market::listings(&recorded),
        market: match &args.tape {
            Some(path) => Market::Tape { path: path.clone(), at_end: TapeEnd::Loop },
            None => Market::Seeded,
        },
        faults: commands::sim::faults(&args.fault)?,
        ..SimConfig::default()
    })?;
    let opening = base_balance(&sim, &scene);
    let address = listener.local_addr().unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let plan = plan(&sim, &scene, address, &root.path);
    let policy = policy(&plan)?;
    let signers = signers(&dir, &plan, link(&plan.custody, &sim.key, &policy, &clock)?)?;
    term::say(global, &signers.isolation().line());
    audit_trail::started(&*signers.audit(), &plan.custody, settings::Mode::Sim.word())?;
    let start = Start {
        plan,
        dir,
        signers,
        listener,
        socket: None,
        hosts: Vec::new(),
        tls: None,
        metrics: metrics_page::install()?,
        alerts: None,
        locate: Box::new(settings::Problem::at),
        show_probes: !global.quiet && !global.json,
    };
    let mut view = View::new(global);
    let (end, shared) = actix_rt::System::new().block_on(async {
        let mut running = wiring::start(start).await?;
        term::say(global, &format!("dashboard: {}", running.dashboard));
        let over = || stop.is_set() || args.run_for.is_some_and(|limit| clock.mono().since(begun) >= limit);
        let shared = Arc::clone(&running.shared);
        let each = |shared: &Shared| {
            if !view.show(shared, clock.mono().since(begun)) {
                stop.set(); // nobody reads any more
            }
        };
        let died = running.drive(over, each).await;
        let end = match died {
            Some(part) => running.abandon(part).await,
            None => running.stop("the demo is over").await,
        };
        Ok::<(End, Arc<Shared>), Trouble>((end, shared))
    })?;
    let moved = base_balance(&sim, &scene).saturating_sub(opening);
    sim.stop();
    summary(global, &shared, &journal, &scene.symbol, moved)?;
    commands::run::finish(global, &end)
}

/// The data directory of a demo: the one that was named, or one that goes when the demo ends.
struct Root {
    path: PathBuf,
    passing: bool,
}

impl Root {
    fn choose(global: &Global) -> Result<Self, Trouble> {
        if let Some(path) = &global.data_dir {
            if path.join("custody").exists() {
                return Err(Trouble::new(Exit::Failure, format!("{} holds a vault already", path.display()))
                    .why("each demo makes an exchange and a key of its own")
                    .fix("name an empty directory"));
            }
            return Ok(Self { path: path.clone(), passing: false });
        }
        sweep(&std::env::temp_dir());
        let mut bytes = [0_u8; 8];
        getrandom::fill(&mut bytes).map_err(|_| Trouble::new(Exit::Failure, "the machine gives no randomness"))?;
        let path = std::env::temp_dir().join(format!("{PREFIX}{}", hex::encode(bytes)));
        Ok(Self { path, passing: true })
    }
}

/// How the directories of demos begin.
const PREFIX: &str = "steadfast-demo-";

/// Removes what demos that were killed have left: own directories whose lock nobody holds.
fn sweep(temporary: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in std::fs::read_dir(temporary).into_iter().flatten().flatten() {
        let is_demo = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let is_own = entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == own);
        if !is_demo || !is_own {
            continue;
        }
        // Without a lock it may be one that begins this moment.
        let lock = OpenOptions::new().write(true).open(entry.path().join("lock"));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            // What cannot be removed keeps nobody from trying the program.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if self.passing {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

fn listen(args: &DemoArgs) -> Result<TcpListener, Trouble> {
    const USUAL: u16 = 7_447;
    const OTHERWISE: &str = "--listen 127.0.0.1:7448";
    match args.listen {
        Some(address) if !address.ip().is_loopback() => {
            Err(Trouble::new(Exit::Settings, format!("the dashboard cannot listen on {address}"))
                .why("other machines could reach it, and there is no TLS yet")
                .fix("use a loopback address, such as 127.0.0.1:7447"))
        }
        Some(address) => commands::run::bind(address, OTHERWISE),
        None => match TcpListener::bind((Ipv4Addr::LOCALHOST, USUAL)) {
            Ok(listener) => Ok(listener),
            Err(_) => commands::run::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), OTHERWISE),
        },
    }
}

fn base_balance(sim: &RunningSim, scene: &Scene) -> Decimal {
    let base = sim.control().balances(0).into_iter().find(|(asset, _)| asset.as_str() == scene.base);
    base.map_or(Decimal::ZERO, |(_, balance)| balance.available.saturating_add(balance.frozen))
}

/// Signers as the daemon has them: in a process of their own where the system can, which opens the vault by itself.
#[cfg(target_os = "linux")]
fn signers(dir: &DataDir, plan: &Plan, linked: Linked) -> Result<Signers, Trouble> {
    let file = dir.root().join("unlock");
    write_private(&file, linked.passphrase.as_bytes())
        .map_err(|error| Trouble::new(Exit::Failure, "the demo's passphrase cannot be kept").why(error))?;
    drop(linked);
    let boot = Boot {
        custody: plan.custody.clone(),
        unlock: UnlockFrom::File(file.clone()),
        lock_after: u32::MAX,
        spin: false,
        places: signers::places(dir, plan)?,
        may_ask: false,
        strict: false,
    };
    let started = signers::parent::SignerProcess::start(boot, &(Arc::new(SystemClock) as Arc<dyn Clock>));
    let _ = std::fs::remove_file(&file);
    started.map(|process| Signers::Process(Box::new(process)))
}

#[cfg(not(target_os = "linux"))]
fn signers(_dir: &DataDir, plan: &Plan, linked: Linked) -> Result<Signers, Trouble> {
    Signers::inline(linked.custody, &plan.custody, 0, &(Arc::new(SystemClock) as Arc<dyn Clock>), false)
}

/// The policy that a person would be shown, at the exchange's price of now.
fn policy(plan: &Plan) -> Result<PolicyDocument, Trouble> {
    net::install_tls_provider();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let found = plan.venues.first().and_then(|venue| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let local = tokio::task::LocalSet::new();
        // A recording has no price before its first trade.
        local.block_on(&runtime, async {
            let begun = clock.mono();
            loop {
                let found = commands::keys_policy::proposed(&plan.limits, venue, &clock).await;
                if found.is_some() || clock.mono().since(begun) > PRICE_WAIT {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    });
    found.ok_or_else(|| Trouble::new(Exit::Failure, "the embedded exchange tells no price"))
}

/// A fresh vault and what opens it.
struct Linked {
    #[cfg(not(target_os = "linux"))]
    custody: Custody,
    #[cfg(target_os = "linux")]
    passphrase: zeroize::Zeroizing<String>,
}

/// Makes a vault with a passphrase that nobody needs to know, and links the exchange's fresh key.
fn link(dir: &Path, key: &ApiKeyMaterial, policy: &PolicyDocument, clock: &SystemClock) -> Result<Linked, Trouble> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 24]);
    getrandom::fill(&mut *bytes).map_err(|_| Trouble::new(Exit::Failure, "the machine gives no randomness"))?;
    let words = zeroize::Zeroizing::new(hex::encode(*bytes));
    let passphrase =
        Passphrase::from_text(&words).map_err(|error| Trouble::new(Exit::Key, "no passphrase").why(causes(&error)))?;
    let wrong = |error: order_signer::CustodyError| commands::keys::custody_trouble(&error);
    let mut custody = Custody::create(dir, &passphrase, KdfParams::FLOOR, clock.unix()).map_err(wrong)?;
    let locked = |text: &str| {
        SecretBytes::from_slice(text.as_bytes())
            .map_err(|error| Trouble::new(Exit::Key, "no safe memory for the key").why(causes(&error)))
    };
    let secrets =
        KeySecrets { key: locked(&key.key)?, secret: locked(&key.secret)?, passphrase: locked(&key.passphrase)? };
    let new = NewKey {
        alias: messages::KeyAlias::from(ACCOUNT).unwrap_or_default(),
        venue: "bitget".to_owned(),
        environment: "sim".to_owned(),
        account: ACCOUNT.to_owned(),
        role: KeyRole::Trade,
        wallets: vec!["spot".to_owned()],
        stream_login_confirmed: true,
    };
    custody.add(new, &secrets, clock.unix()).map(|_| ()).map_err(wrong)?;
    custody.set_policy(ACCOUNT, policy).map_err(wrong)?;
    Ok(Linked {
        #[cfg(not(target_os = "linux"))]
        custody,
        #[cfg(target_os = "linux")]
        passphrase: words,
    })
}

fn plan(sim: &RunningSim, scene: &Scene, listen: SocketAddr, root: &Path) -> Plan {
    let venue = VenuePlan {
        name: ACCOUNT.to_owned(),
        account: ACCOUNT.to_owned(),
        login_confirmed: true,
        stream_key: None,
        codecs: venue_bitget::codecs(venue_bitget::Environment::Production),
        rest: sim.rest.clone(),
        ws_public: sim.ws_public.clone(),
        ws_private: sim.ws_private.clone(),
        plaintext: Plaintext::Loopback,
        environment: "sim",
        key: ACCOUNT.to_owned(),
        symbols: vec![scene.symbol.clone()],
        futures: None,
        rest_timeout: Duration::from_secs(3),
        ip_binding: settings::IpBinding::Warn,
        rotate_after: settings::KeyPolicy::default().rotate_after,
        warn_before: settings::KeyPolicy::default().warn_before,
        reverify_every: settings::KeyPolicy::default().reverify_every,
    };
    let strategy = |id: &str, kind: &str, params: serde_json::Value| StrategyPlan {
        id: id.to_owned(),
        kind: kind.to_owned(),
        venue: ACCOUNT.to_owned(),
        symbol: scene.symbol.clone(),
        position_side: domain::PositionSide::Net,
        params,
        limits: StrategyLimits::default(),
    };
    let quote = |units: i64| Notional(Decimal::from(units));
    Plan {
        mode: "demo",
        venues: vec![venue],
        strategies: vec![
            strategy(
                "grid",
                "grid",
                serde_json::json!({
                    "step": scene.step, "levels": 5, "order_size": scene.order_size,
                    "opening_position": scene.times(5), "post_only": true,
                }),
            ),
            strategy(
                "maker",
                "market-maker",
                serde_json::json!({
                    "half_spread": scene.step, "order_size": scene.order_size, "max_position": scene.times(10),
                    "skew": "0.5", "opening_position": scene.times(5), "refresh": "1s",
                }),
            ),
        ],
        limits: Limits {
            max_order_notional: quote(1_000),
            max_position_notional: quote(5_000),
            max_gross_exposure: quote(5_000),
            max_orders_per_second: 8,
            max_daily_loss: quote(500),
            ..Limits::default()
        },
        wait: WaitPolicy::Block,
        core: None,
        send_by: Duration::from_millis(500),
        index_delay: Duration::from_secs(5),
        hold_on_foreign: false,
        persist_halt: true,
        cancel_on_disconnect_after: Duration::from_secs(10),
        cancel_on_shutdown: true,
        shutdown_timeout: Duration::from_secs(4),
        listen,
        custody: root.join("custody"),
    }
}

/// The live view: one block that refreshes on a terminal, a line a second elsewhere.
struct View {
    block: bool,
    json: bool,
    quiet: bool,
    height: usize,
    last: Option<u64>,
}

impl View {
    fn new(global: &Global) -> Self {
        let block = std::io::stdout().is_terminal() && !global.json;
        Self { block, json: global.json, quiet: global.quiet, height: 0, last: None }
    }

    /// Shows how it goes. `false`: standard output is closed.
    fn show(&mut self, shared: &Shared, passed: Duration) -> bool {
        let second = passed.as_secs();
        if self.quiet || (!self.block && self.last == Some(second)) {
            return true;
        }
        self.last = Some(second);
        if self.block {
            let lines = block(shared, passed);
            let mut text = String::new();
            if self.height > 0 {
                text.push_str(&format!("\x1b[{}A", self.height));
            }
            for line in &lines {
                text.push_str("\x1b[2K");
                text.push_str(line);
                text.push('\n');
            }
            self.height = lines.len();
            text.pop();
            return term::offer(&text);
        }
        if self.json {
            term::tell(&line(shared, passed));
            return true;
        }
        term::offer(&line(shared, passed))
    }
}

fn line(shared: &Shared, passed: Duration) -> String {
    let ready = shared.not_ready();
    let state = shared.state();
    let snapshot = state.portfolio.snapshot(0);
    let (orders, fills) = snapshot.strategies.iter().fold((0, 0), |(o, f), s| (o + s.orders, f + s.fills));
    let health = ready.first().map_or("trading", |reason| reason.as_str());
    format!(
        "{:>4} s  {health:<16} equity {:>12.2} {}  orders {orders:>5}  fills {fills:>4}  open {:>3}  fees {:.4}",
        passed.as_secs(),
        snapshot.equity.0,
        shared.names.quote,
        snapshot.open_orders.len(),
        snapshot.fees.0
    )
}

fn block(shared: &Shared, passed: Duration) -> Vec<String> {
    let mut lines = vec![line(shared, passed)];
    let state = shared.state();
    let snapshot = state.portfolio.snapshot(3);
    for (id, (status, _)) in &state.books {
        let Some(instrument) = shared.names.instrument(*id) else { continue };
        let text = match status {
            messages::BookStatus::Valid(view) => {
                let price = |levels: &[messages::ViewLevel]| {
                    levels.first().map_or_else(
                        || "-".to_owned(),
                        |level| instrument.version.price_decimal(level.price).to_string(),
                    )
                };
                format!("bid {}  ask {}", price(&view.bids), price(&view.asks))
            }
            messages::BookStatus::Invalid(fault) => format!("not valid: {fault:?}"),
        };
        lines.push(format!("        {}  {text}", instrument.symbol));
    }
    for strategy in &snapshot.strategies {
        lines.push(format!(
            "        {:<8} orders {:>5}  fills {:>4} ({} maker)  refused {:>3}  realised {:.4}",
            strategy.name, strategy.orders, strategy.fills, strategy.maker_fills, strategy.refused, strategy.realised.0
        ));
    }
    lines
}

/// What a demo came to.
fn summary(global: &Global, shared: &Shared, journal: &Path, symbol: &str, moved: Decimal) -> Result<(), Trouble> {
    let stored = commands::journal::verified(journal)?;
    let from_journal = journal_position(journal, shared)?;
    let state = shared.state();
    let snapshot = state.portfolio.snapshot(0);
    let from_fills = snapshot.positions.iter().fold(Decimal::ZERO, |sum, position| sum.saturating_add(position.qty.0));
    let unknown = state.portfolio.open_orders().filter(|order| order.state == OrderState::Unknown).count();
    let total = |count: fn(&portfolio::StrategyView) -> u64| snapshot.strategies.iter().map(count).sum::<u64>();
    let (orders, fills, makers, refused) =
        (total(|s| s.orders), total(|s| s.fills), total(|s| s.maker_fills), total(|s| s.refused));
    let hops: BTreeMap<&str, serde_json::Value> = state
        .hops
        .iter()
        .map(|(stretch, histogram)| {
            let value = serde_json::json!({
                "count": histogram.len(), "p50_ns": histogram.value_at_quantile(0.5), "p99_ns": histogram.value_at_quantile(0.99),
            });
            (Stretch::as_str(*stretch), value)
        })
        .collect();
    let agrees = moved == from_fills && from_fills == from_journal;
    if global.json {
        let strategies: BTreeMap<&str, serde_json::Value> = snapshot
            .strategies
            .iter()
            .map(|s| {
                let counts = serde_json::json!({ "orders": s.orders, "fills": s.fills, "maker_fills": s.maker_fills, "refused": s.refused });
                (s.name.as_str(), counts)
            })
            .collect();
        let text = |number: Decimal| number.normalize().to_string();
        let line = serde_json::json!({
            "orders": orders, "fills": fills, "maker_fills": makers, "refused": refused,
            "unknown": unknown, "unknown_seen": state.unknown_seen,
            "equity": text(snapshot.equity.0), "fees": text(snapshot.fees.0),
            "strategies": strategies,
            "positions": [{ "instrument": symbol, "venue": text(moved), "fills": text(from_fills), "journal": text(from_journal) }],
            "hops": hops, "journal_records": stored.last, "halted": state.halt.map(messages::HaltReason::as_str),
        });
        let _ = term::offer(&line.to_string());
        return Ok(());
    }
    let mut lines = vec![String::new()];
    lines.push(format!(
        "orders {orders}, fills {fills} ({makers} as maker), refused {refused}, unknown {unknown} (ever: {})",
        state.unknown_seen
    ));
    lines.push(format!("equity {:.4} {}, fees {:.6}", snapshot.equity.0, shared.names.quote, snapshot.fees.0));
    lines.push(format!(
        "position {symbol}: exchange {}, fills {}, journal {}: {}",
        moved.normalize(),
        from_fills.normalize(),
        from_journal.normalize(),
        if agrees { "agree" } else { "DIFFER" }
    ));
    for (stretch, histogram) in &state.hops {
        lines.push(format!(
            "  {:<13} {:>6} times, p50 {:>10.1} us, p99 {:>10.1} us",
            stretch.as_str(),
            histogram.len(),
            micros(histogram.value_at_quantile(0.5)),
            micros(histogram.value_at_quantile(0.99))
        ));
    }
    lines.push(format!("journal ok: {} records", stored.last));
    // Nobody may be reading any more; the demo still ends in order.
    let _ = term::offer(&lines.join("\n"));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn micros(ns: u64) -> f64 {
    ns as f64 / 1_000.0
}

/// The position as the journal alone tells it.
fn journal_position(path: &Path, shared: &Shared) -> Result<Decimal, Trouble> {
    let mut sum = Amount::ZERO;
    journal::JournalReader::open(path)
        .and_then(|reader| {
            reader.replay(|event| {
                let messages::EventBody::Filled { fill, .. } = &event.body else { return };
                let Some(instrument) = shared.names.instrument(fill.instrument) else { return };
                let qty = instrument.version.qty_decimal(fill.qty);
                let signed = if fill.side == domain::Side::Buy { qty } else { -qty };
                let fee = if fill.fee.asset == instrument.base { fill.fee.amount.0 } else { Decimal::ZERO };
                sum = Amount(sum.0.saturating_add(signed).saturating_sub(fee));
            })
        })
        .map_err(|error| commands::journal::trouble(path, &error))?;
    Ok(sum.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_killed_demos_go_and_those_in_use_stay() {
        let temporary = tempfile::tempdir().unwrap();
        let path = |name: &str| temporary.path().join(name);
        for name in ["steadfast-demo-left", "steadfast-demo-begins", "other-left"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        std::fs::write(path("steadfast-demo-left").join("lock"), "").unwrap();
        std::fs::write(path("other-left").join("lock"), "").unwrap();
        let used = DataDir::open(&path("steadfast-demo-used")).unwrap();
        sweep(temporary.path());
        assert!(!path("steadfast-demo-left").exists());
        for stays in ["steadfast-demo-begins", "steadfast-demo-used", "other-left"] {
            assert!(path(stays).exists(), "{stays}");
        }
        drop(used);
        sweep(temporary.path());
        assert!(!path("steadfast-demo-used").exists());
    }
}
