//! What handlers of every dialect need of an account: whose it is, its orders by either id, and pages of lists.

use crate::call::Call;
use crate::fault_desk::OrderFaults;
use crate::orders::{Order, OrderStore};
use crate::reject::Reject;
use crate::ticket::{Words, text};
use crate::venue::{Account, Instrument, Venue};
use crate::{Category, Permission};
use domain::InstrumentId;
use matching::{OrderId, PlaceError};
use rust_decimal::Decimal;
use serde_json::Value;

/// Items of one page.
pub(crate) const PAGE_MAX: usize = 100;

/// An order that was taken: the venue's id and the client's.
pub(crate) type Taken = (OrderId, String);

/// The account that calls.
pub(crate) fn account<'a>(venue: &'a Venue, call: &Call) -> Result<&'a Account, Reject> {
    venue.accounts.get(call.account).ok_or_else(|| Reject::new("40013", "Account abnormal"))
}

/// The addresses that the calling key may be used from, as one text.
pub(crate) fn addresses(venue: &Venue, call: &Call) -> String {
    let ips = venue.keys.get(&call.key).map(|key| key.config.ips.as_slice()).unwrap_or_default();
    ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Whether the calling key may do something.
pub(crate) fn may(venue: &Venue, call: &Call, permission: Permission) -> bool {
    venue.keys.get(&call.key).is_some_and(|key| key.config.permissions.contains(&permission))
}

impl Call {
    /// Whether the calling key may trade a category.
    pub(crate) fn may_trade(&self, venue: &Venue, category: Category) -> Result<(), Reject> {
        let needed = match category {
            Category::Spot => Permission::Trade,
            Category::UsdtFutures => Permission::FuturesTrade,
        };
        if may(venue, self, needed) { Ok(()) } else { Err(Reject::lacks(needed)) }
    }
}

/// What one coin is worth in USDT at the middle of its book; nothing for a coin without a market.
pub(crate) fn price_of(venue: &Venue, coin: &str) -> Decimal {
    if coin == "USDT" {
        return Decimal::ONE;
    }
    let price = venue.instrument(&format!("{coin}USDT")).and_then(|instrument| {
        let last = || instrument.prints.day(venue.now_ms()).map(|day| day.last);
        let decimals = u32::from(instrument.listing.price_decimals);
        venue.mid(instrument.id).or_else(|| last().map(|price| Decimal::new(price, decimals)))
    });
    price.unwrap_or_default()
}

/// All that a spot wallet holds, valued in USDT.
pub(crate) fn worth(venue: &Venue, account: usize) -> Decimal {
    let value = |(asset, balance): (domain::Asset, matching::Balance)| {
        let amount = balance.total().to_decimal().unwrap_or_default();
        price_of(venue, &asset).checked_mul(amount).unwrap_or_default()
    };
    venue.balances(account).into_iter().map(value).sum()
}

/// Fees of resting and of arriving orders on an instrument, as fractions.
pub(crate) fn fee_rates(venue: &Venue, instrument: &Instrument) -> (String, String) {
    match &instrument.perpetual {
        Some(perpetual) => (perpetual.config.maker_fee.to_string(), perpetual.config.taker_fee.to_string()),
        None => (venue.fees.maker.fraction().to_string(), venue.fees.taker.fraction().to_string()),
    }
}

/// An amount with at most eight decimals and no zeros at its end.
pub(crate) fn short(amount: Decimal) -> String {
    amount.round_dp(8).normalize().to_string()
}

/// The order that a request names by either id; the venue's own wins.
pub(crate) fn order_of(store: &OrderStore, by: impl Fn(&str) -> Option<String>) -> Result<&Order, Reject> {
    if let Some(id) = by("orderId") {
        let id = id.parse().map(OrderId).map_err(|_| Reject::invalid("orderId"))?;
        return store.get(id).ok_or_else(Reject::no_such_order);
    }
    let client_oid = by("clientOid").ok_or_else(|| Reject::empty("orderId"))?;
    store.by_client_oid(&client_oid).ok_or_else(Reject::no_such_order)
}

/// Judges and takes one spot order, and lets it fill at once if a fault wants it.
pub(crate) fn place_spot(
    venue: &mut Venue,
    account: usize,
    body: &Value,
    symbol: Option<&str>,
    words: Words,
) -> Result<(Taken, OrderFaults), Reject> {
    let faults = venue.on_place_request();
    let taken = venue.ticket(account, body, symbol, words).and_then(|ticket| {
        venue.place(account, ticket).map_err(|error| match error {
            PlaceError::Balance { .. } => Reject::new("43012", "Insufficient balance"),
            PlaceError::BookFull => Reject::new("43005", "Exceed the maximum number of orders"),
            other => Reject::new("43002", format!("Pending order failed: {other}")),
        })
    });
    let taken = match taken {
        Ok(taken) => taken,
        Err(reject) => {
            venue.rearm(faults);
            return Err(reject);
        }
    };
    let faults = venue.after_accept(account, taken.0, faults);
    Ok((taken, faults))
}

/// Cancels the open spot order that a body names.
pub(crate) fn cancel_spot(
    venue: &mut Venue,
    account: usize,
    body: &Value,
    instrument: Option<InstrumentId>,
) -> Result<Taken, Reject> {
    let store = &venue.accounts.get(account).ok_or_else(Reject::no_such_order)?.store;
    let order = order_of(store, |name| text(body, name))?;
    if instrument.is_some_and(|wanted| wanted != order.instrument) {
        return Err(Reject::no_such_order());
    }
    let taken = (order.id, order.client_oid.clone());
    if venue.cancel(account, taken.0) { Ok(taken) } else { Err(Reject::no_such_order()) }
}

/// Cancels all open spot orders, or those of one instrument; what was cancelled, newest first.
pub(crate) fn cancel_all_spot(venue: &mut Venue, account: usize, instrument: Option<InstrumentId>) -> Vec<Taken> {
    let store = venue.accounts.get(account).map(|account| &account.store);
    let open = store.into_iter().flat_map(|store| store.open());
    let wanted = open.filter(|order| instrument.is_none_or(|wanted| wanted == order.instrument));
    let mut taken: Vec<Taken> = wanted.map(|order| (order.id, order.client_oid.clone())).collect();
    taken.retain(|(id, _)| venue.cancel(account, *id));
    taken
}

/// What narrows a list of orders or fills.
pub(crate) struct Filter {
    pub(crate) instrument: Option<InstrumentId>,
    order: Option<u64>,
    client_oid: Option<String>,
    since_ms: u64,
    until_ms: u64,
    below: u64,
    pub(crate) count: usize,
}

/// Reads a list's query; `page` is the name under which the last id of the page before is given.
pub(crate) fn filter(venue: &Venue, category: Category, call: &Call, page: &str) -> Result<Filter, Reject> {
    let instrument = match call.given("symbol") {
        Some(_) => Some(venue.asked(category, call)?.id),
        None => None,
    };
    let (since_ms, until_ms) = call.span_ms()?;
    Ok(Filter {
        instrument,
        order: call.whole("orderId")?,
        client_oid: call.given("clientOid").map(str::to_owned),
        since_ms,
        until_ms,
        below: call.whole(page)?.unwrap_or(u64::MAX),
        count: call.limit(PAGE_MAX, PAGE_MAX)?,
    })
}

impl Filter {
    /// Whether an item of the list is wanted: `id` is its own, by which pages are cut.
    pub(crate) fn takes(&self, item: &Item<'_>) -> bool {
        self.instrument.is_none_or(|wanted| wanted == item.instrument)
            && self.order.is_none_or(|wanted| wanted == item.order.0)
            && self.client_oid.as_deref().is_none_or(|wanted| wanted == item.client_oid)
            && (self.since_ms..=self.until_ms).contains(&item.at_ms)
            && item.id < self.below
    }
}

/// What a filter looks at.
pub(crate) struct Item<'a> {
    pub(crate) instrument: InstrumentId,
    pub(crate) order: OrderId,
    pub(crate) client_oid: &'a str,
    pub(crate) id: u64,
    pub(crate) at_ms: u64,
}

impl Order {
    /// How a filter sees an order.
    pub(crate) fn item(&self) -> Item<'_> {
        Item {
            instrument: self.instrument,
            order: self.id,
            client_oid: &self.client_oid,
            id: self.id.0,
            at_ms: self.created_ms,
        }
    }
}

impl crate::orders::Fill {
    /// How a filter sees a fill.
    pub(crate) fn item(&self) -> Item<'_> {
        Item {
            instrument: self.instrument,
            order: self.order,
            client_oid: &self.client_oid,
            id: self.trade_id,
            at_ms: self.at_ms,
        }
    }
}

/// How an account's orders look from their instrument.
pub(crate) fn look<'a>(instrument: &'a Instrument, account: &Account) -> crate::orders::Look<'a> {
    crate::orders::Look { symbol: &instrument.config.symbol, listing: &instrument.listing, user: account.user }
}
