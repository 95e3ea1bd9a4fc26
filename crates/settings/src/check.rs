//! Ranges of settings.

use std::fmt;

use crate::problem::shown;
use crate::schema::Setting;

/// A condition on a setting with its description.
pub struct Check<T> {
    words: String,
    holds: Box<dyn Fn(&T) -> bool>,
}

impl<T> fmt::Debug for Check<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Check").field(&self.words).finish()
    }
}

impl<T> Check<T> {
    /// A condition; the words complete "must be ...".
    pub fn new(words: impl Into<String>, holds: impl Fn(&T) -> bool + 'static) -> Self {
        Self { words: words.into(), holds: Box::new(holds) }
    }

    /// The condition in words, completing "must be ...".
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// Whether the value satisfies it.
    pub fn holds(&self, value: &T) -> bool {
        (self.holds)(value)
    }

    /// The same condition on a setting that may be absent.
    #[must_use]
    pub fn if_present(self) -> Check<Option<T>>
    where
        T: 'static,
    {
        let holds = self.holds;
        Check { words: self.words, holds: Box::new(move |value| value.as_ref().is_none_or(&holds)) }
    }
}

fn text<T: Setting>(value: &T) -> String {
    shown(&value.write()).trim_matches(['`', '"']).to_owned()
}

/// From `low` to `high`, both permitted.
pub fn between<T: Setting + PartialOrd + 'static>(low: T, high: T) -> Check<T> {
    Check::new(format!("from {} to {}", text(&low), text(&high)), move |value| *value >= low && *value <= high)
}

/// `low` or more.
pub fn at_least<T: Setting + PartialOrd + 'static>(low: T) -> Check<T> {
    Check::new(format!("{} or more", text(&low)), move |value| *value >= low)
}

/// More than zero.
#[must_use]
pub fn positive<T: Setting + PartialOrd + Default + 'static>() -> Check<T> {
    Check::new("more than 0", |value| *value > T::default())
}

/// Zero or more.
#[must_use]
pub fn not_negative<T: Setting + PartialOrd + Default + 'static>() -> Check<T> {
    Check::new("0 or more", |value| *value >= T::default())
}

/// Text with at least one character.
#[must_use]
pub fn not_empty() -> Check<String> {
    Check::new("not empty", |value: &String| !value.is_empty())
}

/// A list with at least one element.
#[must_use]
pub fn some_of<T: 'static>() -> Check<Vec<T>> {
    Check::new("a list with at least one element", |value: &Vec<T>| !value.is_empty())
}

/// The name of a venue account, strategy or key: 1 to 32 of a-z, 0-9 and `-`, beginning with a letter or digit.
#[must_use]
pub fn name() -> Check<String> {
    Check::new("a name of 1 to 32 characters a-z, 0-9 and `-`", |value: &String| is_name(value))
}

/// Whether the text may name a venue account, strategy or key.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_permitted_themselves() {
        let check = between(1_u32, 500);
        assert!(check.holds(&1) && check.holds(&500));
        assert!(!check.holds(&0) && !check.holds(&501));
        assert_eq!(check.words(), "from 1 to 500");
    }

    #[test]
    fn absent_values_pass_and_present_ones_are_checked() {
        let check = positive::<u32>().if_present();
        assert!(check.holds(&None) && check.holds(&Some(1)) && !check.holds(&Some(0)));
    }

    #[test]
    fn names_are_short_lower_case_words() {
        for good in ["bitget-main", "a", "1st", "btc-grid-2"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", "Main", "a_b", "a b", "a/b", &"x".repeat(33)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
