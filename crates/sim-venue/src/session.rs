//! What a stream client says, and what it is answered: log-in, subscriptions, first snapshots.

use crate::auth::Login;
use crate::depth::PublishedBook;
use crate::feed::{candle_row, trade_item};
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
    #[serde(borrow, default)]
    args: Vec<&'a RawValue>,
}

/// What a subscription names.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Arg {
    #[serde(rename = "instType")]
    inst_type: String,
    channel: String,
    #[serde(rename = "instId")]
    inst_id: Option<String>,
    coin: Option<String>,
}

/// Whether the connection goes on after a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Continue,
    /// Close it once what is queued has been written.
    Close,
}

/// Trades in the first push of `trade`.
const FIRST_TRADES: usize = 100;
/// Candles in the first push of a candle channel.
const FIRST_CANDLES: usize = 500;

fn error_frame(code: u32, message: &str, arg: Option<&str>) -> String {
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
            _ => {
                self.answer(session, error_frame(30_003, "invalid op", None));
                Verdict::Continue
            }
        }
    }

    fn answer(&mut self, session: u64, text: String) {
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
        let Some(address) = self.hub.get(session).map(|session| session.address) else { return Verdict::Close };
        let login = Login { key: &key, passphrase: &passphrase, timestamp: &timestamp, sign: &sign, address };
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

    fn topic(&self, arg: &Arg) -> Option<Topic> {
        if !arg.inst_type.eq_ignore_ascii_case("SPOT") {
            return None;
        }
        let named =
            |id: &Option<String>| id.as_deref().filter(|id| !id.eq_ignore_ascii_case("default")).map(str::to_owned);
        let instrument = match named(&arg.inst_id) {
            Some(symbol) => Some(self.instrument(&symbol)?.id),
            None => None,
        };
        let every = arg.inst_id.is_some() || arg.coin.is_some();
        let topic = match arg.channel.as_str() {
            "orders" if every => return Some(Topic::Orders(instrument)),
            "fill" if every => return Some(Topic::Fills(instrument)),
            "account" if every => {
                return match named(&arg.coin) {
                    Some(coin) => Asset::from(&coin).ok().map(|coin| Topic::Balances(Some(coin))),
                    None => Some(Topic::Balances(None)),
                };
            }
            "ticker" => Topic::Ticker(instrument?),
            "trade" => Topic::Trade(instrument?),
            "books" => Topic::Books(instrument?),
            "books1" => Topic::ShortBook(instrument?, 1),
            "books5" => Topic::ShortBook(instrument?, 5),
            "books15" => Topic::ShortBook(instrument?, 15),
            name => Topic::Candle(instrument?, name.strip_prefix("candle").and_then(Interval::of_general)?),
        };
        Some(topic)
    }

    fn on_subscribe(&mut self, session: u64, raw: &str, channels_max: usize) {
        let arg: Arg = serde_json::from_str(raw).unwrap_or_default();
        let Some(topic) = self.topic(&arg) else {
            let id = arg.inst_id.or(arg.coin).unwrap_or_default();
            let message = format!("instType:{},channel:{},instId:{id} doesn't exist", arg.inst_type, arg.channel);
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

    /// What a channel sends at once; `orders` and `fill` begin with the next event.
    fn first_data(&self, topic: Topic, account: Option<usize>) -> Option<String> {
        let now_ms = self.now_ms();
        match topic {
            Topic::Ticker(id) => self.by_id(id).map(|instrument| self.ticker_push(instrument)),
            Topic::Trade(id) => {
                let instrument = self.by_id(id)?;
                let items: Vec<String> = instrument
                    .prints
                    .recent(FIRST_TRADES)
                    .map(|print| trade_item(print, &instrument.listing))
                    .collect();
                Some(items.join(","))
            }
            Topic::Books(id) => {
                let instrument = self.by_id(id)?;
                Some(instrument.published.snapshot(&instrument.listing, PublishedBook::DEPTH_MAX, now_ms))
            }
            Topic::ShortBook(id, depth) => {
                let instrument = self.by_id(id)?;
                Some(instrument.published.snapshot(&instrument.listing, depth, now_ms))
            }
            Topic::Candle(id, interval) => {
                let instrument = self.by_id(id)?;
                let candles = instrument.prints.candles(interval, (0, u64::MAX), FIRST_CANDLES);
                let rows: Vec<String> =
                    candles.iter().map(|candle| candle_row(candle, &instrument.listing).to_string()).collect();
                Some(rows.join(","))
            }
            Topic::Balances(wanted) => {
                let account = account?;
                let coins =
                    self.balances(account).into_keys().filter(|coin| wanted.is_none_or(|wanted| wanted == *coin));
                let items: Vec<String> = coins.filter_map(|coin| self.balance_item(account, coin)).collect();
                Some(items.join(","))
            }
            Topic::Orders(_) | Topic::Fills(_) => None,
        }
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
