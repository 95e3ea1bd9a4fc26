//! Market data as the venue publishes it: books, tickers, trades and candles.

use crate::depth::{PublishedBook, SHORT_DEPTHS, price_text, qty_text};
use crate::hub::Topic;
use crate::intervals::INTERVALS;
use crate::prints::{Candle, Print};
use crate::quotes::CandleTexts;
use crate::v2::mix_market;
use crate::venue::{Instrument, Venue};
use domain::InstrumentId;
use matching::Listing;
use serde_json::{Value, json};

/// Trades in the first push of a trade channel.
const FIRST_TRADES: usize = 100;
/// Candles in the first push of a candle channel.
const FIRST_CANDLES: usize = 500;

impl Venue {
    pub(crate) fn publish_books(&mut self) {
        let now_ms = self.now_ms();
        for instrument in &mut self.instruments {
            let Some(book) = self.engine.book(instrument.id) else { continue };
            let (id, listing) = (instrument.id, &instrument.listing);
            let Some(update) = instrument.published.advance(book, listing, now_ms) else { continue };
            instrument.ticker_changed = true;
            self.hub.publish(Topic::Books(id), "update", &update.data(listing), now_ms);
            self.hub.publish(Topic::UnifiedBooks(id), "update", &update.unified_data(listing), now_ms);
            for (depth, changed) in SHORT_DEPTHS.into_iter().zip(update.changed_within) {
                let (plain, unified) = (Topic::ShortBook(id, depth), Topic::UnifiedShortBook(id, depth));
                if changed && self.hub.has_listener(plain) {
                    let data = instrument.published.snapshot(listing, depth, now_ms);
                    self.hub.publish(plain, "snapshot", &data, now_ms);
                }
                if changed && self.hub.has_listener(unified) {
                    let data = instrument.published.unified_snapshot(listing, depth, now_ms);
                    self.hub.publish(unified, "snapshot", &data, now_ms);
                }
            }
        }
    }

    pub(crate) fn publish_tickers(&mut self) {
        let now_ms = self.now_ms();
        for position in 0..self.instruments.len() {
            let Some(instrument) = self.instruments.get_mut(position) else { continue };
            if !std::mem::take(&mut instrument.ticker_changed) {
                continue;
            }
            let id = instrument.id;
            for topic in [Topic::Ticker(id), Topic::UnifiedTicker(id)] {
                if self.hub.has_listener(topic) {
                    let data = self.market_data(topic).unwrap_or_default();
                    self.hub.publish(topic, "snapshot", &data, now_ms);
                }
            }
        }
    }

    pub(crate) fn publish_candles(&mut self) {
        let now_ms = self.now_ms();
        for instrument in &mut self.instruments {
            if !std::mem::take(&mut instrument.candle_changed) {
                continue;
            }
            let (id, listing) = (instrument.id, &instrument.listing);
            for (_, _, interval) in INTERVALS {
                for topic in [Topic::Candle(id, interval), Topic::UnifiedCandle(id, interval)] {
                    if self.hub.has_listener(topic) {
                        let last = instrument.prints.candles(interval, (0, u64::MAX), 1);
                        self.hub.publish(topic, "update", &candle_rows(topic, &last, listing), now_ms);
                    }
                }
            }
        }
    }

    /// Tells the listeners of an instrument of a trade.
    pub(crate) fn publish_trade(&mut self, id: InstrumentId, print: &Print, now_ms: u64) {
        let Some(listing) = self.by_id(id).map(|instrument| instrument.listing) else { return };
        for topic in [Topic::Trade(id), Topic::UnifiedTrade(id)] {
            if self.hub.has_listener(topic) {
                self.hub.publish(topic, "update", &trade_item(topic, print, &listing), now_ms);
            }
        }
    }

    /// What a public channel begins with, as the `data` of a frame; `None` for a private one.
    pub(crate) fn market_data(&self, topic: Topic) -> Option<String> {
        let now_ms = self.now_ms();
        Some(match topic {
            Topic::Ticker(id) => self.ticker_push(self.by_id(id)?),
            Topic::UnifiedTicker(id) => self.unified_ticker_push(self.by_id(id)?),
            Topic::Trade(id) | Topic::UnifiedTrade(id) => {
                let instrument = self.by_id(id)?;
                let recent = instrument.prints.recent(FIRST_TRADES);
                let items: Vec<String> = recent.map(|print| trade_item(topic, print, &instrument.listing)).collect();
                items.join(",")
            }
            Topic::Books(id) => {
                let instrument = self.by_id(id)?;
                instrument.published.snapshot(&instrument.listing, PublishedBook::DEPTH_MAX, now_ms)
            }
            Topic::ShortBook(id, depth) => {
                let instrument = self.by_id(id)?;
                instrument.published.snapshot(&instrument.listing, depth, now_ms)
            }
            Topic::UnifiedBooks(id) => {
                let instrument = self.by_id(id)?;
                instrument.published.unified_snapshot(&instrument.listing, PublishedBook::DEPTH_MAX, now_ms)
            }
            Topic::UnifiedShortBook(id, depth) => {
                let instrument = self.by_id(id)?;
                instrument.published.unified_snapshot(&instrument.listing, depth, now_ms)
            }
            Topic::Candle(id, interval) | Topic::UnifiedCandle(id, interval) => {
                let instrument = self.by_id(id)?;
                let candles = instrument.prints.candles(interval, (0, u64::MAX), FIRST_CANDLES);
                candle_rows(topic, &candles, &instrument.listing)
            }
            _ => return None,
        })
    }

    /// The ticker as its channel of v2 shows it.
    fn ticker_push(&self, instrument: &Instrument) -> String {
        if let Some(perpetual) = &instrument.perpetual {
            return mix_market::ticker_push(self, instrument, perpetual).to_string();
        }
        let it = self.figures(instrument);
        json!({
            "instId": instrument.config.symbol, "lastPr": it.last, "open24h": it.open, "high24h": it.high,
            "low24h": it.low, "change24h": it.change, "bidPr": it.bid, "askPr": it.ask, "bidSz": it.bid_size,
            "askSz": it.ask_size, "baseVolume": it.base, "quoteVolume": it.quote, "openUtc": it.open_utc,
            "changeUtc24h": it.change_utc, "ts": it.ts,
        })
        .to_string()
    }

    /// The ticker as its channel of v3 shows it.
    fn unified_ticker_push(&self, instrument: &Instrument) -> String {
        let it = self.figures(instrument);
        let mut ticker = json!({
            "symbol": instrument.config.symbol, "lastPrice": it.last, "openPrice24h": it.open,
            "highPrice24h": it.high, "lowPrice24h": it.low, "ask1Price": it.ask, "ask1Size": it.ask_size,
            "bid1Price": it.bid, "bid1Size": it.bid_size, "price24hPcnt": it.change, "volume24h": it.base,
            "turnover24h": it.quote,
        });
        if let (Some(members), Some(perpetual)) = (ticker.as_object_mut(), &instrument.perpetual) {
            let more = [
                ("markPrice", perpetual.mark.to_string()),
                ("indexPrice", perpetual.index.to_string()),
                ("fundingRate", perpetual.rate.to_string()),
                ("nextFundingTime", perpetual.next_funding_ms.to_string()),
                ("openInterest", self.open_interest(instrument.id).to_string()),
            ];
            members.extend(more.map(|(name, value)| (name.to_owned(), Value::String(value))));
        }
        ticker.to_string()
    }
}

/// A public trade as its channel shows it. Of v3, both spellings of the price are in use among clients.
fn trade_item(topic: Topic, print: &Print, listing: &Listing) -> String {
    let (price, size) = (price_text(print.price, listing), qty_text(print.qty, listing));
    let (at, side, id) = (print.at_ms, print.side, print.id);
    if matches!(topic, Topic::UnifiedTrade(_)) {
        return format!(
            "{{\"p\":\"{price}\",\"P\":\"{price}\",\"v\":\"{size}\",\"S\":\"{side}\",\"T\":\"{at}\",\"i\":\"{id}\",\"L\":\"{id}\",\"isRPI\":\"no\"}}"
        );
    }
    format!("{{\"ts\":\"{at}\",\"price\":\"{price}\",\"size\":\"{size}\",\"side\":\"{side}\",\"tradeId\":\"{id}\"}}")
}

/// Candles as their channel shows them: eight texts each in v2, named texts in v3.
fn candle_rows(topic: Topic, candles: &[Candle], listing: &Listing) -> String {
    let row = |candle: &Candle| {
        let it = CandleTexts::of(candle, listing);
        match topic {
            Topic::UnifiedCandle(..) => json!({
                "start": it.start, "open": it.open, "high": it.high, "low": it.low, "close": it.close,
                "volume": it.base, "turnover": it.quote,
            })
            .to_string(),
            _ => it.eight().to_string(),
        }
    };
    candles.iter().map(row).collect::<Vec<_>>().join(",")
}
