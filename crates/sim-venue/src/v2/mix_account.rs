//! v2 answers about futures accounts: balances, leverage, modes, positions, bills; and the wallets between which coins move.

use crate::Category::UsdtFutures;
use crate::accounts::{account, price_of, short};
use crate::call::{Answer, Call};
use crate::futures::{DeskRefusal, MarginMode, Wallet};
use crate::futures_view::{AccountSnapshot, PositionSnapshot};
use crate::records::BillKind;
use crate::reject::Reject;
use crate::ticket::{enumeration, required, text};
use crate::v2::mix_shapes::{self, mode_words};
use crate::v2::{product_of_body, product_of_query};
use crate::venue::Venue;
use domain::{Asset, InstrumentId};
use matching::{Atoms, PositionMode};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

/// What the account has on futures, if anything is listed there.
fn snapshot(venue: &Venue, call: &Call) -> Result<AccountSnapshot, Reject> {
    account(venue, call)?;
    venue.futures_account(call.account).ok_or_else(|| Reject::new("40013", "Account abnormal"))
}

/// What `account` and `accounts` have in common.
fn balances(venue: &Venue, it: &AccountSnapshot) -> Map<String, Value> {
    let margin = &it.margin;
    let text = |amount: Atoms| amount.to_string();
    let equity = margin.equity.to_decimal().unwrap_or_default();
    let bitcoin = equity.checked_div(price_of(venue, "BTC")).unwrap_or_default();
    let shown = json!({
        "marginCoin": it.coin, "locked": text(margin.order_margin), "available": text(margin.available()),
        "crossedMaxAvailable": text(margin.available()), "isolatedMaxAvailable": text(margin.available()),
        "maxTransferOut": text(margin.transferable()), "accountEquity": text(margin.equity),
        "usdtEquity": text(margin.equity), "btcEquity": short(bitcoin),
        "crossedRiskRate": it.risk_rate().normalize().to_string(), "unrealizedPL": text(margin.unrealised),
        "coupon": "0", "crossedUnrealizedPL": text(margin.unrealised), "isolatedUnrealizedPL": "0", "grant": "",
        "assetMode": "single", "isolatedMargin": "0", "crossedMargin": text(margin.position_margin),
    });
    match shown {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

pub(crate) fn single(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    product_of_query(call)?;
    let instrument = venue.asked(UsdtFutures, call)?.id;
    let it = snapshot(venue, call)?;
    let mut members = balances(venue, &it);
    let leverage = venue.leverage(call.account, instrument).unwrap_or(1).to_string();
    let more = [
        ("crossedMarginLeverage", json!(leverage)),
        ("isolatedLongLever", json!(leverage)),
        ("isolatedShortLever", json!(leverage)),
        ("marginMode", json!("crossed")),
        ("posMode", json!(mode_words(it.mode))),
    ];
    members.extend(more.map(|(name, value)| (name.to_owned(), value)));
    Ok(Value::Object(members).into())
}

pub(crate) fn all(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    if !product_of_query(call)? {
        return Ok(json!([]).into());
    }
    let it = snapshot(venue, call)?;
    let mut members = balances(venue, &it);
    let more = ["unionTotalMargin", "unionAvailable", "unionMm"].map(|name| (name.to_owned(), json!("0")));
    members.extend(more);
    members.insert("assetList".into(), json!([]));
    Ok(json!([members]).into())
}

/// The perpetual that a body names.
fn named(venue: &Venue, body: &Value) -> Result<InstrumentId, Reject> {
    product_of_body(body)?;
    let symbol = required(body, "symbol")?;
    Ok(venue.find(UsdtFutures, &symbol).ok_or_else(|| Reject::unknown_symbol(&symbol))?.id)
}

/// How leverage and margin mode stand after they were set.
fn settings(venue: &Venue, account: usize, id: InstrumentId) -> Answer {
    let leverage = venue.leverage(account, id).unwrap_or(1).to_string();
    let config = venue.by_id(id).map(|instrument| instrument.config);
    json!({
        "symbol": config.map(|config| config.symbol), "marginCoin": config.map(|config| config.quote),
        "longLeverage": leverage, "shortLeverage": leverage, "crossMarginLeverage": leverage, "marginMode": "crossed",
    })
    .into()
}

/// A leverage as the requests of both dialects name it.
pub(crate) fn leverage_of(body: &Value) -> Result<u32, Reject> {
    let names = ["leverage", "longLeverage", "shortLeverage"];
    let given = names.iter().find_map(|name| text(body, name)).ok_or_else(|| Reject::empty("leverage"))?;
    let number: Decimal = given.parse().map_err(|_| Reject::invalid("leverage"))?;
    u32::try_from(number).ok().filter(|_| number.fract().is_zero()).ok_or_else(|| Reject::invalid("leverage"))
}

pub(crate) fn set_leverage(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let id = named(venue, &call.body)?;
    venue.set_leverage(call.account, id, leverage_of(&call.body)?)?;
    Ok(settings(venue, call.account, id))
}

pub(crate) fn set_margin_mode(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let id = named(venue, &call.body)?;
    let modes = [("crossed", MarginMode::Crossed), ("cross", MarginMode::Crossed), ("isolated", MarginMode::Isolated)];
    venue.set_margin_mode(id, enumeration(&call.body, "marginMode", None, &modes)?)?;
    Ok(settings(venue, call.account, id))
}

/// The position mode that a body names.
pub(crate) fn mode_of(body: &Value, name: &str) -> Result<PositionMode, Reject> {
    enumeration(body, name, None, &[("one_way_mode", PositionMode::OneWay), ("hedge_mode", PositionMode::Hedge)])
}

pub(crate) fn set_position_mode(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    product_of_body(&call.body)?;
    let mode = mode_of(&call.body, "posMode")?;
    venue.set_position_mode(call.account, mode)?;
    Ok(json!({"posMode": mode_words(mode)}).into())
}

fn shown(venue: &Venue, positions: &[PositionSnapshot]) -> Answer {
    let items =
        positions.iter().filter_map(|position| Some(mix_shapes::position(position, venue.by_id(position.instrument)?)));
    Value::Array(items.collect()).into()
}

pub(crate) fn all_positions(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    if !product_of_query(call)? {
        return Ok(json!([]).into());
    }
    account(venue, call)?;
    Ok(shown(venue, &venue.positions(call.account)))
}

pub(crate) fn single_position(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    product_of_query(call)?;
    let id = venue.asked(UsdtFutures, call)?.id;
    let mut positions = venue.positions(call.account);
    positions.retain(|position| position.instrument == id);
    Ok(shown(venue, &positions))
}

pub(crate) fn position_history(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    if call.given("productType").is_some() && !product_of_query(call)? {
        return Ok(json!({"list": [], "endId": null}).into());
    }
    let id = if call.given("symbol").is_some() { Some(venue.asked(UsdtFutures, call)?.id) } else { None };
    let (since, until) = call.span_ms()?;
    let below = call.whole("idLessThan")?.unwrap_or(u64::MAX);
    let count = call.limit(20, 100)?;
    let closed = account(venue, call)?.futures.closed().filter(|it| {
        id.is_none_or(|wanted| wanted == it.instrument)
            && (since..=until).contains(&it.closed_ms)
            && it.position.opened_by.0 < below
    });
    let wanted: Vec<_> = closed.take(count).collect();
    let end = wanted.last().map(|it| it.position.opened_by.0.to_string());
    let items = wanted.into_iter().filter_map(|it| Some(mix_shapes::closed_position(it, venue.by_id(it.instrument)?)));
    Ok(json!({"list": items.collect::<Vec<Value>>(), "endId": end}).into())
}

/// Nobody is ever deleveraged here: every position is last in the line.
pub(crate) fn adl_rank(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    product_of_query(call)?;
    let items = venue.positions(call.account).into_iter().filter_map(|it| {
        let config = venue.by_id(it.instrument)?.config;
        Some(json!({"marginCoin": config.quote, "symbol": config.symbol, "adlRank": "0",
                    "holdSide": mix_shapes::side_words(it.side)}))
    });
    let items: Vec<Value> = items.collect();
    Ok(Value::Array(items).into())
}

/// How much may be opened at a price with what is available.
pub(crate) fn open_count(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    product_of_query(call)?;
    let number =
        |name: &str| -> Result<Decimal, Reject> { call.needed(name)?.parse().map_err(|_| Reject::invalid(name)) };
    let (amount, price) = (number("openAmount")?, number("openPrice")?);
    let instrument = venue.asked(UsdtFutures, call)?;
    let leverage = match call.whole("leverage")? {
        Some(leverage) => Decimal::from(leverage),
        None => Decimal::from(venue.leverage(call.account, instrument.id).unwrap_or(1)),
    };
    let size = amount.checked_mul(leverage).and_then(|value| value.checked_div(price)).unwrap_or_default();
    let size =
        size.round_dp_with_strategy(u32::from(instrument.listing.qty_decimals), rust_decimal::RoundingStrategy::ToZero);
    Ok(json!({"size": size.normalize().to_string()}).into())
}

pub(crate) fn bills(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    if !product_of_query(call)? {
        return Ok(json!({"bills": [], "endId": null}).into());
    }
    let coin = snapshot(venue, call)?.coin;
    let id = if call.given("symbol").is_some() { Some(venue.asked(UsdtFutures, call)?.id) } else { None };
    let (since, until) = call.span_ms()?;
    let below = call.whole("idLessThan")?.unwrap_or(u64::MAX);
    let (count, kind) = (call.limit(20, 100)?, call.given("businessType"));
    let other_coin = call.given("coin").is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&coin));
    let mut items: Vec<Value> = Vec::new();
    let mut end = None;
    for bill in account(venue, call)?.futures.bills() {
        let fits = !other_coin
            && (id.is_none() || id == bill.instrument)
            && (since..=until).contains(&bill.at_ms)
            && bill.id < below;
        if items.len() >= count || !fits {
            continue;
        }
        let symbol = bill.instrument.and_then(|id| venue.by_id(id)).map(|it| it.config.symbol.to_string());
        let item = mix_shapes::bill(bill, &coin, symbol.as_deref().unwrap_or(""));
        if kind.is_none_or(|wanted| item.get("businessType").and_then(Value::as_str) == Some(wanted)) {
            end = Some(bill.id.to_string());
            items.push(item);
        }
    }
    Ok(json!({"bills": items, "endId": end}).into())
}

// ---- Wallets ----------------------------------------------------------------------------------

fn wallet(body: &Value, name: &str) -> Result<Wallet, Reject> {
    enumeration(body, name, None, &[("spot", Wallet::Spot), ("usdt_futures", Wallet::UsdtFutures)])
}

pub(crate) fn transfer(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let (from, to) = (wallet(&call.body, "fromType")?, wallet(&call.body, "toType")?);
    let coin = required(&call.body, "coin")?.to_ascii_uppercase();
    let coin = Asset::from(&coin).map_err(|_| Reject::invalid("coin"))?;
    let amount: Decimal = required(&call.body, "amount")?.parse().map_err(|_| Reject::invalid("amount"))?;
    let amount = Atoms::from_decimal(amount).map_err(|_| Reject::invalid("amount"))?;
    let id = venue.transfer(call.account, (from, to), coin, amount).map_err(|refusal| match refusal {
        DeskRefusal::Margin { .. } => Reject::new("43012", "Insufficient balance"),
        other => other.into(),
    })?;
    let client_oid = text(&call.body, "clientOid").unwrap_or_else(|| id.to_string());
    Ok(json!({"transferId": id.to_string(), "clientOid": client_oid}).into())
}

pub(crate) fn transfer_records(venue: &mut Venue, call: &Call) -> Result<Answer, Reject> {
    let Some(coin) = venue.futures_account(call.account).map(|it| it.coin) else { return Ok(json!([]).into()) };
    let wanted = call.given("coin").is_none_or(|wanted| wanted.eq_ignore_ascii_case(&coin));
    let (since, until) = call.span_ms()?;
    let moved = account(venue, call)?.futures.bills().filter_map(|bill| {
        let (from, to) = match bill.kind {
            BillKind::TransferIn => ("spot", "usdt_futures"),
            BillKind::TransferOut => ("usdt_futures", "spot"),
            _ => return None,
        };
        let size = if bill.amount < Atoms::ZERO { bill.amount.negated() } else { bill.amount };
        (wanted && (since..=until).contains(&bill.at_ms)).then(|| {
            json!({"coin": coin, "status": "Successful", "toType": to, "toSymbol": "", "fromType": from,
                   "fromSymbol": "", "size": size.to_string(), "ts": bill.at_ms.to_string(),
                   "clientOid": bill.id.to_string(), "transferId": bill.id.to_string()})
        })
    });
    Ok(Value::Array(moved.take(call.limit(100, 500)?).collect()).into())
}
