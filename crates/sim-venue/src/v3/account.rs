//! v3 answers about the account: settings, the key, balances, fees.

use crate::Permission;
use crate::accounts::{account, addresses, may, price_of, short, worth};
use crate::call::{Answer, Call};
use crate::reject::Reject;
use crate::v3::trade::{category_word, code};
use crate::venue::Venue;
use rust_decimal::Decimal;
use serde_json::{Value, json};

pub(crate) fn settings(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let user = account(venue, call)?.user;
    Ok(json!({
        "uid": user.to_string(), "accountMode": "hybrid", "assetMode": "multi_assets", "accountLevel": "advanced",
        "holdMode": "one_way_mode", "stpMode": "none", "symbolConfigList": [],
    })
    .into())
}

pub(crate) fn info(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let user = account(venue, call)?.user;
    let parent = venue.main_user_of(call.account);
    let has = |permissions: &[Permission]| permissions.iter().any(|permission| may(venue, call, *permission));
    let groups = [
        ("uta_trade", has(&[Permission::Read, Permission::Trade, Permission::FuturesRead, Permission::FuturesTrade])),
        ("uta_mgt", has(&[Permission::Transfer, Permission::SubAccounts])),
        ("withdraw", has(&[Permission::Withdraw])),
    ];
    let permissions: Vec<&str> = groups.iter().filter(|(_, held)| *held).map(|(name, _)| *name).collect();
    let writes = has(&[Permission::Trade, Permission::FuturesTrade]);
    Ok(json!({
        "userId": user.to_string(), "inviterId": "",
        "parentId": if parent == user { String::new() } else { parent.to_string() }, "channelCode": "",
        "channel": "", "ips": addresses(venue, call),
        "permType": if writes { "read-and-write" } else { "read-only" }, "permissions": permissions,
        "regisTime": "1600000000000",
    })
    .into())
}

/// The coins of a unified account, each with what it is worth.
pub(crate) fn coins(venue: &Venue, account: usize) -> Vec<Value> {
    let item = |(asset, balance): (domain::Asset, matching::Balance)| {
        let total = balance.total();
        let value = total.to_decimal().unwrap_or_default().checked_mul(price_of(venue, &asset));
        json!({
            "coin": asset, "equity": total.to_string(), "usdValue": short(value.unwrap_or_default()),
            "balance": total.to_string(), "available": balance.available.to_string(), "debt": "0",
            "locked": balance.frozen.to_string(),
        })
    };
    venue.balances(account).into_iter().map(item).collect()
}

pub(crate) fn assets(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    account(venue, call)?;
    let equity = worth(venue, call.account);
    let bitcoin = price_of(venue, "BTC");
    let in_bitcoin = if bitcoin.is_zero() { Decimal::ZERO } else { equity.checked_div(bitcoin).unwrap_or_default() };
    Ok(json!({
        "accountEquity": short(equity), "usdtEquity": short(equity), "btcEquity": short(in_bitcoin),
        "unrealisedPnl": "0", "usdtUnrealisedPnl": "0", "btcUnrealizedPnl": "0", "effEquity": short(equity),
        "mmr": "0", "imr": "0", "mgnRatio": "0", "positionMgnRatio": "0", "assets": coins(venue, call.account),
    })
    .into())
}

/// The wallet for what is not traded is empty here.
pub(crate) fn funding_assets(_: &mut Venue, _: &Call) -> Result<Answer, Reject> {
    Ok(json!([]).into())
}

pub(crate) fn fee_rate(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let category = category_word(call.needed("category").map_err(code)?).map_err(code)?;
    venue.asked(category, call).map_err(code)?;
    let (maker, taker) = (venue.fees.maker.fraction().to_string(), venue.fees.taker.fraction().to_string());
    Ok(json!({"makerFeeRate": maker, "takerFeeRate": taker}).into())
}
