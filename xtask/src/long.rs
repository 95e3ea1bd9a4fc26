//! `cargo xtask long NAME`: the suites that run too long for every change.
//!
//! A suite is the test file `long_NAME` of the root package, its tests marked
//! `#[ignore = "..."]`. It reads its seed from `STEADFAST_LONG_SEED` and may
//! print measurements, one a line: `measure: {"name": ..., "value": ..., "unit": ...}`.
//! The record of a run, failed ones too, goes to `target/long/NAME.json`.

use crate::run::{cargo, command, output, root, shown, target};
use anyhow::{Context as _, Result, bail, ensure};
use clock::SystemClock;
use domain::Clock as _;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

/// Prefix of a line that carries a measurement.
const MEASURE: &str = "measure: ";

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    name: String,
    seed: Option<u64>,
    rest: Vec<String>,
}

/// What a run printed, as far as the record needs it.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    passed: u64,
    failed: u64,
    measures: Vec<Value>,
}

/// Runs one suite and writes its record.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let request = parse(arguments)?;
    let file = root().join(format!("tests/long_{}.rs", request.name));
    ensure!(file.exists(), "no suite `{}`; there is {}", request.name, suites()?.join(", "));
    let clock = SystemClock;
    let started = clock.unix();
    // Any seed will do, as long as the record names it; the time is at hand.
    let seed = request.seed.unwrap_or(started.as_millis());
    let commit = output(command("git").args(["rev-parse", "HEAD"])).unwrap_or_default().trim().to_owned();
    let changed = output(command("git").args(["status", "--porcelain"])).is_ok_and(|text| !text.trim().is_empty());

    let mut suite = cargo();
    let test = format!("long_{}", request.name);
    suite.args(["test", "--release", "--locked", "--package", "steadfast"]);
    suite.args(["--features", "fail-points", "--test", &test, "--"]);
    suite.args(["--ignored", "--nocapture", "--test-threads=1"]).args(&request.rest);
    suite.env("STEADFAST_LONG_SEED", seed.to_string()).stdout(Stdio::piped());
    let begin = clock.mono();
    let mut child = suite.spawn().with_context(|| format!("cannot start {}", shown(&suite)))?;
    let mut seen = Seen::default();
    for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
        let line = line?;
        println!("{line}");
        seen.take(&line);
    }
    let status = child.wait()?;
    let passed = status.success() && seen.failed == 0 && seen.passed > 0;

    let record = json!({
        "suite": request.name,
        "passed": passed,
        "seed": seed,
        "commit": commit,
        "changed_since_commit": changed,
        "started_unix_ms": started.as_millis(),
        "duration_s": clock.mono().since(begin).as_secs_f64(),
        "tests": { "passed": seen.passed, "failed": seen.failed },
        "measures": seen.measures,
        "command": shown(&suite),
    });
    let folder = target().join("long");
    std::fs::create_dir_all(&folder)?;
    let place = folder.join(format!("{}.json", request.name));
    let mut out = std::fs::File::create(&place)?;
    serde_json::to_writer_pretty(&mut out, &record)?;
    writeln!(out)?;
    println!("record: {}", place.display());
    if passed {
        return Ok(());
    }
    bail!("suite `{}` failed ({status}, {} passed, {} failed), seed {seed}", request.name, seen.passed, seen.failed)
}

fn parse(arguments: &[String]) -> Result<Request> {
    let mut request = Request { name: String::new(), seed: None, rest: Vec::new() };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seed" => request.seed = Some(words.next().context("--seed needs a number")?.parse().context("--seed")?),
            "--" => request.rest = words.by_ref().cloned().collect(),
            name if request.name.is_empty() && is_name(name) => request.name = name.to_owned(),
            other => bail!("`{other}` is not understood here"),
        }
    }
    ensure!(!request.name.is_empty(), "which suite? there is {}", suites()?.join(", "));
    Ok(request)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The suites that exist.
fn suites() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("tests"))? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        names.extend(file.strip_prefix("long_").and_then(|name| name.strip_suffix(".rs")).map(str::to_owned));
    }
    names.sort();
    Ok(if names.is_empty() { vec!["none yet".to_owned()] } else { names })
}

impl Seen {
    /// Takes what one line of the suite's output says.
    fn take(&mut self, line: &str) {
        if let Some(measure) = line.strip_prefix(MEASURE) {
            self.measures.extend(serde_json::from_str::<Value>(measure).ok());
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            let count = |word: &str| {
                let before = result.split(word).next().filter(|before| before.len() < result.len());
                before.and_then(|before| before.split_whitespace().next_back()?.parse::<u64>().ok()).unwrap_or(0)
            };
            self.passed += count(" passed");
            self.failed += count(" failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn arguments_are_name_seed_and_what_goes_to_the_suite() {
        let request = parse(&words("kill9 --seed 7 -- --exact torn")).unwrap();
        let expected = Request { name: "kill9".to_owned(), seed: Some(7), rest: words("--exact torn") };
        assert_eq!(request, expected);
        for bad in ["", "--seed 7", "kill9 --seed x", "kill9 again", "../kill9", "--help"] {
            assert!(parse(&words(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_and_measures_are_read_from_the_output() {
        let mut seen = Seen::default();
        for line in [
            "running 3 tests",
            "measure: {\"name\":\"rss\",\"value\":31,\"unit\":\"MiB\"}",
            "measure: not json",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 9 filtered out; finished in 1.00s",
        ] {
            seen.take(line);
        }
        assert_eq!((seen.passed, seen.failed), (2, 1));
        assert_eq!(seen.measures, [json!({"name": "rss", "value": 31, "unit": "MiB"})]);
    }
}
