//! When order path, gateway or journal has died: cancels everything through a signer and connections of its own.
//!
//! The thread and its signers exist from the start, so that nothing has to be unlocked when it matters. Its
//! signers can only cancel and ask; nothing can widen them.

use crate::report::{Exit, Trouble};
use domain::{Clock, Symbol, VenueId};
use messages::SignIntent;
use net::{HttpClient, HttpConfig, HttpMethod, HttpRequest, Plaintext};
use signing::SignerPort;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use venue_api::{ActAnswer, RestCodec};

/// Tries for each instrument.
const TRIES: u32 = 3;
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// The outcome for an instrument on which nothing of ours rests any more.
const CANCELLED: &str = "cancelled";
/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// One venue account.
pub struct EmergencyVenue {
    /// Its number.
    pub id: VenueId,
    /// Its name.
    pub name: String,
    /// REST base URL.
    pub rest: String,
    /// Plain text to loopback, or never.
    pub plaintext: Plaintext,
    /// Its instruments.
    pub symbols: Vec<Symbol>,
    /// A signer that only cancels.
    pub signer: Box<dyn SignerPort>,
    /// Reads answers.
    pub codec: Arc<dyn RestCodec>,
}

/// The waiting thread.
pub struct Emergency {
    call: SyncSender<Call>,
    thread: Option<JoinHandle<()>>,
}

enum Call {
    Cancel(SyncSender<Vec<String>>),
    Offset(VenueId, i64),
}

impl Emergency {
    /// Starts the thread; it sleeps until it is called.
    ///
    /// # Errors
    /// [`Trouble`] when the system gives no thread.
    pub fn start(venues: Vec<EmergencyVenue>, clock: Arc<dyn Clock>) -> Result<Self, Trouble> {
        let (call, calls) = sync_channel(8);
        let thread = std::thread::Builder::new()
            .name("emergency".to_owned())
            .spawn(move || wait(venues, &clock, &calls))
            .map_err(|error| Trouble::new(Exit::Failure, "no thread for emergencies").why(error))?;
        Ok(Self { call, thread: Some(thread) })
    }

    /// Keeps the signer of a venue account on its venue's time; never waits.
    pub fn set_clock_offset(&self, venue: VenueId, offset_ns: i64) {
        let _ = self.call.try_send(Call::Offset(venue, offset_ns));
    }

    /// Cancels everything now and says what came of it, a line for each instrument.
    #[must_use]
    pub fn cancel_everything(&self, patience: Duration) -> Vec<String> {
        let (told, telling) = sync_channel(1);
        if self.call.send(Call::Cancel(told)).is_err() {
            return vec!["the emergency thread is gone: cancel by hand at the exchange".to_owned()];
        }
        telling
            .recv_timeout(patience)
            .unwrap_or_else(|_| vec!["the exchange did not answer in time: look at what rests there".to_owned()])
    }
}

impl Emergency {
    /// Whether the lines of [`Self::cancel_everything`] say that nothing is left.
    #[must_use]
    pub fn all_cancelled(lines: &[String]) -> bool {
        lines.iter().all(|line| line.ends_with(CANCELLED))
    }
}

impl Drop for Emergency {
    fn drop(&mut self) {
        let (unused, _) = sync_channel(1);
        let call = std::mem::replace(&mut self.call, unused);
        drop(call);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn wait(mut venues: Vec<EmergencyVenue>, clock: &Arc<dyn Clock>, calls: &Receiver<Call>) {
    while let Ok(call) = calls.recv() {
        fail_point::step("emergency");
        match call {
            Call::Offset(id, offset_ns) => {
                for venue in venues.iter_mut().filter(|venue| venue.id == id) {
                    // Cancels are stamped with the last good offset whatever this says.
                    let _ = venue.signer.set_clock_offset(offset_ns);
                }
            }
            Call::Cancel(told) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let lines = match runtime {
                    Ok(runtime) => tokio::task::LocalSet::new().block_on(&runtime, cancel_all(&mut venues, clock)),
                    Err(error) => vec![format!("no runtime for cancelling: {error}")],
                };
                let _ = told.send(lines);
            }
        }
    }
}

async fn cancel_all(venues: &mut [EmergencyVenue], clock: &Arc<dyn Clock>) -> Vec<String> {
    let mut lines = Vec::new();
    for venue in venues {
        let config = HttpConfig { plaintext: venue.plaintext, answer_patience: ANSWER_MAX, ..HttpConfig::default() };
        let Ok(http) = HttpClient::new(config, Arc::clone(clock)) else {
            lines.push(format!("{}: no HTTP client", venue.name));
            continue;
        };
        for symbol in venue.symbols.clone() {
            let mut outcome = "not tried".to_owned();
            for _ in 0..TRIES {
                match cancel(venue, &http, symbol).await {
                    Ok(()) => {
                        outcome = CANCELLED.to_owned();
                        break;
                    }
                    Err(cause) => outcome = cause,
                }
                tokio::time::sleep(PAUSE).await;
            }
            lines.push(format!("{} {symbol}: {outcome}", venue.name));
        }
    }
    lines
}

async fn cancel(venue: &mut EmergencyVenue, http: &HttpClient, symbol: Symbol) -> Result<(), String> {
    let intent = SignIntent::CancelAll { symbol };
    let request = venue.signer.sign(&intent).map_err(|refusal| refusal.to_string())?;
    let url = format!("{}{}", venue.rest, request.target());
    let headers: Vec<(&str, &str)> = request.headers().collect();
    let body = net::Bytes::copy_from_slice(request.body());
    let sent = HttpRequest { method: HttpMethod::Post, url: &url, headers: &headers, body, send_by: None };
    let answer = http.send(sent).await.map_err(|failure| failure.to_string())?;
    match venue.codec.act_answer(&intent, answer.status, &answer.body) {
        ActAnswer::Done | ActAnswer::Accepted(_) => Ok(()),
        ActAnswer::Failed(error) => Err(format!("{} {}", error.code, error.text)),
        ActAnswer::Unclear => Err("unclear answer".to_owned()),
    }
}
