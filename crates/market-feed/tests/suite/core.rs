//! One claim for each fault.

use crate::fake::{FakeVenue, Lines, Proof, instrument, version};
use domain::{InstrumentId, InstrumentVersion, MonoNanos, Price, UnixNanos};
use market_feed::{BookSource, FeedInstrument, FeedOutput, FeedSettings, FeedState, FrameTime, Top};
use messages::{BookFaultKind, BookStatus, MarketEventKind};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use venue_api::Channel;

const A: InstrumentId = InstrumentId(0);
const B: InstrumentId = InstrumentId(1);

/// A feed joined to the fake venue, with the latest of everything it told.
struct Bench {
    state: FeedState,
    venue: FakeVenue,
    now: MonoNanos,
    tops: BTreeMap<InstrumentId, Top>,
    outputs: Vec<FeedOutput>,
    /// Requests that the venue does not get.
    deaf: bool,
}

impl Bench {
    fn new(instruments: &[FeedInstrument], proof: Proof) -> Self {
        Self::with(instruments, proof, &["A", "B"])
    }

    /// Over a venue that lists these instruments.
    fn with(instruments: &[FeedInstrument], proof: Proof, names: &[&str]) -> Self {
        let state = FeedState::new(Arc::new(Lines), FeedSettings::default(), instruments);
        let venue = FakeVenue::new(proof, names);
        let mut bench =
            Self { state, venue, now: MonoNanos(1), tops: BTreeMap::new(), outputs: Vec::new(), deaf: false };
        bench.connect();
        bench
    }

    fn two() -> Self {
        Self::new(
            &[instrument(0, "A", BookSource::Full, true), instrument(1, "B", BookSource::Full, false)],
            Proof::Sequence,
        )
    }

    fn connect(&mut self) {
        let mut out = Vec::new();
        self.state.on_connected(self.now, &mut out);
        self.settle(out);
        self.tick(0);
    }

    /// Notes what came out and lets the venue answer, until nothing more comes.
    fn settle(&mut self, out: Vec<FeedOutput>) {
        for output in out {
            match &output {
                FeedOutput::Top(id, top) => {
                    self.tops.insert(*id, *top);
                }
                FeedOutput::Send(text) if !self.deaf => {
                    for answer in self.venue.receive(text) {
                        self.frame(&answer);
                    }
                }
                _ => {}
            }
            self.outputs.push(output);
        }
    }

    fn frame(&mut self, text: &str) {
        let mut out = Vec::new();
        let at = FrameTime { mono: self.now, unix: UnixNanos(self.now.0) };
        self.state.on_frame(text.as_bytes(), at, &mut out);
        self.settle(out);
    }

    fn tick(&mut self, millis: u64) {
        self.now = self.now.after(Duration::from_millis(millis));
        let mut out = Vec::new();
        self.state.on_tick(self.now, &mut out);
        self.settle(out);
    }

    fn take(&mut self) -> Vec<FeedOutput> {
        std::mem::take(&mut self.outputs)
    }

    fn fault(&self, id: InstrumentId) -> Option<BookFaultKind> {
        self.tops.get(&id).and_then(|top| top.0.err())
    }

    fn bid(&self, id: InstrumentId) -> Option<Price> {
        self.tops.get(&id)?.0.ok()?.bid.map(|quote| quote.price)
    }

    fn sends(&mut self) -> Vec<String> {
        self.take()
            .into_iter()
            .filter_map(|output| if let FeedOutput::Send(text) = output { Some(text) } else { None })
            .collect()
    }

    fn faults_told(&mut self) -> Vec<(InstrumentId, BookFaultKind)> {
        let told = |output| match output {
            FeedOutput::Top(id, Top(Err(fault))) => Some((id, fault)),
            _ => None,
        };
        self.take().into_iter().filter_map(told).collect()
    }
}

#[test]
fn books_become_valid_and_the_feed_live_once_all_is_acknowledged() {
    let mut bench = Bench::two();
    assert_eq!((bench.bid(A), bench.bid(B)), (Some(Price(9_990)), Some(Price(9_990))));
    let outputs = bench.take();
    assert_eq!(outputs.iter().filter(|output| **output == FeedOutput::Live(true)).count(), 1);
    assert!(bench.state.complete(bench.now));
    let push = bench.venue.change("A", true, 5, 300).unwrap();
    bench.frame(&push);
    assert_eq!(bench.bid(A), Some(Price(9_995)));
    assert!(bench.state.spreads(bench.now).all(|(_, ratio)| ratio > 0.0 && ratio < 0.01));
}

#[test]
fn a_gap_costs_that_book_alone_and_it_is_asked_for_again_at_once() {
    let mut bench = Bench::two();
    bench.deaf = true;
    bench.take();
    bench.venue.change("A", true, 5, 300).unwrap();
    let late = bench.venue.change("A", true, 6, 300).unwrap();
    bench.frame(&late);
    assert_eq!((bench.fault(A), bench.bid(B)), (Some(BookFaultKind::Gap), Some(Price(9_990))));
    assert_eq!(bench.state.take_tally().faults, [1, 0, 0]);
    // The slot says it before anybody hears of it, and both before anything is sent.
    let outputs = bench.take();
    assert!(
        matches!(outputs.as_slice(), [
        FeedOutput::Top(A, Top(Err(BookFaultKind::Gap))),
        FeedOutput::Event(_),
        FeedOutput::Live(false),
        FeedOutput::Send(unsubscribe),
        FeedOutput::Send(subscribe),
    ] if unsubscribe == "unsub book A" && subscribe == "sub book A"),
        "{outputs:?}"
    );
    // What still comes of the old subscription is ignored; the snapshot ends it.
    let more = bench.venue.change("A", true, 7, 300).unwrap();
    bench.frame(&more);
    assert_eq!((bench.fault(A), bench.sends().len()), (Some(BookFaultKind::Gap), 0));
    let snapshot = bench.venue.snapshot("book", "A");
    bench.frame(&snapshot);
    assert_eq!(bench.bid(A), Some(Price(9_997)));
}

#[test]
fn a_wrong_checksum_costs_that_book_alone() {
    let mut bench = Bench::new(
        &[instrument(0, "A", BookSource::Full, false), instrument(1, "B", BookSource::Full, false)],
        Proof::Checksum,
    );
    bench.take();
    bench.deaf = true;
    let push = bench.venue.change("A", true, 5, 300).unwrap();
    bench.frame(&push.replace("3.00;", "3.01;"));
    assert_eq!((bench.fault(A), bench.bid(B)), (Some(BookFaultKind::Checksum), Some(Price(9_990))));
    assert_eq!(bench.sends(), ["unsub book A", "sub book A"]);
}

#[test]
fn a_crossed_book_is_no_book() {
    let mut bench = Bench::two();
    bench.deaf = true;
    bench.frame("snap book A 9 0 0 101.00,1.00; 100.00,1.00;");
    assert_eq!((bench.fault(A), bench.bid(B)), (Some(BookFaultKind::Crossed), Some(Price(9_990))));
}

#[test]
fn a_book_that_cannot_be_read_or_written_in_its_decimals_is_discarded() {
    for frame in ["upd book A 2 1 0 x,1.00; -", "upd book A 2 1 0 99.995,1.00; -", "upd book A 2 1 0 -1.00,1.00; -"] {
        let mut bench = Bench::two();
        bench.deaf = true;
        bench.frame(frame);
        assert_eq!((bench.fault(A), bench.bid(B)), (Some(BookFaultKind::NoSnapshot), Some(Price(9_990))), "{frame}");
        assert_eq!(bench.state.take_tally().unreadable, [1, 0, 0], "{frame}");
    }
}

#[test]
fn an_unreadable_frame_of_no_known_channel_costs_the_connection() {
    let mut bench = Bench::two();
    bench.take();
    bench.frame("broken");
    assert_eq!(
        (bench.fault(A), bench.fault(B)),
        (Some(BookFaultKind::Disconnected), Some(BookFaultKind::Disconnected))
    );
    assert!(bench.take().contains(&FeedOutput::Reconnect("unreadable_frame")));
    // Nothing that still arrives on it counts.
    let snapshot = bench.venue.snapshot("book", "A");
    bench.frame(&snapshot);
    assert_eq!(bench.fault(A), Some(BookFaultKind::Disconnected));
    bench.venue.cut();
    bench.connect();
    assert_eq!(bench.bid(A), Some(Price(9_990)));
}

#[test]
fn a_frame_lost_on_the_way_costs_the_connection() {
    let mut bench = Bench::two();
    let mut out = Vec::new();
    bench.state.on_frame_lost(bench.now, &mut out);
    assert_eq!(out.last(), Some(&FeedOutput::Reconnect("frame_lost")));
    bench.settle(out);
    assert_eq!(bench.fault(A), Some(BookFaultKind::Disconnected));
}

#[test]
fn unknown_frames_and_books_of_others_change_nothing() {
    let mut bench = Bench::two();
    bench.take();
    for frame in [
        "hello",
        "ack candle A",
        "snap book C 1 0 0 1.00,1.00; 2.00,1.00;",
        "snap book5 A 9 0 0 1.00,1.00; 2.00,1.00;",
        "pong",
    ] {
        bench.frame(frame);
    }
    assert!(bench.take().is_empty());
    assert_eq!(bench.bid(A), Some(Price(9_990)));
}

#[test]
fn a_book_grows_stale_without_data_and_comes_back_with_it() {
    let mut bench = Bench::two();
    bench.tick(4_900);
    assert_eq!(bench.fault(A), None);
    let push = bench.venue.change("B", true, 1, 100).unwrap();
    bench.frame(&push);
    bench.take();
    bench.tick(200);
    assert_eq!((bench.fault(A), bench.fault(B)), (Some(BookFaultKind::Stale), None));
    assert!(bench.take().contains(&FeedOutput::Live(false)));
    bench.tick(100);
    assert!(bench.faults_told().is_empty(), "told once");
    let push = bench.venue.change("A", true, 1, 100).unwrap();
    bench.frame(&push);
    assert_eq!(bench.bid(A), Some(Price(9_991)));
}

#[test]
fn a_silent_subscription_is_asked_for_again_while_others_live_on() {
    let mut bench = Bench::two();
    bench.deaf = true;
    bench.take();
    for _ in 0..31 {
        bench.tick(1_000);
        let push = bench.venue.change("B", true, 1, 100).unwrap();
        bench.frame(&push);
    }
    assert_eq!(bench.bid(B), Some(Price(9_991)));
    assert_eq!(bench.sends(), ["unsub book A", "sub book A"]);
}

#[test]
fn many_quiet_books_stay_within_the_venues_requests_and_a_broken_one_is_still_asked_for() {
    let names: Vec<String> = (0..50).map(|number| format!("Q{number}")).collect();
    let list: Vec<_> = names.iter().zip(0..).map(|(name, id)| instrument(id, name, BookSource::Full, false)).collect();
    let listed: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut bench = Bench::with(&list, Proof::Sequence, &listed);
    let count = |sends: Vec<String>| sends.iter().filter(|text| text.starts_with("sub ")).count();
    let mut hours = Vec::new();
    let mut asked = count(bench.sends());
    for second in 1..=3 * 3_600_u32 {
        bench.tick(1_000);
        if second % 10 == 0 {
            let push = bench.venue.change("Q0", true, 1, i64::from(second)).unwrap();
            bench.frame(&push);
        }
        let outputs = bench.take();
        assert!(!outputs.iter().any(|output| matches!(output, FeedOutput::Reconnect(_))), "at {second}");
        let is_request = |output: &&FeedOutput| matches!(output, FeedOutput::Send(text) if text.starts_with("sub "));
        asked += outputs.iter().filter(is_request).count();
        if second % 3_600 == 0 {
            hours.push(std::mem::take(&mut asked));
        }
    }
    assert!(hours.iter().all(|asked| (60..=240).contains(asked)), "{hours:?}");

    // A quiet book that speaks again is good at once, though it was not asked for.
    let push = bench.venue.change("Q7", true, 2, 5).unwrap();
    bench.frame(&push);
    assert_eq!(bench.fault(InstrumentId(7)), None);
    bench.venue.change("Q7", true, 2, 6);
    let push = bench.venue.change("Q7", true, 2, 7).unwrap();
    bench.take();
    bench.frame(&push);
    assert_eq!(bench.sends(), ["unsub book Q7", "sub book Q7"], "a gap is asked for at once");
    assert_eq!(bench.fault(InstrumentId(7)), None);
}

#[test]
fn when_no_book_speaks_the_connection_is_given_up_whatever_is_acknowledged() {
    let mut bench = Bench::two();
    bench.deaf = true;
    bench.take();
    let mut given_up = false;
    for _ in 0..60 {
        bench.tick(1_000);
        bench.frame("pong");
        bench.frame("ack book A");
        given_up |= bench.take().contains(&FeedOutput::Reconnect("stalled"));
    }
    assert!(given_up);
}

#[test]
fn a_missing_acknowledgement_is_asked_for_again_with_growing_waits() {
    let mut bench = Bench::new(
        &[instrument(0, "A", BookSource::Full, false), instrument(7, "NONE", BookSource::Full, false)],
        Proof::Sequence,
    );
    bench.take();
    let mut asked = 0;
    for _ in 0..600 {
        bench.tick(1_000);
        let push = bench.venue.change("A", true, 1, 100).unwrap();
        bench.frame(&push);
        asked += bench.sends().iter().filter(|text| text.as_str() == "sub book NONE").count();
    }
    // Refused by the venue each time: within ten minutes a handful of tries, not hundreds.
    assert!((5..=20).contains(&asked), "{asked}");
    assert_eq!(bench.bid(A), Some(Price(9_991)), "the other one never noticed");
    assert!(bench.state.take_tally().errors >= 5);
}

#[test]
fn a_request_that_nobody_answers_is_repeated() {
    let mut bench = Bench::two();
    bench.venue.cut();
    bench.deaf = true;
    bench.connect();
    bench.take();
    bench.deaf = false;
    bench.tick(9_000);
    assert!(bench.sends().is_empty());
    bench.tick(1_100);
    assert_eq!((bench.bid(A), bench.bid(B)), (Some(Price(9_990)), Some(Price(9_990))));
}

#[test]
fn a_disconnect_takes_all_books_and_a_connection_starts_them_anew() {
    let mut bench = Bench::two();
    bench.take();
    let mut out = Vec::new();
    bench.state.on_disconnected(bench.now, &mut out);
    bench.settle(out);
    let told = bench.faults_told();
    assert_eq!(told, [(A, BookFaultKind::Disconnected), (B, BookFaultKind::Disconnected)]);
    bench.venue.cut();
    bench.venue.change("A", true, 3, 100);
    bench.connect();
    assert_eq!((bench.bid(A), bench.bid(B)), (Some(Price(9_993)), Some(Price(9_990))));
    assert_eq!(bench.sends(), ["sub book A", "sub trade A", "sub book B"]);
}

#[test]
fn five_levels_need_no_history() {
    let mut bench = Bench::new(&[instrument(0, "A", BookSource::Five, false)], Proof::Sequence);
    assert_eq!(bench.sends(), ["sub book5 A"]);
    bench.deaf = true;
    bench.frame("snap book5 A 50 0 0 99.00,1.00; 98.00,1.00;");
    assert_eq!(bench.fault(A), Some(BookFaultKind::Crossed));
    bench.frame("snap book5 A 70 0 0 97.00,1.00; 98.00,1.00;");
    assert_eq!(bench.bid(A), Some(Price(9_700)));
    assert!(bench.state.complete(bench.now));
    assert_eq!(
        (bench.state.channel_alive(Channel::Book5), bench.state.channel_alive(Channel::Book)),
        (Some(true), None)
    );
}

#[test]
fn trades_are_told_in_order_and_history_is_not() {
    let mut bench = Bench::two();
    bench.take();
    bench.frame("hist A 99.00,1.00,5 99.10,1.00,6");
    assert!(bench.take().is_empty());
    bench.frame("trades A 99.00,1.00,7 99.001,1.00,8 99.20,2.00,9");
    let trades: Vec<(Price, u64)> = bench
        .take()
        .into_iter()
        .map(|output| match output {
            FeedOutput::Event(event) => match event.kind {
                MarketEventKind::Trade { price, venue_time, .. } => (price, venue_time.as_millis()),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(trades, [(Price(9_900), 7), (Price(9_920), 9)], "one does not fit the decimals");
    assert_eq!(bench.state.take_tally().unreadable, [0, 0, 1]);
}

#[test]
fn new_rules_are_told_and_new_decimals_begin_the_book_anew() {
    let mut bench = Bench::two();
    bench.take();
    let mut out = Vec::new();
    let same = InstrumentVersion { version: 2, tick: 5, ..version(0) };
    bench.state.on_instrument_changed(same, bench.now, &mut out);
    assert!(matches!(&out[..], [FeedOutput::Event(event)] if event.kind == MarketEventKind::InstrumentChanged(same)));
    out.clear();
    let finer = InstrumentVersion { version: 3, price_decimals: 3, ..version(0) };
    bench.state.on_instrument_changed(finer, bench.now, &mut out);
    assert!(matches!(&out[..], [FeedOutput::Top(A, Top(Err(BookFaultKind::NoSnapshot))), ..]));
    bench.settle(out);
    assert_eq!((bench.bid(A), bench.bid(B)), (Some(Price(99_900)), Some(Price(9_990))));
}

#[test]
fn a_state_that_takes_over_tells_everything() {
    let mut bench = Bench::two();
    bench.take();
    let mut out = Vec::new();
    bench.state.republish(bench.now, &mut out);
    let valid = |output: &&FeedOutput| matches!(output, FeedOutput::Event(event) if matches!(event.kind, MarketEventKind::Book(BookStatus::Valid(_))));
    assert_eq!(out.iter().filter(valid).count(), 2);
    assert_eq!(out.last(), Some(&FeedOutput::Live(true)));
}

#[test]
fn an_announced_close_is_passed_on() {
    let mut bench = Bench::two();
    bench.take();
    bench.frame("closing");
    assert_eq!(bench.take(), [FeedOutput::ClosingSoon]);
}
