//! How each private channel shows what happened.

use crate::accounts::price_of;
use crate::futures_view::PositionSnapshot;
use crate::hub::Topic;
use crate::orders::Look;
use crate::outgoing::PrivateEvent;
use crate::v2::mix_shapes;
use crate::v3::{account as unified_account, shapes};
use crate::venue::{Instrument, Venue};
use domain::{Asset, InstrumentId};
use serde_json::{Value, json};

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
            (Topic::MixOrders(wanted), PrivateEvent::Order { order, fill }) if order.futures.is_some() => {
                let look = self.look(account, order.instrument, wanted)?;
                Some(mix_shapes::order_push(order, look, fill.as_deref()).to_string())
            }
            (Topic::MixFills(wanted), PrivateEvent::Fill(fill)) if fill.futures.is_some() => {
                let look = self.look(account, fill.instrument, wanted)?;
                Some(mix_shapes::fill(fill, look).to_string())
            }
            (Topic::MixAccount, PrivateEvent::FuturesAccount(it)) => Some(mix_shapes::account_push(it).to_string()),
            (Topic::MixEquity, PrivateEvent::FuturesAccount(it)) => {
                Some(mix_shapes::equity_push(it, price_of(self, "BTC")).to_string())
            }
            (Topic::MixPositions(wanted), PrivateEvent::Positions(positions)) => {
                Some(self.positions_shown(positions, wanted, mix_shapes::position_push))
            }
            (Topic::MixClosedPositions(wanted), PrivateEvent::PositionClosed(closed)) => {
                let instrument = self.by_id(closed.instrument).filter(|it| wanted.is_none_or(|id| id == it.id))?;
                Some(mix_shapes::closed_position_push(closed, instrument).to_string())
            }
            (Topic::UnifiedOrders, PrivateEvent::Order { order, .. }) => {
                Some(shapes::order_push(order, self.by_id(order.instrument)?).to_string())
            }
            (Topic::UnifiedFills, PrivateEvent::Fill(fill)) => {
                Some(shapes::fill_push(fill, self.by_id(fill.instrument)?).to_string())
            }
            (Topic::UnifiedFastFills, PrivateEvent::Fill(fill)) => {
                Some(shapes::fast_fill_push(fill, self.by_id(fill.instrument)?).to_string())
            }
            // A unified account is told of as a whole.
            (Topic::UnifiedAccount, PrivateEvent::Balance { .. } | PrivateEvent::FuturesAccount(_)) => {
                Some(unified_account::push(self, account).to_string())
            }
            (Topic::UnifiedPositions, PrivateEvent::Positions(positions)) => {
                Some(self.positions_shown(positions, None, shapes::position_push))
            }
            (Topic::UnifiedPositions, PrivateEvent::PositionClosed(closed)) => {
                let instrument = self.by_id(closed.instrument)?;
                Some(shapes::ended_position_push(self, closed, instrument).to_string())
            }
            _ => None,
        }
    }

    /// What a private channel begins with; `None`: with its next event.
    pub(crate) fn private_data(&self, account: usize, topic: Topic) -> Option<String> {
        let now_ms = self.now_ms();
        match topic {
            Topic::Balances(_) => {
                let balances = self.balances(account).into_iter();
                let shown = balances.filter_map(|(asset, balance)| {
                    self.shown(account, &PrivateEvent::Balance { asset, balance }, topic, now_ms)
                });
                Some(shown.collect::<Vec<String>>().join(","))
            }
            Topic::MixAccount | Topic::MixEquity => {
                let event = PrivateEvent::FuturesAccount(Box::new(self.futures_account(account)?));
                self.shown(account, &event, topic, now_ms)
            }
            Topic::MixPositions(_) | Topic::UnifiedPositions => {
                self.shown(account, &PrivateEvent::Positions(self.positions(account)), topic, now_ms)
            }
            Topic::UnifiedAccount => Some(unified_account::push(self, account).to_string()),
            _ => None,
        }
    }

    fn positions_shown(
        &self,
        positions: &[PositionSnapshot],
        wanted: Option<InstrumentId>,
        show: fn(&PositionSnapshot, &Instrument) -> Value,
    ) -> String {
        let wanted = positions.iter().filter(|it| wanted.is_none_or(|id| id == it.instrument));
        let items = wanted.filter_map(|it| Some(show(it, self.by_id(it.instrument)?).to_string()));
        items.collect::<Vec<String>>().join(",")
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
