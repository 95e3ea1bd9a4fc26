//! v3 answers about the account: settings, the key, balances, fees.

use crate::accounts::{account, addresses, fee_rates, may, price_of, short};
use crate::call::{Answer, Call};
use crate::futures_view::AccountSnapshot;
use crate::reject::Reject;
use crate::ticket::{required, text};
use crate::v2::mix_account::{leverage_of, mode_of};
use crate::v2::mix_shapes::{bill_words, mode_words};
use crate::v2::spot_account;
use crate::v3::trade::{category_word, code};
use crate::venue::Venue;
use crate::{Category, Permission};
use domain::Asset;
use matching::{Atoms, MarginState};
use rust_decimal::Decimal;
use serde_json::{Value, json};

pub(crate) fn settings(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let user = account(venue, call)?.user;
    let symbols = venue.listed(Category::UsdtFutures).map(|instrument| {
        json!({"category": "USDT-FUTURES", "symbol": instrument.config.symbol, "marginMode": "crossed",
               "leverage": venue.leverage(call.account, instrument.id).unwrap_or(1).to_string()})
    });
    let symbols: Vec<Value> = symbols.collect();
    Ok(json!({
        "uid": user.to_string(), "accountMode": "hybrid", "assetMode": "multi_assets", "accountLevel": "advanced",
        "holdMode": mode_words(venue.position_mode(call.account)), "stpMode": "none", "symbolConfigList": symbols,
    })
    .into())
}

pub(crate) fn set_leverage(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let symbol = required(&call.body, "symbol").map_err(code)?;
    if let Some(word) = text(&call.body, "category")
        && category_word(&word).map_err(code)? != Category::UsdtFutures
    {
        return Err(code(Reject::invalid("category")));
    }
    let id = venue.find(Category::UsdtFutures, &symbol).ok_or_else(|| code(Reject::unknown_symbol(&symbol)))?.id;
    let leverage = leverage_of(&call.body).map_err(code)?;
    venue.set_leverage(call.account, id, leverage).map_err(|refusal| code(refusal.into()))?;
    Ok(json!("success").into())
}

pub(crate) fn set_hold_mode(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let mode = mode_of(&call.body, "holdMode").map_err(code)?;
    venue.set_position_mode(call.account, mode).map_err(|refusal| code(refusal.into()))?;
    Ok(json!("success").into())
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

/// One coin of a unified account, and what it is worth in USDT.
struct Coin {
    coin: Asset,
    equity: Atoms,
    balance: Atoms,
    available: Atoms,
    locked: Atoms,
    value: Decimal,
}

/// What a unified account is as a whole.
struct Whole {
    coins: Vec<Coin>,
    equity: Decimal,
    unrealised: Decimal,
    maintenance: Decimal,
    initial: Decimal,
    risk: Decimal,
}

fn whole(venue: &Venue, account: usize) -> Whole {
    let futures = venue.futures_account(account);
    let coin = |(coin, balance): (Asset, matching::Balance)| {
        // The coin in which futures settle counts with what open positions have gained.
        let settle = futures.as_ref().filter(|it| it.coin == coin).map(|it| &it.margin);
        let (equity, held, available, locked) = match settle {
            Some(margin) => (
                margin.equity,
                margin.wallet,
                margin.available(),
                Atoms(margin.frozen.0.saturating_add(margin.order_margin.0)),
            ),
            None => (balance.total(), balance.total(), balance.available, balance.frozen),
        };
        let value = equity.to_decimal().unwrap_or_default().checked_mul(price_of(venue, &coin)).unwrap_or_default();
        Coin { coin, equity, balance: held, available, locked, value }
    };
    let coins: Vec<Coin> = venue.balances(account).into_iter().map(coin).collect();
    let amount = |pick: fn(&MarginState) -> Atoms| {
        futures.as_ref().and_then(|it| pick(&it.margin).to_decimal()).unwrap_or_default()
    };
    Whole {
        equity: coins.iter().map(|coin| coin.value).sum(),
        coins,
        unrealised: amount(|margin| margin.unrealised),
        maintenance: amount(|margin| margin.maintenance),
        initial: amount(|margin| Atoms(margin.position_margin.0.saturating_add(margin.order_margin.0))),
        risk: futures.as_ref().map(AccountSnapshot::risk_rate).unwrap_or_default(),
    }
}

fn in_bitcoin(venue: &Venue, amount: Decimal) -> Decimal {
    amount.checked_div(price_of(venue, "BTC")).unwrap_or_default()
}

pub(crate) fn assets(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    account(venue, call)?;
    let it = whole(venue, call.account);
    let coins = it.coins.iter().map(|coin| {
        json!({
            "coin": coin.coin, "equity": coin.equity.to_string(), "usdValue": short(coin.value),
            "balance": coin.balance.to_string(), "available": coin.available.to_string(), "debt": "0",
            "locked": coin.locked.to_string(),
        })
    });
    let coins: Vec<Value> = coins.collect();
    Ok(json!({
        "accountEquity": short(it.equity), "usdtEquity": short(it.equity),
        "btcEquity": short(in_bitcoin(venue, it.equity)), "unrealisedPnl": short(it.unrealised),
        "usdtUnrealisedPnl": short(it.unrealised), "btcUnrealizedPnl": short(in_bitcoin(venue, it.unrealised)),
        "effEquity": short(it.equity), "mmr": short(it.maintenance), "imr": short(it.initial),
        "mgnRatio": short(it.risk), "positionMgnRatio": short(it.risk), "assets": coins,
    })
    .into())
}

/// The `data` of a push on `account`.
pub(crate) fn push(venue: &Venue, account: usize) -> Value {
    let it = whole(venue, account);
    let coins = it.coins.iter().map(|coin| {
        json!({
            "coin": coin.coin, "balance": coin.balance.to_string(), "available": coin.available.to_string(),
            "equity": coin.equity.to_string(), "borrow": "0", "debts": "0", "locked": coin.locked.to_string(),
            "usdValue": short(coin.value),
        })
    });
    let coins: Vec<Value> = coins.collect();
    json!({
        "unrealisedPnL": short(it.unrealised), "totalEquity": short(it.equity), "positionMgnRatio": short(it.risk),
        "mmr": short(it.maintenance), "effEquity": short(it.equity), "imr": short(it.initial),
        "mgnRatio": short(it.risk), "coin": coins,
    })
}

/// The wallet for what is not traded is empty here.
pub(crate) fn funding_assets(_: &mut Venue, _: &Call) -> Result<Answer, Reject> {
    Ok(json!([]).into())
}

pub(crate) fn fee_rate(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let category = category_word(call.needed("category").map_err(code)?).map_err(code)?;
    let (maker, taker) = fee_rates(venue, venue.asked(category, call).map_err(code)?);
    Ok(json!({"makerFeeRate": maker, "takerFeeRate": taker}).into())
}

/// The fees of every instrument of a category.
pub(crate) fn all_fee_rates(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let category = category_word(call.needed("category").map_err(code)?).map_err(code)?;
    let items = venue.listed(category).map(|instrument| {
        let (maker, taker) = fee_rates(venue, instrument);
        json!({"symbol": instrument.config.symbol, "makerFeeRate": maker, "takerFeeRate": taker})
    });
    let items: Vec<Value> = items.collect();
    Ok(Value::Array(items).into())
}

/// What moved the account's coins, newest first: fills of spot, and the bills of futures.
pub(crate) fn records(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let category = category_word(call.needed("category").map_err(code)?).map_err(code)?;
    let items = match category {
        Category::Spot => spot_account::bill_items(venue, call).map_err(code)?.into_iter().map(spot_record).collect(),
        Category::UsdtFutures => futures_records(venue, call)?,
    };
    let cursor = items.last().and_then(|item: &Value| item.get("id").cloned());
    Ok(json!({"list": items, "cursor": cursor}).into())
}

fn spot_record(bill: Value) -> Value {
    let of = |name: &str| bill.get(name).cloned().unwrap_or_default();
    let received = bill.get("size").and_then(Value::as_str).is_some_and(|size| !size.starts_with('-'));
    json!({
        "category": "SPOT", "id": of("billId"), "symbol": of("symbol"), "coin": of("coin"),
        "type": if received { "ORDER_DEALT_IN" } else { "ORDER_DEALT_OUT" }, "amount": of("size"), "fee": of("fees"),
        "balance": of("balance"), "ts": of("cTime"),
    })
}

fn futures_records(venue: &Venue, call: &Call) -> Result<Vec<Value>, Reject> {
    let Some(coin) = venue.futures_account(call.account).map(|it| it.coin) else { return Ok(Vec::new()) };
    let (since, until) = call.span_ms().map_err(code)?;
    let below = call.whole("cursor").map_err(code)?.unwrap_or(u64::MAX);
    let count = call.limit(100, 100).map_err(code)?;
    let bills = account(venue, call)?.futures.bills();
    let wanted = bills.filter(|bill| bill.id < below && (since..=until).contains(&bill.at_ms)).take(count);
    let items = wanted.map(|bill| {
        let symbol = bill.instrument.and_then(|id| venue.by_id(id)).map(|it| it.config.symbol);
        json!({
            "category": "USDT-FUTURES", "id": bill.id.to_string(), "symbol": symbol, "coin": coin,
            "type": bill_words(bill.kind).to_ascii_uppercase(), "amount": bill.amount.to_string(),
            "fee": bill.fee.negated().to_string(), "balance": bill.balance.to_string(), "ts": bill.at_ms.to_string(),
        })
    });
    Ok(items.collect())
}
