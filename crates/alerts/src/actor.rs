//! The shell around [`Gate`]: bounded queues in, posts out, on one thread with a runtime of its own.

use crate::address::WebhookUrl;
use crate::core::{Gate, Verdict, Wishes};
use crate::event::{Alert, Event, Severity};
use crate::message::{Before, Message, Origin};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use domain::{Clock, UnixNanos};
use net::{HttpClient, HttpConfig, HttpMethod, HttpRequest, HttpSetupError, Plaintext};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Messages that may wait for one channel: an hour's worth at three times the usual rate limit.
const QUEUE_MAX: usize = 64;
/// Attempts per message.
const ATTEMPTS_MAX: usize = 4;
/// How long one attempt may take.
const ATTEMPT_PATIENCE: Duration = Duration::from_secs(5);
/// The first pause between attempts; each further one is twice as long, with jitter.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// The longest pause between attempts.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read; nobody looks at them.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// The label of webhooks in the metrics.
const WEBHOOK: &str = "webhook";

/// One place where messages go.
pub struct Channel {
    /// Its address.
    pub url: WebhookUrl,
    /// The least severity that is sent.
    pub min_severity: Severity,
    /// Events switched on (`true`) or off whatever their severity.
    pub switches: BTreeMap<Event, bool>,
    /// The most messages in `rate_per`, at least 1.
    pub rate_count: u32,
    /// The span that `rate_count` is about.
    pub rate_per: Duration,
    /// Whether messages may hold amounts of money.
    pub include_money: bool,
}

/// Why no messages can be sent.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No HTTP client.
    #[error("messages to people cannot be sent")]
    Client(#[from] HttpSetupError),
    /// No thread or runtime.
    #[error("the thread of the messages to people cannot be started")]
    Thread(#[source] std::io::Error),
}

enum Job {
    Tell(Box<Alert>, UnixNanos),
    Flush(SyncSender<()>),
}

/// The posting end. Clones share the channels; when all are dropped, the thread ends after what was accepted.
#[derive(Clone)]
pub struct Alerts {
    queues: Arc<[Sender<Job>]>,
    clock: Arc<dyn Clock>,
    /// Kept so that a thread is never orphaned silently; not joined, because a hanging webhook must not hold the exit.
    _thread: Arc<Option<JoinHandle<()>>>,
}

/// Starts one thread for all channels. Without a channel, alerts are accepted and nothing happens.
///
/// # Errors
/// [`StartError`].
pub fn start(channels: Vec<Channel>, origin: Origin, clock: Arc<dyn Clock>) -> Result<Alerts, StartError> {
    let config = HttpConfig {
        plaintext: Plaintext::Loopback,
        connect_patience: ATTEMPT_PATIENCE,
        answer_patience: ATTEMPT_PATIENCE,
        idle_connections: 1,
        answer_bytes_max: ANSWER_BYTES_MAX,
        kept_headers: &[],
        unix_socket: None,
    };
    let client = HttpClient::new(config, Arc::clone(&clock))?;
    let origin = Arc::new(origin);
    let mut queues = Vec::with_capacity(channels.len());
    let mut posts = Vec::with_capacity(channels.len());
    for channel_settings in channels {
        let (queue, jobs) = channel(QUEUE_MAX);
        queues.push(queue);
        let Channel { url, min_severity, switches, rate_count, rate_per, include_money } = channel_settings;
        let gate = Gate::new(Wishes { min_severity, switches, rate_count, rate_per });
        let (client, origin, clock) = (client.clone(), Arc::clone(&origin), Arc::clone(&clock));
        posts.push((Post { url, gate, include_money, client, origin, clock }, jobs));
    }
    let mut thread = None;
    if !posts.is_empty() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
        let live = move || {
            runtime.block_on(async {
                let tasks: Vec<_> = posts.into_iter().map(|(post, jobs)| tokio::spawn(post.live(jobs))).collect();
                for task in tasks {
                    if task.await.is_err() {
                        tracing::error!("a channel of messages to people has failed");
                    }
                }
            });
        };
        thread = Some(std::thread::Builder::new().name("alerts".to_owned()).spawn(live).map_err(StartError::Thread)?);
    }
    Ok(Alerts { queues: queues.into(), clock, _thread: Arc::new(thread) })
}

impl Alerts {
    /// Hands an alert to every channel; never waits. What finds no room is dropped and counted.
    pub fn tell(&self, alert: &Alert) {
        let at = self.clock.unix();
        for queue in self.queues.iter() {
            if queue.try_send(Job::Tell(Box::new(alert.clone()), at)).is_err() {
                count("dropped");
                tracing::warn!(event = alert.event.word(), "no room for a message to people");
            }
        }
    }

    /// Waits until everything that was told before is sent or given up, at most `patience` in all. Whether it is.
    /// Blocks; for the end of the program.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        let deadline = self.clock.mono().after(patience);
        let mut waiting = Vec::with_capacity(self.queues.len());
        for queue in self.queues.iter() {
            let (done, told) = sync_channel(1);
            let mut job = Job::Flush(done);
            // A full queue has room again as soon as one message is through.
            loop {
                match queue.try_send(job) {
                    Ok(()) => break waiting.push(told),
                    Err(tokio::sync::mpsc::error::TrySendError::Closed(_)) => break,
                    Err(tokio::sync::mpsc::error::TrySendError::Full(back)) => {
                        if deadline.since(self.clock.mono()).is_zero() {
                            return false;
                        }
                        job = back;
                        std::thread::sleep(Duration::from_millis(10));
                    }
                }
            }
        }
        let mut all = waiting.len() == self.queues.len();
        for told in waiting {
            match told.recv_timeout(deadline.since(self.clock.mono())) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => all = false,
            }
        }
        all
    }
}

struct Post {
    url: WebhookUrl,
    gate: Gate,
    include_money: bool,
    client: HttpClient,
    origin: Arc<Origin>,
    clock: Arc<dyn Clock>,
}

impl Post {
    async fn live(mut self, mut jobs: Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            fail_point::step("alerts");
            match job {
                Job::Tell(alert, at) => self.tell(&alert, at).await,
                // Nobody waits any more if this fails.
                Job::Flush(done) => drop(done.try_send(())),
            }
        }
    }

    async fn tell(&mut self, alert: &Alert, at: UnixNanos) {
        match self.gate.decide(alert.event, alert.account.as_deref(), self.clock.mono()) {
            Verdict::Unwanted => {}
            Verdict::Repeated => count("repeated"),
            Verdict::TooMany => count("rate_limited"),
            Verdict::Send { repeated, left_out } => {
                let before = Before { repeated, left_out };
                let message = Message::new(alert, at, &self.origin, self.include_money, before);
                let sent = self.send(&message).await;
                count(if sent { "ok" } else { "failed" });
            }
        }
    }

    /// Posts a message, again after a pause if it may help. The id is the same each time, so a receiver that got the
    /// first one can tell.
    async fn send(&self, message: &Message) -> bool {
        // Plain strings and numbers; cannot fail.
        let body: net::Bytes = serde_json::to_vec(message).unwrap_or_default().into();
        let pauses = ExponentialBuilder::default()
            .with_min_delay(PAUSE_MIN)
            .with_max_delay(PAUSE_MAX)
            .with_max_times(ATTEMPTS_MAX - 1)
            .with_jitter();
        let mut pauses = pauses.build();
        for attempt in 1_u32.. {
            let refusal = match self.post(body.clone()).await {
                Posted::Taken => return true,
                Posted::Failed(why) => why,
                Posted::Refused(status) => {
                    tracing::warn!(event = message.event, status, "a message to people was not taken");
                    return false;
                }
            };
            // The reason's kind only: a library's text could hold a part of the address.
            tracing::warn!(event = message.event, attempt, why = refusal, "a message to people was not sent");
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return false,
            }
        }
        false
    }

    async fn post(&self, body: net::Bytes) -> Posted {
        let request = HttpRequest {
            method: HttpMethod::Post,
            url: self.url.expose(),
            headers: &[("content-type", "application/json"), ("user-agent", "steadfast")],
            body,
            send_by: None,
        };
        match self.client.send(request).await {
            Ok(answer) => match answer.status {
                200..=299 => Posted::Taken,
                408 | 425 | 429 | 500..=599 => Posted::Failed("the receiver asks for another time"),
                status => Posted::Refused(status),
            },
            Err(net::HttpFailure::NotSent(_)) => Posted::Failed("not connected"),
            Err(net::HttpFailure::OutcomeUnknown(_)) => Posted::Failed("no answer"),
        }
    }
}

enum Posted {
    Taken,
    /// It may be taken later.
    Failed(&'static str),
    /// It will not be taken; a redirect counts as this.
    Refused(u16),
}

fn count(result: &'static str) {
    telemetry::notifications_total(WEBHOOK, result).increment(1);
}
