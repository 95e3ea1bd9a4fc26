//! `steadfast bench`: measures the order path on the user's machine.

use crate::bench::{BenchError, Extent, measure};
use crate::cli::{BenchArgs, Global};
use crate::report::{Exit, Trouble, causes};
use crate::term;

/// Measures, and prints a table, or one JSON object with `--json`.
///
/// # Errors
/// [`Trouble`]: what kept the bench from measuring. A target that is missed is shown, and is no error.
pub fn run(global: &Global, args: &BenchArgs) -> Result<(), Trouble> {
    let extent = if args.quick { Extent::Quick } else { Extent::Full };
    if !global.json && extent == Extent::Full {
        term::say(global, "measuring for about a minute; other work on this machine shows in the figures");
    }
    let mut progress = |part: &str| term::say(global, &format!("measuring: {part}"));
    let report = measure(extent, None, &mut progress).map_err(|error| trouble(&error))?;
    if global.json {
        let json = serde_json::to_string(&report)
            .map_err(|error| Trouble::new(Exit::Failure, "the figures cannot be written as JSON").why(error))?;
        term::data(&json);
    } else {
        term::data(report.render().trim_end());
    }
    Ok(())
}

fn trouble(error: &BenchError) -> Trouble {
    let trouble = Trouble::new(Exit::Failure, "nothing could be measured").why(causes(error));
    match error {
        BenchError::Silent => trouble.fix("run it again while the machine does nothing else"),
        BenchError::Spawn(_) => trouble.fix("allow this process one more thread and every core"),
        _ => trouble,
    }
}
