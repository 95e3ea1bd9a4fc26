//! `cargo xtask reference`: the pages that are made from declarations.

use crate::ci::Outcome;
use crate::run::root;
use anyhow::{Context as _, Result, bail};

/// A page: its place, and what makes its text.
type Page = (&'static str, fn() -> String);

/// All pages.
const PAGES: &[Page] = &[
    ("config/reference.toml", settings::reference_toml),
    ("docs/settings.md", settings::reference_markdown),
    ("docs/metrics.md", telemetry::reference_markdown),
];

/// Writes the pages, or with `--check` only compares them.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    match arguments {
        [] => write(),
        [check] if check == "--check" => step().map(|_| ()),
        _ => bail!("only --check is understood"),
    }
}

fn write() -> Result<()> {
    for (page, text) in PAGES {
        let place = root().join(page);
        if let Some(folder) = place.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&place, text()).with_context(|| format!("writing {page}"))?;
        println!("wrote {page}");
    }
    Ok(())
}

/// Fails when a page is not what the declarations make.
pub(crate) fn step() -> Result<Outcome> {
    let outdated = PAGES.iter().filter(|(page, text)| std::fs::read_to_string(root().join(page)).ok() != Some(text()));
    let outdated: Vec<&str> = outdated.map(|(page, _)| *page).collect();
    if outdated.is_empty() {
        return Ok(Outcome::Passed(format!("{} pages", PAGES.len())));
    }
    bail!("not up to date: {}; run `cargo xtask reference`", outdated.join(", "))
}
