//! What the messages of all venues share: JSON with a word about what it should be, levels as text.

use crate::TapeLevel;
use domain::Scaled;
use serde::Deserialize;

/// Why a message cannot be used.
#[derive(Debug)]
pub(super) struct LineFault(pub(super) String);

/// Reads JSON; `what` is named when it cannot be read.
pub(super) fn json<'a, T: Deserialize<'a>>(text: &'a [u8], what: &str) -> Result<T, LineFault> {
    serde_json::from_slice(text).map_err(|error| LineFault(format!("{what} that cannot be read: {error}")))
}

/// Reads rows of price and quantity.
pub(super) fn levels(rows: &[(&str, &str)], zero_allowed: bool) -> Result<Vec<TapeLevel>, LineFault> {
    rows.iter().map(|(price, qty)| level(price, qty, zero_allowed)).collect()
}

/// Reads rows that begin with price and quantity; what a venue adds behind them is left out.
pub(super) fn long_rows(rows: &[Vec<&str>], zero_allowed: bool) -> Result<Vec<TapeLevel>, LineFault> {
    let row = |row: &Vec<&str>| match row.as_slice() {
        [price, qty, ..] => level(price, qty, zero_allowed),
        _ => Err(LineFault("level without price or quantity".to_owned())),
    };
    rows.iter().map(row).collect()
}

/// Reads one price and quantity.
pub(super) fn level(price: &str, qty: &str, zero_allowed: bool) -> Result<TapeLevel, LineFault> {
    let number =
        |text: &str| Scaled::parse(text.as_bytes()).map_err(|error| LineFault(format!("number `{text:.40}`: {error}")));
    let level = TapeLevel { price: number(price)?, qty: number(qty)? };
    let qty_min = i64::from(!zero_allowed);
    if level.price.mantissa <= 0 || level.qty.mantissa < qty_min {
        return Err(LineFault(format!("impossible level: price {price:.40}, quantity {qty:.40}")));
    }
    Ok(level)
}
