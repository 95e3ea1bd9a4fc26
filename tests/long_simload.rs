//! The embedded exchange under load: many clients at once, each with its own account, keep-alive connection and private
//! stream. No private event may be lost or out of order.
//!
//! The client is written here from the venue's documents and shares nothing with the exchange or the codecs. Half of the
//! clients rest orders, the other half takes them, so that orders live, fill in parts, fill and are cancelled. Times are
//! measured from the moment at which an order was due, so that waiting behind a slow one counts.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed assumption fails the test; measurements are printed"
)]

use base64::Engine as _;
use clock::SystemClock;
use domain::{Asset, Clock as _, MonoNanos};
use futures_util::{SinkExt as _, StreamExt as _};
use hdrhistogram::Histogram;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sim_venue::{
    AccountConfig, ApiKeyMaterial, Environment, KeyConfig, Market, Permission, RateLimits, RunningSim, SimConfig,
    SimVenue,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where all clients meet.
const PRICE: &str = "60000.00";
/// Takers take a quarter more than rests, one in ten of them in vain: what rests stays far below the bound of an account.
const RESTING: &str = "0.000200";
const TAKING: &str = "0.000250";

/// What is asked of the exchange.
#[derive(Clone, Copy)]
struct Load {
    clients: usize,
    /// Of all clients together.
    orders_per_second: u64,
    span: Duration,
}

/// What was pushed about one order.
#[derive(Default)]
struct Story {
    due: MonoNanos,
    /// Status and cumulative quantity, push by push.
    pushed: Vec<(String, Decimal)>,
    /// Quantities of the fill channel.
    filled: Decimal,
}

/// One client's orders and what came of them.
#[derive(Default)]
struct Book {
    stories: BTreeMap<String, Story>,
    /// Client order ids in the order of placing.
    placed: Vec<String>,
    /// Client order ids in the order of their first pushes.
    first_pushes: Vec<String>,
    acks: Vec<u64>,
    pushes: Vec<u64>,
}

/// A connection that stays open, and the key that signs on it.
struct Rest {
    socket: TcpStream,
    host: String,
    key: ApiKeyMaterial,
    read: Vec<u8>,
}

impl Rest {
    async fn open(sim: &RunningSim, key: ApiKeyMaterial) -> Self {
        let host = sim.rest.trim_start_matches("http://").to_owned();
        let socket = TcpStream::connect(&host).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket, host, key, read: Vec::new() }
    }

    async fn post(&mut self, path: &str, body: &str) -> Value {
        let timestamp = SystemClock.unix().as_millis().to_string();
        let sign = signature(&self.key.secret, &format!("{timestamp}POST{path}{body}"));
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nACCESS-KEY: {}\r\nACCESS-SIGN: {sign}\r\n\
             ACCESS-TIMESTAMP: {timestamp}\r\nACCESS-PASSPHRASE: {}\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            self.key.key,
            self.key.passphrase,
            body.len()
        );
        self.socket.write_all(request.as_bytes()).await.unwrap();
        self.answer().await
    }

    async fn answer(&mut self) -> Value {
        loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.read[..end]).to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.expect("a length").trim().parse().unwrap();
                if self.read.len() >= end + 4 + length {
                    let body = serde_json::from_slice(&self.read[end + 4..end + 4 + length]).unwrap();
                    self.read.drain(..end + 4 + length);
                    return body;
                }
            }
            let mut more = [0; 4_096];
            let count = self.socket.read(&mut more).await.unwrap();
            assert!(count > 0, "the exchange closed a kept connection");
            self.read.extend_from_slice(&more[..count]);
        }
    }
}

fn signature(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A logged-in stream with orders and fills.
async fn stream(sim: &RunningSim, key: &ApiKeyMaterial) -> Stream {
    let (mut stream, _) = connect_async(&sim.ws_private).await.unwrap();
    let timestamp = (SystemClock.unix().as_millis() / 1_000).to_string();
    let sign = signature(&key.secret, &format!("{timestamp}GET/user/verify"));
    let login = json!({"op": "login", "args": [
        {"apiKey": key.key, "passphrase": key.passphrase, "timestamp": timestamp, "sign": sign}]});
    say(&mut stream, &login).await;
    for channel in ["orders", "fill"] {
        let arg = json!({"instType": "SPOT", "channel": channel, "instId": "default"});
        say(&mut stream, &json!({"op": "subscribe", "args": [arg]})).await;
    }
    stream
}

/// Sends a request and waits for its acknowledgement.
async fn say(stream: &mut Stream, request: &Value) {
    stream.send(Message::text(request.to_string())).await.unwrap();
    loop {
        let frame = stream.next().await.expect("the stream goes on").unwrap();
        let frame: Value = serde_json::from_str(frame.to_text().unwrap()).unwrap();
        if frame["event"].is_string() {
            assert_ne!(frame["event"], "error", "{frame}");
            return;
        }
    }
}

/// Places this client's share of the orders, each when it is due.
async fn place(mut rest: Rest, number: usize, load: Load, book: Rc<RefCell<Book>>, start: MonoNanos) {
    let every =
        Duration::from_secs(1) * u32::try_from(load.clients).unwrap() / u32::try_from(load.orders_per_second).unwrap();
    let count = load.span.as_nanos() / every.as_nanos();
    let rests = number.is_multiple_of(2);
    for order in 0..u32::try_from(count).unwrap() {
        // Clients take turns, so that the load is even.
        let due =
            start.after(every * order + every * u32::try_from(number).unwrap() / u32::try_from(load.clients).unwrap());
        tokio::time::sleep(due.since(SystemClock.mono())).await;
        let id = format!("load-{number}-{order}");
        {
            let mut book = book.borrow_mut();
            book.stories.insert(id.clone(), Story { due, ..Story::default() });
            book.placed.push(id.clone());
        }
        let (side, force, size) = if rests { ("sell", "gtc", RESTING) } else { ("buy", "ioc", TAKING) };
        // Every tenth order of a taker looks for a price that nobody offers.
        let price = if !rests && order % 10 == 9 { "59000.00" } else { PRICE };
        let body = json!({"symbol": "BTCUSDT", "side": side, "orderType": "limit", "force": force, "price": price,
            "size": size, "clientOid": id});
        let answer = rest.post("/api/v2/spot/trade/place-order", &body.to_string()).await;
        assert_eq!(answer["code"], "00000", "{answer}");
        book.borrow_mut().acks.push(micros(due));
    }
    // What still rests is taken back, so that every order has an end.
    let answer = rest.post("/api/v2/spot/trade/cancel-symbol-order", r#"{"symbol":"BTCUSDT"}"#).await;
    assert_eq!(answer["code"], "00000", "{answer}");
}

fn micros(since: MonoNanos) -> u64 {
    u64::try_from(SystemClock.mono().since(since).as_micros()).unwrap()
}

/// Notes every push, in the order of the stream.
async fn listen(mut stream: Stream, book: Rc<RefCell<Book>>) {
    while let Some(frame) = stream.next().await {
        let Ok(Message::Text(text)) = frame else { continue };
        let Ok(frame) = serde_json::from_str::<Value>(&text) else { continue };
        for item in frame["data"].as_array().into_iter().flatten() {
            take(&mut book.borrow_mut(), frame["arg"]["channel"].as_str().unwrap_or_default(), item);
        }
    }
    panic!("the exchange closed a private stream");
}

fn take(book: &mut Book, channel: &str, item: &Value) {
    let number = |name: &str| item[name].as_str().unwrap_or("0").parse::<Decimal>().unwrap();
    let id = item["clientOid"].as_str().unwrap_or_default().to_owned();
    match channel {
        "orders" => {
            let story = book.stories.get_mut(&id).expect("an order of this client");
            if story.pushed.is_empty() {
                book.pushes.push(micros(story.due));
                book.first_pushes.push(id);
            }
            story.pushed.push((item["status"].as_str().unwrap().to_owned(), number("accBaseVolume")));
        }
        "fill" => {
            // Fills name the venue's id alone; their sum is compared for the client as a whole.
            book.stories.entry(String::new()).or_default().filled += number("size");
        }
        _ => {}
    }
}

fn over(status: &str) -> bool {
    matches!(status, "filled" | "cancelled" | "canceled")
}

impl Book {
    /// Orders whose end has not been pushed.
    fn open(&self) -> usize {
        let ended = |id: &&String| self.stories[*id].pushed.last().is_some_and(|(status, _)| over(status));
        self.placed.len() - self.placed.iter().filter(ended).count()
    }

    /// Every order's story is whole and in order, and so is the order of the orders.
    fn is_whole(&self) {
        let mut sum = Decimal::ZERO;
        for id in &self.placed {
            let pushed = &self.stories[id].pushed;
            assert_eq!(pushed.first().map(|(status, _)| status.as_str()), Some("live"), "{id}: {pushed:?}");
            assert!(pushed.is_sorted_by_key(|(_, filled)| *filled), "{id} runs back: {pushed:?}");
            let ends = pushed.iter().filter(|(status, _)| over(status)).count();
            assert_eq!(ends, 1, "{id} ends once: {pushed:?}");
            assert!(over(&pushed.last().unwrap().0), "{id} goes on after its end: {pushed:?}");
            let mut grown = pushed.iter().filter(|(status, _)| status == "partially_filled" || status == "filled");
            assert!(grown.all(|(_, filled)| *filled > Decimal::ZERO), "{id}: {pushed:?}");
            sum += pushed.last().unwrap().1;
        }
        assert_eq!(self.first_pushes, self.placed, "orders are told in the order in which they came");
        let fills = self.stories.get("").map_or(Decimal::ZERO, |story| story.filled);
        assert_eq!(fills, sum, "the fill channel tells what the orders channel tells");
    }
}

fn exchange(clients: usize) -> (RunningSim, Vec<ApiKeyMaterial>) {
    let asset = |code: &str| Asset::from(code).unwrap();
    let balances = vec![(asset("USDT"), Decimal::from(50_000_000)), (asset("BTC"), Decimal::from(1_000))];
    let keys: Vec<ApiKeyMaterial> = (1..clients).map(|_| ApiKeyMaterial::generate().unwrap()).collect();
    let config = SimConfig {
        market: Market::Quiet,
        rate_limits: RateLimits { enforced: false, ..RateLimits::default() },
        balances: balances.clone(),
        extra_accounts: keys
            .iter()
            .map(|_| AccountConfig { balances: balances.clone(), ..AccountConfig::default() })
            .collect(),
        extra_keys: keys
            .iter()
            .zip(1..)
            .map(|(material, account)| KeyConfig {
                material: material.clone(),
                permissions: vec![Permission::Read, Permission::Trade],
                ips: Vec::new(),
                environment: Environment::Production,
                account,
            })
            .collect(),
        ..SimConfig::default()
    };
    let sim = SimVenue::start(config, Arc::new(SystemClock)).unwrap();
    let keys = std::iter::once(sim.key.clone()).chain(keys).collect();
    (sim, keys)
}

fn run(load: Load) {
    let (sim, keys) = exchange(load.clients);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let books: Vec<Rc<RefCell<Book>>> = keys.iter().map(|_| Rc::default()).collect();
    let took = tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut clients = Vec::new();
        for (key, book) in keys.iter().zip(&books) {
            let stream = stream(&sim, key).await;
            tokio::task::spawn_local(listen(stream, Rc::clone(book)));
            clients.push(Rest::open(&sim, key.clone()).await);
        }
        let start = SystemClock.mono().after(Duration::from_millis(100));
        let tasks: Vec<_> = clients
            .into_iter()
            .zip(&books)
            .zip(0..)
            .map(|((rest, book), number)| tokio::task::spawn_local(place(rest, number, load, Rc::clone(book), start)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let took = SystemClock.mono().since(start);
        let ended = SystemClock.mono();
        while books.iter().any(|book| book.borrow().open() > 0) {
            assert!(SystemClock.mono().since(ended) < PATIENCE, "events are missing after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Whatever else was on its way has time to show itself.
        tokio::time::sleep(Duration::from_millis(300)).await;
        took
    });
    let mut orders = 0;
    let (mut acks, mut pushes) = (Histogram::<u64>::new(3).unwrap(), Histogram::<u64>::new(3).unwrap());
    for book in &books {
        let book = book.borrow();
        book.is_whole();
        orders += book.placed.len();
        book.acks.iter().for_each(|time| acks.record(*time).unwrap());
        book.pushes.iter().for_each(|time| pushes.record(*time).unwrap());
    }
    sim.stop();
    let measure = |name: &str, value: f64, unit: &str| {
        println!("measure: {}", json!({"name": name, "value": value, "unit": unit}));
    };
    #[expect(clippy::cast_precision_loss, reason = "counts of a measurement")]
    {
        let rate = orders as f64 / took.as_secs_f64();
        measure("clients", load.clients as f64, "");
        measure("orders", orders as f64, "");
        measure("orders a second", rate, "1/s");
        for (what, times) in [("order to ack", &acks), ("order to push", &pushes)] {
            for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
                measure(&format!("{what} {name}"), times.value_at_quantile(quantile) as f64 / 1_000.0, "ms");
            }
        }
        assert!(rate > 0.9 * load.orders_per_second as f64, "only {rate:.0} orders a second");
    }
}

#[test]
#[ignore = "runs for a minute and wants two cores: cargo xtask long simload"]
fn no_private_event_is_lost_or_reordered_at_two_thousand_orders_a_second() {
    run(Load { clients: 20, orders_per_second: 2_000, span: Duration::from_secs(60) });
}

#[test]
fn no_private_event_is_lost_or_reordered_under_a_short_load() {
    run(Load { clients: 6, orders_per_second: 120, span: Duration::from_secs(2) });
}
