//! Proves that the bans of `clippy.toml` match what they mean to ban.
//!
//! A path that clippy cannot resolve bans nothing and says nothing. So a sample
//! breaks each ban once, and clippy must report every path of the list.

use crate::ci::Outcome;
use crate::run::{cargo, root, shown, target};
use anyhow::{Context as _, Result, bail, ensure};
use std::process::Stdio;
use toml_edit::DocumentMut;

/// Checks the sample and compares what is reported with what is banned.
pub(crate) fn step() -> Result<Outcome> {
    let configuration = std::fs::read_to_string(root().join("clippy.toml")).context("clippy.toml")?;
    let banned = banned_methods(&configuration)?;
    ensure!(!banned.is_empty(), "clippy.toml bans no method");

    // Checked in a copy, with the workspace's lock file: the versions that the program uses.
    let copy = target().join("samples/bans");
    std::fs::create_dir_all(copy.join("src"))?;
    let sample = root().join("xtask/samples/bans");
    for file in ["Cargo.toml", "src/main.rs"] {
        std::fs::copy(sample.join(file), copy.join(file)).with_context(|| format!("copying {file}"))?;
    }
    std::fs::copy(root().join("Cargo.lock"), copy.join("Cargo.lock"))?;
    let mut clippy = cargo();
    clippy.current_dir(&copy).env("CLIPPY_CONF_DIR", root()).env("CARGO_TARGET_DIR", target().join("samples/target"));
    clippy.args(["clippy", "--message-format=json", "--", "-D", "warnings"]).stderr(Stdio::inherit());
    let output = clippy.output().with_context(|| format!("cannot start {}", shown(&clippy)))?;
    ensure!(!output.status.success(), "clippy accepts a program that breaks every ban");

    let messages = reported(&String::from_utf8_lossy(&output.stdout));
    let silent: Vec<&String> =
        banned.iter().filter(|path| !messages.iter().any(|text| text.contains(&format!("`{path}`")))).collect();
    if !silent.is_empty() {
        bail!("broken without a report: {silent:?}; reported: {messages:?}");
    }
    Ok(Outcome::Passed(format!("{} bans", banned.len())))
}

/// The paths of `disallowed-methods`.
fn banned_methods(configuration: &str) -> Result<Vec<String>> {
    let document: DocumentMut = configuration.parse().context("clippy.toml")?;
    let list = document.get("disallowed-methods").and_then(|item| item.as_array()).context("no disallowed-methods")?;
    list.iter()
        .map(|entry| {
            let path = entry.as_inline_table().map_or(Some(entry), |table| table.get("path"));
            path.and_then(|path| path.as_str()).map(str::to_owned).context("an entry without a path")
        })
        .collect()
}

/// The texts of all reports about disallowed methods.
fn reported(messages: &str) -> Vec<String> {
    let parsed = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    parsed
        .filter(|line| line.pointer("/message/code/code").is_some_and(|code| code == "clippy::disallowed_methods"))
        .filter_map(|line| line.pointer("/message/message")?.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_are_read_in_both_of_their_forms() {
        let text = "disallowed-methods = [ \"a::b\", { path = \"c::d\", reason = \"why\" } ]";
        assert_eq!(banned_methods(text).unwrap(), ["a::b", "c::d"]);
        assert!(banned_methods("").is_err());
    }

    #[test]
    fn only_reports_of_disallowed_methods_count() {
        let line = |code: &str| {
            format!(
                r#"{{"reason":"compiler-message","message":{{"code":{{"code":"{code}"}},"message":"use of `x`"}}}}"#
            )
        };
        let text = format!("{}\nnoise\n{}", line("clippy::disallowed_methods"), line("dead_code"));
        assert_eq!(reported(&text), ["use of `x`"]);
    }
}
