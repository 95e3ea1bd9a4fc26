//! Bills of futures: funding, fees, results and transfers, in both generations' words.
//!
//! Facts: sheet sections 6.4 and 9, and the venue's list of `type (financial records)` (copy of 2026-09). Amount and
//! fee of a bill both have the sign of what happened to the balance; their sum is the change.

use crate::envelope::RowError;
use crate::loose::{Loose, fixed};
use crate::symbols::{VenueMarket as _, asset};
use domain::{Amount, Market, UnixNanos};
use messages::{BillKind, BillReport};
use rust_decimal::Decimal;
use serde::Deserialize;

/// A bill: `mix/account/bill` of v2, `account/financial-records` of v3.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct BillRow<'a> {
    #[serde(borrow)]
    bill_id: Loose<'a>,
    /// v3.
    #[serde(borrow)]
    id: Loose<'a>,
    #[serde(borrow)]
    symbol: Loose<'a>,
    #[serde(borrow)]
    coin: Loose<'a>,
    #[serde(borrow)]
    amount: Loose<'a>,
    #[serde(borrow)]
    fee: Loose<'a>,
    #[serde(borrow)]
    business_type: Loose<'a>,
    /// v3.
    #[serde(borrow, rename = "type")]
    kind: Loose<'a>,
    #[serde(borrow)]
    c_time: Loose<'a>,
    /// v3.
    #[serde(borrow)]
    ts: Loose<'a>,
}

impl BillRow<'_> {
    /// The row as a report; nothing for a coin whose name is too long to be traded here.
    pub(crate) fn report(&self) -> Result<Option<BillReport>, RowError> {
        let Some(asset) = asset(&self.coin.text().ok_or(RowError("coin"))?) else { return Ok(None) };
        let decimal = |field: Loose<'_>| field.decimal().map_err(|_| RowError("amount"));
        let (amount, fee) = (decimal(self.amount)?.ok_or(RowError("amount"))?, decimal(self.fee)?.unwrap_or_default());
        let word = self.business_type.or(self.kind).text().ok_or(RowError("kind of bill"))?.to_ascii_lowercase();
        Ok(Some(BillReport {
            id: self.bill_id.or(self.id).text().and_then(|id| fixed(&id)).ok_or(RowError("bill id"))?,
            kind: kind(&word, amount),
            asset,
            amount: Amount(amount.checked_add(fee).ok_or(RowError("amount"))?),
            symbol: self.symbol.text().and_then(|name| Market::UsdtFutures.symbol(&name)),
            venue_time: self.c_time.or(self.ts).millis().unwrap_or(UnixNanos(0)),
        }))
    }
}

/// What the venue's word stands for. Opening costs a fee alone; closing settles a result, its fee with it.
fn kind(word: &str, amount: Decimal) -> BillKind {
    let has = |part: &str| word.contains(part);
    if has("settle_fee") {
        BillKind::Funding
    } else if has("transfer") || word.starts_with("trans_") {
        BillKind::Transfer
    } else if has("close") || has("burst") || has("delivery") {
        BillKind::RealisedPnl
    } else if has("_fee") {
        BillKind::Fee
    } else if has("open_") || has("buy") || has("sell") {
        // One-way mode has no words for opening and closing; a result tells them apart.
        if amount.is_zero() { BillKind::Fee } else { BillKind::RealisedPnl }
    } else {
        BillKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bill(json: &str) -> BillReport {
        serde_json::from_str::<BillRow<'_>>(json).unwrap().report().unwrap().unwrap()
    }

    #[test]
    fn a_bill_is_what_happened_to_the_balance() {
        let funding = bill(
            r#"{"billId":"1","symbol":"BTCUSDT","amount":"-0.004992","fee":"0","feeByCoupon":"","businessType":"contract_settle_fee","coin":"USDT","balance":"232.21","cTime":"1695715200654"}"#,
        );
        assert_eq!((funding.kind, funding.amount.to_string()), (BillKind::Funding, "-0.004992".to_owned()));
        assert_eq!((funding.symbol.unwrap().as_str(), funding.asset.as_str()), ("BTCUSDT-PERP", "USDT"));
        let opened = bill(
            r#"{"billId":"2","symbol":"ETHUSDT","amount":"0","fee":"-0.222012","businessType":"open_long","coin":"USDT","cTime":"1695714563516"}"#,
        );
        assert_eq!((opened.kind, opened.amount.to_string()), (BillKind::Fee, "-0.222012".to_owned()));
    }

    #[test]
    fn both_generations_have_words_for_the_same_things() {
        for (word, expected) in [
            ("contract_settle_fee", BillKind::Funding),
            ("CONTRACT_MAIN_SETTLE_FEE_USER_OUT", BillKind::Funding),
            ("trans_to_exchange", BillKind::Transfer),
            ("TRANSFER_IN", BillKind::Transfer),
            ("close_long", BillKind::RealisedPnl),
            ("BURST_CLOSE_SHORT", BillKind::RealisedPnl),
            ("OFFSET_REDUCE_CLOSE_LONG", BillKind::RealisedPnl),
            ("OPEN_SHORT", BillKind::Fee),
            ("buy", BillKind::Fee),
            ("BONUS_ISSUE", BillKind::Other),
        ] {
            assert_eq!(kind(&word.to_ascii_lowercase(), Decimal::ZERO), expected, "{word}");
        }
        assert_eq!(kind("sell", Decimal::ONE), BillKind::RealisedPnl);
    }

    #[test]
    fn a_bill_without_id_kind_or_amount_is_an_error() {
        let good = r#"{"id":"13","symbol":"BTCUSDT","coin":"USDT","type":"OPEN_LONG","amount":"0","fee":"-0.1","ts":"1745853486185"}"#;
        assert_eq!(bill(good).venue_time.as_millis(), 1_745_853_486_185);
        for part in [r#""id":"13","#, r#""type":"OPEN_LONG","#, r#""amount":"0","#, r#""coin":"USDT","#] {
            let row = good.replace(part, "");
            assert!(serde_json::from_str::<BillRow<'_>>(&row).unwrap().report().is_err(), "{part}");
        }
    }
}
