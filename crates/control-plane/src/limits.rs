//! Every bound of the control plane, with its reason.

use std::time::Duration;

/// Open connections; a browser uses six, Prometheus one. More wait in the backlog.
pub(crate) const CONNECTIONS_MAX: usize = 256;
/// Connections that wait to be accepted.
pub(crate) const BACKLOG: u32 = 64;
/// Live streams; each costs a task and at most some 32 frames of memory.
pub(crate) const STREAMS_MAX: usize = 16;
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
/// Wrong tokens a second that are answered with 401; further ones with 429. The right token always passes.
pub(crate) const WRONG_TOKENS_PER_SECOND: std::num::NonZeroU32 = std::num::NonZeroU32::new(5).unwrap();
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
