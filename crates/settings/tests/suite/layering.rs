//! Which layer wins, what types come out of text, and where a value comes from.

use std::time::Duration;

use crate::common::{VENUE, directory, load_with, problems};
use rust_decimal::Decimal;
use settings::{KeyPath, Mode, Origin, Settings, Unlock};

#[test]
fn empty_directory_gives_the_defaults() {
    let directory = directory(&[]);
    let loaded = load_with(directory.path(), &[], &[]).expect("defaults");
    assert_eq!(loaded.settings, Settings::default());
    let settings = loaded.settings;
    assert_eq!(settings.mode, Mode::Sim);
    assert_eq!(settings.control.listen.to_string(), "127.0.0.1:7447");
    assert_eq!(settings.risk.max_order_notional, Decimal::from(250));
    assert_eq!(settings.risk.max_drawdown.ratio, Decimal::new(1, 1));
    assert_eq!(settings.risk.max_feed_age, Duration::from_secs(2));
    assert_eq!(settings.vault.unlock, Unlock::Prompt);
    assert!(settings.venue.is_empty() && settings.strategy.is_empty() && settings.notify.channel.is_empty());
}

#[test]
fn later_layers_win() {
    let files = [
        ("risk.toml", "[risk]\nmax_open_orders = 10\nmax_orders_per_second = 2\n"),
        ("conf.d/10-local.toml", "[risk]\nmax_open_orders = 20\n"),
        ("conf.d/20-more.toml", "[risk]\nmax_open_orders = 30\n"),
    ];
    let directory = directory(&files);
    let orders = |env: &[(&str, &str)], set: &[&str]| {
        load_with(directory.path(), env, set).expect("valid").settings.risk.max_open_orders
    };
    let env = [("STEADFAST__RISK__MAX_OPEN_ORDERS", "40")];
    assert_eq!(orders(&[], &[]), 30);
    assert_eq!(orders(&env, &[]), 40);
    assert_eq!(orders(&env, &["risk.max_open_orders=45", "risk.max_open_orders=46"]), 46);
    let loaded = load_with(directory.path(), &env, &[]).expect("valid");
    assert_eq!(loaded.settings.risk.max_orders_per_second, 2, "what a layer does not set stays");
    assert_eq!(loaded.settings.risk.max_position_notional, Decimal::from(1000), "what none sets is the default");
}

#[test]
fn origin_and_place_of_a_value_are_known() {
    let files = [
        ("risk.toml", "# limits\n[risk]\n  max_open_orders = 10\nmax_feed_age = \"1s\"\n"),
        ("venues/bitget.toml", VENUE),
    ];
    let directory = directory(&files);
    let env = [("STEADFAST__RISK__MAX_FEED_AGE", "3s")];
    let loaded = load_with(directory.path(), &env, &["log.level=debug"]).expect("valid");
    let risk_file = directory.path().join("risk.toml").display().to_string();
    let venue_file = directory.path().join("venues/bitget.toml").display().to_string();
    assert_eq!(loaded.locate(&KeyPath::dotted("risk.max_open_orders")), Some((risk_file, 3, 3)));
    let second = KeyPath::of(["venue", "bitget-main", "instruments", "1"]);
    assert_eq!(loaded.locate(&second), Some((venue_file.clone(), 8, 27)));
    assert_eq!(
        loaded.origin(&KeyPath::dotted("risk.max_feed_age")),
        Origin::Environment("STEADFAST__RISK__MAX_FEED_AGE".to_owned())
    );
    assert_eq!(loaded.origin(&KeyPath::dotted("log.level")), Origin::Flag);
    assert_eq!(loaded.origin(&KeyPath::dotted("risk.price_collar")), Origin::Default);

    let problem = loaded.problem(&second, "bitget does not list it", "");
    assert_eq!(problem.place(), format!("{venue_file}:8:27"));
    let unknown = settings::unknown_instrument(&second, "ETHUSTD", "bitget", &["ETHUSDT"]);
    let located = loaded.located(settings::Problems(vec![unknown]));
    assert_eq!(located.0[0].line, Some(8));
}

#[test]
fn environment_is_typed_by_the_declaration() {
    let good = [
        ("STEADFAST__RISK__MAX_OPEN_ORDERS", "5"),
        ("STEADFAST__RISK__MAX_ORDER_NOTIONAL", "5"),
        ("STEADFAST__METRICS__ENABLED", "false"),
        ("STEADFAST__PROCESS__SHUTDOWN_TIMEOUT", "7s"),
    ];
    let directory = directory(&[("venues/bitget.toml", VENUE)]);
    let settings = load_with(directory.path(), &good, &[]).expect("typed").settings;
    assert_eq!(settings.risk.max_open_orders, 5);
    assert_eq!(settings.risk.max_order_notional, Decimal::from(5));
    assert!(!settings.metrics.enabled);
    assert_eq!(settings.process.shutdown_timeout, Duration::from_secs(7));

    let bad = [
        ("STEADFAST__RISK__MAX_OPEN_ORDERS", "3.9"),
        ("STEADFAST__METRICS__ENABLED", "yes"),
        ("STEADFAST__RISK__MAX_ORDER_NOTINAL", "5"),
    ];
    assert_eq!(
        problems(&[], &bad, &[]),
        "error: environment variable STEADFAST__METRICS__ENABLED  metrics.enabled: must be true or false, not \"yes\"\n\
         \x20 write true or false, without quotes\n\
         error: environment variable STEADFAST__RISK__MAX_OPEN_ORDERS  risk.max_open_orders: must be a whole number, not \
         \"3.9\"\n\
         \x20 write the number without quotes\n\
         error: environment variable STEADFAST__RISK__MAX_ORDER_NOTINAL  risk.max_order_notinal: unknown key\n\
         \x20 did you mean `max_order_notional`?\n\
         \x20 see: config/reference.toml"
    );
}

#[test]
fn environment_reaches_names_with_hyphens() {
    let directory = directory(&[("venues/bitget.toml", VENUE)]);
    let env = [("STEADFAST__VENUE__BITGET_MAIN__REST_TIMEOUT", "9s")];
    let settings = load_with(directory.path(), &env, &[]).expect("valid").settings;
    assert_eq!(settings.venue["bitget-main"].rest_timeout, Duration::from_secs(9));
}

#[test]
fn paths_follow_the_data_directory_unless_set() {
    let directory = directory(&[]);
    let set = ["process.data_dir=/var/lib/steadfast", "vault.path=/elsewhere"];
    let settings = load_with(directory.path(), &[], &set).expect("valid").settings;
    assert_eq!(settings.control_socket().to_str(), Some("/var/lib/steadfast/control.sock"));
    assert_eq!(settings.token_file().to_str(), Some("/var/lib/steadfast/control.token"));
    assert_eq!(settings.log_dir().to_str(), Some("/var/lib/steadfast/log"));
    assert_eq!(settings.vault_dir().to_str(), Some("/elsewhere"));
}
