//! Orders and what becomes of them: taking, cancelling, records, and whom to tell.

use crate::orders::{Fill, Order, OrderStatus};
use crate::outgoing::PrivateEvent;
use crate::records::{BillKind, ClosedPosition, FillFutures, OrderFutures, divided, works_on};
use crate::venue::{Ticket, Venue};
use domain::{Asset, InstrumentId, Price, Qty, Side, TimeInForce};
use matching::{
    AccountId, Atoms, Event, Intent, NewOrder, OrderId, OrderSize, Party, PlaceError, Removal, SelfTrade, Trade,
};
use std::collections::BTreeMap;

/// What a batch of the engine's events did to one account, told once at its end.
#[derive(Default)]
struct Touched {
    spot: Vec<(usize, InstrumentId)>,
    futures: Vec<usize>,
    /// Changes of futures balances, oldest first: account, instrument, kind, amount, fee.
    bills: Vec<(usize, Option<InstrumentId>, BillKind, Atoms, Atoms)>,
}

impl Venue {
    /// Takes a spot order into the engine and remembers it.
    pub(crate) fn place(&mut self, account: usize, ticket: Ticket) -> Result<(OrderId, String), PlaceError> {
        self.take(account, ticket, None)
    }

    /// Takes an order into the engine and remembers it; `futures`: what it is on a perpetual.
    pub(crate) fn take(
        &mut self,
        account: usize,
        ticket: Ticket,
        futures: Option<OrderFutures>,
    ) -> Result<(OrderId, String), PlaceError> {
        let now = self.now();
        let owner = self.accounts.get(account).map(|account| account.engine).ok_or(PlaceError::UnknownAccount)?;
        let order = NewOrder {
            account: owner,
            instrument: ticket.instrument,
            side: ticket.side,
            size: ticket.size,
            time_in_force: ticket.force,
            self_trade: ticket.self_trade,
        };
        let mut events = Vec::new();
        let id = match futures {
            Some(futures) => self.engine.place_perpetual(order, futures.intent, now, &mut events)?,
            None => self.engine.place(order, now, &mut events)?,
        };
        self.accepted += 1;
        let client_oid = ticket.client_oid.unwrap_or_else(|| id.0.to_string());
        // A reduce-only order may have been cut to its position as it was taken.
        let cut = events.iter().find_map(|event| match event {
            Event::Cut { order, remaining, .. } if *order == id => Some(*remaining),
            _ => None,
        });
        self.remember(account, id, &order, client_oid.clone(), futures, cut);
        self.tell_order(account, id, None);
        self.digest(&events);
        if events.len() == 1 {
            // It rests: nothing traded, but its cost is held now.
            match futures {
                Some(_) => self.tell_futures(account),
                None => self.tell_balances(account, ticket.instrument),
            }
        }
        Ok((id, client_oid))
    }

    fn remember(
        &mut self,
        account: usize,
        id: OrderId,
        order: &NewOrder,
        client_oid: String,
        futures: Option<OrderFutures>,
        cut: Option<Qty>,
    ) {
        let now_ms = self.now_ms();
        let (price, qty, budget) = match order.size {
            OrderSize::Limit { price, qty } => (Some(price), qty, None),
            OrderSize::MarketBase { qty } => (None, qty, None),
            OrderSize::MarketQuote { budget } => (None, Qty::ZERO, Some(budget)),
        };
        let receives = |it: &crate::venue::Instrument| match (order.side, futures) {
            (Side::Buy, None) => it.config.base,
            _ => it.config.quote,
        };
        let record = Order {
            id,
            client_oid,
            instrument: order.instrument,
            side: order.side,
            force: order.time_in_force,
            self_trade: order.self_trade,
            price,
            qty: cut.unwrap_or(qty),
            budget,
            filled: Qty::ZERO,
            filled_quote: Atoms::ZERO,
            fee: Atoms::ZERO,
            fee_asset: self.by_id(order.instrument).map(receives).unwrap_or_default(),
            status: OrderStatus::Live,
            cancel_reason: None,
            created_ms: now_ms,
            updated_ms: now_ms,
            futures,
        };
        if let Some(store) = self.store_of(account, order.instrument) {
            store.insert(record);
        }
    }

    /// Cancels an open order; false when it does not rest.
    pub(crate) fn cancel(&mut self, account: usize, id: OrderId) -> bool {
        let Some(owner) = self.accounts.get(account) else { return false };
        let (engine_id, Some(order)) = (owner.engine, owner.order(id)) else { return false };
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
        let Some(order) = self.accounts.get(account).and_then(|account| account.order(id)) else { return };
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

    /// Takes what the engine reported into records and prints, and tells whom it concerns.
    pub(crate) fn digest(&mut self, events: &[Event]) {
        let now_ms = self.now_ms();
        let mut touched = Touched::default();
        for (position, event) in events.iter().enumerate() {
            match *event {
                Event::Accepted { .. } => {}
                Event::Traded(trade) => {
                    self.print(&trade, now_ms);
                    for (party, maker) in [(&trade.maker, true), (&trade.taker, false)] {
                        let Some(account) = self.client(party.account) else { continue };
                        let last = completes(events.get(position + 1..).unwrap_or(&[]), party.order);
                        self.record_fill(account, &trade, party, (maker, last), &mut touched);
                    }
                }
                Event::Removed { order, account, instrument, how } => {
                    let Some(account) = self.client(account) else { continue };
                    self.record_removal(account, order, how, now_ms);
                    self.touch(account, instrument, &mut touched);
                }
                _ => self.digest_futures(event, &mut touched),
            }
        }
        touched.spot.sort_unstable_by_key(|(account, instrument)| (*account, instrument.0));
        touched.spot.dedup();
        touched.futures.sort_unstable();
        touched.futures.dedup();
        for (account, instrument) in touched.spot {
            self.tell_balances(account, instrument);
        }
        self.bill_all(&touched.bills);
        for account in touched.futures {
            self.tell_futures(account);
        }
    }

    /// What happens on perpetuals only.
    fn digest_futures(&mut self, event: &Event, touched: &mut Touched) {
        let now_ms = self.now_ms();
        let (Event::Cut { account, .. }
        | Event::Closed { account, .. }
        | Event::LiquidationOrder { account, .. }
        | Event::TakenOver { account, .. }
        | Event::Covered { account, .. }) = *event
        else {
            if let Event::Funding(payment) = event
                && let Some(account) = self.client(payment.account)
            {
                let bill = (account, Some(payment.instrument), BillKind::Funding, payment.amount, Atoms::ZERO);
                touched.bills.push(bill);
                touched.futures.push(account);
            }
            return;
        };
        let Some(client) = self.client(account) else { return };
        touched.futures.push(client);
        match *event {
            Event::Cut { order, remaining, .. } => {
                let record = self.accounts.get_mut(client).and_then(|owner| owner.futures.store.get_mut(order));
                let Some(record) = record else { return };
                let qty = Qty(record.filled.0.saturating_add(remaining.0));
                if record.qty != qty {
                    (record.qty, record.updated_ms) = (qty, now_ms);
                    self.tell_order(client, order, None);
                }
            }
            Event::Closed { instrument, position, .. } => {
                let mode = self.engine.position_mode(account);
                let closed = ClosedPosition { instrument, mode, position, closed_ms: now_ms };
                if let Some(owner) = self.accounts.get_mut(client) {
                    owner.futures.add_closed(closed);
                }
                self.tell(client, PrivateEvent::PositionClosed(Box::new(closed)));
            }
            Event::LiquidationOrder { order, instrument, intent, side, qty, .. } => {
                self.remember_liquidation(client, order, (account, instrument, side, qty), intent);
                tracing::info!(account = client, order = order.0, "an account is liquidated");
            }
            Event::TakenOver { instrument, pnl, .. } => {
                touched.bills.push((client, Some(instrument), BillKind::Liquidation, pnl, Atoms::ZERO));
            }
            Event::Covered { amount, .. } => {
                touched.bills.push((client, None, BillKind::Insurance, amount, Atoms::ZERO));
            }
            _ => {}
        }
    }

    /// Makes a record of the order by which the venue closes a position, and tells of it.
    fn remember_liquidation(
        &mut self,
        client: usize,
        id: OrderId,
        (account, instrument, side, qty): (AccountId, InstrumentId, Side, Qty),
        intent: Intent,
    ) {
        let order = NewOrder {
            account,
            instrument,
            side,
            size: OrderSize::MarketBase { qty },
            time_in_force: TimeInForce::Ioc,
            self_trade: SelfTrade::Allow,
        };
        let futures = OrderFutures {
            intent,
            mode: self.engine.position_mode(account),
            leverage: self.engine.leverage(account, instrument).unwrap_or(1),
            pnl: Atoms::ZERO,
            liquidation: true,
        };
        self.remember(client, id, &order, id.0.to_string(), Some(futures), None);
        self.tell_order(client, id, None);
    }

    /// Notes the changes of futures balances that a batch of events brought; each with the balance after it.
    fn bill_all(&mut self, bills: &[(usize, Option<InstrumentId>, BillKind, Atoms, Atoms)]) {
        for (position, (account, instrument, kind, amount, fee)) in bills.iter().enumerate() {
            let later = bills.get(position + 1..).unwrap_or(&[]).iter().filter(|bill| bill.0 == *account);
            let later: i128 = later.map(|(_, _, _, amount, fee)| amount.0 - fee.0).sum();
            self.bill(*account, *instrument, *kind, (*amount, *fee), Atoms(later));
        }
    }

    /// The client behind an account of the engine.
    fn client(&self, account: AccountId) -> Option<usize> {
        self.clients.get(&account).copied()
    }

    fn is_perpetual(&self, instrument: InstrumentId) -> bool {
        self.by_id(instrument).is_some_and(|instrument| instrument.perpetual.is_some())
    }

    fn touch(&self, account: usize, instrument: InstrumentId, touched: &mut Touched) {
        if self.is_perpetual(instrument) {
            touched.futures.push(account);
        } else {
            touched.spot.push((account, instrument));
        }
    }

    /// Where an account's orders on an instrument are remembered.
    fn store_of(&mut self, account: usize, instrument: InstrumentId) -> Option<&mut crate::orders::OrderStore> {
        let perpetual = self.is_perpetual(instrument);
        let owner = self.accounts.get_mut(account)?;
        Some(if perpetual { &mut owner.futures.store } else { &mut owner.store })
    }

    fn print(&mut self, trade: &Trade, now_ms: u64) {
        let Some(instrument) = self.instruments.get_mut(trade.instrument.index()) else { return };
        let print = instrument.prints.record(trade, now_ms);
        (instrument.ticker_changed, instrument.candle_changed) = (true, true);
        self.publish_trade(trade.instrument, &print, now_ms);
    }

    fn record_fill(
        &mut self,
        account: usize,
        trade: &Trade,
        party: &Party,
        (maker, last): (bool, bool),
        touched: &mut Touched,
    ) {
        let now_ms = self.now_ms();
        self.touch(account, trade.instrument, touched);
        let order = self.store_of(account, trade.instrument).and_then(|store| store.get_mut(party.order));
        let Some(order) = order else { return };
        order.filled = Qty(order.filled.0.saturating_add(trade.qty.0));
        order.filled_quote = Atoms(order.filled_quote.0 + trade.notional.0);
        order.fee = Atoms(order.fee.0 + party.fee.0);
        order.status = if last { OrderStatus::Filled } else { OrderStatus::PartiallyFilled };
        order.updated_ms = now_ms;
        let futures = order.futures.as_mut().map(|futures| {
            futures.pnl = Atoms(futures.pnl.0 + party.pnl.0);
            FillFutures { intent: futures.intent, mode: futures.mode, pnl: party.pnl, closed: party.closed }
        });
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
            futures,
        };
        self.tell_order(account, party.order, Some(&fill));
        self.tell(account, PrivateEvent::Fill(Box::new(fill.clone())));
        if let Some(futures) = futures {
            let (opens, closes) = works_on(fill.side, futures.intent);
            let (closing, opening) = divided(party.fee, party.closed, trade.qty);
            let on = Some(trade.instrument);
            if party.closed > Qty::ZERO {
                touched.bills.push((account, on, BillKind::Close(closes), party.pnl, closing));
            }
            if party.closed < trade.qty {
                touched.bills.push((account, on, BillKind::Open(opens), Atoms::ZERO, opening));
            }
        }
        if let Some(store) = self.store_of(account, trade.instrument) {
            store.add_fill(fill);
        }
    }

    fn record_removal(&mut self, account: usize, id: OrderId, how: Removal, now_ms: u64) {
        let Some(owner) = self.accounts.get_mut(account) else { return };
        let store = if owner.store.get(id).is_some() { &mut owner.store } else { &mut owner.futures.store };
        let Some(order) = store.get_mut(id) else { return };
        match how {
            // The trade that completed it has told so already.
            Removal::Filled => order.status = OrderStatus::Filled,
            Removal::Cancelled(reason) => {
                order.status = OrderStatus::Cancelled;
                order.cancel_reason = Some(reason);
                order.updated_ms = now_ms;
            }
        }
        store.ended(id);
        if matches!(how, Removal::Cancelled(_)) {
            self.tell_order(account, id, None);
        }
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
    use crate::hub::{Out, Topic};
    use crate::{ApiKeyMaterial, Market, SimConfig};
    use clock::ManualClock;
    use domain::{Clock, UnixNanos};
    use serde_json::Value;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::mpsc::{Receiver, channel};

    pub(crate) fn venue(market: Market) -> (Arc<ManualClock>, Venue) {
        venue_with(SimConfig { market, ..SimConfig::default() })
    }

    pub(crate) fn venue_with(config: SimConfig) -> (Arc<ManualClock>, Venue) {
        let clock = Arc::new(ManualClock::default());
        clock.set_unix(UnixNanos::from_millis(1_700_000_000_000));
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
            intent: None,
        }
    }

    #[test]
    fn pushes_wait_until_every_answer_has_left_and_then_come_in_order() {
        let (_, mut venue) = venue(Market::Quiet);
        let mut frames = listener(&mut venue);
        let (first, second) = (venue.hold(0), venue.hold(0));
        let (id, _) = venue.place(0, bid(6_000_000, 1_000)).unwrap();
        venue.fill_now(0, id);
        assert!(heard(&mut frames).is_empty());
        venue.release(0, second);
        assert!(heard(&mut frames).is_empty(), "another answer is still on its way");
        venue.release(0, first);
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
