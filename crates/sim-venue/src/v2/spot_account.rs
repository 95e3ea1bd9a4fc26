//! v2 answers about the account: the key, the spot wallet, its bills and fees.

use crate::accounts::{account, addresses, fee_rates, filter, short, worth};
use crate::call::{Answer, Call};
use crate::reject::Reject;
use crate::venue::Venue;
use crate::{Category, Permission};
use domain::Side;
use matching::Atoms;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) fn info(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (user, parent) = (account(venue, call)?.user, venue.main_user_of(call.account));
    let has = venue.keys.get(&call.key).map(|key| key.config.permissions.as_slice()).unwrap_or_default();
    // The right to write includes the right to read, and the venue then lists only that.
    let shown = |permission: &&Permission| permission.included_in().is_none_or(|wider| !has.contains(&wider));
    let authorities: Vec<&str> =
        has.iter().filter(shown).flat_map(|permission| permission.authorities()).copied().collect();
    Ok(json!({
        "userId": user.to_string(), "inviterId": "", "ips": addresses(venue, call), "authorities": authorities,
        "parentId": parent, "traderType": "not_trader", "channelCode": "", "channel": "", "regisTime": "1600000000000",
    })
    .into())
}

pub(crate) fn assets(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    account(venue, call)?;
    let wanted = call.given("coin");
    let all = call.given("assetType").is_some_and(|kind| kind.eq_ignore_ascii_case("all"));
    let mut items = Vec::new();
    for (asset, balance) in venue.balances(call.account) {
        let named = wanted.is_none_or(|coin| coin.eq_ignore_ascii_case(&asset));
        if named && (all || wanted.is_some() || balance.total() > Atoms::ZERO) {
            let item = venue.balance_item(call.account, asset).and_then(|item| serde_json::from_str(&item).ok());
            items.push(item.unwrap_or(Value::Null));
        }
    }
    Ok(Value::Array(items).into())
}

pub(crate) fn all_balances(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    account(venue, call)?;
    let item = |kind: &str, amount: String| json!({"accountType": kind, "usdtBalance": amount});
    let futures = venue.futures_account(call.account).and_then(|it| it.margin.equity.to_decimal()).unwrap_or_default();
    let mut items = vec![item("spot", short(worth(venue, call.account))), item("futures", short(futures))];
    items.extend(["funding", "earn", "bots", "margin"].map(|kind| item(kind, "0".into())));
    Ok(Value::Array(items).into())
}

pub(crate) fn trade_rate(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let category = match call.given("businessType").map(str::to_ascii_lowercase).as_deref() {
        None | Some("spot" | "margin") => Category::Spot,
        Some("mix" | "contract") => Category::UsdtFutures,
        Some(_) => return Err(Reject::invalid("businessType")),
    };
    let (maker, taker) = fee_rates(venue, venue.asked(category, call)?);
    Ok(json!({"makerFeeRate": maker, "takerFeeRate": taker}).into())
}

/// What each fill took from and gave to the wallet, newest first.
pub(crate) fn bills(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    Ok(Value::Array(bill_items(venue, call)?).into())
}

/// The items of `bills`.
pub(crate) fn bill_items(venue: &Venue, call: &Call) -> Result<Vec<Value>, Reject> {
    let owner = account(venue, call)?;
    let group = call.given("groupType").map(str::to_ascii_lowercase);
    let business = call.given("businessType").map(str::to_ascii_lowercase);
    let coin = call.given("coin");
    let filter = filter(venue, Category::Spot, call, "idLessThan")?;
    // The balance after each bill, from the present backwards.
    let mut after: BTreeMap<_, Atoms> =
        venue.balances(call.account).into_iter().map(|(asset, balance)| (asset, balance.total())).collect();
    let mut items = Vec::new();
    for fill in owner.store.fills() {
        let Some(instrument) = venue.by_id(fill.instrument) else { continue };
        let base = instrument.listing.base_amount(fill.qty).unwrap_or_default();
        let (base_change, quote_change) = match fill.side {
            Side::Buy => (base, fill.notional.negated()),
            Side::Sell => (base.negated(), fill.notional),
        };
        for (asset, change) in [(instrument.config.base, base_change), (instrument.config.quote, quote_change)] {
            let fee = if asset == fill.fee_asset { fill.fee } else { Atoms::ZERO };
            let slot = after.entry(asset).or_default();
            let balance = *slot;
            *slot = Atoms(balance.0 - change.0 + fee.0);
            let kind = if change > Atoms::ZERO { "buy" } else { "sell" };
            // Both bills of a trade have its number, the second one more.
            let mut item = fill.item();
            item.id = fill.trade_id.saturating_mul(2) + u64::from(asset == instrument.config.quote);
            if items.len() < filter.count
                && filter.takes(&item)
                && coin.is_none_or(|wanted| wanted.eq_ignore_ascii_case(&asset))
                && group.as_deref().is_none_or(|wanted| wanted == "transaction")
                && business.as_deref().is_none_or(|wanted| wanted == kind)
            {
                items.push(json!({
                    "billId": item.id.to_string(), "coin": asset, "symbol": instrument.config.symbol, "groupType": "transaction", "businessType": kind,
                    "size": change.to_string(), "balance": balance.to_string(), "fees": fee.negated().to_string(),
                    "cTime": fill.at_ms.to_string(),
                }));
            }
        }
    }
    Ok(items)
}
