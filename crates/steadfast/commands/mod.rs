//! The commands, one file each.

pub mod access;
pub mod audit;
pub mod bench;
pub mod check;
pub mod client;
pub mod demo;
mod demo_scene;
pub mod init;
pub mod journal;
pub mod keys;
mod keys_life;
mod keys_policy;
mod keys_rotate;
mod keys_seal;
mod keys_verify;
pub mod run;
pub mod sim;
pub mod tape;
mod tape_check;
mod tape_market;
mod tape_record;
pub mod totp;
pub mod vault;
#[cfg(feature = "age-export")]
mod vault_export;
mod venues;

use crate::cli::{Cli, Command, Global, JournalCommand, TapeCommand};
use crate::report::Trouble;
use client::Target;
use std::path::PathBuf;

/// Runs the command that the command line names.
///
/// # Errors
/// [`Trouble`]: what a person needs to read, and the exit code.
pub fn dispatch(cli: &Cli) -> Result<(), Trouble> {
    let global = &cli.global;
    match &cli.command {
        Command::Demo(args) => demo::run(global, args),
        Command::Run(args) => run::run(global, args),
        Command::Check(args) => check::run(global, args),
        Command::Init(args) => init::run(global, args),
        Command::Keys(command) => keys::run(global, command, &target(global)),
        Command::Status(args) => client::status(global, args, &target(global)),
        Command::Pause(args) => client::pause(global, args, &target(global)),
        Command::Resume(args) => client::resume(global, args, &target(global)),
        Command::Halt(args) => client::halt(global, args, &target(global)),
        Command::Unhalt(args) => client::unhalt(global, args, &target(global)),
        Command::Access(command) => access::run(global, command, &target(global)),
        Command::Totp(command) => totp::run(global, command),
        Command::Sim(args) => sim::run(global, args),
        Command::Bench(args) => bench::run(global, args),
        Command::Tape(TapeCommand::Import(args)) => tape::import(global, args),
        Command::Tape(TapeCommand::Check(args)) => tape_check::run(global, args),
        Command::Tape(TapeCommand::Record(args)) => tape_record::run(global, args),
        Command::Journal(JournalCommand::Verify) => journal::verify(global),
        Command::Venues => venues::run(global),
        Command::Vault(command) => vault::run(global, command),
        Command::Audit(command) => audit::run(global, command),
    }
}

/// The daemon to talk to: as the flags say, else as the settings say, else the defaults. Settings that cannot be
/// read must not keep a person from halting.
fn target(global: &Global) -> Target {
    let settings = check::load(global, &[]).map(|loaded| loaded.settings).unwrap_or_default();
    let data_dir = global.data_dir.clone().unwrap_or_else(|| settings.data_dir().to_path_buf());
    let token = match (&global.token_file, &global.data_dir) {
        (Some(path), _) => path.clone(),
        (None, Some(dir)) => dir.join("control.token"),
        (None, None) => settings.token_file(),
    };
    // A daemon that speaks TLS, or listens elsewhere, is reached over its socket: no certificate is asked for there.
    let plain = settings.control.tls.is_none() && settings.control.listen.ip().is_loopback();
    let own = || match &global.data_dir {
        _ if plain => format!("http://{}", settings.control.listen),
        Some(dir) if settings.control.socket.is_none() => format!("unix:{}", dir.join("control.sock").display()),
        _ => format!("unix:{}", settings.control_socket().display()),
    };
    let endpoint = global.endpoint.clone().unwrap_or_else(own);
    // Whoever names an address means that one.
    let socket = match (&global.endpoint, &global.data_dir) {
        (Some(_), _) => None,
        (None, Some(dir)) => Some(dir.join("control.sock")),
        (None, None) => Some(settings.control_socket()),
    };
    Target { endpoint, socket, token, data_dir: PathBuf::from(&data_dir) }
}
