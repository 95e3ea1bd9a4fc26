//! What is wrong with the settings, as a person reads it.
//!
//! Invariant: a problem never repeats a value that could be a secret.

use std::fmt;

use serde_json::Value;

use crate::path::KeyPath;
use crate::secret;

/// One thing that is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as the user would open it, or in words where else the setting comes from; `None` when no layer has it.
    pub file: Option<String>,
    /// The line in the file, from 1.
    pub line: Option<u32>,
    /// The column in characters, from 1.
    pub column: Option<u32>,
    /// The setting; the root when the problem is with a whole file.
    pub path: KeyPath,
    /// What is wrong, lower-case and without a full stop.
    pub message: String,
    /// What to do, one or several lines; may be empty.
    pub help: String,
}

impl Problem {
    /// A problem with a setting, not yet located.
    pub fn at(path: &KeyPath, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { file: None, line: None, column: None, path: path.clone(), message: message.into(), help: help.into() }
    }

    /// A problem with a whole file.
    pub fn in_file(file: impl Into<String>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { file: Some(file.into()), ..Self::at(&KeyPath::root(), message, help) }
    }

    /// The place as `file:line:column`, as far as it is known; empty when it is not.
    #[must_use]
    pub fn place(&self) -> String {
        match (&self.file, self.line, self.column) {
            (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}"),
            (Some(file), Some(line), None) => format!("{file}:{line}"),
            (Some(file), ..) => file.clone(),
            (None, ..) => String::new(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("error: ")?;
        let place = self.place();
        let path = self.path.to_string();
        match (place.is_empty(), path.is_empty()) {
            (false, false) if place.ends_with(&format!(" {path}")) => write!(out, "{place}: ")?,
            (false, false) => write!(out, "{place}  {path}: ")?,
            (false, true) => write!(out, "{place}: ")?,
            (true, false) => write!(out, "{path}: ")?,
            (true, true) => {}
        }
        out.write_str(&self.message)?;
        for line in self.help.lines() {
            write!(out, "\n  {line}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong, in the order of the files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                out.write_str("\n")?;
            }
            write!(out, "{problem}")?;
        }
        Ok(())
    }
}

/// The candidate that the word was probably meant to be.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The help line for a word that is not one of a set: what was probably meant, otherwise the set.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(meant) = suggest(word, candidates.clone()) {
        return format!("did you mean `{meant}`?");
    }
    let all: Vec<String> = candidates.into_iter().map(|candidate| format!("`{candidate}`")).collect();
    if all.is_empty() { String::new() } else { format!("known: {}", all.join(", ")) }
}

/// A value as a message may show it: text only when it is short and cannot be a secret.
#[must_use]
pub(crate) fn shown(value: &Value) -> String {
    const SHOWN_LEN_MAX: usize = 23;
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(value) => format!("`{value}`"),
        Value::String(text) if text.len() <= SHOWN_LEN_MAX && !secret::looks_random(text) => {
            format!("{:?}", text.as_str())
        }
        Value::String(_) => "this text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_reads_as_place_path_message_and_help() {
        let problem = Problem {
            file: Some("config/risk.toml".to_owned()),
            line: Some(14),
            column: Some(1),
            ..Problem::at(
                &KeyPath::dotted("risk.max_order_notinal"),
                "unknown key",
                "did you mean `max_order_notional`?\nsee: config/reference.toml",
            )
        };
        assert_eq!(
            problem.to_string(),
            "error: config/risk.toml:14:1  risk.max_order_notinal: unknown key\n  did you mean \
             `max_order_notional`?\n  see: config/reference.toml"
        );
    }

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["max_order_notional", "max_open_orders"];
        assert_eq!(suggest("max_order_notinal", known), Some("max_order_notional"));
        assert_eq!(suggest("leverage", known), None);
        assert_eq!(suggest("SIM", ["sim", "live"]), Some("sim"));
        assert_eq!(suggest("x", ["sim"]), None);
    }

    #[test]
    fn long_and_random_text_is_never_shown() {
        assert_eq!(shown(&Value::from("yes")), "\"yes\"");
        assert_eq!(shown(&Value::from("x".repeat(24))), "this text");
    }
}
