//! Positions of futures, and the leverage and modes that hold for them, in both generations' words.
//!
//! Facts: sheet sections 5.3, 6.4 and 9. Both say a long or short side and a size above zero, also for the one
//! position of one-way mode; here a size is negative where the position is short.

use crate::envelope::RowError;
use crate::loose::Loose;
use crate::symbols::VenueMarket as _;
use domain::{Amount, Market, PositionSide, Symbol, UnixNanos};
use messages::{FuturesSettings, MarginMode, PositionMode, PositionReport};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Deserialize;

/// A position: the lists of v2 and v3, the channel `positions` and the topic `position`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PositionRow<'a> {
    /// v3 lists only; a push is about futures anyway.
    #[serde(borrow)]
    category: Loose<'a>,
    #[serde(borrow)]
    symbol: Loose<'a>,
    #[serde(borrow)]
    inst_id: Loose<'a>,
    /// v2.
    #[serde(borrow)]
    hold_side: Loose<'a>,
    #[serde(borrow)]
    pos_side: Loose<'a>,
    /// v2.
    #[serde(borrow)]
    pos_mode: Loose<'a>,
    #[serde(borrow)]
    hold_mode: Loose<'a>,
    #[serde(borrow)]
    total: Loose<'a>,
    /// Push of v3.
    #[serde(borrow)]
    size: Loose<'a>,
    /// v2.
    #[serde(borrow)]
    open_price_avg: Loose<'a>,
    #[serde(borrow)]
    avg_price: Loose<'a>,
    #[serde(borrow)]
    mark_price: Loose<'a>,
    #[serde(borrow)]
    liquidation_price: Loose<'a>,
    /// Push of v3.
    #[serde(borrow)]
    liq_price: Loose<'a>,
    /// A bare number in pushes of v2, text elsewhere.
    #[serde(borrow)]
    leverage: Loose<'a>,
    #[serde(borrow)]
    margin_mode: Loose<'a>,
    #[serde(borrow, rename = "unrealizedPL")]
    unrealized_pl: Loose<'a>,
    #[serde(borrow)]
    unrealised_pnl: Loose<'a>,
    #[serde(borrow)]
    margin_size: Loose<'a>,
    /// List of v3.
    #[serde(borrow)]
    position_balance: Loose<'a>,
    #[serde(borrow)]
    c_time: Loose<'a>,
    #[serde(borrow)]
    u_time: Loose<'a>,
    #[serde(borrow)]
    updated_time: Loose<'a>,
}

impl PositionRow<'_> {
    /// The row as a report; `None` for a product that is not ours.
    pub(crate) fn report(&self) -> Result<Option<PositionReport>, RowError> {
        if self.category.text().is_some_and(|word| Market::read(&word) != Some(Market::UsdtFutures)) {
            return Ok(None);
        }
        let size = decimal(self.total.or(self.size), "size")?.ok_or(RowError("size"))?;
        let qty = if self.is_short()? { -size } else { size };
        let time = [self.u_time, self.updated_time, self.c_time];
        Ok(Some(PositionReport {
            symbol: self.symbol()?,
            side: self.side()?,
            qty: Amount(qty),
            entry: price(self.open_price_avg.or(self.avg_price), "entry price")?.filter(|_| !size.is_zero()),
            mark: price(self.mark_price, "mark price")?,
            liquidation: price(self.liquidation_price.or(self.liq_price), "liquidation price")?,
            leverage: leverage(self.leverage)?,
            margin_mode: margin_mode(self.margin_mode)?,
            unrealised: Amount(decimal(self.unrealized_pl.or(self.unrealised_pnl), "result")?.unwrap_or_default()),
            margin: decimal(self.margin_size.or(self.position_balance), "margin")?.map(Amount),
            venue_time: time.iter().find_map(|field| field.millis()).unwrap_or(UnixNanos(0)),
        }))
    }

    /// The row of a list of positions that were closed whole (`positions-history`), as a report of nothing.
    pub(crate) fn closed(&self) -> Result<PositionReport, RowError> {
        Ok(PositionReport {
            symbol: self.symbol()?,
            side: self.side()?,
            qty: Amount(Decimal::ZERO),
            entry: None,
            mark: None,
            liquidation: None,
            leverage: 0,
            margin_mode: margin_mode(self.margin_mode)?,
            unrealised: Amount(Decimal::ZERO),
            margin: None,
            venue_time: self.u_time.or(self.c_time).millis().unwrap_or(UnixNanos(0)),
        })
    }

    fn symbol(&self) -> Result<Symbol, RowError> {
        let name = self.symbol.or(self.inst_id).text().ok_or(RowError("symbol"))?;
        Market::UsdtFutures.symbol(&name).ok_or(RowError("symbol"))
    }

    fn is_short(&self) -> Result<bool, RowError> {
        match word(self.hold_side.or(self.pos_side)).as_str() {
            "long" | "net" | "" => Ok(false),
            "short" => Ok(true),
            _ => Err(RowError("position side")),
        }
    }

    fn side(&self) -> Result<PositionSide, RowError> {
        match position_mode(self.pos_mode.or(self.hold_mode))? {
            PositionMode::OneWay => Ok(PositionSide::Net),
            PositionMode::Hedge if self.is_short()? => Ok(PositionSide::Short),
            PositionMode::Hedge => Ok(PositionSide::Long),
        }
    }
}

/// Leverage and modes in the account of v2: `mix/account/account`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AccountRow<'a> {
    #[serde(borrow)]
    crossed_margin_leverage: Loose<'a>,
    #[serde(borrow)]
    isolated_long_lever: Loose<'a>,
    #[serde(borrow)]
    isolated_short_lever: Loose<'a>,
    #[serde(borrow)]
    margin_mode: Loose<'a>,
    #[serde(borrow)]
    pos_mode: Loose<'a>,
}

impl AccountRow<'_> {
    /// What holds for the instrument that was asked for.
    pub(crate) fn settings(&self) -> Result<FuturesSettings, RowError> {
        let margin_mode = margin_mode(self.margin_mode)?;
        let [long, short] = match margin_mode {
            MarginMode::Crossed => [self.crossed_margin_leverage; 2],
            MarginMode::Isolated => [self.isolated_long_lever, self.isolated_short_lever],
        };
        Ok(FuturesSettings {
            leverage_long: leverage(long)?,
            leverage_short: leverage(short)?,
            margin_mode,
            position_mode: position_mode(self.pos_mode)?,
        })
    }
}

/// Leverage and modes in the account of v3: `account/settings`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct UnifiedSettings<'a> {
    #[serde(borrow)]
    hold_mode: Loose<'a>,
    #[serde(borrow)]
    symbol_config_list: Option<Vec<SymbolConfig<'a>>>,
}

/// What was set for one instrument.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SymbolConfig<'a> {
    #[serde(borrow)]
    category: Loose<'a>,
    #[serde(borrow)]
    symbol: Loose<'a>,
    #[serde(borrow)]
    margin_mode: Loose<'a>,
    #[serde(borrow)]
    leverage: Loose<'a>,
}

impl UnifiedSettings<'_> {
    /// What holds for an instrument. One that the venue does not list keeps the venue's defaults: crossed margin, and a
    /// leverage that it does not tell (zero).
    pub(crate) fn settings(&self, wanted: &Symbol) -> Result<FuturesSettings, RowError> {
        let is_wanted = |row: &&SymbolConfig<'_>| {
            let market = row.category.text().and_then(|word| Market::read(&word));
            let name = row.symbol.text();
            market.zip(name).and_then(|(market, name)| market.symbol(&name)).as_ref() == Some(wanted)
        };
        let row = self.symbol_config_list.as_deref().unwrap_or_default().iter().find(is_wanted);
        let (leverage, margin_mode) = match row {
            Some(row) => (leverage(row.leverage)?, margin_mode(row.margin_mode)?),
            None => (0, MarginMode::Crossed),
        };
        Ok(FuturesSettings {
            leverage_long: leverage,
            leverage_short: leverage,
            margin_mode,
            position_mode: position_mode(self.hold_mode)?,
        })
    }
}

/// The venue's word for a margin mode; old lists say `cross`.
pub(crate) fn margin_mode(field: Loose<'_>) -> Result<MarginMode, RowError> {
    match word(field).as_str() {
        "crossed" | "cross" => Ok(MarginMode::Crossed),
        "isolated" => Ok(MarginMode::Isolated),
        _ => Err(RowError("margin mode")),
    }
}

/// The venue's word for a position mode.
pub(crate) const fn position_mode_word(mode: PositionMode) -> &'static str {
    match mode {
        PositionMode::OneWay => "one_way_mode",
        PositionMode::Hedge => "hedge_mode",
    }
}

fn position_mode(field: Loose<'_>) -> Result<PositionMode, RowError> {
    let said = word(field);
    PositionMode::ALL.into_iter().find(|mode| position_mode_word(*mode) == said).ok_or(RowError("position mode"))
}

/// Whole times the margin, rounded up: a position is never taken for safer than it is. Zero: not told.
fn leverage(field: Loose<'_>) -> Result<u16, RowError> {
    let stated = decimal(field, "leverage")?.unwrap_or_default();
    stated.ceil().to_u16().ok_or(RowError("leverage"))
}

fn price(field: Loose<'_>, what: &'static str) -> Result<Option<Amount>, RowError> {
    Ok(decimal(field, what)?.filter(|price| *price > Decimal::ZERO).map(Amount))
}

fn decimal(field: Loose<'_>, what: &'static str) -> Result<Option<Decimal>, RowError> {
    field.decimal().map_err(|_| RowError(what))
}

fn word(field: Loose<'_>) -> String {
    field.text().map(|text| text.to_ascii_lowercase()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(json: &str) -> PositionReport {
        serde_json::from_str::<PositionRow<'_>>(json).unwrap().report().unwrap().unwrap()
    }

    #[test]
    fn a_short_position_is_negative_in_both_modes_and_generations() {
        let hedge = position(
            r#"{"instId":"ETHUSDT","marginMode":"crossed","holdSide":"short","posMode":"hedge_mode","total":"0.1","openPriceAvg":"1900","leverage":20,"unrealizedPL":"-1.5","liquidationPrice":"5788.1","uTime":"1695711602568"}"#,
        );
        assert_eq!((hedge.symbol.as_str(), hedge.side), ("ETHUSDT-PERP", PositionSide::Short));
        assert_eq!((hedge.qty.to_string(), hedge.unrealised.to_string()), ("-0.1".to_owned(), "-1.5".to_owned()));
        assert_eq!((hedge.leverage, hedge.entry.unwrap().to_string()), (20, "1900".to_owned()));
        let one_way = position(
            r#"{"category":"USDT-FUTURES","symbol":"ETHUSDT","marginMode":"isolated","posSide":"short","holdMode":"one_way_mode","total":"0.1","avgPrice":"1900","leverage":"2.5","unrealisedPnl":"-1.5","updatedTime":"1695711602568"}"#,
        );
        assert_eq!((one_way.side, one_way.qty.to_string()), (PositionSide::Net, "-0.1".to_owned()));
        assert_eq!((one_way.leverage, one_way.margin_mode), (3, MarginMode::Isolated));
    }

    #[test]
    fn a_closed_position_has_no_entry_and_no_size() {
        let ended = position(
            r#"{"symbol":"BTCUSDT","leverage":"20","marginMode":"crossed","avgPrice":"0","liqPrice":"","size":"0","positionStatus":"ended","posSide":"long","holdMode":"hedge_mode","unrealisedPnl":"0"}"#,
        );
        assert!(ended.qty.0.is_zero() && ended.entry.is_none() && ended.liquidation.is_none());
        let row = r#"{"posId":"1","instId":"ETHUSDT","marginMode":"crossed","holdSide":"long","posMode":"one_way_mode","openSize":"0.01","closeSize":"0.01","uTime":"1719143618543"}"#;
        let closed = serde_json::from_str::<PositionRow<'_>>(row).unwrap().closed().unwrap();
        assert_eq!(
            (closed.symbol.as_str(), closed.side, closed.qty.0),
            ("ETHUSDT-PERP", PositionSide::Net, Decimal::ZERO)
        );
    }

    #[test]
    fn positions_of_other_products_are_left_out_and_odd_words_are_errors() {
        let row = |json: &str| serde_json::from_str::<PositionRow<'_>>(json).unwrap().report();
        assert_eq!(row(r#"{"category":"COIN-FUTURES","symbol":"BTCUSD"}"#), Ok(None));
        let good =
            r#"{"symbol":"BTCUSDT","marginMode":"crossed","holdSide":"long","posMode":"hedge_mode","total":"1"}"#;
        assert!(row(good).unwrap().is_some());
        for (from, to) in
            [("crossed", "?"), ("\"long\"", "\"up\""), ("hedge_mode", "?"), ("\"1\"", "\"x\""), ("\"1\"", "\"\"")]
        {
            assert!(row(&good.replace(from, to)).is_err(), "{from} {to}");
        }
    }

    #[test]
    fn settings_are_those_of_the_margin_mode_in_force() {
        let row = r#"{"crossedMarginLeverage":"20","isolatedLongLever":"5","isolatedShortLever":"7","marginMode":"MODE","posMode":"hedge_mode"}"#;
        let settings = |mode: &str| {
            serde_json::from_str::<AccountRow<'_>>(&row.replace("MODE", mode)).unwrap().settings().unwrap()
        };
        let (crossed, isolated) = (settings("crossed"), settings("isolated"));
        assert_eq!((crossed.leverage_long, crossed.leverage_short), (20, 20));
        assert_eq!((isolated.leverage_long, isolated.leverage_short), (5, 7));
        assert_eq!(crossed.position_mode, PositionMode::Hedge);
    }

    #[test]
    fn settings_of_the_unified_account_are_found_by_market_and_name() {
        let row = r#"{"holdMode":"one_way_mode","symbolConfigList":[{"category":"COIN-FUTURES","symbol":"BTCUSDT","marginMode":"isolated","leverage":"9"},{"category":"USDT-FUTURES","symbol":"BTCUSDT","marginMode":"crossed","leverage":"20"}]}"#;
        let settings: UnifiedSettings<'_> = serde_json::from_str(row).unwrap();
        let found = |name: &str| settings.settings(&Symbol::from(name).unwrap()).unwrap();
        let btc = found("BTCUSDT-PERP");
        assert_eq!(
            (btc.leverage_long, btc.margin_mode, btc.position_mode),
            (20, MarginMode::Crossed, PositionMode::OneWay)
        );
        assert_eq!(found("ETHUSDT-PERP").leverage_long, 0, "not told");
    }
}
