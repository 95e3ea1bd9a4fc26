//! `cargo xtask ci`: the steps, one after the other, each with its duration.

use crate::run::{cargo, run};
use crate::{bans, demo, deny, reference, sanitizer, tidy};
use anyhow::{Result, bail};
use clock::SystemClock;
use domain::{Clock as _, MonoNanos};

/// How a step ended well.
pub(crate) enum Outcome {
    /// It looked and found nothing wrong; what it looked at, if worth a word.
    Passed(String),
    /// It could not look, and this is not an unattended run.
    Skipped(String),
}

impl Outcome {
    /// Passed, with nothing to add.
    pub(crate) const fn passed() -> Self {
        Self::Passed(String::new())
    }
}

/// One check.
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn() -> Result<Outcome>,
}

/// In order of how soon they tell: the quick ones first.
const STEPS: &[Step] = &[
    Step { name: "tidy", what: "what no compiler looks at", run: tidy::step },
    Step { name: "fmt", what: "every file is formatted", run: fmt },
    Step { name: "reference", what: "pages made from declarations are up to date", run: reference::step },
    Step { name: "clippy", what: "no warning anywhere", run: clippy },
    Step {
        name: "fail-points",
        what: "no warning with fail points, one kill -9 at each, every planted leak found",
        run: fail_points,
    },
    Step { name: "bans", what: "every ban of clippy.toml is reported where it is broken", run: bans::step },
    Step { name: "deny", what: "licences, bans and sources of all dependencies", run: deny::step },
    Step { name: "test", what: "every test of every member", run: test },
    Step { name: "xtask-test", what: "the tests of these steps", run: xtask_test },
    Step { name: "sanitizer", what: "tests of secrets under AddressSanitizer", run: sanitizer::step },
    Step { name: "doc", what: "documentation builds without a warning", run: doc },
    Step { name: "demo", what: "the demo trades for 30 s, its metrics pass promtool", run: demo::step },
];

/// Runs the steps that the arguments leave.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let (mut only, mut skip) = (Vec::new(), Vec::new());
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(argument) = rest.next() {
        match argument {
            "--list" => {
                STEPS.iter().for_each(|step| println!("{:<12} {}", step.name, step.what));
                return Ok(());
            }
            "--skip-tests" => skip.push("test"),
            "--only" | "--skip" => match rest.next().and_then(|name| STEPS.iter().find(|step| step.name == name)) {
                Some(step) if argument == "--only" => only.push(step.name),
                Some(step) => skip.push(step.name),
                None => bail!("{argument} needs the name of a step; `cargo xtask ci --list` shows them"),
            },
            other => bail!("unknown argument `{other}`"),
        }
    }
    let chosen = |step: &&Step| (only.is_empty() || only.contains(&step.name)) && !skip.contains(&step.name);
    let chosen: Vec<&Step> = STEPS.iter().filter(chosen).collect();
    let begin = SystemClock.mono();
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for step in &chosen {
        println!("==> {}: {}", step.name, step.what);
        let begin = SystemClock.mono();
        let (word, note) = match (step.run)() {
            Ok(Outcome::Passed(note)) => ("ok", note),
            Ok(Outcome::Skipped(why)) => ("skipped", why),
            Err(error) => {
                failed.push(step.name);
                ("FAILED", format!("{error:#}"))
            }
        };
        let line = format!("{:<12} {word:<8} {:>7.1} s  {note}", step.name, seconds_since(begin));
        println!("<== {line}");
        lines.push(line);
    }
    println!("\n{}\n{} steps in {:.0} s", lines.join("\n"), chosen.len(), seconds_since(begin));
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

fn seconds_since(begin: MonoNanos) -> f64 {
    SystemClock.mono().since(begin).as_secs_f64()
}

fn fmt() -> Result<Outcome> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Outcome::passed())
}

fn clippy() -> Result<Outcome> {
    run(cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    Ok(Outcome::passed())
}

fn fail_points() -> Result<Outcome> {
    const FEATURES: [&str; 2] = ["--features", "fail-points,leak-for-test,age-export"];
    let with = |command: &str| {
        let mut cargo = cargo();
        cargo.args([command, "--locked"]).args(FEATURES);
        cargo
    };
    run(with("clippy").args(["--bins", "--tests", "--", "-D", "warnings"]))?;
    run(with("test").args(["--test", "long_kill9", "--test", "canary"]))?;
    run(with("test").args(["--test", "cli", "export_opens"]))?;
    run(cargo().args(["test", "--locked", "--package", "order-gateway", "--features", "fail-points", "fail_points"]))?;
    Ok(Outcome::passed())
}

fn test() -> Result<Outcome> {
    run(cargo().args(["test", "--locked", "--workspace", "--exclude", "xtask"]))?;
    Ok(Outcome::passed())
}

fn xtask_test() -> Result<Outcome> {
    run(cargo().args(["test", "--locked", "--package", "xtask"]))?;
    Ok(Outcome::passed())
}

fn doc() -> Result<Outcome> {
    run(cargo().env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--locked", "--workspace", "--no-deps"]))?;
    Ok(Outcome::passed())
}
