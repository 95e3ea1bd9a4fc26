//! `steadfast tape record`: what a venue's public streams send, written to a tape. No key is used.

use crate::cli::{Global, TapeRecordArgs};
use crate::commands::tape::{cannot_write, is_free};
use crate::plan::{self, VenuePlan};
use crate::recorder::{Recorded, Recorder};
use crate::report::{Exit, Trouble, causes};
use crate::term::{self, StopSignal};
use crate::{commands, restore};
use clock::SystemClock;
use domain::{Clock, Instrument, InstrumentId, MonoNanos, VenueId};
use market_feed::{BookSource, FeedInstrument, FeedOutput, FeedSettings, FeedState, FrameTime};
use net::{HttpClient, HttpConfig, Ping, Stamp, WsConfig, WsEvent, WsHandle, WsSession};
use order_gateway::fetch_instruments;
use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;
use std::time::Duration;
use tape::{TapeError, TapeStats, TapeWriter};
use tokio::sync::mpsc::Receiver;
use venue_api::FeedFrame;

/// Events of the socket that may wait; while so many do, the socket is not read.
const EVENTS_MAX: usize = 1_024;
/// How often time is looked at.
const TICK: Duration = Duration::from_millis(100);
/// What a crash of the recorder can lose.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// Instruments of one recording: what one connection carries well.
const INSTRUMENTS_MAX: usize = 50;

/// `steadfast tape record --venue NAME --instrument I --out FILE`
///
/// # Errors
/// [`Trouble`]: what a person needs to read.
pub(super) fn run(global: &Global, args: &TapeRecordArgs) -> Result<(), Trouble> {
    let venue = account(global, args)?;
    is_free(&args.out)?;
    let stop = StopSignal::listen()?;
    net::install_tls_provider();
    let cannot = |error| Trouble::new(Exit::Failure, "the recorder cannot start").why(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let ended = tokio::task::LocalSet::new().block_on(&runtime, record(global, args, &venue, &stop))?;
    if ended.stats.events == 0 {
        let _ = std::fs::remove_file(&args.out);
        let why = ended.down.unwrap_or_else(|| "it sent no market data".to_owned());
        return Err(Trouble::new(Exit::Failure, format!("nothing was received from {}", venue.ws_public))
            .why(why)
            .fix("check the address in config/venues/ and the network; record longer than a few seconds"));
    }
    tell(global, args, &venue, &ended);
    Ok(())
}

/// The venue account of the settings, following the instruments that were named.
fn account(global: &Global, args: &TapeRecordArgs) -> Result<VenuePlan, Trouble> {
    let loaded = commands::check::load(global, &[]).map_err(|problems| commands::check::trouble(&problems))?;
    let accounts = &loaded.settings.venue;
    let Some(settings) = accounts.get(args.venue.as_str()) else {
        let known: Vec<&str> = accounts.keys().map(|name| name.as_ref()).collect();
        return Err(Trouble::new(Exit::NotFound, format!("the settings know no venue account `{}`", args.venue))
            .fix(format!("name one of config/venues/: {}", known.join(", "))));
    };
    let mut venue = plan::venue(&args.venue, settings);
    if !args.instruments.is_empty() {
        venue.symbols.clone_from(&args.instruments);
    }
    venue.symbols.dedup();
    if venue.symbols.is_empty() || venue.symbols.len() > INSTRUMENTS_MAX {
        let count = venue.symbols.len();
        return Err(Trouble::new(Exit::Usage, format!("{count} instruments cannot be recorded together"))
            .fix(format!("name 1 to {INSTRUMENTS_MAX} with --instrument")));
    }
    Ok(venue)
}

/// How a recording ended.
struct Ended {
    recorded: Recorded,
    stats: TapeStats,
    seconds: u64,
    /// Connections that were lost.
    reconnects: u64,
    /// Books that were found wrong and asked for again.
    faults: u64,
    /// Why there was no connection, the last time.
    down: Option<String>,
}

async fn record(
    global: &Global,
    args: &TapeRecordArgs,
    venue: &VenuePlan,
    stop: &StopSignal,
) -> Result<Ended, Trouble> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let instruments = instruments(venue, &clock).await?;
    let source = format!("steadfast record {} {:.60}", venue.codecs.capabilities.kind, venue.name);
    let writer = TapeWriter::create(&args.out, &source).map_err(|error| cannot_write(&args.out, &error))?;
    let (handle, events) = WsSession::channel(socket(venue), Arc::clone(&clock), EVENTS_MAX).map_err(|error| {
        Trouble::new(Exit::Settings, format!("the address {} is refused", venue.ws_public)).why(causes(&error))
    })?;
    let feed = FeedState::new(Arc::clone(&venue.codecs.feed), FeedSettings::default(), &instruments);
    let mut session = Session {
        venue,
        handle,
        feed,
        recorder: Recorder::new(writer),
        frame: FeedFrame::default(),
        outputs: Vec::new(),
        reconnects: 0,
        faults: 0,
        down: None,
    };
    term::say(
        global,
        &format!("recording {} of {} to {}; Ctrl-C ends it", venue.symbols.join(", "), venue.name, args.out.display()),
    );
    let begun = clock.mono();
    let over = || stop.is_set() || args.record_for.is_some_and(|limit| clock.mono().since(begun) >= limit);
    let played = session.run(events, clock.as_ref(), over).await;
    // Whatever happened, what was received is put in order first.
    let faults = session.faults + session.feed.take_tally().faults.iter().sum::<u64>();
    let (reconnects, down) = (session.reconnects, session.down.take());
    let (tape, recorded) = session.recorder.into_tape();
    let finished = tape.finish_on_disk();
    played.map_err(|error| cannot_write(&args.out, &error))?;
    let stats = finished.map_err(|error| cannot_write(&args.out, &error))?;
    Ok(Ended { recorded, stats, seconds: clock.mono().since(begun).as_secs(), reconnects, faults, down })
}

/// The instruments with the venue's rules of now.
async fn instruments(venue: &VenuePlan, clock: &Arc<dyn Clock>) -> Result<Vec<FeedInstrument>, Trouble> {
    let unreachable = |why: String| {
        Trouble::new(Exit::Failure, format!("the exchange of `{}` does not answer at {}", venue.name, venue.rest))
            .why(why)
            .fix("check the address in config/venues/ and the network; for the embedded exchange: steadfast sim")
    };
    let config =
        HttpConfig { plaintext: venue.plaintext, answer_patience: venue.rest_timeout, ..HttpConfig::default() };
    let http = HttpClient::new(config, Arc::clone(clock)).map_err(|error| unreachable(causes(&error)))?;
    let all = fetch_instruments(&http, venue.codecs.public.as_ref(), &venue.rest)
        .await
        .map_err(|error| unreachable(causes(&error)))?;
    let mut wanted = Vec::new();
    for (symbol, number) in venue.symbols.iter().zip(0_u16..) {
        let Some(listed) = all.iter().find(|listed| listed.symbol.as_str() == symbol) else {
            let names = all.iter().map(|listed| listed.symbol.as_str()).take(2_000);
            return Err(Trouble::new(Exit::NotFound, format!("`{}` lists no instrument `{symbol}`", venue.name))
                .fix(settings::did_you_mean(symbol, names)));
        };
        let id = InstrumentId(number);
        let version = restore::next_version(id, listed, &restore::Versions::new(), clock.unix());
        let (market, symbol, base, quote) = (listed.market, listed.symbol, listed.base, listed.quote);
        let instrument = Instrument { id, venue: VenueId(0), market, symbol, base, quote, version };
        wanted.push(FeedInstrument { instrument, book: BookSource::Full, trades: true });
    }
    Ok(wanted)
}

fn socket(venue: &VenuePlan) -> WsConfig {
    let (ping, ping_every) = venue.codecs.feed.ping();
    let mut socket = WsConfig::new(venue.ws_public.clone(), Ping::Text { ping: ping.into(), pong: "pong".into() });
    socket.plaintext = venue.plaintext;
    socket.ping_every = ping_every;
    socket
}

/// One recording under way: the feed's own state decides what is asked for, the recorder writes what comes.
struct Session<'a> {
    venue: &'a VenuePlan,
    handle: WsHandle,
    feed: FeedState,
    recorder: Recorder<BufWriter<File>>,
    frame: FeedFrame,
    outputs: Vec<FeedOutput>,
    reconnects: u64,
    faults: u64,
    down: Option<String>,
}

impl Session<'_> {
    async fn run(
        &mut self,
        mut events: Receiver<WsEvent>,
        clock: &dyn Clock,
        over: impl Fn() -> bool,
    ) -> Result<(), TapeError> {
        let mut tick = tokio::time::interval(TICK);
        let mut flushed = clock.mono();
        while !over() {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.on_event(event)?,
                    None => break,
                },
                _ = tick.tick() => {
                    self.feed.on_tick(clock.mono(), &mut self.outputs);
                    self.flush_in_time(clock.mono(), &mut flushed)?;
                }
            }
            self.perform();
        }
        self.handle.close();
        Ok(())
    }

    fn flush_in_time(&mut self, now: MonoNanos, flushed: &mut MonoNanos) -> Result<(), TapeError> {
        if now.since(*flushed) >= FLUSH_EVERY {
            *flushed = now;
            self.recorder.flush()?;
        }
        Ok(())
    }

    fn on_event(&mut self, event: WsEvent) -> Result<(), TapeError> {
        match event {
            WsEvent::Connected { at, .. } => {
                self.down = None;
                self.feed.on_connected(at.mono, &mut self.outputs);
            }
            WsEvent::Disconnected { reason, at, .. } => {
                self.reconnects += u64::from(self.down.is_none());
                self.down = Some(reason.to_string());
                self.feed.on_disconnected(at.mono, &mut self.outputs);
                self.recorder.broken(at.unix)?;
            }
            WsEvent::Text { text, at } => self.on_frame(text.as_bytes(), at)?,
            WsEvent::Binary { bytes, at } => self.on_frame(&bytes, at)?,
            WsEvent::Pong { .. } => {}
        }
        Ok(())
    }

    fn on_frame(&mut self, bytes: &[u8], at: Stamp) -> Result<(), TapeError> {
        // A frame that cannot be read costs its book, which the feed asks for again; the tape gets the next snapshot.
        if self.venue.codecs.feed.decode(bytes, &mut self.frame).is_ok() {
            self.recorder.frame(&self.frame, at.unix)?;
        }
        self.feed.on_frame(bytes, FrameTime { mono: at.mono, unix: at.unix }, &mut self.outputs);
        Ok(())
    }

    fn perform(&mut self) {
        for output in self.outputs.drain(..) {
            match output {
                FeedOutput::Send(text) => {
                    if self.handle.send(text).is_err() && self.handle.connected() {
                        self.handle.reconnect("send_queue_full");
                    }
                }
                FeedOutput::Reconnect(reason) => self.handle.reconnect(reason),
                // The venue's forced end is met by the session's own reconnect: a break on the tape.
                FeedOutput::ClosingSoon | FeedOutput::Top(..) | FeedOutput::Event(_) | FeedOutput::Live(_) => {}
            }
        }
        self.faults += self.feed.take_tally().faults.iter().sum::<u64>();
    }
}

fn tell(global: &Global, args: &TapeRecordArgs, venue: &VenuePlan, ended: &Ended) {
    let Recorded { snapshots, updates, trades, breaks, too_large } = ended.recorded;
    if global.json {
        term::data(
            &serde_json::json!({
                "out": args.out, "venue": venue.name, "instruments": venue.symbols, "seconds": ended.seconds,
                "events": ended.stats.events, "bytes": ended.stats.bytes, "depth_snapshots": snapshots,
                "depth_updates": updates, "trades": trades, "breaks": breaks, "too_large": too_large,
                "reconnects": ended.reconnects, "faults": ended.faults,
            })
            .to_string(),
        );
        return;
    }
    term::data(&format!(
        "{}: {} events in {} s, {} bytes ({snapshots} snapshots, {updates} updates, {trades} trades)",
        args.out.display(),
        ended.stats.events,
        ended.seconds,
        ended.stats.bytes
    ));
    if ended.reconnects > 0 || ended.faults > 0 || too_large > 0 {
        term::data(&format!(
            "{} connections lost, {} books found wrong and asked for again, {too_large} events too large to keep",
            ended.reconnects, ended.faults
        ));
    }
    term::say(global, &format!("next: steadfast tape check {}", args.out.display()));
}
