//! Sessions against good, silent, rude and dying venues.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a suite: a broken expectation fails its test"
)]

mod common;

use common::{SOON, clock, on_runtime};
use futures_util::{SinkExt, StreamExt};
use net::{AddressError, BackOffSettings, Ping, Plaintext, WsConfig, WsEnd, WsEvent, WsHandle, WsSendError, WsSession};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, Receiver};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tokio_tungstenite::{WebSocketStream, accept_async};

/// Short enough for a test to wait for it.
const BRIEF: Duration = Duration::from_millis(60);

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn config(address: SocketAddr) -> WsConfig {
    let ping = Ping::Text { ping: "ping".to_owned(), pong: "pong".to_owned() };
    WsConfig {
        plaintext: Plaintext::Loopback,
        connect_patience: SOON,
        silence_max: SOON,
        ping_every: SOON,
        back_off: BackOffSettings { wait_min: Duration::from_millis(1), wait_max: BRIEF, seed: 7 },
        ..WsConfig::new(format!("ws://{address}/v2"), ping)
    }
}

fn session(config: WsConfig) -> (WsHandle, Receiver<WsEvent>) {
    let (told, events) = mpsc::channel(1_000);
    let handle = WsSession::spawn(config, clock(), move |event| told.try_send(event).unwrap()).unwrap();
    (handle, events)
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    accept_async(listener.accept().await.unwrap().0).await.unwrap()
}

async fn text_from(events: &mut Receiver<WsEvent>) -> String {
    match events.recv().await.unwrap() {
        WsEvent::Text { text, .. } => text.to_string(),
        other => panic!("not a text: {other:?}"),
    }
}

async fn end_from(events: &mut Receiver<WsEvent>) -> WsEnd {
    match events.recv().await.unwrap() {
        WsEvent::Disconnected { reason, .. } => reason,
        other => panic!("not an end: {other:?}"),
    }
}

async fn connected(events: &mut Receiver<WsEvent>) -> u64 {
    match events.recv().await.unwrap() {
        WsEvent::Connected { connection, .. } => connection,
        other => panic!("not connected: {other:?}"),
    }
}

/// True if the other end closes without having sent anything further.
async fn closes(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.is_ok()
}

#[test]
fn frames_go_both_ways_and_are_stamped_at_receipt() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let clock = clock();
        let before = (clock.mono(), clock.unix());
        let (handle, mut events) = session(config(address));
        assert_eq!(handle.send("too early"), Err(WsSendError::NotConnected));
        let mut venue = accept(&listener).await;
        assert_eq!(connected(&mut events).await, 1);
        assert!(handle.connected());
        handle.send(r#"{"op":"subscribe"}"#).unwrap();
        assert_eq!(venue.next().await.unwrap().unwrap(), Message::text(r#"{"op":"subscribe"}"#));
        venue.send(Message::text("snapshot")).await.unwrap();
        let WsEvent::Text { text, at } = events.recv().await.unwrap() else { panic!("not a text") };
        assert_eq!(text.as_str(), "snapshot");
        assert!(at.mono >= before.0 && at.unix >= before.1 && at.mono <= clock.mono());
        venue.send(Message::binary(vec![1, 2])).await.unwrap();
        assert!(matches!(events.recv().await.unwrap(), WsEvent::Binary { bytes, .. } if bytes.as_ref() == [1, 2]));
    });
}

#[test]
fn close_says_goodbye_and_leaves_no_task() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (handle, mut events) = session(config(address));
        let mut venue = accept(&listener).await;
        connected(&mut events).await;
        handle.close();
        assert!(matches!(venue.next().await, Some(Ok(Message::Close(_)))));
        assert!(!matches!(venue.next().await, Some(Ok(_))));
        handle.ended().await;
        assert_eq!(handle.send("late"), Err(WsSendError::Ended));
        assert!(events.recv().await.is_none(), "the session's closure is gone");
    });
}

#[test]
fn dropped_handle_ends_the_session_even_in_a_hung_handshake() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (handle, mut events) = session(config(address));
        let (stream, _) = listener.accept().await.unwrap();
        drop(handle);
        assert!(events.recv().await.is_none(), "the session's closure is gone");
        assert!(closes(stream).await, "its socket is closed");
    });
}

#[test]
fn closed_session_ends_even_while_it_waits_for_the_next_try() {
    on_runtime(async {
        let (listener, address) = listen().await;
        drop(listener);
        let back_off = BackOffSettings { wait_min: SOON * 10, wait_max: SOON * 10, seed: 1 };
        let (handle, mut events) = session(WsConfig { back_off, ..config(address) });
        assert!(matches!(end_from(&mut events).await, WsEnd::ConnectFailed(_)));
        handle.close();
        handle.ended().await;
    });
}

#[test]
fn hung_handshake_is_given_up_and_tried_again() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (_handle, mut events) = session(WsConfig { connect_patience: BRIEF, ..config(address) });
        let (hung, _) = listener.accept().await.unwrap();
        assert_eq!(end_from(&mut events).await, WsEnd::ConnectTimeout);
        assert!(closes(hung).await);
        let _venue = accept(&listener).await;
        assert_eq!(connected(&mut events).await, 1);
    });
}

#[test]
fn half_open_connection_is_noticed_and_replaced() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (_handle, mut events) = session(WsConfig { silence_max: BRIEF, ping_every: BRIEF / 4, ..config(address) });
        // Open, but nobody is there: pings are swallowed by the system's buffer.
        let _half_open = accept(&listener).await;
        assert_eq!(connected(&mut events).await, 1);
        let WsEnd::Silent { silence } = end_from(&mut events).await else { panic!("not silent") };
        assert!(silence >= BRIEF);
        let _venue = accept(&listener).await;
        assert_eq!(connected(&mut events).await, 2);
    });
}

#[test]
fn quiet_venue_that_answers_pings_stays_connected() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (_handle, mut events) =
            session(WsConfig { silence_max: BRIEF * 20, ping_every: BRIEF / 4, ..config(address) });
        let mut venue = accept(&listener).await;
        tokio::task::spawn_local(async move {
            while let Some(Ok(message)) = venue.next().await {
                assert_eq!(message, Message::text("ping"));
                venue.send(Message::text("pong")).await.unwrap();
            }
        });
        connected(&mut events).await;
        for _ in 0..100 {
            let event = events.recv().await.unwrap();
            assert!(matches!(event, WsEvent::Pong { .. }), "{event:?}");
        }
    });
}

#[test]
fn protocol_pings_are_answered_both_ways() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (_handle, mut events) = session(WsConfig { ping: Ping::Frame, ping_every: BRIEF / 4, ..config(address) });
        let mut venue = accept(&listener).await;
        connected(&mut events).await;
        venue.send(Message::Ping(net::Bytes::from_static(b"7"))).await.unwrap();
        // Reading also answers the session's own ping.
        while venue.next().await.unwrap().unwrap() != Message::Pong(net::Bytes::from_static(b"7")) {}
        tokio::task::spawn_local(async move { while venue.next().await.is_some() {} });
        assert!(matches!(events.recv().await.unwrap(), WsEvent::Pong { .. }));
    });
}

#[test]
fn plain_text_beyond_literal_loopback_is_refused_before_anything_is_connected() {
    on_runtime(async {
        for url in ["ws://localhost.evil.test/", "ws://10.0.0.1/", "ws://localhost:1/"] {
            let config = WsConfig { url: url.to_owned(), ..config("127.0.0.1:1".parse().unwrap()) };
            let refused = WsSession::spawn(config, clock(), |event| panic!("{event:?}")).map(drop);
            assert!(matches!(refused, Err(AddressError::PlaintextRefused { .. })), "{url}");
        }
        let never = WsConfig { plaintext: Plaintext::Never, ..config("127.0.0.1:1".parse().unwrap()) };
        assert!(WsSession::spawn(never, clock(), |_| {}).is_err());
    });
}

#[test]
fn what_was_meant_for_one_connection_never_reaches_the_next() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (handle, mut events) = session(config(address));
        let _first = accept(&listener).await;
        assert_eq!(connected(&mut events).await, 1);
        handle.send("for the first").unwrap();
        handle.reconnect("instrument resubscribed");
        assert_eq!(end_from(&mut events).await, WsEnd::Asked("instrument resubscribed"));
        assert_eq!(handle.send("between"), Err(WsSendError::NotConnected));
        let mut second = accept(&listener).await;
        assert_eq!(connected(&mut events).await, 2);
        handle.send("for the second").unwrap();
        assert_eq!(second.next().await.unwrap().unwrap(), Message::text("for the second"));
    });
}

#[test]
fn close_code_of_the_venue_is_told() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (_handle, mut events) = session(config(address));
        let mut venue = accept(&listener).await;
        connected(&mut events).await;
        venue.close(Some(CloseFrame { code: CloseCode::Restart, reason: "24 hours".into() })).await.unwrap();
        let end = end_from(&mut events).await;
        assert_eq!(end, WsEnd::ClosedByVenue { code: Some(1012), text: "24 hours".to_owned() });
    });
}

#[test]
fn message_larger_than_allowed_ends_the_connection_not_the_session() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (_handle, mut events) = session(config(address));
        let mut venue = accept(&listener).await;
        assert_eq!(connected(&mut events).await, 1);
        tokio::task::spawn_local(async move {
            // The session hangs up in the middle of it.
            let _ = venue.send(Message::text("x".repeat(WsConfig::MESSAGE_BYTES_MAX + 1))).await;
        });
        assert!(matches!(end_from(&mut events).await, WsEnd::Broken(_)));
        let _venue = accept(&listener).await;
        assert_eq!(connected(&mut events).await, 2);
    });
}

#[test]
fn outgoing_frames_are_bounded() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (handle, mut events) = session(WsConfig { outgoing_max: 3, ..config(address) });
        let _venue = accept(&listener).await;
        connected(&mut events).await;
        // The session's task does not run between these.
        let taken = (0..10).map(|_| handle.send("x")).filter(Result::is_ok).count();
        assert_eq!((taken, handle.send("x")), (3, Err(WsSendError::Full)));
    });
}

#[test]
fn slow_listener_makes_the_venue_wait_and_loses_nothing() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (_handle, mut events) = WsSession::channel(config(address), clock(), 2).unwrap();
        let mut venue = accept(&listener).await;
        tokio::task::spawn_local(async move {
            for number in 0..5_000 {
                venue.send(Message::text(number.to_string())).await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        connected(&mut events).await;
        for number in 0..5_000 {
            assert_eq!(text_from(&mut events).await, number.to_string());
        }
    });
}

#[test]
fn session_ends_when_nobody_listens_any_more() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (handle, mut events) = WsSession::channel(config(address), clock(), 2).unwrap();
        let _venue = accept(&listener).await;
        connected(&mut events).await;
        // The venue says nothing, so no event would find out.
        drop(events);
        handle.ended().await;
    });
}
