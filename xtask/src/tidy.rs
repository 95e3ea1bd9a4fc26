//! What no compiler looks at: unfinished code, paths of a machine, long files,
//! words that do not belong in the product.

use crate::ci::Outcome;
use crate::run::{command, output, root};
use anyhow::{Result, bail};

/// A Rust file may be this long; a longer one says why in its first lines.
const LINES_MAX: usize = 800;
/// How a long file says why.
const LONG_REASON: &str = "This file is long because";

/// Looks at every file that is, or would be, in the repository.
pub(crate) fn step() -> Result<Outcome> {
    let listed = output(command("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    let mut found = Vec::new();
    let mut count = 0;
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        // A file that is not text, or was deleted and not yet told to git, has nothing to read.
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        count += 1;
        found.extend(faults(path, &text));
    }
    if !runnable(".ci/run") {
        found.push(".ci/run cannot be run: its run bit is missing".to_owned());
    }
    if found.is_empty() {
        return Ok(Outcome::Passed(format!("{count} files")));
    }
    bail!("\n  {}", found.join("\n  "))
}

#[cfg(unix)]
fn runnable(path: &str) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    root().join(path).metadata().is_ok_and(|data| data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn runnable(_: &str) -> bool {
    true
}

/// Everything wrong with one file, with its line.
fn faults(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let rust = path.ends_with(".rs");
    if rust {
        let lines = text.lines().count();
        if lines > LINES_MAX && !text.lines().take(20).any(|line| line.contains(LONG_REASON)) {
            found.push(format!("{path}: {lines} lines; split it, or say `{LONG_REASON} ...` in its first lines"));
        }
        if !text.starts_with("//!") && !text.trim().is_empty() {
            found.push(format!("{path}: does not begin with what it is responsible for (//!)"));
        }
    }
    for (number, line) in text.lines().enumerate() {
        let mut fault = |what: &str| found.push(format!("{path}:{}: {what}", number + 1));
        if rust && unfinished(line) {
            fault("unfinished code");
        }
        if rust && line.trim() == "#[ignore]" {
            fault("a test switched off without a reason");
        }
        if !path.ends_with(".lock") && names_a_machine(line) {
            fault("a path of some machine");
        }
        if names_its_maker(line) {
            fault("the project speaks of itself alone");
        }
    }
    found
}

// The words looked for are put together, so that this file does not contain them.

fn unfinished(line: &str) -> bool {
    ["to\u{64}o!(", "unimpl\u{65}mented!(", "FIX\u{4d}E", "X\u{58}X"].iter().any(|word| line.contains(word))
}

fn names_a_machine(line: &str) -> bool {
    ["work", "farm", "root", "Users"].iter().any(|folder| {
        line.match_indices(&format!("/{folder}/")).any(|(at, found)| {
            let before = line.get(..at).and_then(|text| text.chars().next_back());
            let behind = line.get(at + found.len()..).unwrap_or("");
            let a_path_of_its_own = !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}'));
            let named = behind.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '.' || c == '_');
            a_path_of_its_own && named && !behind.starts_with(".cargo") && !behind.starts_with(".cache")
        })
    })
}

fn names_its_maker(line: &str) -> bool {
    let line = line.to_lowercase();
    [["ai", "agent"], ["language", "model"], ["helper", "session"], ["developer", "session"]].iter().any(|words| {
        let phrase = words.join(" ");
        line.match_indices(&phrase).any(|(at, found)| {
            let edge = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
            let before = line.get(..at).and_then(|text| text.chars().next_back());
            let behind = line.get(at + found.len()..).and_then(|text| text.chars().next());
            edge(before) && (edge(behind) || behind == Some('s'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, line: &str) -> usize {
        faults(path, &format!("//! A file.\n{line}\n")).len()
    }

    #[test]
    fn unfinished_code_is_found_in_rust_only() {
        let line = format!("    {}!()", ["to", "do"].concat());
        assert_eq!(of("src/a.rs", &line), 1);
        assert_eq!(of("notes.md", &line), 0);
        assert_eq!(of("src/a.rs", &format!("// {}: later", ["FIX", "ME"].concat())), 1);
    }

    #[test]
    fn path_of_a_machine_is_found_and_a_part_of_another_path_is_not() {
        let path = |folder: &str| format!("see /{folder}/main/file for more");
        assert_eq!(of("a.md", &path("work")), 1);
        assert_eq!(of("a.md", &path("Users")), 1);
        assert_eq!(of("Cargo.lock", &path("work")), 0);
        assert_eq!(of("a.md", &format!("src/{}/queue.rs", "work")), 0);
        assert_eq!(of("a.md", "crates.io/var/lib/steadfast"), 0);
    }

    #[test]
    fn words_about_its_makers_are_found_whole() {
        assert_eq!(of("a.md", &format!("made by an {} for you", ["AI", "agent"].join(" "))), 1);
        assert_eq!(of("a.md", &format!("uses {}s", ["language", "model"].join(" "))), 1);
        assert_eq!(of("a.md", "the fair agent trades"), 0);
    }

    #[test]
    fn long_file_needs_its_reason_and_every_file_its_first_line() {
        let long = format!("//! A file.\n{}", "// x\n".repeat(LINES_MAX));
        assert_eq!(faults("a.rs", &long).len(), 1);
        let reasoned = long.replacen("A file.", &format!("{LONG_REASON} its table is one."), 1);
        assert_eq!(faults("a.rs", &reasoned), Vec::<String>::new());
        assert_eq!(faults("a.rs", "fn main() {}\n").len(), 1);
    }

    #[test]
    fn test_switched_off_needs_a_reason() {
        assert_eq!(of("a.rs", "    #[ignore]"), 1);
        assert_eq!(of("a.rs", "    #[ignore = \"runs for an hour: cargo xtask long soak\"]"), 0);
    }
}
