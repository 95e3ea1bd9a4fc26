//! A REST and a stream client for the tests.

use base64::Engine as _;
use clock::SystemClock;
use domain::Clock as _;
use futures_util::{SinkExt as _, StreamExt as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sim_venue::{ApiKeyMaterial, Market, RateLimits, RunningSim, SimConfig, SimVenue};
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longer than anything here may take; reaching it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A market without anybody else, and no limits on requests.
pub(crate) fn quiet() -> SimConfig {
    let limits = RateLimits { enforced: false, ..RateLimits::default() };
    SimConfig {
        market: Market::Quiet,
        rate_limits: limits,
        book_interval: Duration::from_millis(50),
        ..SimConfig::default()
    }
}

/// The seeded market, publishing often.
pub(crate) fn seeded() -> SimConfig {
    SimConfig { market: Market::Seeded, ..quiet() }
}

pub(crate) fn start(config: SimConfig) -> RunningSim {
    SimVenue::start(config, Arc::new(SystemClock)).unwrap()
}

pub(crate) fn now_ms() -> u64 {
    SystemClock.unix().as_millis()
}

pub(crate) fn signature(secret: &str, prehash: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(prehash.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
    pub(crate) body: Value,
    /// What the answer says is left of the caller's second.
    pub(crate) left: Option<String>,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    /// The data of a success.
    pub(crate) fn data(&self) -> &Value {
        assert_eq!(
            (self.status, self.code(), self.body["msg"].as_str()),
            (200, "00000", Some("success")),
            "{}",
            self.text
        );
        assert!(self.body["requestTime"].is_u64());
        &self.body["data"]
    }

    /// The code of a failure, whose shape is always the same.
    pub(crate) fn failure(&self) -> (u16, &str) {
        assert!(self.body["msg"].as_str().is_some_and(|words| !words.is_empty()), "{}", self.text);
        assert!(self.body["data"].is_null() && self.body["requestTime"].is_u64(), "{}", self.text);
        (self.status, self.code())
    }
}

#[derive(Clone)]
pub(crate) struct Rest {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) key: ApiKeyMaterial,
    pub(crate) paper: bool,
    pub(crate) clock_error_ms: i64,
}

impl Rest {
    pub(crate) fn new(sim: &RunningSim) -> Self {
        // The client library wants to know its cryptography even for plain HTTP; a second call is refused and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { http, base: sim.rest.clone(), key: sim.key.clone(), paper: false, clock_error_ms: 0 }
    }

    pub(crate) async fn send(&self, method: &str, target: &str, body: &str) -> Result<Answer, reqwest::Error> {
        let timestamp = now_ms().saturating_add_signed(self.clock_error_ms).to_string();
        let sign = signature(&self.key.secret, &format!("{timestamp}{method}{target}{body}"));
        let mut request = self
            .http
            .request(method.parse().unwrap(), format!("{}{target}", self.base))
            .header("ACCESS-KEY", &self.key.key)
            .header("ACCESS-SIGN", sign)
            .header("ACCESS-TIMESTAMP", timestamp)
            .header("ACCESS-PASSPHRASE", &self.key.passphrase)
            .header("locale", "en-US")
            .header("Content-Type", "application/json");
        if self.paper {
            request = request.header("paptrading", "1");
        }
        if !body.is_empty() {
            request = request.body(body.to_owned());
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let left = answer.headers().get("x-mbx-used-remain-limit").and_then(|left| left.to_str().ok());
        let left = left.map(str::to_owned);
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer { status, text, body, left })
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "").await.unwrap()
    }

    pub(crate) async fn post(&self, target: &str, body: &Value) -> Answer {
        self.send("POST", target, &body.to_string()).await.unwrap()
    }

    pub(crate) async fn place(&self, order: &Value) -> Answer {
        self.post("/api/v2/spot/trade/place-order", order).await
    }

    pub(crate) async fn order_info(&self, client_oid: &str) -> Value {
        self.get(&format!("/api/v2/spot/trade/orderInfo?clientOid={client_oid}")).await.data().clone()
    }
}

/// A limit order's body.
pub(crate) fn limit(side: &str, price: &str, size: &str, force: &str, client_oid: &str) -> Value {
    json!({"symbol": "BTCUSDT", "side": side, "orderType": "limit", "force": force, "price": price, "size": size, "clientOid": client_oid})
}

pub(crate) struct Stream {
    socket: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
}

impl Stream {
    pub(crate) async fn connect(url: &str) -> Self {
        let (socket, _) = connect_async(url).await.unwrap();
        Self { socket }
    }

    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    /// The next text, or `None` when the connection has ended.
    pub(crate) async fn text(&mut self) -> Option<String> {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    pub(crate) async fn json(&mut self) -> Value {
        let text = self.text().await.expect("an open connection");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"))
    }

    /// The next frame that fits; everything before it is skipped.
    pub(crate) async fn find(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame = self.json().await;
            if fits(&frame) {
                return frame;
            }
        }
    }

    /// The next push of a channel.
    pub(crate) async fn push(&mut self, channel: &str) -> Value {
        self.find(|frame| frame["action"].is_string() && frame["arg"]["channel"] == channel).await
    }

    pub(crate) async fn subscribe(&mut self, arg: &Value) {
        self.send(json!({"op": "subscribe", "args": [arg]}).to_string()).await;
        let ack = self.find(|frame| frame["event"].is_string()).await;
        assert_eq!(ack, json!({"event": "subscribe", "arg": arg}));
    }

    pub(crate) async fn log_in(&mut self, key: &ApiKeyMaterial) -> Value {
        let timestamp = (now_ms() / 1_000).to_string();
        let sign = signature(&key.secret, &format!("{timestamp}GET/user/verify"));
        let arg = json!({"apiKey": key.key, "passphrase": key.passphrase, "timestamp": timestamp, "sign": sign});
        self.send(json!({"op": "login", "args": [arg], "url": "tolerated"}).to_string()).await;
        self.json().await
    }

    /// A logged-in stream with the three private channels.
    pub(crate) async fn private(sim: &RunningSim) -> Self {
        let mut stream = Self::connect(&sim.ws_private).await;
        assert_eq!(stream.log_in(&sim.key).await["code"], 0);
        stream.subscribe(&json!({"instType": "SPOT", "channel": "account", "coin": "default"})).await;
        let balances = stream.push("account").await;
        assert!(
            balances["data"].as_array().is_some_and(|coins| coins.len() >= 2),
            "the account channel begins with all coins"
        );
        for channel in ["orders", "fill"] {
            stream.subscribe(&json!({"instType": "SPOT", "channel": channel, "instId": "default"})).await;
        }
        stream
    }
}
