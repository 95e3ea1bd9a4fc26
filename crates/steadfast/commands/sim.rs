//! `steadfast sim`: the embedded exchange as a program of its own.

use crate::cli::{Global, SimArgs};
use crate::commands::tape_market;
use crate::report::{Exit, Trouble, causes};
use crate::term::{self, StopSignal};
use clock::SystemClock;
use sim_venue::{ApiKeyMaterial, FaultPlan, KeyConfig, Market, Permission, RunningSim, SimConfig, SimError, SimVenue};
use std::sync::Arc;
use std::time::Duration;

/// Serves until the first signal.
///
/// # Errors
/// [`Trouble`] when an option or the address cannot be used.
pub fn run(global: &Global, args: &SimArgs) -> Result<(), Trouble> {
    let stop = StopSignal::listen()?;
    let sim = start(config(args)?)?;
    let mut ready = serde_json::json!({
        "rest": sim.rest, "ws_public": sim.ws_public, "ws_private": sim.ws_private,
        "key": sim.key.key, "secret": sim.key.secret, "passphrase": sim.key.passphrase,
        "web": sim.web, "control": format!("{}/control/faults", sim.rest), "control_token": sim.control_token,
    });
    if let (Some(key), Some(members)) = (read_only(args), ready.as_object_mut()) {
        let shown = serde_json::json!({"key": key.key, "secret": key.secret, "passphrase": key.passphrase});
        members.insert("read_only".into(), shown);
    }
    term::data(&ready.to_string());
    term::say(global, &format!("embedded exchange at {}; Ctrl-C stops it", sim.rest));
    term::say(global, &format!("accounts and API keys: {}", sim.web));
    while !stop.is_set() {
        std::thread::park_timeout(Duration::from_millis(100));
    }
    sim.stop();
    Ok(())
}

/// Starts an exchange, in words.
///
/// # Errors
/// [`Trouble`]: address taken, recording unreadable, option unusable.
pub fn start(config: SimConfig) -> Result<RunningSim, Trouble> {
    if let Market::Tape { path, .. } = &config.market {
        // The exchange says only that it cannot; the system says why.
        std::fs::File::open(path).map_err(|error| {
            Trouble::new(Exit::NotFound, format!("cannot open the recording {}", path.display()))
                .why(error)
                .fix("make a tape with `steadfast tape import` or `steadfast tape record`")
        })?;
    }
    SimVenue::start(config, Arc::new(SystemClock)).map_err(|error| {
        let trouble = Trouble::new(Exit::Failure, "the embedded exchange cannot start").why(causes(&error));
        match error {
            SimError::Listen { .. } => trouble.fix("choose another port with --listen, or stop what uses this one"),
            SimError::Tape { .. } => trouble.fix("make a tape with `steadfast tape import` or `steadfast tape record`"),
            SimError::NotLoopback { .. } => trouble.fix("choose a loopback address, such as --listen 127.0.0.1:7450"),
            _ => trouble,
        }
    })
}

fn config(args: &SimArgs) -> Result<SimConfig, Trouble> {
    let usage = |error: &dyn std::error::Error| Trouble::new(Exit::Usage, error.to_string());
    let mut config = SimConfig {
        listen: args.listen,
        key: args.key.clone(),
        secret: args.secret.clone(),
        passphrase: args.passphrase.clone(),
        permissions: permissions(&args.permissions)?,
        ips: args.ips.clone(),
        environment: args.environment.parse().map_err(|error: SimError| usage(&error))?,
        account: args.account.parse().map_err(|error: SimError| usage(&error))?,
        categories: args
            .categories
            .iter()
            .map(|word| word.parse())
            .collect::<Result<_, SimError>>()
            .map_err(|error| usage(&error))?,
        futures_balance: args.futures_balance,
        funding_interval: args.funding_interval,
        seed: args.seed,
        clock_offset_ms: args.clock_offset.as_deref().map_or(Ok(0), offset_ms)?,
        faults: all_faults(args)?,
        ..SimConfig::default()
    };
    if let (Some(key), Some(secret), Some(passphrase)) = (&args.second_key, &args.secret, &args.passphrase) {
        let material = ApiKeyMaterial { key: key.clone(), secret: secret.clone(), passphrase: passphrase.clone() };
        let (permissions, ips, environment) = (config.permissions.clone(), config.ips.clone(), config.environment);
        config.extra_keys.push(KeyConfig { material, permissions, ips, environment, account: 0 });
    }
    if let Some(material) = read_only(args) {
        let (ips, environment) = (config.ips.clone(), config.environment);
        let permissions = vec![Permission::Read, Permission::FuturesRead];
        config.extra_keys.push(KeyConfig { material, permissions, ips, environment, account: 0 });
    }
    config.rate_limits.enforced = !args.no_rate_limits;
    if !args.balances.is_empty() {
        config.balances = args.balances.iter().map(|text| balance(text)).collect::<Result<_, _>>()?;
    }
    if let Some(path) = &args.tape {
        config.instruments = tape_market::listings(&tape_market::recorded(path));
    }
    config.market = match (&args.tape, args.quiet_market) {
        (Some(path), false) => Market::Tape { path: path.clone(), at_end: sim_venue::TapeEnd::default() },
        (None, true) => Market::Quiet,
        (None, false) => Market::Seeded,
        (Some(_), true) => {
            return Err(Trouble::new(Exit::Usage, "--tape and --quiet-market exclude each other"));
        }
    };
    Ok(config)
}

/// What the words of `--permissions` allow; `read` and `trade` are of spot and of futures.
fn permissions(words: &[String]) -> Result<Vec<Permission>, Trouble> {
    let mut all = Vec::new();
    for word in words {
        match word.as_str() {
            "read" => all.extend([Permission::Read, Permission::FuturesRead]),
            "trade" => all.extend([Permission::Trade, Permission::FuturesTrade]),
            "spot-read" => all.push(Permission::Read),
            "spot-trade" => all.push(Permission::Trade),
            other => {
                all.push(other.parse().map_err(|error: SimError| Trouble::new(Exit::Usage, error.to_string()))?);
            }
        }
    }
    Ok(all)
}

/// The key that may only read, if one is wanted.
fn read_only(args: &SimArgs) -> Option<ApiKeyMaterial> {
    let (key, secret) = (args.read_only_key.clone()?, args.read_only_secret.clone()?);
    Some(ApiKeyMaterial { key, secret, passphrase: args.read_only_passphrase.clone()? })
}

/// The faults of the file and of all `--fault` options.
fn all_faults(args: &SimArgs) -> Result<FaultPlan, Trouble> {
    let mut plan = FaultPlan::default();
    if let Some(path) = &args.faults {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Trouble::new(Exit::NotFound, format!("cannot read the faults in {}", path.display()))
                .why(error)
                .fix("docs/sim.md shows such a file")
        })?;
        plan = FaultPlan::from_toml(&text).map_err(|error| {
            Trouble::new(Exit::Usage, format!("{} is no file of faults", path.display()))
                .why(error)
                .fix("docs/sim.md lists every fault with its parameters")
        })?;
    }
    plan.extend(faults(&args.fault)?);
    Ok(plan)
}

/// The faults of all `--fault` options.
///
/// # Errors
/// [`Trouble`] with the known names.
pub fn faults(texts: &[String]) -> Result<FaultPlan, Trouble> {
    let mut plan = FaultPlan::default();
    for text in texts {
        plan.extend(FaultPlan::parse(text).map_err(|error| Trouble::new(Exit::Usage, error.to_string()))?);
    }
    Ok(plan)
}

fn balance(text: &str) -> Result<(domain::Asset, rust_decimal::Decimal), Trouble> {
    let wrong = || Trouble::new(Exit::Usage, format!("`{text}` is no balance")).fix("write --balance USDT=100000");
    let (asset, amount) = text.split_once('=').ok_or_else(wrong)?;
    let amount: rust_decimal::Decimal = amount.parse().map_err(|_| wrong())?;
    let asset = domain::Asset::from(asset).map_err(|_| wrong())?;
    if amount.is_sign_negative() || asset.is_empty() {
        return Err(wrong());
    }
    Ok((asset, amount))
}

fn offset_ms(text: &str) -> Result<i64, Trouble> {
    let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let time = crate::cli::duration(rest).map_err(|message| Trouble::new(Exit::Usage, message))?;
    i64::try_from(time.as_millis())
        .ok()
        .and_then(|ms| ms.checked_mul(sign))
        .ok_or_else(|| Trouble::new(Exit::Usage, format!("`{text}` is out of range")))
}
