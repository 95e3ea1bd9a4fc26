//! What is known about a request after each way in which it can go wrong.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a suite: a broken expectation fails its test"
)]

mod common;

use bytes::Bytes;
use clock::ManualClock;
use common::{SOON, clock, on_runtime};
use domain::{MonoNanos, UnixNanos};
use net::{
    AddressError, Cause, HttpAnswer, HttpClient, HttpConfig, HttpFailure, HttpMethod, HttpRequest, Plaintext,
    PublicClient, PublicConfig, PublicError,
};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-limit: 9\r\n\r\nok";
const BODY: &str = r#"{"size":"1"}"#;
/// Short enough for a test to wait for it.
const BRIEF: Duration = Duration::from_millis(60);
/// Long enough for a request to be on its way.
const SECOND: Duration = Duration::from_secs(1);

fn client(patience: Duration) -> HttpClient {
    let config = HttpConfig {
        plaintext: Plaintext::Loopback,
        connect_patience: SOON,
        answer_patience: patience,
        answer_bytes_max: 1_000,
        kept_headers: &["x-limit"],
        ..HttpConfig::default()
    };
    HttpClient::new(config, clock()).unwrap()
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn post(client: &HttpClient, url: &str) -> Result<HttpAnswer, HttpFailure> {
    post_by(client, url, None).await
}

async fn post_by(client: &HttpClient, url: &str, send_by: Option<MonoNanos>) -> Result<HttpAnswer, HttpFailure> {
    let headers = [("content-type", "application/json"), ("x-sign", "c2lnbg==")];
    let body = Bytes::from_static(BODY.as_bytes());
    client.send(HttpRequest { method: HttpMethod::Post, url, headers: &headers, body, send_by }).await
}

async fn get(client: &HttpClient, url: &str) -> Result<HttpAnswer, HttpFailure> {
    client.send(HttpRequest { method: HttpMethod::Get, url, headers: &[], body: Bytes::new(), send_by: None }).await
}

/// One whole request with the body of [`post`], or what came before the other end closed.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4_096];
    while !text.ends_with(BODY) {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
        }
    }
    text
}

#[test]
fn client_of_a_unix_socket_speaks_to_it_alone_under_one_name() {
    on_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let config = HttpConfig { unix_socket: Some(path), connect_patience: SOON, ..HttpConfig::default() };
        let client = HttpClient::new(config, clock()).unwrap();
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 256];
            let length = stream.read(&mut head).await.unwrap();
            stream.write_all(OK.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&head[..length]).to_lowercase()
        });
        let answer = get(&client, "http://localhost/status").await.unwrap();
        assert_eq!((answer.status, &*answer.body), (200, &b"ok"[..]));
        let request = served.await.unwrap();
        assert!(request.starts_with("get /status") && request.contains("host: localhost\r\n"), "{request}");
        for other in [
            "http://127.0.0.1/status",
            "https://localhost/status",
            "http://localhost:81/status",
            "http://a@localhost.test/",
        ] {
            let failure = get(&client, other).await.unwrap_err();
            assert!(matches!(failure, HttpFailure::NotSent(Cause::Address(_))), "{other}");
        }
    });
}

#[test]
fn answer_carries_status_kept_headers_body_and_times() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let server = tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read_request(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            request
        });
        let answer = post(&client(SOON), &format!("http://{address}/orders?a=1")).await.unwrap();
        assert_eq!((answer.status, answer.body.as_ref()), (200, b"ok".as_slice()));
        assert_eq!((answer.headers.get("x-limit"), answer.headers.get("content-length")), (Some("9"), None));
        let first_byte = answer.timings.first_byte.unwrap();
        assert!(answer.timings.asked <= first_byte && first_byte <= answer.timings.answered);
        let request = server.await.unwrap();
        assert!(request.starts_with("POST /orders?a=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("x-sign: c2lnbg==\r\n") && request.ends_with(BODY), "{request}");
        assert!(request.contains(&format!("content-length: {}\r\n", BODY.len())), "the size is told: {request}");
    });
}

#[test]
fn refused_connection_is_not_sent_with_and_without_a_body() {
    on_runtime(async {
        let (listener, address) = listen().await;
        drop(listener);
        let (client, url) = (client(SOON), format!("http://{address}/"));
        assert!(matches!(post(&client, &url).await, Err(HttpFailure::NotSent(Cause::Connect(_)))));
        assert!(matches!(get(&client, &url).await, Err(HttpFailure::NotSent(Cause::Connect(_)))));
    });
}

#[test]
fn hung_tls_handshake_is_not_sent() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let server = tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = Vec::new();
            // Reads until the client gives up, and never says a word.
            let _ = stream.read_to_end(&mut hello).await;
            hello
        });
        let failure = post(&client(BRIEF), &format!("https://{address}/orders")).await.unwrap_err();
        assert_eq!(failure, HttpFailure::NotSent(Cause::NoAnswerInTime));
        let hello = server.await.unwrap();
        assert_eq!(hello.first(), Some(&0x16), "a TLS handshake began");
    });
}

#[test]
fn hung_tcp_connect_is_not_sent() {
    on_runtime(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        // Connections that nobody accepts, until the next one gets no answer.
        let mut waiting = Vec::new();
        loop {
            match tokio::time::timeout(BRIEF, TcpStream::connect(address)).await {
                Ok(stream) => waiting.push(stream.unwrap()),
                Err(_) => break,
            }
            assert!(waiting.len() < 1_000, "the system never lets a connect hang");
        }
        let failure = post(&client(BRIEF), &format!("http://{address}/orders")).await.unwrap_err();
        assert_eq!(failure, HttpFailure::NotSent(Cause::NoAnswerInTime));
    });
}

#[test]
fn request_that_was_read_but_never_answered_has_an_unknown_outcome() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (read, was_read) = oneshot::channel();
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read.send(read_request(&mut stream).await).unwrap();
            std::future::pending::<()>().await;
            drop(stream);
        });
        let failure = post(&client(BRIEF), &format!("http://{address}/orders")).await.unwrap_err();
        assert_eq!(failure, HttpFailure::OutcomeUnknown(Cause::NoAnswerInTime));
        assert!(was_read.await.unwrap().ends_with(BODY), "it did reach the venue");
    });
}

#[test]
fn read_without_a_body_and_without_an_answer_is_never_called_not_sent() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let failure = get(&client(BRIEF), &format!("http://{address}/orders")).await.unwrap_err();
        assert_eq!(failure, HttpFailure::OutcomeUnknown(Cause::NoAnswerInTime));
        drop(listener);
    });
}

#[test]
fn reused_connection_closed_by_the_peer_leaves_an_unknown_outcome_and_nothing_is_sent_twice() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (mut requests, mut connections) = (0, 0);
        let (stop, mut stopped) = oneshot::channel::<()>();
        let server = tokio::task::spawn_local(async move {
            loop {
                let mut stream = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    _ = &mut stopped => return (requests, connections),
                };
                connections += 1;
                while read_request(&mut stream).await.ends_with(BODY) {
                    requests += 1;
                    if requests >= 2 {
                        break;
                    }
                    stream.write_all(OK.as_bytes()).await.unwrap();
                }
            }
        });
        let (client, url) = (client(SOON), format!("http://{address}/orders"));
        assert_eq!(post(&client, &url).await.unwrap().status, 200);
        let failure = post(&client, &url).await.unwrap_err();
        assert!(matches!(failure, HttpFailure::OutcomeUnknown(Cause::Broken(_))), "{failure:?}");
        stop.send(()).unwrap();
        assert_eq!(server.await.unwrap(), (2, 1), "two requests on one connection, and no third try");
    });
}

#[test]
fn idle_connection_closed_by_the_peer_never_makes_a_request_arrive_twice() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let (counted, mut count) = tokio::sync::watch::channel(0);
        tokio::task::spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                if read_request(&mut stream).await.ends_with(BODY) {
                    counted.send_modify(|count| *count += 1);
                    // Promises to keep the connection, then closes it.
                    stream.write_all(OK.as_bytes()).await.unwrap();
                }
            }
        });
        let (client, url) = (client(SOON), format!("http://{address}/orders"));
        for asked in 1..=20 {
            let before = *count.borrow_and_update();
            match post(&client, &url).await {
                Ok(answer) => {
                    assert_eq!(answer.status, 200);
                    assert_eq!(*count.borrow(), before + 1, "request {asked}");
                }
                Err(HttpFailure::NotSent(_)) => assert_eq!(*count.borrow(), before, "request {asked}"),
                Err(HttpFailure::OutcomeUnknown(_)) => assert!(*count.borrow() <= before + 1, "request {asked}"),
            }
        }
    });
}

#[test]
fn redirect_is_an_answer_and_is_not_followed() {
    on_runtime(async {
        let (elsewhere, elsewhere_address) = listen().await;
        let (listener, address) = listen().await;
        tokio::task::spawn_local(async move {
            for status in [302, 303, 307] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = [0; 4_096];
                assert!(stream.read(&mut buffer).await.unwrap() > 0);
                let answer = format!(
                    "HTTP/1.1 {status} Elsewhere\r\nLocation: http://{elsewhere_address}/\r\n\
                     Connection: close\r\nContent-Length: 0\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let (client, url) = (client(SOON), format!("http://{address}/orders"));
        tokio::select! {
            biased;
            _ = elsewhere.accept() => panic!("somebody came to the other address"),
            () = async {
                assert_eq!(get(&client, &url).await.unwrap().status, 302);
                assert_eq!(post(&client, &url).await.unwrap().status, 303);
                assert_eq!(post(&client, &url).await.unwrap().status, 307);
            } => {}
        }
    });
}

#[test]
fn request_whose_time_to_send_has_passed_is_withdrawn_and_never_reaches_the_venue() {
    on_runtime(async {
        let (listener, address) = listen().await;
        let server = tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await
        });
        let client = client(SOON);
        let failure = post_by(&client, &format!("http://{address}/orders"), Some(MonoNanos(0))).await.unwrap_err();
        let HttpFailure::NotSent(_) = failure else { panic!("{failure:?}") };
        drop(client);
        assert!(!server.await.unwrap().contains(BODY));
    });
}

#[test]
fn time_to_send_by_ends_a_hung_handshake_long_before_the_patience_does() {
    on_runtime(async {
        let (_listener, address) = listen().await;
        let send_by = clock().mono().after(BRIEF);
        let failure =
            post_by(&client(SOON * 10), &format!("https://{address}/orders"), Some(send_by)).await.unwrap_err();
        assert_eq!(failure, HttpFailure::NotSent(Cause::SendByPassed));
    });
}

#[test]
fn time_to_send_by_does_not_cut_off_an_answer_to_what_was_sent() {
    on_runtime(async {
        let (listener, address) = listen().await;
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            tokio::time::sleep(SECOND + BRIEF).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        let send_by = clock().mono().after(SECOND);
        let answer = post_by(&client(SOON), &format!("http://{address}/orders"), Some(send_by)).await.unwrap();
        assert_eq!(answer.status, 200);
    });
}

#[test]
fn answer_larger_than_allowed_has_an_unknown_outcome() {
    on_runtime(async {
        let (listener, address) = listen().await;
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n{}", "x".repeat(1_001));
            stream.write_all(answer.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        let failure = post(&client(SOON), &format!("http://{address}/orders")).await.unwrap_err();
        assert_eq!(failure, HttpFailure::OutcomeUnknown(Cause::AnswerTooLarge { bytes_max: 1_000 }));
    });
}

#[test]
fn plain_text_beyond_literal_loopback_is_refused_before_anything_is_connected() {
    on_runtime(async {
        for url in ["http://10.0.0.1/orders", "http://localhost.evil.test/orders", "http://localhost/orders"] {
            let failure = post(&client(SOON), url).await.unwrap_err();
            let refused =
                matches!(&failure, HttpFailure::NotSent(Cause::Address(AddressError::PlaintextRefused { .. })));
            assert!(refused, "{url}: {failure:?}");
        }
    });
}

#[test]
fn header_that_cannot_be_sent_is_named_without_its_value() {
    on_runtime(async {
        let request = HttpRequest {
            method: HttpMethod::Post,
            url: "https://127.0.0.1/",
            headers: &[("x-passphrase", "two\nlines")],
            body: Bytes::from_static(b"{}"),
            send_by: None,
        };
        let failure = client(SOON).send(request).await.unwrap_err();
        assert_eq!(failure, HttpFailure::NotSent(Cause::Header("x-passphrase".to_owned())));
    });
}

#[test]
fn proxy_of_the_environment_is_not_used() {
    const NAME: &str = "proxy_of_the_environment_is_not_used";
    const CHILD: &str = "NET_TEST_BEHIND_A_DEAD_PROXY";
    if std::env::var_os(CHILD).is_none() {
        // The environment can only be set for a new process: this test, run again.
        let dead_proxy = "http://127.0.0.1:1";
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME])
            .env(CHILD, "1")
            .env("http_proxy", dead_proxy)
            .env("HTTP_PROXY", dead_proxy)
            .env("all_proxy", dead_proxy)
            .env("ALL_PROXY", dead_proxy)
            .env_remove("no_proxy")
            .env_remove("NO_PROXY")
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&child.stdout).into_owned();
        assert!(child.status.success() && report.contains("1 passed"), "{report}");
        return;
    }
    on_runtime(async {
        let (listener, address) = listen().await;
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        assert_eq!(post(&client(SOON), &format!("http://{address}/")).await.unwrap().status, 200);
    });
}

#[test]
fn public_reads_stop_at_their_share_and_go_on_when_time_has_passed() {
    on_runtime(async {
        let (listener, address) = listen().await;
        tokio::task::spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = [0; 4_096];
                while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
                    stream.write_all(OK.as_bytes()).await.unwrap();
                }
            }
        });
        let clock = Arc::new(ManualClock::new(UnixNanos(0), MonoNanos(1_000_000_000)));
        let share = PublicConfig { per_second: NonZeroU32::new(4).unwrap(), burst: NonZeroU32::new(2).unwrap() };
        let public = PublicClient::new(client(SOON), share, clock.clone());
        let url = format!("http://{address}/ticker");
        assert_eq!(public.get(&url).await.unwrap().status, 200);
        assert_eq!(public.clone().get(&url).await.unwrap().status, 200);
        let used_up = public.get(&url).await.unwrap_err();
        assert_eq!(used_up, PublicError::ShareUsedUp { retry_in: Duration::from_millis(250) });
        clock.advance(Duration::from_millis(250));
        assert_eq!(public.get(&url).await.unwrap().status, 200);
    });
}
