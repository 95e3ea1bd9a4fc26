//! Unsigned REST: server time and instruments.

use domain::{Amount, Asset, InstrumentStatus, Market, Scaled, Symbol, UnixNanos};

/// The trading rules of an instrument as the venue lists them, before it has an id here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedInstrument {
    /// The venue's spelling, with the suffix of its market.
    pub symbol: Symbol,
    /// Where it is traded.
    pub market: Market,
    /// Largest leverage; zero on spot.
    pub leverage_max: u16,
    /// Base asset.
    pub base: Asset,
    /// Quote asset.
    pub quote: Asset,
    /// Decimals of a price, 0 to 18.
    pub price_decimals: u8,
    /// Decimals of a quantity, 0 to 18.
    pub qty_decimals: u8,
    /// Smallest price step as a mantissa in `price_decimals`, at least 1.
    pub tick: i64,
    /// Smallest quantity step as a mantissa in `qty_decimals`, at least 1.
    pub lot: i64,
    /// Smallest quantity as a mantissa in `qty_decimals`; zero: only the lot counts.
    pub min_qty: i64,
    /// Largest quantity as a mantissa in `qty_decimals`; zero: no limit (or one beyond 64 bits).
    pub max_qty: i64,
    /// Smallest notional in the quote asset.
    pub min_notional: Amount,
    /// Whether orders are taken.
    pub status: InstrumentStatus,
    /// Maker fee as a fraction of the traded amount.
    pub maker_fee: Amount,
    /// Taker fee as a fraction of the traded amount.
    pub taker_fee: Amount,
}

/// A public answer could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("public answer unreadable: {detail}")]
pub struct PublicAnswerError {
    /// What was wrong, without the answer itself.
    pub detail: String,
}

/// Reads the venue's unsigned REST answers.
pub trait PublicRestCodec: Send + Sync {
    /// Path and query of the server time.
    fn server_time_target(&self) -> &str;

    /// # Errors
    /// [`PublicAnswerError`] when it is not a time; the sample is dropped.
    fn server_time(&self, status: u16, body: &[u8]) -> Result<UnixNanos, PublicAnswerError>;

    /// Paths and queries of the lists of instruments, one for each kind of product.
    fn instruments_targets(&self) -> &'static [&'static str];

    /// Reads the answer of any of [`Self::instruments_targets`].
    ///
    /// # Errors
    /// [`PublicAnswerError`] when the list cannot be read at all; single unreadable rows are left out.
    fn instruments(&self, status: u16, body: &[u8]) -> Result<Vec<ListedInstrument>, PublicAnswerError>;

    /// Paths and queries of the last prices of all instruments; none: the venue has no such list.
    fn prices_targets(&self) -> &'static [&'static str] {
        &[]
    }

    /// The last price of each instrument, in quote, in the answer of any of [`Self::prices_targets`].
    ///
    /// # Errors
    /// [`PublicAnswerError`] when the list cannot be read at all; single unreadable rows are left out.
    fn prices(&self, status: u16, body: &[u8]) -> Result<Vec<(Symbol, Scaled)>, PublicAnswerError> {
        let _ = (status, body);
        Ok(Vec::new())
    }
}
