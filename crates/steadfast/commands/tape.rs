//! `steadfast tape`: recordings of other programs become tapes.

use crate::cli::{Global, TapeImportArgs};
use crate::report::{Exit, Trouble, causes};
use crate::term;
use std::fs::File;
use std::io::IsTerminal as _;

/// `steadfast tape import FILE --from FORMAT --out FILE`
///
/// # Errors
/// [`Trouble`] that names the line of the recording.
pub fn import(global: &Global, args: &TapeImportArgs) -> Result<(), Trouble> {
    if args.from != "hftbacktest" {
        return Err(Trouble::new(Exit::Usage, format!("unknown recording format `{}`", args.from))
            .fix("known: hftbacktest (Binance spot: lines of `<receive ns> <raw JSON>`, plain or gzip)"));
    }
    let name = args.file.display();
    let input = File::open(&args.file).map_err(|error| {
        Trouble::new(Exit::NotFound, format!("cannot open the recording {name}"))
            .why(error)
            .fix("name a file that is there")
    })?;
    let symbol = match &args.symbol {
        Some(text) => Some(
            domain::Symbol::from(text)
                .map_err(|_| Trouble::new(Exit::Failure, format!("`{text}` is longer than any symbol")))?,
        ),
        None => None,
    };
    let shows = !global.quiet && std::io::stderr().is_terminal();
    let progress = move |stats: &tape::import::ImportStats| {
        if shows {
            eprint!("\r{} lines, {} trades, {} depth updates ", stats.lines, stats.trades, stats.depth_updates);
        }
    };
    let unreadable = |error: &dyn std::error::Error| {
        Trouble::new(Exit::Failure, format!("the recording {name} cannot be imported"))
            .why(causes(error))
            .fix("check that the file is whole; nothing was written")
    };
    let cannot_write = |error: &dyn std::error::Error| {
        Trouble::new(Exit::Failure, format!("cannot write the tape {}", args.out.display())).why(causes(error))
    };
    let mut events = tape::import::hftbacktest(input, symbol, progress).map_err(|error| unreadable(&error))?;
    let partial = args.out.with_extension("partial");
    let mut writer =
        tape::TapeWriter::create(&partial, &format!("hftbacktest {name}")).map_err(|error| cannot_write(&error))?;
    for event in events.by_ref() {
        let event = event.map_err(|error| {
            let _ = std::fs::remove_file(&partial);
            unreadable(&error)
        })?;
        writer.write(&event).map_err(|error| cannot_write(&error))?;
    }
    writer.finish_on_disk().map_err(|error| cannot_write(&error))?;
    std::fs::rename(&partial, &args.out).map_err(|error| cannot_write(&error))?;
    let stats = events.stats();
    if shows {
        eprintln!();
    }
    if global.json {
        term::data(
            &serde_json::json!({
                "out": args.out, "lines": stats.lines, "depth_updates": stats.depth_updates,
                "depth_snapshots": stats.depth_snapshots, "trades": stats.trades,
                "book_tickers": stats.book_tickers, "other": stats.other, "events": stats.events,
            })
            .to_string(),
        );
    } else {
        term::data(&format!(
            "{}: {} events from {} lines ({} depth updates, {} trades, {} book tickers)",
            args.out.display(),
            stats.events,
            stats.lines,
            stats.depth_updates,
            stats.trades,
            stats.book_tickers
        ));
        term::say(global, &format!("next: steadfast demo --tape {}", args.out.display()));
    }
    Ok(())
}
