//! How v2 shows orders and fills of spot.

use crate::depth::{price_text, qty_text};
use crate::orders::{Fill, Look, Order, cancel_words, force_words, kind_words, padded, self_trade_words};
use domain::Qty;
use serde_json::{Value, json};

impl Order {
    /// An item of `orderInfo` and `history-orders`.
    pub(crate) fn detailed(&self, look: Look<'_>) -> Value {
        let fee_detail = if self.filled == Qty::ZERO { String::new() } else { self.fee_detail() };
        json!({
            "userId": look.user.to_string(), "symbol": look.symbol, "orderId": self.id.0.to_string(),
            "clientOid": self.client_oid, "price": padded(&self.price_words(look.listing)),
            "size": padded(&self.size_text(look.listing)), "orderType": kind_words(self.price.is_none()),
            "side": self.side.as_str(), "status": self.status.as_str(),
            "priceAvg": padded(&self.average(look.listing)),
            "baseVolume": padded(&qty_text(self.filled, look.listing).to_string()),
            "quoteVolume": padded(&self.filled_quote.to_string()), "enterPointSource": "API",
            "feeDetail": fee_detail, "orderSource": "normal",
            "cancelReason": self.cancel_reason.map_or("", cancel_words),
            "cTime": self.created_ms.to_string(), "uTime": self.updated_ms.to_string(),
        })
    }

    /// The venue puts a JSON document into a text here, with bare numbers.
    fn fee_detail(&self) -> String {
        let (fee, coin) = (self.fee.negated(), self.fee_asset);
        format!(
            "{{\"newFees\":{{\"c\":0,\"d\":0,\"deduction\":false,\"r\":{fee},\"t\":{fee},\"totalDeductionFee\":0}},\
             \"{coin}\":{{\"deduction\":false,\"feeCoinCode\":\"{coin}\",\"totalDeductionFee\":0,\"totalFee\":{fee}}}}}"
        )
    }

    /// An item of `unfilled-orders`, where the limit price stands in `priceAvg`.
    pub(crate) fn unfilled(&self, look: Look<'_>) -> Value {
        json!({
            "userId": look.user.to_string(), "symbol": look.symbol, "orderId": self.id.0.to_string(),
            "clientOid": self.client_oid, "priceAvg": self.price_words(look.listing),
            "size": self.size_text(look.listing), "orderType": kind_words(self.price.is_none()),
            "side": self.side.as_str(), "status": self.status.as_str(), "basePrice": "0",
            "baseVolume": qty_text(self.filled, look.listing).to_string(),
            "quoteVolume": self.filled_quote.to_string(), "enterPointSource": "API", "orderSource": "normal",
            "triggerPrice": null, "tpslType": "normal",
            "cTime": self.created_ms.to_string(), "uTime": self.updated_ms.to_string(),
        })
    }

    /// The `data` of a push on `orders`; `fill` is the trade that caused it.
    pub(crate) fn pushed(&self, look: Look<'_>, fill: Option<&Fill>) -> Value {
        let size = self.size_text(look.listing);
        let notional = match (self.budget, self.price) {
            (Some(budget), _) => budget.to_string(),
            (None, Some(price)) => look.listing.notional(price, self.qty).unwrap_or_default().to_string(),
            (None, None) => "0".into(),
        };
        let mut push = json!({
            "instId": look.symbol, "orderId": self.id.0.to_string(), "clientOid": self.client_oid,
            "price": self.price_words(look.listing), "size": size, "newSize": size, "notional": notional,
            "orderType": kind_words(self.price.is_none()), "force": force_words(self.force),
            "side": self.side.as_str(), "accBaseVolume": qty_text(self.filled, look.listing).to_string(),
            "priceAvg": self.average(look.listing), "status": self.status.as_str(),
            "cTime": self.created_ms.to_string(), "uTime": self.updated_ms.to_string(),
            "stpMode": self_trade_words(self.self_trade), "feeDetail": [], "enterPointSource": "API",
            "cancelReason": self.cancel_reason.map_or("", cancel_words),
        });
        if let Some(members) = push.as_object_mut() {
            if self.filled > Qty::ZERO {
                members.insert(
                    "feeDetail".into(),
                    json!([{"feeCoin": self.fee_asset, "fee": self.fee.negated().to_string()}]),
                );
            }
            if let Some(fill) = fill {
                let last = [
                    ("fillPrice", price_text(fill.price, look.listing).to_string()),
                    ("tradeId", fill.trade_id.to_string()),
                    ("baseVolume", qty_text(fill.qty, look.listing).to_string()),
                    ("fillTime", fill.at_ms.to_string()),
                    ("fillFee", fill.fee.negated().to_string()),
                    ("fillFeeCoin", fill.fee_asset.to_string()),
                    ("tradeScope", if fill.maker { "M" } else { "T" }.to_owned()),
                ];
                members.extend(last.map(|(name, value)| (name.to_owned(), Value::String(value))));
            }
        }
        push
    }
}

impl Fill {
    const fn scope(&self) -> &'static str {
        if self.maker { "maker" } else { "taker" }
    }

    /// An item of `fills`.
    pub(crate) fn listed(&self, look: Look<'_>) -> Value {
        let mut item = self.pushed(look);
        if let Some(members) = item.as_object_mut() {
            members.insert("userId".into(), Value::String(look.user.to_string()));
            members.insert(
                "feeDetail".into(),
                json!({"deduction": "no", "feeCoin": self.fee_asset, "totalDeductionFee": "",
                       "totalFee": self.fee.negated().to_string()}),
            );
        }
        item
    }

    /// The `data` of a push on `fill`.
    pub(crate) fn pushed(&self, look: Look<'_>) -> Value {
        json!({
            "orderId": self.order.0.to_string(), "tradeId": self.trade_id.to_string(), "symbol": look.symbol,
            "orderType": kind_words(self.market_order), "side": self.side.as_str(),
            "priceAvg": price_text(self.price, look.listing).to_string(),
            "size": qty_text(self.qty, look.listing).to_string(), "amount": self.notional.to_string(),
            "tradeScope": self.scope(),
            "feeDetail": [{"feeCoin": self.fee_asset, "deduction": "no", "totalDeductionFee": "0",
                           "totalFee": self.fee.negated().to_string()}],
            "cTime": self.at_ms.to_string(), "uTime": self.at_ms.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::tests::order;
    use domain::Asset;
    use matching::Listing;

    #[test]
    fn an_order_is_shown_in_the_venues_padded_form() {
        let (base, quote) = (Asset::from("BTC").unwrap(), Asset::from("USDT").unwrap());
        let listing = Listing { base, quote, price_decimals: 2, qty_decimals: 6, tick: 1, lot: 1 };
        let shown = order(7, "blk-0001").detailed(Look { symbol: "BTCUSDT", listing: &listing, user: 9 });
        assert_eq!(shown["price"], "60000.0000000000000000");
        assert_eq!(shown["priceAvg"], "60000.0000000000000000");
        assert_eq!(shown["baseVolume"], "0.0004000000000000");
        let fee: Value = serde_json::from_str(shown["feeDetail"].as_str().unwrap()).unwrap();
        assert_eq!(fee["BTC"]["feeCoinCode"], "BTC");
        assert!((fee["newFees"]["t"].as_f64().unwrap() + 0.000_000_4).abs() < 1e-12);
    }
}
