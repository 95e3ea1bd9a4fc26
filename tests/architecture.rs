//! The shape of the workspace: layers, and what must be absent where.
//!
//! The rules are functions over a model of the workspace. One test reads the
//! real one; the others plant a violation of each rule and see it found.

#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

#[path = "architecture/model.rs"]
mod model;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/words.rs"]
mod words;

use model::Workspace;
use rules::violations;

/// A small workspace without violations: manifests by folder, sources by path, resolved packages.
struct Planted {
    manifests: Vec<(&'static str, String)>,
    sources: Vec<(&'static str, &'static str)>,
    lock: String,
}

fn manifest(name: &str, layer: i64, tables: &str) -> String {
    format!("[package]\nname = \"{name}\"\n[package.metadata]\nlayer = {layer}\n[lints]\nworkspace = true\n{tables}\n")
}

impl Planted {
    fn sound() -> Self {
        let manifests = vec![
            (
                "",
                manifest(
                    "steadfast",
                    6,
                    "[dependencies]\norder-signer.workspace = true\nvenue-bitget = { path = \"x\" }",
                ),
            ),
            ("crates/domain", manifest("domain", 0, "[dependencies]\nserde = \"1\"")),
            ("crates/secrets", manifest("secrets", 0, "")),
            ("crates/telemetry", manifest("telemetry", 1, "[dependencies]\nmetrics = \"0.24\"")),
            ("crates/venue-api", manifest("venue-api", 2, "[dependencies]\ndomain.workspace = true")),
            ("crates/signing", manifest("signing", 3, "[dependencies]\nsecrets.workspace = true")),
            ("crates/venue-bitget", manifest("venue-bitget", 3, "[dependencies]\nvenue-api.workspace = true")),
            (
                "crates/order-signer",
                manifest(
                    "order-signer",
                    4,
                    "[dependencies]\nsigning.workspace = true\n[dev-dependencies]\nvenue-bitget.workspace = true",
                ),
            ),
            (
                "crates/sim-venue",
                manifest("sim-venue", 4, "[dependencies]\ndomain.workspace = true\nactix-web = \"4\""),
            ),
        ];
        let sources = vec![
            ("crates/signing/src/lib.rs", "pub struct Seal;"),
            ("crates/order-signer/src/inline.rs", "use signing::Seal;"),
            ("crates/secrets/src/lib.rs", "fn f() { unsafe { g() } }"),
            (
                "crates/domain/src/lib.rs",
                "// unsafe and Seal are only words here: \"\nfn unsafe_code() -> &'static str { \"unsafe\" }",
            ),
        ];
        let lock = r#"
            [[package]]
            name = "serde"
            version = "1.0.0"
            dependencies = ["serde_core"]
            [[package]]
            name = "serde_core"
            version = "1.0.0"
            [[package]]
            name = "metrics"
            version = "0.24.0"
            [[package]]
            name = "actix-web"
            version = "4.0.0"
            dependencies = ["tokio 1.0.0"]
            [[package]]
            name = "tokio"
            version = "1.0.0"
        "#;
        Self { manifests, sources, lock: lock.to_owned() }
    }

    /// Replaces a piece of the manifest in `folder`.
    fn edit(mut self, folder: &str, from: &str, to: &str) -> Self {
        let (_, text) = self.manifests.iter_mut().find(|(place, _)| *place == folder).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        *text = text.replacen(from, to, 1);
        self
    }

    fn source(mut self, path: &'static str, text: &'static str) -> Self {
        self.sources.push((path, text));
        self
    }

    fn violations(&self) -> Vec<String> {
        let manifests = self.manifests.iter().map(|(folder, text)| ((*folder).to_owned(), text.clone()));
        let sources = self.sources.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        violations(&Workspace::parse(manifests.collect(), sources.collect(), &self.lock).unwrap())
    }
}

/// Exactly one violation is found, and it says `expected`.
fn found(planted: &Planted, expected: &str) {
    let violations = planted.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations.iter().all(|violation| violation.contains(expected)), "{violations:?} lacks `{expected}`");
}

#[test]
fn workspace_keeps_every_rule() {
    let workspace = Workspace::read().unwrap();
    assert!(workspace.packages.len() > 20, "only {} packages were found", workspace.packages.len());
    assert!(workspace.sources.len() > 100, "only {} sources were found", workspace.sources.len());
    let violations = violations(&workspace);
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn sound_model_has_no_violation() {
    assert_eq!(Planted::sound().violations(), Vec::<String>::new());
}

#[test]
fn crate_without_a_layer_is_found() {
    let planted = Planted::sound().edit("crates/domain", "[package.metadata]\nlayer = 0\n", "");
    found(&planted, "domain has no layer");
}

#[test]
fn crate_outside_the_lints_is_found() {
    let planted = Planted::sound().edit("crates/domain", "[lints]\nworkspace = true\n", "");
    found(&planted, "domain does not take the lints");
}

#[test]
fn dependency_on_a_sibling_or_upwards_is_found() {
    let sibling = Planted::sound().edit("crates/domain", "serde = \"1\"", "secrets.workspace = true");
    found(&sibling, "domain (layer 0) depends on secrets (layer 0)");
    let upwards = Planted::sound().edit("crates/secrets", "[lints]", "[dependencies]\ntelemetry = {}\n[lints]");
    found(&upwards, "secrets (layer 0) depends on telemetry (layer 1)");
}

#[test]
fn dependency_upwards_is_found_in_tests_builds_targets_and_under_another_name() {
    for table in [
        "[dev-dependencies]\ntelemetry.workspace = true\n",
        "[build-dependencies]\ntelemetry.workspace = true\n",
        "[target.'cfg(unix)'.dependencies]\ntelemetry.workspace = true\n",
        "[target.'cfg(unix)'.dev-dependencies]\nharmless = { package = \"telemetry\", path = \"../telemetry\" }\n",
    ] {
        let planted = Planted::sound().edit("crates/secrets", "[lints]", &format!("{table}[lints]"));
        found(&planted, "secrets (layer 0) depends on telemetry (layer 1)");
    }
}

#[test]
fn forbidden_runtime_is_found_through_any_number_of_crates() {
    let direct = Planted::sound().edit("crates/domain", "serde = \"1\"", "tokio = \"1\"");
    let violations = direct.violations();
    let domain: Vec<_> = violations.iter().filter(|violation| violation.starts_with("domain ")).collect();
    assert_eq!(domain, ["domain reaches tokio: domain -> tokio"]);
    assert!(violations.iter().any(|violation| violation.starts_with("venue-api reaches tokio: venue-api -> domain")));

    let mut deep = Planted::sound();
    deep.lock = deep.lock.replace("name = \"serde_core\"\n            version = \"1.0.0\"", "name = \"serde_core\"\n            version = \"1.0.0\"\n            dependencies = [\"tokio 1.0.0 (registry+x)\"]");
    let violations = deep.violations();
    assert!(
        violations.contains(&"domain reaches tokio: domain -> serde -> serde_core -> tokio".to_owned()),
        "{violations:?}"
    );

    let family = Planted::sound().edit("crates/signing", "secrets.workspace", "actix-web = \"4\"\nsecrets.workspace");
    assert!(family.violations().iter().any(|violation| violation.starts_with("signing reaches actix-web:")));
}

#[test]
fn forbidden_runtime_in_tests_only_is_no_violation() {
    let planted = Planted::sound().edit("crates/domain", "[lints]", "[dev-dependencies]\ntokio = \"1\"\n[lints]");
    assert_eq!(planted.violations(), Vec::<String>::new());
}

#[test]
fn telemetry_on_tracing_is_found() {
    let mut planted = Planted::sound().edit("crates/telemetry", "metrics = \"0.24\"", "tracing = \"0.1\"");
    planted.lock.push_str("[[package]]\nname = \"tracing\"\nversion = \"0.1.0\"\n");
    found(&planted, "telemetry reaches tracing");
}

#[test]
fn embedded_exchange_with_a_venue_codec_is_found_even_in_its_tests() {
    let planted = Planted::sound().edit(
        "crates/sim-venue",
        "[lints]",
        "[dev-dependencies]\nvenue-bitget.workspace = true\n[lints]",
    );
    found(&planted, "sim-venue depends on the codec venue-bitget");
}

#[test]
fn venue_codec_below_layer_five_is_found() {
    let planted = Planted::sound().edit(
        "crates/order-signer",
        "signing.workspace = true",
        "signing.workspace = true\nvenue-bitget.workspace = true",
    );
    found(&planted, "order-signer (layer 4) depends on the codec venue-bitget");
}

#[test]
fn seal_named_outside_the_signer_is_found() {
    for text in [
        "use signing::Seal;",
        "use signing::{HeaderSink, Seal as Stamp};",
        "fn f() { let s: signing :: Seal; }",
        "/* a /* nested */ comment */ use signing::Seal;",
        "const C: char = '\"'; use signing::Seal; // \"",
        "const R: &str = r#\"a \" b\"#; use signing::Seal;",
    ] {
        let planted = Planted::sound().source("crates/sim-venue/src/lib.rs", text);
        found(&planted, "crates/sim-venue/src/lib.rs names Seal");
    }
    let from_the_root = Planted::sound().source("crates/steadfast/wiring.rs", "use signing::Seal;");
    found(&from_the_root, "crates/steadfast/wiring.rs names Seal");
}

#[test]
fn seal_that_the_signing_crate_lost_is_found() {
    let mut planted = Planted::sound();
    planted.sources.retain(|(path, _)| *path != "crates/signing/src/lib.rs");
    found(&planted, "signing no longer defines Seal");
}

#[test]
fn unsafe_outside_secrets_is_found() {
    let planted = Planted::sound().source("tests/kill.rs", "fn f() { unsafe { libc::kill(1, 9) } }");
    found(&planted, "tests/kill.rs uses unsafe");
}

#[test]
fn words_in_comments_and_texts_are_not_taken_for_code() {
    let text = r###"
        //! unsafe Seal
        /// unsafe
        const A: &str = "unsafe \" Seal"; const B: &[u8] = br##"unsafe"# Seal"##; const C: u8 = b'"'; const D: char = '\'';
        fn f<'unsafe_life>(x: &'unsafe_life str) {} // unsafe
        #![deny(unsafe_code)]
    "###;
    let words: Vec<_> = words::of(text).collect();
    assert!(!words.contains(&"unsafe") && !words.contains(&"Seal"), "{words:?}");
    assert!(words.contains(&"unsafe_code") && words.contains(&"str") && words.contains(&"D"), "{words:?}");
}

/// Whoever proposes a key's next state and whoever stores it keep a table each, so that an error in one is stopped by
/// the other. They must name the same steps.
#[test]
fn key_manager_and_signer_know_the_same_life_of_a_key() {
    use messages::KeyState;
    for from in KeyState::ALL {
        for to in KeyState::ALL {
            let proposed = key_manager::lifecycle::TABLE.iter().any(|(state, _, next)| (*state, *next) == (from, to));
            assert_eq!(proposed, order_signer::allowed_transition(from, to), "{from:?} to {to:?}");
        }
    }
}
