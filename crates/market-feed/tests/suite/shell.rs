//! The actor behind its keeper, against a server on loopback.

use crate::fake::{FakeVenue, Lines, Proof, instrument, version};
use clock::SystemClock;
use domain::{Clock, InstrumentId, InstrumentVersion, VenueId};
use futures_util::{SinkExt as _, StreamExt as _};
use keeper::{Keeper, Mailbox, Rebuild, Silent};
use market_feed::{BookSource, FeedConfig, FeedSettings, InstrumentChanged, MarketFeed, TopBoard, tops};
use messages::{BookFaultKind, BookStatus, FeedStatus, MarketEvent, MarketEventKind, RefuseReason};
use net::{Ping, Plaintext, WsConfig};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

const A: InstrumentId = InstrumentId(0);
const PATIENCE: Duration = Duration::from_secs(20);

/// What a connection of the server is told to do.
#[derive(Debug, Clone)]
enum Order {
    Say(String),
    HangUp,
}

/// A server that answers subscriptions; tells of each connection by handing over the way to command it.
async fn serve() -> (String, Receiver<Sender<Order>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("ws://{}", listener.local_addr().unwrap());
    let (connections, told) = channel(64);
    actix_rt::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (orders, mut ordered) = channel(64);
            if connections.send(orders).await.is_err() {
                return;
            }
            actix_rt::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                let mut venue = FakeVenue::new(Proof::Sequence, &["A"]);
                loop {
                    tokio::select! {
                        Some(order) = ordered.recv() => match order {
                            Order::Say(text) => socket.send(Message::text(text)).await.unwrap(),
                            Order::HangUp => return,
                        },
                        frame = socket.next() => match frame {
                            Some(Ok(Message::Text(text))) => for answer in venue.receive(&text) {
                                if socket.send(Message::text(answer)).await.is_err() { return }
                            },
                            Some(Ok(_)) => {}
                            Some(Err(_)) | None => return,
                        },
                    }
                }
            });
        }
    });
    (address, told)
}

struct Running {
    mailbox: Mailbox<MarketFeed>,
    board: TopBoard,
    events: Receiver<MarketEvent>,
    statuses: Rc<RefCell<Vec<FeedStatus>>>,
}

fn start(address: &str, lifetime: Duration) -> Running {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let keeper = Keeper::new(Arc::clone(&clock), Arc::new(Silent));
    let mailbox: Mailbox<MarketFeed> = keeper.mailbox("market-feed", MarketFeed::MAILBOX);
    let (writers, board) = tops([A]);
    let writers = Arc::new(Mutex::new(writers));
    let mut socket = WsConfig::new(address, Ping::Text { ping: "ping".to_owned(), pong: "pong".to_owned() });
    socket.plaintext = Plaintext::Loopback;
    let config = FeedConfig {
        venue: VenueId(0),
        venue_name: "fake".to_owned(),
        socket,
        settings: FeedSettings { book_age_max: Duration::from_secs(600), ..FeedSettings::default() },
        instruments: vec![instrument(0, "A", BookSource::Full, true)],
        lifetime,
    };
    let (told, events) = channel(1_024);
    let statuses = Rc::new(RefCell::new(Vec::new()));
    let (own, noted) = (mailbox.clone(), Rc::clone(&statuses));
    let factory = move || {
        let (told, noted) = (told.clone(), Rc::clone(&noted));
        MarketFeed::new(
            config.clone(),
            Arc::new(Lines),
            Arc::clone(&clock),
            &own,
            Arc::clone(&writers),
            Box::new(move |event| told.try_send(event).unwrap()),
            Box::new(move |status| noted.borrow_mut().push(status)),
        )
    };
    keeper.supervise(&mailbox, factory, Rebuild::Never, |escalation| panic!("{escalation:?}"));
    Running { mailbox, board, events, statuses }
}

impl Running {
    async fn until(&mut self, wanted: impl Fn(&MarketEventKind) -> bool) -> MarketEventKind {
        loop {
            let event = timeout(PATIENCE, self.events.recv()).await.expect("no such event in time").unwrap();
            if wanted(&event.kind) {
                return event.kind;
            }
        }
    }
}

const fn is_valid(kind: &MarketEventKind) -> bool {
    matches!(kind, MarketEventKind::Book(BookStatus::Valid(_)))
}

#[actix::test]
async fn a_book_over_a_real_socket_is_valid_lost_with_it_and_comes_back() {
    let (address, mut connections) = serve().await;
    let mut feed = start(&address, FeedConfig::LIFETIME);
    let first = timeout(PATIENCE, connections.recv()).await.unwrap().unwrap();
    feed.until(is_valid).await;
    assert!(feed.board.top(A).is_ok());

    first.send(Order::Say("trades A 99.00,1.00,7".to_owned())).await.unwrap();
    feed.until(|kind| matches!(kind, MarketEventKind::Trade { .. })).await;

    first.send(Order::HangUp).await.unwrap();
    feed.until(|kind| *kind == MarketEventKind::Book(BookStatus::Invalid(BookFaultKind::Disconnected))).await;
    timeout(PATIENCE, connections.recv()).await.unwrap().unwrap();
    feed.until(is_valid).await;
    assert!(feed.board.top(A).is_ok());

    let halted = InstrumentVersion { version: 2, tick: 10, ..version(0) };
    feed.mailbox.post(InstrumentChanged(halted)).unwrap();
    feed.until(|kind| *kind == MarketEventKind::InstrumentChanged(halted)).await;

    timeout(PATIENCE, feed.mailbox.finish()).await.unwrap();
    assert_eq!(feed.board.top(A), Err(RefuseReason::InvalidBook), "nobody feeds it any more");
    assert!(feed.statuses.borrow().iter().all(|status| status.venue == VenueId(0)));
}

#[actix::test]
async fn an_old_connection_is_replaced_without_a_moment_of_invalid_books() {
    let (address, mut connections) = serve().await;
    // So short that each connection is replaced as soon as it is complete.
    let mut feed = start(&address, Duration::from_millis(1));
    timeout(PATIENCE, connections.recv()).await.unwrap().unwrap();
    feed.until(is_valid).await;
    for _ in 0..3 {
        timeout(PATIENCE, connections.recv()).await.expect("another connection").unwrap();
        // The new one took over: everything is told again, and nothing was invalid before.
        let kind = feed.until(|_| true).await;
        assert!(is_valid(&kind), "{kind:?}");
        assert!(feed.board.top(A).is_ok());
    }
    timeout(PATIENCE, feed.mailbox.finish()).await.unwrap();
}

#[actix::test]
async fn an_announced_close_brings_the_replacement_at_once() {
    let (address, mut connections) = serve().await;
    let mut feed = start(&address, FeedConfig::LIFETIME);
    let first = timeout(PATIENCE, connections.recv()).await.unwrap().unwrap();
    feed.until(is_valid).await;
    first.send(Order::Say("closing".to_owned())).await.unwrap();
    timeout(PATIENCE, connections.recv()).await.expect("another connection").unwrap();
    let kind = feed.until(|_| true).await;
    assert!(is_valid(&kind), "{kind:?}");
    timeout(PATIENCE, feed.mailbox.finish()).await.unwrap();
}
