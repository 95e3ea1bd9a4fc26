//! The private stream of the classic account: orders, fills, balances and positions as they are pushed.
//!
//! Facts: sheet sections 5.1 and 5.3. A fill comes twice, in its order's push and in the `fill` channel, under one trade
//! id; both are reported, whoever counts fills counts a trade id once. The channel of orders sends no initial state
//! (sheet trap 19). A position that is closed whole is no longer in `positions`; `positions-history` tells of it. Spot
//! and futures have a wallet each.

use super::Classic;
use super::rows::{BalanceRow, FeeSource, FillRow, FuturesBalanceRow, OrderRow, OrderSource};
use crate::PING_EVERY;
use crate::envelope::{RowError, members, rows};
use crate::frame::{PONG, PrivateHead, frames};
use crate::loose::Loose;
use crate::positions::PositionRow;
use crate::symbols::VenueMarket as _;
use domain::{Market, Symbol};
use messages::ReportBody;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;
use venue_api::{FrameError, PrivateCodec, PrivateFrame};

const ORDERS: &str = "orders";
const FILL: &str = "fill";
const ACCOUNT: &str = "account";
const FUTURES_ORDERS: &str = "futures-orders";
const FUTURES_FILL: &str = "futures-fill";
const FUTURES_ACCOUNT: &str = "futures-account";
const POSITIONS: &str = "positions";
const CLOSED: &str = "positions-history";

/// A channel by its name here, with the venue's market and channel. Both markets have channels of one name.
const CHANNELS: [(&str, Market, &str); 8] = [
    (ORDERS, Market::Spot, "orders"),
    (FILL, Market::Spot, "fill"),
    (ACCOUNT, Market::Spot, "account"),
    (FUTURES_ORDERS, Market::UsdtFutures, "orders"),
    (FUTURES_FILL, Market::UsdtFutures, "fill"),
    (FUTURES_ACCOUNT, Market::UsdtFutures, "account"),
    (POSITIONS, Market::UsdtFutures, "positions"),
    (CLOSED, Market::UsdtFutures, "positions-history"),
];
const NAMES: &[&str] = &[ORDERS, FILL, ACCOUNT, FUTURES_ORDERS, FUTURES_FILL, FUTURES_ACCOUNT, POSITIONS, CLOSED];
const SPOT_NAMES: &[&str] = &[ORDERS, FILL, ACCOUNT];

impl PrivateCodec for Classic {
    /// One argument for all instruments: `default` follows every one of them.
    fn subscribe(&self, symbols: &[Symbol]) -> Vec<String> {
        let names = self.channels(symbols);
        let argument = |(_, market, channel): &(&str, Market, &str)| {
            let selector = if *channel == "account" { "coin" } else { "instId" };
            format!(r#"{{"instType":"{}","channel":"{channel}","{selector}":"default"}}"#, market.word())
        };
        frames("subscribe", CHANNELS.iter().filter(|(name, ..)| names.contains(name)).map(argument))
    }

    fn channels(&self, symbols: &[Symbol]) -> &'static [&'static str] {
        let futures = symbols.iter().any(|symbol| Market::of(symbol).has_positions());
        if futures { NAMES } else { SPOT_NAMES }
    }

    fn ping(&self) -> (&'static str, Duration) {
        ("ping", PING_EVERY)
    }

    fn decode(&self, frame: &[u8]) -> Result<PrivateFrame, FrameError> {
        if frame == PONG {
            return Ok(PrivateFrame::Pong);
        }
        let head = PrivateHead::read(frame)?;
        head.frame(|head| channel(head.arg()), |channel, head| reports(channel, head.data()))
    }
}

/// The channel that a frame is about, if it is one that we follow.
fn channel(arg: Option<&RawValue>) -> Option<&'static str> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Arg<'a> {
        #[serde(borrow)]
        inst_type: Loose<'a>,
        #[serde(borrow)]
        channel: Loose<'a>,
    }
    let arg: Arg<'_> = members(arg?, "arg").ok()?;
    let (market, name) = (Market::read(&arg.inst_type.text()?)?, arg.channel.text()?);
    CHANNELS.iter().find(|(_, of, channel)| *of == market && *channel == name).map(|(name, ..)| *name)
}

fn reports(channel: &'static str, data: Option<&RawValue>) -> Result<Vec<ReportBody>, RowError> {
    let mut reports = Vec::new();
    match channel {
        ORDERS | FUTURES_ORDERS => {
            let market = if channel == ORDERS { Market::Spot } else { Market::UsdtFutures };
            for row in rows::<OrderRow<'_>>(data)? {
                let order = row.update(OrderSource::Push, market)?;
                let fill = row.fill(&order)?;
                // The fill first: an order that ends is complete by then.
                reports.extend(fill.map(ReportBody::Fill));
                reports.push(ReportBody::Order(order));
            }
        }
        FILL => {
            for row in rows::<FillRow<'_>>(data)? {
                reports.push(ReportBody::Fill(row.report(FeeSource::Push, Market::Spot)?));
            }
        }
        FUTURES_FILL => {
            for row in rows::<FillRow<'_>>(data)? {
                reports.push(ReportBody::Fill(row.report(FeeSource::Answer, Market::UsdtFutures)?));
            }
        }
        FUTURES_ACCOUNT => {
            for row in rows::<FuturesBalanceRow<'_>>(data)? {
                reports.extend(row.report()?.map(ReportBody::Balance));
            }
        }
        POSITIONS => {
            for row in rows::<PositionRow<'_>>(data)? {
                reports.extend(row.report()?.map(ReportBody::Position));
            }
        }
        CLOSED => {
            for row in rows::<PositionRow<'_>>(data)? {
                reports.push(ReportBody::Position(row.closed()?));
            }
        }
        _ => {
            for row in rows::<BalanceRow<'_>>(data)? {
                reports.extend(row.report()?.map(ReportBody::Balance));
            }
        }
    }
    Ok(reports)
}
