//! Market maker: one bid and one ask around mid, leaning against what it holds.
//!
//! Both quotes are moved by the inventory skew: with nothing held the bid stands nearer to mid and the ask farther,
//! with the largest position the other way round. On a perpetual in one-way mode the skew is around zero and the
//! position goes to the limit on either side; on the short side of hedge mode everything is mirrored. Quotes are renewed when mid has moved by more than a quarter of the
//! half-spread, or when `refresh` has passed and their price is another; a renewal is a cancel and, when that is
//! proven, a new order. With a book that has been invalid for a second, or silent for three, it has no quotes at all:
//! they would be the only ones that did not move.

use super::opening::Opening;
use super::{KindSetup, Stance};
use crate::api::{Commands, Context, Strategy};
use crate::placer::{News, Placer, Want, passive};
use domain::{Amount, InstrumentVersion, MonoNanos, Price, Qty, Rounding, Side, TimeInForce};
use messages::{BookStatus, MarketEvent, MarketEventKind, OrderEvent, OrderIntent, RefuseReason, Restored};
use rust_decimal::Decimal;
use settings::{KeyPath, Percent, Problem, Problems, check};
use std::time::Duration;

settings::section! {
    /// One bid and one ask around mid, leaning against what it holds.
    pub(crate) MakerSettings, without default {
        /// Distance of each quote from mid.
        half_spread: Percent, check check::positive();
        /// Quantity of each quote; rounded down to the lot size.
        order_size: Decimal, unit "base currency", check check::positive();
        /// Largest position, long or short; at it only the quote that reduces remains.
        max_position: Decimal, unit "base currency", check check::positive();
        /// How far the position moves both quotes, as a share of the half-spread.
        skew: Decimal = "0.5", check check::between(Decimal::ZERO, Decimal::ONE);
        /// Bought once, at the very first start, so that there is something to offer.
        opening_position: Decimal = "0", unit "base currency", check check::not_negative();
        /// After this time quotes follow even a small move.
        refresh: Duration = "500ms", check check::between(Duration::from_millis(50), Duration::from_secs(3_600));
    }
}

/// The parameters of a market maker, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MakerParams {
    /// Distance of each quote from mid, as a fraction; above 0, below 1.
    pub half_spread: Decimal,
    /// Quantity of each quote, in base; above zero.
    pub order_size: Amount,
    /// Largest position, in base; at least `order_size`.
    pub max_position: Amount,
    /// How far the position moves both quotes, as a fraction of the half-spread; 0 to 1.
    pub skew: Decimal,
    /// Bought once at the very first start, in base; zero: nothing.
    pub opening_position: Amount,
    /// After this time quotes follow even a small move.
    pub refresh: Duration,
}

impl MakerParams {
    /// Reads and checks raw parameters that stand at `place` in the settings tree.
    ///
    /// # Errors
    /// Every problem found.
    pub fn read(params: &serde_json::Value, place: &KeyPath) -> Result<Self, Problems> {
        let raw: MakerSettings = settings::read(params, place)?;
        let mut problems = Vec::new();
        let mut wrong = |key: &str, message: &str| problems.push(Problem::at(&place.child(key), message, ""));
        if raw.half_spread.ratio >= Decimal::ONE {
            wrong("half_spread", "must be below 100%");
        }
        if raw.max_position < raw.order_size {
            wrong("max_position", "must be at least `order_size`");
        }
        if raw.opening_position > raw.max_position {
            wrong("opening_position", "must be at most `max_position`");
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Ok(Self {
            half_spread: raw.half_spread.ratio,
            order_size: Amount(raw.order_size),
            max_position: Amount(raw.max_position),
            skew: raw.skew,
            opening_position: Amount(raw.opening_position),
            refresh: raw.refresh,
        })
    }
}

const BID: u32 = 0;
const ASK: u32 = 1;

/// The quotes in force, and what they were made from.
#[derive(Debug, Clone, Copy)]
struct Quoted {
    doubled_mid: i64,
    at: MonoNanos,
    bid: Option<Want>,
    ask: Option<Want>,
}

/// One market maker on one instrument.
#[derive(Debug)]
pub struct MarketMaker {
    params: MakerParams,
    setup: KindSetup,
    placer: Placer,
    opening: Opening,
    restored: Option<Restored>,
    quoted: Option<Quoted>,
    /// When the book was last readable and told so.
    valid: Option<MonoNanos>,
    /// Since when it has been unreadable.
    invalid: Option<MonoNanos>,
    /// A fill, an end or a refusal: quantities have changed.
    dirty: bool,
}

impl MarketMaker {
    /// An invalid book may last this long before quotes are withdrawn.
    const INVALID_MAX: Duration = Duration::from_secs(1);
    /// A silent book may last this long.
    const SILENCE_MAX: Duration = Duration::from_secs(3);
    /// Quotes stay at least this long, whatever mid does, unless they would cross it.
    const QUOTE_MIN: Duration = Duration::from_millis(100);

    /// A market maker that waits for its start.
    #[must_use]
    pub fn new(params: MakerParams, setup: KindSetup) -> Self {
        Self {
            params,
            setup,
            placer: Placer::new(setup.orders_per_second),
            opening: Opening::Done,
            restored: None,
            quoted: None,
            valid: None,
            invalid: None,
            dirty: true,
        }
    }

    /// Everything that should rest now: reference, side, price and quantity. For tests and displays.
    #[must_use]
    pub fn desired(&self, context: &Context<'_>) -> Vec<(u32, Side, Price, Qty)> {
        let quoted = context.book.and_then(|book| book.doubled_mid()).and_then(|mid| self.quote(context, mid));
        let wants = quoted.into_iter().flat_map(|quoted| [quoted.bid, quoted.ask]).flatten();
        wants.map(|want| (want.reference, want.side, want.price, want.qty)).collect()
    }

    /// Prices and quantities for this mid.
    fn quote(&self, context: &Context<'_>, doubled_mid: i64) -> Option<Quoted> {
        let version = &context.instrument.version;
        let (bid_top, ask_top) = {
            let book = context.book?;
            (book.bids.first()?.price, book.asks.first()?.price)
        };
        let mid = version.price_decimal(Price(doubled_mid)).checked_div(Decimal::TWO)?;
        let (position, most) = (context.position.0, self.params.max_position.0);
        // What the strategy may hold: from `lowest` to `highest`; the quotes lean towards the middle of it.
        let (lowest, highest) = match self.setup.stance() {
            Stance::Long => (Decimal::ZERO, most),
            Stance::Short => (-most, Decimal::ZERO),
            Stance::Both => (-most, most),
        };
        let held = position.checked_sub(lowest)?.checked_div(highest.checked_sub(lowest)?)?;
        let held = held.clamp(Decimal::ZERO, Decimal::ONE);
        // From +skew at the lowest to -skew at the highest, in half-spreads.
        let lean = self.params.skew.checked_mul(Decimal::ONE.checked_sub(held.checked_mul(Decimal::TWO)?)?)?;
        let at = |side: Side| {
            let distance = match side {
                Side::Buy => lean.checked_sub(Decimal::ONE)?,
                Side::Sell => lean.checked_add(Decimal::ONE)?,
            };
            let factor = Decimal::ONE.checked_add(self.params.half_spread.checked_mul(distance)?)?;
            let rounding = Rounding::passive(side);
            let price = version.price_rounded(mid.checked_mul(factor)?, rounding).ok()?;
            let price = version.order_price(price, rounding).ok()?.price();
            Some(passive(side, price, bid_top, ask_top, version.tick))
        };
        let want = |reference: u32, side: Side, qty: Option<Qty>| {
            Some(Want {
                reference,
                side,
                effect: self.setup.effect(),
                price: at(side)?,
                qty: qty?,
                time_in_force: TimeInForce::PostOnly,
                better_may_stay: false,
                top_up: false,
            })
        };
        let (up, down) = (highest.checked_sub(position)?, position.checked_sub(lowest)?);
        let bid = want(BID, Side::Buy, sized(version, self.params.order_size.0.min(up)));
        let ask = want(ASK, Side::Sell, sized(version, self.params.order_size.0.min(down)));
        Some(Quoted { doubled_mid, at: context.now, bid, ask })
    }

    /// Whether the present quotes are to be replaced.
    fn due(&self, context: &Context<'_>, doubled_mid: i64) -> bool {
        let Some(quoted) = &self.quoted else { return true };
        let moved = Decimal::from(doubled_mid.abs_diff(quoted.doubled_mid)).checked_mul(Decimal::from(4));
        let threshold = Decimal::from(quoted.doubled_mid).checked_mul(self.params.half_spread);
        let far = match (moved, threshold) {
            (Some(moved), Some(threshold)) => moved > threshold,
            _ => true,
        };
        let crosses = |want: Option<Want>, wrong: fn(i64, i64) -> bool| {
            want.is_some_and(|want| wrong(want.price.0.saturating_mul(2), doubled_mid))
        };
        if crosses(quoted.bid, |bid, mid| bid >= mid) || crosses(quoted.ask, |ask, mid| ask <= mid) {
            return true;
        }
        let age = context.now.since(quoted.at);
        // A renewal is two orders: without room for them the old quotes are better than none.
        let room = self.placer.has_room(context.now);
        room && ((far && age >= Self::QUOTE_MIN) || age >= self.params.refresh)
    }

    fn settle(&mut self, context: &Context<'_>, out: &mut Commands) {
        let Some(doubled_mid) = context.book.and_then(|book| book.doubled_mid()) else {
            self.withdraw_if_blind(context, out);
            return;
        };
        if let Some(restored) = self.restored.take() {
            for order in &restored.orders {
                // Quotes of an earlier life were made from an earlier mid; they are renewed where the price is another.
                let place = if order.side == Side::Buy { BID } else { ASK };
                // The side alone tells bid from ask: an order that only the wire log knew has lost its reference.
                let quote = order.reference == place || order.reference == 0;
                let fits = quote && order.version == context.instrument.version.version;
                let reference = if quote { place } else { order.reference };
                self.placer.adopt(&domain::Order { reference, ..*order }, fits);
            }
        }
        if self.opening.holds(&self.placer) {
            self.opening.pursue(context, self.setup.effect(), &mut self.placer, out);
            return;
        }
        if self.blind(context) {
            self.withdraw_if_blind(context, out);
            return;
        }
        if self.dirty || self.due(context, doubled_mid) {
            self.quoted = self.quote(context, doubled_mid);
            self.dirty = false;
        }
        let wants: Vec<Want> = self.quoted.into_iter().flat_map(|quoted| [quoted.bid, quoted.ask]).flatten().collect();
        self.placer.settle(context, &wants, out);
    }

    /// Whether the book has been unreadable or silent for too long.
    fn blind(&self, context: &Context<'_>) -> bool {
        let longer = |since: Option<MonoNanos>, limit| since.is_some_and(|since| context.now.since(since) > limit);
        longer(self.invalid, Self::INVALID_MAX) || longer(self.valid, Self::SILENCE_MAX)
    }

    fn withdraw_if_blind(&mut self, context: &Context<'_>, out: &mut Commands) {
        if self.blind(context) {
            self.quoted = None;
            self.placer.settle(context, &[], out);
        }
    }
}

/// `amount` as the quantity of an order, if it is enough for one.
fn sized(version: &InstrumentVersion, amount: Decimal) -> Option<Qty> {
    let qty = version.qty_rounded(amount, Rounding::Down).ok()?;
    version.order_qty(qty, Rounding::Down).ok().map(domain::OrderQty::qty)
}

impl Strategy for MarketMaker {
    fn on_start(&mut self, context: &Context<'_>, restored: &Restored, out: &mut Commands) {
        self.opening = Opening::at_start(self.params.opening_position, restored.has_history);
        self.restored = Some(restored.clone());
        self.settle(context, out);
    }

    fn on_market(&mut self, context: &Context<'_>, event: &MarketEvent, out: &mut Commands) {
        match &event.kind {
            MarketEventKind::Book(BookStatus::Valid(_)) => {
                self.valid = Some(context.now);
                self.invalid = None;
            }
            MarketEventKind::Book(BookStatus::Invalid(_)) => {
                self.invalid = self.invalid.or(Some(context.now));
            }
            MarketEventKind::InstrumentChanged(_) => {
                self.placer.outdate_all();
                self.quoted = None;
            }
            MarketEventKind::Trade { .. } => {}
        }
        self.settle(context, out);
    }

    fn on_order(&mut self, context: &Context<'_>, event: &OrderEvent, out: &mut Commands) {
        let news = self.placer.on_event(context.strategy, event, context.now);
        self.opening.note(news);
        self.dirty |= matches!(news, News::Filled { .. });
        self.settle(context, out);
    }

    fn on_refused(&mut self, context: &Context<'_>, intent: &OrderIntent, _reason: RefuseReason, _out: &mut Commands) {
        self.placer.refused(intent.reference, context.now);
    }

    fn on_tick(&mut self, context: &Context<'_>, out: &mut Commands) {
        self.settle(context, out);
    }
}
