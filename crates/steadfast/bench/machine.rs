//! What is measured on, and which cores the threads are put on.

use serde::Serialize;

/// The machine, as far as it bears on the figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The processor's name, as the system tells it.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Operating system and processor family.
    pub system: String,
    /// Whether the program was built with optimisation; without it no figure means anything.
    pub optimised: bool,
    /// Whether the processor computes SHA-256 in hardware, where that can be told.
    pub sha_instructions: Option<bool>,
    /// Other work on the machine when the bench began: runnable threads over the last minute, where that can be told.
    pub load: Option<String>,
}

impl Machine {
    /// Looks at the machine.
    #[must_use]
    pub fn look() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
            line.split_once(':').map(|(_, value)| value.trim().to_owned())
        };
        let flags = field("flags").or_else(|| field("Features"));
        let load = std::fs::read_to_string("/proc/loadavg").ok();
        Self {
            cpu: field("model name").unwrap_or_else(|| "unknown processor".to_owned()),
            cores: cores().len().max(1),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            optimised: !cfg!(debug_assertions),
            sha_instructions: flags.map(|flags| flags.split(' ').any(|flag| flag == "sha_ni" || flag == "sha2")),
            load: load.and_then(|text| text.split(' ').next().map(str::to_owned)),
        }
    }
}

fn cores() -> Vec<core_affinity::CoreId> {
    core_affinity::get_core_ids().unwrap_or_default()
}

/// A core for the feed's thread and one for the order path's: the first and the last. `None` on a single core.
pub(super) fn two_cores() -> Option<(usize, usize)> {
    let cores = cores();
    match (cores.first(), cores.last()) {
        (Some(first), Some(last)) if first.id != last.id => Some((first.id, last.id)),
        _ => None,
    }
}

/// Keeps this thread on one core; `false` when the system does not let it.
pub(super) fn pin(core: usize) -> bool {
    core_affinity::set_for_current(core_affinity::CoreId { id: core })
}
