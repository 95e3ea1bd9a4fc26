//! What the scenarios on spot alone ask of the exchange, and the home of a bot that trades there.

use super::http::{self, Account};
use super::lab::{Exchange, Home, SYMBOL};
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::BTreeMap;

/// Rows of one page at most.
const PAGE: usize = 100;

/// An order as the exchange tells it.
#[derive(Debug, Clone)]
pub(crate) struct VenueOrder {
    pub(crate) client_id: String,
    pub(crate) venue_id: String,
    pub(crate) side: String,
    pub(crate) price: Decimal,
    pub(crate) qty: Decimal,
    pub(crate) filled: Decimal,
    pub(crate) status: String,
}

/// All that the exchange knows of the account.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) resting: Vec<VenueOrder>,
    pub(crate) ended: Vec<VenueOrder>,
    /// Order and quantity by trade id.
    pub(crate) fills: BTreeMap<String, (String, Decimal)>,
    pub(crate) balances: BTreeMap<String, Decimal>,
}

impl Exchange {
    /// Everything that the account holder can read, page by page.
    pub(crate) fn truth(&self) -> Truth {
        let list = |path: &str, id: &str| all_pages(&self.rest, &self.account, path, id);
        let resting = list("/api/v2/spot/trade/unfilled-orders", "orderId");
        let ended = list("/api/v2/spot/trade/history-orders", "orderId");
        let fills = list("/api/v2/spot/trade/fills", "tradeId");
        let assets = http::signed(&self.rest, &self.account, "/api/v2/spot/account/assets");
        let number = |row: &Value, name: &str| -> Decimal { row[name].as_str().unwrap().parse().unwrap() };
        let order = |row: &Value, price: &str| VenueOrder {
            client_id: row["clientOid"].as_str().unwrap().to_owned(),
            venue_id: row["orderId"].as_str().unwrap().to_owned(),
            side: row["side"].as_str().unwrap().to_owned(),
            price: number(row, price).normalize(),
            qty: number(row, "size").normalize(),
            filled: number(row, "baseVolume").normalize(),
            status: row["status"].as_str().unwrap().to_owned(),
        };
        Truth {
            resting: resting.iter().map(|row| order(row, "priceAvg")).collect(),
            ended: ended.iter().map(|row| order(row, "price")).collect(),
            fills: fills
                .iter()
                .map(|row| {
                    let id = row["tradeId"].as_str().unwrap().to_owned();
                    (id, (row["orderId"].as_str().unwrap().to_owned(), number(row, "size").normalize()))
                })
                .collect(),
            balances: assets
                .as_array()
                .unwrap()
                .iter()
                .map(|row| {
                    let total = number(row, "available") + number(row, "frozen") + number(row, "locked");
                    (row["coin"].as_str().unwrap().to_owned(), total)
                })
                .collect(),
        }
    }
}

impl Home {
    /// Settings for `exchange`: a grid and a market maker that trade often.
    pub(crate) fn new(exchange: &Exchange) -> Self {
        Self::with(exchange, &["spot"], &[SYMBOL], &[("grid", SYMBOL), ("maker", SYMBOL)], false)
    }
}

/// All rows of a list, page by page, newest first.
fn all_pages(rest: &str, account: &Account, path: &str, id: &str) -> Vec<Value> {
    let mut rows: Vec<Value> = Vec::new();
    loop {
        let older = rows.last().map_or_else(String::new, |row| format!("&idLessThan={}", row[id].as_str().unwrap()));
        let page = http::signed(rest, account, &format!("{path}?symbol={}&limit={PAGE}{older}", SYMBOL));
        let Value::Array(page) = page else { panic!("{path} gives no list: {page}") };
        let full = page.len() == PAGE;
        rows.extend(page);
        if !full {
            return rows;
        }
    }
}
