//! The venue's words of orders and fills, the same in both generations of the interface.

use crate::envelope::RowError;
use crate::loose::Loose;
use domain::{Liquidity, Scaled, Side, VenueOrderStatus};

/// No quantity.
pub(crate) const NOTHING: Scaled = Scaled { mantissa: 0, decimals: 0 };

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
