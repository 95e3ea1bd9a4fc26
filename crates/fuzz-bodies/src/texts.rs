//! Texts that people write: settings and fault scripts.

use crate::texts;
use settings::{LoadRequest, Mode, is_loopback_address, load};
use sim_venue::FaultPlan;
use std::cell::OnceCell;

/// Longest text that is tried; a longer one only takes time.
const TEXT_BYTES_MAX: usize = 8 * 1024;

thread_local! {
    static DIRECTORY: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

/// Whatever settings are accepted: in the mode of the embedded exchange no address leaves this machine.
pub(crate) fn settings_toml(data: &[u8]) {
    if data.len() > TEXT_BYTES_MAX {
        return;
    }
    DIRECTORY.with(|directory| {
        let directory = directory.get_or_init(|| tempfile::tempdir().unwrap());
        std::fs::write(directory.path().join("steadfast.toml"), data).unwrap();
        let request = LoadRequest { config_dir: directory.path().to_owned(), env: Vec::new(), set: Vec::new() };
        match load(&request) {
            Ok(loaded) => {
                if loaded.settings.mode == Mode::Sim {
                    for venue in loaded.settings.venue.values() {
                        for address in [&venue.rest, &venue.ws_public, &venue.ws_private].into_iter().flatten() {
                            assert!(is_loopback_address(address), "an address beyond this machine: {address}");
                        }
                    }
                }
            }
            Err(problems) => assert!(!problems.0.is_empty(), "refused without a reason"),
        }
    });
}

/// A script that is accepted is accepted again, and says the same.
pub(crate) fn fault_script(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for read in [FaultPlan::parse, FaultPlan::from_toml, FaultPlan::from_json] {
        let (first, second) = (format!("{:?}", read(text)), format!("{:?}", read(text)));
        assert_eq!(first, second, "the same script, the same plan");
    }
}

pub(crate) fn settings_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "mode = \"sim\"\n[venue.main]\nkind = \"bitget\"\nenvironment = \"sim\"\nrest = \"http://127.0.0.1:7450\"\nws_public = \"ws://127.0.0.1:7450/v2/ws/public\"\nws_private = \"ws://127.0.0.1:7450/v2/ws/private\"\nkey = \"main\"\ninstruments = [\"BTCUSDT\"]\n",
        "[risk]\nmax_order_notional = \"250\"\nmax_drawdown = \"5%\"\n[log]\nlevel = \"info\"\n",
        "[strategy.a]\nkind = \"grid\"\nvenue = \"main\"\ninstrument = \"BTCUSDT\"\n[strategy.a.params]\nstep = \"0.1%\"\n",
    ])
}

pub(crate) fn fault_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "ack-lost@20",
        "slow-ack@3s",
        "seed = 7\n[[fault]]\nname = \"ack-lost\"\nat_order = 3\n",
        r#"{"seed":7,"faults":[{"name":"ack-lost","at_order":3}]}"#,
    ])
}
