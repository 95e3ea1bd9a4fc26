//! The private stream: orders, fills and balances as they are pushed.
//!
//! Facts: sheet sections 5.1 and 5.3. The log-in frame is made by the signer (`sign.rs`). A fill
//! comes twice, in its order's push and in the `fill` channel, under one trade id; both are
//! reported, whoever counts fills counts a trade id once. The channel of orders sends no initial
//! state (sheet trap 19).

use super::Classic;
use super::rows::{BalanceRow, FeeSource, FillRow, OrderRow, OrderSource};
use crate::envelope::RowError;
use crate::errors::{self, LOGIN_CODES};
use crate::loose::Loose;
use crate::stream::{PONG, frames};
use crate::{PING_EVERY};
use domain::Symbol;
use messages::ReportBody;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;
use venue_api::{FrameError, PrivateCodec, PrivateFrame};

const ORDERS: &str = "orders";
const FILL: &str = "fill";
const ACCOUNT: &str = "account";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Frame<'a> {
    #[serde(borrow)]
    event: Loose<'a>,
    #[serde(borrow)]
    code: Loose<'a>,
    #[serde(borrow)]
    msg: Loose<'a>,
    #[serde(borrow)]
    arg: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Arg<'a> {
    #[serde(borrow)]
    inst_type: Loose<'a>,
    #[serde(borrow)]
    channel: Loose<'a>,
}

impl PrivateCodec for Classic {
    /// One frame for all instruments: `default` follows every one of them.
    fn subscribe(&self, _symbols: &[Symbol]) -> Vec<String> {
        let arguments = [
            format!(r#"{{"instType":"SPOT","channel":"{ORDERS}","instId":"default"}}"#),
            format!(r#"{{"instType":"SPOT","channel":"{FILL}","instId":"default"}}"#),
            format!(r#"{{"instType":"SPOT","channel":"{ACCOUNT}","coin":"default"}}"#),
        ];
        frames("subscribe", arguments.into_iter())
    }

    fn channels(&self) -> &'static [&'static str] {
        &[ORDERS, FILL, ACCOUNT]
    }

    fn ping(&self) -> (&'static str, Duration) {
        ("ping", PING_EVERY)
    }

    fn decode(&self, frame: &[u8]) -> Result<PrivateFrame, FrameError> {
        if frame == PONG {
            return Ok(PrivateFrame::Pong);
        }
        let frame: Frame<'_> = serde_json::from_slice(frame).map_err(|_| FrameError("json"))?;
        match frame.event.text().as_deref() {
            Some("login") => Ok(login(&frame)),
            Some("error") => Ok(error(&frame)),
            Some("subscribe") => Ok(frame.channel().map_or(PrivateFrame::Ignored, PrivateFrame::Subscribed)),
            Some(_) => Ok(PrivateFrame::Ignored),
            None => match frame.channel() {
                Some(channel) => reports(channel, frame.data).map_err(|RowError(what)| FrameError(what)),
                None => Ok(PrivateFrame::Ignored),
            },
        }
    }
}

impl Frame<'_> {
    /// The spot channel that the frame is about, if it is one that we follow.
    fn channel(&self) -> Option<&'static str> {
        let arg: Arg<'_> = serde_json::from_str(self.arg?.get()).ok()?;
        if !arg.inst_type.text()?.eq_ignore_ascii_case("SPOT") {
            return None;
        }
        let name = arg.channel.text()?;
        [ORDERS, FILL, ACCOUNT].into_iter().find(|channel| *channel == name)
    }
}

/// The venue sends the number 0, its documents say the text "0" (sheet trap 1).
fn login(frame: &Frame<'_>) -> PrivateFrame {
    match frame.code.text().as_deref() {
        None | Some("0" | "00000") => PrivateFrame::LoggedIn,
        Some(code) => PrivateFrame::LoginFailed(errors::stream(code, &frame.msg.text().unwrap_or_default())),
    }
}

fn error(frame: &Frame<'_>) -> PrivateFrame {
    let code = frame.code.text().unwrap_or_default();
    let error = errors::stream(&code, &frame.msg.text().unwrap_or_default());
    if LOGIN_CODES.contains(&code.as_ref()) { PrivateFrame::LoginFailed(error) } else { PrivateFrame::Error(error) }
}

fn reports(channel: &'static str, data: Option<&RawValue>) -> Result<PrivateFrame, RowError> {
    let json = data.map_or("null", RawValue::get);
    let mut reports = Vec::new();
    match channel {
        ORDERS => {
            for row in rows::<OrderRow<'_>>(json)? {
                let order = row.update(OrderSource::Push)?;
                let fill = row.fill(&order)?;
                // The fill first: an order that ends is complete by then.
                reports.extend(fill.map(ReportBody::Fill));
                reports.push(ReportBody::Order(order));
            }
        }
        FILL => {
            for row in rows::<FillRow<'_>>(json)? {
                reports.push(ReportBody::Fill(row.report(FeeSource::Push)?));
            }
        }
        _ => {
            for row in rows::<BalanceRow<'_>>(json)? {
                reports.extend(row.report()?.map(ReportBody::Balance));
            }
        }
    }
    Ok(PrivateFrame::Reports(reports))
}

fn rows<'a, T: Deserialize<'a>>(json: &'a str) -> Result<Vec<T>, RowError> {
    serde_json::from_str::<Option<Vec<T>>>(json).map(Option::unwrap_or_default).map_err(|_| RowError("list"))
}
