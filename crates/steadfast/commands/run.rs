//! `steadfast run`: the daemon.

use crate::cli::{Global, RunArgs};
use crate::data_dir::DataDir;
use crate::emergency::Emergency;
use crate::report::{Exit, Trouble, causes};
use crate::term::StopSignal;
use crate::wiring::{self, End, Start};
use crate::{audit_trail, commands, logging, metrics_page, plan, signers, term};
use access::ApiKeys;
use alerts::{Alert, Alerts, Channel, Event, Origin, WebhookUrl};
use clock::SystemClock;
use domain::Clock;
use hot_actor::WaitPolicy;
use sd_notify::NotifyState;
use settings::{Mode, Settings};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// What helps against most of what a start can meet and nobody has better advice for.
const ADVICE: &str = "check that the data directory may be written and its disk has room, then start again";

/// Runs until the first signal.
///
/// # Errors
/// [`Trouble`]: what a person needs to read.
pub fn run(global: &Global, args: &RunArgs) -> Result<(), Trouble> {
    let loaded = commands::check::load(global, &args.set).map_err(|problems| commands::check::trouble(&problems))?;
    let settings = loaded.settings.clone();
    may_trade(&settings, args.live)?;
    no_core()?;
    let stop = StopSignal::listen()?;
    // Before the first line of the log: a directory that is not ours gets no file from us.
    let dir = DataDir::open(settings.data_dir())?;
    let _log = logging::daemon(global, &settings)?;
    may_be_reached(&settings, &dir)?;
    let listener = bind(settings.control.listen, "--set control.listen=127.0.0.1:7448")?;
    let token_file = dir.token();
    #[cfg(feature = "leak-for-test")]
    let planted_in = dir.root().to_owned();
    let tls = certificate(&settings)?;
    let plan = plan::from_settings(&settings);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let signers =
        signers::start(global, &settings, plan.wait == WaitPolicy::Spin, signers::places(&dir, &plan)?, &clock)?;
    term::say(global, &signers.isolation().line());
    audit_trail::started(&*signers.audit(), &settings.vault_dir(), settings.mode.word())?;
    let metrics = metrics_page::install()?;
    let alerts = notifier(&settings)?;
    let start = Start {
        plan,
        dir,
        signers,
        listener,
        socket: Some(settings.control_socket()),
        hosts: settings.control.hosts.clone(),
        tls,
        metrics,
        alerts: alerts.clone(),
        locate: Box::new(move |path, message, help| loaded.problem(path, message, help)),
        show_probes: false,
    };
    let end = actix_rt::System::new().block_on(async {
        let mut running = wiring::start(start).await.map_err(|trouble| trouble.or_fix(ADVICE))?;
        term::say(global, &greeting(&running.dashboard, &token_file));
        if let Some(alerts) = &alerts {
            alerts.tell(&Alert::new(Event::Started, "steadfast started", "nothing"));
        }
        #[cfg(feature = "leak-for-test")]
        let _leaks = crate::leak::plant(&planted_in);
        let mut told = false;
        let watchdog = |shared: &crate::shared::Shared| {
            // Not under a service manager: there is nobody to tell.
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
            if !told {
                told = true;
                let _ = sd_notify::notify(&[NotifyState::Ready]);
            }
            let reasons: Vec<&str> = shared.not_ready().into_iter().map(messages::NotReadyReason::as_str).collect();
            let status =
                if reasons.is_empty() { "trading".to_owned() } else { format!("not ready: {}", reasons.join(", ")) };
            let _ = sd_notify::notify(&[NotifyState::Status(&status)]);
        };
        let died = running.drive(|| stop.is_set(), watchdog).await;
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        Ok::<End, Trouble>(match died {
            Some(part) => running.abandon(part).await,
            None => running.stop("asked to").await,
        })
    })?;
    finish(global, &end)
}

/// No core file of the daemon: headers on their way carry the API key and its passphrase. One byte, and not none, also
/// keeps a program away that the system would hand the core to.
fn no_core() -> Result<(), Trouble> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let least = getrlimit(Resource::Core).maximum.map_or(1, |most| most.min(1));
    setrlimit(Resource::Core, Rlimit { current: Some(least), maximum: Some(least) })
        .map_err(|error| Trouble::new(Exit::Failure, "core files cannot be switched off").why(error))
}

/// Other machines are let in with an API key only; the rest of what they need, the settings were refused without.
fn may_be_reached(settings: &Settings, dir: &DataDir) -> Result<(), Trouble> {
    let address = settings.control.listen.ip();
    if address.is_loopback() {
        return Ok(());
    }
    let keys =
        ApiKeys::open(&dir.root().join(ApiKeys::FILE)).map_err(|error| commands::access::file_trouble(&error))?;
    let now = SystemClock.unix().0 / 1_000_000_000;
    if keys.list().any(|key| now < key.expires) {
        return Ok(());
    }
    Err(Trouble::new(Exit::Refused, "the control interface stays closed to other machines")
        .why(format!("it would listen on {address}, which they reach, and there is no API key that is good now"))
        .fix("steadfast access add NAME --role operator, then start again; or listen on 127.0.0.1"))
}

/// The control interface's certificate, if one is set.
fn certificate(settings: &Settings) -> Result<Option<control_plane::Tls>, Trouble> {
    let Some(files) = &settings.control.tls else { return Ok(None) };
    control_plane::Tls::load(files.cert.as_ref(), files.key.as_ref()).map(Some).map_err(|error| {
        let fix = match &error {
            control_plane::TlsError::OpenToOthers { path, .. } => format!("chmod 600 {}", path.display()),
            _ => {
                "correct control.tls in config/steadfast.toml: PEM files, the server's own certificate first".to_owned()
            }
        };
        Trouble::new(Exit::Key, "the certificate of the control interface cannot be used").why(causes(&error)).fix(fix)
    })
}

/// Where the live page is. Its token is shown to a person at a terminal only, never written into anybody's log.
fn greeting(dashboard: &str, token_file: &std::path::Path) -> String {
    match dashboard.split_once("#t=") {
        Some((page, _)) if !std::io::stderr().is_terminal() => {
            format!("steadfast runs; dashboard {page}#t=TOKEN with the token in {}", token_file.display())
        }
        None => format!("steadfast runs; dashboard {dashboard}#t=KEY with an API key (steadfast access list)"),
        _ => format!("steadfast runs; dashboard {dashboard}"),
    }
}

/// What is said at the end.
///
/// # Errors
/// [`Trouble`] when a part of the money path died.
pub fn finish(global: &Global, end: &End) -> Result<(), Trouble> {
    match end {
        End::Orderly { left: 0 } => {
            term::say(global, "stopped; nothing rests at the exchange");
            Ok(())
        }
        End::Orderly { left } => {
            term::say(
                global,
                &format!("stopped; {left} orders still rest at the exchange and are taken up at the next start"),
            );
            Ok(())
        }
        End::Died(part, lines) if !Emergency::all_cancelled(lines) => {
            Err(Trouble::new(Exit::Failure, format!("{part} died, and not everything could be cancelled"))
                .why(lines.join("\n"))
                .fix("cancel by hand at the exchange what must not rest; then look at the log and start again"))
        }
        End::Died(part, lines) => Err(Trouble::new(Exit::Failure, format!("{part} died; everything was cancelled"))
            .why(lines.join("\n"))
            .fix("look at the log, then start again: the exchange is asked for everything before the first new order")),
    }
}

/// Real orders need two words: one in the settings, one on the command line.
fn may_trade(settings: &Settings, live: bool) -> Result<(), Trouble> {
    match (settings.mode, live) {
        (Mode::Live, false) => Err(Trouble::new(Exit::Refused, "real orders need the flag --live too")
            .why("the settings say mode = \"live\"")
            .fix("steadfast run --live")),
        (Mode::Sim, true) => Err(Trouble::new(Exit::Refused, "--live needs mode = \"live\" in the settings")
            .why("they say mode = \"sim\"")
            .fix("leave out --live, or set mode = \"live\" in config/steadfast.toml")),
        _ => Ok(()),
    }
}

/// Binds the control interface's address. `otherwise` is the option that names another one.
///
/// # Errors
/// [`Trouble`] when it is taken.
pub fn bind(address: SocketAddr, otherwise: &str) -> Result<TcpListener, Trouble> {
    TcpListener::bind(address).map_err(|error| {
        let trouble = Trouble::new(Exit::Failure, format!("cannot listen on {address}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => trouble
                .why("another program uses the port, perhaps another steadfast")
                .fix(format!("stop it, or choose another address with {otherwise}")),
            _ => trouble.why(error).fix(format!("choose another address with {otherwise}")),
        }
    })
}

/// The channels of the settings.
fn notifier(settings: &Settings) -> Result<Option<Alerts>, Trouble> {
    let mut channels = Vec::new();
    for channel in &settings.notify.channel {
        let wrong = |error: &dyn std::error::Error| {
            Trouble::new(Exit::Settings, "a notification channel cannot be used").why(causes(error))
        };
        let url = match (&channel.url, &channel.url_file) {
            (Some(url), _) => WebhookUrl::inline(url).map_err(|error| wrong(&error))?,
            (None, Some(path)) => WebhookUrl::from_file(path.as_ref()).map_err(|error| wrong(&error))?,
            (None, None) => continue,
        };
        let switches = channel
            .events
            .0
            .iter()
            .filter_map(|(event, switch)| {
                Event::from_word(event.word()).map(|event| (event, *switch == settings::Switch::On))
            })
            .collect::<BTreeMap<_, _>>();
        let min_severity = match channel.min_severity {
            settings::Severity::Info => alerts::Severity::Info,
            settings::Severity::Warning => alerts::Severity::Warning,
            settings::Severity::Critical => alerts::Severity::Critical,
        };
        channels.push(Channel {
            url,
            min_severity,
            switches,
            rate_count: channel.rate_limit.count,
            rate_per: channel.rate_limit.per,
            include_money: channel.include_money,
        });
    }
    if channels.is_empty() {
        return Ok(None);
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let origin = Origin {
        host,
        mode: settings.mode.word().to_owned(),
        dashboard: match &settings.control.tls {
            Some(_) => format!("https://{}/", settings.control.hosts.first().map_or("localhost", String::as_str)),
            None => format!("http://{}/", settings.control.listen),
        },
    };
    alerts::start(channels, origin, Arc::new(SystemClock))
        .map(Some)
        .map_err(|error| Trouble::new(Exit::Failure, "messages to people cannot be sent").why(causes(&error)))
}
