//! The program's log: lines for people on a terminal, JSON otherwise, files by the day.

use crate::cli::Global;
use crate::report::{Exit, Trouble};
use settings::{LogFormat, Rotation, Settings};
use std::io::IsTerminal as _;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// Keeps the writers alive; what they hold is written when it is dropped.
pub struct Log {
    _guards: Vec<WorkerGuard>,
}

/// Lines that may wait for the disk or the terminal; more are dropped, never waited for.
const LINES_MAX: usize = 8_192;

fn filter(level: &str, verbose: u8) -> Targets {
    let level = match verbose {
        0 => level,
        1 => "debug",
        _ => "trace",
    };
    // The HTTP and WebSocket libraries print headers at `trace`, and headers carry keys: they stay below it.
    level
        .parse::<Targets>()
        .unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO))
        .with_target("reqwest", LevelFilter::INFO)
        .with_target("hyper", LevelFilter::INFO)
        .with_target("hyper_util", LevelFilter::INFO)
        .with_target("h2", LevelFilter::INFO)
        .with_target("tungstenite", LevelFilter::INFO)
        .with_target("tokio_tungstenite", LevelFilter::INFO)
        .with_target("rustls", LevelFilter::INFO)
        .with_target("actix_http", LevelFilter::INFO)
        .with_target("actix_server", LevelFilter::WARN)
}

/// The log of the daemon, as the settings say.
///
/// # Errors
/// [`Trouble`] when the log directory cannot be used.
pub fn daemon(global: &Global, settings: &Settings) -> Result<Log, Trouble> {
    let json = match settings.log.format {
        LogFormat::Auto => !std::io::stdout().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let (writer, guard) = tracing_appender::non_blocking::NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .finish(std::io::stdout());
    let mut guards = vec![guard];
    let stdout = if json {
        fmt::layer().json().with_writer(writer).boxed()
    } else {
        fmt::layer().with_ansi(crate::term::colours(global)).with_writer(writer).boxed()
    };
    let file = match settings.log.file.rotate {
        Rotation::Off => None,
        rotate => {
            let dir = settings.log_dir();
            std::fs::create_dir_all(&dir).map_err(|error| {
                Trouble::new(Exit::Failure, format!("cannot make the log directory {}", dir.display())).why(error)
            })?;
            let rotation = match rotate {
                Rotation::Hourly => tracing_appender::rolling::Rotation::HOURLY,
                _ => tracing_appender::rolling::Rotation::DAILY,
            };
            let appender = tracing_appender::rolling::Builder::new()
                .rotation(rotation)
                .filename_prefix("steadfast")
                .filename_suffix("log")
                .max_log_files(usize::try_from(settings.log.file.keep).unwrap_or(14))
                .build(&dir)
                .map_err(|error| {
                    Trouble::new(Exit::Failure, format!("cannot write logs to {}", dir.display())).why(error)
                })?;
            let (writer, guard) = tracing_appender::non_blocking::NonBlockingBuilder::default()
                .buffered_lines_limit(LINES_MAX)
                .finish(appender);
            guards.push(guard);
            Some(fmt::layer().json().with_writer(writer).boxed())
        }
    };
    let _ = tracing_subscriber::registry()
        .with(stdout.with_filter(filter(&settings.log.level, global.verbose)))
        .with(file.map(|layer| layer.with_filter(filter(&settings.log.level, global.verbose))))
        .try_init();
    Ok(Log { _guards: guards })
}

/// The log of commands that print data on standard output: warnings to standard error.
pub fn quiet(global: &Global) {
    let layer = fmt::layer().with_ansi(crate::term::colours(global)).with_writer(std::io::stderr);
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter("warn", global.verbose))).try_init();
}
