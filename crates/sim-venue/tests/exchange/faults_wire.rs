//! Faults of connections and frames, as they look on the wire.

use crate::client::{PATIENCE, Stream, limit, quiet, seeded, start};
use crate::client::{Rest, now_ms};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use sim_venue::{FaultKind, FaultPlan, RunningSim, SimConfig};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

fn faulty(base: SimConfig, toml: &str) -> RunningSim {
    start(SimConfig { faults: FaultPlan::from_toml(toml).unwrap(), ..base })
}

fn books() -> Value {
    json!({"instType": "SPOT", "channel": "books", "instId": "BTCUSDT"})
}

/// Plans faults now, as the control endpoint does.
fn plan(sim: &RunningSim, json: &Value) {
    let plan = FaultPlan::from_json(&json!({"fault": [json]}).to_string()).unwrap();
    sim.control().add_faults(plan).unwrap();
}

fn fired(sim: &RunningSim, name: &str) -> u64 {
    let report = sim.control().fault_report();
    let all = report["fired"].as_array().unwrap().iter().filter(|entry| entry["name"] == name);
    all.filter_map(|entry| entry["times"].as_u64()).sum()
}

/// The HTTP status that a handshake is refused with.
async fn status(url: &str) -> Option<u16> {
    match connect_async(url).await {
        Err(Error::Http(answer)) => Some(answer.status().as_u16()),
        Err(other) => panic!("{other}"),
        Ok(_) => None,
    }
}

#[tokio::test]
async fn handshakes_are_refused_with_the_status_of_the_fault_and_then_work_again() {
    for (name, code) in [("handshake-403", 403), ("handshake-429", 429), ("handshake-5xx", 503)] {
        let sim = faulty(quiet(), &format!("[[fault]]\nname = \"{name}\"\nat_handshake = 2\ntimes = 2\n"));
        let answers = [
            status(&sim.ws_public).await,
            status(&sim.ws_private).await,
            status(&sim.ws_public).await,
            status(&sim.ws_public).await,
        ];
        assert_eq!(answers, [None, Some(code), Some(code), None], "{name}");
        assert_eq!(fired(&sim, name), 2);
    }
    let sim = start(quiet());
    plan(&sim, &json!({"name": "handshake-5xx", "where": "private", "code": "502"}));
    assert_eq!((status(&sim.ws_public).await, status(&sim.ws_private).await), (None, Some(502)));
}

#[tokio::test]
async fn a_slow_handshake_is_answered_late_and_then_works() {
    let sim = start(quiet());
    plan(&sim, &json!({"name": "slow-handshake", "delay_ms": 700}));
    let began = now_ms();
    let mut stream = Stream::connect(&sim.ws_public).await;
    assert!(now_ms() - began >= 700);
    stream.send("ping").await;
    assert_eq!(stream.text().await.as_deref(), Some("pong"));
    let began = now_ms();
    Stream::connect(&sim.ws_public).await;
    assert!(now_ms() - began < 600, "only once");
}

#[tokio::test]
async fn a_half_open_connection_stays_open_and_answers_nothing_not_even_pings() {
    let sim = start(seeded());
    let (mut dead, _) = connect_async(sim.ws_public.as_str()).await.unwrap();
    let subscribe = json!({"op": "subscribe", "args": [books()]}).to_string();
    dead.send(Message::text(subscribe)).await.unwrap();
    for _ in 0..3 {
        dead.next().await.unwrap().unwrap();
    }
    plan(&sim, &json!({"name": "half-open", "duration_s": 2}));
    dead.send(Message::text("ping")).await.unwrap();
    dead.send(Message::Ping(b"there?".as_slice().into())).await.unwrap();
    let mut silence = tokio::time::Instant::now() + Duration::from_millis(1_200);
    let until = now_ms() + 1_600;
    // What was on its way when it fell silent may still arrive; then nothing, and no end either.
    while let Ok(frame) = tokio::time::timeout_at(silence, dead.next()).await {
        let frame = frame.expect("not closed").expect("not broken");
        assert!(!matches!(&frame, Message::Pong(_)) && frame.to_text().ok() != Some("pong"), "{frame:?}");
        assert!(now_ms() < until, "data go on");
        silence = tokio::time::Instant::now() + Duration::from_millis(900);
    }
    let mut fresh = Stream::connect(&sim.ws_public).await;
    fresh.subscribe(&books()).await;
    fresh.push("books").await;
    // When its time is over it is cut without a farewell.
    let end = tokio::time::timeout(PATIENCE, dead.next()).await.unwrap();
    assert!(matches!(end, None | Some(Err(_))), "{end:?}");
}

#[tokio::test]
async fn a_private_drop_and_a_private_stall_leave_the_public_streams_alone() {
    let sim = start(quiet());
    let (rest, mut private) = (Rest::new(&sim), Stream::private(&sim).await);
    let mut public = Stream::connect(&sim.ws_public).await;
    plan(&sim, &json!({"name": "stall", "where": "private", "duration_s": 1}));
    rest.place(&limit("buy", "50000", "0.001", "gtc", "unseen")).await.data();
    private.send("ping").await;
    assert_eq!(private.text().await.as_deref(), Some("pong"), "alive, and no push of the order");
    tokio::time::timeout(PATIENCE, async {
        // After its end pushes come again, and the one in between is lost.
        for number in 0.. {
            rest.place(&limit("buy", "50000", "0.001", "gtc", &format!("seen-{number}"))).await.data();
            private.send("ping").await;
            if private.text().await.is_some_and(|text| text != "pong") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("pushes resume");
    plan(&sim, &json!({"name": "drop", "where": "private"}));
    while private.text().await.is_some() {}
    public.send("ping").await;
    assert_eq!(public.text().await.as_deref(), Some("pong"));
}

/// The next `count` updates of the book as their own and their predecessor's number.
async fn numbers(stream: &mut Stream, count: usize) -> Vec<(u64, u64)> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let push = stream.find(|frame| frame["arg"]["channel"] == "books" && frame["action"] == "update").await;
        let data = &push["data"][0];
        numbers.push((data["pseq"].as_u64().unwrap(), data["seq"].as_u64().unwrap()));
    }
    numbers
}

#[tokio::test]
async fn a_duplicate_is_the_same_update_again() {
    let sim = faulty(seeded(), "[[fault]]\nname = \"duplicate\"\nat_frame = 3\n");
    let mut stream = Stream::connect(&sim.ws_public).await;
    stream.subscribe(&books()).await;
    let seen = numbers(&mut stream, 6).await;
    assert_eq!(seen[2], seen[3]);
    for pair in [(0, 1), (1, 2), (3, 4), (4, 5)] {
        assert_eq!(seen[pair.0].1, seen[pair.1].0, "{seen:?}");
    }
}

#[tokio::test]
async fn a_reordered_update_comes_after_the_one_that_follows_it() {
    let sim = faulty(seeded(), "[[fault]]\nname = \"reorder\"\nat_frame = 3\n");
    let mut stream = Stream::connect(&sim.ws_public).await;
    stream.subscribe(&books()).await;
    let seen = numbers(&mut stream, 6).await;
    assert_eq!((seen[3].1, seen[1].1), (seen[2].0, seen[3].0), "the fourth came before the third: {seen:?}");
    assert_eq!(seen[2].1, seen[4].0, "{seen:?}");
}

#[tokio::test]
async fn garbage_is_a_text_frame_that_is_no_json_in_place_of_an_update() {
    let sim = faulty(seeded(), "[[fault]]\nname = \"garbage\"\nat_frame = 2\n");
    let mut stream = Stream::connect(&sim.ws_public).await;
    stream.subscribe(&books()).await;
    let first = numbers(&mut stream, 1).await;
    let torn = stream.text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&torn).is_err() && torn.starts_with("{\"action\":\"update\""), "{torn}");
    let next = numbers(&mut stream, 1).await;
    assert_ne!(first[0].1, next[0].0, "the update that it was is missing");
}

#[tokio::test]
async fn a_huge_frame_has_the_size_asked_for_and_the_stream_goes_on_behind_it() {
    let sim = start(seeded());
    plan(&sim, &json!({"name": "huge-frame", "bytes": 20 * 1_024 * 1_024}));
    let config = WebSocketConfig::default().max_frame_size(Some(64 << 20)).max_message_size(Some(64 << 20));
    let (mut socket, _) =
        tokio_tungstenite::connect_async_with_config(sim.ws_public.as_str(), Some(config), false).await.unwrap();
    socket.send(Message::text(json!({"op": "subscribe", "args": [books()]}).to_string())).await.unwrap();
    let mut sizes = Vec::new();
    while sizes.len() < 6 {
        sizes.push(tokio::time::timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap().len());
    }
    assert_eq!(sizes.iter().filter(|size| **size == 20 * 1_024 * 1_024).count(), 1, "{sizes:?}");
    // A client with a bound refuses the frame and so loses the connection, as it should.
    let mut careful = Stream::connect(&sim.ws_public).await;
    careful.subscribe(&books()).await;
    plan(&sim, &json!({"name": "huge-frame", "bytes": 20 * 1_024 * 1_024}));
    while careful.text().await.is_some() {}
}

/// Reads WebSocket frames by hand: whether each is the last of its message, its opcode and its size.
async fn raw_frames(sim: &RunningSim, count: usize) -> Vec<(bool, u8, usize)> {
    let mut socket = tokio::net::TcpStream::connect(sim.address).await.unwrap();
    let hello = format!(
        "GET /v2/ws/public HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        sim.address
    );
    socket.write_all(hello.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let text = json!({"op": "subscribe", "args": [books()]}).to_string();
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    socket.write_all(&frame).await.unwrap();
    let mut frames = Vec::new();
    while frames.len() < count {
        let first = socket.read_u8().await.unwrap();
        let length = match socket.read_u8().await.unwrap() {
            126 => usize::from(socket.read_u16().await.unwrap()),
            127 => usize::try_from(socket.read_u64().await.unwrap()).unwrap(),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        socket.read_exact(&mut payload).await.unwrap();
        frames.push((first & 0x80 != 0, first & 0x0f, length));
    }
    frames
}

#[tokio::test]
async fn a_split_message_comes_in_several_websocket_frames_and_reads_as_one() {
    let sim = faulty(seeded(), "[[fault]]\nname = \"split-frame\"\nat_frame = 1\nparts = 4\n");
    let frames = tokio::time::timeout(PATIENCE, raw_frames(&sim, 12)).await.unwrap();
    let start = frames.iter().position(|(last, opcode, _)| !last && *opcode == 1).expect("a first part");
    let kinds: Vec<(bool, u8)> = frames[start..].iter().map(|(last, opcode, _)| (*last, *opcode)).collect();
    let end = kinds.iter().position(|(last, opcode)| *last && *opcode == 0).expect("a last part");
    assert!((3..=4).contains(&end), "{kinds:?}");
    assert!(kinds[1..end].iter().all(|kind| *kind == (false, 0)), "{kinds:?}");
    assert!(kinds[end + 1..].iter().all(|kind| *kind == (true, 1)), "{kinds:?}");
    // A client that puts them together sees nothing unusual.
    plan(&sim, &json!({"name": "split-frame", "times": 3}));
    let mut stream = Stream::connect(&sim.ws_public).await;
    stream.subscribe(&books()).await;
    let seen = numbers(&mut stream, 5).await;
    assert!(seen.windows(2).all(|pair| pair[0].1 == pair[1].0), "{seen:?}");
    assert_eq!(fired(&sim, "split-frame"), 4);
}

#[tokio::test]
async fn private_pushes_can_be_lost_doubled_and_swapped() {
    let sim = start(quiet());
    let (rest, mut stream) = (Rest::new(&sim), Stream::private(&sim).await);
    let order = |id: &str| limit("buy", "50000", "0.001", "gtc", id);
    plan(&sim, &json!({"name": "gap", "where": "private"}));
    rest.place(&order("lost")).await.data();
    let next = stream.json().await;
    assert_eq!(next["arg"]["channel"], "account", "the order's own push is missing: {next}");
    stream.push("account").await;
    sim.control().inject(FaultKind::DuplicatePush);
    rest.place(&order("twice")).await.data();
    assert_eq!(stream.push("orders").await, stream.json().await);
    for _ in 0..2 {
        stream.push("account").await;
    }
    plan(&sim, &json!({"name": "reorder", "where": "private"}));
    rest.place(&order("swapped")).await.data();
    let channels = [stream.json().await, stream.json().await].map(|frame| frame["arg"]["channel"].clone());
    assert_eq!(channels, ["account", "orders"], "the order's push comes behind the balance that follows it");
}

#[tokio::test]
async fn a_push_that_waits_to_be_overtaken_is_sent_when_nothing_follows() {
    let sim = start(quiet());
    let mut stream = Stream::connect(&sim.ws_private).await;
    assert_eq!(stream.log_in(&sim.key).await["code"], 0);
    stream.subscribe(&json!({"instType": "SPOT", "channel": "orders", "instId": "default"})).await;
    plan(&sim, &json!({"name": "reorder", "where": "private", "delay_ms": 300}));
    let began = now_ms();
    Rest::new(&sim).place(&limit("buy", "50000", "0.001", "gtc", "alone")).await.data();
    stream.push("orders").await;
    assert!(now_ms() - began >= 250);
}
