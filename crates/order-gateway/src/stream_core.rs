//! The private stream as a state machine: log in, subscribe, be live, notice when it is not. Pure.
//!
//! Invariant: the stream counts as live only between the acknowledgement of its last channel and the first
//! doubt about its connection.

use domain::MonoNanos;
use messages::{QueryId, ReportBody, VenueError};
use std::time::Duration;
use venue_api::{FrameError, PrivateFrame};

/// What the shell is to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StreamAct {
    /// Ask the order path for a signed log-in frame under this number.
    AskLogin(QueryId),
    /// Send the frames that subscribe.
    Subscribe,
    /// Tell the order path whether pushes arrive.
    Live(bool),
    /// Hand these to the order path.
    Report(Vec<ReportBody>),
    /// Give up the connection and make a new one.
    Reconnect(&'static str),
    /// The venue refused the log-in; for people, and for the key manager.
    LoginFailed(VenueError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Down,
    WaitingForSignature { query: QueryId, since: MonoNanos },
    LoggingIn { since: MonoNanos },
    Subscribing { since: MonoNanos, missing: Vec<&'static str> },
    Live,
}

/// One venue's private stream.
#[derive(Debug)]
pub(crate) struct StreamCore {
    channels: &'static [&'static str],
    phase: Phase,
    next_query: u64,
    told_live: bool,
}

impl StreamCore {
    /// Longest wait for a signature before it is asked for again.
    pub(crate) const SIGNATURE_PATIENCE: Duration = Duration::from_secs(2);
    /// Longest wait for the answer to a log-in, and for the acknowledgement of all channels.
    pub(crate) const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

    /// Not connected. `channels` must be acknowledged before the stream counts as live.
    #[must_use]
    pub(crate) fn new(channels: &'static [&'static str]) -> Self {
        Self { channels, phase: Phase::Down, next_query: 1, told_live: false }
    }

    /// A stream on a connection of its own that is to take this one's place; its questions have other numbers.
    #[must_use]
    pub(crate) fn successor(&self, channels: &'static [&'static str]) -> Self {
        let next_query = self.next_query.saturating_add(Self::NUMBERS_APART);
        Self { channels, phase: Phase::Down, next_query, told_live: false }
    }

    /// Questions that a stream may ask before its numbers could meet those of its successor.
    const NUMBERS_APART: u64 = 1_000_000;

    /// Whether the order path has been told that pushes arrive.
    #[must_use]
    pub(crate) const fn told_live(&self) -> bool {
        self.told_live
    }

    /// Whether pushes arrive.
    #[cfg(test)]
    fn live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// A new connection: nothing is subscribed on it.
    pub(crate) fn connected(&mut self, now: MonoNanos) -> Vec<StreamAct> {
        let mut acts = self.fall();
        acts.push(self.ask(now));
        acts
    }

    /// The connection is gone.
    pub(crate) fn disconnected(&mut self) -> Vec<StreamAct> {
        self.phase = Phase::Down;
        self.fall()
    }

    /// A signed log-in frame came. Whether it is the one that is waited for; then it must be sent now.
    pub(crate) fn signed(&mut self, query: QueryId, now: MonoNanos) -> bool {
        let awaited = matches!(self.phase, Phase::WaitingForSignature { query: ours, .. } if ours == query);
        if awaited {
            self.phase = Phase::LoggingIn { since: now };
        }
        awaited
    }

    /// A frame, as the codec read it.
    pub(crate) fn frame(&mut self, frame: Result<PrivateFrame, FrameError>, now: MonoNanos) -> Vec<StreamAct> {
        match frame {
            Ok(PrivateFrame::Ignored | PrivateFrame::Pong) => Vec::new(),
            Ok(PrivateFrame::Reports(reports)) => vec![StreamAct::Report(reports)],
            Ok(PrivateFrame::LoggedIn) => self.logged_in(now),
            Ok(PrivateFrame::LoginFailed(error)) => self.give_up("log-in refused", Some(error)),
            Ok(PrivateFrame::Subscribed(channel)) => self.subscribed(channel),
            // What the error is about is not known for sure: only a fresh stream is.
            Ok(PrivateFrame::Error(error)) if matches!(self.phase, Phase::LoggingIn { .. }) => {
                self.give_up("log-in refused", Some(error))
            }
            Ok(PrivateFrame::Error(_)) => self.give_up("error frame", None),
            // An order or fill may have been in it: a new connection makes the order path ask for both.
            Err(_) => self.give_up("unreadable frame", None),
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: MonoNanos) -> Vec<StreamAct> {
        match self.phase {
            Phase::WaitingForSignature { since, .. } if now.since(since) >= Self::SIGNATURE_PATIENCE => {
                vec![self.ask(now)]
            }
            Phase::LoggingIn { since } if now.since(since) >= Self::ANSWER_PATIENCE => {
                self.give_up("no answer to the log-in", None)
            }
            Phase::Subscribing { since, .. } if now.since(since) >= Self::ANSWER_PATIENCE => {
                self.give_up("a channel was not acknowledged", None)
            }
            _ => Vec::new(),
        }
    }

    fn ask(&mut self, now: MonoNanos) -> StreamAct {
        let query = QueryId(self.next_query);
        self.next_query += 1;
        self.phase = Phase::WaitingForSignature { query, since: now };
        StreamAct::AskLogin(query)
    }

    fn logged_in(&mut self, now: MonoNanos) -> Vec<StreamAct> {
        if !matches!(self.phase, Phase::LoggingIn { .. }) {
            return Vec::new();
        }
        self.phase = Phase::Subscribing { since: now, missing: self.channels.to_vec() };
        let mut acts = vec![StreamAct::Subscribe];
        acts.extend(self.rise_if_complete());
        acts
    }

    fn subscribed(&mut self, channel: &str) -> Vec<StreamAct> {
        if let Phase::Subscribing { missing, .. } = &mut self.phase {
            missing.retain(|wanted| *wanted != channel);
        }
        self.rise_if_complete().into_iter().collect()
    }

    fn rise_if_complete(&mut self) -> Option<StreamAct> {
        let complete = matches!(&self.phase, Phase::Subscribing { missing, .. } if missing.is_empty());
        complete.then(|| {
            self.phase = Phase::Live;
            self.told_live = true;
            StreamAct::Live(true)
        })
    }

    fn fall(&mut self) -> Vec<StreamAct> {
        if std::mem::take(&mut self.told_live) { vec![StreamAct::Live(false)] } else { Vec::new() }
    }

    fn give_up(&mut self, why: &'static str, login: Option<VenueError>) -> Vec<StreamAct> {
        self.phase = Phase::Down;
        let mut acts = self.fall();
        acts.extend(login.map(StreamAct::LoginFailed));
        acts.push(StreamAct::Reconnect(why));
        acts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::{VenueErrorClass, VenueReason};

    const CHANNELS: &[&str] = &["orders", "fill", "account"];

    fn at(seconds: u64) -> MonoNanos {
        MonoNanos(seconds * 1_000_000_000)
    }

    fn error() -> VenueError {
        VenueError {
            code: arrayvec::ArrayString::from("30005").unwrap(),
            class: VenueErrorClass::Fatal,
            reason: VenueReason::Signature,
            text: arrayvec::ArrayString::new(),
        }
    }

    fn logged_in() -> StreamCore {
        let mut core = StreamCore::new(CHANNELS);
        assert_eq!(core.connected(at(1)), [StreamAct::AskLogin(QueryId(1))]);
        assert!(core.signed(QueryId(1), at(1)));
        assert_eq!(core.frame(Ok(PrivateFrame::LoggedIn), at(1)), [StreamAct::Subscribe]);
        core
    }

    fn live() -> StreamCore {
        let mut core = logged_in();
        for channel in CHANNELS {
            core.frame(Ok(PrivateFrame::Subscribed(channel)), at(2));
        }
        assert!(core.live());
        core
    }

    #[test]
    fn stream_is_live_when_every_channel_is_acknowledged_and_not_before() {
        let mut core = logged_in();
        assert_eq!(core.frame(Ok(PrivateFrame::Subscribed("orders")), at(2)), []);
        assert_eq!(core.frame(Ok(PrivateFrame::Subscribed("orders")), at(2)), [], "once more for another instrument");
        assert_eq!(core.frame(Ok(PrivateFrame::Subscribed("fill")), at(2)), []);
        assert!(!core.live());
        assert_eq!(core.frame(Ok(PrivateFrame::Subscribed("account")), at(2)), [StreamAct::Live(true)]);
        assert_eq!(core.frame(Ok(PrivateFrame::Subscribed("account")), at(2)), [], "told once");
    }

    #[test]
    fn lost_connection_is_told_once_and_everything_begins_anew() {
        let mut core = live();
        assert_eq!(core.disconnected(), [StreamAct::Live(false)]);
        assert_eq!(core.disconnected(), []);
        assert_eq!(core.connected(at(9)), [StreamAct::AskLogin(QueryId(2))]);
        assert!(!core.signed(QueryId(1), at(9)), "a late signature of the old connection is not sent");
        assert!(core.signed(QueryId(2), at(9)));
    }

    #[test]
    fn reports_pass_in_every_phase() {
        let reports = vec![ReportBody::RateLimited { group: messages::EndpointGroup::Place, wait: Duration::ZERO }];
        for mut core in [StreamCore::new(CHANNELS), logged_in(), live()] {
            let acts = core.frame(Ok(PrivateFrame::Reports(reports.clone())), at(3));
            assert_eq!(acts, [StreamAct::Report(reports.clone())]);
        }
    }

    #[test]
    fn missing_signature_is_asked_for_again_under_another_number() {
        let mut core = StreamCore::new(CHANNELS);
        core.connected(at(1));
        assert_eq!(core.tick(at(2)), []);
        assert_eq!(core.tick(at(3)), [StreamAct::AskLogin(QueryId(2))]);
        assert!(!core.signed(QueryId(1), at(3)));
    }

    #[test]
    fn silence_after_the_login_or_a_subscription_makes_a_new_connection() {
        let mut core = StreamCore::new(CHANNELS);
        core.connected(at(1));
        core.signed(QueryId(1), at(1));
        assert_eq!(core.tick(at(10)), []);
        assert_eq!(core.tick(at(11)), [StreamAct::Reconnect("no answer to the log-in")]);

        let mut core = logged_in();
        core.frame(Ok(PrivateFrame::Subscribed("orders")), at(5));
        assert_eq!(core.tick(at(10)), []);
        assert_eq!(core.tick(at(11)), [StreamAct::Reconnect("a channel was not acknowledged")]);
        assert_eq!(core.tick(at(99)), [], "once; the shell reconnects");
        assert_eq!(live().tick(at(9_999)), [], "a quiet account is no fault");
    }

    #[test]
    fn refused_login_is_told_with_the_venues_error() {
        for frame in [PrivateFrame::LoginFailed(error()), PrivateFrame::Error(error())] {
            let mut core = StreamCore::new(CHANNELS);
            core.connected(at(1));
            core.signed(QueryId(1), at(1));
            let acts = core.frame(Ok(frame), at(1));
            assert_eq!(acts, [StreamAct::LoginFailed(error()), StreamAct::Reconnect("log-in refused")]);
        }
    }

    #[test]
    fn frame_that_cannot_be_read_makes_the_stream_count_as_down() {
        let acts = live().frame(Err(FrameError("orders")), at(3));
        assert_eq!(acts, [StreamAct::Live(false), StreamAct::Reconnect("unreadable frame")]);
        let acts = live().frame(Ok(PrivateFrame::Error(error())), at(3));
        assert_eq!(acts, [StreamAct::Live(false), StreamAct::Reconnect("error frame")]);
    }
}
