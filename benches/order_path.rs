//! The order path's bench under `cargo bench`: the harness of `steadfast bench`, with allocations counted.
//!
//! `cargo bench --bench order_path -- --quick --json` takes the same switches as the command. Measures what
//! `steadfast::bench` says of itself; p50, p99, p99.9 and max, on the machine that its first line names.

use std::process::ExitCode;
use steadfast::bench::{Extent, measure};
use steadfast::term;

fn main() -> ExitCode {
    // The signer process that is measured is this program, started again.
    #[cfg(target_os = "linux")]
    if let Some(code) = steadfast::signers::child::dispatch() {
        return code;
    }
    let given: Vec<String> = std::env::args().skip(1).collect();
    let asked = |switch: &str| given.iter().any(|argument| argument == switch);
    // `cargo test --benches` runs this too, without `--bench`: then it only has to work.
    let extent = if asked("--quick") || !asked("--bench") { Extent::Quick } else { Extent::Full };
    let count = |run: &mut dyn FnMut()| allocation_counter::measure(run).count_total;
    let report = match measure(extent, Some(count), &mut |part| eprintln!("measuring: {part}")) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("nothing could be measured: {error}");
            return ExitCode::FAILURE;
        }
    };
    if asked("--json") {
        match serde_json::to_string(&report) {
            Ok(json) => term::data(&json),
            Err(error) => eprintln!("the figures cannot be written as JSON: {error}"),
        }
    } else {
        term::data(report.render().trim_end());
    }
    ExitCode::SUCCESS
}
