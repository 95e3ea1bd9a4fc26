//! What a new policy would change, and whether any of it loosens.
//!
//! Invariant: a difference that is not surely a tightening is a loosening.

use crate::amount::atto;
use crate::document::{
    FuturesPolicy, InstrumentPolicy, PolicyDocument, RateLimit, ReduceLimits, RoleVerbs, SideLimits, Turnover,
};
use domain::{Scaled, Side};
use messages::{MarginMode, PositionMode, Verb};
use std::fmt::Display;

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Less may be signed; takes effect at once.
    Tightens,
    /// More may be signed, or nobody can tell; needs scope and one-time code.
    Loosens,
    /// Another spelling of the same.
    Same,
}

/// One difference between two policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyChange {
    /// The field's path, such as `BTCUSDT.buy.day.notional`.
    pub field: String,
    /// Its value now, as text; empty when it is new.
    pub before: String,
    /// Its value then, as text; empty when it is gone.
    pub after: String,
    /// Which way it goes.
    pub direction: Direction,
}

/// Which way a limit tightens.
#[derive(Clone, Copy)]
enum Tighter {
    Lower,
    Higher,
}

#[derive(Default)]
struct Changes(Vec<PolicyChange>);

impl Changes {
    fn note(&mut self, field: String, before: String, after: String, direction: Direction) {
        self.0.push(PolicyChange { field, before, after, direction });
    }

    fn ordered<T: PartialOrd + Display>(&mut self, field: &str, before: T, after: T, tighter: Tighter) {
        if before == after {
            return;
        }
        let tightens = match tighter {
            Tighter::Lower => after < before,
            Tighter::Higher => after > before,
        };
        let direction = if tightens { Direction::Tightens } else { Direction::Loosens };
        self.note(field.to_owned(), before.to_string(), after.to_string(), direction);
    }

    fn amount(&mut self, field: &str, before: Scaled, after: Scaled, tighter: Tighter) {
        if before == after {
            return;
        }
        let direction = match (atto(before), atto(after), tighter) {
            (Some(before), Some(after), _) if before == after => Direction::Same,
            (Some(before), Some(after), Tighter::Lower) if after < before => Direction::Tightens,
            (Some(before), Some(after), Tighter::Higher) if after > before => Direction::Tightens,
            _ => Direction::Loosens,
        };
        self.note(field.to_owned(), before.to_string(), after.to_string(), direction);
    }

    fn rate(&mut self, field: &str, before: RateLimit, after: RateLimit) {
        let RateLimit { per_second, burst } = before;
        self.ordered(&format!("{field}.per_second"), per_second, after.per_second, Tighter::Lower);
        self.ordered(&format!("{field}.burst"), burst, after.burst, Tighter::Lower);
    }

    fn verbs(&mut self, field: &str, before: &[Verb], after: &[Verb]) {
        for verb in Verb::ALL {
            let direction = match (before.contains(&verb), after.contains(&verb)) {
                // Without a cancel less risk can be taken back.
                (true, false) if matches!(verb, Verb::Cancel | Verb::CancelAll) => Direction::Loosens,
                (true, false) => Direction::Tightens,
                (false, true) => Direction::Loosens,
                _ => continue,
            };
            let word = |there: bool| if there { "allowed".to_owned() } else { String::new() };
            let field = format!("{field}.{}", verb.as_str());
            self.note(field, word(before.contains(&verb)), word(after.contains(&verb)), direction);
        }
    }

    fn turnover(&mut self, field: &str, before: Turnover, after: Turnover) {
        let Turnover { notional, quantity } = before;
        self.amount(&format!("{field}.notional"), notional, after.notional, Tighter::Lower);
        self.amount(&format!("{field}.quantity"), quantity, after.quantity, Tighter::Lower);
    }

    fn side(&mut self, field: &str, before: &SideLimits, after: &SideLimits) {
        for ((window, before), (_, after)) in before.windows().into_iter().zip(after.windows()) {
            self.turnover(&format!("{field}.{window}"), before, after);
        }
    }

    fn reduce(&mut self, field: &str, before: Option<&ReduceLimits>, after: Option<&ReduceLimits>) {
        match (before, after) {
            (Some(before), Some(after)) => {
                for ((window, before), (_, after)) in before.windows().into_iter().zip(after.windows()) {
                    self.amount(&format!("{field}.{window}"), before, after, Tighter::Lower);
                }
            }
            (None, Some(_)) => self.note(field.to_owned(), String::new(), "allowed".into(), Direction::Loosens),
            (Some(_), None) => self.note(field.to_owned(), "allowed".into(), String::new(), Direction::Tightens),
            (None, None) => {}
        }
    }

    fn futures(&mut self, before: Option<&FuturesPolicy>, after: Option<&FuturesPolicy>) {
        let (before, after) = match (before, after) {
            (Some(before), Some(after)) => (before, after),
            (None, Some(_)) => return self.note("futures".into(), String::new(), "allowed".into(), Direction::Loosens),
            (Some(_), None) => {
                return self.note("futures".into(), "allowed".into(), String::new(), Direction::Tightens);
            }
            (None, None) => return,
        };
        let FuturesPolicy { settings, margin_modes, position_modes } = before;
        self.rate("futures.settings", *settings, after.settings);
        for mode in MarginMode::ALL {
            let (was, is) = (margin_modes.contains(&mode), after.margin_modes.contains(&mode));
            self.word(format!("futures.margin_modes.{}", mode.as_str()), was, is);
        }
        for mode in PositionMode::ALL {
            let (was, is) = (position_modes.contains(&mode), after.position_modes.contains(&mode));
            self.word(format!("futures.position_modes.{}", mode.as_str()), was, is);
        }
    }

    fn word(&mut self, field: String, was: bool, is: bool) {
        let word = |there: bool| if there { "allowed".to_owned() } else { String::new() };
        let direction = if is { Direction::Loosens } else { Direction::Tightens };
        if was != is {
            self.note(field, word(was), word(is), direction);
        }
    }

    fn instrument(&mut self, before: &InstrumentPolicy, after: &InstrumentPolicy) {
        // Named one by one, so that a new field cannot be forgotten here.
        let InstrumentPolicy {
            symbol,
            low,
            high,
            order_notional,
            order_quantity,
            open_orders,
            buy,
            sell,
            leverage_max,
            reduce,
        } = before;
        // None may be set: below every leverage.
        let leverage = |of: Option<u16>| of.unwrap_or(0);
        let field = format!("{symbol}.leverage_max");
        self.ordered(&field, leverage(*leverage_max), leverage(after.leverage_max), Tighter::Lower);
        self.reduce(&format!("{symbol}.reduce"), reduce.as_ref(), after.reduce.as_ref());
        self.amount(&format!("{symbol}.low"), *low, after.low, Tighter::Higher);
        self.amount(&format!("{symbol}.high"), *high, after.high, Tighter::Lower);
        self.amount(&format!("{symbol}.order_notional"), *order_notional, after.order_notional, Tighter::Lower);
        self.amount(&format!("{symbol}.order_quantity"), *order_quantity, after.order_quantity, Tighter::Lower);
        self.ordered(&format!("{symbol}.open_orders"), *open_orders, after.open_orders, Tighter::Lower);
        self.side(&format!("{symbol}.{}", Side::Buy), buy, &after.buy);
        self.side(&format!("{symbol}.{}", Side::Sell), sell, &after.sell);
    }
}

impl PolicyDocument {
    /// Every difference to `next`.
    #[must_use]
    pub fn changes(&self, next: &Self) -> Vec<PolicyChange> {
        let mut changes = Changes::default();
        let Self { version, derived_at, roles, orders, cancels, loosening_delay_seconds, futures, instruments } = self;
        if *version != next.version {
            changes.note("version".into(), version.to_string(), next.version.to_string(), Direction::Loosens);
        }
        if *derived_at != next.derived_at {
            let text = |at: Option<u64>| at.map(|at| at.to_string()).unwrap_or_default();
            changes.note("derived_at".into(), text(*derived_at), text(next.derived_at), Direction::Same);
        }
        let RoleVerbs { trade, stream } = roles;
        changes.verbs("roles.trade", trade, &next.roles.trade);
        changes.verbs("roles.stream", stream, &next.roles.stream);
        changes.rate("orders", *orders, next.orders);
        changes.futures(futures.as_ref(), next.futures.as_ref());
        // Fewer cancels a second means risk is taken back more slowly; more means nothing that costs money.
        for (field, before, after) in [
            ("cancels.per_second", cancels.per_second, next.cancels.per_second),
            ("cancels.burst", cancels.burst, next.cancels.burst),
        ] {
            if before != after {
                changes.note(field.into(), before.to_string(), after.to_string(), Direction::Loosens);
            }
        }
        let delay = |document: Option<u64>| document.unwrap_or(0);
        changes.ordered(
            "loosening_delay_seconds",
            delay(*loosening_delay_seconds),
            delay(next.loosening_delay_seconds),
            Tighter::Higher,
        );
        for before in instruments {
            match next.instrument(&before.symbol) {
                Some(after) => changes.instrument(before, after),
                None => changes.note(before.symbol.to_string(), "listed".into(), String::new(), Direction::Tightens),
            }
        }
        for after in &next.instruments {
            if self.instrument(&after.symbol).is_none() {
                changes.note(after.symbol.to_string(), String::new(), "listed".into(), Direction::Loosens);
            }
        }
        changes.0
    }

    /// Whether `next` needs what a loosening needs: any of its changes loosens, or it is no sound policy.
    #[must_use]
    pub fn is_loosening(&self, next: &Self) -> bool {
        next.check().is_err() || self.changes(next).iter().any(|change| change.direction == Direction::Loosens)
    }
}
