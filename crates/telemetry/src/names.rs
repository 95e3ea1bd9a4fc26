//! Label values that come from the settings: venues, accounts, strategies, instruments.
//!
//! The number of different values of one label is bounded, so that a mistake in a caller cannot fill the memory of
//! this program or of the Prometheus server that scrapes it: after [`NAMES_MAX`] values the next ones are counted
//! under [`OTHER`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// The most values that one label may take. Ten times what one machine is meant to trade (some hundreds of
/// instruments).
pub const NAMES_MAX: usize = 2_000;

/// The longest value kept, in bytes; longer ones are counted under [`OTHER`].
pub const NAME_LEN_MAX: usize = 64;

/// The value that stands for all values beyond the bound.
pub const OTHER: &str = "other";

static KNOWN: Mutex<BTreeMap<&'static str, BTreeSet<&'static str>>> = Mutex::new(BTreeMap::new());

/// The kept copy of a value of this label, or [`OTHER`] when the label already has [`NAMES_MAX`] values. Each kept
/// value lives as long as the process.
#[must_use]
pub fn kept(label: &'static str, value: &str) -> &'static str {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    keep(known.entry(label).or_default(), value, NAMES_MAX)
}

fn keep(values: &mut BTreeSet<&'static str>, value: &str, values_max: usize) -> &'static str {
    if let Some(existing) = values.get(value) {
        return existing;
    }
    if values.len() >= values_max || value.is_empty() || value.len() > NAME_LEN_MAX {
        return OTHER;
    }
    let copy: &'static str = Box::leak(value.to_owned().into_boxed_str());
    values.insert(copy);
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_value_is_kept_once() {
        let first = kept("venue", "bitget-main");
        let second = kept("venue", &String::from("bitget-main"));
        assert_eq!(first.as_ptr(), second.as_ptr());
    }

    #[test]
    fn values_beyond_the_bound_are_counted_under_other() {
        let mut values = BTreeSet::new();
        assert_eq!(keep(&mut values, "one", 2), "one");
        assert_eq!(keep(&mut values, "two", 2), "two");
        assert_eq!(keep(&mut values, "three", 2), OTHER);
        assert_eq!(keep(&mut values, "one", 2), "one");
        assert_eq!(values.len(), 2);
    }

    #[test]
    fn overlong_and_empty_values_are_not_kept() {
        let mut values = BTreeSet::new();
        assert_eq!(keep(&mut values, &"x".repeat(NAME_LEN_MAX + 1), 10), OTHER);
        assert_eq!(keep(&mut values, "", 10), OTHER);
        assert!(values.is_empty());
    }
}
