//! A settings directory made for one test.
#![expect(clippy::expect_used, reason = "a test that cannot write its files fails by panicking")]

use std::fs;
use std::path::Path;

use settings::{LoadRequest, Loaded, Problems, load};
use tempfile::TempDir;

/// A valid venue account.
pub(crate) const VENUE: &str = r#"[venue.bitget-main]
kind = "bitget"
environment = "sim"
rest = "http://127.0.0.1:7450"
ws_public = "ws://127.0.0.1:7450/v2/ws/public"
ws_private = "ws://127.0.0.1:7450/v2/ws/private"
key = "bitget-main"
instruments = ["BTCUSDT", "ETHUSDT"]
"#;

/// A directory with these files.
pub(crate) fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("temporary directory");
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs::write(path, text).expect("file");
    }
    directory
}

/// Loads a directory with environment and flags.
pub(crate) fn load_with(directory: &Path, env: &[(&str, &str)], set: &[&str]) -> Result<Loaded, Problems> {
    load(&LoadRequest {
        config_dir: directory.to_owned(),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        set: set.iter().map(|text| (*text).to_owned()).collect(),
    })
}

/// The problems of a directory with these files, the directory's own name cut off.
pub(crate) fn problems(files: &[(&str, &str)], env: &[(&str, &str)], set: &[&str]) -> String {
    let directory = directory(files);
    match load_with(directory.path(), env, set) {
        Ok(_) => String::from("no problem"),
        Err(problems) => problems.to_string().replace(&format!("{}/", directory.path().display()), ""),
    }
}
