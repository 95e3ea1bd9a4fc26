//! The live stream.

use crate::common::{HOSTILE, Server, server};
use control_plane::Snapshot;
use futures_util::StreamExt as _;
use std::future::Future;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), work).await.unwrap() })
}

async fn open(server: &Server, protocols: &str, origin: Option<&str>) -> Result<WebSocketStream<TcpStream>, u16> {
    let mut request = format!("ws://{}/api/v1/stream", server.host()).into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocols.parse().unwrap());
    if let Some(origin) = origin {
        request.headers_mut().insert("Origin", origin.parse().unwrap());
    }
    let socket = TcpStream::connect(server.address).await.unwrap();
    match client_async(request, socket).await {
        Ok((stream, answer)) => {
            assert_eq!(answer.headers()["sec-websocket-protocol"], "steadfast.v1", "the token is not sent back");
            Ok(stream)
        }
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        // A connection too many of one address is closed without a word.
        Err(_) => Err(0),
    }
}

fn protocols(server: &Server) -> String {
    format!("steadfast.v1, token.{}", server.token.expose())
}

#[test]
fn stream_brings_whole_snapshots_with_growing_sequence() {
    let server = server();
    run(async {
        let mut stream = open(&server, &protocols(&server), Some(&format!("http://{}", server.host()))).await.unwrap();
        let mut last = 0;
        while last < 3 {
            let Message::Text(text) = stream.next().await.unwrap().unwrap() else { continue };
            let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
            assert!(snapshot.sequence > last);
            assert_eq!(snapshot.orders[0].note.as_deref(), Some(HOSTILE));
            assert_eq!(snapshot.status.quote, "USDT");
            last = snapshot.sequence;
        }
    });
}

#[test]
fn stream_needs_the_token_and_our_own_page() {
    let server = server();
    run(async {
        assert_eq!(open(&server, "steadfast.v1", None).await.err(), Some(401));
        assert_eq!(open(&server, "steadfast.v1, token.guess", None).await.err(), Some(401));
        assert_eq!(open(&server, &protocols(&server), Some("http://evil.test")).await.err(), Some(403));
    });
}

#[test]
fn stream_ends_when_its_api_key_is_revoked_or_ends() {
    for revoked in [true, false] {
        let server = server();
        let key = server.key("viewer", access::Role::Viewer.scopes(), &[]).1;
        let protocols = format!("steadfast.v1, token.{}", key.strip_prefix("Bearer ").unwrap());
        run(async {
            let mut stream = open(&server, &protocols, None).await.unwrap();
            assert!(stream.next().await.unwrap().is_ok());
            if revoked {
                server.keys.lock().unwrap().revoke("viewer").unwrap();
            } else {
                server.clock.advance(Duration::from_secs(86_400));
            }
            while let Some(Ok(message)) = stream.next().await {
                if message.is_close() {
                    break;
                }
            }
            assert_eq!(open(&server, &protocols, None).await.err(), Some(401));
        });
    }
}

#[test]
fn streams_are_bounded_and_a_closed_one_makes_room() {
    let server = server();
    run(async {
        let mut streams = Vec::new();
        for _ in 0..12 {
            streams.push(open(&server, &protocols(&server), None).await.unwrap());
        }
        assert_eq!(open(&server, &protocols(&server), None).await.err(), Some(503));
        drop(streams.pop());
        // The server learns of it from the socket; asked again until it has.
        while open(&server, &protocols(&server), None).await.is_err() {
            server.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn streams_end_when_the_server_stops() {
    let mut server = server();
    run(async {
        let mut stream = open(&server, &protocols(&server), None).await.unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        let plane = server.plane.take().unwrap();
        let stopped = tokio::task::spawn_blocking(move || plane.stop());
        while let Some(Ok(_)) = stream.next().await {}
        stopped.await.unwrap();
    });
    assert!(!server.socket.exists());
    assert!(std::net::TcpStream::connect(server.address).is_err());
}
