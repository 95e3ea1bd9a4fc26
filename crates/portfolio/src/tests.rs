//! Rebuilding equals living; balances add up with fills; everything has a bound.

mod futures;

use crate::{Portfolio, Taken};
use domain::*;
use messages::*;
use proptest::prelude::*;
use rust_decimal::Decimal;

fn asset(code: &str) -> Asset {
    Asset::from(code).unwrap()
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn instruments() -> Vec<Instrument> {
    let instrument = |id: u16, base: &str| Instrument {
        id: InstrumentId(id),
        venue: VenueId(0),
        symbol: Symbol::from(&format!("{base}USDT")).unwrap(),
        market: domain::Market::Spot,
        base: asset(base),
        quote: asset("USDT"),
        version: InstrumentVersion {
            id: InstrumentId(id),
            version: 1,
            price_decimals: 2,
            qty_decimals: 6,
            tick: 1,
            lot: 1,
            min_qty: Qty(1),
            max_qty: Qty(0),
            min_notional: Notional(Decimal::ONE),
            status: InstrumentStatus::Online,
            valid_from: UnixNanos(0),
        },
    };
    vec![instrument(0, "BTC"), instrument(1, "ETH")]
}

fn portfolio() -> Portfolio {
    Portfolio::new(&instruments(), &[(StrategyTag(1), "grid".to_owned()), (StrategyTag(2), "maker".to_owned())])
}

fn order(number: u64, side: Side, price: i64, qty: i64) -> Order {
    Order {
        id: ClientOrderId::new(InstanceTag::from_number(1), Epoch::new(1).unwrap(), Sequence::new(number).unwrap()),
        strategy: StrategyTag(1),
        reference: 0,
        instrument: InstrumentId(0),
        version: 1,
        side,
        price: Price(price),
        qty: Qty(qty),
        time_in_force: TimeInForce::PostOnly,
        effect: domain::PositionEffect::default(),
        state: OrderState::Signed,
        cancel: CancelState::None,
        filled: Qty::ZERO,
        filled_by_fills: Qty::ZERO,
        venue_order_id: None,
        created: UnixNanos(0),
    }
}

fn fill(order: &Order, fee: &str, fee_asset: &str) -> Fill {
    Fill {
        trade_id: VenueTradeId::from("1").unwrap(),
        order: order.id,
        strategy: order.strategy,
        instrument: order.instrument,
        version: 1,
        side: order.side,
        position_side: order.effect.side,
        price: order.price,
        qty: order.qty,
        fee: Fee { amount: Amount(decimal(fee)), asset: asset(fee_asset) },
        liquidity: Liquidity::Maker,
        venue_time: UnixNanos(0),
    }
}

fn filled(fill: Fill) -> EventBody {
    let position = PositionAfter { qty: Amount::ZERO, realised: Pnl::ZERO };
    EventBody::Filled { fill, state: OrderState::Filled, filled: fill.qty, position }
}

fn placed(order: Order) -> EventBody {
    let at = MonoNanos(0);
    EventBody::Placed { order, top: None, caused: at, decided: at, checked: at, signed: at }
}

fn balance(code: &str, available: &str) -> EventBody {
    EventBody::Balance {
        wallet: domain::Market::Spot,
        venue: VenueId(0),
        asset: asset(code),
        available: Amount(decimal(available)),
        held: Amount::ZERO,
    }
}

fn feed(portfolio: &mut Portfolio, bodies: impl IntoIterator<Item = EventBody>) {
    for body in bodies {
        let event = OrderEvent { seq: portfolio.seq() + 1, at: UnixNanos(1), body };
        assert_eq!(portfolio.apply(&event), Taken::Counted);
    }
}

#[test]
fn a_round_trip_ends_with_its_result_after_fees_and_no_position() {
    let mut portfolio = portfolio();
    let (buy, sell) = (order(1, Side::Buy, 10_000, 1_000_000), order(2, Side::Sell, 10_100, 1_000_000));
    feed(
        &mut portfolio,
        [placed(buy), filled(fill(&buy, "0.1", "USDT")), placed(sell), filled(fill(&sell, "0.101", "USDT"))],
    );
    let position = portfolio.position(StrategyTag(1), InstrumentId(0));
    assert_eq!((position.qty.0, position.cost.0), (Decimal::ZERO, Decimal::ZERO));
    assert_eq!((position.realised.0, position.fees.0), (decimal("0.799"), decimal("0.201")));
    let counts = portfolio.counts(StrategyTag(1));
    assert_eq!((counts.orders, counts.fills, counts.maker_fills, counts.refused), (2, 2, 2, 0));
    assert_eq!(portfolio.open_orders().count(), 0);
}

#[test]
fn equity_values_balances_at_mid_and_names_what_has_no_price() {
    let mut portfolio = portfolio();
    feed(&mut portfolio, [balance("USDT", "1000"), balance("BTC", "2"), balance("DOGE", "5"), balance("BGB", "0")]);
    assert_eq!(portfolio.equity(), (Amount(decimal("1000")), vec![asset("BTC"), asset("DOGE")]));
    portfolio.mark(InstrumentId(0), TopUsed { bid: Price(9_999), ask: Price(10_001), received: MonoNanos(0) });
    assert_eq!(portfolio.equity(), (Amount(decimal("1200.000")), vec![asset("DOGE")]));
}

#[test]
fn the_identity_names_what_was_moved_from_outside() {
    let mut portfolio = portfolio();
    let buy = order(1, Side::Buy, 10_000, 1_000_000);
    feed(&mut portfolio, [balance("USDT", "1000"), balance("BTC", "0"), filled(fill(&buy, "0.001", "BTC"))]);
    feed(&mut portfolio, [balance("USDT", "900"), balance("BTC", "0.999")]);
    assert!(portfolio.identity().iter().all(|report| report.difference.0.is_zero()));
    feed(&mut portfolio, [balance("USDT", "1150")]);
    let usdt = portfolio.identity().into_iter().find(|report| report.asset == asset("USDT")).unwrap();
    assert_eq!((usdt.traded.0, usdt.difference.0), (decimal("-100"), decimal("250")));
}

#[test]
fn a_fee_in_a_third_asset_leaves_that_balance() {
    let mut portfolio = portfolio();
    let buy = order(1, Side::Buy, 10_000, 1_000_000);
    feed(&mut portfolio, [balance("BGB", "3"), filled(fill(&buy, "0.5", "BGB")), balance("BGB", "2.5")]);
    assert!(portfolio.identity()[0].difference.0.is_zero());
    assert_eq!(portfolio.position(StrategyTag(1), InstrumentId(0)).fees.0, Decimal::ZERO);
}

#[test]
fn a_repeated_event_changes_nothing_and_a_missing_one_is_told() {
    let mut portfolio = portfolio();
    let event = |seq, body| OrderEvent { seq, at: UnixNanos(1), body };
    let buy = order(1, Side::Buy, 10_000, 1_000_000);
    assert_eq!(portfolio.apply(&event(5, filled(fill(&buy, "0", "USDT")))), Taken::Counted);
    let before = portfolio.clone();
    assert_eq!(portfolio.apply(&event(5, filled(fill(&buy, "0", "USDT")))), Taken::Repeated);
    assert_eq!(portfolio, before);
    assert_eq!(portfolio.apply(&event(7, EventBody::Stopped)), Taken::AfterGap);
    assert_eq!(portfolio.faults(), (1, 0));
}

#[test]
fn unknown_orders_are_counted_once_each_and_shown_while_they_last() {
    let mut portfolio = portfolio();
    let sent = order(1, Side::Buy, 10_000, 1_000_000);
    let change = |state, from| EventBody::Order { order: Order { state, ..sent }, from, at: MonoNanos(0), error: None };
    feed(&mut portfolio, [placed(sent), change(OrderState::Unknown, OrderState::Sent)]);
    feed(&mut portfolio, [change(OrderState::Unknown, OrderState::Unknown)]);
    assert_eq!((portfolio.snapshot(0).unknown, portfolio.counts(StrategyTag(1)).unknown_seen), (1, 1));
    feed(&mut portfolio, [change(OrderState::Acked, OrderState::Unknown)]);
    assert_eq!((portfolio.snapshot(0).unknown, portfolio.counts(StrategyTag(1)).unknown_seen), (0, 1));
}

#[test]
fn the_day_begins_anew_at_midnight() {
    let mut portfolio = portfolio();
    let day = 86_400_000_000_000;
    let buy = order(1, Side::Buy, 10_000, 1_000_000);
    let event = |seq, at, body| OrderEvent { seq, at: UnixNanos(at), body };
    portfolio.apply(&event(1, day - 1, filled(fill(&buy, "1", "USDT"))));
    assert_eq!(portfolio.counts(StrategyTag(1)).realised_today.0, decimal("-1"));
    portfolio.apply(&event(2, day, filled(fill(&buy, "2", "USDT"))));
    assert_eq!(portfolio.counts(StrategyTag(1)).realised_today.0, decimal("-2"));
    assert_eq!(portfolio.position(StrategyTag(1), InstrumentId(0)).realised.0, decimal("-3"));
}

#[test]
fn fills_and_orders_are_bounded_and_what_does_not_fit_is_counted() {
    let mut portfolio = portfolio();
    for number in 0..3_000 {
        let buy = order(number, Side::Buy, 10_000, 1_000_000);
        feed(&mut portfolio, [placed(buy)]);
        feed(&mut portfolio, [filled(Fill { order: order(9_000_000, Side::Buy, 1, 1).id, ..fill(&buy, "0", "USDT") })]);
    }
    assert_eq!(portfolio.fills().count(), Portfolio::FILLS_MAX);
    assert_eq!(portfolio.open_orders().count(), Portfolio::ORDERS_MAX);
    assert_eq!(portfolio.faults().1, 3_000 - 2_048);
}

#[test]
fn a_snapshot_survives_its_text_form() {
    let mut portfolio = portfolio();
    let buy = order(1, Side::Buy, 10_050, 1_500_000);
    let unnamed = Order { strategy: StrategyTag(9), ..order(2, Side::Buy, 9_000, 1_000_000) };
    feed(&mut portfolio, [balance("USDT", "1000"), placed(buy), filled(fill(&buy, "0.001", "BTC")), placed(unnamed)]);
    let snapshot = portfolio.snapshot(10);
    let text = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<crate::Snapshot>(&text).unwrap(), snapshot);
    assert_eq!(snapshot.fills[0].price.to_string(), "100.50");
    assert_eq!(snapshot.fills[0].qty.to_string(), "1.500000");
    assert_eq!(
        (snapshot.open_orders[0].strategy.as_str(), snapshot.open_orders[0].instrument.as_str()),
        ("strategy-9", "BTCUSDT")
    );
}

/// A venue's own books beside the portfolio.
fn any_trade() -> impl Strategy<Value = (Side, i64, i64, u16, u8)> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    (side, 1_i64..10_000_000, 1_i64..10_000_000, 0_u16..2, 0_u8..3)
}

proptest! {
    #[test]
    fn balances_add_up_and_a_rebuild_equals_the_life(trades in proptest::collection::vec(any_trade(), 1..40)) {
        let mut venue = std::collections::BTreeMap::from([("USDT", decimal("1000000000")), ("BTC", decimal("100000")), ("ETH", decimal("100000")), ("BGB", decimal("100000"))]);
        let mut bodies: Vec<EventBody> = venue.iter().map(|(code, amount)| balance(code, &amount.to_string())).collect();
        for (number, (side, price, qty, instrument, fee_in)) in (0_u64..).zip(&trades) {
            let order = Order { instrument: InstrumentId(*instrument), ..order(number, *side, *price, *qty) };
            let base = if *instrument == 0 { "BTC" } else { "ETH" };
            let fee_asset = [base, "USDT", "BGB"][usize::from(*fee_in)];
            let fill = fill(&order, "0.000123", fee_asset);
            bodies.extend([placed(order), filled(fill)]);
            let (base_qty, value) = (Decimal::new(*qty, 6), Decimal::new(*price, 2) * Decimal::new(*qty, 6));
            let sign = if *side == Side::Buy { Decimal::ONE } else { -Decimal::ONE };
            *venue.get_mut(base).unwrap() += sign * base_qty;
            *venue.get_mut("USDT").unwrap() -= sign * value;
            *venue.get_mut(fee_asset).unwrap() -= decimal("0.000123");
        }
        bodies.extend(venue.iter().map(|(code, amount)| balance(code, &amount.to_string())));
        let mut lived = portfolio();
        feed(&mut lived, bodies.clone());
        for report in lived.identity() {
            prop_assert!(report.difference.0.is_zero(), "{report:?}");
        }
        prop_assert_eq!(lived.faults(), (0, 0));
        let mut rebuilt = portfolio();
        feed(&mut rebuilt, bodies);
        prop_assert_eq!(&rebuilt, &lived);
        // Result and value agree: what was made is what the account has more, but for fees in a third asset.
        let mark = TopUsed { bid: Price(5_000), ask: Price(5_002), received: MonoNanos(0) };
        for instrument in [InstrumentId(0), InstrumentId(1)] {
            lived.mark(instrument, mark);
        }
        let opening = decimal("1000000000") + decimal("200000") * decimal("50.01");
        let snapshot = lived.snapshot(0);
        let made = snapshot.realised.0 + snapshot.unrealised.0;
        prop_assert!((snapshot.equity.0 - opening - made).abs() < decimal("0.0000001"), "{made} made, equity {}", snapshot.equity.0 - opening);
    }
}
