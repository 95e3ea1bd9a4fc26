//! Licences, bans and sources of everything the program is built from.
//!
//! Advisories are left out on purpose: their database must be fetched from the
//! network at every run. Run `cargo deny check advisories` where that is possible.

use crate::ci::Outcome;
use crate::run::{cargo, find, root, run};
use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// Checks the whole lock file against `deny.toml`.
pub(crate) fn step() -> Result<Outcome> {
    let mut deny = crate::run::command(program()?);
    run(deny.args(["--locked", "check", "licenses", "bans", "sources"]))?;
    Ok(Outcome::passed())
}

/// `cargo-deny`, installed below `target/tools` when it is nowhere.
fn program() -> Result<PathBuf> {
    let tools = root().join("target/tools");
    let installed = tools.join("bin/cargo-deny");
    if installed.is_file() {
        return Ok(installed);
    }
    if let Some(found) = find("cargo-deny") {
        return Ok(found);
    }
    let mut install = cargo();
    run(install.args(["install", "--locked", "cargo-deny", "--root"]).arg(&tools)).context("installing cargo-deny")?;
    Ok(installed)
}
