//! The futures side of the handle by which tests and the demo look behind the scenes.

use crate::control::{FillTruth, OrderTruth, SimControl, decimal, fill_truth, order_truth};
use crate::venue::Venue;
use crate::{Category, SimError};
use domain::{InstrumentId, Price, Qty, Scaled, Side, Symbol, TimeInForce};
use matching::{Atoms, PositionSide};
use rust_decimal::Decimal;

/// One open position as the venue knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionTruth {
    /// The perpetual.
    pub symbol: Symbol,
    /// True: it gains when the price rises.
    pub long: bool,
    /// Its size in base.
    pub qty: Decimal,
    /// What that was worth when it was entered, in the settle coin.
    pub cost: Decimal,
    /// Gain if it were closed at the mark price.
    pub unrealised: Decimal,
    /// Gain of what was closed of it, fees and funding not counted.
    pub realised: Decimal,
    /// Funding received; negative was paid.
    pub funding: Decimal,
    /// Fees paid for it.
    pub fees: Decimal,
    /// Mark price at which the account is liquidated, if any is.
    pub liquidation: Option<Decimal>,
}

/// What an account has and holds on perpetuals, in the settle coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FuturesTruth {
    /// Realised: deposits, transfers, gains, losses, fees, funding. Of a unified account all of the coin.
    pub wallet: Decimal,
    /// Gain of all positions if they were closed at the mark prices.
    pub unrealised: Decimal,
    /// Both together.
    pub equity: Decimal,
    /// What positions and open orders hold.
    pub held: Decimal,
    /// Equity at or below this is liquidated.
    pub maintenance: Decimal,
    /// What new orders may use.
    pub available: Decimal,
}

fn mantissa(number: Decimal, decimals: u8) -> Option<i64> {
    Scaled::try_from(number.normalize()).and_then(|scaled| scaled.rescaled(decimals)).ok()
}

fn perpetual(venue: &Venue, symbol: &str) -> Option<(InstrumentId, matching::Listing)> {
    venue.find(Category::UsdtFutures, symbol).map(|instrument| (instrument.id, instrument.listing))
}

fn unknown(symbol: &str) -> SimError {
    SimError::Setting { what: format!("no perpetual {symbol}, or a number that it cannot have") }
}

impl SimControl {
    /// An account's open positions, by instrument, a long one before a short one.
    #[must_use]
    pub fn positions(&self, account: usize) -> Vec<PositionTruth> {
        let venue = self.venue();
        let shown = venue.positions(account).into_iter();
        let truth = |it: crate::futures_view::PositionSnapshot| {
            let instrument = venue.by_id(it.instrument)?;
            let owner = venue.accounts.get(account)?.engine;
            let cost = venue.engine.position(owner, it.instrument, it.leg)?.cost;
            Some(PositionTruth {
                symbol: instrument.config.symbol,
                long: it.side == PositionSide::Long,
                qty: Decimal::new(it.total.0, u32::from(instrument.listing.qty_decimals)),
                cost: decimal(cost),
                unrealised: it.unrealised,
                realised: it.realised,
                funding: it.funding,
                fees: it.open_fee + it.close_fee,
                liquidation: it.liquidation,
            })
        };
        shown.filter_map(truth).collect()
    }

    /// What an account has and holds on perpetuals; nothing where the exchange has none.
    #[must_use]
    pub fn futures(&self, account: usize) -> FuturesTruth {
        let snapshot = self.venue().futures_account(account);
        let truth = |it: crate::futures_view::AccountSnapshot| FuturesTruth {
            wallet: decimal(it.margin.wallet),
            unrealised: decimal(it.margin.unrealised),
            equity: decimal(it.margin.equity),
            held: decimal(it.margin.position_margin) + decimal(it.margin.order_margin),
            maintenance: decimal(it.margin.maintenance),
            available: decimal(it.margin.available()),
        };
        snapshot.map(truth).unwrap_or_default()
    }

    /// Every order on perpetuals of an account that the venue remembers, oldest first.
    #[must_use]
    pub fn futures_orders(&self, account: usize) -> Vec<OrderTruth> {
        let venue = self.venue();
        let store = venue.accounts.get(account).map(|account| &account.futures.store);
        let orders = store.into_iter().flat_map(|store| store.newest_first());
        let mut orders: Vec<OrderTruth> = orders.filter_map(|order| order_truth(&venue, order)).collect();
        orders.reverse();
        orders
    }

    /// Every remembered fill on perpetuals of an account, oldest first.
    #[must_use]
    pub fn futures_fills(&self, account: usize) -> Vec<FillTruth> {
        let venue = self.venue();
        let store = venue.accounts.get(account).map(|account| &account.futures.store);
        let fills = store.into_iter().flat_map(|store| store.fills());
        let mut fills: Vec<FillTruth> = fills.filter_map(|fill| fill_truth(&venue, fill)).collect();
        fills.reverse();
        fills
    }

    /// The mark price of a perpetual.
    #[must_use]
    pub fn mark(&self, symbol: &str) -> Option<Decimal> {
        let venue = self.venue();
        venue.find(Category::UsdtFutures, symbol)?.perpetual.as_ref().map(|perpetual| perpetual.mark)
    }

    /// Lets a mark price stand at `mark`, or with `None` follow the market again. Who has no margin then is liquidated.
    ///
    /// # Errors
    /// [`SimError::Setting`]: no such perpetual, or no price of it.
    pub fn pin_mark(&self, symbol: &str, mark: Option<Decimal>) -> Result<(), SimError> {
        let mut venue = self.venue();
        let (id, listing) = perpetual(&venue, symbol).ok_or_else(|| unknown(symbol))?;
        let price = match mark {
            Some(mark) => Some(mantissa(mark, listing.price_decimals).map(Price).ok_or_else(|| unknown(symbol))?),
            None => None,
        };
        if venue.pin_mark(id, price) { Ok(()) } else { Err(unknown(symbol)) }
    }

    /// Settles funding now at `rate`, outside its hours.
    ///
    /// # Errors
    /// [`SimError::Setting`]: no such perpetual, or a rate beyond 10 % or six decimals.
    pub fn fund_now(&self, symbol: &str, rate: Decimal) -> Result<(), SimError> {
        let mut venue = self.venue();
        let (id, _) = perpetual(&venue, symbol).ok_or_else(|| unknown(symbol))?;
        if venue.fund(id, rate) { Ok(()) } else { Err(unknown(symbol)) }
    }

    /// Adds the settle coin to a classic account's futures wallet from outside.
    ///
    /// # Errors
    /// [`SimError::Setting`]: no such wallet, or an amount that cannot be kept exactly.
    pub fn deposit_futures(&self, account: usize, amount: Decimal) -> Result<(), SimError> {
        let mut venue = self.venue();
        let owner = venue.accounts.get(account).map(|account| account.engine);
        let done = owner.zip(Atoms::from_decimal(amount).ok());
        if done.is_some_and(|(owner, amount)| venue.engine.deposit_futures(owner, amount)) {
            return Ok(());
        }
        Err(SimError::Setting { what: format!("account {account} has no futures wallet that takes {amount}") })
    }

    /// An order on a perpetual of a participant who is no client; false when the venue refuses it.
    pub fn futures_market_order(
        &self,
        symbol: &str,
        side: Side,
        price: Decimal,
        qty: Decimal,
        time_in_force: TimeInForce,
    ) -> bool {
        let mut venue = self.venue();
        let Some((id, listing)) = perpetual(&venue, symbol) else { return false };
        let (price, qty) = (mantissa(price, listing.price_decimals), mantissa(qty, listing.qty_decimals));
        price.zip(qty).is_some_and(|(price, qty)| venue.house_place(id, side, Price(price), Qty(qty), time_in_force))
    }
}
