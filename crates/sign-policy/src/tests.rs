//! What the suites share: sample policies and orders, and a disk in memory that fails and loses power on demand.

mod budgets;
mod documents;
mod futures;
mod gate;
mod guard;
mod memory_disk;
mod windows;

use crate::{
    BudgetStore, InstrumentPolicy, PolicyDocument, RateLimit, Reservation, RoleVerbs, SavedBudgets, SideLimits,
    Turnover,
};
use domain::{ClientOrderId, Epoch, InstanceTag, Scaled, Sequence, Side, Symbol, TimeInForce};
use messages::PlaceOrder;
use std::io;

pub(crate) use memory_disk::MemoryDisk;

pub(crate) fn symbol(text: &str) -> Symbol {
    Symbol::from(text).unwrap()
}

pub(crate) fn number(text: &str) -> Scaled {
    Scaled::parse(text.as_bytes()).unwrap()
}

pub(crate) fn epoch(number: u32) -> Epoch {
    Epoch::new(number).unwrap()
}

fn turnover(notional: &str, quantity: &str) -> Turnover {
    Turnover { notional: number(notional), quantity: number(quantity) }
}

/// Sells from 50, buys to 200; one order up to 400 and 4; per side 1000 and 10, 3000 and 30, 10000 and 100.
pub(crate) fn instrument(name: &str) -> InstrumentPolicy {
    let side =
        SideLimits { minute: turnover("1000", "10"), hour: turnover("3000", "30"), day: turnover("10000", "100") };
    InstrumentPolicy {
        symbol: symbol(name),
        low: number("50"),
        high: number("200"),
        order_notional: number("400"),
        order_quantity: number("4"),
        open_orders: 1_000,
        buy: side,
        sell: side,
        leverage_max: None,
        reduce: None,
    }
}

pub(crate) fn document() -> PolicyDocument {
    PolicyDocument {
        version: PolicyDocument::VERSION,
        derived_at: None,
        roles: RoleVerbs::default(),
        orders: RateLimit { per_second: 1_000, burst: 1_000 },
        cancels: RateLimit { per_second: 10, burst: 2 },
        loosening_delay_seconds: Some(60),
        futures: None,
        instruments: vec![instrument("BTCUSDT"), instrument("ETHUSDT")],
    }
}

pub(crate) fn client_id(run: u32, sequence: u64) -> ClientOrderId {
    ClientOrderId::new(InstanceTag::from_number(7), epoch(run), Sequence::new(sequence).unwrap())
}

pub(crate) fn order(side: Side, price: &str, qty: &str) -> PlaceOrder {
    PlaceOrder {
        id: client_id(1, 1),
        symbol: symbol("BTCUSDT"),
        side,
        price: number(price),
        qty: number(qty),
        time_in_force: TimeInForce::Gtc,
        effect: domain::PositionEffect::default(),
    }
}

/// Remembers reservations in memory, or fails.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) saved: SavedBudgets,
    pub(crate) broken: bool,
    pub(crate) asked: usize,
}

impl BudgetStore for Memory {
    fn reserve(&mut self, reservation: &Reservation) -> io::Result<()> {
        self.asked += 1;
        if self.broken {
            return Err(io::Error::other("broken on purpose"));
        }
        self.saved.apply(reservation);
        Ok(())
    }
}
