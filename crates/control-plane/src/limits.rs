//! Every bound of the control plane, with its reason.

use std::num::NonZeroU32;
use std::time::Duration;

/// Open connections; a browser uses six, Prometheus one. More wait in the backlog.
pub(crate) const CONNECTIONS_MAX: usize = 256;
/// Open connections of one address; a browser uses six. The Unix socket is not counted.
pub(crate) const CONNECTIONS_PER_ADDRESS_MAX: usize = 16;
/// Connections that wait to be accepted.
pub(crate) const BACKLOG: u32 = 64;
/// Live streams; each costs a task and at most some 32 frames of memory. Fewer than the connections of one address, so
/// that open pages cannot keep their own machine's halt out.
pub(crate) const STREAMS_MAX: usize = 12;
/// Threads for calls that may block, so that reading orders cannot keep a halt from being taken.
pub(crate) const BLOCKING_THREADS: usize = 8;
/// Bytes of all header names and values of one request.
pub(crate) const HEADER_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a request's body.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one frame that a stream's client may send.
pub(crate) const STREAM_FRAME_BYTES_MAX: usize = 64 * 1024;
/// Characters of an operator's reason; it stands in the journal and in one line of the terminal.
pub(crate) const REASON_CHARS_MAX: usize = 256;
/// How long a request's head may take to arrive.
pub(crate) const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// How long a request's body may take to arrive.
pub(crate) const BODY_PATIENCE: Duration = Duration::from_secs(5);
/// How long an idle connection is kept; longer than the usual scrape interval.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long an answer may take to be made; a halt is confirmed within this or the caller is told that it is not known.
pub(crate) const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How long one frame may take to be accepted by a stream's client.
pub(crate) const FRAME_PATIENCE: Duration = Duration::from_secs(10);
/// Between two frames of a stream: four a second.
pub(crate) const FRAME_INTERVAL: Duration = Duration::from_millis(250);
/// Between two pings of a stream.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(15);
/// A stream whose client was not heard of for this long is closed.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Between two rounds of taking the metrics' samples in; without it memory grows until the next scrape.
pub(crate) const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How long open connections may finish at the end, in seconds.
pub(crate) const STOP_PATIENCE_SECONDS: u64 = 1;
/// How long a TLS handshake may take.
pub(crate) const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(5);
/// Requests a second of one address in the long run.
pub(crate) const REQUESTS_PER_ADDRESS: NonZeroU32 = NonZeroU32::new(64).unwrap();
/// Requests of one address at once.
pub(crate) const BURST_PER_ADDRESS: NonZeroU32 = NonZeroU32::new(256).unwrap();
/// Requests a second of one API key in the long run.
pub(crate) const REQUESTS_PER_KEY: NonZeroU32 = NonZeroU32::new(32).unwrap();
/// Requests of one API key at once.
pub(crate) const BURST_PER_KEY: NonZeroU32 = NonZeroU32::new(128).unwrap();
/// Addresses and keys whose rates are remembered; beyond that the fully recovered ones are forgotten.
pub(crate) const RATES_MAX: usize = 4_096;
/// Wrong credentials of an address before it has to wait.
pub(crate) const FAILURES_FREE: u32 = 5;
/// The first wait of an address after wrong credentials; each further one doubles it.
pub(crate) const FAILURE_DELAY: Duration = Duration::from_secs(1);
/// The longest such wait.
pub(crate) const FAILURE_DELAY_MAX: Duration = Duration::from_secs(300);
/// After this long without wrong credentials an address starts anew.
pub(crate) const FAILURES_FORGOTTEN: Duration = Duration::from_secs(900);
/// Addresses with wrong credentials that are remembered; beyond that the one quiet for longest is forgotten.
pub(crate) const FAILURES_MAX: usize = 1_024;
/// Answers remembered for the repetition of a request.
pub(crate) const REPEATS_MAX: usize = 256;
/// How long they are remembered.
pub(crate) const REPEATS_KEPT: Duration = Duration::from_secs(3_600);
/// Characters of an idempotency key.
pub(crate) const IDEMPOTENCY_KEY_MAX: usize = 64;
/// Characters of a one-time or recovery code, blanks included.
pub(crate) const CODE_CHARS_MAX: usize = 32;
/// Entries of a page when the caller does not say.
pub(crate) const PAGE_DEFAULT: usize = 100;
/// Entries of a page at most.
pub(crate) const PAGE_MAX: usize = 500;
/// Orders in one frame of the stream.
pub(crate) const FRAME_ORDERS: usize = 50;
/// Fills in one frame of the stream.
pub(crate) const FRAME_FILLS: usize = 20;
/// Points of the equity curve at most; about the width of a page in pixels.
pub(crate) const EQUITY_POINTS_MAX: usize = 1_000;
