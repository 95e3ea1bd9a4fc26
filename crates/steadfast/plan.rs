//! What a run is made of: validated values of domain types, from the settings or from the demo.

use domain::{Notional, PositionSide};
use hot_actor::WaitPolicy;
use net::Plaintext;
use order_path::FuturesWish;
use risk_guard::{Limits, SelfTrade, StrategyLimits};
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive as _;
use settings::{Environment, OnShutdown, Settings, WaitMode};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use venue_api::VenueCodecs;

/// One venue account.
#[derive(Clone)]
pub struct VenuePlan {
    /// Its name here: as in the settings; of the place of a stream key, that with an ending.
    pub name: String,
    /// Its name in the settings.
    pub account: String,
    /// Its codecs.
    pub codecs: VenueCodecs,
    /// REST base URL.
    pub rest: String,
    /// Public stream.
    pub ws_public: String,
    /// Private stream.
    pub ws_private: String,
    /// Plain text to loopback, or never.
    pub plaintext: Plaintext,
    /// Its environment: `sim`, `demo` or `production`.
    pub environment: &'static str,
    /// Alias of its key.
    pub key: String,
    /// Whether it is certain that no order can be entered over the log-in of its trading key.
    pub login_confirmed: bool,
    /// Alias of the key that only reads and logs in to its private stream.
    pub stream_key: Option<String>,
    /// Instruments to follow, in the venue's spelling; perpetual futures with their suffix.
    pub symbols: Vec<String>,
    /// How perpetual futures are to be margined; `None`: it trades none.
    pub futures: Option<FuturesWish>,
    /// Longest wait for an answer.
    pub rest_timeout: Duration,
    /// Whether a key without an address binding is refused, warned of, or fine.
    pub ip_binding: settings::IpBinding,
    /// Age at which its key should be replaced.
    pub rotate_after: Duration,
    /// How long before that a person is told.
    pub warn_before: Duration,
    /// Between two verifications of its good key.
    pub reverify_every: Duration,
}

impl VenuePlan {
    /// What the place of a stream key is called after its account.
    const STREAM_ENDING: &str = "/stream";

    /// The place of its stream key, if it has one: an account of its own that trades nothing.
    #[must_use]
    pub fn stream_place(&self) -> Option<Self> {
        let key = self.stream_key.clone()?;
        let name = format!("{}{}", self.account, Self::STREAM_ENDING);
        Some(Self { name, key, stream_key: None, symbols: Vec::new(), ..self.clone() })
    }

    /// Whether it is the place of a stream key.
    #[must_use]
    pub fn is_stream_place(&self) -> bool {
        self.name != self.account
    }
}

/// One strategy.
#[derive(Clone)]
pub struct StrategyPlan {
    /// Its id: the name of its file.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Its venue account.
    pub venue: String,
    /// Its instrument, in the venue's spelling; a perpetual future with its suffix.
    pub symbol: String,
    /// The position that it works on; net but in hedge mode.
    pub position_side: PositionSide,
    /// The parameters of its kind.
    pub params: serde_json::Value,
    /// Its own limits.
    pub limits: StrategyLimits,
}

/// Everything about a run.
#[derive(Clone)]
pub struct Plan {
    /// `sim`, `live` or `demo`, for people and metrics.
    pub mode: &'static str,
    /// Venue accounts.
    pub venues: Vec<VenuePlan>,
    /// Strategies that trade.
    pub strategies: Vec<StrategyPlan>,
    /// Account limits.
    pub limits: Limits,
    /// How the order path waits.
    pub wait: WaitPolicy,
    /// The core that the order path is bound to.
    pub core: Option<usize>,
    /// An order whose first byte has not gone by then is not sent.
    pub send_by: Duration,
    /// Between two rounds of asking for an unknown order.
    pub index_delay: Duration,
    /// Whether orders of others hold trading; those of another instance of this program always do.
    pub hold_on_foreign: bool,
    /// Whether a halt survives a restart.
    pub persist_halt: bool,
    /// Resting orders are cancelled when a venue's private stream has been down for so long.
    pub cancel_on_disconnect_after: Duration,
    /// Whether resting orders are cancelled at the end.
    pub cancel_on_shutdown: bool,
    /// How long an orderly stop may take.
    pub shutdown_timeout: Duration,
    /// Address of the control interface.
    pub listen: SocketAddr,
    /// Where the vault and the epoch are.
    pub custody: PathBuf,
}

/// The wait policy that a setting means on this machine.
#[must_use]
pub fn wait_policy(mode: WaitMode, cores: usize) -> WaitPolicy {
    match mode {
        WaitMode::Auto if cores >= 4 => WaitPolicy::SpinThenPark,
        WaitMode::Auto | WaitMode::Block => WaitPolicy::Block,
        WaitMode::SpinThenPark => WaitPolicy::SpinThenPark,
        WaitMode::Spin => WaitPolicy::Spin,
    }
}

/// The account limits of the settings.
#[must_use]
pub fn limits(settings: &Settings) -> Limits {
    let risk = &settings.risk;
    Limits {
        max_order_notional: Notional(risk.max_order_notional),
        max_order_qty: None,
        max_open_orders: risk.max_open_orders.min(Limits::OPEN_ORDERS_MAX),
        max_orders_per_second: risk.max_orders_per_second,
        max_cancels_per_second: risk.max_cancels_per_second,
        max_position_notional: Notional(risk.max_position_notional),
        max_gross_exposure: Notional(risk.max_gross_exposure),
        max_daily_loss: Notional(risk.max_daily_loss),
        max_drawdown: risk.max_drawdown.ratio,
        price_collar: risk.price_collar.ratio,
        max_feed_age: risk.max_feed_age,
        max_reject_ratio: Decimal::from_f64(risk.max_reject_ratio).unwrap_or(Decimal::new(2, 1)),
        self_trade: SelfTrade::Reject,
        max_leverage: u16::try_from(risk.max_leverage).unwrap_or(1),
        min_liquidation_distance: risk.min_liquidation_distance.ratio,
        max_clock_uncertainty: settings.clock.max_uncertainty,
        ..Limits::default()
    }
}

/// The hosts and manners of a venue account of the settings.
#[must_use]
pub fn venue(name: &str, venue: &settings::Venue) -> VenuePlan {
    let environment = match venue.environment {
        Environment::Demo => venue_bitget::Environment::Demo,
        Environment::Sim | Environment::Production => venue_bitget::Environment::Production,
    };
    let codecs = venue_bitget::codecs(environment);
    let hosts = codecs.capabilities.hosts.iter().find(|hosts| hosts.environment == venue.environment.word()).copied();
    let address = |set: &Option<String>, own: Option<&str>| {
        set.clone().or_else(|| own.map(str::to_owned)).unwrap_or_default().trim_end_matches('/').to_owned()
    };
    VenuePlan {
        name: name.to_owned(),
        account: name.to_owned(),
        rest: address(&venue.rest, hosts.map(|hosts| hosts.rest)),
        ws_public: address(&venue.ws_public, hosts.map(|hosts| hosts.ws_public)),
        ws_private: address(&venue.ws_private, hosts.map(|hosts| hosts.ws_private)),
        plaintext: if venue.environment == Environment::Sim { Plaintext::Loopback } else { Plaintext::Never },
        environment: venue.environment.word(),
        key: venue.key.clone(),
        login_confirmed: venue.environment == Environment::Sim || venue.ws_order_entry == settings::WsOrderEntry::None,
        stream_key: venue.stream_key.clone(),
        symbols: venue.instruments.clone(),
        futures: futures(venue),
        rest_timeout: venue.rest_timeout,
        ip_binding: venue.key_policy.require_ip_binding,
        rotate_after: venue.key_policy.rotate_after,
        warn_before: venue.key_policy.warn_before,
        reverify_every: venue.key_policy.reverify_every,
        codecs,
    }
}

/// How an account of the settings trades perpetual futures; `None`: it does not.
fn futures(venue: &settings::Venue) -> Option<FuturesWish> {
    let wish = &venue.futures;
    venue.products.contains(&settings::Product::UsdtFutures).then(|| FuturesWish {
        leverage: u16::try_from(wish.leverage).unwrap_or(1),
        margin_mode: match wish.margin_mode {
            settings::MarginMode::Crossed => messages::MarginMode::Crossed,
            settings::MarginMode::Isolated => messages::MarginMode::Isolated,
        },
        position_mode: match wish.position_mode {
            settings::PositionMode::OneWay => messages::PositionMode::OneWay,
            settings::PositionMode::Hedge => messages::PositionMode::Hedge,
        },
    })
}

/// The position that a strategy of the settings works on.
#[must_use]
pub fn position_side(strategy: &settings::Strategy) -> PositionSide {
    match strategy.position_side {
        None => PositionSide::Net,
        Some(settings::PositionSide::Long) => PositionSide::Long,
        Some(settings::PositionSide::Short) => PositionSide::Short,
    }
}

/// The plan that the settings describe.
#[must_use]
pub fn from_settings(settings: &Settings) -> Plan {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let strategies = settings
        .strategy
        .iter()
        .filter(|(_, strategy)| strategy.enabled)
        .map(|(id, strategy)| StrategyPlan {
            id: id.clone(),
            kind: strategy.kind.clone(),
            venue: strategy.venue.clone(),
            symbol: strategy.instrument.clone(),
            position_side: position_side(strategy),
            params: strategy.params.value(),
            limits: StrategyLimits {
                max_position: strategy.limits.max_position.map(domain::Amount),
                max_position_notional: strategy.limits.max_position_notional.map(domain::Amount),
                max_order_notional: strategy.limits.max_order_notional.map(domain::Amount),
                max_daily_loss: strategy.limits.max_daily_loss.map(domain::Amount),
                max_open_orders: strategy.limits.max_open_orders,
            },
        })
        .collect();
    Plan {
        mode: settings.mode.word(),
        venues: settings.venue.iter().map(|(name, account)| venue(name, account)).collect(),
        strategies,
        limits: limits(settings),
        wait: wait_policy(settings.order_path.wait, cores),
        core: settings.order_path.pin.then_some(cores.saturating_sub(1)),
        send_by: settings.order_path.send_by,
        index_delay: settings.order_path.index_delay,
        hold_on_foreign: settings.order_path.foreign_orders == settings::ForeignOrders::Hold,
        persist_halt: settings.risk.kill_switch.persist,
        cancel_on_disconnect_after: settings.risk.kill_switch.cancel_on_disconnect_after,
        cancel_on_shutdown: settings.process.on_shutdown == OnShutdown::Cancel,
        shutdown_timeout: settings.process.shutdown_timeout,
        listen: settings.control.listen,
        custody: settings.vault_dir(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perpetuals_get_leverage_modes_limits_and_side_from_the_settings() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("risk.toml", "[risk]\nmax_leverage = 5\nmin_liquidation_distance = \"15%\"\n");
        write(
            "venues/a.toml",
            "[venue.a]\nkind = \"bitget\"\nkey = \"a\"\nproducts = [\"spot\", \"usdt-futures\"]\n\
             instruments = [\"BTCUSDT\", \"BTCUSDT-PERP\"]\nrest = \"http://127.0.0.1:7450\"\n\
             ws_public = \"ws://127.0.0.1:7450/v2/ws/public\"\nws_private = \"ws://127.0.0.1:7450/v2/ws/private\"\n\
             [venue.a.futures]\nleverage = 4\nposition_mode = \"hedge\"\n",
        );
        write(
            "strategies/short.toml",
            "kind = \"grid\"\nvenue = \"a\"\ninstrument = \"BTCUSDT-PERP\"\nposition_side = \"short\"\n",
        );
        let request = settings::LoadRequest { config_dir: dir.path().to_owned(), env: Vec::new(), set: Vec::new() };
        let plan = from_settings(&settings::load(&request).unwrap().settings);
        assert_eq!((plan.limits.max_leverage, plan.limits.min_liquidation_distance), (5, Decimal::new(15, 2)));
        let wish = plan.venues[0].futures.unwrap();
        assert_eq!((wish.leverage, wish.margin_mode), (4, messages::MarginMode::Crossed));
        assert_eq!(wish.position_mode, messages::PositionMode::Hedge);
        assert_eq!(plan.strategies[0].position_side, PositionSide::Short);
    }
}
