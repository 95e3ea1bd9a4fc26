//! The handle by which tests and the demo look behind the scenes: the venue's own truth, and faults now.

use crate::auth::{Key, KeyState};
use crate::orders::{Fill, Order, OrderStatus};
use crate::server::Shared;
use crate::venue::Venue;
use crate::{AccountMode, FaultKind, FaultPlan, KeyConfig, Permission};
use domain::{Asset, Side, Symbol, TimeInForce};
use matching::{Atoms, Balance};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// One order as the venue knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderTruth {
    /// The venue's id: 19 digits.
    pub order_id: String,
    /// The client's id, or the venue's id where it gave none.
    pub client_oid: String,
    /// The instrument.
    pub symbol: Symbol,
    /// Which way.
    pub side: Side,
    /// Limit price; `None` for market orders.
    pub price: Option<Decimal>,
    /// Base asked for; zero for a market buy, which is sized in quote.
    pub qty: Decimal,
    /// Base traded.
    pub filled: Decimal,
    /// Quote traded.
    pub filled_quote: Decimal,
    /// Fee paid so far, positive, in the coin received.
    pub fee: Decimal,
    /// Where it stands.
    pub status: OrderStatus,
}

/// One fill as the venue knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FillTruth {
    /// The venue's id of the trade.
    pub trade_id: String,
    /// The venue's id of the order.
    pub order_id: String,
    /// The client's id of the order.
    pub client_oid: String,
    /// The instrument.
    pub symbol: Symbol,
    /// The order's side.
    pub side: Side,
    /// Price in quote.
    pub price: Decimal,
    /// Base traded.
    pub qty: Decimal,
    /// Fee paid, positive.
    pub fee: Decimal,
    /// The coin of the fee.
    pub fee_asset: Asset,
    /// Whether the order was resting.
    pub maker: bool,
}

/// What an account has of one coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BalanceTruth {
    /// Free to use.
    pub available: Decimal,
    /// Held for open orders.
    pub frozen: Decimal,
}

/// One API key as the venue knows it, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTruth {
    /// The public part.
    pub key: String,
    /// Whose it is; 0 is the main account.
    pub account: usize,
    /// What its owner calls it.
    pub note: String,
    /// Whether it works, apart from its end.
    pub state: KeyState,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// Addresses it may be used from; empty: any.
    pub ips: Vec<IpAddr>,
    /// When it was made, in milliseconds of the venue's clock; 0 for keys of the start.
    pub created_ms: u64,
    /// When it stops to work, in milliseconds of the venue's clock; `None`: never.
    pub expires_ms: Option<u64>,
}

/// A handle on a running exchange; cheap to clone.
#[derive(Clone)]
pub struct SimControl {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for SimControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimControl").finish_non_exhaustive()
    }
}

/// An amount for people.
pub(crate) fn decimal(amount: Atoms) -> Decimal {
    amount.to_decimal().unwrap_or_default()
}

impl SimControl {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The venue, for as long as one question takes.
    pub(crate) fn venue(&self) -> std::sync::MutexGuard<'_, Venue> {
        self.shared.venue()
    }

    /// Lets something go wrong now; a fault that concerns an order acts on the next one.
    pub fn inject(&self, fault: FaultKind) {
        self.shared.venue().inject(fault);
    }

    /// Plans further faults; their times and numbers count from now.
    ///
    /// # Errors
    /// Words, when more faults would wait than are taken.
    pub fn add_faults(&self, plan: FaultPlan) -> Result<(), String> {
        self.shared.venue().add_faults(plan)
    }

    /// What waits, what is armed and what acted, as the control endpoint shows it.
    #[must_use]
    pub fn fault_report(&self) -> serde_json::Value {
        self.shared.venue().hub.faults.status()
    }

    /// Orders that reached the exchange authenticated, whether it took them or not.
    #[must_use]
    pub fn place_requests(&self) -> u64 {
        self.shared.venue().place_requests
    }

    /// Orders the exchange took.
    #[must_use]
    pub fn orders_accepted(&self) -> u64 {
        self.shared.venue().accepted
    }

    /// Stream clients disconnected because they did not read fast enough.
    #[must_use]
    pub fn slow_consumers(&self) -> u64 {
        self.shared.venue().hub.slow()
    }

    /// Connected stream clients.
    #[must_use]
    pub fn stream_clients(&self) -> usize {
        self.shared.venue().hub.len()
    }

    /// Every order of an account that the venue remembers, oldest first; 0 is the main account.
    #[must_use]
    pub fn orders(&self, account: usize) -> Vec<OrderTruth> {
        let venue = self.shared.venue();
        let store = venue.accounts.get(account).map(|account| &account.store);
        let mut orders: Vec<OrderTruth> = store
            .into_iter()
            .flat_map(|store| store.newest_first())
            .filter_map(|order| order_truth(&venue, order))
            .collect();
        orders.reverse();
        orders
    }

    /// Every remembered order of an account under one client order id, oldest first.
    #[must_use]
    pub fn orders_by_client_oid(&self, account: usize, client_oid: &str) -> Vec<OrderTruth> {
        self.orders(account).into_iter().filter(|order| order.client_oid == client_oid).collect()
    }

    /// Every remembered fill of an account, oldest first.
    #[must_use]
    pub fn fills(&self, account: usize) -> Vec<FillTruth> {
        let venue = self.shared.venue();
        let store = venue.accounts.get(account).map(|account| &account.store);
        let mut fills: Vec<FillTruth> =
            store.into_iter().flat_map(|store| store.fills()).filter_map(|fill| fill_truth(&venue, fill)).collect();
        fills.reverse();
        fills
    }

    /// What an account has, by coin.
    #[must_use]
    pub fn balances(&self, account: usize) -> BTreeMap<Asset, BalanceTruth> {
        let truth =
            |balance: Balance| BalanceTruth { available: decimal(balance.available), frozen: decimal(balance.frozen) };
        self.shared.venue().balances(account).into_iter().map(|(asset, balance)| (asset, truth(balance))).collect()
    }

    /// The middle of an instrument's book; `None` while a side is empty.
    #[must_use]
    pub fn mid(&self, symbol: &str) -> Option<Decimal> {
        let venue = self.shared.venue();
        venue.instrument(symbol).and_then(|instrument| venue.mid(instrument.id))
    }

    /// Adds coins to an account from outside; false for an amount that cannot be kept exactly.
    pub fn deposit(&self, account: usize, asset: Asset, amount: Decimal) -> bool {
        let mut venue = self.shared.venue();
        let Some(owner) = venue.accounts.get(account).map(|account| account.engine) else { return false };
        Atoms::from_decimal(amount).is_ok_and(|amount| venue.engine.deposit(owner, asset, amount))
    }

    /// An order of a participant who is no client; false when the venue refuses it.
    pub fn market_order(
        &self,
        symbol: &str,
        side: Side,
        price: Decimal,
        qty: Decimal,
        time_in_force: TimeInForce,
    ) -> bool {
        let mut venue = self.shared.venue();
        let Some((id, listing)) = venue.instrument(symbol).map(|instrument| (instrument.id, instrument.listing)) else {
            return false;
        };
        let mantissa = |number: Decimal, decimals: u8| {
            domain::Scaled::try_from(number.normalize()).and_then(|scaled| scaled.rescaled(decimals)).ok()
        };
        let (price, qty) = (mantissa(price, listing.price_decimals), mantissa(qty, listing.qty_decimals));
        price.zip(qty).is_some_and(|(price, qty)| {
            venue.house_place(id, side, domain::Price(price), domain::Qty(qty), time_in_force)
        })
    }

    /// Publishes book changes now instead of at the next interval.
    pub fn publish_books(&self) {
        self.shared.venue().publish_books();
    }

    /// Adds a key while the exchange runs; false when its account does not exist.
    pub fn add_key(&self, key: KeyConfig) -> bool {
        let mut venue = self.shared.venue();
        let known = key.account < venue.accounts.len();
        if known {
            venue.keys.insert(key);
        }
        known
    }

    /// Every key, in the order of its name.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyTruth> {
        let venue = self.shared.venue();
        let truth = |key: &Key| KeyTruth {
            key: key.config.material.key.clone(),
            account: key.config.account,
            note: key.note.clone(),
            state: key.state,
            permissions: key.config.permissions.clone(),
            ips: key.config.ips.clone(),
            created_ms: key.created_ms,
            expires_ms: key.expires_ms,
        };
        venue.keys.iter().map(truth).collect()
    }

    /// Opens an account without balances; its number, or `None` when there are too many.
    pub fn open_account(&self, mode: AccountMode, parent: Option<usize>) -> Option<usize> {
        self.shared.venue().open_account(mode, parent)
    }

    /// Freezes, deletes or restores a key; false for an unknown one. Open streams follow at once.
    pub fn set_key_state(&self, key: &str, state: KeyState) -> bool {
        self.change_key(key, |key| key.state = state)
    }

    /// Changes what a key may do; false for an unknown one. Open streams follow at once.
    pub fn set_permissions(&self, key: &str, permissions: Vec<Permission>) -> bool {
        self.change_key(key, |key| key.config.permissions = permissions)
    }

    /// Changes where a key may be used from; false for an unknown one. Open streams follow at once.
    pub fn set_ips(&self, key: &str, ips: Vec<IpAddr>) -> bool {
        self.change_key(key, |key| key.config.ips = ips)
    }

    /// Lets a key end at a moment of the venue's clock, in milliseconds; false for an unknown one.
    pub fn set_key_expiry(&self, key: &str, expires_ms: Option<u64>) -> bool {
        self.change_key(key, |key| key.expires_ms = expires_ms)
    }

    /// Freezes or thaws an account; false for an unknown one. Its sub-accounts and open streams follow at once.
    pub fn set_account_frozen(&self, account: usize, frozen: bool) -> bool {
        let mut venue = self.shared.venue();
        let known = venue.accounts.get_mut(account).map(|account| account.frozen = frozen).is_some();
        venue.judge_streams();
        known
    }

    fn change_key(&self, key: &str, change: impl FnOnce(&mut Key)) -> bool {
        let mut venue = self.shared.venue();
        let known = venue.keys.get_mut(key).map(change).is_some();
        venue.judge_streams();
        known
    }
}

pub(crate) fn order_truth(venue: &Venue, order: &Order) -> Option<OrderTruth> {
    let instrument = venue.by_id(order.instrument)?;
    let scaled = |mantissa: i64, decimals: u8| Decimal::new(mantissa, u32::from(decimals));
    Some(OrderTruth {
        order_id: order.id.0.to_string(),
        client_oid: order.client_oid.clone(),
        symbol: instrument.config.symbol,
        side: order.side,
        price: order.price.map(|price| scaled(price.0, instrument.listing.price_decimals)),
        qty: scaled(order.qty.0, instrument.listing.qty_decimals),
        filled: scaled(order.filled.0, instrument.listing.qty_decimals),
        filled_quote: decimal(order.filled_quote),
        fee: decimal(order.fee),
        status: order.status,
    })
}

pub(crate) fn fill_truth(venue: &Venue, fill: &Fill) -> Option<FillTruth> {
    let instrument = venue.by_id(fill.instrument)?;
    Some(FillTruth {
        trade_id: fill.trade_id.to_string(),
        order_id: fill.order.0.to_string(),
        client_oid: fill.client_oid.clone(),
        symbol: instrument.config.symbol,
        side: fill.side,
        price: Decimal::new(fill.price.0, u32::from(instrument.listing.price_decimals)),
        qty: Decimal::new(fill.qty.0, u32::from(instrument.listing.qty_decimals)),
        fee: decimal(fill.fee),
        fee_asset: fill.fee_asset,
        maker: fill.maker,
    })
}
