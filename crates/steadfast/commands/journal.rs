//! `steadfast journal`: the hash chain of the journal.

use crate::cli::Global;
use crate::report::{Exit, Trouble, causes};
use crate::term;
use journal::{JournalError, JournalReader, Stored};
use std::path::{Path, PathBuf};

/// `steadfast journal verify`
///
/// # Errors
/// [`Trouble`] that names the first record that does not fit.
pub fn verify(global: &Global) -> Result<(), Trouble> {
    let path = data_dir(global).join("journal.db");
    let stored = verified(&path)?;
    if global.json {
        let line =
            serde_json::json!({ "journal": path, "records": stored.last, "head": stored.head.hex(), "ok": true });
        term::data(&line.to_string());
    } else {
        term::data(&format!("journal ok: {} records, head {}", stored.last, stored.head.hex()));
    }
    Ok(())
}

/// The data directory of the flags, else of the settings, else the default.
fn data_dir(global: &Global) -> PathBuf {
    global.data_dir.clone().unwrap_or_else(|| {
        let settings = super::check::load(global, &[]).map(|loaded| loaded.settings).unwrap_or_default();
        settings.data_dir().to_path_buf()
    })
}

/// Verifies a journal, in words.
///
/// # Errors
/// [`Trouble`] that names the first record that does not fit.
pub fn verified(path: &Path) -> Result<Stored, Trouble> {
    if !path.exists() {
        return Err(Trouble::new(Exit::NotFound, format!("there is no journal at {}", path.display()))
            .fix("name the data directory with --data-dir"));
    }
    JournalReader::open(path).and_then(|reader| reader.verify()).map_err(|error| trouble(path, &error))
}

/// What a person reads about a journal that cannot be used.
#[must_use]
pub fn trouble(path: &Path, error: &JournalError) -> Trouble {
    let name = path.display();
    match error {
        JournalError::Newer { .. } => {
            Trouble::new(Exit::Failure, format!("the journal {name} was written by a newer steadfast"))
                .why(error)
                .fix("run the newer program; nothing was changed")
        }
        JournalError::Chain { .. } | JournalError::Hole { .. } | JournalError::CutOff { .. } | JournalError::Unreadable { .. } => {
            Trouble::new(Exit::Failure, format!("the journal {name} is not whole"))
                .why(causes(error))
                .fix("keep the file as evidence, restore the data directory from a backup, or start with an empty\none: the exchange is then asked for everything that rests there. Nothing was changed")
        }
        _ => Trouble::new(Exit::Failure, format!("the journal {name} cannot be used"))
            .why(causes(error))
            .fix("if the file was cut or damaged: keep it as evidence, restore the data directory from a backup, or start\nwith an empty one: the exchange is then asked for everything that rests there. Nothing was changed"),
    }
}
