//! Order entry over streams, of both dialects; it shares the budgets of REST.

use crate::FaultKind;
use crate::accounts::Taken;
use crate::auth::permits;
use crate::fault_desk::OrderFaults;
use crate::limits::Caller;
use crate::mishaps::LATE_ACK_DELAY;
use crate::reject::Reject;
use crate::session::error_frame;
use crate::v2::{mix_trade, spot_trade, taken};
use crate::v3::trade as unified;
use crate::venue::Venue;
use crate::{Category, Permission};
use serde_json::{Value, json};

/// A frame that asks for an order: v3 puts what is wanted beside `args`, v2 inside each of them.
pub(crate) struct Entry {
    pub(crate) id: Value,
    pub(crate) topic: Value,
    pub(crate) category: Value,
    pub(crate) args: Vec<Value>,
}

/// Orders in one frame.
const ENTRY_MAX: usize = 50;

/// What became of one order, and what is to go wrong with the answer.
type Outcome = Result<(Taken, OrderFaults), Reject>;

/// What a frame asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Place,
    Cancel,
    Modify,
}

fn verb(topic: &str) -> Option<Verb> {
    match topic {
        "place-order" | "batch-place" => Some(Verb::Place),
        "cancel-order" | "batch-cancel" => Some(Verb::Cancel),
        "modify-order" => Some(Verb::Modify),
        _ => None,
    }
}

impl Venue {
    /// Judges a frame of order entry, does what it asks, and answers it before anything is pushed.
    pub(crate) fn on_entry(&mut self, session: u64, entry: &Entry) {
        let Some(client) = self.hub.get(session) else { return };
        let (account, key) = (client.account, client.key.clone());
        let is_unified = client.unified || entry.topic.is_string();
        let Some(account) = account else {
            let frame = if is_unified {
                error_frame_unified(entry, &Reject::new("30004", "User not logged in"))
            } else {
                error_frame(30_004, "User not logged in", None)
            };
            return self.answer(session, frame);
        };
        let permissions = key.and_then(|key| self.keys.get(&key)).map(|key| key.config.permissions.clone());
        let may = |category: Category| {
            let needed = match category {
                Category::Spot => Permission::Trade,
                Category::UsdtFutures => Permission::FuturesTrade,
            };
            if permits(permissions.as_deref().unwrap_or_default(), needed) {
                Ok(())
            } else {
                Err(Reject::lacks(needed))
            }
        };
        let place = self.hold(account);
        let (frame, faults) = if is_unified {
            self.unified_entry(session, account, entry, may)
        } else {
            self.classic_entry(account, entry, may)
        };
        let lost = [FaultKind::AckLost, FaultKind::ServerErrorAfterAccept].iter().any(|kind| faults.contains(kind));
        if faults.contains(&FaultKind::FillBeforeAck) {
            self.release(account, place);
            self.answer(session, frame);
        } else if let Some(delay) = faults.delay(FaultKind::AckLate, LATE_ACK_DELAY) {
            self.release(account, place);
            self.answer_late(session, frame, delay);
        } else if lost {
            self.hub.drop_silently(session);
            self.release(account, place);
        } else {
            self.answer(session, frame);
            self.release(account, place);
        }
    }

    fn unified_entry(
        &mut self,
        session: u64,
        account: usize,
        entry: &Entry,
        may: impl Fn(Category) -> Result<(), Reject>,
    ) -> (String, OrderFaults) {
        let outcome = self.unified_outcomes(account, entry, may);
        let (items, faults) = match outcome {
            Ok(done) => done,
            Err(reject) => return (error_frame_unified(entry, &reject), OrderFaults::default()),
        };
        let answer = json!({
            "event": "trade", "id": entry.id, "category": entry.category, "topic": entry.topic, "args": items,
            // A text here, where the answer to a log-in has a number: clients insist on both.
            "code": "0", "msg": "success", "ts": self.now_ms().to_string(), "connId": format!("{session:08x}"),
        });
        (answer.to_string(), faults)
    }

    fn unified_outcomes(
        &mut self,
        account: usize,
        entry: &Entry,
        may: impl Fn(Category) -> Result<(), Reject>,
    ) -> Result<(Vec<Value>, OrderFaults), Reject> {
        let topic = entry.topic.as_str().unwrap_or_default();
        let verb = verb(topic).ok_or_else(|| Reject::invalid("topic"))?;
        let batch = topic.starts_with("batch-");
        if entry.args.is_empty() || entry.args.len() > if batch { ENTRY_MAX } else { 1 } {
            return Err(unified::code(Reject::invalid("args")));
        }
        let category = unified::category_word(entry.category.as_str().unwrap_or_default()).map_err(unified::code)?;
        may(category)?;
        let (path, budget) = match (verb, batch) {
            (Verb::Place, false) => ("/api/v3/trade/place-order", 10),
            (Verb::Place, true) => ("/api/v3/trade/place-batch", 5),
            (Verb::Cancel, false) => ("/api/v3/trade/cancel-order", 10),
            (Verb::Cancel, true) => ("/api/v3/trade/cancel-batch", 5),
            (Verb::Modify, _) => ("/api/v3/trade/modify-order", 10),
        };
        if !self.limits.endpoint(path, budget, Caller::Account(account)) {
            return Err(Reject::too_many());
        }
        let (mut items, mut faults) = (Vec::new(), OrderFaults::default());
        for arg in &entry.args {
            let outcome: Outcome = match verb {
                Verb::Place => unified::place(self, account, category, arg),
                Verb::Cancel => {
                    unified::cancel(self, account, Some(category), arg).map(|order| (order, OrderFaults::default()))
                }
                Verb::Modify => unified::modify(self, account, Some(category), arg),
            };
            match outcome.map_err(unified::code) {
                Ok(((id, client_oid), more)) => {
                    faults.extend(more);
                    items.push(json!({
                        "symbol": arg.get("symbol"), "orderId": id.0.to_string(), "clientOid": client_oid,
                        "cTime": self.now_ms().to_string(),
                    }));
                }
                Err(reject) if batch => items.push(unified::failed(arg, &reject)),
                Err(reject) => return Err(reject),
            }
        }
        Ok((items, faults))
    }

    fn classic_entry(
        &mut self,
        account: usize,
        entry: &Entry,
        may: impl Fn(Category) -> Result<(), Reject>,
    ) -> (String, OrderFaults) {
        let arg = entry.args.first().cloned().unwrap_or_default();
        let text = |name: &str| arg.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut body = arg.get("params").cloned().unwrap_or_default();
        if let Some(members) = body.as_object_mut() {
            members.insert("symbol".into(), Value::String(text("instId")));
        }
        let outcome = self.classic_outcome(account, &text("instType"), &text("channel"), &body, may);
        match outcome {
            Ok((order, faults)) => {
                let told = json!({
                    "id": arg.get("id"), "instType": arg.get("instType"), "channel": arg.get("channel"),
                    "instId": arg.get("instId"), "params": taken(&order),
                });
                let frame = json!({"event": "trade", "arg": [told], "code": 0, "msg": "Success"});
                (frame.to_string(), faults)
            }
            Err(reject) => {
                let code: u64 = reject.code.parse().unwrap_or(40_017);
                let frame = json!({"event": "error", "arg": [arg], "code": code, "msg": reject.message});
                (frame.to_string(), OrderFaults::default())
            }
        }
    }

    fn classic_outcome(
        &mut self,
        account: usize,
        inst_type: &str,
        channel: &str,
        body: &Value,
        may: impl Fn(Category) -> Result<(), Reject>,
    ) -> Outcome {
        let category = unified::category_word(inst_type).map_err(|_| Reject::invalid("instType"))?;
        may(category)?;
        let (path, verb) = match (category, channel) {
            (Category::Spot, "place-order") => ("/api/v2/spot/trade/place-order", Verb::Place),
            (Category::Spot, "cancel-order") => ("/api/v2/spot/trade/cancel-order", Verb::Cancel),
            (Category::UsdtFutures, "place-order") => ("/api/v2/mix/order/place-order", Verb::Place),
            (Category::UsdtFutures, "cancel-order") => ("/api/v2/mix/order/cancel-order", Verb::Cancel),
            _ => return Err(Reject::invalid("channel")),
        };
        if !self.limits.endpoint(path, 10, Caller::Account(account)) {
            return Err(Reject::too_many());
        }
        match (category, verb) {
            (Category::Spot, Verb::Place) => spot_trade::place(self, account, body),
            (Category::Spot, _) => spot_trade::cancel(self, account, body).map(|order| (order, OrderFaults::default())),
            (Category::UsdtFutures, Verb::Place) => mix_trade::place(self, account, body),
            (Category::UsdtFutures, _) => {
                mix_trade::cancel(self, account, body).map(|order| (order, OrderFaults::default()))
            }
        }
    }
}

fn error_frame_unified(entry: &Entry, reject: &Reject) -> String {
    json!({"event": "error", "id": entry.id, "code": reject.code, "msg": reject.message}).to_string()
}
