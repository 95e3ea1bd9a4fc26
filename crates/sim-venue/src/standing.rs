//! Accounts that are opened while the venue runs, and what happens at once when a key or an account loses its standing.

use crate::AccountMode;
use crate::hub::Out;
use crate::venue::{Account, Venue};

/// Accounts there may be, sub-accounts included.
pub(crate) const ACCOUNTS_MAX: usize = 1_000;

impl Venue {
    /// Opens an account without balances; `None` when there are too many.
    pub(crate) fn open_account(&mut self, mode: AccountMode, parent: Option<usize>) -> Option<usize> {
        if self.accounts.len() >= ACCOUNTS_MAX {
            return None;
        }
        let engine = self.engine.open_account(self.fees);
        self.admit_to_futures(engine, mode);
        let index = self.accounts.len();
        self.accounts.push(Account { parent, ..Account::new(engine, mode) });
        self.clients.insert(engine, index);
        self.admit_to_futures(engine, mode);
        Some(index)
    }

    /// Whether an account is frozen, by itself or with its main account.
    pub(crate) fn frozen(&self, account: usize) -> bool {
        let Some(owner) = self.accounts.get(account) else { return false };
        let above = owner.parent.and_then(|parent| self.accounts.get(parent));
        owner.frozen || above.is_some_and(|parent| parent.frozen)
    }

    /// The user number of the main account that an account belongs to.
    pub(crate) fn main_user_of(&self, account: usize) -> u64 {
        let owner = self.accounts.get(account);
        let above = owner.and_then(|owner| owner.parent).and_then(|parent| self.accounts.get(parent));
        above.or(owner).map_or(0, |account| account.user)
    }

    /// Closes every private stream whose key could not log in any more.
    pub(crate) fn judge_streams(&mut self) {
        let now_ms = self.now_ms();
        let frozen = (30_005, "Account has been frozen");
        let closing: Vec<_> = self
            .hub
            .logged_in()
            .filter_map(|(id, key, address)| {
                let account = self.keys.get(key).map(|key| key.config.account);
                let why = if account.is_some_and(|account| self.frozen(account)) {
                    Some(frozen)
                } else {
                    self.keys.closing(key, address, now_ms)
                };
                why.map(|why| (id, why))
            })
            .collect();
        for (id, (code, words)) in closing {
            tracing::info!(session = id, code, "private stream closed: {words}");
            self.hub.dismiss(id, Out::Text(format!("{{\"event\":\"error\",\"code\":{code},\"msg\":\"{words}\"}}")));
        }
    }
}
