//! Who is connected, what they subscribed to, and the bounded queue to each of them.

use crate::FaultSite;
use crate::fault_desk::Faults;
use crate::intervals::Interval;
use crate::tamper::{Held, Publication};
use domain::{Asset, InstrumentId};
use std::collections::BTreeMap;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// A second handle on a client's connection, to cut it without a word.
#[derive(Debug, Clone)]
pub(crate) struct Socket(pub(crate) Arc<TcpStream>);

impl Socket {
    pub(crate) fn cut(&self) {
        // Already closed is as good.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// What a session task is told to write.
#[derive(Debug, Clone)]
pub(crate) enum Out {
    /// A message in one frame.
    Text(String),
    /// A message in several frames, with a pause between them.
    Split { text: String, parts: usize, pause: Duration },
    /// Neither read nor write any more; when the time is over, cut. `None`: until the exchange stops.
    HalfOpen(Option<Duration>),
    /// Close the connection in order.
    Close,
}

/// What a subscription listens to, and in which dialect; `None` in a private topic means every instrument or coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    // Market data of v2, of any category.
    Ticker(InstrumentId),
    Trade(InstrumentId),
    Books(InstrumentId),
    /// The first prices, as many as told.
    ShortBook(InstrumentId, usize),
    Candle(InstrumentId, Interval),
    // Market data of v3, of any category.
    UnifiedTicker(InstrumentId),
    UnifiedTrade(InstrumentId),
    UnifiedBooks(InstrumentId),
    /// The first prices, as many as told.
    UnifiedShortBook(InstrumentId, usize),
    UnifiedCandle(InstrumentId, Interval),
    // Spot, v2.
    Orders(Option<InstrumentId>),
    Fills(Option<InstrumentId>),
    Balances(Option<Asset>),
    // Futures, v2.
    MixOrders(Option<InstrumentId>),
    MixFills(Option<InstrumentId>),
    MixAccount,
    MixPositions(Option<InstrumentId>),
    MixClosedPositions(Option<InstrumentId>),
    MixEquity,
    // A unified account, v3.
    UnifiedOrders,
    UnifiedFills,
    UnifiedFastFills,
    UnifiedAccount,
    UnifiedPositions,
    /// A private channel that exists and on which nothing ever happens here; told apart by its number.
    Silent(u8),
}

impl Topic {
    pub(crate) const fn is_private(self) -> bool {
        !matches!(
            self,
            Self::Ticker(_)
                | Self::Trade(_)
                | Self::Books(_)
                | Self::ShortBook(..)
                | Self::Candle(..)
                | Self::UnifiedTicker(_)
                | Self::UnifiedTrade(_)
                | Self::UnifiedBooks(_)
                | Self::UnifiedShortBook(..)
                | Self::UnifiedCandle(..)
        )
    }
}

#[derive(Debug)]
pub(crate) struct Session {
    queue: Sender<Out>,
    socket: Option<Socket>,
    pub(crate) address: IpAddr,
    /// Connected to the public address.
    pub(crate) public: bool,
    /// Connected to an address of v3.
    pub(crate) unified: bool,
    pub(crate) account: Option<usize>,
    /// The key that logged in.
    pub(crate) key: Option<String>,
    /// Open, but its data is withheld.
    stalled: bool,
    /// What it listens to, with the argument exactly as it was sent.
    pub(crate) topics: Vec<(Topic, String)>,
}

/// All connected streams.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    sessions: BTreeMap<u64, Session>,
    last: u64,
    slow: u64,
    /// What goes wrong; here because most of it concerns frames.
    pub(crate) faults: Faults,
    /// Frames that wait to be overtaken.
    pub(crate) held: Vec<Held>,
    /// When the data of a side flow again; true: the public one.
    pub(crate) stalls_until: Vec<(Duration, bool)>,
}

/// A push frame around its parts.
pub(crate) fn frame(action: &str, arg: &str, data: &str, ts_ms: u64) -> String {
    format!("{{\"action\":\"{action}\",\"arg\":{arg},\"data\":[{data}],\"ts\":{ts_ms}}}")
}

/// A push frame whose data is one object.
pub(crate) fn object_frame(action: &str, arg: &str, data: &str, ts_ms: u64) -> String {
    format!("{{\"action\":\"{action}\",\"arg\":{arg},\"data\":{data},\"ts\":{ts_ms}}}")
}

impl Hub {
    pub(crate) fn with_faults(faults: Faults) -> Self {
        Self { faults, ..Self::default() }
    }

    pub(crate) fn open(&mut self, queue: Sender<Out>, socket: Option<Socket>, address: IpAddr, public: bool) -> u64 {
        self.last += 1;
        let session = Session {
            queue,
            socket,
            address,
            public,
            unified: false,
            account: None,
            key: None,
            stalled: false,
            topics: Vec::new(),
        };
        self.sessions.insert(self.last, session);
        self.last
    }

    pub(crate) fn close(&mut self, id: u64) {
        self.sessions.remove(&id);
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Session> {
        self.sessions.get_mut(&id)
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Session> {
        self.sessions.get(&id)
    }

    pub(crate) fn connections_of(&self, address: IpAddr) -> usize {
        self.sessions.values().filter(|session| session.address == address).count()
    }

    /// Clients disconnected because they did not read fast enough.
    pub(crate) const fn slow(&self) -> u64 {
        self.slow
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Puts a frame into one client's queue; a full queue ends the connection.
    pub(crate) fn send(&mut self, id: u64, out: Out) {
        let Some(session) = self.sessions.get(&id) else { return };
        match session.queue.try_send(out) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.slow += 1;
                tracing::warn!(session = id, "client reads too slowly and is disconnected");
                self.cut(id);
            }
            Err(TrySendError::Closed(_)) => self.close(id),
        }
    }

    fn cut(&mut self, id: u64) {
        if let Some(session) = self.sessions.remove(&id)
            && let Some(socket) = session.socket
        {
            socket.cut();
        }
    }

    /// Ends a connection without a word.
    pub(crate) fn drop_silently(&mut self, id: u64) {
        self.cut(id);
    }

    fn side(&self, public: bool) -> Vec<u64> {
        self.sessions.iter().filter(|(_, session)| session.public == public).map(|(id, _)| *id).collect()
    }

    /// Cuts every connection of a side.
    pub(crate) fn cut_side(&mut self, public: bool) {
        for id in self.side(public) {
            self.cut(id);
        }
    }

    /// Withholds data from every connection of a side that is open now.
    pub(crate) fn stall_side(&mut self, public: bool) {
        for session in self.sessions.values_mut().filter(|session| session.public == public) {
            session.stalled = true;
        }
    }

    /// Ends what [`Self::stall_side`] began.
    pub(crate) fn resume_side(&mut self, public: bool) {
        for session in self.sessions.values_mut().filter(|session| session.public == public) {
            session.stalled = false;
        }
    }

    /// Neither reads nor writes the open connections of a side any more, until `duration` is over and they are cut.
    pub(crate) fn silence_side(&mut self, public: bool, duration: Option<Duration>) {
        self.stall_side(public);
        for id in self.side(public) {
            self.send(id, Out::HalfOpen(duration));
        }
    }

    /// Every connection that has logged in: its number, key and address.
    pub(crate) fn logged_in(&self) -> impl Iterator<Item = (u64, &str, IpAddr)> + '_ {
        self.sessions.iter().filter_map(|(id, session)| Some((*id, session.key.as_deref()?, session.address)))
    }

    /// A last frame, then the connection is closed and hears nothing more.
    pub(crate) fn dismiss(&mut self, id: u64, last: Out) {
        self.send(id, last);
        self.send(id, Out::Close);
        if let Some(session) = self.sessions.get_mut(&id) {
            (session.account, session.key) = (None, None);
            session.topics.clear();
        }
    }

    /// A last frame for everybody, then every connection is closed.
    pub(crate) fn dismiss_all(&mut self, last: &Out) {
        let all: Vec<u64> = self.sessions.keys().copied().collect();
        for id in all {
            self.dismiss(id, last.clone());
        }
    }

    /// Asks every client's task to close in order.
    pub(crate) fn close_all(&mut self) {
        let all: Vec<u64> = self.sessions.keys().copied().collect();
        for id in all {
            self.send(id, Out::Close);
        }
    }

    /// Whether anybody hears `topic`.
    pub(crate) fn has_listener(&self, topic: Topic) -> bool {
        self.sessions
            .values()
            .any(|session| !session.stalled && session.topics.iter().any(|(heard, _)| *heard == topic))
    }

    /// Sends market data to everybody who listens to `topic`.
    pub(crate) fn publish(&mut self, topic: Topic, action: &str, data: &str, ts_ms: u64) {
        let frames = self.frames(|session, heard| !session.stalled && *heard == topic, action, data, ts_ms);
        let book_update = matches!(topic, Topic::Books(_) | Topic::UnifiedBooks(_)) && action == "update";
        self.emit(Publication { site: FaultSite::Public, topic: Some(topic), book_update, frames });
    }

    /// Private channels that an account's connections listen to: connection, channel, its argument.
    pub(crate) fn private_topics(&self, account: usize) -> impl Iterator<Item = (u64, Topic, &str)> + '_ {
        let listening = self.sessions.iter().filter(move |(_, it)| !it.stalled && it.account == Some(account));
        listening.flat_map(|(id, session)| {
            let private = session.topics.iter().filter(|(topic, _)| topic.is_private());
            private.map(|(topic, arg)| (*id, *topic, arg.as_str()))
        })
    }

    /// Whether any connection of an account could hear what happens to it.
    pub(crate) fn is_heard(&self, account: usize) -> bool {
        self.sessions.values().any(|session| session.account == Some(account))
    }

    /// An account's connections.
    pub(crate) fn sessions_of(&self, account: usize) -> Vec<u64> {
        let of = |session: &Session| session.account == Some(account);
        self.sessions.iter().filter(|(_, session)| of(session)).map(|(id, _)| *id).collect()
    }

    /// Ends a connection that has missed something, and counts it.
    pub(crate) fn cut_slow(&mut self, id: u64) {
        self.slow += 1;
        self.cut(id);
    }

    fn frames(
        &self,
        hears: impl Fn(&Session, &Topic) -> bool,
        action: &str,
        data: &str,
        ts_ms: u64,
    ) -> Vec<(u64, String)> {
        let mut frames = Vec::new();
        for (id, session) in &self.sessions {
            for (topic, arg) in &session.topics {
                if hears(session, topic) {
                    frames.push((*id, frame(action, arg, data, ts_ms)));
                }
            }
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::sync::mpsc::channel;

    const TOPIC: Topic = Topic::Ticker(InstrumentId(0));

    #[test]
    fn a_client_that_does_not_read_is_disconnected_and_counted_and_others_are_not() {
        let mut hub = Hub::default();
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let ((slow, _unread), (quick, mut read)) = (channel(2), channel(2));
        for queue in [slow, quick] {
            let id = hub.open(queue, None, here, true);
            hub.get_mut(id).unwrap().topics.push((TOPIC, "{}".into()));
        }
        for _ in 0..3 {
            hub.publish(TOPIC, "snapshot", "1", 5);
            assert!(
                matches!(read.try_recv(), Ok(Out::Text(text)) if text == r#"{"action":"snapshot","arg":{},"data":[1],"ts":5}"#)
            );
        }
        assert_eq!((hub.slow(), hub.len()), (1, 1));
    }

    #[test]
    fn a_stalled_connection_stays_and_a_new_one_hears_again() {
        let mut hub = Hub::default();
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let ((old, mut old_reader), (new, mut new_reader)) = (channel(2), channel(2));
        let id = hub.open(old, None, here, true);
        hub.get_mut(id).unwrap().topics.push((TOPIC, "{}".into()));
        hub.stall_side(true);
        let id = hub.open(new, None, here, true);
        hub.get_mut(id).unwrap().topics.push((TOPIC, "{}".into()));
        hub.publish(TOPIC, "snapshot", "1", 5);
        assert!(old_reader.try_recv().is_err() && new_reader.try_recv().is_ok());
        assert_eq!(hub.len(), 2);
    }
}
