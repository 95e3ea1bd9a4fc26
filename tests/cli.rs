//! What a person sees when something is wrong: the real binary against an exchange in a process of its own.
//!
//! Every case shows the exit code and both outputs as a snapshot that was read by a person: what happened, why, what
//! to do. None may lose data, and none may show a secret on the terminal or in a file.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a failed assumption fails the test")]

#[path = "cli/access.rs"]
mod access;
#[path = "cli/audit.rs"]
mod audit;
#[path = "cli/disk.rs"]
mod disk;
#[path = "cli/keys.rs"]
mod keys;
#[path = "cli/keys_life.rs"]
mod keys_life;
#[path = "cli/life.rs"]
mod life;
#[path = "cli/settings.rs"]
mod settings;
#[path = "cli/support.rs"]
mod support;
#[path = "cli/tape.rs"]
mod tape;
#[path = "cli/vault.rs"]
mod vault;
