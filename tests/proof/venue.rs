//! What requests to the venue say, from its description alone: classic accounts (v2, spot and futures apart) and unified
//! accounts (v3). It shares no code with the signer, its rules or its codec.

use super::client::{Intent, Number, Text};
use rust_decimal::Decimal;

/// The two generations of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Version 2: what a classic account understands.
    Classic,
    /// Version 3: what a unified account understands.
    Unified,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Spot,
    Futures,
    /// Spot or futures, or the account as a whole.
    Either,
}

use About::{Either, Futures, Spot};
use Dialect::{Classic, Unified};

const GET: u8 = 0;
const POST: u8 = 1;

/// Verb, dialect, what it is about, method and path: orders, questions, leverage and modes. Nothing else may be signed.
const ALLOWED: [(u8, Dialect, About, u8, &str); 37] = [
    (0, Classic, Spot, POST, "/api/v2/spot/trade/place-order"),
    (1, Classic, Spot, POST, "/api/v2/spot/trade/cancel-order"),
    (2, Classic, Spot, POST, "/api/v2/spot/trade/cancel-symbol-order"),
    (3, Classic, Spot, GET, "/api/v2/spot/trade/orderInfo"),
    (4, Classic, Spot, GET, "/api/v2/spot/trade/unfilled-orders"),
    (5, Classic, Spot, GET, "/api/v2/spot/trade/history-orders"),
    (6, Classic, Spot, GET, "/api/v2/spot/trade/fills"),
    (7, Classic, Either, GET, "/api/v2/spot/account/assets"),
    (8, Classic, Either, GET, "/api/v2/spot/account/info"),
    (0, Classic, Futures, POST, "/api/v2/mix/order/place-order"),
    (1, Classic, Futures, POST, "/api/v2/mix/order/cancel-order"),
    (2, Classic, Futures, POST, "/api/v2/mix/order/cancel-all-orders"),
    (3, Classic, Futures, GET, "/api/v2/mix/order/detail"),
    (4, Classic, Futures, GET, "/api/v2/mix/order/orders-pending"),
    (5, Classic, Futures, GET, "/api/v2/mix/order/orders-history"),
    (6, Classic, Futures, GET, "/api/v2/mix/order/fills"),
    (10, Classic, Either, GET, "/api/v2/mix/position/all-position"),
    (11, Classic, Futures, GET, "/api/v2/mix/account/account"),
    (12, Classic, Either, GET, "/api/v2/mix/account/bill"),
    (13, Classic, Futures, POST, "/api/v2/mix/account/set-leverage"),
    (14, Classic, Futures, POST, "/api/v2/mix/account/set-margin-mode"),
    (15, Classic, Either, POST, "/api/v2/mix/account/set-position-mode"),
    (16, Classic, Either, GET, "/api/v2/mix/account/accounts"),
    (0, Unified, Either, POST, "/api/v3/trade/place-order"),
    (1, Unified, Either, POST, "/api/v3/trade/cancel-order"),
    (2, Unified, Either, POST, "/api/v3/trade/cancel-symbol-order"),
    (3, Unified, Either, GET, "/api/v3/trade/order-info"),
    (4, Unified, Either, GET, "/api/v3/trade/unfilled-orders"),
    (5, Unified, Either, GET, "/api/v3/trade/history-orders"),
    (6, Unified, Either, GET, "/api/v3/trade/fills"),
    (7, Unified, Either, GET, "/api/v3/account/assets"),
    (8, Unified, Either, GET, "/api/v3/account/info"),
    (10, Unified, Either, GET, "/api/v3/position/current-position"),
    (11, Unified, Futures, GET, "/api/v3/account/settings"),
    (12, Unified, Either, GET, "/api/v3/account/financial-records"),
    (13, Unified, Futures, POST, "/api/v3/account/set-leverage"),
    // No request for a margin mode, and one wallet; the mode of positions is the account's "hold mode".
    (15, Unified, Either, POST, "/api/v3/account/set-hold-mode"),
];
/// Words of endpoints that move money, manage keys or accounts, or change what an account is.
const NEVER: [&str; 16] = [
    "withdraw",
    "transfer",
    "sub-account",
    "subaccount",
    "sub_account",
    "/user/",
    "apikey",
    "api-key",
    "sub-api",
    "create-sub",
    "/convert",
    "/wallet/",
    "/switch",
    "account-mode",
    "asset-mode",
    "strategy-order",
];
const FORCES: [&str; 4] = ["gtc", "ioc", "fok", "post_only"];
const SIDES: [&str; 2] = ["buy", "sell"];
const MARGIN_MODES: [&str; 2] = ["crossed", "isolated"];
const POSITION_MODES: [&str; 2] = ["one_way_mode", "hedge_mode"];
const FUTURES: &str = "USDT-FUTURES";
/// The end of the names that the program has for perpetual futures; the venue has no such thing.
const PERPETUAL: &str = "-PERP";

/// Fields by their names, sorted.
pub(crate) type Fields = Vec<(String, String)>;

/// What an order does to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// None, or the one there is.
    Net,
    Long,
    Short,
}

/// An order as the venue will read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// The instrument by the program's name.
    pub(crate) instrument: String,
    /// Bought (0) or sold (1).
    pub(crate) side: usize,
    position: Position,
    /// The bytes hold the flag by which the venue lets it only reduce.
    pub(crate) flagged: bool,
    /// An account that holds one position for each instrument does not look at `tradeSide`, and reads the side of the
    /// position as the side of the order: the opposite of what is meant where one of two positions is closed.
    pub(crate) may_be_opposite: bool,
    force: String,
    pub(crate) price: Decimal,
    pub(crate) qty: Decimal,
}

impl Order {
    /// Whether it is the same order, in whatever dialect.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let own = |order: &Self| (order.side, order.position, order.flagged, order.price, order.qty);
        (&self.instrument, &self.force, own(self)) == (&other.instrument, &other.force, own(other))
    }
}

pub(crate) fn text(bytes: &Text) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())
}

pub(crate) fn demand(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// The venue's name of an instrument, and whether it is a future.
fn named(symbol: &str) -> (bool, &str) {
    symbol.strip_suffix(PERPETUAL).map_or((false, symbol), |name| (true, name))
}

fn about(intent: &Intent) -> Result<Option<(bool, &str)>, String> {
    intent.symbol().map(|symbol| text(symbol).map(named)).transpose()
}

/// Which dialect a request is in; an error for every request that is not on the list.
pub(crate) fn listed(intent: &Intent, method: u8, path: &str) -> Result<Dialect, String> {
    let lower = path.to_ascii_lowercase();
    demand(!NEVER.iter().any(|word| lower.contains(word)), "it moves money or manages keys")?;
    let found = ALLOWED.iter().find(|(verb, .., own, known)| (*verb, *own, *known) == (intent.verb(), method, path));
    let (_, dialect, wanted, ..) = found.ok_or("a method or path that is not on the list")?;
    let fits = match (wanted, about(intent)?) {
        (Either, _) => true,
        (Spot, Some((future, _))) => !future,
        (Futures, Some((future, _))) => future,
        (Spot | Futures, None) => false,
    };
    demand(fits, "a request about another market than was asked for")?;
    Ok(*dialect)
}

/// The fields that a request has, and those that it may have beside them.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    must: Fields,
    may: Fields,
}

impl Expected {
    fn must(&mut self, name: &str, value: impl Into<String>) {
        self.must.push((name.to_owned(), value.into()));
    }

    fn may(&mut self, name: &str, value: impl Into<String>) {
        self.may.push((name.to_owned(), value.into()));
    }

    /// Every field once, and no other.
    pub(crate) fn are(&self, found: &Fields) -> bool {
        let once = found.iter().enumerate().all(|(at, (name, _))| found[..at].iter().all(|(other, _)| other != name));
        let has = self.must.iter().all(|field| found.contains(field));
        once && has && found.iter().all(|field| self.must.contains(field) || self.may.contains(field))
    }

    fn instrument(&mut self, dialect: Dialect, (future, name): (bool, &str)) {
        self.must("symbol", name);
        match (dialect, future) {
            (Classic, false) => {}
            (Classic, true) => self.must("productType", FUTURES),
            (Unified, _) => self.must("category", if future { FUTURES } else { "SPOT" }),
        }
    }

    fn page(&mut self, dialect: Dialect, older: Option<&Text>, since: Option<u64>) -> Result<(), String> {
        self.must("limit", "100");
        let since = since.map(|since| (since / 1_000_000).to_string());
        match (dialect, older) {
            // Beside a start the venue may not look at the place to go on from.
            (Classic, Some(older)) => {
                self.must("idLessThan", text(older)?);
                return Ok(());
            }
            (Unified, Some(older)) => self.must("cursor", text(older)?),
            (_, None) => {}
        }
        if let Some(since) = since {
            self.must("startTime", since);
        }
        Ok(())
    }
}

/// The fields of a request for this intent. An order's price and size are not among them: their spelling is judged with
/// [`order`].
pub(crate) fn expected(intent: &Intent, dialect: Dialect) -> Result<Expected, String> {
    let mut fields = Expected::default();
    let instrument = about(intent)?;
    let future = instrument.is_some_and(|(future, _)| future);
    let classic_future = future && dialect == Classic;
    let all_futures = if dialect == Classic { "productType" } else { "category" };
    match intent {
        Intent::Place { .. } => return expected_order(intent, dialect),
        Intent::Cancel { id, venue_id, .. } => {
            let instrument = instrument.ok_or("no instrument")?;
            fields.instrument(dialect, instrument);
            if dialect == Unified {
                // The id says which one it is.
                fields.may.append(&mut fields.must);
            }
            match venue_id {
                Some(venue_id) => fields.must("orderId", text(venue_id)?),
                None => fields.must("clientOid", text(id)?),
            }
        }
        Intent::CancelAll { .. } => fields.instrument(dialect, instrument.ok_or("no instrument")?),
        Intent::QueryOrder { id, .. } => {
            if classic_future {
                fields.instrument(dialect, instrument.ok_or("no instrument")?);
            }
            fields.must("clientOid", text(id)?);
        }
        Intent::OpenOrders { older, .. } => {
            fields.instrument(dialect, instrument.ok_or("no instrument")?);
            fields.page(dialect, older.as_ref(), None)?;
        }
        Intent::History { since, older, .. } => {
            fields.instrument(dialect, instrument.ok_or("no instrument")?);
            fields.page(dialect, older.as_ref(), Some(*since))?;
        }
        Intent::Fills { since, older, .. } => {
            fields.instrument(dialect, instrument.ok_or("no instrument")?);
            if dialect == Unified {
                fields.may.extend(fields.must.iter().filter(|(name, _)| name == "symbol").cloned());
                fields.must.retain(|(name, _)| name != "symbol");
            }
            fields.page(dialect, older.as_ref(), Some(*since))?;
        }
        Intent::Positions | Intent::FuturesBalances => fields.must(all_futures, FUTURES),
        Intent::FuturesSettings { .. } if dialect == Unified => {}
        Intent::FuturesSettings { .. } => fields.instrument(dialect, instrument.ok_or("no instrument")?),
        Intent::Bills { since, older } => {
            fields.must(all_futures, FUTURES);
            fields.page(dialect, older.as_ref(), Some(*since))?;
        }
        Intent::SetLeverage { leverage, .. } => {
            fields.instrument(dialect, instrument.ok_or("no instrument")?);
            fields.must("leverage", leverage.to_string());
        }
        Intent::SetMarginMode { mode, .. } => {
            fields.instrument(dialect, instrument.ok_or("no instrument")?);
            fields.must("marginMode", *MARGIN_MODES.get(usize::from(*mode)).ok_or("an unknown margin mode")?);
        }
        Intent::SetPositionMode { mode } => {
            let mode = *POSITION_MODES.get(usize::from(*mode)).ok_or("an unknown position mode")?;
            match dialect {
                Classic => {
                    fields.must("productType", FUTURES);
                    fields.must("posMode", mode);
                }
                Unified => fields.must("holdMode", mode),
            }
        }
        Intent::Balances | Intent::KeyInfo | Intent::Login => {}
    }
    match intent {
        Intent::FuturesSettings { .. } | Intent::SetLeverage { .. } | Intent::SetMarginMode { .. }
            if dialect == Classic =>
        {
            fields.must("marginCoin", "USDT");
        }
        Intent::Cancel { .. } | Intent::CancelAll { .. } if classic_future => fields.may("marginCoin", "USDT"),
        Intent::Positions if dialect == Classic => fields.may("marginCoin", "USDT"),
        _ => {}
    }
    Ok(fields)
}

fn expected_order(intent: &Intent, dialect: Dialect) -> Result<Expected, String> {
    let Intent::Place { id, symbol, side, force, effect, .. } = intent else { return Err("no order".to_owned()) };
    let mut fields = Expected::default();
    let (future, name) = named(text(symbol)?);
    fields.instrument(dialect, (future, name));
    fields.must("orderType", "limit");
    fields.must("clientOid", text(id)?);
    let force = *FORCES.get(usize::from(*force)).ok_or("an unknown time in force")?;
    fields.must(if dialect == Classic { "force" } else { "timeInForce" }, force);
    let side = usize::from(*side);
    let own = *SIDES.get(side).ok_or("an unknown side")?;
    demand(future || *effect == 0, "a spot order that was to reduce or to hedge")?;
    if future && dialect == Classic {
        fields.must("marginMode", "crossed");
        fields.must("marginCoin", "USDT");
    }
    // Two numbers for each kind of position: without the flag to reduce, and with it.
    let (position, reduces) = (effect / 2, effect % 2 == 1);
    match (position, dialect) {
        (0, _) => {
            fields.must("side", own);
            if reduces {
                fields.must("reduceOnly", if dialect == Classic { "YES" } else { "yes" });
            }
        }
        (1 | 2, _) => {
            let opens = side == usize::from(position) - 1;
            demand(!(opens && reduces), "an order that opens a position and only reduces it")?;
            match dialect {
                Classic => {
                    fields.must("side", SIDES[usize::from(position) - 1]);
                    fields.must("tradeSide", if opens { "open" } else { "close" });
                }
                Unified => {
                    fields.must("side", own);
                    fields.must("posSide", ["long", "short"][usize::from(position) - 1]);
                }
            }
        }
        _ => return Err("an unknown effect".to_owned()),
    }
    Ok(fields)
}

/// Digits that mean what mantissa and decimals mean, in the venue's spelling.
fn is_number(written: &str, (mantissa, decimals): Number) -> Result<Decimal, String> {
    let plain = written.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    demand(plain && !written.is_empty() && mantissa > 0, "no positive number in plain digits")?;
    let (whole, part) = written.split_once('.').unwrap_or((written, ""));
    let missing = usize::from(decimals).checked_sub(part.trim_end_matches('0').len());
    let missing = missing.ok_or("digits that nobody asked for")?;
    let part = part.trim_end_matches('0');
    let digits: i128 = format!("{whole}{part}{}", "0".repeat(missing)).parse().map_err(|_| "too many digits")?;
    demand(digits == i128::from(mantissa), "another number than was asked for")?;
    let number = Decimal::try_from_i128_with_scale(i128::from(mantissa), u32::from(decimals));
    number.map(|number| number.normalize()).map_err(|error| error.to_string())
}

/// The value of a field.
pub(crate) fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// Reads an order from the fields that were signed, and takes its price and size from them.
pub(crate) fn order(intent: &Intent, dialect: Dialect, path: &str, fields: &mut Fields) -> Result<Order, String> {
    let Intent::Place { price, qty, .. } = intent else { return Err("no order".to_owned()) };
    let size = if dialect == Classic { "size" } else { "qty" };
    let price = is_number(field(fields, "price").ok_or("no price")?, *price)?;
    let qty = is_number(field(fields, size).ok_or("no size")?, *qty)?;
    let future = match dialect {
        Classic => path.starts_with("/api/v2/mix/"),
        Unified => field(fields, "category") == Some(FUTURES),
    };
    let name = field(fields, "symbol").ok_or("no symbol")?;
    let instrument = format!("{name}{}", if future { PERPETUAL } else { "" });
    let written = field(fields, "side").ok_or("no side")?;
    let written = SIDES.iter().position(|side| *side == written).ok_or("an unknown side")?;
    let closes = match field(fields, "tradeSide") {
        Some("close") => true,
        Some("open") | None => false,
        Some(_) => return Err("an unknown trade side".to_owned()),
    };
    let position = match (field(fields, "posSide"), field(fields, "tradeSide")) {
        (None, None) => Position::Net,
        (Some("long"), None) => Position::Long,
        (Some("short"), None) => Position::Short,
        (None, Some(_)) => [Position::Long, Position::Short][written],
        _ => return Err("an unknown position".to_owned()),
    };
    let force = field(fields, "force").or(field(fields, "timeInForce")).ok_or("no time in force")?.to_owned();
    let flagged = field(fields, "reduceOnly").is_some_and(|word| word.eq_ignore_ascii_case("yes"));
    fields.retain(|(name, _)| name != "price" && name != size);
    let side = if closes { 1 - written } else { written };
    Ok(Order { instrument, side, position, flagged, may_be_opposite: closes, force, price, qty })
}
