//! Stream dialogues that nobody here wrote, where a copy of them lies beside the workspace: each push is read without
//! loss, or stands in the table of those that do not apply.

use crate::common::symbol;
use crate::recorded::{lines, recording};
use domain::{Market, PositionSide, Scaled, VenueOrderStatus};
use messages::{AccountMode, ReportBody};
use rust_decimal::Decimal;
use serde_json::Value;
use venue_api::{CandleInterval, Channel, FeedFrame, FeedFrameKind, PrivateFrame};

/// Cases whose pushes the codec does not read, and why.
const NOT_OURS: &[(&str, &str)] = &[
    ("Subscriptions/Futures/Equity", "sums over wallets, for display only"),
    ("Subscriptions/Futures/TriggerOrder", "trigger orders rest in the bot"),
    ("Subscriptions/Spot/TriggerOrder", "trigger orders rest in the bot"),
    ("Subscriptions/Unified/Adl", "what the venue reduced comes as orders and fills"),
    ("Subscriptions/Unified/FastUserTrade", "without its fee a fill cannot be booked; the topic `fill` has it"),
    ("Subscriptions/Unified/StrategyOrder", "protective orders rest in the bot"),
    ("Subscriptions/Spot/Klines", "candles of a week are not followed"),
    ("Subscriptions/Spot/Concurrent", "the stored candle is cut to its first column"),
    ("Subscriptions/Futures/Concurrent", "the stored candle is cut to its first column"),
];

fn same(scaled: Option<Scaled>, value: &Value) {
    assert_eq!(scaled.unwrap().decimal(), number(value));
}

fn number(value: &Value) -> Decimal {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

#[test]
#[expect(clippy::too_many_lines, reason = "one arm for each stored push")]
fn every_stored_push_is_read_without_loss_or_does_not_apply() {
    let Some(bytes) = recording("payload_fixtures/jkorf/bitget_ws.jsonl") else { return };
    let (mut read, mut left_out) = (0, 0);
    for case in lines(&bytes) {
        let name = case["case"].as_str().unwrap();
        let reason = NOT_OURS.iter().find(|(known, _)| *known == name).map(|(_, reason)| *reason);
        let mode = if name.contains("Unified") { AccountMode::Unified } else { AccountMode::Classic };
        let codecs = crate::common::all_of(mode);
        for step in case["steps"].as_array().unwrap() {
            let text = step["json"].to_string();
            let (mut frame, data) = (FeedFrame::default(), &step["json"]["data"][0]);
            let public = codecs.feed.decode(text.as_bytes(), &mut frame);
            let private = codecs.private.decode(text.as_bytes());
            if step["dir"] != "server_push" {
                // What the stored client sends and what answers it is no error to either reader.
                assert_eq!(public, Ok(()), "{name}");
                assert!(private.is_ok(), "{name}");
                if step["json"]["event"] == "login" {
                    assert_eq!(private, Ok(PrivateFrame::LoggedIn));
                }
                continue;
            }
            let reports = match private {
                Ok(PrivateFrame::Reports(reports)) => reports,
                Ok(PrivateFrame::Ignored) => Vec::new(),
                other => panic!("{name}: {other:?}"),
            };
            let channel = frame.subscription.map(|subscription| subscription.channel);
            let futures = frame.subscription.is_some_and(|known| Market::of(&known.symbol).has_positions());
            assert_eq!(futures, frame.subscription.is_some() && !name.contains("Spot"), "{name}");
            match name {
                "Subscriptions/Futures/OrderBook" | "Subscriptions/Spot/OrderBook" | "Subscriptions/Unified/Book" => {
                    assert_eq!(frame.kind, FeedFrameKind::Book);
                    let asks = data.get("asks").unwrap_or(&data["a"]).as_array().unwrap();
                    assert_eq!(frame.book.asks.len(), asks.len());
                    for (level, row) in frame.book.asks.iter().zip(asks) {
                        same(Some(level.price), &row[0]);
                        same(Some(level.qty), &row[1]);
                    }
                    assert_eq!(frame.book.seq, data["seq"].as_u64());
                    let expected = if name.contains("Unified") { Channel::Book1 } else { Channel::Book5 };
                    assert_eq!(channel, Some(expected));
                }
                "Subscriptions/Futures/Ticker" | "Subscriptions/Spot/Ticker" => {
                    let ticker = frame.ticker;
                    assert_eq!(frame.kind, FeedFrameKind::Ticker);
                    same(ticker.last, &data["lastPr"]);
                    same(ticker.ask_qty, &data["askSz"]);
                    assert_eq!(ticker.quote_volume, Some(number(&data["quoteVolume"])));
                    assert_eq!(ticker.funding_rate.is_some(), futures);
                    if futures {
                        assert_eq!(ticker.funding_rate, Some(number(&data["fundingRate"])));
                        assert_eq!(ticker.index, Some(number(&data["indexPrice"])));
                        assert_eq!(ticker.open_interest, Some(number(&data["holdingAmount"])));
                        assert_eq!(ticker.next_funding.unwrap().as_millis(), 1_695_722_400_000);
                    }
                }
                "Subscriptions/Unified/Ticker" => {
                    let ticker = frame.ticker;
                    same(ticker.last, &data["lastPrice"]);
                    same(ticker.bid, &data["bid1Price"]);
                    assert_eq!(ticker.base_volume, Some(number(&data["volume24h"])));
                    assert_eq!(ticker.quote_volume, Some(number(&data["turnover24h"])));
                    assert_eq!(ticker.venue_time.as_millis(), 1_695_715_383_039, "the frame's own time");
                }
                "Subscriptions/Futures/Kline" => {
                    let candle = frame.candles[0];
                    assert_eq!(channel, Some(Channel::Candle(CandleInterval::Hour12)));
                    same(Some(candle.close), &data[4]);
                    assert_eq!((candle.base_volume, candle.quote_volume), (number(&data[5]), number(&data[6])));
                }
                "Subscriptions/Unified/Kline" => {
                    let candle = frame.candles[0];
                    assert_eq!(channel, Some(Channel::Candle(CandleInterval::Day1)));
                    same(Some(candle.high), &data["high"]);
                    assert_eq!(
                        (candle.base_volume, candle.quote_volume),
                        (number(&data["volume"]), number(&data["turnover"]))
                    );
                }
                "Subscriptions/Futures/Trade" | "Subscriptions/Spot/Trades" | "Subscriptions/Unified/Trades" => {
                    assert_eq!(frame.kind, FeedFrameKind::Trades);
                    // Handed out oldest first; the newest stands first in the frame.
                    let newest = frame.trades.last().unwrap();
                    same(Some(newest.price), data.get("price").unwrap_or(&data["p"]));
                    same(Some(newest.qty), data.get("size").unwrap_or(&data["v"]));
                }
                "Subscriptions/Futures/Order" => {
                    let [ReportBody::Fill(fill), ReportBody::Order(order)] = reports[..] else { panic!("{reports:?}") };
                    assert_eq!((order.symbol, order.status), (symbol("BTCUSDT-PERP"), VenueOrderStatus::Filled));
                    same(Some(order.qty), &data["size"]);
                    same(Some(fill.price), &data["fillPrice"]);
                    assert_eq!(fill.fee.amount.0, -number(&data["fillFee"]));
                }
                "Subscriptions/Spot/Order" => {
                    let [ReportBody::Fill(fill), ReportBody::Order(order)] = reports[..] else { panic!("{reports:?}") };
                    same(Some(order.filled), &data["accBaseVolume"]);
                    assert_eq!(fill.fee.amount.0, -number(&data["fillFee"]));
                }
                "Subscriptions/Unified/Order" => {
                    let [ReportBody::Order(order)] = reports[..] else { panic!("{reports:?}") };
                    same(Some(order.filled), &data["cumExecQty"]);
                    assert_eq!((order.symbol, order.price), (symbol("BTCUSDT-PERP"), None));
                }
                "Subscriptions/Futures/UserTrade" => {
                    let [ReportBody::Fill(fill)] = reports[..] else { panic!("{reports:?}") };
                    same(Some(fill.qty), &data["baseVolume"]);
                    assert_eq!(fill.fee.amount.0, -number(&data["feeDetail"][0]["totalFee"]));
                }
                "Subscriptions/Spot/UserTrade" => {
                    let [ReportBody::Fill(fill), ReportBody::Fill(_)] = reports[..] else { panic!("{reports:?}") };
                    assert_eq!(fill.fee.amount.0, number(&data["feeDetail"][0]["totalFee"]));
                }
                "Subscriptions/Unified/UserTrade" => {
                    let [ReportBody::Fill(fill)] = reports[..] else { panic!("{reports:?}") };
                    same(Some(fill.price), &data["execPrice"]);
                    assert_eq!(fill.fee.amount.0, number(&data["feeDetail"][0]["fee"]));
                    assert_eq!(fill.venue_time.as_millis(), 1_736_378_720_623);
                }
                "Subscriptions/Futures/Position" => {
                    let [ReportBody::Position(position)] = reports[..] else { panic!("{reports:?}") };
                    assert_eq!(
                        (position.side, position.qty.0, position.leverage),
                        (PositionSide::Short, -number(&data["total"]), 20)
                    );
                    assert_eq!(position.liquidation.unwrap().0, number(&data["liquidationPrice"]));
                }
                "Subscriptions/Futures/PositionClose" => {
                    let [ReportBody::Position(position)] = reports[..] else { panic!("{reports:?}") };
                    assert_eq!(
                        (position.symbol, position.side, position.qty.0),
                        (symbol("ETHUSDT-PERP"), PositionSide::Net, Decimal::ZERO)
                    );
                }
                "Subscriptions/Unified/Position" => {
                    let [ReportBody::Position(position)] = reports[..] else { panic!("{reports:?}") };
                    assert_eq!(
                        (position.side, position.qty.0, position.entry),
                        (PositionSide::Long, Decimal::ZERO, None)
                    );
                }
                "Subscriptions/Futures/Balance" => {
                    let [ReportBody::Balance(balance)] = reports[..] else { panic!("{reports:?}") };
                    assert_eq!(
                        (balance.wallet, balance.available.0),
                        (Market::UsdtFutures, number(&data["available"]))
                    );
                    assert_eq!(balance.available.0 + balance.held.0, number(&data["equity"]));
                }
                "Subscriptions/Spot/Balance" => {
                    let [ReportBody::Balance(balance)] = reports[..] else { panic!("{reports:?}") };
                    assert_eq!(balance.available.0, number(&data["available"]));
                }
                "Subscriptions/Unified/Account" => {
                    let rows = data["coin"].as_array().unwrap();
                    assert_eq!(reports.len(), rows.len());
                    for (report, row) in reports.iter().zip(rows) {
                        let ReportBody::Balance(balance) = report else { panic!("{report:?}") };
                        assert_eq!(balance.available.0, number(&row["available"]));
                        assert_eq!(balance.available.0 + balance.held.0, number(&row["balance"]));
                    }
                }
                _ => {
                    assert!(reason.is_some(), "{name} is neither read nor in the table of those that do not apply");
                    assert!(reports.is_empty(), "{name}: {reports:?}");
                    left_out += 1;
                    continue;
                }
            }
            assert_eq!(reason, None, "{name} is read and in the table of those that do not apply");
            read += 1;
        }
    }
    assert_eq!((read, left_out), (23, 11));
}
