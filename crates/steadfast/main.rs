//! The program: reads the command line, runs one command, prints what a person needs to know.

use clap::Parser as _;
use std::process::ExitCode;
use steadfast::cli::Cli;
use steadfast::commands;

fn main() -> ExitCode {
    match commands::dispatch(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("{trouble}");
            trouble.code()
        }
    }
}
