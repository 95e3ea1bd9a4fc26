//! Keeps asking a venue for its time, and notices when somebody moves our own clock.

use clock::{OffsetSample, VenueOffset};
use domain::{Clock, MonoNanos, UnixNanos, VenueId};
use messages::Control;
use net::{HttpClient, HttpMethod, HttpRequest};
use std::sync::Arc;
use std::time::Duration;
use venue_api::{ListedInstrument, PublicAnswerError, PublicRestCodec};

/// What is known of a venue's time, and when to ask again. Pure.
#[derive(Debug, Default)]
pub(crate) struct VenueTime {
    offset: VenueOffset,
    taken: u32,
    /// When the next question is due.
    due: MonoNanos,
    /// The order path believes that venue time is known.
    known: bool,
}

/// What the order path should hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeNews {
    /// Venue time is known.
    Measured {
        /// Venue time minus own wall time, in nanoseconds.
        offset_ns: i64,
        /// The truth is within this much, in nanoseconds.
        uncertainty_ns: u64,
        /// When it was measured.
        at: MonoNanos,
    },
    /// Venue time is not known any more.
    Lost,
}

impl VenueTime {
    /// Questions right after the start or a jump of the wall clock.
    pub(crate) const QUICK_SAMPLES: u32 = 5;
    /// Between two of these.
    pub(crate) const QUICK_EVERY: Duration = Duration::from_millis(200);
    /// Between two questions later on.
    pub(crate) const EVERY: Duration = Duration::from_secs(10);
    /// Between two looks at our own wall clock.
    pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

    /// How long to wait before the next [`Self::look`]; a question may be due then.
    #[must_use]
    pub(crate) fn wait(&self, now: MonoNanos) -> Duration {
        self.due.since(now).min(Self::LOOK_EVERY)
    }

    /// Whether the venue is to be asked now.
    #[must_use]
    pub(crate) fn is_due(&self, now: MonoNanos) -> bool {
        now >= self.due
    }

    /// Compares our wall clock with the monotonic one.
    pub(crate) fn look(&mut self, unix: UnixNanos, now: MonoNanos) -> Option<TimeNews> {
        if self.offset.look_at_wall(unix, now).is_some() {
            self.taken = 0;
            self.due = now;
            return self.lose();
        }
        self.check(now)
    }

    /// Takes the answer to a question; `None`: there was none that can be used.
    pub(crate) fn answered(&mut self, sample: Option<OffsetSample>, now: MonoNanos) -> Option<TimeNews> {
        self.taken = self.taken.saturating_add(1);
        self.due = now.after(if self.taken < Self::QUICK_SAMPLES { Self::QUICK_EVERY } else { Self::EVERY });
        let taken = sample.is_some_and(|sample| self.offset.add(sample).is_ok());
        if !taken {
            return self.check(now);
        }
        match self.offset.usable(now) {
            Ok(estimate) => {
                self.known = true;
                let uncertainty_ns = u64::try_from(estimate.uncertainty.as_nanos()).unwrap_or(u64::MAX);
                Some(TimeNews::Measured { offset_ns: estimate.offset_ns, uncertainty_ns, at: now })
            }
            Err(_) => self.lose(),
        }
    }

    fn check(&mut self, now: MonoNanos) -> Option<TimeNews> {
        if self.known && self.offset.usable(now).is_err() { self.lose() } else { None }
    }

    fn lose(&mut self) -> Option<TimeNews> {
        std::mem::take(&mut self.known).then_some(TimeNews::Lost)
    }
}

/// Where and how a venue is asked for its time.
pub(crate) struct TimeSource {
    pub(crate) venue: VenueId,
    pub(crate) name: String,
    pub(crate) base_url: String,
    pub(crate) http: HttpClient,
    pub(crate) codec: Arc<dyn PublicRestCodec>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Asks forever.
pub(crate) async fn keep_venue_time(source: TimeSource, control: Arc<dyn Fn(Control) + Send + Sync>) {
    let mut time = VenueTime::default();
    let tell = |news: Option<TimeNews>| {
        let Some(news) = news else { return };
        control(control_of(source.venue, news));
        export(&source.name, news, source.clock.unix());
    };
    loop {
        tell(time.look(source.clock.unix(), source.clock.mono()));
        if time.is_due(source.clock.mono()) {
            let sample = ask(&source).await;
            tell(time.answered(sample, source.clock.mono()));
        }
        tokio::time::sleep(time.wait(source.clock.mono())).await;
    }
}

fn control_of(venue: VenueId, news: TimeNews) -> Control {
    match news {
        TimeNews::Measured { offset_ns, uncertainty_ns, at } => {
            Control::ClockMeasured { venue, offset_ns, uncertainty_ns, at }
        }
        TimeNews::Lost => Control::ClockLost(venue),
    }
}

fn export(name: &str, news: TimeNews, now: UnixNanos) {
    const NANOS_PER_SECOND: f64 = 1e9;
    if let TimeNews::Measured { offset_ns, uncertainty_ns, .. } = news {
        telemetry::clock_skew_seconds(name).set(-(offset_ns as f64) / NANOS_PER_SECOND);
        telemetry::clock_uncertainty_seconds(name).set(uncertainty_ns as f64 / NANOS_PER_SECOND);
        telemetry::clock_sync_timestamp_seconds(name).set((now.0 / 1_000_000_000) as f64);
    }
}

async fn ask(source: &TimeSource) -> Option<OffsetSample> {
    let url = format!("{}{}", source.base_url, source.codec.server_time_target());
    let answer = source.http.send(get(&url)).await.ok()?;
    let received_mono = source.clock.mono();
    let local_unix_at_receipt = source.clock.unix();
    let venue_unix = source.codec.server_time(answer.status, &answer.body).ok()?;
    Some(OffsetSample { sent_mono: answer.timings.asked, received_mono, local_unix_at_receipt, venue_unix })
}

fn get(url: &str) -> HttpRequest<'_> {
    HttpRequest { method: HttpMethod::Get, url, headers: &[], body: net::Bytes::new(), send_by: None }
}

/// Why the list of instruments could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstrumentsError {
    /// There was no answer.
    #[error(transparent)]
    Http(#[from] net::HttpFailure),
    /// The answer is not a list.
    #[error(transparent)]
    Answer(#[from] PublicAnswerError),
}

/// HTTP status for an address that is not there.
const NOT_THERE: u16 = 404;

/// Fetches the trading rules of all instruments that a venue lists; `base_url` without a trailing slash. A kind of
/// product that the venue does not have costs nothing but itself.
///
/// # Errors
/// [`InstrumentsError`]; asking again is harmless.
pub async fn fetch_instruments(
    http: &HttpClient,
    codec: &dyn PublicRestCodec,
    base_url: &str,
) -> Result<Vec<ListedInstrument>, InstrumentsError> {
    let mut listed = Vec::new();
    for (nth, target) in codec.instruments_targets().iter().enumerate() {
        let url = format!("{base_url}{target}");
        let answer = http.send(get(&url)).await?;
        if nth > 0 && answer.status == NOT_THERE {
            continue;
        }
        listed.extend(codec.instruments(answer.status, &answer.body)?);
    }
    Ok(listed)
}

/// Fetches the last prices of all instruments; empty where the venue has no such list.
///
/// # Errors
/// [`InstrumentsError`]; asking again is harmless.
pub async fn fetch_prices(
    http: &HttpClient,
    codec: &dyn PublicRestCodec,
    base_url: &str,
) -> Result<Vec<(domain::Symbol, domain::Scaled)>, InstrumentsError> {
    let mut prices = Vec::new();
    for (nth, target) in codec.prices_targets().iter().enumerate() {
        let url = format!("{base_url}{target}");
        let answer = http.send(get(&url)).await?;
        if nth > 0 && answer.status == NOT_THERE {
            continue;
        }
        prices.extend(codec.prices(answer.status, &answer.body)?);
    }
    Ok(prices)
}

/// Fetches the venue's time once; for `doctor` and the first line of a key's verification.
///
/// # Errors
/// [`InstrumentsError`] in the same two ways.
pub async fn fetch_offset(
    http: &HttpClient,
    codec: &dyn PublicRestCodec,
    base_url: &str,
    clock: &dyn Clock,
) -> Result<OffsetSample, InstrumentsError> {
    let url = format!("{base_url}{}", codec.server_time_target());
    let answer = http.send(get(&url)).await?;
    let (received_mono, local_unix_at_receipt) = (clock.mono(), clock.unix());
    let venue_unix = codec.server_time(answer.status, &answer.body)?;
    Ok(OffsetSample { sent_mono: answer.timings.asked, received_mono, local_unix_at_receipt, venue_unix })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: u64 = 1_700_000_000_000_000_000;

    fn mono(ms: u64) -> MonoNanos {
        MonoNanos(ms * 1_000_000)
    }

    fn sample(at_ms: u64) -> OffsetSample {
        OffsetSample {
            sent_mono: mono(at_ms),
            received_mono: mono(at_ms + 20),
            local_unix_at_receipt: UnixNanos(WALL).shifted((at_ms as i64 + 20) * 1_000_000),
            venue_unix: UnixNanos(WALL).shifted((at_ms as i64 + 510) * 1_000_000),
        }
    }

    #[test]
    fn first_questions_come_quickly_and_later_ones_every_ten_seconds() {
        let mut time = VenueTime::default();
        assert!(time.is_due(mono(0)), "at once");
        let mut now_ms = 0;
        let mut gaps = Vec::new();
        for _ in 0..8 {
            time.answered(Some(sample(now_ms)), mono(now_ms + 20));
            let mut waited = Duration::ZERO;
            while !time.is_due(mono(now_ms + 20).after(waited)) {
                let step = time.wait(mono(now_ms + 20).after(waited));
                assert!(step <= VenueTime::LOOK_EVERY && step > Duration::ZERO);
                waited += step;
            }
            gaps.push(waited.as_millis());
            now_ms += 20 + u64::try_from(waited.as_millis()).unwrap();
        }
        assert_eq!(gaps, [200, 200, 200, 200, 10_000, 10_000, 10_000, 10_000]);
    }

    #[test]
    fn each_good_answer_is_told_with_offset_and_uncertainty() {
        let mut time = VenueTime::default();
        let news = time.answered(Some(sample(0)), mono(20)).unwrap();
        assert_eq!(news, TimeNews::Measured { offset_ns: 500_000_000, uncertainty_ns: 10_000_000, at: mono(20) });
        assert_eq!(control_of(VenueId(3), TimeNews::Lost), Control::ClockLost(VenueId(3)));
    }

    #[test]
    fn unanswered_questions_say_nothing_until_the_last_answer_is_too_old() {
        let mut time = VenueTime::default();
        assert_eq!(time.answered(None, mono(0)), None, "nothing was known, nothing is lost");
        time.answered(Some(sample(0)), mono(20)).unwrap();
        assert_eq!(time.answered(None, mono(10_000)), None);
        // Two poor crystals part by 100 ppm: 490 ms take 4 900 s.
        assert_eq!(time.answered(None, mono(4_000_000)), None);
        assert_eq!(time.answered(None, mono(5_000_000)), Some(TimeNews::Lost));
        assert_eq!(time.answered(None, mono(5_010_000)), None, "told once");
    }

    #[test]
    fn jump_of_the_wall_clock_is_told_and_measured_anew_at_once() {
        let mut time = VenueTime::default();
        time.look(UnixNanos(WALL), mono(0));
        for index in 0..6 {
            time.answered(Some(sample(index * 200)), mono(index * 200 + 20));
        }
        assert!(!time.is_due(mono(2_000)));
        assert_eq!(time.look(UnixNanos(WALL).shifted(2_000_000_000), mono(2_000)), None, "it kept pace");
        assert_eq!(time.look(UnixNanos(WALL).shifted(63_000_000_000), mono(3_000)), Some(TimeNews::Lost));
        assert!(time.is_due(mono(3_000)));
        let news = time.answered(Some(sample(3_000)), mono(3_020));
        assert!(matches!(news, Some(TimeNews::Measured { .. })));
        assert!(time.is_due(mono(3_220)), "quick again");
    }
}
