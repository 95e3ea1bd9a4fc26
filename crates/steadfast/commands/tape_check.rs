//! `steadfast tape check`: the books of a recording, rebuilt and compared with the venue's checksums.

use crate::cli::{Global, TapeCheckArgs};
use crate::commands::tape::{open, progress, recorded_venue, shows_progress};
use crate::key_desk::time;
use crate::report::{Exit, Trouble, causes};
use crate::term;
use comfy_table::{CellAlignment, Table, presets};
use std::error::Error;
use std::path::Path;
use tape::check::{BookReport, Check, CheckReport, Survey};
use tape::import::{ImportStats, RecordedVenue, RecordingKind};
use tape::{TapeEvent, TapeReader};

/// `steadfast tape check FILE`
///
/// # Errors
/// [`Trouble`] when the file cannot be read or a book is not what the venue says it is.
pub(super) fn run(global: &Global, args: &TapeCheckArgs) -> Result<(), Trouble> {
    drop(open(&args.file)?);
    let kind = tape::import::recognise(&args.file).map_err(|error| unreadable(&args.file, &error))?;
    let venue = match kind {
        RecordingKind::Cryptofeed => Some(recorded_venue(args.venue.as_deref())?),
        RecordingKind::Tape | RecordingKind::Hftbacktest => None,
        RecordingKind::Unknown => {
            return Err(Trouble::new(Exit::Failure, format!("{} is no recording", args.file.display()))
                .why("it begins neither like a tape nor like a recording of cryptofeed or hftbacktest")
                .fix("name a tape, or a recording as `steadfast tape import` takes it"));
        }
    };
    let source = Source { path: &args.file, kind, venue, shows: shows_progress(global) };
    // Read twice: the decimals of a book are known only when all its numbers were seen.
    let mut survey = Survey::default();
    let cut = source.each(|event| survey.look(event).map_err(|error| unreadable(&args.file, &error)))?;
    let mut check = Check::new(survey);
    source.each(|event| check.take(event).map_err(|error| unreadable(&args.file, &error)))?;
    if source.shows {
        eprintln!();
    }
    let report = check.report();
    if report.books.is_empty() {
        return Err(nothing(&args.file, venue));
    }
    show(global, args, &source, report);
    if let Some(cut) = cut {
        return Err(Trouble::new(Exit::Failure, format!("{} is not whole", args.file.display()))
            .why(cut)
            .fix("what is whole was checked; a recording that was cut off can still be played"));
    }
    if report.holds() { Ok(()) } else { Err(wrong(&args.file, report)) }
}

/// What is checked.
struct Source<'a> {
    path: &'a Path,
    kind: RecordingKind,
    venue: Option<RecordedVenue>,
    shows: bool,
}

impl Source<'_> {
    /// Gives each event; tells why a tape ended early.
    fn each(&self, mut take: impl FnMut(&TapeEvent) -> Result<(), Trouble>) -> Result<Option<String>, Trouble> {
        let input = open(self.path)?;
        let shows = self.shows;
        let progress = move |stats: &ImportStats| progress(shows, stats);
        match (self.kind, self.venue) {
            (RecordingKind::Tape, _) => {
                drop(input);
                for event in TapeReader::open(self.path).map_err(|error| unreadable(self.path, &error))? {
                    match event {
                        Ok(event) => take(&event)?,
                        Err(error) => return Ok(Some(causes(&error))),
                    }
                }
            }
            (_, Some(venue)) => {
                let events = tape::import::cryptofeed(input, venue, None, progress);
                for event in events.map_err(|error| unreadable(self.path, &error))? {
                    take(&event.map_err(|error| unreadable(self.path, &error))?)?;
                }
            }
            (_, None) => {
                let events = tape::import::hftbacktest(input, None, progress);
                for event in events.map_err(|error| unreadable(self.path, &error))? {
                    take(&event.map_err(|error| unreadable(self.path, &error))?)?;
                }
            }
        }
        Ok(None)
    }

    const fn format(&self) -> &'static str {
        match self.kind {
            RecordingKind::Tape => "tape",
            RecordingKind::Cryptofeed => "cryptofeed",
            RecordingKind::Hftbacktest | RecordingKind::Unknown => "hftbacktest",
        }
    }
}

fn unreadable(path: &Path, error: &dyn Error) -> Trouble {
    Trouble::new(Exit::Failure, format!("the recording {} cannot be checked", path.display()))
        .why(causes(error))
        .fix("check that the file is whole and that --venue names whose frames it holds")
}

fn nothing(path: &Path, venue: Option<RecordedVenue>) -> Trouble {
    let whose = venue.map_or_else(String::new, |venue| format!(" of {}", venue.as_str()));
    Trouble::new(Exit::Failure, format!("{} holds no book{whose}", path.display()))
        .fix("name with --venue whose frames it holds; a book needs its channel recorded from the subscription on")
}

fn wrong(path: &Path, report: &CheckReport) -> Trouble {
    let first = report.books.iter().filter_map(|(symbol, book)| Some((symbol, book.first?)));
    let first = first.min_by_key(|(_, first)| first.event);
    let trouble = Trouble::new(Exit::Failure, format!("the books of {} do not hold", path.display()));
    match first {
        Some((symbol, first)) => {
            let at = time(first.received);
            trouble.why(format!("{symbol}, event {} received at {at}: {}", first.event, first.fault))
        }
        None => trouble.why("updates with checksums came before any snapshot"),
    }
    .fix("what follows in that book until its next snapshot cannot be trusted; record or fetch it again")
}

fn show(global: &Global, args: &TapeCheckArgs, source: &Source<'_>, report: &CheckReport) {
    if global.json {
        let books: Vec<_> = report.books.iter().map(|(symbol, book)| book_json(symbol.as_str(), book)).collect();
        term::data(
            &serde_json::json!({
                "file": args.file, "format": source.format(), "venue": source.venue.map(RecordedVenue::as_str),
                "events": report.events, "trades": report.trades, "breaks": report.breaks,
                "checksums": report.checksums(), "confirmed": report.confirmed(), "faults": report.faults(),
                "holds": report.holds(), "books": books,
            })
            .to_string(),
        );
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["instrument", "snapshots", "updates", "checksums", "confirmed", "faults"]);
    for (symbol, book) in &report.books {
        let counts = [book.snapshots, book.updates, book.checksums, book.confirmed, book.faults];
        let cells = [symbol.to_string()].into_iter().chain(counts.map(|count| count.to_string()));
        table.add_row(cells.collect::<Vec<_>>());
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    term::data(&table.trim_fmt());
    let breaks = if report.breaks > 0 { format!(", {} breaks of a stream", report.breaks) } else { String::new() };
    term::data(&format!("{} events, {} trades{breaks}", report.events, report.trades));
    if report.checksums() == 0 {
        term::data("the venue sent no checksums; update ids and crossed books were looked at");
    }
    term::data(&format!("checksums confirmed {} of {}", report.confirmed(), report.checksums()));
}

fn book_json(symbol: &str, book: &BookReport) -> serde_json::Value {
    let first = book.first.map(|first| {
        serde_json::json!({
            "event": first.event, "received": time(first.received).to_string(), "fault": first.fault.label(),
            "text": first.fault.to_string(),
        })
    });
    serde_json::json!({
        "instrument": symbol, "snapshots": book.snapshots, "updates": book.updates, "checksums": book.checksums,
        "confirmed": book.confirmed, "faults": book.faults, "unplaced": book.unplaced, "first_fault": first,
    })
}
