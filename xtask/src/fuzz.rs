//! `cargo xtask long fuzz`: every target of `fuzz/` under libFuzzer, for a time each.
//!
//! The stable compiler instruments with the pass that libFuzzer wants (`-Cpasses=sancov-module`); no other tool and no
//! sanitizer is needed: memory is safe here, and what is looked for are broken promises. The record of a run goes to
//! `target/long/fuzz.json`; what a target failed on stays in `fuzz/artifacts/`.

use crate::run::{cargo, command, output, root, run, target};
use anyhow::{Context as _, Result, bail, ensure};
use clock::SystemClock;
use domain::Clock as _;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::Stdio;

/// Seconds for each target when nothing else is asked for.
const SECONDS: u64 = 600;
/// Longest input.
const INPUT_BYTES_MAX: u64 = 16 * 1024;
/// Longest time for one input, in seconds; what takes longer is a defect too.
const INPUT_SECONDS_MAX: u64 = 20;
/// Most memory of one target, in MiB.
const MEMORY_MIB_MAX: u64 = 2_048;

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    seconds: u64,
    seed: Option<u64>,
    only: Vec<String>,
}

fn parse(arguments: &[String]) -> Result<Request> {
    let mut request = Request { seconds: SECONDS, seed: None, only: Vec::new() };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut number = || words.next().with_context(|| format!("{word} needs a number"))?.parse().context("a number");
        match word.as_str() {
            "--seconds" => request.seconds = number()?,
            "--seed" => request.seed = Some(number()?),
            "--target" => request.only.push(words.next().context("--target needs a name")?.clone()),
            other => bail!("`{other}` is not understood here: [--seconds N] [--seed N] [--target NAME]..."),
        }
    }
    ensure!(request.seconds > 0, "--seconds needs at least 1");
    Ok(request)
}

/// Builds and runs the targets, and writes the record.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let request = parse(arguments)?;
    let clock = SystemClock;
    let started = clock.unix();
    // libFuzzer takes 32 bits, and zero means "choose yourself".
    let seed = request.seed.unwrap_or(started.as_millis() % 0xffff_ffff).max(1);
    let commit = output(command("git").args(["rev-parse", "HEAD"])).unwrap_or_default().trim().to_owned();
    let changed = output(command("git").args(["status", "--porcelain"])).is_ok_and(|text| !text.trim().is_empty());
    let begin = clock.mono();
    let binaries = build()?;
    let seeds = ["run", "--quiet", "--locked", "--package", "fuzz-bodies", "--example", "seeds", "--"];
    run(cargo().args(seeds).arg(root().join("fuzz/corpus")))?;
    let mut targets = Vec::new();
    let mut failed = Vec::new();
    let names = names()?;
    if let Some(unknown) = request.only.iter().find(|name| !names.contains(name)) {
        bail!("no target `{unknown}`; there is {}", names.join(", "));
    }
    for name in names.iter().filter(|name| request.only.is_empty() || request.only.contains(name)) {
        let record = one(&binaries.join(name), name, request.seconds, seed)?;
        if record.get("passed") != Some(&Value::Bool(true)) {
            failed.push(name.clone());
        }
        println!("{name}: {record}");
        targets.push(record);
    }
    let record = json!({
        "suite": "fuzz", "passed": failed.is_empty(), "seed": seed, "commit": commit,
        "changed_since_commit": changed, "started_unix_ms": started.as_millis(),
        "duration_s": clock.mono().since(begin).as_secs_f64(), "seconds_each": request.seconds,
        "fuzzer": "libFuzzer (libfuzzer-sys) with -Cpasses=sancov-module", "targets": targets,
    });
    let folder = target().join("long");
    std::fs::create_dir_all(&folder)?;
    let place = folder.join("fuzz.json");
    let mut out = std::fs::File::create(&place)?;
    serde_json::to_writer_pretty(&mut out, &record)?;
    writeln!(out)?;
    println!("record: {}", place.display());
    ensure!(failed.is_empty(), "failed: {}; the inputs are in fuzz/artifacts/", failed.join(", "));
    Ok(())
}

/// Builds every target, instrumented; where the binaries are.
fn build() -> Result<PathBuf> {
    let version = output(command("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    let flags = [
        "--cfg",
        "fuzzing",
        "-Cpasses=sancov-module",
        "-Cllvm-args=-sanitizer-coverage-level=4",
        "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
        "-Cllvm-args=-sanitizer-coverage-pc-table",
        "-Cllvm-args=-sanitizer-coverage-trace-compares",
    ];
    let folder = target().join("fuzz");
    run(cargo()
        .current_dir(root().join("fuzz"))
        .env("CARGO_TARGET_DIR", &folder)
        // A target is named so that build scripts and macros are built without the instrumentation.
        .env("RUSTFLAGS", flags.join(" "))
        .args(["build", "--release", "--target", host]))?;
    Ok(folder.join(host).join("release"))
}

/// The targets, by their files.
fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        names.extend(file.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Runs one target on its corpus; a failed one is a record too.
fn one(binary: &std::path::Path, name: &str, seconds: u64, seed: u64) -> Result<Value> {
    let (corpus, artifacts) = (root().join("fuzz/corpus").join(name), root().join("fuzz/artifacts").join(name));
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(&artifacts)?;
    let mut fuzzer = command(binary);
    fuzzer.arg(&corpus).arg(format!("-artifact_prefix={}/", artifacts.display()));
    fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-seed={seed}"));
    fuzzer.arg(format!("-max_len={INPUT_BYTES_MAX}")).arg(format!("-timeout={INPUT_SECONDS_MAX}"));
    fuzzer.arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}")).args(["-print_final_stats=1", "-verbosity=0"]);
    let mut child = fuzzer.stderr(Stdio::piped()).spawn().with_context(|| format!("cannot start {name}"))?;
    let mut stats = serde_json::Map::new();
    let mut said = Vec::new();
    for line in BufReader::new(child.stderr.take().context("no output")?).lines() {
        let line = line?;
        match stat(&line) {
            Some((key, value)) => {
                stats.insert(key.to_owned(), value.into());
            }
            None if said.len() < 40 => said.push(line),
            None => {}
        }
    }
    let passed = child.wait()?.success();
    if !passed {
        said.iter().for_each(|line| println!("{line}"));
    }
    Ok(json!({ "target": name, "passed": passed, "stats": stats }))
}

/// A line of libFuzzer's final figures: `stat::number_of_executed_units: 123`.
fn stat(line: &str) -> Option<(&str, u64)> {
    let (key, value) = line.strip_prefix("stat::")?.split_once(':')?;
    Some((key, value.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_seconds_seed_and_targets() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let request = parse(&words("--seconds 5 --target tape_file --seed 9")).unwrap();
        assert_eq!(request, Request { seconds: 5, seed: Some(9), only: vec!["tape_file".to_owned()] });
        for bad in ["--seconds", "--seconds 0", "--seconds x", "tape_file"] {
            assert!(parse(&words(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn final_figures_are_read_and_nothing_else() {
        assert_eq!(stat("stat::number_of_executed_units: 123"), Some(("number_of_executed_units", 123)));
        assert_eq!(stat("#2 INITED cov: 12"), None);
    }

    #[test]
    fn every_target_has_its_file() {
        assert!(names().unwrap().len() >= 10);
    }
}
