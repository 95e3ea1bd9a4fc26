//! The project's own chores: `cargo xtask ci|long|reference`.
//!
//! Everything that decides whether a change may land is one step of `ci`; a
//! step that fails makes the whole run fail, after the others have run.

mod bans;
mod ci;
mod demo;
mod deny;
mod fuzz;
mod long;
mod reference;
mod run;
mod sanitizer;
mod tidy;

use anyhow::{Result, bail};
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask ci [--skip-tests] [--only STEP]... [--skip STEP]...   every check a change must pass
cargo xtask ci --list                                              the steps, one a line
cargo xtask long NAME [--seed N] [-- ARGUMENT...]                  one long suite; its record goes to target/long/NAME.json
cargo xtask long fuzz [--seconds N] [--seed N] [--target NAME]...  every decoder under libFuzzer; record: target/long/fuzz.json
cargo xtask reference [--check]                                    the pages made from declarations
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else { bail!("no command\n{USAGE}") };
    match command.as_str() {
        "ci" => ci::main(rest),
        "long" => match rest.split_first() {
            Some((name, rest)) if name == "fuzz" => fuzz::main(rest),
            _ => long::main(rest),
        },
        "reference" => reference::main(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => bail!("unknown command `{other}`\n{USAGE}"),
    }
}
