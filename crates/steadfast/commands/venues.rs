//! `steadfast venues`: what each venue can do, for each account mode, and what of it is used here.

use crate::cli::Global;
use crate::report::Trouble;
use crate::term;
use comfy_table::{Table, presets};
use messages::{AccountMode, EndpointGroup};
use venue_api::Capabilities;

/// Every venue kind in each of its account modes; a new venue is added here.
fn all() -> Vec<Capabilities> {
    AccountMode::ALL.map(venue_bitget::capabilities).to_vec()
}

/// `steadfast venues`
///
/// # Errors
/// None today; the shape of all commands.
pub(super) fn run(global: &Global) -> Result<(), Trouble> {
    let all = all();
    if global.json {
        term::data(&serde_json::Value::from(all.iter().map(json).collect::<Vec<_>>()).to_string());
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let title = |venue: &Capabilities| format!("{} ({})", venue.kind, venue.account_mode.as_str());
    table.set_header([String::new()].into_iter().chain(all.iter().map(title)));
    for (property, tell) in PROPERTIES {
        table.add_row([(*property).to_owned()].into_iter().chain(all.iter().map(tell)));
    }
    term::data(&table.trim_fmt());
    Ok(())
}

/// What is told of a venue, in the order of the table.
type Property = (&'static str, fn(&Capabilities) -> String);

const PROPERTIES: &[Property] = &[
    ("products", |venue| words(venue.products.iter().map(|market| market.as_str()))),
    ("order types", |venue| words(venue.order_types.iter().map(|kind| kind.as_str()))),
    ("time in force", |venue| words(venue.time_in_force.iter().map(|time| time.as_str()))),
    ("dead-man switch", |venue| venue.dead_man_switch.as_str().to_owned()),
    ("orders over the stream", |venue| venue.stream_orders.as_str().to_owned()),
    ("key introspection", |venue| yes(venue.key_introspection).to_owned()),
    ("demo environment", |venue| yes(venue.demo_environment).to_owned()),
    ("client id unique", |venue| client_id(venue).to_owned()),
    ("time stamp window", |venue| format!("{} s each way", venue.timestamp_window.as_secs())),
    ("public channels", |venue| lines(venue.public_channels)),
    ("private channels", |venue| lines(venue.private_channels)),
    ("requests per second", |venue| {
        let budget = |(group, rate): &(EndpointGroup, u32)| format!("{} {rate}", group.as_str());
        venue.budgets.iter().map(budget).collect::<Vec<_>>().join("\n")
    }),
    ("requests per minute", |venue| {
        venue.requests_per_minute.map_or_else(|| "not documented".to_owned(), |count| format!("{count} an address"))
    }),
    ("hosts", |venue| {
        let host = |host: &venue_api::EnvironmentHosts| {
            format!("{}\n  {}\n  {}\n  {}", host.environment, host.rest, host.ws_public, host.ws_private)
        };
        venue.hosts.iter().map(host).collect::<Vec<_>>().join("\n")
    }),
];

fn json(venue: &Capabilities) -> serde_json::Value {
    let budgets: serde_json::Map<String, serde_json::Value> =
        venue.budgets.iter().map(|(group, rate)| (group.as_str().to_owned(), (*rate).into())).collect();
    let hosts: Vec<_> = venue
        .hosts
        .iter()
        .map(|host| {
            serde_json::json!({
                "environment": host.environment, "rest": host.rest, "ws_public": host.ws_public,
                "ws_private": host.ws_private,
            })
        })
        .collect();
    serde_json::json!({
        "kind": venue.kind, "title": venue.title, "account_mode": venue.account_mode.as_str(),
        "products": venue.products.iter().map(|market| market.as_str()).collect::<Vec<_>>(),
        "order_types": venue.order_types.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
        "time_in_force": venue.time_in_force.iter().map(|time| time.as_str()).collect::<Vec<_>>(),
        "dead_man_switch": venue.dead_man_switch.as_str(), "stream_orders": venue.stream_orders.as_str(),
        "key_introspection": venue.key_introspection, "demo_environment": venue.demo_environment,
        "client_id_unique": client_id(venue),
        "timestamp_window_ms": u64::try_from(venue.timestamp_window.as_millis()).unwrap_or(u64::MAX),
        "public_channels": venue.public_channels, "private_channels": venue.private_channels,
        "requests_per_second": budgets, "requests_per_minute": venue.requests_per_minute, "hosts": hosts,
    })
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

/// Words side by side, four to a line.
fn lines(words: &[&str]) -> String {
    words.chunks(4).map(|row| row.join(", ")).collect::<Vec<_>>().join("\n")
}

const fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

const fn client_id(venue: &Capabilities) -> &'static str {
    if venue.client_id_unique_among_open_only { "among open orders" } else { "always" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Symbol;
    use venue_api::{Channel, Subscription};

    #[test]
    fn every_account_mode_of_every_venue_has_its_row_and_states_what_it_must() {
        let all = all();
        for mode in AccountMode::ALL {
            assert_eq!(all.iter().filter(|venue| venue.kind == "bitget" && venue.account_mode == mode).count(), 1);
        }
        for venue in &all {
            assert!(!venue.products.is_empty() && !venue.order_types.is_empty() && !venue.hosts.is_empty());
            for group in EndpointGroup::ALL {
                assert!(venue.budgets.iter().any(|(known, _)| *known == group), "{group:?} of {}", venue.title);
            }
        }
    }

    #[test]
    fn channels_of_the_table_are_those_that_the_codec_asks_for() {
        let venue = venue_bitget::capabilities(AccountMode::Classic);
        let codecs = venue_bitget::codecs(venue_bitget::Environment::Production);
        let symbol = Symbol::from("BTCUSDT").unwrap();
        for channel in [Channel::Book, Channel::Book1, Channel::Book5, Channel::Book15, Channel::Trade, Channel::Ticker]
        {
            let frames = codecs.feed.subscribe(&[Subscription { channel, symbol }]).concat();
            let told = venue.public_channels.iter().any(|word| frames.contains(&format!("\"{word}\"")));
            assert!(told, "{frames}");
        }
        let private = codecs.private.subscribe(&[symbol]).concat();
        for word in venue.private_channels.iter().filter(|word| **word != "positions") {
            assert!(private.contains(&format!("\"{word}\"")), "{word} in {private}");
        }
    }
}
