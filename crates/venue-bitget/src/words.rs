//! The venue's words of orders and fills, the same in both generations of the interface.

use crate::envelope::RowError;
use crate::loose::Loose;
use crate::symbols::asset;
use domain::{Asset, Liquidity, Scaled, Side, VenueOrderStatus};
use rust_decimal::Decimal;

/// No quantity.
pub(crate) const NOTHING: Scaled = Scaled { mantissa: 0, decimals: 0 };

/// The fee of a fill out of the venue's list of fees. A fill has one fee asset; two would be a fee that cannot be booked,
/// so that is an error. An empty list, or a row that names neither coin nor amount, says that nothing was taken; then
/// the asset does not matter.
pub(crate) fn one_fee(rows: &[(Loose<'_>, Loose<'_>)]) -> Result<(Decimal, Asset), RowError> {
    let nothing = (Decimal::ZERO, asset("USDT").ok_or(RowError("fee asset"))?);
    let (coin, amount) = match rows {
        [] => return Ok(nothing),
        [row] => *row,
        _ => return Err(RowError("fee")),
    };
    let stated = amount.decimal().map_err(|_| RowError("fee"))?.unwrap_or_default();
    match coin.text() {
        Some(coin) => Ok((stated, asset(&coin).ok_or(RowError("fee asset"))?)),
        None if stated.is_zero() => Ok(nothing),
        None => Err(RowError("fee asset")),
    }
}

/// A number where there is one.
pub(crate) fn number(field: Loose<'_>, what: &'static str) -> Result<Option<Scaled>, RowError> {
    field.scaled().map_err(|_| RowError(what))
}

/// `buy` or `sell`.
pub(crate) fn side(field: Loose<'_>) -> Result<Side, RowError> {
    let text = field.text().ok_or(RowError("side"))?;
    if text.eq_ignore_ascii_case("buy") {
        Ok(Side::Buy)
    } else if text.eq_ignore_ascii_case("sell") {
        Ok(Side::Sell)
    } else {
        Err(RowError("side"))
    }
}

/// All spellings seen (sheet trap 8).
pub(crate) fn status(field: Loose<'_>) -> Result<VenueOrderStatus, RowError> {
    let text = field.text().ok_or(RowError("status"))?;
    match text.to_ascii_lowercase().as_str() {
        "live" | "new" | "init" => Ok(VenueOrderStatus::Live),
        "partially_filled" => Ok(VenueOrderStatus::PartlyFilled),
        "filled" => Ok(VenueOrderStatus::Filled),
        "cancelled" | "canceled" => Ok(VenueOrderStatus::Cancelled),
        _ => Err(RowError("status")),
    }
}

/// `T`/`M` in order pushes, `taker`/`maker` elsewhere.
pub(crate) fn liquidity(field: Loose<'_>) -> Result<Liquidity, RowError> {
    let text = field.text().ok_or(RowError("trade scope"))?;
    match text.to_ascii_lowercase().as_str() {
        "t" | "taker" => Ok(Liquidity::Taker),
        "m" | "maker" => Ok(Liquidity::Maker),
        _ => Err(RowError("trade scope")),
    }
}
