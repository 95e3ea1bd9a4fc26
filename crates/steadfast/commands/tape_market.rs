//! What the embedded exchange must list so that it can follow a recording.

use domain::{Asset, Symbol};
use rust_decimal::Decimal;
use sim_venue::InstrumentConfig;
use std::collections::BTreeMap;
use std::path::Path;
use tape::{EventKind, TapeEvent, TapeReader};

/// Instruments that are listed for a recording at most.
const LISTED_MAX: usize = 200;
/// What instruments may be paid in, by the end of their names.
const QUOTES: [&str; 4] = ["USDT", "USDC", "USD", "BTC"];
/// Decimals that a listed instrument has at most: quantities of accounts are kept in 64 bits.
const DECIMALS_MAX: u8 = 8;

/// An instrument of a recording.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recorded {
    /// As the exchange lists it.
    pub(super) config: InstrumentConfig,
    /// Events about its book.
    pub(super) events: u64,
}

#[derive(Debug, Default)]
struct Found {
    price_decimals: u8,
    qty_decimals: u8,
    /// The best bid of its first snapshot.
    price: Option<Decimal>,
    events: u64,
}

/// The spot instruments whose books a recording holds, with the decimals that their numbers have. What the exchange
/// lists anyway keeps its own rules. A recording that cannot be read has none here; the exchange says what is wrong.
pub(super) fn recorded(path: &Path) -> Vec<Recorded> {
    let mut found: BTreeMap<Symbol, Found> = BTreeMap::new();
    let Ok(reader) = TapeReader::open(path) else { return Vec::new() };
    // An unreadable rest ends the recording like its regular end, as it does when it is played.
    for event in reader.map_while(Result::ok) {
        look(&mut found, &event);
    }
    let own = InstrumentConfig::defaults();
    let listed = |(symbol, found): (Symbol, Found)| {
        let config = match own.iter().find(|config| config.symbol == symbol) {
            Some(config) => *config,
            None => config(symbol, &found)?,
        };
        Some(Recorded { config, events: found.events })
    };
    found.into_iter().filter_map(listed).collect()
}

fn look(found: &mut BTreeMap<Symbol, Found>, event: &TapeEvent) {
    let (EventKind::DepthSnapshot { bids, asks, .. } | EventKind::DepthUpdate { bids, asks, .. }) = &event.kind else {
        return;
    };
    if found.len() >= LISTED_MAX && !found.contains_key(&event.symbol) {
        return;
    }
    let entry = found.entry(event.symbol).or_default();
    entry.events += 1;
    entry.price = entry.price.or_else(|| bids.first().map(|level| level.price.decimal()));
    for level in bids.iter().chain(asks) {
        entry.price_decimals = entry.price_decimals.max(level.price.decimals);
        entry.qty_decimals = entry.qty_decimals.max(level.qty.decimals);
    }
}

fn config(symbol: Symbol, found: &Found) -> Option<InstrumentConfig> {
    let (base, quote) = QUOTES.iter().find_map(|quote| {
        let base = symbol.as_str().strip_suffix(quote)?.trim_end_matches('-');
        (!base.is_empty() && base.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some((base, *quote))
    })?;
    if found.price_decimals > DECIMALS_MAX || found.qty_decimals > DECIMALS_MAX {
        return None;
    }
    Some(InstrumentConfig {
        symbol,
        base: Asset::from(base).ok()?,
        quote: Asset::from(quote).ok()?,
        price_decimals: found.price_decimals,
        qty_decimals: found.qty_decimals,
        min_notional: Decimal::ONE,
        start_price: found.price?,
    })
}

/// The exchange's own instruments and those of the recording.
pub(super) fn listings(recorded: &[Recorded]) -> Vec<InstrumentConfig> {
    let mut all = InstrumentConfig::defaults();
    for one in recorded {
        if !all.iter().any(|config| config.symbol == one.config.symbol) {
            all.push(one.config);
        }
    }
    all
}
