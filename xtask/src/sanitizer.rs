//! The tests of `secrets`, the one crate with `unsafe`, under AddressSanitizer.

use crate::ci::Outcome;
use crate::run::{cargo, command, output, run, target};
use anyhow::{Context as _, Result};

/// Builds the tests with the sanitizer and runs them.
pub(crate) fn step() -> Result<Outcome> {
    if !cfg!(target_os = "linux") {
        return Ok(Outcome::Skipped("only on Linux".to_owned()));
    }
    let version = output(command("rustc").arg("-vV"))?;
    let host = host(&version).context("rustc -vV names no host")?;
    // The sanitizer is part of the stable toolchain but its flag is not; this variable opens it.
    // A target is named so that build scripts and macros are built without it. Only the crate's
    // own tests run: the one that scans all readable memory would walk the sanitizer's terabytes.
    run(cargo()
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Zsanitizer=address")
        .env("CARGO_TARGET_DIR", target().join("sanitizer"))
        .args(["test", "--locked", "--package", "secrets", "--lib", "--target", host]))?;
    Ok(Outcome::passed())
}

/// The triple in the text of `rustc -vV`.
fn host(version: &str) -> Option<&str> {
    version.lines().find_map(|line| line.strip_prefix("host: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_read_from_the_version_text() {
        assert_eq!(
            host("rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0"),
            Some("x86_64-unknown-linux-gnu")
        );
    }
}
