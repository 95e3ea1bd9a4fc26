//! Rules that bind several settings together.
//!
//! They look at what can be read, so that a mistake in one table does not hide one in another.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rust_decimal::Decimal;
use serde_json::Value;

use crate::layers::lookup;
use crate::path::KeyPath;
use crate::problem::{Problem, did_you_mean};
use crate::schema::Setting;
use crate::sections::{Channel, Control, Environment, Mode, PositionMode, Product, Risk, Strategy, Venue};

/// Checks all rules; those between files only when every file could be read.
pub(crate) fn check(tree: &Value, all_files_read: bool, problems: &mut Vec<Problem>) {
    let mode: Option<Mode> = quiet(tree, &KeyPath::dotted("mode")).or_else(|| {
        // Not set: simulated. Set to something that is no mode: unknown, and refused elsewhere.
        lookup(tree, &KeyPath::dotted("mode")).is_none().then_some(Mode::Sim)
    });
    let venues: BTreeMap<String, Venue> = entries(tree, "venue");
    if let Some(control) = quiet::<Control>(tree, &KeyPath::dotted("control")) {
        check_control(&control, problems);
    }
    for (name, venue) in &venues {
        check_venue(&KeyPath::of(["venue", name.as_str()]), venue, mode, problems);
    }
    let risk = quiet_or_default::<Risk>(tree, "risk");
    for (name, venue) in &venues {
        check_futures(&KeyPath::of(["venue", name.as_str()]), venue, risk.as_ref(), problems);
    }
    for (id, strategy) in &entries::<Strategy>(tree, "strategy") {
        let place = KeyPath::of(["strategy", id.as_str()]);
        if all_files_read {
            check_strategy_names(tree, &place, strategy, &venues, problems);
        }
        if let Some(risk) = &risk {
            check_strategy_limits(&place, strategy, risk, problems);
        }
    }
    let channels = lookup(tree, &KeyPath::dotted("notify.channel")).and_then(Value::as_array).map_or(0, Vec::len);
    for index in 0..channels {
        let place = KeyPath::of(["notify".to_owned(), "channel".to_owned(), index.to_string()]);
        if let Some(channel) = quiet::<Channel>(tree, &place) {
            check_channel(&place, &channel, problems);
        }
    }
}

/// The problem of an instrument that its venue does not list; to be located with `Loaded::located` or built by
/// `Loaded::problem`.
#[must_use]
pub fn unknown_instrument(path: &KeyPath, instrument: &str, venue: &str, listed: &[&str]) -> Problem {
    let message = format!("{venue} does not list an instrument {instrument:?}");
    let help = crate::problem::suggest(instrument, listed.iter().copied()).map_or_else(
        || "write it as the venue spells it, such as \"BTCUSDT\"".to_owned(),
        |meant| format!("did you mean `{meant}`?"),
    );
    Problem::at(path, message, help)
}

const LOOPBACK_HELP: &str = "keep `listen = \"127.0.0.1:7447\"` and reach it through an SSH tunnel (`ssh -L \
                             7447:127.0.0.1:7447 HOST`), or set `tls = { cert = \"cert.pem\", key = \"key.pem\" }`, \
                             `hosts = [\"NAME\"]`\nand make an API key: `steadfast access add NAME --role operator`";

fn check_control(control: &Control, problems: &mut Vec<Problem>) {
    let missing = match control {
        _ if control.listen.ip().is_loopback() => None,
        Control { tls: None, .. } => Some("`tls`"),
        Control { hosts, .. } if hosts.is_empty() => Some("`hosts`, the names it is reached under"),
        _ => None,
    };
    if let Some(missing) = missing {
        let message = format!("{} is not a loopback address, which needs {missing}", control.listen.ip());
        problems.push(Problem::at(&KeyPath::dotted("control.listen"), message, LOOPBACK_HELP));
    }
}

fn check_venue(place: &KeyPath, venue: &Venue, mode: Option<Mode>, problems: &mut Vec<Problem>) {
    let addresses =
        [("rest", &venue.rest, "http"), ("ws_public", &venue.ws_public, "ws"), ("ws_private", &venue.ws_private, "ws")];
    let environment = venue.environment;
    match (mode, environment) {
        (Some(Mode::Sim), Environment::Demo | Environment::Production) => {
            let message = format!(
                "{:?} needs `mode = \"live\"`: with `mode = \"sim\"` every venue is an embedded exchange on this machine",
                environment.word()
            );
            let help = "start `steadfast sim --listen 127.0.0.1:7450` and set `environment = \"sim\"` with the addresses \
                        that it prints\nor set `mode = \"live\"` and start with `--live`";
            problems.push(Problem::at(&place.child("environment"), message, help));
        }
        (Some(Mode::Live), Environment::Sim) => {
            let message = "\"sim\" needs `mode = \"sim\"`";
            let help = "set `mode = \"sim\"`, or `environment = \"demo\"` for the venue's demo trading";
            problems.push(Problem::at(&place.child("environment"), message, help));
        }
        _ => {}
    }
    for (key, address, scheme) in addresses {
        let example = match key {
            "rest" => "http://127.0.0.1:7450",
            "ws_public" => "ws://127.0.0.1:7450/v2/ws/public",
            _ => "ws://127.0.0.1:7450/v2/ws/private",
        };
        let path = place.child(key);
        match (environment, address) {
            (Environment::Sim, None) => {
                let message = "is required with `environment = \"sim\"`";
                let help = format!("start `steadfast sim --listen 127.0.0.1:7450` and write {key} = {example:?}");
                problems.push(Problem::at(&path, message, help));
            }
            (Environment::Sim, Some(address)) => {
                if Address::parse(address, scheme).is_none_or(|address| !address.is_loopback) {
                    let message = format!(
                        "must be {scheme}:// and a literal loopback address: with `environment = \"sim\"` nothing leaves \
                         this machine"
                    );
                    let help = format!(
                        "write {key} = {example:?} (not localhost, whose meaning can be changed) and start `steadfast sim \
                         --listen 127.0.0.1:7450`"
                    );
                    problems.push(Problem::at(&path, message, help));
                }
            }
            (_, Some(address)) => {
                if Address::parse(address, scheme).is_none_or(|address| !address.is_encrypted) {
                    let message =
                        format!("must begin with {scheme}s://: plain {scheme}:// is for `environment = \"sim\"`");
                    problems.push(Problem::at(&path, message, "delete it to use the venue's own address"));
                }
            }
            (_, None) => {}
        }
    }
    if venue.key_policy.warn_before >= venue.key_policy.rotate_after {
        let path = place.child("key_policy").child("warn_before");
        problems.push(Problem::at(&path, "must be shorter than `rotate_after`", ""));
    }
}

/// What the names of perpetual futures end with.
const PERPETUAL: &str = "-PERP";

fn trades_futures(venue: &Venue) -> bool {
    venue.products.contains(&Product::UsdtFutures)
}

fn check_futures(place: &KeyPath, venue: &Venue, risk: Option<&Risk>, problems: &mut Vec<Problem>) {
    let wants = |perpetual: bool| venue.instruments.iter().find(|name| name.ends_with(PERPETUAL) == perpetual);
    let lacks = |product: Product| !venue.products.contains(&product);
    for (perpetual, product) in [(true, Product::UsdtFutures), (false, Product::Spot)] {
        if let Some(instrument) = wants(perpetual).filter(|_| lacks(product)) {
            let message = format!("{instrument:?} needs the product {:?}", product.word());
            let help = format!("add {:?} to `products`, or take the instrument out", product.word());
            problems.push(Problem::at(&place.child("products"), message, help));
        }
    }
    if let Some(allowed) = risk.map(|risk| risk.max_leverage)
        && trades_futures(venue)
        && venue.futures.leverage > allowed
    {
        let message = format!("is above `risk.max_leverage`, which is {allowed}");
        let help = "lower it, or raise `risk.max_leverage` if you mean it";
        problems.push(Problem::at(&place.child("futures").child("leverage"), message, help));
    }
}

/// A strategy names its position exactly where there are two.
fn check_position_side(place: &KeyPath, strategy: &Strategy, venue: &Venue, problems: &mut Vec<Problem>) {
    let hedge = venue.futures.position_mode == PositionMode::Hedge && strategy.instrument.ends_with(PERPETUAL);
    let path = place.child("position_side");
    match strategy.position_side {
        None if hedge => {
            let message = "is required on an account with `position_mode = \"hedge\"`";
            problems.push(Problem::at(&path, message, "write position_side = \"long\" or \"short\""));
        }
        Some(_) if !hedge => {
            let message = "is for perpetual futures of an account with `position_mode = \"hedge\"`";
            problems.push(Problem::at(&path, message, "delete it"));
        }
        _ => {}
    }
}

fn check_strategy_names(
    tree: &Value,
    place: &KeyPath,
    strategy: &Strategy,
    venues: &BTreeMap<String, Venue>,
    problems: &mut Vec<Problem>,
) {
    let Some(venue) = venues.get(&strategy.venue) else {
        let declared = lookup(tree, &KeyPath::dotted("venue")).and_then(Value::as_object);
        let names: Vec<&str> = declared.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        // A venue that is there and wrong is told as such.
        if !names.contains(&strategy.venue.as_str()) {
            let message = format!("there is no venue account {:?}", strategy.venue);
            let help = if names.is_empty() {
                format!("add venues/{0}.toml with [venue.{0}]", strategy.venue)
            } else {
                did_you_mean(&strategy.venue, names)
            };
            problems.push(Problem::at(&place.child("venue"), message, help));
        }
        return;
    };
    check_position_side(place, strategy, venue, problems);
    if !venue.instruments.contains(&strategy.instrument) {
        let message =
            format!("{:?} is not among the instruments of venue account {:?}", strategy.instrument, strategy.venue);
        let listed = venue.instruments.iter().map(String::as_str);
        let help = format!(
            "{}\nor add it to `instruments` of [venue.{}]",
            did_you_mean(&strategy.instrument, listed),
            strategy.venue
        );
        problems.push(Problem::at(&place.child("instrument"), message, help));
    }
}

fn check_strategy_limits(place: &KeyPath, strategy: &Strategy, risk: &Risk, problems: &mut Vec<Problem>) {
    let limits = &strategy.limits;
    let decimals: [(&str, Option<Decimal>, Decimal); 3] = [
        ("max_order_notional", limits.max_order_notional, risk.max_order_notional),
        ("max_position_notional", limits.max_position_notional, risk.max_position_notional),
        ("max_daily_loss", limits.max_daily_loss, risk.max_daily_loss),
    ];
    let mut refuse = |key: &str, allowed: &dyn std::fmt::Display| {
        let message = format!("is wider than `risk.{key}`, which is {allowed}");
        let help = format!("lower it, or raise `risk.{key}` if you mean it");
        problems.push(Problem::at(&place.child("limits").child(key), message, help));
    };
    for (key, own, allowed) in decimals {
        if own.is_some_and(|own| own > allowed) {
            refuse(key, &allowed);
        }
    }
    if limits.max_open_orders.is_some_and(|own| own > risk.max_open_orders) {
        refuse("max_open_orders", &risk.max_open_orders);
    }
}

fn check_channel(place: &KeyPath, channel: &Channel, problems: &mut Vec<Problem>) {
    match (&channel.url, &channel.url_file) {
        (None, None) => {
            let help =
                "write `url_file = \"PATH\"` of a file of mode 0600 with the address, or `url` if it holds no secret";
            problems.push(Problem::at(place, "has neither `url` nor `url_file`", help));
        }
        (Some(_), Some(_)) => {
            problems.push(Problem::at(
                &place.child("url"),
                "cannot be set together with `url_file`",
                "delete one of them",
            ));
        }
        (Some(url), None) => {
            if Address::parse(url, "http").is_none_or(|address| !address.is_encrypted && !address.is_loopback) {
                let message = "must begin with https://; plain http:// is for literal loopback addresses";
                problems.push(Problem::at(&place.child("url"), message, ""));
            }
        }
        (None, Some(_)) => {}
    }
}

/// Whether the address's host is a literal loopback address, `127.0.0.0/8` or `[::1]`. A name such as `localhost` is
/// not: its meaning can be changed.
#[must_use]
pub fn is_loopback_address(url: &str) -> bool {
    ["http", "ws"].into_iter().any(|scheme| Address::parse(url, scheme).is_some_and(|address| address.is_loopback))
}

/// What matters about an address.
struct Address {
    is_encrypted: bool,
    is_loopback: bool,
}

impl Address {
    /// Reads an address of this scheme or its encrypted form; `None` for anything unusual, so that no reader further
    /// on can see another host than we do.
    fn parse(url: &str, scheme: &str) -> Option<Self> {
        let rest = url.strip_prefix(scheme)?;
        let (is_encrypted, rest) = match rest.strip_prefix("s://") {
            Some(rest) => (true, rest),
            None => (false, rest.strip_prefix("://")?),
        };
        if !url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return None;
        }
        let authority = rest.split(['/', '?', '#']).next()?;
        let is_plain = authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
        if authority.is_empty() || !is_plain {
            return None;
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                (host, port.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() || port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return None;
        }
        let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        Some(Self { is_encrypted, is_loopback })
    }
}

/// Reads a part of the tree without telling its problems, which are told elsewhere.
fn quiet<T: Setting>(tree: &Value, path: &KeyPath) -> Option<T> {
    T::read(lookup(tree, path)?, path, &mut Vec::new())
}

fn quiet_or_default<T: Setting + Default>(tree: &Value, key: &str) -> Option<T> {
    match lookup(tree, &KeyPath::dotted(key)) {
        Some(_) => quiet(tree, &KeyPath::dotted(key)),
        None => Some(T::default()),
    }
}

/// The readable tables of a map.
fn entries<T: Setting>(tree: &Value, key: &str) -> BTreeMap<String, T> {
    let table = lookup(tree, &KeyPath::dotted(key)).and_then(Value::as_object);
    let names = table.into_iter().flatten().map(|(name, _)| name);
    names.filter_map(|name| Some((name.clone(), quiet(tree, &KeyPath::of([key, name.as_str()]))?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_literal_loopback_hosts_are_loopback() {
        for good in ["http://127.0.0.1:7450", "ws://127.1.2.3:1/v2/ws", "http://[::1]:80/x", "http://127.0.0.1"] {
            assert!(is_loopback_address(good), "{good}");
        }
        for bad in [
            "http://localhost:7450",
            "http://127.0.0.1.example.com",
            "http://127.0.0.1@example.com/",
            "http://user:127.0.0.1@example.com",
            "http://example.com/127.0.0.1",
            "http://example.com\\@127.0.0.1",
            "http://0.0.0.0:7450",
            "http://127.0.0.1:99999",
            "http://2130706433",
            "http://0x7f.1",
            "http://::1",
            "ftp://127.0.0.1",
            "127.0.0.1:7450",
            "http://",
            "",
        ] {
            assert!(!is_loopback_address(bad), "{bad}");
        }
    }

    #[test]
    fn unknown_instrument_suggests_the_nearest() {
        let path = KeyPath::of(["venue", "bitget-main", "instruments", "0"]);
        let problem = unknown_instrument(&path, "BTCUSTD", "bitget", &["BTCUSDT", "ETHUSDT"]);
        assert_eq!(problem.help, "did you mean `BTCUSDT`?");
        assert_eq!(problem.path.to_string(), "venue.bitget-main.instruments[0]");
    }
}
