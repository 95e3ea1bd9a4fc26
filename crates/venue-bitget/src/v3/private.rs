//! The private stream of the unified account: orders, fills, coins and positions as they are pushed.
//!
//! Facts: sheet sections 5.1 and 9. One connection carries all products; a topic has no instrument. A fill comes in the
//! topic `fill` alone, the push of its order holds sums only. The topic `order` sends no initial state.

use super::Unified;
use super::rows::{CoinRow, FillRow, OrderRow};
use crate::PING_EVERY;
use crate::envelope::{RowError, members, rows};
use crate::frame::{PONG, PrivateHead, frames};
use crate::loose::Loose;
use crate::positions::PositionRow;
use domain::{Market, Symbol, UnixNanos};
use messages::ReportBody;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;
use venue_api::{FrameError, PrivateCodec, PrivateFrame};

const ORDER: &str = "order";
const FILL: &str = "fill";
const ACCOUNT: &str = "account";
const POSITION: &str = "position";
/// The topics, those of spot first.
const TOPICS: &[&str] = &[ORDER, FILL, ACCOUNT, POSITION];
const SPOT_TOPICS: &[&str] = &[ORDER, FILL, ACCOUNT];

impl PrivateCodec for Unified {
    fn subscribe(&self, symbols: &[Symbol]) -> Vec<String> {
        let argument = |topic: &&str| format!(r#"{{"instType":"UTA","topic":"{topic}"}}"#);
        frames("subscribe", self.channels(symbols).iter().map(argument))
    }

    fn channels(&self, symbols: &[Symbol]) -> &'static [&'static str] {
        let futures = symbols.iter().any(|symbol| Market::of(symbol).has_positions());
        if futures { TOPICS } else { SPOT_TOPICS }
    }

    fn ping(&self) -> (&'static str, Duration) {
        ("ping", PING_EVERY)
    }

    fn decode(&self, frame: &[u8]) -> Result<PrivateFrame, FrameError> {
        if frame == PONG {
            return Ok(PrivateFrame::Pong);
        }
        let head = PrivateHead::read(frame)?;
        head.frame(|head| topic(head.arg()), |topic, head| reports(topic, head))
    }
}

/// The topic that a frame is about, if it is one that we follow.
fn topic(arg: Option<&RawValue>) -> Option<&'static str> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Arg<'a> {
        #[serde(borrow)]
        inst_type: Loose<'a>,
        #[serde(borrow)]
        topic: Loose<'a>,
    }
    let arg: Arg<'_> = members(arg?, "arg").ok()?;
    if !arg.inst_type.text()?.eq_ignore_ascii_case("UTA") {
        return None;
    }
    let name = arg.topic.text()?;
    TOPICS.iter().copied().find(|topic| *topic == name)
}

fn reports(topic: &'static str, head: &PrivateHead<'_>) -> Result<Vec<ReportBody>, RowError> {
    let data = head.data();
    let mut reports = Vec::new();
    match topic {
        ORDER => {
            for row in rows::<OrderRow<'_>>(data)? {
                reports.extend(row.update()?.map(ReportBody::Order));
            }
        }
        FILL => {
            for row in rows::<FillRow<'_>>(data)? {
                reports.extend(row.report()?.map(ReportBody::Fill));
            }
        }
        POSITION => {
            for row in rows::<PositionRow<'_>>(data)? {
                reports.extend(row.report()?.map(ReportBody::Position));
            }
        }
        _ => {
            /// The account, with its coins.
            #[derive(Debug, Default, Deserialize)]
            #[serde(default)]
            struct AccountRow<'a> {
                #[serde(borrow)]
                coin: Option<Vec<CoinRow<'a>>>,
            }
            let at = head.time().unwrap_or(UnixNanos(0));
            for account in rows::<AccountRow<'_>>(data)? {
                for coin in account.coin.unwrap_or_default() {
                    reports.extend(coin.report(at)?.map(ReportBody::Balance));
                }
            }
        }
    }
    Ok(reports)
}
