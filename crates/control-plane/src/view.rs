//! What the API shows, as plain data. Amounts are decimal strings, times RFC 3339 in UTC unless the name says otherwise.

use jiff::Timestamp;
use messages::{NotReadyReason, TradingState};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The entries, newest first.
    pub items: Vec<T>,
    /// The cursor of the next page; none: this was the last.
    pub next: Option<u64>,
}

/// Everything about the program in one view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `sim`, `demo`, `paper` or `live`.
    pub mode: String,
    /// The program's version.
    pub version: String,
    /// When this view was made.
    pub time: Timestamp,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Whether trading goes on.
    pub trading: TradingState,
    /// Since when it is so.
    pub since: Timestamp,
    /// The halt in force.
    pub halt: Option<HaltView>,
    /// Why no orders may be sent now; empty: they may.
    pub not_ready: Vec<NotReadyView>,
    /// The currency of equity, profit and fees.
    pub quote: String,
    /// What the accounts are worth, in quote currency; none: not known before they were first compared with the venues.
    #[serde(with = "rust_decimal::serde::str_option")]
    pub equity: Option<Decimal>,
    /// Net profit and loss since the start of the UTC day, in quote currency.
    #[serde(with = "rust_decimal::serde::str")]
    pub day_pnl: Decimal,
    /// Fees paid since the start, in quote currency.
    #[serde(with = "rust_decimal::serde::str")]
    pub fees: Decimal,
    /// Orders that may rest at a venue.
    pub open_orders: u64,
    /// Orders whose outcome is not known.
    pub unknown_orders: u64,
    /// Strategies, by id.
    pub strategies: BTreeMap<String, StrategyView>,
    /// Market data and private streams.
    pub feeds: Vec<FeedView>,
    /// Linked keys.
    pub keys: Vec<KeyView>,
    /// Own clock against each venue's.
    pub clocks: Vec<ClockView>,
    /// The stretches of an order's way, by name.
    pub hops: BTreeMap<String, HopView>,
    /// The parts of the program.
    pub actors: Vec<ActorView>,
    /// Where this program can be reached, by what for: `dashboard`, `api`, `metrics`.
    pub addresses: BTreeMap<String, String>,
}

/// The halt in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltView {
    /// The reason's code.
    pub reason: String,
    /// A sentence about the reason.
    pub explain: String,
    /// What the operator or the program noted.
    pub note: String,
}

/// One reason why no orders may be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReadyView {
    /// The reason's code.
    pub reason: String,
    /// A sentence about it.
    pub explain: String,
}

impl From<NotReadyReason> for NotReadyView {
    fn from(reason: NotReadyReason) -> Self {
        Self { reason: reason.as_str().to_owned(), explain: reason.explain().to_owned() }
    }
}

/// The answer of `/-/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Whether orders may be sent.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<NotReadyView>,
}

/// What a strategy did since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyView {
    /// Orders sent.
    pub orders: u64,
    /// Fills.
    pub fills: u64,
    /// Fills of resting orders.
    pub maker_fills: u64,
    /// Intents refused by us.
    pub refused: u64,
}

/// One stream of a venue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedView {
    /// The venue account as named in the settings.
    pub venue: String,
    /// The channel.
    pub channel: String,
    /// The instrument; none: the channel has none, or it is about all.
    pub instrument: Option<String>,
    /// Whether it is subscribed and its data can be used.
    pub valid: bool,
    /// Milliseconds since its last data; none: nothing came yet.
    pub age_ms: Option<u64>,
}

/// A linked key; never the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// Its name.
    pub alias: String,
    /// The venue it belongs to.
    pub venue: String,
    /// Its place in the life cycle, such as `Active`.
    pub status: String,
    /// What it may do at the venue.
    pub permissions: Vec<String>,
    /// Whether it works only from listed addresses; none: not known.
    pub ip_bound: Option<bool>,
    /// When it should be replaced.
    pub rotation_due: Option<Timestamp>,
}

/// Own clock against one venue's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockView {
    /// The venue account as named in the settings.
    pub venue: String,
    /// Own minus venue time in microseconds; none: not known well enough.
    pub skew_us: Option<i64>,
    /// Uncertainty of that, in microseconds.
    pub uncertainty_us: Option<u64>,
}

/// How long one stretch of an order's way takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopView {
    /// Orders measured.
    pub count: u64,
    /// Half took at most this, in nanoseconds.
    pub p50_ns: u64,
    /// 99 of 100 took at most this, in nanoseconds.
    pub p99_ns: u64,
}

/// One part of the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorView {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub up: bool,
    /// How often it was rebuilt.
    pub restarts: u64,
    /// Messages waiting.
    pub mailbox_depth: u64,
    /// The most that may wait.
    pub mailbox_capacity: u64,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// Our id.
    pub client_order_id: String,
    /// The venue's id, once known.
    pub venue_order_id: Option<String>,
    /// The venue account as named in the settings.
    pub venue: String,
    /// The instrument.
    pub instrument: String,
    /// The strategy that asked for it.
    pub strategy: String,
    /// `buy` or `sell`.
    pub side: String,
    /// Limit price, in quote currency.
    #[serde(with = "rust_decimal::serde::str")]
    pub price: Decimal,
    /// Size, in base currency.
    #[serde(with = "rust_decimal::serde::str")]
    pub quantity: Decimal,
    /// Filled so far, in base currency.
    #[serde(with = "rust_decimal::serde::str")]
    pub filled: Decimal,
    /// Its state.
    pub state: String,
    /// Whether it may still rest at the venue.
    pub open: bool,
    /// Why it was refused or rejected, or another word about it.
    pub note: Option<String>,
    /// When it was made.
    pub created: Timestamp,
}

/// A fill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillView {
    /// The venue's id of it.
    pub venue_trade_id: String,
    /// Our id of the order.
    pub client_order_id: String,
    /// The venue account as named in the settings.
    pub venue: String,
    /// The instrument.
    pub instrument: String,
    /// The strategy whose order it was.
    pub strategy: String,
    /// `buy` or `sell`.
    pub side: String,
    /// Price, in quote currency.
    #[serde(with = "rust_decimal::serde::str")]
    pub price: Decimal,
    /// Size, in base currency.
    #[serde(with = "rust_decimal::serde::str")]
    pub quantity: Decimal,
    /// Fee, in `fee_asset`; negative: a rebate.
    #[serde(with = "rust_decimal::serde::str")]
    pub fee: Decimal,
    /// The currency of the fee.
    pub fee_asset: String,
    /// `maker` or `taker`.
    pub liquidity: String,
    /// When it happened, by the venue's clock.
    pub time: Timestamp,
}

/// What the bot holds of an instrument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionView {
    /// The venue account as named in the settings.
    pub venue: String,
    /// The instrument.
    pub instrument: String,
    /// The strategy that holds it.
    pub strategy: String,
    /// Signed size, in base currency.
    #[serde(with = "rust_decimal::serde::str")]
    pub quantity: Decimal,
    /// Average price paid, in quote currency; none: nothing is held.
    #[serde(with = "rust_decimal::serde::str_option")]
    pub entry: Option<Decimal>,
    /// The price it is valued at, in quote currency; none: no valid market data.
    #[serde(with = "rust_decimal::serde::str_option")]
    pub mark: Option<Decimal>,
    /// Profit and loss not yet realised, in quote currency.
    #[serde(with = "rust_decimal::serde::str_option")]
    pub unrealised: Option<Decimal>,
    /// Profit and loss realised since the start, fees taken off, in quote currency.
    #[serde(with = "rust_decimal::serde::str")]
    pub realised: Decimal,
    /// What a perpetual future has beside; none: spot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub futures: Option<FuturesView>,
}

/// What a position on a perpetual future has beside size and result. Leverage, margin and liquidation price are those of
/// the account's position, which all strategies on the instrument share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FuturesView {
    /// `net` in one-way mode; `long` or `short` in hedge mode.
    pub side: String,
    /// Times the margin; none: not told.
    pub leverage: Option<u32>,
    /// `crossed` or `isolated`; none: not told.
    pub margin_mode: Option<String>,
    /// Margin bound by the position, in quote currency; none: not told.
    #[serde(with = "rust_decimal::serde::str_option")]
    pub margin: Option<Decimal>,
    /// The price at which the venue would liquidate it, in quote currency; none: there is none, or it is not told.
    #[serde(with = "rust_decimal::serde::str_option")]
    pub liquidation: Option<Decimal>,
    /// Funding received, in quote currency; negative: paid.
    #[serde(with = "rust_decimal::serde::str")]
    pub funding: Decimal,
}

/// What an account holds of an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceView {
    /// The venue account as named in the settings.
    pub venue: String,
    /// The wallet: `spot` (of a unified account the only one) or `usdt-futures`.
    pub wallet: String,
    /// The asset.
    pub asset: String,
    /// Free to use.
    #[serde(with = "rust_decimal::serde::str")]
    pub available: Decimal,
    /// Held by resting orders, or bound as margin.
    #[serde(with = "rust_decimal::serde::str")]
    pub held: Decimal,
}

/// Equity at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EquityPoint {
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// In quote currency.
    #[serde(with = "rust_decimal::serde::str")]
    pub equity: Decimal,
}

/// One level of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelView {
    /// In quote currency.
    #[serde(with = "rust_decimal::serde::str")]
    pub price: Decimal,
    /// In base currency.
    #[serde(with = "rust_decimal::serde::str")]
    pub quantity: Decimal,
}

/// The top of one instrument's book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookView {
    /// The venue account as named in the settings.
    pub venue: String,
    /// The instrument.
    pub instrument: String,
    /// Whether it may be traded on; if not, the levels are empty.
    pub valid: bool,
    /// Best first, at most five.
    pub bids: Vec<LevelView>,
    /// Best first, at most five.
    pub asks: Vec<LevelView>,
    /// Milliseconds since the last change; none: nothing came yet.
    pub age_ms: Option<u64>,
}

/// One frame of the stream: all that the live page shows, newest wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Grows by one with each frame that was made; a gap means that frames were left out.
    pub sequence: u64,
    /// The program.
    pub status: Status,
    /// Positions of the bot.
    pub positions: Vec<PositionView>,
    /// Balances at the venues.
    pub balances: Vec<BalanceView>,
    /// The newest orders.
    pub orders: Vec<OrderView>,
    /// The newest fills.
    pub fills: Vec<FillView>,
    /// The top of each book.
    pub book: Vec<BookView>,
}
