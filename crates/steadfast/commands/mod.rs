//! The commands, one file each.

pub mod check;
pub mod demo;
pub mod init;
pub mod journal;
pub mod keys;
pub mod run;
pub mod sim;
pub mod tape;

use crate::cli::{Cli, Command, JournalCommand, TapeCommand};
use crate::report::Trouble;

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
        Command::Sim(args) => sim::run(global, args),
        Command::Tape(TapeCommand::Import(args)) => tape::import(global, args),
        Command::Keys(command) => keys::run(global, command),
        Command::Journal(JournalCommand::Verify) => journal::verify(global),
        _ => Err(Trouble::new(crate::report::Exit::Failure, "not wired yet")),
    }
}
