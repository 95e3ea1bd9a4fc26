//! How the venue is set up: what is listed, who has accounts, who makes the market.

use crate::depth::PublishedBook;
use crate::follower::{Follower, Followers, Playback};
use crate::futures::collateral_of;
use crate::perpetuals::{Perpetual, PerpetualCrowd, listing_of};
use crate::population::Population;
use crate::prints::Prints;
use crate::venue::{Account, Crowd, Instrument};
use crate::{AccountMode, Category, InstrumentConfig, Market, PerpetualConfig, PerpetualMarket, SimConfig, SimError};
use domain::{Asset, InstrumentId, Price, Scaled, Symbol};
use matching::{AccountId, Atoms, Collateral, Engine, FeeRate, FeeSchedule, Listing, PerpetualTerms};
use rust_decimal::Decimal;

fn setting(what: String) -> SimError {
    SimError::Setting { what }
}

fn rate(what: &str, fraction: Decimal) -> Result<FeeRate, SimError> {
    FeeRate::from_decimal(fraction).map_err(|error| setting(format!("{what} {fraction}: {error}")))
}

/// The two fees of a category.
pub(crate) fn fees(maker: Decimal, taker: Decimal) -> Result<FeeSchedule, SimError> {
    Ok(FeeSchedule { maker: rate("fee", maker)?, taker: rate("fee", taker)? })
}

/// Lists what the settings name, spot first; perpetuals begin with a mark price at their start.
pub(crate) fn list(config: &SimConfig, engine: &mut Engine, now_ms: u64) -> Result<Vec<Instrument>, SimError> {
    let has = |category: Category| config.categories.contains(&category);
    let mut instruments = Vec::new();
    for it in config.instruments.iter().filter(|_| has(Category::Spot)) {
        let listing = Listing {
            base: it.base,
            quote: it.quote,
            price_decimals: it.price_decimals,
            qty_decimals: it.qty_decimals,
            tick: 1,
            lot: 1,
        };
        let id = engine.list(listing).map_err(|error| setting(format!("instrument {}: {error}", it.symbol)))?;
        instruments.push(instrument(id, Category::Spot, *it, listing, None));
    }
    for it in config.perpetuals.iter().filter(|_| has(Category::UsdtFutures)) {
        let twin = twin(&instruments, it.instrument.symbol);
        let perpetual = perpetual(config, *it, twin, now_ms)?;
        let (symbol, listing) = (it.instrument.symbol, listing_of(it));
        let unusable = |what: String| setting(format!("perpetual {symbol}: {what}"));
        let terms = terms(it)?;
        let id = engine.list_perpetual(listing, terms).map_err(|error| unusable(error.to_string()))?;
        let start = Scaled::try_from(it.instrument.start_price.normalize())
            .and_then(|price| price.rescaled(listing.price_decimals))
            .map_err(|error| unusable(format!("start price: {error}")))?;
        if !engine.set_mark(id, Price(start)) {
            return Err(unusable("the start price is not above zero".into()));
        }
        instruments.push(instrument(id, Category::UsdtFutures, it.instrument, listing, Some(perpetual)));
    }
    Ok(instruments)
}

fn twin(instruments: &[Instrument], symbol: Symbol) -> Option<InstrumentId> {
    let spot = instruments.iter().filter(|instrument| instrument.category == Category::Spot);
    spot.into_iter().find(|instrument| instrument.config.symbol == symbol).map(|instrument| instrument.id)
}

fn instrument(
    id: InstrumentId,
    category: Category,
    config: InstrumentConfig,
    listing: Listing,
    perpetual: Option<Perpetual>,
) -> Instrument {
    let (published, prints) = (PublishedBook::default(), Prints::default());
    let (ticker_changed, candle_changed) = (false, false);
    Instrument { id, category, config, listing, perpetual, published, prints, ticker_changed, candle_changed }
}

fn terms(config: &PerpetualConfig) -> Result<PerpetualTerms, SimError> {
    Ok(PerpetualTerms {
        leverage_max: config.leverage_max,
        leverage_default: config.leverage_default,
        maintenance: rate("maintenance rate", config.maintenance_rate)?,
        fees: fees(config.maker_fee, config.taker_fee)?,
    })
}

fn perpetual(
    config: &SimConfig,
    own: PerpetualConfig,
    twin: Option<InstrumentId>,
    now_ms: u64,
) -> Result<Perpetual, SimError> {
    let interval_ms = u64::try_from(config.funding_interval.as_millis()).unwrap_or(u64::MAX);
    if interval_ms == 0 {
        return Err(setting("the funding interval must be longer than zero".into()));
    }
    let interest = rate("interest rate", config.interest_rate)?;
    Ok(Perpetual::new(own, twin, interval_ms, interest.ppm(), now_ms))
}

fn amount(coin: Asset, given: Decimal) -> Result<Atoms, SimError> {
    Atoms::from_decimal(given).map_err(|error| setting(format!("balance {coin}={given}: {error}")))
}

/// Opens the clients' accounts with what they start with.
pub(crate) fn accounts(
    config: &SimConfig,
    engine: &mut Engine,
    settle: Option<Asset>,
) -> Result<Vec<Account>, SimError> {
    let schedule = fees(config.maker_fee, config.taker_fee)?;
    let main = (config.account, config.balances.as_slice(), config.futures_balance);
    let extra = config.extra_accounts.iter().map(|it| (it.mode, it.balances.as_slice(), it.futures_balance));
    let mut accounts = Vec::new();
    for (mode, balances, futures) in std::iter::once(main).chain(extra) {
        let account = engine.open_account(schedule);
        for (coin, given) in balances {
            if !engine.deposit(account, *coin, amount(*coin, *given)?) {
                return Err(setting(format!("balance {coin}={given} is not a positive amount")));
            }
        }
        if let Some(coin) = settle {
            engine.open_futures(account, collateral_of(mode));
            let spot = balances.iter().find(|(it, _)| *it == coin).map_or(Decimal::ZERO, |(_, amount)| *amount);
            let given = futures.unwrap_or(spot);
            if mode == AccountMode::Classic && !engine.deposit_futures(account, amount(coin, given)?) {
                return Err(setting(format!("futures balance {coin}={given} is not a positive amount")));
            }
        }
        accounts.push(Account::new(account, mode));
    }
    Ok(accounts)
}

/// Opens an account of the venue's own: it pays no fees and never runs out.
pub(crate) fn rich(engine: &mut Engine, instruments: &[Instrument]) -> Result<AccountId, SimError> {
    let account = engine.open_account(fees(Decimal::ZERO, Decimal::ZERO)?);
    engine.open_futures(account, Collateral::Unlimited);
    for instrument in instruments.iter().filter(|instrument| instrument.category == Category::Spot) {
        for asset in [instrument.config.base, instrument.config.quote] {
            if engine.balance(account, asset).available == Atoms::ZERO {
                engine.deposit(account, asset, Atoms::MAX);
            }
        }
    }
    Ok(account)
}

/// Who moves spot and who moves the perpetuals; `resting` and `taking` are their accounts.
pub(crate) fn crowds(
    config: &SimConfig,
    instruments: &[Instrument],
    (resting, taking): (AccountId, AccountId),
) -> Result<(Crowd, Vec<PerpetualCrowd>), SimError> {
    let population = |it: &Instrument| Population::new(config.seed, it.id, &it.config, resting, taking);
    let spot = || instruments.iter().filter(|instrument| instrument.category == Category::Spot);
    let perpetuals = || instruments.iter().filter(|instrument| instrument.category == Category::UsdtFutures);
    let recorded = config.perpetual_market == PerpetualMarket::Recording;
    let crowd = match &config.market {
        Market::Quiet => return Ok((Crowd::Quiet, Vec::new())),
        Market::Seeded => Crowd::Seeded(spot().map(population).collect()),
        Market::Tape { path, at_end } => {
            let mut followers = Followers::new();
            for it in spot().chain(perpetuals().filter(|_| recorded)) {
                followers.entry(it.config.symbol).or_default().push(Follower::new(it.id, resting, taking));
            }
            Crowd::Tape(Box::new(Playback::open(path, *at_end)?), followers)
        }
    };
    let own = perpetuals().filter(|_| matches!(crowd, Crowd::Seeded(_)) || !recorded);
    let own = own.map(|it| PerpetualCrowd {
        population: population(it),
        twin: it.perpetual.as_ref().and_then(|perpetual| perpetual.twin),
    });
    let own = own.collect();
    Ok((crowd, own))
}
