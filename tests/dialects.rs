//! The codec and the signer against the embedded exchange, which shares no code with either: what one writes the other
//! takes, and what one answers the other reads, in both kinds of account.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; helpers are not recognised as tests"
)]

use clock::SystemClock;
use domain::{
    ClientOrderId, Epoch, InstanceTag, Market, PositionEffect, PositionSide, Scaled, Sequence, Side, Symbol,
    TimeInForce, UnixNanos, VenueOrderId, VenueOrderStatus,
};
use futures_util::{SinkExt as _, StreamExt as _};
use messages::{
    AccountMode, CouldNotAsk, KeyDuty, KeyRight, OrderUpdate, PlaceOrder, PositionMode, QueryAnswer, ReportBody,
    SignIntent, VenueReason,
};
use order_signer::{Identity, InlineSigner, LoadedKey};
use secrets::SecretBytes;
use signing::{SignedRequest, SignerPort as _};
use sim_venue::{ApiKeyMaterial, Permission, RunningSim, SimConfig, SimVenue};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;
use venue_api::{ActAnswer, Method, PrivateFrame, VenueCodecs};
use venue_bitget::{Environment, account_mode_said_by, codecs_of};

/// Longest wait for anything that the exchange is to do.
const PATIENCE: Duration = Duration::from_secs(10);

/// An account at an exchange of its own, and who trades on it.
struct Lab {
    sim: RunningSim,
    codecs: VenueCodecs,
    signer: InlineSigner,
    http: reqwest::Client,
    identity: Identity,
    sequence: u64,
}

fn signer_of(key: &ApiKeyMaterial, codecs: &VenueCodecs, identity: Identity) -> InlineSigner {
    let secret = |text: &str| SecretBytes::from_slice(text.as_bytes()).unwrap();
    let key = LoadedKey::new(secret(&key.key), secret(&key.secret), secret(&key.passphrase)).unwrap();
    let mut signer =
        InlineSigner::new(key, Arc::clone(&codecs.signing), Arc::new(SystemClock), identity, KeyDuty::Full);
    signer.set_clock_offset(0).unwrap();
    signer
}

impl Lab {
    fn start(mode: AccountMode) -> Self {
        let account = match mode {
            AccountMode::Classic => sim_venue::AccountMode::Classic,
            AccountMode::Unified => sim_venue::AccountMode::Unified,
        };
        let permissions = vec![Permission::Read, Permission::Trade, Permission::FuturesRead, Permission::FuturesTrade];
        let config = SimConfig { account, permissions, ..SimConfig::default() };
        let sim = SimVenue::start(config, Arc::new(SystemClock)).unwrap();
        let codecs = codecs_of(Environment::Production, mode);
        let identity = Identity { tag: InstanceTag::from_number(41), epoch: Epoch::new(7).unwrap() };
        let signer = signer_of(&sim.key, &codecs, identity);
        // The client wants to know whose cryptography it would use; on loopback it uses none.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { sim, codecs, signer, http: reqwest::Client::new(), identity, sequence: 0 }
    }

    async fn send(&self, request: &SignedRequest) -> (u16, Vec<u8>) {
        let url = format!("{}{}", self.sim.rest, request.target());
        let mut builder = match request.method() {
            Method::Get => self.http.get(url),
            Method::Post => self.http.post(url).body(request.body().to_vec()),
            other => panic!("{other:?}"),
        };
        for (name, value) in request.headers() {
            builder = builder.header(name, value);
        }
        let answer = builder.send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
    }

    async fn ask(&mut self, intent: SignIntent) -> QueryAnswer {
        let request = self.signer.sign(&intent).unwrap();
        let (status, body) = self.send(&request).await;
        self.codecs.rest.query_answer(&intent, status, &body)
    }

    async fn act(&mut self, intent: SignIntent) -> ActAnswer {
        let request = self.signer.sign(&intent).unwrap();
        let (status, body) = self.send(&request).await;
        self.codecs.rest.act_answer(&intent, status, &body)
    }

    fn order(&mut self, symbol: Symbol, side: Side, price: &str, qty: &str, time_in_force: TimeInForce) -> PlaceOrder {
        self.sequence += 1;
        let id = ClientOrderId::new(self.identity.tag, self.identity.epoch, Sequence::new(self.sequence).unwrap());
        let number = |text: &str| Scaled::parse(text.as_bytes()).unwrap();
        let effect = PositionEffect::default();
        PlaceOrder { id, symbol, side, price: number(price), qty: number(qty), time_in_force, effect }
    }

    async fn place(&mut self, order: PlaceOrder) -> VenueOrderId {
        match self.act(SignIntent::Place(order)).await {
            ActAnswer::Accepted(id) => id,
            other => panic!("{order:?}: {other:?}"),
        }
    }

    /// Asks for an order until it has this status.
    async fn until(&mut self, order: &PlaceOrder, status: VenueOrderStatus) -> OrderUpdate {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(SignIntent::QueryOrder { symbol: order.symbol, id: order.id }).await;
            match answer {
                QueryAnswer::Order(Some(update)) if update.status == status => return update,
                other if tokio::time::Instant::now() > deadline => panic!("{order:?}: {other:?}"),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

fn symbol(name: &str) -> Symbol {
    Symbol::from(name).unwrap()
}

fn rows(answer: QueryAnswer) -> Vec<OrderUpdate> {
    match answer {
        QueryAnswer::Orders { page, .. } => page,
        other => panic!("{other:?}"),
    }
}

/// An order rests, is listed, is cancelled by our id and by the venue's, and is in the history with its own numbers.
async fn an_order_lives_and_ends(lab: &mut Lab, name: &str) {
    let since = UnixNanos(0);
    let order = lab.order(symbol(name), Side::Buy, "20000.50", "0.0010", TimeInForce::Gtc);
    let venue_id = lab.place(order).await;
    let resting = lab.until(&order, VenueOrderStatus::Live).await;
    assert_eq!((resting.venue_order_id, resting.client_id.as_str()), (venue_id, order.id.as_str()));
    assert_eq!((resting.side, resting.symbol), (Side::Buy, order.symbol));
    assert_eq!(resting.price.unwrap().decimal(), order.price.decimal());
    assert_eq!(resting.qty.decimal(), order.qty.decimal());
    let open = rows(lab.ask(SignIntent::OpenOrders { symbol: order.symbol, older_than: None }).await);
    assert_eq!(open.iter().map(|row| row.venue_order_id).collect::<Vec<_>>(), [venue_id]);
    assert_eq!(open[0].price.unwrap().decimal(), order.price.decimal());
    let cancel = SignIntent::Cancel { symbol: order.symbol, id: order.id, venue_order_id: None };
    assert_eq!(lab.act(cancel).await, ActAnswer::Accepted(venue_id));
    lab.until(&order, VenueOrderStatus::Cancelled).await;
    let history = rows(lab.ask(SignIntent::OrderHistory { symbol: order.symbol, since, older_than: None }).await);
    assert!(history.iter().any(|row| row.venue_order_id == venue_id && row.status == VenueOrderStatus::Cancelled));
    let other = lab.order(symbol(name), Side::Buy, "20000.50", "0.0010", TimeInForce::PostOnly);
    let other_id = lab.place(other).await;
    let cancel = SignIntent::Cancel { symbol: other.symbol, id: other.id, venue_order_id: Some(other_id) };
    assert_eq!(lab.act(cancel).await, ActAnswer::Accepted(other_id));
    let third = lab.order(symbol(name), Side::Buy, "20000.50", "0.0010", TimeInForce::Gtc);
    lab.place(third).await;
    assert_eq!(lab.act(SignIntent::CancelAll { symbol: third.symbol }).await, ActAnswer::Done);
    lab.until(&third, VenueOrderStatus::Cancelled).await;
    let never = lab.order(symbol(name), Side::Buy, "1", "1", TimeInForce::Gtc);
    assert_eq!(lab.ask(SignIntent::QueryOrder { symbol: never.symbol, id: never.id }).await, QueryAnswer::Order(None));
}

/// An order takes what rests; its fill has its price, quantity and a fee that was paid.
async fn an_order_is_filled(lab: &mut Lab, name: &str) {
    let order = lab.order(symbol(name), Side::Buy, "61500", "0.0100", TimeInForce::Ioc);
    let venue_id = lab.place(order).await;
    let filled = lab.until(&order, VenueOrderStatus::Filled).await;
    assert_eq!(filled.filled.decimal(), order.qty.decimal());
    let answer = lab.ask(SignIntent::Fills { symbol: order.symbol, since: UnixNanos(0), older_than: None }).await;
    let QueryAnswer::Fills { page, .. } = answer else { panic!("{answer:?}") };
    let ours: Vec<_> = page.iter().filter(|fill| fill.venue_order_id == venue_id).collect();
    assert_eq!(ours.iter().map(|fill| fill.qty.decimal()).sum::<rust_decimal::Decimal>(), order.qty.decimal());
    assert!(ours.iter().all(|fill| fill.fee.amount.0.is_sign_positive() && fill.symbol == order.symbol), "{ours:?}");
}

#[tokio::test]
async fn spot_is_traded_in_both_kinds_of_account() {
    for mode in AccountMode::ALL {
        let mut lab = Lab::start(mode);
        let answer = lab.ask(SignIntent::KeyInfo).await;
        let QueryAnswer::KeyInfo(info) = answer else { panic!("{mode:?}: {answer:?}") };
        assert_eq!(info.account_mode, Some(mode));
        assert!(info.rights.contains(&KeyRight::SpotTrade) && !info.rights.iter().any(|right| right.is_forbidden()));
        let answer = lab.ask(SignIntent::Balances).await;
        let QueryAnswer::Balances(before) = answer else { panic!("{mode:?}: {answer:?}") };
        let bitcoin = |list: &[messages::BalanceReport]| {
            list.iter().find(|row| row.asset.as_str() == "BTC").map(|row| row.available.0 + row.held.0).unwrap()
        };
        an_order_lives_and_ends(&mut lab, "BTCUSDT").await;
        an_order_is_filled(&mut lab, "BTCUSDT").await;
        let QueryAnswer::Balances(after) = lab.ask(SignIntent::Balances).await else { panic!("{mode:?}") };
        assert!(bitcoin(&after) > bitcoin(&before), "{mode:?}");
        lab.sim.stop();
    }
}

/// A long position is opened and closed in hedge mode, in the words of either generation, and the venue agrees.
#[tokio::test]
async fn perpetual_futures_are_traded_in_both_kinds_of_account() {
    for mode in AccountMode::ALL {
        let mut lab = Lab::start(mode);
        let perpetual = symbol("BTCUSDT-PERP");
        assert_eq!(lab.ask(SignIntent::Positions).await, QueryAnswer::Positions(Vec::new()), "{mode:?}");
        assert_eq!(
            lab.act(SignIntent::SetPositionMode { mode: PositionMode::Hedge }).await,
            ActAnswer::Done,
            "{mode:?}"
        );
        assert_eq!(
            lab.act(SignIntent::SetLeverage { symbol: perpetual, leverage: 7 }).await,
            ActAnswer::Done,
            "{mode:?}"
        );
        let answer = lab.ask(SignIntent::FuturesSettings { symbol: perpetual }).await;
        let QueryAnswer::FuturesSettings(settings) = answer else { panic!("{mode:?}: {answer:?}") };
        assert_eq!((settings.leverage_long, settings.position_mode), (7, PositionMode::Hedge), "{mode:?}");
        let long = PositionEffect { side: PositionSide::Long, reduce_only: false };
        let order = lab.order(perpetual, Side::Buy, "61500.0", "0.0100", TimeInForce::Ioc);
        let open = PlaceOrder { effect: long, ..order };
        lab.place(open).await;
        assert_eq!(lab.until(&open, VenueOrderStatus::Filled).await.side, Side::Buy);
        let answer = lab.ask(SignIntent::Positions).await;
        let QueryAnswer::Positions(list) = answer else { panic!("{mode:?}: {answer:?}") };
        assert_eq!((list[0].symbol, list[0].side, list[0].leverage), (perpetual, PositionSide::Long, 7), "{mode:?}");
        assert_eq!(list[0].qty.0, open.qty.decimal());
        let order = lab.order(perpetual, Side::Sell, "58500.0", "0.0100", TimeInForce::Ioc);
        let close = PlaceOrder { effect: long, ..order };
        lab.place(close).await;
        // In the words of v2 this is a "buy" that closes; here it is what it does.
        assert_eq!(lab.until(&close, VenueOrderStatus::Filled).await.side, Side::Sell, "{mode:?}");
        assert_eq!(lab.ask(SignIntent::Positions).await, QueryAnswer::Positions(Vec::new()), "{mode:?}: flat again");
        let answer = lab.ask(SignIntent::Fills { symbol: perpetual, since: UnixNanos(0), older_than: None }).await;
        let QueryAnswer::Fills { page, .. } = answer else { panic!("{mode:?}: {answer:?}") };
        assert!(page.iter().all(|fill| fill.fee.amount.0.is_sign_positive() && fill.symbol == perpetual), "{page:?}");
        lab.sim.stop();
    }
}

#[tokio::test]
async fn an_account_asked_in_the_other_way_says_how_it_is_kept() {
    for mode in AccountMode::ALL {
        let mut lab = Lab::start(mode);
        lab.codecs.mode.set(mode.other());
        let answer = lab.ask(SignIntent::KeyInfo).await;
        let QueryAnswer::CouldNotAsk(CouldNotAsk::Venue(error)) = answer else { panic!("{answer:?}") };
        assert_eq!((error.reason, account_mode_said_by(&error)), (VenueReason::AccountMode, Some(mode)));
        lab.codecs.mode.set(mode);
        assert!(matches!(lab.ask(SignIntent::KeyInfo).await, QueryAnswer::KeyInfo(_)));
        lab.sim.stop();
    }
}

#[tokio::test]
async fn instruments_are_listed_alike_by_both_generations() {
    let lab = Lab::start(AccountMode::Unified);
    let unified = venue_bitget::with_unified_public(Environment::Production, lab.codecs.clone());
    let mut lists = Vec::new();
    for codecs in [&lab.codecs, &unified] {
        let mut listed = Vec::new();
        for target in codecs.public.instruments_targets() {
            let answer = lab.http.get(format!("{}{target}", lab.sim.rest)).send().await.unwrap();
            let (status, body) = (answer.status().as_u16(), answer.bytes().await.unwrap());
            listed.extend(codecs.public.instruments(status, &body).unwrap());
        }
        // Nothing and one lot are the same smallest quantity.
        listed.iter_mut().for_each(|row| row.min_qty = row.min_qty.max(row.lot));
        listed.sort_by_key(|row| row.symbol);
        lists.push(listed);
    }
    assert!(lists[0].iter().any(|row| row.market == Market::Spot));
    assert_eq!(lists[0], lists[1]);
    lab.sim.stop();
}

#[tokio::test]
async fn the_private_stream_is_followed_in_both_kinds_of_account() {
    for mode in AccountMode::ALL {
        let mut lab = Lab::start(mode);
        // On a unified account a key that reads logs in.
        let mut login = signer_of(&lab.sim.key, &lab.codecs, lab.identity).reading_only();
        login.set_account_mode(mode).unwrap();
        let address = lab.codecs.private.address(&lab.sim.ws_private);
        let (mut socket, _) = tokio_tungstenite::connect_async(address.as_str()).await.unwrap();
        let frame = login.sign(&SignIntent::StreamLogin).unwrap();
        socket.send(Message::text(std::str::from_utf8(frame.body()).unwrap())).await.unwrap();
        let symbols = [symbol("BTCUSDT")];
        let mut missing: BTreeSet<&str> = lab.codecs.private.channels(&symbols).iter().copied().collect();
        let mut order = None;
        let mut seen = BTreeSet::new();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !["order", "fill", "balance"].iter().all(|kind| seen.contains(kind)) {
            let next = tokio::time::timeout_at(deadline, socket.next()).await;
            let message =
                next.unwrap_or_else(|_| panic!("{mode:?}: missing {missing:?}, seen {seen:?}")).unwrap().unwrap();
            let Message::Text(text) = message else { continue };
            match lab.codecs.private.decode(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}")) {
                PrivateFrame::LoggedIn => {
                    for frame in lab.codecs.private.subscribe(&symbols) {
                        socket.send(Message::text(frame)).await.unwrap();
                    }
                }
                PrivateFrame::Subscribed(channel) => {
                    missing.remove(channel);
                    if missing.is_empty() && order.is_none() {
                        let taken = lab.order(symbols[0], Side::Buy, "61500", "0.0100", TimeInForce::Ioc);
                        lab.place(taken).await;
                        order = Some(taken);
                    }
                }
                PrivateFrame::Reports(reports) => {
                    for report in reports {
                        match report {
                            ReportBody::Order(update)
                                if order.is_some_and(|ours| ours.id.as_str() == update.client_id.as_str()) =>
                            {
                                assert_eq!((update.symbol, update.side), (symbols[0], Side::Buy));
                                seen.insert("order");
                            }
                            ReportBody::Fill(fill) => {
                                assert!(fill.fee.amount.0.is_sign_positive() && fill.symbol == symbols[0], "{fill:?}");
                                seen.insert("fill");
                            }
                            ReportBody::Balance(_) => {
                                seen.insert("balance");
                            }
                            _ => {}
                        }
                    }
                }
                PrivateFrame::LoginFailed(error) | PrivateFrame::Error(error) => panic!("{mode:?}: {error:?}"),
                PrivateFrame::Ignored | PrivateFrame::Pong => {}
            }
        }
        lab.sim.stop();
    }
}
