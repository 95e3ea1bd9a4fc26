//! Telling accounts what happened to them: in order, and never before the answer that it belongs to.

use crate::FaultSite;
use crate::hub::{Topic, frame, object_frame};
use crate::orders::Fill;
use crate::outgoing::{Place, PrivateEvent, Push};
use crate::tamper::Publication;
use crate::venue::Venue;
use domain::{Asset, InstrumentId};
use matching::OrderId;

impl Venue {
    /// Keeps a place in the account's line for an answer; what the request causes waits behind it until
    /// [`Self::release`] is told that the answer has left.
    pub(crate) fn hold(&mut self, account: usize) -> Option<Place> {
        self.accounts.get_mut(account).map(|account| account.outgoing.hold())
    }

    /// The answer has left: what stood behind it goes, up to the next answer.
    pub(crate) fn release(&mut self, account: usize, place: Option<Place>) {
        let (Some(owner), Some(place)) = (self.accounts.get_mut(account), place) else { return };
        for push in owner.outgoing.release(place) {
            self.deliver(account, &push);
        }
    }

    /// Tells an account of an event, once the answers before it have left; nobody's events wait for nobody.
    pub(crate) fn tell(&mut self, account: usize, event: PrivateEvent) {
        if !self.hub.is_heard(account) {
            return;
        }
        let push = Push { event, ts_ms: self.now_ms() };
        let Some(owner) = self.accounts.get_mut(account) else { return };
        match owner.outgoing.push(push) {
            Ok(Some(push)) => self.deliver(account, &push),
            Ok(None) => {}
            Err(_) => {
                // Losing the connection is how a client learns that it has missed something.
                let listening = self.hub.sessions_of(account);
                tracing::warn!(account, "too much waits for answers that nobody reads; its streams are cut");
                for session in listening {
                    self.hub.cut_slow(session);
                }
            }
        }
    }

    fn deliver(&mut self, account: usize, push: &Push) {
        let mut frames = Vec::new();
        for (session, topic, arg) in self.hub.private_topics(account) {
            if let Some(data) = self.shown(account, &push.event, topic, push.ts_ms) {
                // One channel has an object where all others have a list.
                let text = match topic {
                    Topic::UnifiedFastFills => object_frame("snapshot", arg, &data, push.ts_ms),
                    _ => frame("snapshot", arg, &data, push.ts_ms),
                };
                frames.push((session, text));
            }
        }
        self.hub.emit(Publication { site: FaultSite::Private, topic: None, book_update: false, frames });
    }

    /// Tells of an order as it stands now, and of the trade that brought it there.
    pub(crate) fn tell_order(&mut self, account: usize, id: OrderId, fill: Option<&Fill>) {
        let Some(order) = self.accounts.get(account).and_then(|owner| owner.order(id)) else { return };
        if !self.hub.is_heard(account) {
            return;
        }
        let event =
            PrivateEvent::Order { order: Box::new(order.clone()), fill: fill.map(|fill| Box::new(fill.clone())) };
        self.tell(account, event);
    }

    /// Tells of both coins of a spot instrument.
    pub(crate) fn tell_balances(&mut self, account: usize, instrument: InstrumentId) {
        let Some(config) = self.by_id(instrument).map(|instrument| instrument.config) else { return };
        for asset in [config.base, config.quote] {
            self.tell_balance(account, asset);
        }
    }

    /// Tells what an account has of one coin.
    pub(crate) fn tell_balance(&mut self, account: usize, asset: Asset) {
        let Some(owner) = self.accounts.get(account) else { return };
        let balance = self.engine.balance(owner.engine, asset);
        self.tell(account, PrivateEvent::Balance { asset, balance });
    }

    /// Tells what an account has and holds on perpetuals, and all its positions.
    pub(crate) fn tell_futures(&mut self, account: usize) {
        if !self.hub.is_heard(account) {
            return;
        }
        let Some(snapshot) = self.futures_account(account) else { return };
        let positions = self.positions(account);
        self.tell(account, PrivateEvent::FuturesAccount(Box::new(snapshot)));
        self.tell(account, PrivateEvent::Positions(positions));
    }
}
