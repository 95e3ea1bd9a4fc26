//! Reads declared tables key by key, so that every problem of a table is found in one pass.

use serde_json::{Map, Value};

use crate::check::Check;
use crate::path::KeyPath;
use crate::problem::{Problem, did_you_mean, shown};
use crate::schema::Setting;

/// One table being read; used by the code that [`section!`](crate::section) makes.
#[derive(Debug)]
pub struct TableReader<'a> {
    keys: &'a Map<String, Value>,
    place: &'a KeyPath,
    problems: &'a mut Vec<Problem>,
}

impl<'a> TableReader<'a> {
    /// Opens a table and refuses its unknown keys; `None` when the value is no table.
    pub fn open(
        value: &'a Value,
        place: &'a KeyPath,
        known: &[&'static str],
        problems: &'a mut Vec<Problem>,
    ) -> Option<Self> {
        let Value::Object(keys) = value else {
            problems.push(Problem::at(place, format!("must be a table, not {}", shown(value)), ""));
            return None;
        };
        for key in keys.keys().filter(|key| !known.contains(&key.as_str())) {
            let help = format!("{}\nsee: config/reference.toml", did_you_mean(key, known.iter().copied()));
            problems.push(Problem::at(&place.child(key.as_str()), "unknown key", help.trim_start()));
        }
        Some(Self { keys, place, problems })
    }

    /// Reads one key, or its default; `None` when a problem was added.
    pub fn field<T: Setting>(
        &mut self,
        name: &'static str,
        default: Option<Value>,
        check: Option<Check<T>>,
    ) -> Option<T> {
        let place = self.place.child(name);
        let value = match (self.keys.get(name), &default) {
            (Some(value), _) => value,
            (None, Some(default)) => default,
            (None, None) => {
                let help = format!("add `{name} = ...` here: {}", T::shape().words());
                self.problems.push(Problem::at(&place, "is required and missing", help));
                return None;
            }
        };
        let read = T::read(value, &place, self.problems)?;
        match check {
            Some(check) if !check.holds(&read) => {
                let message = format!("{} is out of range: must be {}", shown(value), check.words());
                let help = match &default {
                    Some(default) if !default.is_null() => format!("the default is {}", shown(default)),
                    _ => String::new(),
                };
                self.problems.push(Problem::at(&place, message, help));
                None
            }
            _ => Some(read),
        }
    }
}

/// Reads one of a few words; used by the code that [`words!`](crate::words) makes.
pub fn read_word<T: Copy>(
    value: &Value,
    place: &KeyPath,
    problems: &mut Vec<Problem>,
    known: &[(&'static str, T)],
    later: &[(&'static str, &'static str)],
) -> Option<T> {
    let words = known.iter().map(|(word, _)| *word);
    let Value::String(text) = value else {
        let all: Vec<String> = words.map(|word| format!("{word:?}")).collect();
        problems.push(Problem::at(place, format!("must be {}, not {}", all.join(" or "), shown(value)), ""));
        return None;
    };
    if let Some((_, found)) = known.iter().find(|(word, _)| word == text) {
        return Some(*found);
    }
    if let Some((word, reason)) = later.iter().find(|(word, _)| word == text) {
        let all: Vec<String> = words.map(|word| format!("`{word}`")).collect();
        problems.push(Problem::at(place, format!("{word:?} {reason}"), format!("use {}", all.join(" or "))));
        return None;
    }
    let help = did_you_mean(text, words);
    problems.push(Problem::at(place, format!("unknown value {}", shown(value)), help));
    None
}
