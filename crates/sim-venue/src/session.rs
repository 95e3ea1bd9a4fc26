//! What a stream client says, and what it is answered: log-in, subscriptions, first snapshots.

use crate::Category;
use crate::auth::Login;
use crate::entry::Entry;
use crate::hub::{Out, Topic, frame};
use crate::intervals::Interval;
use crate::venue::Venue;
use domain::Asset;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A frame from a client; members that are not named here are tolerated.
#[derive(Deserialize)]
struct ClientFrame<'a> {
    op: Option<String>,
    /// Of order entry in v3: what the client calls this request.
    #[serde(default)]
    id: Value,
    /// Of order entry in v3: what is to be done.
    #[serde(default)]
    topic: Value,
    /// Of order entry in v3: the kind of instrument.
    #[serde(default)]
    category: Value,
    #[serde(borrow, default)]
    args: Vec<&'a RawValue>,
}

/// What a subscription names: a `channel` of v2 or a `topic` of v3.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Arg {
    #[serde(rename = "instType")]
    inst_type: String,
    channel: String,
    topic: Option<String>,
    #[serde(rename = "instId", alias = "symbol")]
    inst_id: Option<String>,
    coin: Option<String>,
    interval: Option<String>,
}

impl Arg {
    /// The instrument it names; `default` and nothing mean every one.
    fn symbol(&self) -> Option<&str> {
        self.inst_id.as_deref().filter(|id| !id.eq_ignore_ascii_case("default"))
    }

    fn category(&self) -> Option<Category> {
        let kinds = [("SPOT", Category::Spot), ("USDT-FUTURES", Category::UsdtFutures)];
        kinds.into_iter().find(|(word, _)| self.inst_type.eq_ignore_ascii_case(word)).map(|(_, category)| category)
    }
}

/// Whether the connection goes on after a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Continue,
    /// Close it once what is queued has been written.
    Close,
}

/// The frame of a failure.
pub(crate) fn error_frame(code: u32, message: &str, arg: Option<&str>) -> String {
    let message = Value::String(message.to_owned());
    let arg = arg.map(|arg| format!(",\"arg\":{arg}")).unwrap_or_default();
    format!("{{\"event\":\"error\"{arg},\"code\":{code},\"msg\":{message}}}")
}

impl Venue {
    /// Answers one text frame; everything goes through the client's queue, in order.
    pub(crate) fn on_client_text(&mut self, session: u64, text: &str, channels_max: usize) -> Verdict {
        let Ok(frame) = serde_json::from_str::<ClientFrame<'_>>(text) else {
            self.answer(session, error_frame(30_002, "illegal request", None));
            return Verdict::Continue;
        };
        match frame.op.as_deref() {
            Some("login") => self.on_login(session, &frame.args),
            Some("subscribe") => {
                for arg in frame.args {
                    self.on_subscribe(session, arg.get(), channels_max);
                }
                Verdict::Continue
            }
            Some("unsubscribe") => {
                for arg in frame.args {
                    self.on_unsubscribe(session, arg.get());
                }
                Verdict::Continue
            }
            Some("trade") => {
                let args: Vec<Value> =
                    frame.args.iter().map(|arg| serde_json::from_str(arg.get()).unwrap_or_default()).collect();
                let entry = Entry { id: frame.id, topic: frame.topic, category: frame.category, args };
                self.on_entry(session, &entry);
                Verdict::Continue
            }
            _ => {
                self.answer(session, error_frame(30_003, "invalid op", None));
                Verdict::Continue
            }
        }
    }

    /// Puts a frame into a client's queue, behind what is already in it.
    pub(crate) fn answer(&mut self, session: u64, text: String) {
        self.hub.send(session, Out::Text(text));
    }

    fn on_login(&mut self, session: u64, args: &[&RawValue]) -> Verdict {
        let given: Value = args.first().and_then(|arg| serde_json::from_str(arg.get()).ok()).unwrap_or_default();
        let text = |name: &str| match given.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let (key, passphrase, timestamp, sign) = (text("apiKey"), text("passphrase"), text("timestamp"), text("sign"));
        let Some((address, unified)) = self.hub.get(session).map(|session| (session.address, session.unified)) else {
            return Verdict::Close;
        };
        let login = Login { key: &key, passphrase: &passphrase, timestamp: &timestamp, sign: &sign, address, unified };
        let mode = |account: usize| self.accounts.get(account).map(|account| account.mode).unwrap_or_default();
        match self.keys.log_in(&login, mode, self.now_ms()) {
            Ok(account) if self.frozen(account) => {
                self.answer(session, error_frame(30_005, "Account has been frozen", None));
                Verdict::Close
            }
            Ok(account) => {
                if let Some(session) = self.hub.get_mut(session) {
                    session.account = Some(account);
                    session.key = Some(key);
                }
                // Clients wait for the number zero; a text would leave them waiting.
                self.answer(session, format!("{{\"event\":\"login\",\"code\":0,\"connId\":\"{session:08x}\"}}"));
                Verdict::Continue
            }
            Err((code, message)) => {
                self.answer(session, error_frame(code, message, None));
                Verdict::Close
            }
        }
    }

    /// What an argument means; `None`: no such channel or instrument.
    fn topic(&self, arg: &Arg) -> Option<Topic> {
        if let Some(topic) = &arg.topic {
            return self.unified_topic(arg, topic);
        }
        let category = arg.category()?;
        let instrument = match arg.symbol() {
            Some(symbol) => Some(self.find(category, symbol)?.id),
            None => None,
        };
        let every = arg.inst_id.is_some() || arg.coin.is_some();
        let topic = match (category, arg.channel.as_str()) {
            (Category::Spot, "orders") if every => Topic::Orders(instrument),
            (Category::Spot, "fill") if every => Topic::Fills(instrument),
            (Category::Spot, "account") if every => {
                let coin = arg.coin.as_deref().or(arg.inst_id.as_deref());
                match coin.filter(|coin| !coin.eq_ignore_ascii_case("default")) {
                    Some(coin) => Topic::Balances(Some(Asset::from(coin).ok()?)),
                    None => Topic::Balances(None),
                }
            }
            (Category::Spot, "orders-algo") if every => Topic::Silent(0),
            (Category::UsdtFutures, "orders") if every => Topic::MixOrders(instrument),
            (Category::UsdtFutures, "fill") if every => Topic::MixFills(instrument),
            (Category::UsdtFutures, "account") if every => Topic::MixAccount,
            (Category::UsdtFutures, "positions") if every => Topic::MixPositions(instrument),
            (Category::UsdtFutures, "positions-history") if every => Topic::MixClosedPositions(instrument),
            (Category::UsdtFutures, "orders-algo") if every => Topic::Silent(1),
            (Category::UsdtFutures, "adl-noti") => Topic::Silent(2),
            (Category::UsdtFutures, "equity") => Topic::MixEquity,
            (_, "ticker") => Topic::Ticker(instrument?),
            (_, "trade") => Topic::Trade(instrument?),
            (_, "books") => Topic::Books(instrument?),
            (_, "books1") => Topic::ShortBook(instrument?, 1),
            (_, "books5") => Topic::ShortBook(instrument?, 5),
            (_, "books15") => Topic::ShortBook(instrument?, 15),
            (_, name) => Topic::Candle(instrument?, name.strip_prefix("candle").and_then(Interval::of_general)?),
        };
        Some(topic)
    }

    fn unified_topic(&self, arg: &Arg, topic: &str) -> Option<Topic> {
        if arg.inst_type.eq_ignore_ascii_case("UTA") {
            return Some(match topic {
                "order" => Topic::UnifiedOrders,
                "fill" => Topic::UnifiedFills,
                "fast-fill" => Topic::UnifiedFastFills,
                "account" => Topic::UnifiedAccount,
                "position" => Topic::UnifiedPositions,
                "strategy-order" => Topic::Silent(3),
                "adl-notification" => Topic::Silent(4),
                _ => return None,
            });
        }
        let id = self.find(arg.category()?, arg.symbol()?)?.id;
        Some(match topic {
            "ticker" => Topic::UnifiedTicker(id),
            "publicTrade" => Topic::UnifiedTrade(id),
            "books" => Topic::UnifiedBooks(id),
            "books1" => Topic::UnifiedShortBook(id, 1),
            "books5" => Topic::UnifiedShortBook(id, 5),
            "books50" => Topic::UnifiedShortBook(id, 50),
            "kline" => Topic::UnifiedCandle(id, Interval::of_general(arg.interval.as_deref()?)?),
            _ => return None,
        })
    }

    fn on_subscribe(&mut self, session: u64, raw: &str, channels_max: usize) {
        let arg: Arg = serde_json::from_str(raw).unwrap_or_default();
        let Some(topic) = self.topic(&arg) else {
            let channel = arg.topic.unwrap_or(arg.channel);
            let id = arg.inst_id.or(arg.coin).unwrap_or_default();
            let message = format!("instType:{},channel:{channel},instId:{id} doesn't exist", arg.inst_type);
            return self.answer(session, error_frame(30_001, &message, Some(raw)));
        };
        let Some(client) = self.hub.get_mut(session) else { return };
        let account = client.account;
        if topic.is_private() && account.is_none() {
            return self.answer(session, error_frame(30_004, "User not logged in", Some(raw)));
        }
        if client.topics.len() >= channels_max {
            return self.answer(session, error_frame(30_016, "Param error, too many channels", Some(raw)));
        }
        client.topics.retain(|(heard, _)| *heard != topic);
        self.answer(session, format!("{{\"event\":\"subscribe\",\"arg\":{raw}}}"));
        if let Some(data) = self.first_data(topic, account) {
            let text = frame("snapshot", raw, &data, self.now_ms());
            self.answer(session, text);
        }
        if let Some(client) = self.hub.get_mut(session) {
            client.topics.push((topic, raw.to_owned()));
        }
    }

    fn on_unsubscribe(&mut self, session: u64, raw: &str) {
        let arg: Arg = serde_json::from_str(raw).unwrap_or_default();
        if let (Some(topic), Some(client)) = (self.topic(&arg), self.hub.get_mut(session)) {
            client.topics.retain(|(heard, _)| *heard != topic);
        }
        self.answer(session, format!("{{\"event\":\"unsubscribe\",\"arg\":{raw}}}"));
    }

    /// What a channel sends at once; what tells of orders and fills begins with the next event.
    fn first_data(&self, topic: Topic, account: Option<usize>) -> Option<String> {
        if topic.is_private() { self.private_data(account?, topic) } else { self.market_data(topic) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Market;
    use crate::desk::tests::venue;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr};
    use tokio::sync::mpsc::channel;

    /// Frames that are almost right, which is where mistakes are.
    fn nearly() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            Just("SPOT".to_owned()),
            Just("books".to_owned()),
            Just("orders".to_owned()),
            Just("account".to_owned()),
            Just("candle1m".to_owned()),
            Just("BTCUSDT".to_owned()),
            Just("default".to_owned()),
            "[a-zA-Z0-9]{0,30}",
        ];
        let op = prop_oneof![Just("subscribe"), Just("unsubscribe"), Just("login"), Just("trade")];
        let names = ["instType", "channel", "instId", "coin", "apiKey", "sign", "timestamp"];
        let members = proptest::collection::vec((proptest::sample::select(names.to_vec()), word), 0..6);
        (op, members).prop_map(|(op, members)| {
            let arg: serde_json::Map<String, Value> =
                members.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
            serde_json::json!({"op": op, "args": [arg]}).to_string()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn every_frame_is_answered_in_json_whatever_the_client_says(frames in proptest::collection::vec(prop_oneof![nearly(), ".{0,80}"], 1..12)) {
            let (_, mut venue) = venue(Market::Quiet);
            let (queue, mut answers) = channel(1_000);
            let session = venue.hub.open(queue, None, IpAddr::V4(Ipv4Addr::LOCALHOST), true);
            for frame in frames {
                venue.on_client_text(session, &frame, 3);
                let mut answered = 0;
                while let Ok(Out::Text(text)) = answers.try_recv() {
                    prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{} -> {}", frame, text);
                    answered += 1;
                }
                prop_assert!(answered > 0, "{}", frame);
                prop_assert!(venue.hub.get(session).is_some_and(|client| client.account.is_none() && client.topics.len() <= 3));
            }
        }
    }
}
