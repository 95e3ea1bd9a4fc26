//! Balances of one account: what may be used and what resting orders hold.

use crate::Atoms;
use domain::Asset;
use std::collections::BTreeMap;

/// What an account has of one asset. Neither part is ever negative, except what is available of the coin that
/// perpetuals settle in when it is shared with them: realised losses may exceed it until the account is liquidated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// Free to use.
    pub available: Atoms,
    /// Held for open orders.
    pub frozen: Atoms,
}

impl Balance {
    /// Both parts together.
    #[must_use]
    pub const fn total(self) -> Atoms {
        Atoms(self.available.0 + self.frozen.0)
    }
}

/// All balances of one account, by asset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    balances: BTreeMap<Asset, Balance>,
}

impl Ledger {
    pub(crate) fn balance(&self, asset: Asset) -> Balance {
        self.balances.get(&asset).copied().unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Asset, Balance)> + '_ {
        self.balances.iter().map(|(asset, balance)| (*asset, *balance))
    }

    fn slot(&mut self, asset: Asset) -> &mut Balance {
        self.balances.entry(asset).or_default()
    }

    /// Adds to (or, negative, takes from) what is available.
    pub(crate) fn credit(&mut self, asset: Asset, amount: Atoms) {
        self.slot(asset).available.0 += amount.0;
    }

    /// Moves from available to frozen; false, and nothing happens, when there is not enough.
    #[must_use]
    pub(crate) fn freeze(&mut self, asset: Asset, amount: Atoms) -> bool {
        let slot = self.slot(asset);
        if slot.available < amount {
            return false;
        }
        slot.available.0 -= amount.0;
        slot.frozen.0 += amount.0;
        true
    }

    /// Moves from frozen back to available.
    pub(crate) fn release(&mut self, asset: Asset, amount: Atoms) {
        let slot = self.slot(asset);
        debug_assert!(slot.frozen >= amount, "only what is frozen is released");
        slot.frozen.0 -= amount.0;
        slot.available.0 += amount.0;
    }

    /// Takes out of what is frozen: it leaves the account.
    pub(crate) fn spend(&mut self, asset: Asset, amount: Atoms) {
        let slot = self.slot(asset);
        debug_assert!(slot.frozen >= amount, "only what is frozen is spent");
        slot.frozen.0 -= amount.0;
    }
}
