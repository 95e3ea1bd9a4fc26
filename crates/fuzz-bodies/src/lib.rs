//! What is done with bytes from outside, one function for each decoder, and what must hold whatever the bytes are.
//!
//! The same bodies run under a coverage-guided fuzzer (`fuzz/`, `cargo xtask long fuzz`) and, on a few thousand
//! mutations of their seeds, in `cargo test`. A body panics when a promise is broken; a decoder that refuses is fine.
//!
//! Invariants: a body is deterministic, reads no clock and no network, and writes nothing but its own directory in the
//! system's temporary one.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a broken promise stops the fuzzer by a panic")]

mod bitget;
mod exchange;
mod frames;
mod recordings;
mod texts;

/// One decoder under test.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: that of the fuzzer's binary and of its folder of seeds.
    pub name: &'static str,
    /// What is done with the bytes.
    pub body: fn(&[u8]),
    /// What mutation begins with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "bitget_public_v2", body: bitget::public_v2, seeds: bitget::public_seeds },
    Target { name: "bitget_public_v3", body: bitget::public_v3, seeds: bitget::public_seeds },
    Target { name: "bitget_private", body: bitget::private, seeds: bitget::private_seeds },
    Target { name: "bitget_rest", body: bitget::rest, seeds: bitget::rest_seeds },
    Target { name: "tape_events", body: recordings::tape_events, seeds: recordings::tape_seeds },
    Target { name: "tape_file", body: recordings::tape_file, seeds: recordings::file_seeds },
    Target { name: "captures", body: recordings::captures, seeds: recordings::capture_seeds },
    Target { name: "settings_toml", body: texts::settings_toml, seeds: texts::settings_seeds },
    Target { name: "fault_script", body: texts::fault_script, seeds: texts::fault_seeds },
    Target { name: "sim_requests", body: exchange::requests, seeds: exchange::request_seeds },
    Target { name: "sim_ops", body: exchange::ops, seeds: exchange::op_seeds },
    Target { name: "signer_frames", body: frames::signer, seeds: frames::signer_seeds },
    Target { name: "vault_header", body: frames::vault_header, seeds: frames::vault_seeds },
    Target { name: "records", body: frames::records, seeds: frames::record_seeds },
];

/// Runs the body of a target.
///
/// # Panics
/// When a promise is broken, or no target has this name.
pub fn run(name: &str, data: &[u8]) {
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else { panic!("no target `{name}`") };
    (target.body)(data);
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
