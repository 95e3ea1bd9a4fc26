//! Settings that cannot be used: exit code 3, every problem at once, nothing started.

use crate::support::{Home, Sim};

#[test]
fn misspelt_key_is_named_with_its_line_and_the_key_that_was_meant() {
    let home = Home::new(None);
    home.edit("config/risk.toml", "max_order_notional", "max_order_notinal");
    let (checked, ran) = (home.run(&["check"]), home.run(&["run"]));
    assert_eq!((checked.code, ran.code), (Some(3), Some(3)));
    home.reads("misspelt_key", &checked);
    assert_eq!(checked.err, ran.err, "`run` says what `check` says");
}

#[test]
fn wrong_types_are_all_named_at_once() {
    let home = Home::new(None);
    home.edit("config/risk.toml", "max_open_orders = 50", "max_open_orders = \"fifty\"");
    home.edit("config/steadfast.toml", "shutdown_timeout = \"20s\"", "shutdown_timeout = 20");
    let said = home.run(&["check"]);
    assert_eq!(said.code, Some(3));
    home.reads("wrong_type", &said);
}

#[test]
fn secret_in_a_settings_file_is_refused_without_being_repeated() {
    let home = Home::new(None);
    let secret = "x7Jq2mVt9LwPz4RbKd8sYf3HnGc6TeAu";
    home.edit("config/venues/bitget.toml", "key = \"bitget-main\"", &format!("key = \"{secret}\""));
    let said = home.run(&["check"]);
    assert_eq!(said.code, Some(3));
    assert!(!said.err.contains(secret) && !said.out.contains(secret));
    home.reads("secret_in_settings", &said);
}

#[test]
fn instrument_that_the_exchange_does_not_list_is_named_before_anything_trades() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    home.edit("config/venues/bitget.toml", "\"ETHUSDT\"", "\"ETHUSD\"");
    let before = home.files("data/custody");
    let linked = home.run(&["keys", "add", "bitget-main", "--venue", "bitget", "--from-file", "key.txt"]);
    assert_eq!(linked.code, Some(0), "{}", linked.err);
    assert_ne!(before, home.files("data/custody"));
    let said = home.run(&["run"]);
    assert_eq!(said.code, Some(3));
    home.reads("unknown_instrument", &said);
}

#[test]
fn address_beyond_this_machine_is_refused_without_tls() {
    let home = Home::new(None);
    let said = home.run(&["run", "--set", "control.listen=0.0.0.0:7447"]);
    assert_eq!(said.code, Some(3));
    home.reads("open_bind", &said);
    let demo = home.run(&["demo", "--listen", "0.0.0.0:7447"]);
    assert_eq!(demo.code, Some(3));
    home.reads("open_bind_demo", &demo);
}

#[test]
fn missing_settings_directory_names_the_command_that_makes_one() {
    let home = Home::new(None);
    let said = home.run(&["check", "--config", "elsewhere"]);
    assert_eq!(said.code, Some(3));
    home.reads("no_settings", &said);
}

#[test]
fn init_never_overwrites_a_file() {
    let home = Home::new(None);
    std::fs::remove_file(home.path("config/steadfast.toml")).expect("one of the files is removed");
    let before = home.files("config");
    let said = home.run(&["init"]);
    assert_eq!((said.code, home.files("config")), (Some(1), before));
    home.reads("init_twice", &said);
}

#[test]
fn venues_are_shown_with_what_they_can_do() {
    let home = Home::new(None);
    home.reads("venues", &home.run(&["venues"]));
    let said = home.run(&["venues", "--json"]);
    let venues: serde_json::Value = serde_json::from_str(&said.out).expect("one JSON array");
    assert_eq!((said.code, venues[0]["kind"].as_str()), (Some(0), Some("bitget")));
    assert_eq!(venues[1]["account_mode"], "unified");
    assert_eq!(venues[0]["requests_per_second"]["place"], 10);
}

#[test]
fn words_that_no_option_knows_are_usage_errors() {
    let home = Home::new(None);
    for args in [
        &["sim", "--permissions", "reed"][..],
        &["sim", "--balance", "USDT"],
        &["sim", "--clock-offset", "4"],
        &["demo", "--fault", "nonsense@3"],
        &["demo", "--for", "3"],
        &["init", "--strategy", "martingale", "--dir", "new"],
        &["keys", "add", "bitget-main", "--venue", "binance"],
        &["tape", "import", "key.txt", "--from", "csv", "--out", "x"],
        &["frobnicate"],
    ] {
        let said = home.run(args);
        assert_eq!(said.code, Some(2), "{args:?}: {}", said.err);
        assert!(said.err.starts_with("error: "), "{args:?}: {}", said.err);
    }
}
