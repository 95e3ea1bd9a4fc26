//! `steadfast tape import`: recordings of other programs become tapes.

use crate::cli::{Global, TapeImportArgs};
use crate::report::{Exit, Trouble, causes};
use crate::term;
use std::fs::File;
use std::io::IsTerminal as _;
use std::path::Path;
use tape::import::{ImportError, ImportStats, RecordedVenue, RecordingKind};
use tape::{TapeError, TapeEvent, TapeWriter};

/// `steadfast tape import FILE --from FORMAT --out FILE`
///
/// # Errors
/// [`Trouble`] that names the line of the recording.
pub fn import(global: &Global, args: &TapeImportArgs) -> Result<(), Trouble> {
    let format = format(&args.from)?;
    let venue = match format {
        RecordingKind::Cryptofeed => Some(recorded_venue(args.venue.as_deref())?),
        _ => None,
    };
    let input = open(&args.file)?;
    is_of(&args.file, format)?;
    is_free(&args.out)?;
    let symbol = match &args.symbol {
        Some(text) => Some(
            domain::Symbol::from(text)
                .map_err(|_| Trouble::new(Exit::Failure, format!("`{text}` is longer than any symbol")))?,
        ),
        None => None,
    };
    let shows = shows_progress(global);
    let progress = move |stats: &ImportStats| progress(shows, stats);
    let cannot = |error: ImportError| unreadable(&args.file, &error);
    let name = args.file.file_name().unwrap_or_default().to_string_lossy();
    let stats = if let Some(venue) = venue {
        let mut events = tape::import::cryptofeed(input, venue, symbol, progress).map_err(cannot)?;
        write(args, &format!("cryptofeed {} {name:.80}", venue.as_str()), events.by_ref())?;
        events.stats()
    } else {
        let mut events = tape::import::hftbacktest(input, symbol, progress).map_err(cannot)?;
        write(args, &format!("hftbacktest {name:.80}"), events.by_ref())?;
        events.stats()
    };
    if shows {
        eprintln!();
    }
    tell(global, args, &stats);
    Ok(())
}

/// The format of a word.
fn format(word: &str) -> Result<RecordingKind, Trouble> {
    match word {
        "hftbacktest" => Ok(RecordingKind::Hftbacktest),
        "cryptofeed" => Ok(RecordingKind::Cryptofeed),
        _ => Err(Trouble::new(Exit::Usage, format!("unknown recording format `{word}`")).fix(
            "known: hftbacktest (Binance spot: lines of `<receive ns> <raw JSON>`, plain or gzip)\n\
             cryptofeed (JSON lines with `kind`, `ts` and `data`, plain or gzip; with --venue)",
        )),
    }
}

/// The venue whose frames a recording holds.
pub(super) fn recorded_venue(word: Option<&str>) -> Result<RecordedVenue, Trouble> {
    let known = RecordedVenue::ALL.map(RecordedVenue::as_str).join(", ");
    let Some(word) = word else {
        return Err(Trouble::new(Exit::Usage, "this recording does not say whose frames it holds")
            .fix(format!("name the venue with --venue; known: {known}")));
    };
    RecordedVenue::from_word(word).ok_or_else(|| {
        Trouble::new(Exit::Usage, format!("recordings of `{word}` cannot be read")).fix(format!("known: {known}"))
    })
}

/// Opens a recording.
pub(super) fn open(path: &Path) -> Result<File, Trouble> {
    File::open(path).map_err(|error| {
        Trouble::new(Exit::NotFound, format!("cannot open the recording {}", path.display()))
            .why(error)
            .fix("name a file that is there")
    })
}

/// Refuses a file that is plainly something else than it was said to be.
fn is_of(path: &Path, format: RecordingKind) -> Result<(), Trouble> {
    let found = tape::import::recognise(path).unwrap_or(RecordingKind::Unknown);
    if found == format || found == RecordingKind::Unknown {
        return Ok(()); // What is in an unknown file the import says by its line.
    }
    let (seems, fix) = match found {
        RecordingKind::Tape => ("a tape already", "use it as it is: steadfast demo --tape FILE"),
        RecordingKind::Cryptofeed => ("in the format of cryptofeed", "import it with --from cryptofeed --venue NAME"),
        _ => ("in the format of hftbacktest", "import it with --from hftbacktest"),
    };
    Err(Trouble::new(Exit::Failure, format!("{} is {seems}", path.display())).fix(fix))
}

/// Refuses to write over a file.
pub(super) fn is_free(out: &Path) -> Result<(), Trouble> {
    if out.exists() {
        return Err(Trouble::new(Exit::Failure, format!("{} is there already", out.display()))
            .why("a recording is never written over")
            .fix("name another file with --out, or remove that one"));
    }
    Ok(())
}

/// A tape that cannot be written, in words.
pub(super) fn cannot_write(out: &Path, error: &TapeError) -> Trouble {
    Trouble::new(Exit::Failure, format!("cannot write the tape {}", out.display()))
        .why(causes(error))
        .fix("check that the directory is there, may be written, and its disk has room")
}

/// A recording that cannot be read, in words.
fn unreadable(file: &Path, error: &ImportError) -> Trouble {
    Trouble::new(Exit::Failure, format!("the recording {} cannot be imported", file.display()))
        .why(causes(error))
        .fix("check that the file is whole; nothing was written")
}

pub(super) fn shows_progress(global: &Global) -> bool {
    !global.quiet && std::io::stderr().is_terminal()
}

pub(super) fn progress(shows: bool, stats: &ImportStats) {
    if shows {
        eprint!("\r{} lines, {} trades, {} depth updates ", stats.lines, stats.trades, stats.depth_updates);
    }
}

/// Writes the events under another name first, so that a tape is whole or not there.
fn write(
    args: &TapeImportArgs,
    source: &str,
    events: impl Iterator<Item = Result<TapeEvent, ImportError>>,
) -> Result<(), Trouble> {
    let partial = args.out.with_extension("partial");
    let cannot = |error: &TapeError| cannot_write(&args.out, error);
    let mut writer = TapeWriter::create(&partial, source).map_err(|error| cannot(&error))?;
    let written = (|| {
        for event in events {
            writer.write(&event.map_err(|error| unreadable(&args.file, &error))?).map_err(|error| cannot(&error))?;
        }
        writer.finish_on_disk().map_err(|error| cannot(&error))?;
        std::fs::rename(&partial, &args.out).map_err(|source| cannot(&TapeError::Io { position: 0, source }))
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    written
}

fn tell(global: &Global, args: &TapeImportArgs, stats: &ImportStats) {
    if global.json {
        term::data(
            &serde_json::json!({
                "out": args.out, "lines": stats.lines, "depth_updates": stats.depth_updates,
                "depth_snapshots": stats.depth_snapshots, "trades": stats.trades,
                "book_tickers": stats.book_tickers, "checksums": stats.checksums, "other": stats.other,
                "events": stats.events,
            })
            .to_string(),
        );
        return;
    }
    term::data(&format!(
        "{}: {} events from {} lines ({} depth updates, {} trades, {} book tickers, {} checksums)",
        args.out.display(),
        stats.events,
        stats.lines,
        stats.depth_updates,
        stats.trades,
        stats.book_tickers,
        stats.checksums
    ));
    let next = if stats.checksums > 0 { "tape check" } else { "demo --tape" };
    term::say(global, &format!("next: steadfast {next} {}", args.out.display()));
}
