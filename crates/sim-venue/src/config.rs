//! What the embedded exchange is started with; every default is what the venue documents, or the safe choice.

use crate::{FaultPlan, SimError};
use domain::{Asset, Symbol};
use rust_decimal::Decimal;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Read spot orders and balances.
    Read,
    /// Place and cancel spot orders; includes reading.
    Trade,
    /// Read futures orders and positions.
    FuturesRead,
    /// Place and cancel futures orders; includes reading them.
    FuturesTrade,
    /// Borrow and trade on margin.
    Margin,
    /// Move coins between wallets.
    Transfer,
    /// Move coins out of the venue.
    Withdraw,
    /// Manage sub-accounts and their keys.
    SubAccounts,
}

impl Permission {
    /// Every permission there is.
    pub const ALL: [Self; 8] = [
        Self::Read,
        Self::Trade,
        Self::FuturesRead,
        Self::FuturesTrade,
        Self::Margin,
        Self::Transfer,
        Self::Withdraw,
        Self::SubAccounts,
    ];

    /// The name used on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Trade => "trade",
            Self::FuturesRead => "futures-read",
            Self::FuturesTrade => "futures-trade",
            Self::Margin => "margin",
            Self::Transfer => "transfer",
            Self::Withdraw => "withdraw",
            Self::SubAccounts => "sub-accounts",
        }
    }

    /// The venue's codes in `authorities`.
    #[must_use]
    pub const fn authorities(self) -> &'static [&'static str] {
        match self {
            Self::Read => &["stor"],
            Self::Trade => &["stow"],
            Self::FuturesRead => &["coor", "cpor"],
            Self::FuturesTrade => &["coow", "cpow"],
            Self::Margin => &["smow"],
            Self::Transfer => &["wtow"],
            Self::Withdraw => &["wwow"],
            Self::SubAccounts => &["chow"],
        }
    }

    /// The right to write that includes this right to read.
    #[must_use]
    pub const fn included_in(self) -> Option<Self> {
        match self {
            Self::Read => Some(Self::Trade),
            Self::FuturesRead => Some(Self::FuturesTrade),
            _ => None,
        }
    }
}

impl FromStr for Permission {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        named(&Self::ALL, Self::name, text, "permission")
    }
}

/// Which of the venue's two worlds a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Environment {
    /// Requests must carry `paptrading: 1`.
    Demo,
    /// Requests must not carry it.
    #[default]
    Production,
}

impl FromStr for Environment {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        named(
            &[Self::Demo, Self::Production],
            |it| if it == Self::Demo { "demo" } else { "production" },
            text,
            "environment",
        )
    }
}

/// Which generation of the interface an account uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccountMode {
    /// v2 works, v3 answers 40084.
    #[default]
    Classic,
    /// v2 answers 40085.
    Unified,
}

impl FromStr for AccountMode {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        named(
            &[Self::Classic, Self::Unified],
            |it| if it == Self::Classic { "classic" } else { "uta" },
            text,
            "account mode",
        )
    }
}

/// What kind of instrument is traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// One coin for another.
    Spot,
    /// Perpetual contracts, margined and settled in USDT.
    UsdtFutures,
}

impl Category {
    /// Every category there is.
    pub const ALL: [Self; 2] = [Self::Spot, Self::UsdtFutures];

    /// The name used on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::UsdtFutures => "usdt-futures",
        }
    }
}

impl FromStr for Category {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        named(&Self::ALL, Self::name, text, "category")
    }
}

fn named<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, text: &str, what: &str) -> Result<T, SimError> {
    all.iter().copied().find(|value| name(*value) == text).ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|value| name(*value)).collect();
        SimError::Setting { what: format!("unknown {what} `{text}`; known: {}", known.join(", ")) }
    })
}

/// Key, secret and passphrase of one API key of the embedded exchange.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyMaterial {
    /// The public part, `bg_` and hex digits.
    pub key: String,
    /// What requests are signed with.
    pub secret: String,
    /// What its owner chose; sent with each request.
    pub passphrase: String,
}

impl fmt::Debug for ApiKeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyMaterial").field("key", &self.key).finish_non_exhaustive()
    }
}

impl ApiKeyMaterial {
    /// A new random key.
    ///
    /// # Errors
    /// [`SimError::Randomness`] when the machine gives none.
    pub fn generate() -> Result<Self, SimError> {
        Ok(Self {
            key: format!("bg_{}", random_hex::<16>()?),
            secret: random_hex::<32>()?,
            passphrase: random_hex::<8>()?,
        })
    }
}

/// Random bytes as hex digits.
pub(crate) fn random_hex<const BYTES: usize>() -> Result<String, SimError> {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes).map_err(|_| SimError::Randomness)?;
    Ok(hex::encode(bytes))
}

/// One API key and what it may do.
#[derive(Debug, Clone)]
pub struct KeyConfig {
    /// Key, secret and passphrase.
    pub material: ApiKeyMaterial,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// Addresses it may be used from; empty: any.
    pub ips: Vec<IpAddr>,
    /// Which world it belongs to.
    pub environment: Environment,
    /// Whose it is: 0 is the main account, 1 the first of `extra_accounts`.
    pub account: usize,
}

/// One account beside the main one.
#[derive(Debug, Clone, Default)]
pub struct AccountConfig {
    /// Classic or unified.
    pub mode: AccountMode,
    /// What it starts with.
    pub balances: Vec<(Asset, Decimal)>,
    /// What the futures wallet of a classic account starts with; `None`: as much as there is of that coin on spot.
    pub futures_balance: Option<Decimal>,
}

/// One spot instrument, or what a perpetual has in common with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstrumentConfig {
    /// The venue's spelling.
    pub symbol: Symbol,
    /// What is bought and sold.
    pub base: Asset,
    /// What it is paid in.
    pub quote: Asset,
    /// Decimals of a price.
    pub price_decimals: u8,
    /// Decimals of a quantity.
    pub qty_decimals: u8,
    /// Smallest notional of an order, in quote.
    pub min_notional: Decimal,
    /// Where a seeded market begins.
    pub start_price: Decimal,
}

impl InstrumentConfig {
    fn new(base: &str, price_decimals: u8, qty_decimals: u8, start_price: i64) -> Option<Self> {
        Some(Self {
            symbol: Symbol::from(&format!("{base}USDT")).ok()?,
            base: Asset::from(base).ok()?,
            quote: Asset::from("USDT").ok()?,
            price_decimals,
            qty_decimals,
            min_notional: Decimal::ONE,
            start_price: Decimal::from(start_price),
        })
    }

    /// BTCUSDT near 60 000, ETHUSDT near 3 000 and SOLUSDT near 150.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        [Self::new("BTC", 2, 6, 60_000), Self::new("ETH", 2, 4, 3_000), Self::new("SOL", 3, 3, 150)]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// One perpetual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerpetualConfig {
    /// Symbol, coins, decimals and smallest order; the quote is what it settles in.
    pub instrument: InstrumentConfig,
    /// Largest leverage.
    pub leverage_max: u32,
    /// Leverage of an account that has chosen none.
    pub leverage_default: u32,
    /// Fraction of a position's value at the mark price at which an account is liquidated.
    pub maintenance_rate: Decimal,
    /// Fee of resting orders, as a fraction of a trade's value.
    pub maker_fee: Decimal,
    /// Fee of arriving orders, as a fraction of a trade's value.
    pub taker_fee: Decimal,
}

impl PerpetualConfig {
    /// The venue's figures for BTCUSDT: leverage to 150 (20 by default), maintenance 0.4 %, fees 0.02 and 0.06 %.
    fn new(base: &str, price_decimals: u8, qty_decimals: u8, start_price: i64) -> Option<Self> {
        let spot = InstrumentConfig::new(base, price_decimals, qty_decimals, start_price)?;
        Some(Self {
            instrument: InstrumentConfig { min_notional: Decimal::from(5), ..spot },
            leverage_max: 150,
            leverage_default: 20,
            maintenance_rate: Decimal::new(4, 3),
            maker_fee: Decimal::new(2, 4),
            taker_fee: Decimal::new(6, 4),
        })
    }

    /// BTCUSDT near 60 000 and ETHUSDT near 3 000.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        [Self::new("BTC", 1, 4, 60_000), Self::new("ETH", 2, 2, 3_000)].into_iter().flatten().collect()
    }
}

/// Who else is on the perpetuals' market while spot follows a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PerpetualMarket {
    /// Makers and takers from the seed, around the spot price.
    #[default]
    Seeded,
    /// The participants of the same recording: levels and trades that fit the perpetual's decimals.
    Recording,
}

/// What happens when a recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TapeEnd {
    /// It begins again.
    #[default]
    Loop,
    /// The last book stays.
    Hold,
}

/// Who else is on the market.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Market {
    /// Makers and takers around a random walk, from the seed.
    #[default]
    Seeded,
    /// The participants of a recording.
    Tape {
        /// The recording.
        path: PathBuf,
        /// What happens at its end.
        at_end: TapeEnd,
    },
    /// Nobody.
    Quiet,
}

/// Budgets of requests, per second and caller where not said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// False: nothing is limited.
    pub enforced: bool,
    /// Requests of one address in a minute, over all endpoints.
    pub per_ip_minute: u32,
    /// How long an address is refused everything after exceeding that.
    pub ip_penalty: Duration,
    /// Factor on every endpoint's documented budget; 1 is what the venue documents.
    pub endpoint_factor: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { enforced: true, per_ip_minute: 6_000, ip_penalty: Duration::from_secs(300), endpoint_factor: 1 }
    }
}

/// Bounds of WebSocket connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// Open connections of one address.
    pub connections_max: usize,
    /// New connections of one address in five minutes.
    pub connects_per_5_min: u32,
    /// Messages from a client in a second; more ends the connection.
    pub messages_per_second: u32,
    /// Subscribe requests of one connection in an hour.
    pub subscribes_per_hour: u32,
    /// Channels of one connection.
    pub channels_max: usize,
    /// Bytes of one message from a client.
    pub message_bytes_max: usize,
    /// A connection without any message from the client for this long is dropped.
    pub silence_max: Duration,
    /// A connection is dropped at this age.
    pub lifetime: Duration,
    /// Frames that may wait for one client; a client that lets it fill up is disconnected.
    pub queue_max: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            connections_max: 100,
            connects_per_5_min: 300,
            messages_per_second: 10,
            subscribes_per_hour: 240,
            channels_max: 1_000,
            message_bytes_max: 4_096,
            silence_max: Duration::from_secs(120),
            lifetime: Duration::from_secs(24 * 3_600),
            queue_max: 1_024,
        }
    }
}

/// What the embedded exchange is started with.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Loopback address to serve on; port 0: any free one.
    pub listen: SocketAddr,
    /// The main key; what is `None` is generated.
    pub key: Option<String>,
    /// Its secret.
    pub secret: Option<String>,
    /// Its passphrase.
    pub passphrase: Option<String>,
    /// What the main key may do.
    pub permissions: Vec<Permission>,
    /// Addresses the main key may be used from; empty: any.
    pub ips: Vec<IpAddr>,
    /// Which world the main key belongs to.
    pub environment: Environment,
    /// Classic or unified main account.
    pub account: AccountMode,
    /// What the main account starts with.
    pub balances: Vec<(Asset, Decimal)>,
    /// Further accounts.
    pub extra_accounts: Vec<AccountConfig>,
    /// Further keys, of any account.
    pub extra_keys: Vec<KeyConfig>,
    /// What kinds of instruments are listed; what is not named here is not, whatever the lists below say.
    pub categories: Vec<Category>,
    /// What is traded on spot.
    pub instruments: Vec<InstrumentConfig>,
    /// Perpetuals; all settle in the same quote.
    pub perpetuals: Vec<PerpetualConfig>,
    /// Who else is on the market.
    pub market: Market,
    /// Who else is on the perpetuals while spot follows a recording.
    pub perpetual_market: PerpetualMarket,
    /// Time between two settlements of funding, at whole multiples since 1970.
    pub funding_interval: Duration,
    /// What the funding rate is drawn to, per interval.
    pub interest_rate: Decimal,
    /// What the futures wallet of a classic main account starts with; `None`: as much as there is of that coin on spot.
    pub futures_balance: Option<Decimal>,
    /// Seed of the market and of latencies.
    pub seed: u64,
    /// The venue's clock minus this machine's, in milliseconds.
    pub clock_offset_ms: i64,
    /// What goes wrong, and when.
    pub faults: FaultPlan,
    /// Added to every private request: least and most.
    pub latency: (Duration, Duration),
    /// Fee of resting orders, as a fraction of what is received.
    pub maker_fee: Decimal,
    /// Fee of arriving orders, as a fraction of what is received.
    pub taker_fee: Decimal,
    /// Time between two updates of a book channel.
    pub book_interval: Duration,
    /// Budgets of requests.
    pub rate_limits: RateLimits,
    /// Bounds of connections.
    pub stream_limits: StreamLimits,
}

impl Default for SimConfig {
    fn default() -> Self {
        let balance = |code: &str, amount: i64| Asset::from(code).ok().map(|asset| (asset, Decimal::from(amount)));
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            key: None,
            secret: None,
            passphrase: None,
            permissions: vec![Permission::Read, Permission::Trade],
            ips: Vec::new(),
            environment: Environment::default(),
            account: AccountMode::default(),
            balances: [balance("USDT", 100_000), balance("BTC", 2), balance("ETH", 20)].into_iter().flatten().collect(),
            extra_accounts: Vec::new(),
            extra_keys: Vec::new(),
            categories: Category::ALL.to_vec(),
            instruments: InstrumentConfig::defaults(),
            perpetuals: PerpetualConfig::defaults(),
            market: Market::default(),
            perpetual_market: PerpetualMarket::default(),
            funding_interval: Duration::from_secs(8 * 3_600),
            interest_rate: Decimal::new(1, 4),
            futures_balance: None,
            seed: 1,
            clock_offset_ms: 0,
            faults: FaultPlan::default(),
            latency: (Duration::ZERO, Duration::ZERO),
            maker_fee: Decimal::new(1, 3),
            taker_fee: Decimal::new(1, 3),
            book_interval: Duration::from_millis(200),
            rate_limits: RateLimits::default(),
            stream_limits: StreamLimits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_keys_look_like_the_venues_and_hide_their_secret() {
        let (one, two) = (ApiKeyMaterial::generate().unwrap(), ApiKeyMaterial::generate().unwrap());
        assert!(one.key.starts_with("bg_") && one.key != two.key && one.secret != two.secret);
        assert!((8..=32).contains(&one.passphrase.len()));
        let shown = format!("{one:?}");
        assert!(!shown.contains(&one.secret) && !shown.contains(&one.passphrase));
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_known_ones() {
        assert_eq!("uta".parse::<AccountMode>().unwrap(), AccountMode::Unified);
        let message = "writ".parse::<Permission>().unwrap_err().to_string();
        assert!(message.contains("withdraw") && message.contains("trade"), "{message}");
        assert!("live".parse::<Environment>().is_err());
    }
}
