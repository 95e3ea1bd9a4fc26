//! The rules, each a function from the workspace to its violations.

use crate::model::{Package, Purpose, Workspace};
use crate::words;
use std::collections::{BTreeSet, VecDeque};

/// Crates that know no runtime and no log; every venue codec is one more.
const RUNTIME_FREE: [&str; 13] = [
    "domain",
    "clock",
    "secrets",
    "hot-actor",
    "messages",
    "venue-api",
    "risk-guard",
    "sign-policy",
    "audit",
    "vault",
    "signing",
    "order-signer",
    "order-path",
];

/// What they must not reach: each name, and every crate whose name begins with it and a hyphen.
const RUNTIMES: [&str; 3] = ["tokio", "actix", "tracing"];

/// The first layer that may name a venue codec.
const CODEC_LAYER: i64 = 5;

/// Everything that is wrong, one sentence each.
pub(crate) fn violations(workspace: &Workspace) -> Vec<String> {
    [layers, lints, absences, codecs, seal, unsafe_code].iter().flat_map(|rule| rule(workspace)).collect()
}

/// A crate depends only on lower layers, its tests included.
fn layers(workspace: &Workspace) -> Vec<String> {
    let mut found = BTreeSet::new();
    for package in &workspace.packages {
        let Some(layer) = package.layer else {
            found.insert(format!("{} has no layer in its manifest", package.name));
            continue;
        };
        for (name, _) in &package.dependencies {
            let Some(other) = workspace.package(name).and_then(|other| other.layer) else { continue };
            if other >= layer {
                found.insert(format!("{} (layer {layer}) depends on {name} (layer {other})", package.name));
            }
        }
    }
    found.into_iter().collect()
}

/// Every crate takes the lints of the workspace, or its bans would not hold there.
fn lints(workspace: &Workspace) -> Vec<String> {
    let outside = workspace.packages.iter().filter(|package| !package.linted);
    outside.map(|package| format!("{} does not take the lints of the workspace", package.name)).collect()
}

/// The named crates reach no runtime, through whatever they depend on.
fn absences(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for package in &workspace.packages {
        let forbidden: &[&str] = if RUNTIME_FREE.contains(&package.name.as_str()) || is_codec(&package.name) {
            &RUNTIMES
        } else if package.name == "telemetry" {
            &["tracing"]
        } else {
            continue;
        };
        for name in forbidden {
            if let Some(way) = way_to(workspace, package, name) {
                found.push(format!("{} reaches {}: {}", package.name, way.last().unwrap_or(name), way.join(" -> ")));
            }
        }
    }
    found
}

/// The shortest chain of dependencies from a package to a crate of the family `family`.
fn way_to<'a>(workspace: &'a Workspace, package: &'a Package, family: &str) -> Option<Vec<&'a str>> {
    let mut seen = BTreeSet::from([package.name.as_str()]);
    let mut open = VecDeque::from([vec![package.name.as_str()]]);
    while let Some(way) = open.pop_front() {
        let name = *way.last()?;
        if name == family || name.strip_prefix(family).is_some_and(|rest| rest.starts_with('-')) {
            return Some(way);
        }
        for next in shipped(workspace, name) {
            if seen.insert(next) {
                open.push_back(way.iter().copied().chain([next]).collect());
            }
        }
    }
    None
}

/// What a package is built from, its tests left out: by its manifest inside the workspace, by the lock outside.
fn shipped<'a>(workspace: &'a Workspace, name: &str) -> Vec<&'a str> {
    match workspace.package(name) {
        Some(package) => {
            let shipped = package.dependencies.iter().filter(|(_, purpose)| *purpose == Purpose::Shipped);
            shipped.map(|(name, _)| name.as_str()).collect()
        }
        None => workspace.locked.get(name).into_iter().flatten().map(String::as_str).collect(),
    }
}

/// Whether a crate is one venue's codec.
fn is_codec(name: &str) -> bool {
    name.starts_with("venue-") && name != "venue-api"
}

/// Codecs are handed in by the root: no crate below layer 5 is built from one, tests may use
/// one from a lower layer; the embedded exchange knows none, not even in its tests.
fn codecs(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for package in &workspace.packages {
        let layer = package.layer.unwrap_or(0);
        for (name, purpose) in package.dependencies.iter().filter(|(name, _)| is_codec(name)) {
            if package.name == "sim-venue" {
                found.push(format!("sim-venue depends on the codec {name}"));
            } else if layer < CODEC_LAYER && *purpose == Purpose::Shipped {
                found.push(format!("{} (layer {layer}) depends on the codec {name}", package.name));
            }
        }
    }
    found
}

/// `signing::Seal`, which makes signed requests, is named by the signer alone.
fn seal(workspace: &Workspace) -> Vec<String> {
    let naming: Vec<&str> = workspace
        .sources
        .iter()
        .filter(|source| words::of(&source.text).any(|word| word == "Seal"))
        .map(|source| source.path.as_str())
        .collect();
    let mut found = Vec::new();
    if workspace.package("signing").is_some() && !naming.iter().any(|path| path.starts_with("crates/signing/src/")) {
        found.push("signing no longer defines Seal: this rule guards nothing".to_owned());
    }
    let allowed = ["crates/signing/", "crates/order-signer/"];
    let outside = naming.into_iter().filter(|path| !allowed.iter().any(|folder| path.starts_with(folder)));
    found.extend(outside.map(|path| format!("{path} names Seal, which only order-signer may")));
    found
}

/// `unsafe` appears in `secrets` alone.
fn unsafe_code(workspace: &Workspace) -> Vec<String> {
    let outside = workspace.sources.iter().filter(|source| !source.path.starts_with("crates/secrets/"));
    outside
        .filter(|source| words::of(&source.text).any(|word| word == "unsafe"))
        .map(|source| format!("{} uses unsafe, which only secrets may", source.path))
        .collect()
}
