//! Brings the orders that rest to the orders that are wanted: places what is missing, cancels what does not fit, waits
//! after a refusal. Shared by the kinds.
//!
//! Invariants: at most one intent per reference is on its way; what closes a position (on spot: sells), on its way and
//! resting, never exceeds it; an order that was refused or ended by itself is asked for again only after a pause that doubles; an order
//! is replaced by cancel and place, and placed only when the cancel is proven.

use crate::api::{Commands, Context};
use domain::{
    ClientOrderId, Market, MonoNanos, Order, OrderState, PositionEffect, Price, Qty, Rounding, Side, StrategyTag,
    TimeInForce,
};
use messages::{EventBody, OrderEvent, OrderIntent};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How much is wanted at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Want {
    /// Names the place; echoed in every event about its orders.
    pub(crate) reference: u32,
    pub(crate) side: Side,
    /// Which position it works on, and how.
    pub(crate) effect: PositionEffect,
    /// On the tick grid.
    pub(crate) price: Price,
    /// Altogether, resting orders included; on the lot grid.
    pub(crate) qty: Qty,
    pub(crate) time_in_force: TimeInForce,
    /// Whether a resting order at a better price for us (a sell above, a buy below) may stay.
    pub(crate) better_may_stay: bool,
    /// Whether a further order is placed for what a resting one lacks; otherwise only one rests at a time.
    pub(crate) top_up: bool,
}

/// What an event meant for an order of this strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// It was filled; its place, unless it ended so long ago that nobody knows.
    Filled { reference: Option<u32>, side: Side },
    /// It ended without being filled whole, or never came to life.
    Ended { reference: u32, filled: bool },
    /// Nothing that matters to a kind.
    Nothing,
}

#[derive(Debug, Clone, Copy)]
struct Live {
    reference: u32,
    side: Side,
    effect: PositionEffect,
    price: Price,
    remaining: Qty,
    /// `None` while the intent is on its way to the order path.
    id: Option<ClientOrderId>,
    /// Made under rules that are no longer in force, or restored and not fitting.
    stale: bool,
    /// The earliest moment for the next cancel; `None`: none was asked for.
    cancel_again: Option<MonoNanos>,
    filled: bool,
    /// It has ended, and the fills announced for `remaining` have not been seen yet.
    awaiting: bool,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: MonoNanos,
    length: Duration,
}

/// The orders of one strategy, resting and on their way.
#[derive(Debug)]
pub(crate) struct Placer {
    live: Vec<Live>,
    pauses: BTreeMap<u32, Pause>,
    placed: Vec<MonoNanos>,
    next_placed: usize,
    /// The latest orders that ended, for fills that come late.
    ended: VecDeque<(ClientOrderId, u32)>,
}

impl Placer {
    /// Ended orders remembered.
    const ENDED_MAX: usize = 256;
    /// First pause after a refusal.
    const PAUSE_MIN: Duration = Duration::from_millis(250);
    /// Longest pause between two attempts.
    const PAUSE_MAX: Duration = Duration::from_secs(30);
    /// After this a cancel that had no effect is asked for again.
    const CANCEL_AGAIN: Duration = Duration::from_secs(2);
    const SECOND: Duration = Duration::from_secs(1);

    /// A placer that asks for at most `orders_per_second` orders in any second.
    pub(crate) fn new(orders_per_second: u32) -> Self {
        let room = usize::try_from(orders_per_second.clamp(1, 1_000)).unwrap_or(1);
        Self {
            live: Vec::new(),
            pauses: BTreeMap::new(),
            placed: Vec::with_capacity(room),
            next_placed: 0,
            ended: VecDeque::with_capacity(Self::ENDED_MAX),
        }
    }

    /// Takes over an order of an earlier life; `fits` as the kind judges it.
    pub(crate) fn adopt(&mut self, order: &Order, fits: bool) {
        self.live.push(Live {
            reference: order.reference,
            side: order.side,
            effect: order.effect,
            price: order.price,
            remaining: order.remaining(),
            id: Some(order.id),
            stale: !fits,
            cancel_again: None,
            filled: order.filled > Qty::ZERO,
            awaiting: false,
        });
    }

    /// New trading rules: nothing that rests fits any more.
    pub(crate) fn outdate_all(&mut self) {
        for live in &mut self.live {
            live.stale = true;
        }
    }

    /// Whether one more order may be asked for within this second.
    pub(crate) fn has_room(&self, now: MonoNanos) -> bool {
        if self.placed.len() < self.placed.capacity() {
            return true;
        }
        self.placed.get(self.next_placed).is_none_or(|then| now.since(*then) >= Self::SECOND)
    }

    /// Whether an order with this reference rests or is on its way.
    pub(crate) fn has(&self, reference: u32) -> bool {
        self.live.iter().any(|live| live.reference == reference)
    }

    /// Prices and references of what rests on one side.
    pub(crate) fn resting(&self, side: Side) -> impl Iterator<Item = (u32, Price)> + '_ {
        self.live.iter().filter(move |live| live.side == side).map(|live| (live.reference, live.price))
    }

    /// Brings what rests to `wants`, as far as possible now; called again until nothing is left to do.
    pub(crate) fn settle(&mut self, context: &Context<'_>, wants: &[Want], out: &mut Commands) {
        self.cancel_unwanted(context, wants, out);
        for want in wants {
            self.place_missing(context, want, out);
        }
    }

    fn cancel_unwanted(&mut self, context: &Context<'_>, wants: &[Want], out: &mut Commands) {
        let mut allowed: BTreeMap<u32, i64> = BTreeMap::new();
        for want in wants {
            *allowed.entry(want.reference).or_default() += want.qty.0;
        }
        for live in &mut self.live {
            let Some(id) = live.id.filter(|_| !live.awaiting) else { continue };
            let want = wants.iter().find(|want| want.reference == live.reference && want.side == live.side);
            let left = allowed.get(&live.reference).copied().unwrap_or(0);
            let fits = !live.stale && want.is_some_and(|want| want.admits(live)) && live.remaining.0 <= left;
            if fits {
                allowed.insert(live.reference, left - live.remaining.0);
                continue;
            }
            let due = live.cancel_again.is_none_or(|again| context.now >= again);
            if due && out.cancel(context.strategy, id) {
                live.cancel_again = Some(context.now.after(Self::CANCEL_AGAIN));
            }
        }
    }

    fn place_missing(&mut self, context: &Context<'_>, want: &Want, out: &mut Commands) {
        let mut working = 0_i64;
        for live in self.live.iter().filter(|live| live.reference == want.reference) {
            let settled = live.id.is_some() && !live.awaiting && !live.stale && live.cancel_again.is_none();
            if !settled || live.side != want.side || !want.admits(live) || !want.top_up {
                return; // on its way, or being replaced: the outcome comes first
            }
            working = working.saturating_add(live.remaining.0);
        }
        let paused = self.pauses.get(&want.reference).is_some_and(|pause| context.now < pause.until);
        let missing = Qty(want.qty.0.saturating_sub(working));
        if paused || missing <= Qty::ZERO || !self.has_room(context.now) {
            return;
        }
        let version = &context.instrument.version;
        let Ok(price) = version.order_price(want.price, Rounding::Exact) else { return };
        // Less than the venue takes waits until there is more.
        let Ok(qty) = version.order_qty(missing, Rounding::Down) else { return };
        let worth = version.notional(price.price(), qty.qty());
        let too_small = worth.is_none_or(|worth| worth < version.min_notional);
        let closing = closes(context.instrument.market, want.side, want.effect);
        if too_small || (closing && !self.covers(context, want, qty.qty())) {
            return;
        }
        let intent = OrderIntent {
            strategy: context.strategy,
            reference: want.reference,
            instrument: context.instrument.id,
            side: want.side,
            price,
            qty,
            time_in_force: want.time_in_force,
            effect: want.effect,
            caused: context.received,
            decided: context.now,
        };
        if out.place(intent) {
            self.note_placed(context.now);
            self.live.push(Live {
                reference: want.reference,
                side: want.side,
                effect: want.effect,
                price: price.price(),
                remaining: qty.qty(),
                id: None,
                stale: false,
                cancel_again: None,
                filled: false,
                awaiting: false,
            });
        }
    }

    /// Whether the position covers `more` beside everything that closes it and rests or is on its way.
    fn covers(&self, context: &Context<'_>, want: &Want, more: Qty) -> bool {
        let market = context.instrument.market;
        let likewise = |live: &&Live| live.side == want.side && closes(market, live.side, live.effect);
        let offered: i64 = self.live.iter().filter(likewise).map(|live| live.remaining.0).sum();
        let closed = Qty(offered.saturating_add(more.0));
        let held = if want.side == Side::Sell { context.position.0 } else { -context.position.0 };
        context.instrument.version.qty_decimal(closed) <= held
    }

    fn note_placed(&mut self, now: MonoNanos) {
        if self.placed.len() < self.placed.capacity() {
            self.placed.push(now);
            return;
        }
        if let Some(oldest) = self.placed.get_mut(self.next_placed) {
            *oldest = now;
        }
        self.next_placed = (self.next_placed + 1) % self.placed.len().max(1);
    }

    /// Notes what happened to an own order.
    pub(crate) fn on_event(&mut self, strategy: StrategyTag, event: &OrderEvent, now: MonoNanos) -> News {
        match &event.body {
            EventBody::Placed { order, .. } if order.strategy == strategy => {
                match self.live.iter_mut().find(|live| live.id.is_none() && live.reference == order.reference) {
                    Some(live) => live.id = Some(order.id),
                    None => self.adopt(order, false),
                }
                News::Nothing
            }
            EventBody::Refused { id, strategy: asked, reference, .. } if *asked == strategy => {
                if let Some(index) = self.live.iter().position(|live| id.is_some() && live.id == *id) {
                    self.end(index);
                }
                self.refused(*reference, now)
            }
            EventBody::Order { order, .. } if order.strategy == strategy => self.changed(order, now),
            EventBody::Filled { fill, state, .. } if fill.strategy == strategy => {
                let reference = self.took(fill.order, fill.qty, *state);
                if let Some(reference) = reference {
                    self.pauses.remove(&reference);
                }
                News::Filled { reference, side: fill.side }
            }
            EventBody::CancelRefused { id, .. } => {
                if let Some(live) = self.live.iter_mut().find(|live| live.id == Some(*id)) {
                    live.cancel_again = Some(now.after(Self::PAUSE_MIN));
                }
                News::Nothing
            }
            _ => News::Nothing,
        }
    }

    /// An intent did not become an order: the place pauses.
    pub(crate) fn refused(&mut self, reference: u32, now: MonoNanos) -> News {
        if let Some(index) = self.live.iter().position(|live| live.id.is_none() && live.reference == reference) {
            self.live.swap_remove(index);
        }
        self.pause(reference, now);
        News::Ended { reference, filled: false }
    }

    /// Counts a fill and gives the reference of its order.
    fn took(&mut self, order: ClientOrderId, qty: Qty, state: OrderState) -> Option<u32> {
        let Some(index) = self.live.iter().position(|live| live.id == Some(order)) else {
            return self.ended.iter().rev().find(|(id, _)| *id == order).map(|(_, reference)| *reference);
        };
        let live = self.live.get_mut(index)?;
        live.remaining = live.remaining.saturating_minus(qty);
        live.filled = true;
        live.awaiting |= state == OrderState::Filled;
        let reference = live.reference;
        if live.remaining == Qty::ZERO {
            self.end(index);
        }
        Some(reference)
    }

    fn end(&mut self, index: usize) {
        let live = self.live.swap_remove(index);
        if self.ended.len() >= Self::ENDED_MAX {
            self.ended.pop_front();
        }
        if let Some(id) = live.id {
            self.ended.push_back((id, live.reference));
        }
    }

    fn changed(&mut self, order: &Order, now: MonoNanos) -> News {
        let Some(index) = self.live.iter().position(|live| live.id == Some(order.id)) else {
            // Known to the order path and not to us: it is ours, and nobody wants it.
            if order.state.may_rest() {
                self.adopt(order, false);
            }
            return News::Nothing;
        };
        let Some(live) = self.live.get_mut(index) else { return News::Nothing };
        // The order's own reference may be lost; the place that it was given here is not.
        let reference = live.reference;
        if !order.state.is_terminal() {
            if matches!(order.state, OrderState::Acked | OrderState::PartlyFilled) {
                self.pauses.remove(&reference);
            }
            return News::Nothing;
        }
        let missing = order.filled.saturating_minus(order.filled_by_fills);
        let (asked_for, filled) = (live.cancel_again.is_some(), live.filled || order.filled > Qty::ZERO);
        live.remaining = missing;
        live.awaiting = true;
        if missing == Qty::ZERO {
            self.end(index);
        }
        if order.state != OrderState::Filled && !asked_for {
            self.pause(reference, now);
        }
        News::Ended { reference, filled }
    }

    fn pause(&mut self, reference: u32, now: MonoNanos) {
        let pause = self.pauses.entry(reference).or_insert(Pause { until: now, length: Self::PAUSE_MIN / 2 });
        pause.length = (pause.length * 2).min(Self::PAUSE_MAX);
        pause.until = now.after(pause.length);
    }
}

impl Want {
    /// Whether a resting order stands where this one is wanted.
    fn admits(&self, live: &Live) -> bool {
        let better = match self.side {
            Side::Buy => live.price < self.price,
            Side::Sell => live.price > self.price,
        };
        live.effect == self.effect && (live.price == self.price || (self.better_may_stay && better))
    }
}

/// Whether an order can only make a position smaller: a sell on spot, elsewhere what the venue lets only reduce.
pub(crate) fn closes(market: Market, side: Side, effect: PositionEffect) -> bool {
    if market.has_positions() { effect.reduce_only || effect.opens(side) == Some(false) } else { side == Side::Sell }
}

/// `price` moved so that it rests: a buy to a tick below the best ask, a sell to a tick above the best bid.
pub(crate) fn passive(side: Side, price: Price, best_bid: Price, best_ask: Price, tick: i64) -> Price {
    match side {
        Side::Buy => {
            Price(price.0.min(best_ask.0.saturating_sub(1).div_euclid(tick.max(1)).saturating_mul(tick.max(1))))
        }
        Side::Sell => {
            Price(price.0.max(best_bid.0.div_euclid(tick.max(1)).saturating_add(1).saturating_mul(tick.max(1))))
        }
    }
}
