//! Orders and what becomes of them: taking, cancelling, records, and the private pushes.

use crate::hub::Topic;
use crate::orders::{Fill, Look, Order, OrderStatus};
use crate::venue::{Push, PushTopic, Ticket, Venue, WAITING_MAX};
use domain::{Asset, InstrumentId, Price, Qty, Side, TimeInForce};
use matching::{AccountId, Atoms, Event, NewOrder, OrderId, OrderSize, Party, Removal, SelfTrade, Trade};
use serde_json::json;
use std::collections::BTreeMap;

impl Venue {
    /// Takes an order into the engine and remembers it.
    pub(crate) fn place(&mut self, account: usize, ticket: Ticket) -> Result<(OrderId, String), matching::PlaceError> {
        let now = self.now();
        let owner =
            self.accounts.get(account).map(|account| account.engine).ok_or(matching::PlaceError::UnknownAccount)?;
        let order = NewOrder {
            account: owner,
            instrument: ticket.instrument,
            side: ticket.side,
            size: ticket.size,
            time_in_force: ticket.force,
            self_trade: ticket.self_trade,
        };
        let mut events = Vec::new();
        let id = self.engine.place(order, now, &mut events)?;
        self.accepted += 1;
        let client_oid = ticket.client_oid.unwrap_or_else(|| id.0.to_string());
        let (price, qty, budget) = match ticket.size {
            OrderSize::Limit { price, qty } => (Some(price), qty, None),
            OrderSize::MarketBase { qty } => (None, qty, None),
            OrderSize::MarketQuote { budget } => (None, Qty::ZERO, Some(budget)),
        };
        let fee_asset = self
            .by_id(ticket.instrument)
            .map(|it| if ticket.side == Side::Buy { it.config.base } else { it.config.quote });
        let record = Order {
            id,
            client_oid: client_oid.clone(),
            instrument: ticket.instrument,
            side: ticket.side,
            force: ticket.force,
            self_trade: ticket.self_trade,
            price,
            qty,
            budget,
            filled: Qty::ZERO,
            filled_quote: Atoms::ZERO,
            fee: Atoms::ZERO,
            fee_asset: fee_asset.unwrap_or_default(),
            status: OrderStatus::Live,
            cancel_reason: None,
            created_ms: now.as_millis(),
            updated_ms: now.as_millis(),
        };
        if let Some(account) = self.accounts.get_mut(account) {
            account.store.insert(record);
        }
        self.push_order(account, id, None);
        self.digest(&events);
        if events.len() == 1 {
            // It rests: nothing traded, but its cost is frozen now.
            self.push_balances(account, ticket.instrument);
        }
        Ok((id, client_oid))
    }

    /// Cancels an open order; false when it does not rest.
    pub(crate) fn cancel(&mut self, account: usize, id: OrderId) -> bool {
        let Some(owner) = self.accounts.get(account) else { return false };
        let (engine_id, Some(order)) = (owner.engine, owner.store.get(id)) else { return false };
        let instrument = order.instrument;
        if self.lost_race(account, id) {
            return true;
        }
        let mut events = Vec::new();
        let cancelled = self.engine.cancel(engine_id, instrument, id, &mut events);
        self.digest(&events);
        cancelled
    }

    /// Lets the market trade with a resting order until it is filled.
    pub(crate) fn fill_now(&mut self, account: usize, id: OrderId) {
        let Some(order) = self.accounts.get(account).and_then(|account| account.store.get(id)) else { return };
        let (instrument, side) = (order.instrument, order.side.opposite());
        let Some(book) = self.engine.book(instrument) else { return };
        let (Some(resting), Some(ahead)) = (book.order(id).copied(), book.ahead_of(id)) else { return };
        let qty = Qty(ahead.0.saturating_add(resting.remaining.0));
        self.house_order(instrument, side, resting.price, qty);
    }

    /// An immediate-or-cancel order of the house; true when it was taken.
    pub(crate) fn house_order(&mut self, instrument: InstrumentId, side: Side, price: Price, qty: Qty) -> bool {
        self.house_place(instrument, side, price, qty, TimeInForce::Ioc)
    }

    /// An order of a participant who is not an API client.
    pub(crate) fn house_place(
        &mut self,
        instrument: InstrumentId,
        side: Side,
        price: Price,
        qty: Qty,
        force: TimeInForce,
    ) -> bool {
        let order = NewOrder {
            account: self.house,
            instrument,
            side,
            size: OrderSize::Limit { price, qty },
            time_in_force: force,
            self_trade: SelfTrade::CancelMaker,
        };
        let mut events = Vec::new();
        let taken = self.engine.place(order, self.now(), &mut events).is_ok();
        self.digest(&events);
        taken
    }

    /// Takes what the engine reported into records, prints and pushes.
    pub(crate) fn digest(&mut self, events: &[Event]) {
        let now_ms = self.now_ms();
        let mut touched: Vec<(usize, InstrumentId)> = Vec::new();
        for (position, event) in events.iter().enumerate() {
            match event {
                Event::Accepted { .. } => {}
                Event::Traded(trade) => {
                    self.print(trade, now_ms);
                    for (party, maker) in [(&trade.maker, true), (&trade.taker, false)] {
                        let Some(account) = self.client(party.account) else { continue };
                        let last = completes(events.get(position + 1..).unwrap_or(&[]), party.order);
                        self.record_fill(account, trade, party, maker, last, now_ms);
                        touched.push((account, trade.instrument));
                    }
                }
                Event::Removed { order, account, instrument, how } => {
                    let Some(account) = self.client(*account) else { continue };
                    touched.push((account, *instrument));
                    self.record_removal(account, *order, *how, now_ms);
                }
                // Perpetuals are not listed yet.
                _ => {}
            }
        }
        touched.sort_unstable_by_key(|(account, instrument)| (*account, instrument.0));
        touched.dedup();
        for (account, instrument) in touched {
            self.push_balances(account, instrument);
        }
    }

    /// The client behind an account of the engine.
    fn client(&self, account: AccountId) -> Option<usize> {
        self.clients.get(&account).copied()
    }

    fn print(&mut self, trade: &Trade, now_ms: u64) {
        let Some(instrument) = self.instruments.get_mut(trade.instrument.index()) else { return };
        let print = instrument.prints.record(trade, now_ms);
        (instrument.ticker_changed, instrument.candle_changed) = (true, true);
        self.publish_trade(trade.instrument, &print, now_ms);
    }

    fn record_fill(&mut self, account: usize, trade: &Trade, party: &Party, maker: bool, last: bool, now_ms: u64) {
        let Some(order) = self.accounts.get_mut(account).and_then(|owner| owner.store.get_mut(party.order)) else {
            return;
        };
        order.filled = Qty(order.filled.0.saturating_add(trade.qty.0));
        order.filled_quote = Atoms(order.filled_quote.0 + trade.notional.0);
        order.fee = Atoms(order.fee.0 + party.fee.0);
        order.status = if last { OrderStatus::Filled } else { OrderStatus::PartiallyFilled };
        order.updated_ms = now_ms;
        let fill = Fill {
            trade_id: trade.id.0,
            order: party.order,
            client_oid: order.client_oid.clone(),
            instrument: trade.instrument,
            market_order: order.price.is_none(),
            side: order.side,
            price: trade.price,
            qty: trade.qty,
            notional: trade.notional,
            fee: party.fee,
            fee_asset: party.fee_asset,
            maker,
            at_ms: now_ms,
        };
        self.push_order(account, party.order, Some(&fill));
        if let (Some(instrument), Some(owner)) = (self.by_id(trade.instrument), self.accounts.get(account)) {
            let look = Look { symbol: &instrument.config.symbol, listing: &instrument.listing, user: owner.user };
            let data = fill.pushed(look).to_string();
            self.push(account, PushTopic::Fills(trade.instrument), data, now_ms);
        }
        if let Some(owner) = self.accounts.get_mut(account) {
            owner.store.add_fill(fill);
        }
    }

    fn record_removal(&mut self, account: usize, id: OrderId, how: Removal, now_ms: u64) {
        let Some(owner) = self.accounts.get_mut(account) else { return };
        let Some(order) = owner.store.get_mut(id) else { return };
        match how {
            // The trade that completed it has told so already.
            Removal::Filled => order.status = OrderStatus::Filled,
            Removal::Cancelled(reason) => {
                order.status = OrderStatus::Cancelled;
                order.cancel_reason = Some(reason);
                order.updated_ms = now_ms;
            }
        }
        owner.store.ended(id);
        if matches!(how, Removal::Cancelled(_)) {
            self.push_order(account, id, None);
        }
    }

    /// Lets the account's pushes wait until [`Self::release`].
    pub(crate) fn hold(&mut self, account: usize) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.holds += 1;
        }
    }

    /// One answer has left; when it was the last one, the pushes go.
    pub(crate) fn release(&mut self, account: usize) {
        let Some(owner) = self.accounts.get_mut(account) else { return };
        owner.holds = owner.holds.saturating_sub(1);
        if owner.holds > 0 {
            return;
        }
        for push in std::mem::take(&mut owner.waiting) {
            self.deliver(account, &push);
        }
    }

    fn push(&mut self, account: usize, topic: PushTopic, data: String, ts_ms: u64) {
        let push = Push { topic, data, ts_ms };
        match self.accounts.get_mut(account) {
            Some(owner) if owner.holds > 0 => {
                if owner.waiting.len() < WAITING_MAX {
                    owner.waiting.push_back(push);
                }
            }
            _ => self.deliver(account, &push),
        }
    }

    fn deliver(&mut self, account: usize, push: &Push) {
        let hears = |topic: Topic| match (topic, push.topic) {
            (Topic::Orders(wanted), PushTopic::Orders(it)) | (Topic::Fills(wanted), PushTopic::Fills(it)) => {
                wanted.is_none_or(|wanted| wanted == it)
            }
            (Topic::Balances(wanted), PushTopic::Balance(it)) => wanted.is_none_or(|wanted| wanted == it),
            _ => false,
        };
        self.hub.push(account, hears, &push.data, push.ts_ms);
    }

    fn push_order(&mut self, account: usize, id: OrderId, fill: Option<&Fill>) {
        let Some(owner) = self.accounts.get(account) else { return };
        let Some(order) = owner.store.get(id) else { return };
        let Some(instrument) = self.by_id(order.instrument) else { return };
        let look = Look { symbol: &instrument.config.symbol, listing: &instrument.listing, user: owner.user };
        let (topic, data, ts_ms) =
            (PushTopic::Orders(order.instrument), order.pushed(look, fill).to_string(), self.now_ms());
        self.push(account, topic, data, ts_ms);
    }

    fn push_balances(&mut self, account: usize, instrument: InstrumentId) {
        let Some(config) = self.by_id(instrument).map(|instrument| instrument.config) else { return };
        let now_ms = self.now_ms();
        for asset in [config.base, config.quote] {
            let Some(item) = self.balance_item(account, asset) else { continue };
            self.push(account, PushTopic::Balance(asset), item, now_ms);
        }
    }

    /// Tells an account's listeners what it has of one coin.
    pub(crate) fn tell_balance(&mut self, account: usize, asset: Asset) {
        if let Some(item) = self.balance_item(account, asset) {
            self.push(account, PushTopic::Balance(asset), item, self.now_ms());
        }
    }

    /// One coin of an account as `account` shows it.
    pub(crate) fn balance_item(&self, account: usize, asset: Asset) -> Option<String> {
        let balance = self.engine.balance(self.accounts.get(account)?.engine, asset);
        let item = json!({
            "coin": asset, "available": balance.available.to_string(), "frozen": balance.frozen.to_string(),
            "locked": "0", "limitAvailable": "0", "uTime": self.now_ms().to_string(),
        });
        Some(item.to_string())
    }

    /// Everything an account has, by coin.
    pub(crate) fn balances(&self, account: usize) -> BTreeMap<Asset, matching::Balance> {
        self.accounts.get(account).map(|owner| self.engine.balances(owner.engine).collect()).unwrap_or_default()
    }
}

/// Whether an order ends filled, with nothing more traded for it.
fn completes(later: &[Event], order: OrderId) -> bool {
    for event in later {
        match event {
            Event::Traded(trade) if trade.maker.order == order || trade.taker.order == order => return false,
            Event::Removed { order: id, how, .. } if *id == order => return *how == Removal::Filled,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::hub::Out;
    use crate::{ApiKeyMaterial, Market, SimConfig};
    use clock::ManualClock;
    use domain::{Clock, UnixNanos};
    use serde_json::Value;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::mpsc::{Receiver, channel};

    pub(crate) fn venue(market: Market) -> (Arc<ManualClock>, Venue) {
        let clock = Arc::new(ManualClock::default());
        clock.set_unix(UnixNanos::from_millis(1_700_000_000_000));
        let config = SimConfig { market, ..SimConfig::default() };
        let key = ApiKeyMaterial { key: "bg_1".into(), secret: "s".into(), passphrase: "p".into() };
        let venue = Venue::new(&config, key, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        (clock, venue)
    }

    /// A logged-in client of all private channels.
    fn listener(venue: &mut Venue) -> Receiver<Out> {
        let (queue, frames) = channel(10_000);
        let id = venue.hub.open(queue, None, IpAddr::V4(Ipv4Addr::LOCALHOST), false);
        let session = venue.hub.get_mut(id).unwrap();
        session.account = Some(0);
        session.topics = [Topic::Orders(None), Topic::Fills(None), Topic::Balances(None)]
            .map(|topic| (topic, "{}".to_owned()))
            .to_vec();
        frames
    }

    fn heard(frames: &mut Receiver<Out>) -> Vec<Value> {
        let mut heard = Vec::new();
        while let Ok(Out::Text(text)) = frames.try_recv() {
            let frame: Value = serde_json::from_str(&text).unwrap();
            heard.push(frame["data"][0].clone());
        }
        heard
    }

    pub(crate) fn bid(price: i64, qty: i64) -> Ticket {
        Ticket {
            instrument: InstrumentId(0),
            side: Side::Buy,
            size: OrderSize::Limit { price: Price(price), qty: Qty(qty) },
            force: TimeInForce::Gtc,
            self_trade: SelfTrade::Allow,
            client_oid: None,
        }
    }

    #[test]
    fn pushes_wait_until_every_answer_has_left_and_then_come_in_order() {
        let (_, mut venue) = venue(Market::Quiet);
        let mut frames = listener(&mut venue);
        venue.hold(0);
        venue.hold(0);
        let (id, _) = venue.place(0, bid(6_000_000, 1_000)).unwrap();
        venue.fill_now(0, id);
        assert!(heard(&mut frames).is_empty());
        venue.release(0);
        assert!(heard(&mut frames).is_empty(), "another answer is still on its way");
        venue.release(0);
        let told = heard(&mut frames);
        let states: Vec<&str> = told.iter().filter_map(|data| data["status"].as_str()).collect();
        assert_eq!(states, ["live", "filled"]);
        assert!(told.iter().any(|data| data["tradeId"].is_string() && data["symbol"] == "BTCUSDT"));
    }

    #[test]
    fn an_order_completed_by_several_trades_is_filled_with_the_last_one_only() {
        let (_, mut venue) = venue(Market::Quiet);
        for price in [6_000_000, 6_000_100, 6_000_200] {
            assert!(venue.house_place(InstrumentId(0), Side::Sell, Price(price), Qty(100), TimeInForce::Gtc));
        }
        let mut frames = listener(&mut venue);
        venue.place(0, bid(6_000_200, 300)).unwrap();
        let told = heard(&mut frames);
        let states: Vec<&str> = told.iter().filter_map(|data| data["status"].as_str()).collect();
        assert_eq!(states, ["live", "partially_filled", "partially_filled", "filled"]);
    }

    #[test]
    fn coins_are_conserved_while_a_client_trades_with_the_crowd() {
        let (clock, mut venue) = venue(Market::Seeded);
        let assets: Vec<Asset> = ["BTC", "ETH", "SOL", "USDT"].iter().map(|code| Asset::from(code).unwrap()).collect();
        let totals = |venue: &Venue| assets.iter().map(|asset| venue.engine.total(*asset)).collect::<Vec<_>>();
        let before = totals(&venue);
        for _ in 0..400 {
            let best = venue.engine.book(InstrumentId(0)).unwrap().best_bid().unwrap();
            venue.place(0, bid(best.price.0 + 50, 1_000)).unwrap();
            clock.advance(Duration::from_millis(100));
            venue.tick();
            let open: Vec<OrderId> = venue.accounts[0].store.open().map(|order| order.id).collect();
            for id in open {
                assert!(venue.cancel(0, id));
            }
        }
        assert_eq!(totals(&venue), before);
        assert!(venue.accounts[0].store.fills().count() > 20);
        assert!(venue.engine.fees_collected(assets[0]) > Atoms::ZERO);
    }
}
