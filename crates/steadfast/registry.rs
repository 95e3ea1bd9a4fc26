//! Numbers that never change meaning over the life of a data directory: venue accounts, instruments, strategies.
//!
//! The journal and the wire log name them by number; an entry is added and never removed.

use crate::data_dir::write_private;
use crate::report::{Exit, Trouble};
use domain::{InstrumentId, StrategyTag, VenueId};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One instrument that was ever traded here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownInstrument {
    /// Name of the venue account.
    pub venue: String,
    /// The venue's spelling.
    pub symbol: String,
    /// Base asset.
    pub base: String,
    /// Quote asset.
    pub quote: String,
}

/// The tables; a number is an index, strategies count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    version: u32,
    venues: Vec<String>,
    instruments: Vec<KnownInstrument>,
    strategies: Vec<String>,
}

/// The tables of one data directory.
#[derive(Debug)]
pub struct Registry {
    path: PathBuf,
    tables: Tables,
    changed: bool,
}

impl Registry {
    /// Its file in the data directory.
    pub const FILE: &'static str = "registry.json";

    /// Reads the tables; a new directory has empty ones.
    ///
    /// # Errors
    /// [`Trouble`] when the file is there and cannot be read: numbers must never be guessed.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        let unreadable = |why: String| {
            Trouble::new(Exit::Failure, format!("{} cannot be read", path.display()))
                .why(why)
                .fix("restore the data directory from a backup: the journal's numbers are explained there")
        };
        let tables = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Tables { version: 1, venues: Vec::new(), instruments: Vec::new(), strategies: Vec::new() }
            }
            Err(error) => return Err(unreadable(error.to_string())),
        };
        Ok(Self { path: path.to_owned(), tables, changed: false })
    }

    /// The number of a venue account.
    pub fn venue(&mut self, name: &str) -> VenueId {
        let index = self.place(|tables| &mut tables.venues, name);
        VenueId(u8::try_from(index).unwrap_or(u8::MAX))
    }

    /// The number of a strategy.
    pub fn strategy(&mut self, id: &str) -> StrategyTag {
        let index = self.place(|tables| &mut tables.strategies, id);
        StrategyTag(u16::try_from(index.saturating_add(1)).unwrap_or(u16::MAX))
    }

    /// The number of an instrument.
    pub fn instrument(&mut self, wanted: &KnownInstrument) -> InstrumentId {
        let known = self.tables.instruments.iter().position(|known| known == wanted);
        let index = known.unwrap_or_else(|| {
            self.changed = true;
            self.tables.instruments.push(wanted.clone());
            self.tables.instruments.len().saturating_sub(1)
        });
        InstrumentId(u16::try_from(index).unwrap_or(u16::MAX))
    }

    /// Every instrument that was ever traded here, in the order of their numbers.
    #[must_use]
    pub fn instruments(&self) -> &[KnownInstrument] {
        &self.tables.instruments
    }

    /// Every venue account, in the order of their numbers.
    #[must_use]
    pub fn venues(&self) -> &[String] {
        &self.tables.venues
    }

    /// Every strategy, in the order of their numbers; the first has tag 1.
    #[must_use]
    pub fn strategies(&self) -> &[String] {
        &self.tables.strategies
    }

    fn place(&mut self, list: impl FnOnce(&mut Tables) -> &mut Vec<String>, name: &str) -> usize {
        let list = list(&mut self.tables);
        match list.iter().position(|known| known == name) {
            Some(index) => index,
            None => {
                self.changed = true;
                list.push(name.to_owned());
                list.len().saturating_sub(1)
            }
        }
    }

    /// Writes the tables if they have grown.
    ///
    /// # Errors
    /// [`Trouble`] when they cannot be written: nothing may be numbered by them then.
    pub fn save(&mut self) -> Result<(), Trouble> {
        if self.changed {
            let bytes = serde_json::to_vec_pretty(&self.tables).unwrap_or_default();
            write_private(&self.path, &bytes).map_err(|error| {
                Trouble::new(Exit::Failure, format!("cannot write {}", self.path.display()))
                    .why(error)
                    .fix("check that the data directory may be written and its disk has room, then start again; no order was sent")
            })?;
            self.changed = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_cannot_be_written_are_told_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let mut registry = Registry::open(&dir.path().join("gone").join("registry.json")).unwrap();
        registry.venue("main");
        let trouble = registry.save().unwrap_err();
        assert!(trouble.to_string().contains("try: check that the data directory"), "{trouble}");
    }

    #[test]
    fn numbers_keep_their_meaning_whatever_the_settings_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry.json");
        let mut registry = Registry::open(&path).unwrap();
        let (grid, maker) = (registry.strategy("grid"), registry.strategy("maker"));
        assert_eq!((grid, maker), (StrategyTag(1), StrategyTag(2)));
        registry.save().unwrap();
        let mut again = Registry::open(&path).unwrap();
        assert_eq!(
            (again.strategy("maker"), again.strategy("new"), again.strategy("grid")),
            (maker, StrategyTag(3), grid)
        );
    }
}
