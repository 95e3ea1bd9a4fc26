//! How each private channel shows what happened.

use crate::hub::Topic;
use crate::orders::Look;
use crate::outgoing::PrivateEvent;
use crate::venue::Venue;
use domain::{Asset, InstrumentId};
use serde_json::json;

impl Venue {
    /// An event as `topic` shows it: the `data` of a frame, its brackets left out; `None` when it is not heard there.
    pub(crate) fn shown(&self, account: usize, event: &PrivateEvent, topic: Topic, ts_ms: u64) -> Option<String> {
        match (topic, event) {
            (Topic::Orders(wanted), PrivateEvent::Order { order, fill }) if order.futures.is_none() => {
                let look = self.look(account, order.instrument, wanted)?;
                Some(order.pushed(look, fill.as_deref()).to_string())
            }
            (Topic::Fills(wanted), PrivateEvent::Fill(fill)) if fill.futures.is_none() => {
                let look = self.look(account, fill.instrument, wanted)?;
                Some(fill.pushed(look).to_string())
            }
            (Topic::Balances(wanted), PrivateEvent::Balance { asset, balance }) => {
                wanted.is_none_or(|wanted| wanted == *asset).then(|| balance_item(*asset, *balance, ts_ms))
            }
            _ => None,
        }
    }

    /// How an account's orders look from an instrument, where a subscription wants that one.
    fn look(&self, account: usize, id: InstrumentId, wanted: Option<InstrumentId>) -> Option<Look<'_>> {
        let instrument = self.by_id(id).filter(|_| wanted.is_none_or(|wanted| wanted == id))?;
        let user = self.accounts.get(account)?.user;
        Some(Look { symbol: &instrument.config.symbol, listing: &instrument.listing, user })
    }

    /// One coin of an account as `account` shows it.
    pub(crate) fn balance_item(&self, account: usize, asset: Asset) -> Option<String> {
        let balance = self.engine.balance(self.accounts.get(account)?.engine, asset);
        Some(balance_item(asset, balance, self.now_ms()))
    }
}

fn balance_item(asset: Asset, balance: matching::Balance, at_ms: u64) -> String {
    let item = json!({
        "coin": asset, "available": balance.available.to_string(), "frozen": balance.frozen.to_string(),
        "locked": "0", "limitAvailable": "0", "uTime": at_ms.to_string(),
    });
    item.to_string()
}
