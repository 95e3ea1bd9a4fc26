//! `steadfast check`: every problem of the settings at once, without network.

use crate::cli::{CheckArgs, Global};
use crate::report::{Exit, Trouble};
use crate::term;
use settings::{KeyPath, LoadRequest, Loaded, Problems};
use strategy::KindSetup;

/// `steadfast check`
///
/// # Errors
/// [`Trouble`] with exit code 3 and every problem.
pub fn run(global: &Global, args: &CheckArgs) -> Result<(), Trouble> {
    let result = load(global, &args.set);
    if global.json {
        let problems = match &result {
            Ok(_) => Vec::new(),
            Err(problems) => problems
                .0
                .iter()
                .map(|problem| {
                    serde_json::json!({
                        "file": problem.file, "line": problem.line, "column": problem.column,
                        "path": problem.path.to_string(), "message": problem.message, "help": problem.help,
                    })
                })
                .collect(),
        };
        term::data(&serde_json::json!({ "ok": problems.is_empty(), "problems": problems }).to_string());
    }
    let loaded = result.map_err(|problems| trouble(&problems))?;
    if !global.json {
        let strategies = loaded.settings.strategy.values().filter(|strategy| strategy.enabled).count();
        term::data(&format!(
            "settings ok: mode {}, {} venue account(s), {} strategy(ies) enabled",
            loaded.settings.mode.word(),
            loaded.settings.venue.len(),
            strategies
        ));
    }
    Ok(())
}

/// Loads settings as the flags ask, strategies' own parameters included.
///
/// # Errors
/// All problems.
pub fn load(global: &Global, set: &[String]) -> Result<Loaded, Problems> {
    let mut set = set.to_vec();
    if let Some(dir) = &global.data_dir {
        set.push(format!("process.data_dir={}", dir.display()));
    }
    let loaded =
        settings::load(&LoadRequest { config_dir: global.config.clone(), env: std::env::vars().collect(), set })?;
    let mut problems = Vec::new();
    for (id, strategy) in &loaded.settings.strategy {
        let place = |key: &str| KeyPath::of(["strategy", id.as_str(), key]);
        let setup = KindSetup {
            orders_per_second: 1,
            market: domain::Market::of(&strategy.instrument),
            position_side: crate::plan::position_side(strategy),
        };
        match strategy::kind(&strategy.kind, &place("kind")) {
            Ok(kind) => {
                if let Err(wrong) = kind.build(setup, &strategy.params.value(), &place("params")) {
                    problems.extend(wrong.0);
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(loaded) } else { Err(loaded.located(Problems(problems))) }
}

/// What a person reads about problems of the settings.
#[must_use]
pub fn trouble(problems: &Problems) -> Trouble {
    let count = problems.0.len();
    let text = problems.to_string();
    let text = text.trim_end().trim_start_matches("error: ").to_owned();
    let these = if count == 1 { "it".to_owned() } else { format!("the {count} problems") };
    Trouble::new(Exit::Settings, text).fix(format!("correct {these}, then run `steadfast check` again"))
}
