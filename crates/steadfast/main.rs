//! The program: reads the command line, runs one command, prints what a person needs to know.

use clap::Parser as _;
use std::process::ExitCode;
use steadfast::cli::Cli;
use steadfast::{commands, term};

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(code) = steadfast::signers::child::dispatch() {
        return code;
    }
    // Panics say where, never what: their words could hold what they stumbled over.
    panic_place::say_places_only("steadfast");
    // Everything this program writes is for its owner alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    match commands::dispatch(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            term::tell(&trouble.to_string());
            trouble.code()
        }
    }
}
