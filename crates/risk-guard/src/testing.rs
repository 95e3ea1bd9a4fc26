//! Sample instruments, orders and fills for the tests of this crate.

use domain::*;
use rust_decimal::Decimal;

/// BTCUSDT with ticks of 0.01 and lots of 0.000001.
pub(crate) fn version() -> InstrumentVersion {
    InstrumentVersion {
        id: InstrumentId(0),
        version: 1,
        price_decimals: 2,
        qty_decimals: 6,
        tick: 1,
        lot: 10,
        min_qty: Qty(10),
        max_qty: Qty(9_000_000_000),
        min_notional: Notional(Decimal::new(1, 2)),
        status: InstrumentStatus::Online,
        valid_from: UnixNanos(0),
    }
}

/// The second sample: ETHUSDT, with the same decimals.
pub(crate) fn instruments() -> Vec<Instrument> {
    let asset = |code: &str| Asset::from(code).unwrap();
    let instrument = |id: u16, base: &str, symbol: &str| Instrument {
        id: InstrumentId(id),
        venue: VenueId(0),
        symbol: Symbol::from(symbol).unwrap(),
        market: domain::Market::Spot,
        base: asset(base),
        quote: asset("USDT"),
        version: InstrumentVersion { id: InstrumentId(id), ..version() },
    };
    vec![instrument(0, "BTC", "BTCUSDT"), instrument(1, "ETH", "ETHUSDT")]
}

/// An order of strategy 1 at `price` cents for `qty` millionths, resting.
pub(crate) fn resting(sequence: u64, side: Side, price: i64, qty: i64) -> Order {
    let id = ClientOrderId::new(InstanceTag::from_number(1), Epoch::new(1).unwrap(), Sequence::new(sequence).unwrap());
    Order {
        id,
        strategy: StrategyTag(1),
        reference: 0,
        instrument: InstrumentId(0),
        version: 1,
        side,
        price: Price(price),
        qty: Qty(qty),
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

/// A fill of `order` at its price, without fee.
pub(crate) fn fill(order: &Order, qty: i64) -> Fill {
    Fill {
        trade_id: VenueTradeId::from("t").unwrap(),
        order: order.id,
        strategy: order.strategy,
        instrument: order.instrument,
        version: order.version,
        side: order.side,
        position_side: order.effect.side,
        price: order.price,
        qty: Qty(qty),
        fee: Fee { amount: Amount(Decimal::ZERO), asset: Asset::from("USDT").unwrap() },
        liquidity: Liquidity::Maker,
        venue_time: UnixNanos(0),
    }
}
