//! The files of `config/` and the reference.
#![expect(clippy::panic, reason = "a helper of tests fails by panicking")]

use std::path::{Path, PathBuf};

use crate::common::{directory, load_with};
use settings::{Environment, Setting, Settings, Shape};

fn config_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

/// The shipped files without the overrides that a developer may have in `conf.d`.
fn shipped() -> Settings {
    let names = [
        "steadfast.toml",
        "risk.toml",
        "notify.toml",
        "venues/bitget.toml",
        "strategies/btc-grid.toml",
        "strategies/btc-maker.toml",
    ];
    let texts = names
        .map(|name| std::fs::read_to_string(config_dir().join(name)).unwrap_or_else(|error| panic!("{name}: {error}")));
    let files: Vec<(&str, &str)> = names.into_iter().zip(texts.iter().map(String::as_str)).collect();
    match load_with(directory(&files).path(), &[], &[]) {
        Ok(loaded) => loaded.settings,
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn shipped_files_load() {
    let settings = shipped();
    let venue = &settings.venue["bitget-main"];
    assert_eq!(venue.environment, Environment::Sim);
    assert!(settings::is_loopback_address(venue.rest.as_deref().expect("address")));
    assert_eq!(settings.strategy.keys().collect::<Vec<_>>(), ["btc-grid", "btc-maker"]);
    assert_eq!(settings.strategy["btc-grid"].params.0["order_size"], "0.0005");
}

#[test]
fn shipped_values_are_the_defaults() {
    let mut settings = shipped();
    settings.venue.clear();
    settings.strategy.clear();
    assert_eq!(settings, Settings::default());
}

#[test]
fn reference_is_up_to_date() {
    if std::env::var_os("STEADFAST_WRITE_REFERENCE").is_some() {
        settings::write_reference(&config_dir()).expect("write the reference");
    }
    let written = std::fs::read_to_string(config_dir().join("reference.toml")).unwrap_or_default();
    assert!(
        written == settings::reference_toml(),
        "config/reference.toml is out of date; run: STEADFAST_WRITE_REFERENCE=1 cargo test -p settings --test suite"
    );
}

#[test]
fn reference_names_every_setting_and_is_valid_toml() {
    let text = settings::reference_toml();
    text.parse::<toml_edit::DocumentMut>().expect("valid TOML");
    let page = settings::reference_markdown();
    fn check(shape: &Shape, text: &str, page: &str) {
        match shape {
            Shape::Section(schema) => {
                for field in schema().fields {
                    let is_table =
                        matches!(field.shape, Shape::Section(_) | Shape::Map(_) | Shape::Raw | Shape::List(_));
                    let line = format!("{} =", field.name);
                    assert!(is_table || text.contains(&line), "{line} in the reference");
                    assert!(text.contains(field.name) && page.contains(field.name), "{}", field.name);
                    assert!(!field.doc.is_empty(), "{}", field.name);
                    check(&field.shape, text, page);
                }
            }
            Shape::Map(inner) | Shape::List(inner) => check(inner, text, page),
            _ => {}
        }
    }
    check(&Settings::shape(), &text, &page);
}

#[test]
fn settings_are_read_as_they_are_written() {
    let loaded = shipped();
    let read: Settings = settings::read(&loaded.write(), &settings::KeyPath::root()).expect("reads back");
    assert_eq!(read, loaded);
}
