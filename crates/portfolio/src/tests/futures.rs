//! Perpetual futures in the portfolio: both account shapes, funding, transfers, the identity, and no double counting.

use super::*;
use messages::{MarginMode, PositionReport};

const PERP: InstrumentId = InstrumentId(2);

fn perpetual() -> Instrument {
    let spot = instruments().remove(0);
    Instrument {
        id: PERP,
        symbol: Symbol::from("BTCUSDT-PERP").unwrap(),
        market: Market::UsdtFutures,
        version: InstrumentVersion { id: PERP, ..spot.version },
        ..spot
    }
}

fn portfolio() -> Portfolio {
    let mut listed = instruments();
    listed.push(perpetual());
    Portfolio::new(&listed, &[(StrategyTag(1), "grid".to_owned()), (StrategyTag(2), "maker".to_owned())])
}

fn wallet(wallet: Market, available: &str, held: &str) -> EventBody {
    EventBody::Balance {
        wallet,
        venue: VenueId(0),
        asset: asset("USDT"),
        available: Amount(decimal(available)),
        held: Amount(decimal(held)),
    }
}

fn traded(number: u64, strategy: u16, side: Side, price: i64, fee: &str) -> EventBody {
    let order = Order { strategy: StrategyTag(strategy), instrument: PERP, ..order(number, side, price, 1_000_000) };
    filled(fill(&order, fee, "USDT"))
}

fn funding(bill: &str, amount: &str) -> EventBody {
    EventBody::Funding {
        venue: VenueId(0),
        instrument: Some(PERP),
        bill: bill.try_into().unwrap(),
        asset: asset("USDT"),
        amount: Amount(decimal(amount)),
        venue_time: UnixNanos(0),
    }
}

fn mark(portfolio: &mut Portfolio, cents: i64) {
    let top = TopUsed { bid: Price(cents - 1), ask: Price(cents + 1), received: MonoNanos(0) };
    portfolio.mark(PERP, top);
}

fn usdt(portfolio: &Portfolio, wallet: Market) -> crate::IdentityReport {
    portfolio.identity().into_iter().find(|report| report.wallet == wallet).unwrap()
}

#[test]
fn the_futures_wallet_changes_by_closing_fees_funding_and_transfers_and_by_nothing_else() {
    let mut portfolio = portfolio();
    let moved = EventBody::Transfer {
        venue: VenueId(0),
        wallet: Market::UsdtFutures,
        bill: "7".try_into().unwrap(),
        asset: asset("USDT"),
        amount: Amount(decimal("50")),
        venue_time: UnixNanos(0),
    };
    feed(
        &mut portfolio,
        [
            wallet(Market::Spot, "500", "0"),
            wallet(Market::UsdtFutures, "1000", "0"),
            traded(1, 1, Side::Sell, 10_000, "0.1"),
            funding("5", "-0.25"),
            traded(2, 1, Side::Buy, 9_900, "0.1"),
            moved,
            wallet(Market::UsdtFutures, "1050.55", "0"),
        ],
    );
    let report = usdt(&portfolio, Market::UsdtFutures);
    assert_eq!((report.traded.0, report.moved.0, report.difference.0), (decimal("0.55"), decimal("50"), Decimal::ZERO));
    assert_eq!(usdt(&portfolio, Market::Spot).difference.0, Decimal::ZERO, "spot is another wallet");
    let position = portfolio.position(StrategyTag(1), PERP);
    assert_eq!(
        (position.qty.0, position.realised.0, position.funding.0),
        (Decimal::ZERO, decimal("0.8"), decimal("-0.25"))
    );
    assert_eq!(portfolio.counts(StrategyTag(1)).realised_today.0, decimal("0.55"));
    assert_eq!(portfolio.snapshot(0).funding.0, decimal("-0.25"));
}

#[test]
fn equity_of_both_account_shapes_counts_each_coin_and_each_result_once() {
    for unified in [false, true] {
        let mut portfolio = portfolio();
        let own = if unified { Market::Spot } else { Market::UsdtFutures };
        if !unified {
            feed(&mut portfolio, [wallet(Market::Spot, "500", "0")]);
        }
        // 50 are bound as margin; what is won on paper is in no wallet.
        feed(&mut portfolio, [wallet(own, "950", "50"), traded(1, 1, Side::Sell, 10_000, "0")]);
        mark(&mut portfolio, 9_000);
        let wallets = if unified { 1_000 } else { 1_500 };
        assert_eq!(portfolio.equity(), (Amount(Decimal::from(wallets + 10)), vec![]), "unified: {unified}");
        // Closed: the ten are in the wallet now and on paper no more.
        feed(&mut portfolio, [traded(2, 1, Side::Buy, 9_000, "0"), wallet(own, "1010", "0")]);
        assert_eq!(portfolio.equity().0, Amount(Decimal::from(wallets + 10)));
        assert_eq!(usdt(&portfolio, own).difference.0, Decimal::ZERO);
    }
}

#[test]
fn strategies_against_each_other_are_netted_as_the_venue_nets_them() {
    let mut portfolio = portfolio();
    feed(
        &mut portfolio,
        [
            wallet(Market::UsdtFutures, "1000", "0"),
            traded(1, 1, Side::Buy, 10_000, "0"),
            traded(2, 2, Side::Sell, 10_500, "0"),
            wallet(Market::UsdtFutures, "1005", "0"),
            funding("5", "-1"),
        ],
    );
    mark(&mut portfolio, 10_200);
    assert_eq!(portfolio.equity().0, Amount(Decimal::from(1_005)));
    let snapshot = portfolio.snapshot(0);
    assert_eq!(snapshot.unrealised.0, decimal("5"), "two and three on paper for the strategies");
    assert_eq!(
        (snapshot.funding.0, snapshot.positions[0].futures.as_ref().unwrap().funding.0),
        (decimal("-1"), Decimal::ZERO)
    );
}

#[test]
fn a_position_shows_what_the_venue_tells_of_it() {
    let mut portfolio = portfolio();
    let report = PositionReport {
        symbol: Symbol::from("BTCUSDT-PERP").unwrap(),
        side: PositionSide::Net,
        qty: Amount(decimal("-1")),
        entry: Some(Amount(decimal("100"))),
        mark: Some(Amount(decimal("100"))),
        liquidation: Some(Amount(decimal("130"))),
        leverage: 3,
        margin_mode: MarginMode::Crossed,
        unrealised: Amount::ZERO,
        margin: Some(Amount(decimal("33.4"))),
        venue_time: UnixNanos(0),
    };
    feed(
        &mut portfolio,
        [
            traded(1, 1, Side::Sell, 10_000, "0"),
            EventBody::Position { venue: VenueId(0), instrument: PERP, report },
            filled(fill(&order(2, Side::Buy, 10_000, 1_000_000), "0", "USDT")),
        ],
    );
    let snapshot = portfolio.snapshot(0);
    let of = |name: &str| snapshot.positions.iter().find(|position| position.instrument == name).unwrap();
    let futures = of("BTCUSDT-PERP").futures.as_ref().unwrap();
    assert_eq!(
        (futures.side, futures.leverage, futures.margin_mode),
        (PositionSide::Net, Some(3), Some(MarginMode::Crossed))
    );
    assert_eq!((futures.liquidation, futures.margin), (report.liquidation, report.margin));
    assert_eq!(of("BTCUSDT").futures, None);
    assert_eq!(portfolio.liquidation_distance(PERP, decimal("100")), Some(decimal("0.3")));
}
