//! Grid: buys at each level below the market and sells what it bought one level higher.
//!
//! Between two neighbouring levels lies a cell. An empty cell wants a buy at its lower level, a cell that holds
//! something wants a sell of it at its upper level, so that after each fill its counterpart follows. A buy level at or
//! above the best ask waits until the market is above it again. Resting orders stay where they are while the book is
//! invalid: they are limit orders at prices that were chosen, and nothing is placed on a book that cannot be read.
//!
//! On a perpetual in one-way mode the grid is neutral: below the start it buys first, above it it sells first, and each
//! filled level gets its counter order, which the venue lets only reduce wherever the position is there for it. In hedge
//! mode it works like on spot on its side; the short one is mirrored.
//!
//! A grid around the first mid writes its step into each order's reference, so that one resting order is enough to
//! find the same levels after a restart.

mod cells;

use super::opening::{OPENING, Opening};
use super::{KindSetup, Stance};
use crate::api::{Commands, Context, Strategy};
use crate::placer::{News, Placer, Want, passive};
use cells::{Cells, Reference};
use domain::{Amount, OrderPrice, PositionEffect, Price, Qty, Rounding, Side, TimeInForce};
use messages::{EventBody, MarketEvent, MarketEventKind, OrderEvent, OrderIntent, RefuseReason, Restored};
use rust_decimal::Decimal;
use settings::{KeyPath, Percent, Problem, Problems, check};

settings::section! {
    /// Buys at each level below the market and sells what it bought one level higher. The levels are either spread
    /// evenly from `lower` to `upper`, or lie a `step` apart around the first valid mid.
    pub(crate) GridSettings, without default {
        /// Lowest level.
        lower: Option<Decimal> = settings::absent(), unit "quote currency", check check::positive().if_present();
        /// Highest level.
        upper: Option<Decimal> = settings::absent(), unit "quote currency", check check::positive().if_present();
        /// Distance of neighbouring levels, as a share of the first valid mid; instead of `lower` and `upper`.
        step: Option<Percent> = settings::absent(), check check::positive().if_present();
        /// Levels from `lower` to `upper`, both included; with `step`, levels on each side of the first mid.
        levels: u32, check check::between(2, 400);
        /// Quantity of each order; rounded down to the lot size.
        order_size: Decimal, unit "base currency", check check::positive();
        /// Bought once, at the very first start, for the levels above the market.
        opening_position: Decimal = "0", unit "base currency", check check::not_negative();
        /// Whether an order that would trade at once is moved one tick away instead.
        post_only: bool = true;
    }
}

/// Where the levels of a grid are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GridLevels {
    /// Evenly spread from the lowest to the highest.
    Range {
        /// Lowest level, in quote.
        lower: Decimal,
        /// Highest level, in quote; above `lower`.
        upper: Decimal,
    },
    /// Around the first valid mid.
    Step {
        /// Distance of neighbours as a fraction of that mid; above zero.
        ratio: Decimal,
    },
}

/// The parameters of a grid, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridParams {
    /// Where the levels are.
    pub at: GridLevels,
    /// Levels altogether for a range, on each side for a step; 2 to 400.
    pub levels: u32,
    /// Quantity of each order, in base; above zero.
    pub order_size: Amount,
    /// Bought once at the very first start, in base; zero: nothing.
    pub opening_position: Amount,
    /// Whether orders only ever rest.
    pub post_only: bool,
}

impl GridParams {
    /// Reads and checks raw parameters that stand at `place` in the settings tree.
    ///
    /// # Errors
    /// Every problem found.
    pub fn read(params: &serde_json::Value, place: &KeyPath) -> Result<Self, Problems> {
        let raw: GridSettings = settings::read(params, place)?;
        let problem =
            |key: &str, message: &str, help: &str| Err(Problems(vec![Problem::at(&place.child(key), message, help)]));
        let at = match (raw.lower, raw.upper, raw.step) {
            (Some(lower), Some(upper), None) if lower < upper => GridLevels::Range { lower, upper },
            (Some(_), Some(_), None) => return problem("upper", "must be above `lower`", ""),
            (None, None, Some(step)) => GridLevels::Step { ratio: step.ratio },
            (None, None, None) => {
                return problem("step", "the grid has no levels", "give `lower` and `upper`, or `step`");
            }
            (_, _, Some(_)) => return problem("step", "excludes `lower` and `upper`", "remove one of them"),
            (Some(_), None, None) => return problem("upper", "is missing", "`lower` needs `upper`"),
            (None, Some(_), None) => return problem("lower", "is missing", "`upper` needs `lower`"),
        };
        Ok(Self {
            at,
            levels: raw.levels,
            order_size: Amount(raw.order_size),
            opening_position: Amount(raw.opening_position),
            post_only: raw.post_only,
        })
    }
}

/// One grid on one instrument.
#[derive(Debug)]
pub struct Grid {
    params: GridParams,
    setup: KindSetup,
    placer: Placer,
    opening: Opening,
    /// `None` until the levels are known.
    cells: Option<Cells>,
    /// What was restored and waits for the levels and a first book.
    restored: Option<Restored>,
    position: Amount,
    /// Best bid and ask of the latest settling.
    seen: Option<(Price, Price)>,
    dirty: bool,
}

impl Grid {
    /// A grid that waits for its start.
    #[must_use]
    pub fn new(params: GridParams, setup: KindSetup) -> Self {
        Self {
            params,
            setup,
            placer: Placer::new(setup.orders_per_second),
            opening: Opening::Done,
            cells: None,
            restored: None,
            position: Amount::ZERO,
            seen: None,
            dirty: true,
        }
    }

    /// Everything that should rest now: reference, side, price and quantity. For tests and displays.
    #[must_use]
    pub fn desired(&self, context: &Context<'_>) -> Vec<(u32, Side, Price, Qty)> {
        self.wants(context).iter().map(|want| (want.reference, want.side, want.price, want.qty)).collect()
    }

    /// Finds the levels and gives what is held its cells, at the first valid book.
    fn take_levels(&mut self, context: &Context<'_>) -> Option<()> {
        if self.cells.is_some() {
            return Some(());
        }
        let restored = self.restored.as_ref()?;
        let doubled_mid = context.book?.doubled_mid()?;
        let place = (context.instrument.market, self.setup.stance());
        let mut cells = Cells::found(&self.params, &context.instrument.version, place, restored, doubled_mid)?;
        for order in &restored.orders {
            let placed = cells.placed(order, &context.instrument.version);
            let order = domain::Order { reference: placed.unwrap_or(order.reference), ..*order };
            self.placer.adopt(&order, placed.is_some());
        }
        cells.fill_in(restored, context.instrument.base, doubled_mid);
        self.cells = Some(cells);
        self.restored = None;
        Some(())
    }

    fn settle(&mut self, context: &Context<'_>, out: &mut Commands) {
        if self.take_levels(context).is_none() {
            return;
        }
        if self.opening.holds(&self.placer) {
            self.opening.pursue(context, self.setup.effect(), &mut self.placer, out);
            return;
        }
        let Some(top) = top(context) else { return };
        // Prices matter only where they let a level come or go; asking again after a pause is the tick's part.
        if !self.dirty && self.seen == Some(top) {
            return;
        }
        self.seen = Some(top);
        self.dirty = false;
        let wants = self.wants(context);
        self.placer.settle(context, &wants, out);
    }

    fn wants(&self, context: &Context<'_>) -> Vec<Want> {
        let (Some(cells), Some((bid, ask))) = (&self.cells, top(context)) else { return Vec::new() };
        let version = &context.instrument.version;
        let time_in_force = if self.params.post_only { TimeInForce::PostOnly } else { TimeInForce::Gtc };
        let mut wants = Vec::new();
        let mut reducible = context.position.0;
        for (index, cell) in cells.iter() {
            let reference = |side| Reference { cell: index, side, step: cells.step() }.encode();
            let want = |side, effect, price, qty, better_may_stay| Want {
                reference: reference(side),
                side,
                effect,
                price,
                qty,
                time_in_force,
                better_may_stay,
                top_up: true,
            };
            let (opens, closes) = if cell.short { (Side::Sell, Side::Buy) } else { (Side::Buy, Side::Sell) };
            let (open_level, close_level) =
                if cell.short { (cell.upper, cell.lower) } else { (cell.lower, cell.upper) };
            let counter = version.qty_rounded(cell.held, Rounding::Down).ok();
            let counter = counter.and_then(|held| version.order_qty(held, Rounding::Down).ok());
            if let Some(qty) = counter {
                let level = close_level;
                let price = if self.params.post_only { passive(closes, level, bid, ask, version.tick) } else { level };
                let beyond = |price: Price| if closes == Side::Sell { price >= level } else { price <= level };
                let own = reference(closes);
                let resting = self.placer.resting(closes).any(|(of, price)| of == own && beyond(price));
                let effect = self.counter_effect(closes, version.qty_decimal(qty.qty()), &mut reducible);
                // An order that rests beyond its level because the level would have crossed stays there.
                wants.push(want(closes, effect, if resting { level } else { price }, qty.qty(), true));
            }
            let open = version.qty_rounded(cell.open_left, Rounding::Down).ok();
            let open = open.and_then(|left| version.order_qty(left, Rounding::Down).ok());
            let waits = if cell.short { open_level > bid } else { open_level < ask };
            if let Some(qty) = open.filter(|_| waits) {
                wants.push(want(opens, self.setup.effect(), open_level, qty.qty(), false));
            }
        }
        wants
    }

    /// A counter order of a neutral grid only reduces where the position is there for it; `reducible` is what is left.
    fn counter_effect(&self, side: Side, qty: Decimal, reducible: &mut Decimal) -> PositionEffect {
        let effect = self.setup.effect();
        if self.setup.stance() != Stance::Both {
            return effect;
        }
        let signed = if side == Side::Sell { qty } else { -qty };
        let rest = reducible.saturating_sub(signed);
        let covered = qty <= reducible.abs() && reducible.is_sign_negative() == signed.is_sign_negative();
        if covered {
            *reducible = rest;
        }
        PositionEffect { reduce_only: covered, ..effect }
    }

    fn filled(&mut self, reference: Option<u32>, after: Amount, context: &Context<'_>) {
        let moved = after.0.saturating_sub(self.position.0);
        self.position = after;
        let Some(cells) = &mut self.cells else { return };
        let reference = reference.filter(|reference| *reference != OPENING).map(Reference::decode);
        match reference.filter(|reference| reference.step == cells.step()) {
            Some(reference) => cells.moved(reference.cell, moved),
            None => {
                let doubled_mid = context.book.and_then(|book| book.doubled_mid());
                cells.spread(moved, doubled_mid);
            }
        }
    }
}

fn top(context: &Context<'_>) -> Option<(Price, Price)> {
    let book = context.book?;
    Some((book.bids.first()?.price, book.asks.first()?.price))
}

/// `price` on the tick grid, rounded down.
fn on_tick(version: &domain::InstrumentVersion, price: Decimal) -> Option<Price> {
    let price = version.price_rounded(price, Rounding::Down).ok()?;
    version.order_price(price, Rounding::Down).ok().map(OrderPrice::price)
}

impl Strategy for Grid {
    fn on_start(&mut self, context: &Context<'_>, restored: &Restored, out: &mut Commands) {
        self.opening = Opening::at_start(self.params.opening_position, restored.has_history);
        self.position = restored.position;
        self.restored = Some(restored.clone());
        self.settle(context, out);
    }

    fn on_market(&mut self, context: &Context<'_>, event: &MarketEvent, out: &mut Commands) {
        if let MarketEventKind::InstrumentChanged(version) = &event.kind {
            // The same levels under the new rules; what rests under the old ones is replaced.
            self.placer.outdate_all();
            self.dirty = true;
            if let Some(cells) = &mut self.cells {
                cells.change_rules(&self.params, version);
            }
        }
        self.settle(context, out);
    }

    fn on_order(&mut self, context: &Context<'_>, event: &OrderEvent, out: &mut Commands) {
        let news = self.placer.on_event(context.strategy, event, context.now);
        self.opening.note(news);
        if let (News::Filled { reference, .. }, EventBody::Filled { position, .. }) = (news, &event.body) {
            self.filled(reference, position.qty, context);
        }
        self.dirty = true;
        self.settle(context, out);
    }

    fn on_refused(&mut self, context: &Context<'_>, intent: &OrderIntent, _reason: RefuseReason, _out: &mut Commands) {
        self.placer.refused(intent.reference, context.now);
        self.dirty = true;
    }

    fn on_tick(&mut self, context: &Context<'_>, out: &mut Commands) {
        self.dirty = true;
        self.settle(context, out);
    }
}
