//! What the futures desk promises, at the core: no socket, no dialect, a clock that is moved by hand.

use crate::desk::tests::venue_with;
use crate::futures::{DeskRefusal, MarginMode, Wallet};
use crate::outgoing::PrivateEvent;
use crate::records::BillKind;
use crate::venue::{Ticket, Venue};
use crate::{AccountConfig, AccountMode, Category, Market, OrderStatus, PerpetualMarket, SimConfig, TapeEnd};
use clock::ManualClock;
use domain::{Asset, InstrumentId, Price, Qty, Side, TimeInForce};
use matching::{Atoms, Event, Intent, OrderId, OrderSize, PositionMode, PositionSide, SelfTrade};
use proptest::prelude::*;
use rust_decimal::Decimal;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

const NET: Intent = Intent::OneWay { reduce_only: false };
const REDUCE: Intent = Intent::OneWay { reduce_only: true };
/// Mark price 60000 in the perpetual's single decimal.
const MARK: i64 = 600_000;

fn quiet(config: SimConfig) -> (Arc<ManualClock>, Venue) {
    venue_with(SimConfig { market: Market::Quiet, ..config })
}

fn btc(venue: &Venue) -> InstrumentId {
    venue.find(Category::UsdtFutures, "btcusdt").unwrap().id
}

fn usdt() -> Asset {
    Asset::from("USDT").unwrap()
}

fn amount(text: &str) -> Atoms {
    Atoms::from_decimal(text.parse().unwrap()).unwrap()
}

fn limit(venue: &Venue, side: Side, price: i64, qty: i64, intent: Intent) -> Ticket {
    Ticket {
        instrument: btc(venue),
        side,
        size: OrderSize::Limit { price: Price(price), qty: Qty(qty) },
        force: TimeInForce::Gtc,
        self_trade: SelfTrade::Allow,
        client_oid: None,
        intent: Some(intent),
    }
}

fn place(
    venue: &mut Venue,
    side: Side,
    price: i64,
    qty: i64,
    intent: Intent,
) -> Result<(OrderId, String), DeskRefusal> {
    let ticket = limit(venue, side, price, qty, intent);
    venue.place_futures(0, ticket)
}

/// The house offers `qty` at `price`, and the main account takes it.
fn trade(venue: &mut Venue, side: Side, price: i64, qty: i64, intent: Intent) -> OrderId {
    let id = btc(venue);
    assert!(venue.house_place(id, side.opposite(), Price(price), Qty(qty), TimeInForce::Gtc));
    place(venue, side, price, qty, intent).unwrap().0
}

/// What an account is told while `act` runs.
fn told(venue: &mut Venue, account: usize, act: impl FnOnce(&mut Venue)) -> Vec<PrivateEvent> {
    if !venue.hub.is_heard(account) {
        let (queue, _) = tokio::sync::mpsc::channel(1);
        let session = venue.hub.open(queue, None, IpAddr::V4(Ipv4Addr::LOCALHOST), false);
        venue.hub.get_mut(session).unwrap().account = Some(account);
    }
    let place = venue.hold(account).unwrap();
    act(venue);
    let released = venue.accounts[account].outgoing.release(place);
    released.into_iter().map(|push| push.event).collect()
}

fn kinds(events: &[PrivateEvent]) -> Vec<String> {
    let kind = |event: &PrivateEvent| match event {
        PrivateEvent::Order { order, fill } => {
            format!("order {} {}", order.status.as_str(), if fill.is_some() { "by a trade" } else { "alone" })
        }
        PrivateEvent::Fill(fill) => format!("fill {}", if fill.maker { "maker" } else { "taker" }),
        PrivateEvent::Balance { asset, .. } => format!("balance {asset}"),
        PrivateEvent::FuturesAccount(_) => "account".into(),
        PrivateEvent::Positions(positions) => format!("positions {}", positions.len()),
        PrivateEvent::PositionClosed(_) => "closed".into(),
    };
    events.iter().map(kind).collect()
}

#[test]
fn an_order_is_told_live_then_by_its_trades_and_then_account_and_positions_once() {
    let (_, mut venue) = quiet(SimConfig::default());
    let id = btc(&venue);
    for price in [MARK, MARK + 10] {
        assert!(venue.house_place(id, Side::Sell, Price(price), Qty(50), TimeInForce::Gtc));
    }
    let opened = told(&mut venue, 0, |venue| {
        place(venue, Side::Buy, MARK + 10, 150, NET).unwrap();
    });
    let expected = [
        "order live alone",
        "order partially_filled by a trade",
        "fill taker",
        "order partially_filled by a trade",
        "fill taker",
        "account",
        "positions 1",
    ];
    assert_eq!(kinds(&opened), expected);
    let open: Vec<OrderId> = venue.accounts[0].futures.store.open().map(|order| order.id).collect();
    assert!(venue.accounts[0].store.open().next().is_none(), "spot has its own list");
    let cancelled = told(&mut venue, 0, |venue| assert_eq!(venue.cancel_futures(0, Some(id)), open));
    assert_eq!(kinds(&cancelled), ["order cancelled alone", "account", "positions 1"]);
    assert!(venue.house_place(id, Side::Buy, Price(MARK), Qty(100), TimeInForce::Gtc));
    let closed = told(&mut venue, 0, |venue| {
        assert!(venue.close_positions(0, None, None).iter().all(|closing| closing.outcome.is_ok()));
    });
    let expected = ["order live alone", "order filled by a trade", "fill taker", "closed", "account", "positions 0"];
    assert_eq!(kinds(&closed), expected);
}

#[test]
fn a_position_is_shown_with_margin_break_even_and_liquidation_price() {
    let (_, mut venue) = quiet(SimConfig { futures_balance: Some(Decimal::from(100)), ..SimConfig::default() });
    let id = btc(&venue);
    venue.set_leverage(0, id, 50).unwrap();
    trade(&mut venue, Side::Buy, MARK, 500, NET);
    place(&mut venue, Side::Sell, MARK + 1_000, 200, REDUCE).unwrap();
    place(&mut venue, Side::Buy, MARK - 1_000, 100, NET).unwrap();
    assert!(venue.pin_mark(id, Some(Price(MARK + 100))));
    let shown = venue.positions(0);
    let position = shown.first().unwrap();
    let number = |text: &str| text.parse::<Decimal>().unwrap();
    assert_eq!(
        (position.total, position.frozen, position.available, position.opening),
        (Qty(500), Qty(200), Qty(300), Qty(100))
    );
    assert_eq!((position.average, position.mark, position.leverage), (number("60000"), number("60010"), 50));
    assert_eq!((position.value, position.margin, position.unrealised), (number("3000.5"), number("60"), number("0.5")));
    assert_eq!((position.open_fee, position.break_even), (number("1.8"), number("60072.04")));
    // 98.2 - 3000 + 0.05 p = 0.004 * 0.05 p
    assert_eq!(position.liquidation, Some(number("58269")));
    let account = venue.futures_account(0).unwrap();
    assert_eq!(account.margin.equity, amount("98.7"));
    assert_eq!(account.risk_rate(), number("0.12160081"));
    assert_eq!(venue.open_interest(id), number("0.05"));
}

#[test]
fn the_desks_rules_refuse_what_the_venue_would() {
    let (_, mut venue) = quiet(SimConfig::default());
    let small = place(&mut venue, Side::Buy, MARK, 0, NET);
    assert_eq!(small, Err(DeskRefusal::BelowMinimum { minimum: Decimal::from(5) }));
    assert!(matches!(place(&mut venue, Side::Buy, 40_000, 1, NET), Err(DeskRefusal::BelowMinimum { .. })));
    let limit_price = |text: &str| text.parse::<Decimal>().unwrap();
    assert_eq!(
        place(&mut venue, Side::Buy, 630_001, 10, NET),
        Err(DeskRefusal::AboveBand { limit: limit_price("63000") })
    );
    assert_eq!(
        place(&mut venue, Side::Sell, 569_999, 10, NET),
        Err(DeskRefusal::BelowBand { limit: limit_price("57000") })
    );
    assert!(place(&mut venue, Side::Buy, 630_000, 10, NET).is_ok());
    assert_eq!(place(&mut venue, Side::Buy, MARK, 10, REDUCE), Err(DeskRefusal::NoPosition));
    assert_eq!(place(&mut venue, Side::Buy, MARK, 10, Intent::Open(PositionSide::Long)), Err(DeskRefusal::WrongMode));
    assert!(matches!(place(&mut venue, Side::Buy, MARK, 100_000_000, NET), Err(DeskRefusal::Margin { .. })));
    let spot = Ticket { instrument: InstrumentId(0), ..limit(&venue, Side::Buy, MARK, 10, NET) };
    assert_eq!(venue.place_futures(0, spot), Err(DeskRefusal::UnknownInstrument));
    let id = btc(&venue);
    assert_eq!(venue.set_leverage(0, id, 151), Err(DeskRefusal::Leverage { max: 150 }));
    assert_eq!(venue.set_margin_mode(id, MarginMode::Isolated), Err(DeskRefusal::Isolated));
    assert_eq!(venue.set_margin_mode(id, MarginMode::Crossed), Ok(()));
    assert_eq!(venue.set_position_mode(0, PositionMode::Hedge), Err(DeskRefusal::NotFlat));
    venue.cancel_futures(0, None);
    assert_eq!(venue.set_position_mode(0, PositionMode::Hedge), Ok(()));
    assert_eq!((venue.position_mode(0), venue.leverage(0, id)), (PositionMode::Hedge, Some(20)));
}

#[test]
fn a_client_id_is_unique_among_open_futures_orders_only_and_ids_have_nineteen_digits() {
    let (_, mut venue) = quiet(SimConfig::default());
    let named = |venue: &Venue, price: i64| Ticket {
        client_oid: Some("mine".into()),
        ..limit(venue, Side::Buy, price, 10, NET)
    };
    let ticket = named(&venue, MARK - 100);
    let (first, name) = venue.place_futures(0, ticket).unwrap();
    assert_eq!((name.as_str(), first.0.to_string().len()), ("mine", 19));
    let ticket = named(&venue, MARK - 200);
    assert_eq!(venue.place_futures(0, ticket), Err(DeskRefusal::DuplicateClientOid));
    assert!(venue.place(0, crate::desk::tests::bid(5_000_000, 1_000)).unwrap().0 > first);
    assert!(venue.cancel(0, first));
    let ticket = named(&venue, MARK - 200);
    assert!(venue.place_futures(0, ticket).unwrap().0 > first);
}

#[test]
fn an_order_cut_to_its_position_is_remembered_as_cut() {
    let (_, mut venue) = quiet(SimConfig::default());
    trade(&mut venue, Side::Buy, MARK, 100, NET);
    let heard = told(&mut venue, 0, |venue| {
        place(venue, Side::Sell, MARK + 100, 1_000, REDUCE).unwrap();
    });
    assert_eq!(kinds(&heard), ["order live alone", "account", "positions 1"]);
    let order = venue.accounts[0].futures.store.open().next().unwrap().clone();
    assert_eq!(order.qty, Qty(100));
    let heard = told(&mut venue, 0, |venue| {
        trade(venue, Side::Sell, MARK, 40, NET);
    });
    assert!(kinds(&heard).contains(&"order live alone".to_owned()));
    assert_eq!(venue.accounts[0].futures.store.get(order.id).map(|order| order.qty), Some(Qty(60)));
}

#[test]
fn funding_is_settled_at_its_hour_and_billed() {
    let interval = Duration::from_secs(60);
    let (clock, mut venue) = quiet(SimConfig { funding_interval: interval, ..SimConfig::default() });
    let id = btc(&venue);
    trade(&mut venue, Side::Buy, MARK, 10_000, NET);
    let total = venue.engine.total(usdt());
    let before = venue.futures_account(0).unwrap().margin.wallet;
    let due = venue.by_id(id).unwrap().perpetual.as_ref().unwrap().next_funding_ms;
    assert_eq!(due % 60_000, 0);
    clock.advance(Duration::from_millis(due - venue.now_ms() - 1));
    let early = told(&mut venue, 0, |venue| venue.tick());
    assert!(early.is_empty());
    clock.advance(Duration::from_millis(1));
    let heard = told(&mut venue, 0, |venue| venue.tick());
    assert_eq!(kinds(&heard), ["account", "positions 1"]);
    let bill = venue.accounts[0].futures.bills().next().unwrap();
    // 60000 at the interest rate of 0.01 %.
    assert_eq!((bill.kind, bill.amount, bill.instrument), (BillKind::Funding, amount("-6"), Some(id)));
    assert_eq!(venue.futures_account(0).unwrap().margin.wallet.0, before.0 - amount("6").0);
    assert_eq!(venue.engine.total(usdt()), total);
    let perpetual = venue.by_id(id).unwrap().perpetual.as_ref().unwrap();
    assert_eq!((perpetual.next_funding_ms, perpetual.history.len()), (due + 60_000, 1));
}

#[test]
fn an_account_without_margin_is_liquidated_told_and_billed_and_no_money_is_lost() {
    let (_, mut venue) = quiet(SimConfig { futures_balance: Some(Decimal::from(100)), ..SimConfig::default() });
    let id = btc(&venue);
    trade(&mut venue, Side::Buy, MARK, 300, NET);
    let resting = place(&mut venue, Side::Buy, MARK - 20_000, 10, NET).unwrap().0;
    assert!(venue.house_place(id, Side::Buy, Price(560_000), Qty(100), TimeInForce::Gtc));
    let total = venue.engine.total(usdt());
    let heard = told(&mut venue, 0, |venue| assert!(venue.pin_mark(id, Some(Price(550_000)))));
    let expected = [
        "order cancelled alone",
        "order live alone",
        "order partially_filled by a trade",
        "fill taker",
        "order cancelled alone",
        "closed",
        "account",
        "positions 0",
    ];
    assert_eq!(kinds(&heard), expected);
    assert_eq!(venue.accounts[0].order(resting).map(|order| order.status), Some(OrderStatus::Cancelled));
    let forced = venue.accounts[0].futures.store.newest_first().next().unwrap();
    assert!(forced.futures.is_some_and(|futures| futures.liquidation) && forced.side == Side::Sell);
    let bills: Vec<BillKind> = venue.accounts[0].futures.bills().map(|bill| bill.kind).collect();
    let expected = [
        BillKind::Insurance,
        BillKind::Liquidation,
        BillKind::Close(PositionSide::Long),
        BillKind::Open(PositionSide::Long),
    ];
    assert_eq!(bills, expected);
    assert_eq!(venue.futures_account(0).unwrap().margin.wallet, Atoms::ZERO);
    assert_eq!(venue.engine.total(usdt()), total);
    let closed = venue.accounts[0].futures.closed().next().unwrap();
    assert_eq!((closed.position.entered, closed.position.left), (Qty(300), Qty(300)));
}

#[test]
fn a_classic_account_moves_money_between_its_wallets_and_a_unified_one_has_nothing_to_move() {
    let unified = AccountConfig {
        mode: AccountMode::Unified,
        balances: vec![(usdt(), Decimal::from(500))],
        futures_balance: None,
    };
    let config =
        SimConfig { futures_balance: Some(Decimal::ZERO), extra_accounts: vec![unified], ..SimConfig::default() };
    let (_, mut venue) = quiet(config);
    assert!(matches!(place(&mut venue, Side::Buy, MARK, 100, NET), Err(DeskRefusal::Margin { .. })));
    let to_futures = (Wallet::Spot, Wallet::UsdtFutures);
    let bitcoin = Asset::from("BTC").unwrap();
    assert_eq!(venue.transfer(0, to_futures, bitcoin, amount("1")), Err(DeskRefusal::Coin { coin: usdt() }));
    let heard = told(&mut venue, 0, |venue| {
        venue.transfer(0, to_futures, usdt(), amount("1000")).unwrap();
    });
    assert_eq!(kinds(&heard), ["balance USDT", "account", "positions 0"]);
    assert_eq!(venue.balances(0).get(&usdt()).map(|balance| balance.available), Some(amount("99000")));
    trade(&mut venue, Side::Buy, MARK, 100, NET);
    let back = (Wallet::UsdtFutures, Wallet::Spot);
    assert!(matches!(venue.transfer(0, back, usdt(), amount("1000")), Err(DeskRefusal::Margin { .. })));
    venue.transfer(0, back, usdt(), amount("500")).unwrap();
    assert_eq!(
        venue.accounts[0].futures.bills().next().map(|bill| (bill.kind, bill.amount)),
        Some((BillKind::TransferOut, amount("-500")))
    );
    assert_eq!(venue.transfer(1, to_futures, usdt(), amount("1")), Err(DeskRefusal::OneWallet));
    assert_eq!(venue.futures_account(1).unwrap().margin.available(), amount("500"));
}

#[test]
fn categories_that_are_not_named_do_not_exist() {
    let (_, spot) = venue_with(SimConfig { categories: vec![Category::Spot], ..SimConfig::default() });
    assert!(spot.listed(Category::UsdtFutures).next().is_none() && spot.futures_account(0).is_none());
    let (_, futures) = venue_with(SimConfig { categories: vec![Category::UsdtFutures], ..SimConfig::default() });
    assert!(
        futures.listed(Category::Spot).next().is_none() && futures.find(Category::UsdtFutures, "ETHUSDT").is_some()
    );
}

/// Prices of the spot books and mark prices after some time of a seeded market.
fn course(config: SimConfig, seconds: u64) -> (Vec<Option<Decimal>>, Vec<Decimal>) {
    let (clock, mut venue) = venue_with(config);
    for _ in 0..seconds * 20 {
        clock.advance(Duration::from_millis(50));
        venue.tick();
    }
    let spot = venue.listed(Category::Spot).map(|it| venue.mid(it.id)).collect();
    let marks = venue.instruments.iter().filter_map(|it| it.perpetual.as_ref()).map(|it| it.mark).collect();
    (spot, marks)
}

#[test]
fn perpetuals_walk_around_spot_by_the_seed_and_leave_spot_as_it_is() {
    let of = |seed: u64, categories: Vec<Category>| course(SimConfig { seed, categories, ..SimConfig::default() }, 20);
    let both = of(5, Category::ALL.to_vec());
    assert_eq!(both, of(5, Category::ALL.to_vec()));
    assert_ne!(both, of(6, Category::ALL.to_vec()));
    assert_eq!(both.0, of(5, vec![Category::Spot]).0, "the seed gives the spot market that it always gave");
    for (spot, mark) in both.0.iter().zip(&both.1) {
        let distance = (spot.unwrap() - mark).abs() / mark;
        assert!(distance < Decimal::new(2, 3), "{spot:?} {mark}");
    }
}

#[test]
fn the_perpetuals_market_is_busy_and_money_is_conserved_while_a_client_trades_on_it() {
    let (clock, mut venue) = venue_with(SimConfig { funding_interval: Duration::from_secs(5), ..SimConfig::default() });
    let id = btc(&venue);
    let total = venue.engine.total(usdt());
    for round in 0..300_i64 {
        let book = venue.engine.book(id).unwrap();
        let (bid, ask) = (book.best_bid().unwrap().price.0, book.best_ask().unwrap().price.0);
        assert!(ask - bid < bid / 5_000, "spread below 0.02 %: {bid} {ask}");
        let (side, price) = if round % 20 < 10 { (Side::Buy, ask) } else { (Side::Sell, bid) };
        place(&mut venue, side, price, 20, NET).unwrap();
        clock.advance(Duration::from_millis(100));
        venue.tick();
        venue.cancel_futures(0, None);
        assert_eq!(venue.engine.total(usdt()), total);
    }
    let fills = venue.accounts[0].futures.store.fills().count();
    assert!(fills > 250, "{fills}");
    assert!(venue.by_id(id).unwrap().prints.recent(usize::MAX).count() > 200);
    assert!(venue.by_id(id).unwrap().perpetual.as_ref().unwrap().history.len() >= 5);
}

#[test]
fn a_recording_drives_the_perpetual_whose_decimals_it_fits() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/ws_captures/hftbacktest/spot_btcusdt_20240808.gz");
    if !source.exists() {
        println!("skipped: {} is not here", source.display());
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("perpetual.tape");
    let input = std::io::BufReader::new(std::fs::File::open(&source).unwrap());
    let mut writer = tape::TapeWriter::create(&path, "test").unwrap();
    for event in tape::import::hftbacktest(input, None, |_| {}).unwrap().take(60_000) {
        writer.write(&event.unwrap()).unwrap();
    }
    writer.finish_on_disk().unwrap();
    let mut perpetual = crate::PerpetualConfig::defaults().swap_remove(0);
    (perpetual.instrument.price_decimals, perpetual.instrument.qty_decimals) = (2, 5);
    let config = SimConfig {
        categories: vec![Category::UsdtFutures],
        perpetuals: vec![perpetual],
        market: Market::Tape { path, at_end: TapeEnd::Hold },
        perpetual_market: PerpetualMarket::Recording,
        ..SimConfig::default()
    };
    let (clock, mut venue) = venue_with(config);
    let id = btc(&venue);
    for _ in 0..200 {
        clock.advance(Duration::from_millis(50));
        venue.tick();
        assert!(venue.engine.book(id).unwrap().is_consistent());
    }
    let (mid, mark) = (venue.mid(id).unwrap(), venue.by_id(id).unwrap().perpetual.as_ref().unwrap().mark);
    assert!((mid - mark).abs() / mid < Decimal::new(2, 3), "{mid} {mark}");
    assert!(mid > Decimal::from(40_000) && venue.by_id(id).unwrap().prints.recent(10).count() > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every change of a wallet is a bill, and every bill says the balance that it led to.
    #[test]
    fn bills_add_up_to_the_wallet(
        acts in proptest::collection::vec((0_u8..7, proptest::bool::ANY, -8_i64..8, 1_i64..40), 1..60), hedge in proptest::bool::ANY,
    ) {
        let (_, mut venue) = quiet(SimConfig { futures_balance: Some(Decimal::from(300)), ..SimConfig::default() });
        let id = btc(&venue);
        if hedge {
            venue.set_position_mode(0, PositionMode::Hedge).unwrap();
        }
        for (what, buy, away, qty) in acts {
            let (side, price) = (if buy { Side::Buy } else { Side::Sell }, Price(MARK + away * 1_000));
            match what {
                0 => { venue.pin_mark(id, Some(price)); }
                1 => { venue.fund(id, Decimal::new(away, 3)); }
                2 => { venue.transfer(0, (Wallet::Spot, Wallet::UsdtFutures), usdt(), Atoms::from_mantissa(i128::from(qty), 2).unwrap()).unwrap(); }
                _ => {
                    venue.house_place(id, side.opposite(), price, Qty(qty), TimeInForce::Gtc);
                    let opens = PositionSide::opened_by(side);
                    let intent = match (hedge, what) {
                        (true, 3) => Intent::Close(opens.opposite()),
                        (true, _) => Intent::Open(opens),
                        (false, what) => Intent::OneWay { reduce_only: what == 3 },
                    };
                    let _ = place(&mut venue, side, price.0, qty, intent);
                }
            }
        }
        let mut balance = amount("300").0;
        let mut bills: Vec<_> = venue.accounts[0].futures.bills().copied().collect();
        bills.reverse();
        for bill in &bills {
            balance += bill.amount.0 - bill.fee.0;
            prop_assert_eq!(bill.balance.0, balance, "{:?}", bill);
        }
        prop_assert_eq!(venue.futures_account(0).unwrap().margin.wallet.0, balance);
        let ids: Vec<u64> = bills.iter().map(|bill| bill.id).collect();
        prop_assert!(ids.is_sorted() && ids.iter().all(|id| id.to_string().len() == 19));
    }
}

#[test]
fn what_the_crowd_does_to_itself_is_told_to_nobody() {
    let (clock, mut venue) = venue_with(SimConfig::default());
    let heard = told(&mut venue, 0, |venue| {
        for _ in 0..100 {
            clock.advance(Duration::from_millis(25));
            venue.tick();
        }
    });
    assert!(heard.is_empty());
    let mut events = Vec::new();
    let insurance = venue.insurance;
    assert_eq!(venue.engine.liquidate_due(insurance, domain::UnixNanos(0), &mut events), 0);
    assert!(!events.iter().any(|event| matches!(event, Event::Covered { .. })));
}
