//! The private stream against a WebSocket on loopback: log in, subscribe, push, come back.

use super::support::{Action, DEADLINE, FakeVenue, Rig, VENUE, login, next, run, wire_log};
use futures_util::{SinkExt, StreamExt};
use messages::{Control, QueryPurpose, ReportBody, SignIntent};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

struct StreamVenue {
    listener: TcpListener,
    url: String,
}

impl StreamVenue {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/private", listener.local_addr().unwrap());
        Self { listener, url }
    }

    async fn accept(&self) -> WebSocketStream<TcpStream> {
        let (socket, _) = tokio::time::timeout(DEADLINE, self.listener.accept()).await.unwrap().unwrap();
        tokio_tungstenite::accept_async(socket).await.unwrap()
    }
}

async fn heard(socket: &mut WebSocketStream<TcpStream>) -> String {
    match tokio::time::timeout(DEADLINE, socket.next()).await.unwrap() {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn say(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
}

async fn log_in(rig: &mut Rig, socket: &mut WebSocketStream<TcpStream>) {
    let asked = next(&mut rig.asked).await;
    assert_eq!((asked.purpose, asked.venue, asked.intent), (QueryPurpose::Stream, VENUE, SignIntent::StreamLogin));
    rig.push(login(rig.clock.as_ref(), asked.id));
    assert_eq!(heard(socket).await, format!("login {}", asked.id.0), "the frame as it was signed");
}

async fn subscribe(socket: &mut WebSocketStream<TcpStream>) {
    say(socket, "welcome").await;
    assert_eq!(heard(socket).await, "subscribe BTCUSDT");
    say(socket, "ack orders").await;
    say(socket, "ack fill").await;
}

#[test]
fn stream_logs_in_with_a_signed_frame_subscribes_and_passes_pushes_on() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let rest = FakeVenue::start(|_| Action::Answer(200, "ok")).await;
        let venue = StreamVenue::start().await;
        let mut rig =
            Rig::start(&rest.base_url, wire_log(home.path()), |link| link.ws_private = Some(venue.url.clone()));
        let mut socket = venue.accept().await;
        log_in(&mut rig, &mut socket).await;
        subscribe(&mut socket).await;
        assert_eq!(rig.control().await, Control::PrivateStream { venue: VENUE, live: true });
        say(&mut socket, "push").await;
        assert!(matches!(rig.report().await, ReportBody::CancelAllDone { .. }));

        drop(socket);
        assert_eq!(rig.control().await, Control::PrivateStream { venue: VENUE, live: false });
        let mut socket = venue.accept().await;
        log_in(&mut rig, &mut socket).await;
        subscribe(&mut socket).await;
        assert_eq!(rig.control().await, Control::PrivateStream { venue: VENUE, live: true });
        assert_eq!(rest.targets(), [""; 0], "a log-in is no HTTP request");
    });
}

#[test]
fn second_log_in_takes_the_place_of_the_first_without_a_moment_in_which_there_is_none() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let rest = FakeVenue::start(|_| Action::Answer(200, "ok")).await;
        let venue = StreamVenue::start().await;
        let mut rig =
            Rig::start(&rest.base_url, wire_log(home.path()), |link| link.ws_private = Some(venue.url.clone()));
        let mut first = venue.accept().await;
        log_in(&mut rig, &mut first).await;
        subscribe(&mut first).await;
        assert_eq!(rig.control().await, Control::PrivateStream { venue: VENUE, live: true });

        rig.handle.renewals().renew(VENUE);
        let mut second = venue.accept().await;
        log_in(&mut rig, &mut second).await;
        say(&mut first, "push").await;
        assert!(matches!(rig.report().await, ReportBody::CancelAllDone { .. }), "the first is still listened to");
        subscribe(&mut second).await;
        let end = tokio::time::timeout(DEADLINE, first.next()).await.unwrap();
        assert!(!matches!(end, Some(Ok(Message::Text(_)))), "the first is given up: {end:?}");
        say(&mut second, "push").await;
        assert!(matches!(rig.report().await, ReportBody::CancelAllDone { .. }));

        // Nobody heard that there was a change: the next word is about the loss of the second.
        drop(second);
        assert_eq!(rig.control().await, Control::PrivateStream { venue: VENUE, live: false });
    });
}

#[test]
fn log_in_that_is_refused_leaves_the_first_connection_where_it_is() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let rest = FakeVenue::start(|_| Action::Answer(200, "ok")).await;
        let venue = StreamVenue::start().await;
        let mut rig =
            Rig::start(&rest.base_url, wire_log(home.path()), |link| link.ws_private = Some(venue.url.clone()));
        let mut first = venue.accept().await;
        log_in(&mut rig, &mut first).await;
        subscribe(&mut first).await;
        assert_eq!(rig.control().await, Control::PrivateStream { venue: VENUE, live: true });
        rig.handle.renewals().renew(VENUE);
        let mut second = venue.accept().await;
        log_in(&mut rig, &mut second).await;
        say(&mut second, "go away").await;
        next(&mut rig.refused_logins).await;
        say(&mut first, "push").await;
        assert!(matches!(rig.report().await, ReportBody::CancelAllDone { .. }), "it goes on");
    });
}

#[test]
fn unreadable_push_brings_a_new_connection_so_that_fills_are_asked_for() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let rest = FakeVenue::start(|_| Action::Answer(200, "ok")).await;
        let venue = StreamVenue::start().await;
        let mut rig =
            Rig::start(&rest.base_url, wire_log(home.path()), |link| link.ws_private = Some(venue.url.clone()));
        let mut socket = venue.accept().await;
        log_in(&mut rig, &mut socket).await;
        subscribe(&mut socket).await;
        assert_eq!(rig.control().await, Control::PrivateStream { venue: VENUE, live: true });
        say(&mut socket, "broken").await;
        assert_eq!(rig.control().await, Control::PrivateStream { venue: VENUE, live: false });
        let mut again = venue.accept().await;
        log_in(&mut rig, &mut again).await;
        subscribe(&mut again).await;
        assert_eq!(rig.control().await, Control::PrivateStream { venue: VENUE, live: true });
    });
}

#[test]
fn refused_login_is_told_and_tried_again_on_a_new_connection() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let rest = FakeVenue::start(|_| Action::Answer(200, "ok")).await;
        let venue = StreamVenue::start().await;
        let mut rig =
            Rig::start(&rest.base_url, wire_log(home.path()), |link| link.ws_private = Some(venue.url.clone()));
        let mut socket = venue.accept().await;
        log_in(&mut rig, &mut socket).await;
        say(&mut socket, "go away").await;
        assert_eq!(next(&mut rig.refused_logins).await.code.as_str(), "30005");
        let mut again = venue.accept().await;
        log_in(&mut rig, &mut again).await;
    });
}
