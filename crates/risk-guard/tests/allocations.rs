//! The order path calls the guard for every order: neither a check nor keeping the exposure may allocate.
#![expect(clippy::expect_used, reason = "a test's own set-up")]

use domain::*;
use messages::{FuturesSettings, MarginMode, OrderIntent, PositionMode, TopUsed, TradingState};
use risk_guard::{Exposure, Gate, Limits, RiskGuard, StrategyLimits};
use rust_decimal::Decimal;

const TAG: StrategyTag = StrategyTag(1);

fn asset(code: &str) -> Asset {
    Asset::from(code).expect("a short code")
}

fn instrument() -> Instrument {
    let version = InstrumentVersion {
        id: InstrumentId(0),
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
    };
    let symbol = Symbol::from("BTCUSDT").expect("a short symbol");
    Instrument {
        id: InstrumentId(0),
        venue: VenueId(0),
        symbol,
        market: domain::Market::Spot,
        base: asset("BTC"),
        quote: asset("USDT"),
        version,
    }
}

fn order(number: u64, side: Side, price: Price) -> Order {
    let epoch = Epoch::new(1).expect("a small epoch");
    let sequence = Sequence::new(number).expect("a small sequence");
    Order {
        id: ClientOrderId::new(InstanceTag::from_number(1), epoch, sequence),
        strategy: TAG,
        reference: 0,
        instrument: InstrumentId(0),
        version: 1,
        side,
        price,
        qty: Qty(1_000),
        time_in_force: TimeInForce::Gtc,
        effect: domain::PositionEffect::default(),
        state: OrderState::Acked,
        cancel: CancelState::None,
        filled: Qty::ZERO,
        filled_by_fills: Qty::ZERO,
        venue_order_id: None,
        created: UnixNanos(0),
    }
}

#[test]
fn a_life_on_a_perpetual_allocates_nothing() {
    let spot = instrument();
    let symbol = Symbol::from("BTCUSDT-PERP").expect("a short symbol");
    let instrument = Instrument { symbol, market: Market::UsdtFutures, ..spot };
    let version = instrument.version;
    let mut exposure = Exposure::new(&[instrument], &[TAG], UnixNanos(0));
    let limits = Limits { max_orders_per_second: 1_000, ..Limits::default() };
    let mut guard = RiskGuard::new(limits, &[(TAG, StrategyLimits::default())]);
    let rich = Amount(Decimal::from(1_000_000));
    exposure.on_balance(VenueId(0), Market::UsdtFutures, asset("USDT"), rich, Amount::ZERO);
    let settings = FuturesSettings {
        leverage_long: 3,
        leverage_short: 3,
        margin_mode: MarginMode::Crossed,
        position_mode: PositionMode::OneWay,
    };
    exposure.on_futures_settings(InstrumentId(0), settings);
    let gate = open_gate();
    let price = version.order_price(Price(6_000_000), Rounding::Exact).expect("on the grid");
    let qty = version.order_qty(Qty(1_000), Rounding::Exact).expect("on the grid");
    let fee = Fee { amount: Amount(Decimal::new(1, 9)), asset: asset("USDT") };
    let trade_id = VenueTradeId::from("1").expect("a short id");
    let mut accepted = 0_u32;
    let used = allocation_counter::measure(|| {
        for number in 0..500_u64 {
            let now = MonoNanos(number * 300_000_000);
            let mid = 6_000_000 + i64::try_from(number % 9).unwrap_or(0);
            let top = TopUsed { bid: Price(mid - 1), ask: Price(mid + 1), received: now };
            exposure.mark(InstrumentId(0), top);
            let side = if number % 2 == 0 { Side::Sell } else { Side::Buy };
            let effect = PositionEffect { side: PositionSide::Net, reduce_only: number % 2 == 1 };
            let intent = OrderIntent {
                strategy: TAG,
                reference: 0,
                instrument: InstrumentId(0),
                side,
                price,
                qty,
                time_in_force: TimeInForce::Gtc,
                effect,
                caused: now,
                decided: now,
            };
            accepted += u32::from(guard.check(&intent, &version, &gate, Ok(top), &exposure, now).is_ok());
            let before = Order { effect, ..order(number, side, Price(6_000_000)) };
            exposure.on_order(None, &before);
            let after = Order { filled: before.qty, filled_by_fills: before.qty, state: OrderState::Filled, ..before };
            exposure.on_order(Some(&before), &after);
            let _ = exposure.on_fill(&Fill {
                trade_id,
                order: before.id,
                strategy: TAG,
                instrument: InstrumentId(0),
                version: 1,
                side,
                position_side: effect.side,
                price: before.price,
                qty: Qty(1_000),
                fee,
                liquidity: Liquidity::Maker,
                venue_time: UnixNanos(0),
            });
            exposure.on_funding(Some(InstrumentId(0)), Amount(Decimal::new(-1, 6)), UnixNanos(number));
            exposure.on_liquidation(InstrumentId(0), PositionSide::Net, Some(Amount(Decimal::from(90_000))));
            exposure.roll_day(UnixNanos(number * 1_000_000_000_000));
        }
    });
    assert!(accepted > 400, "{accepted} accepted");
    assert!(!exposure.is_broken());
    assert_eq!(used.count_total, 0);
}

const fn open_gate() -> Gate {
    Gate {
        trading: TradingState::Active,
        reconciled: true,
        clock_ok: true,
        key_active: true,
        stream_live: true,
        durable: true,
        stopping: false,
    }
}

#[test]
fn a_life_of_orders_checks_and_fills_allocates_nothing() {
    let instrument = instrument();
    let version = instrument.version;
    let mut exposure = Exposure::new(&[instrument], &[TAG], UnixNanos(0));
    let limits = Limits { max_orders_per_second: 1_000, max_cancels_per_second: 1_000, ..Limits::default() };
    let mut guard = RiskGuard::new(limits, &[(TAG, StrategyLimits::default())]);
    let rich = Amount(Decimal::from(1_000_000));
    exposure.on_balance(VenueId(0), Market::Spot, asset("USDT"), rich, Amount::ZERO);
    exposure.on_balance(VenueId(0), Market::Spot, asset("BTC"), rich, Amount::ZERO);
    let gate = open_gate();
    let price = version.order_price(Price(6_000_000), Rounding::Exact).expect("on the grid");
    let qty = version.order_qty(Qty(1_000), Rounding::Exact).expect("on the grid");
    let trade_id = VenueTradeId::from("1").expect("a short id");
    let fee = Fee { amount: Amount(Decimal::new(1, 9)), asset: asset("BTC") };
    let mut accepted = 0_u32;
    let used = allocation_counter::measure(|| {
        for number in 0..500_u64 {
            let now = MonoNanos(number * 300_000_000);
            let mid = 6_000_000 + i64::try_from(number % 9).unwrap_or(0);
            let top = TopUsed { bid: Price(mid - 1), ask: Price(mid + 1), received: now };
            exposure.mark(InstrumentId(0), top);
            let side = if number % 2 == 0 { Side::Buy } else { Side::Sell };
            let intent = OrderIntent {
                strategy: TAG,
                reference: 0,
                instrument: InstrumentId(0),
                side,
                price,
                qty,
                time_in_force: TimeInForce::Gtc,
                effect: domain::PositionEffect::default(),
                caused: now,
                decided: now,
            };
            let checked = guard.check(&intent, &version, &gate, Ok(top), &exposure, now);
            accepted += u32::from(checked.is_ok());
            let before = order(number, Side::Buy, Price(6_000_000));
            exposure.on_order(None, &before);
            let after = Order { filled: before.qty, filled_by_fills: before.qty, state: OrderState::Filled, ..before };
            exposure.on_order(Some(&before), &after);
            let _ = exposure.on_fill(&Fill {
                trade_id,
                order: before.id,
                strategy: TAG,
                instrument: InstrumentId(0),
                version: 1,
                side,
                position_side: domain::PositionSide::Net,
                price: before.price,
                qty: Qty(if side == Side::Buy { 1_000 } else { 900 }),
                fee,
                liquidity: Liquidity::Maker,
                venue_time: UnixNanos(0),
            });
            exposure.roll_day(UnixNanos(number * 1_000_000_000_000));
            let _ = guard.must_halt(&exposure);
            let _ = guard.check_cancel(now);
            guard.on_outcome(false);
        }
    });
    assert!(accepted > 100, "{accepted} accepted");
    assert!(!exposure.is_broken());
    assert_eq!(used.count_total, 0);
}
