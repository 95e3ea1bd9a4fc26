//! The signer process in the hands of somebody who has both of its sockets, and under the eyes of the superuser.
//!
//! `cargo test --test long_hostile` asks 20 000 hostile questions, `cargo xtask long hostile` a million.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed assumption fails the test")]

#[path = "proof/check.rs"]
mod check;
#[path = "proof/client.rs"]
mod client;
#[path = "proof/hostile.rs"]
mod hostile;
#[path = "proof/memory.rs"]
mod memory;
#[path = "proof/planted.rs"]
mod planted;
#[path = "proof/rig.rs"]
mod rig;
#[path = "proof/scan.rs"]
mod scan;
#[path = "proof/vault_keys.rs"]
mod vault_keys;
#[path = "proof/venue.rs"]
mod venue;

use clock::SystemClock;
use domain::Clock as _;

/// Looks every 20 ms until there is an answer; fails with `what` when there is none for a minute.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = SystemClock.mono();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(SystemClock.mono().since(begun).as_secs() < 60, "waited in vain for: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
