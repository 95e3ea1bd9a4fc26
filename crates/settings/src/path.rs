//! Where a setting stands in the tree: `risk.kill_switch.persist`.

use std::fmt;

/// The keys from the root to one setting; a place in a list is its number, from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// The root of the tree.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// A path from its keys.
    pub fn of<T: Into<String>>(keys: impl IntoIterator<Item = T>) -> Self {
        Self(keys.into_iter().map(Into::into).collect())
    }

    /// A path from text with dots. Keys that contain a dot themselves cannot be written this way.
    #[must_use]
    pub fn dotted(text: &str) -> Self {
        Self::of(text.split('.').filter(|key| !key.is_empty()))
    }

    /// The path of a key below this one.
    #[must_use]
    pub fn child(&self, key: impl Into<String>) -> Self {
        let mut keys = self.0.clone();
        keys.push(key.into());
        Self(keys)
    }

    /// The path above, `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        Some(Self(above.to_vec()))
    }

    /// The last key.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }

    /// The keys, from the root.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.0
    }

    /// Whether this path is `other` or below it.
    #[must_use]
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.0.iter().enumerate() {
            let is_place = index > 0 && key.bytes().all(|byte| byte.is_ascii_digit());
            if is_place {
                write!(out, "[{key}]")?;
            } else if index == 0 {
                out.write_str(key)?;
            } else {
                write!(out, ".{key}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_reads_as_a_person_would_write_it() {
        assert_eq!(KeyPath::dotted("risk.kill_switch.persist").to_string(), "risk.kill_switch.persist");
        assert_eq!(KeyPath::of(["notify", "channel", "0", "url"]).to_string(), "notify.channel[0].url");
        assert_eq!(KeyPath::root().to_string(), "");
    }

    #[test]
    fn child_and_parent_undo_each_other() {
        let path = KeyPath::dotted("risk");
        assert_eq!(path.child("price_collar").parent(), Some(path.clone()));
        assert!(path.child("price_collar").starts_with(&path));
        assert!(!path.starts_with(&path.child("price_collar")));
        assert_eq!(KeyPath::root().parent(), None);
    }
}
