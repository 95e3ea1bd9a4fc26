//! Everything that can be wrong, and what a person reads about it.

use crate::common::{VENUE, directory, load_with, problems};

const STRATEGY: &str = "kind = \"grid\"\nvenue = \"bitget-main\"\ninstrument = \"BTCUSDT\"\n";

#[track_caller]
fn assert_problem(files: &[(&str, &str)], expected: &str) {
    assert_eq!(problems(files, &[], &[]), expected);
}

#[test]
fn misspelt_key_is_named_with_its_line_and_the_right_spelling() {
    assert_problem(
        &[("risk.toml", "[risk]\n\nmax_order_notinal = \"250\"\n")],
        "error: risk.toml:3:1  risk.max_order_notinal: unknown key\n  did you mean `max_order_notional`?\n  see: \
         config/reference.toml",
    );
}

#[test]
fn each_kind_of_mistake_has_its_message() {
    let cases = [
        (
            "[risk]\nmax_open_orders = \"five\"\n",
            "risk.toml:2:1  risk.max_open_orders: must be a whole number, not \"five\"",
        ),
        ("[risk]\nmax_open_orders = 3.9\n", "risk.toml:2:1  risk.max_open_orders: must be a whole number, not `3.9`"),
        (
            "[risk]\nmax_open_orders = 0\n",
            "risk.toml:2:1  risk.max_open_orders: `0` is out of range: must be from 1 to 10000",
        ),
        (
            "[risk]\nmax_open_orders = -1\n",
            "risk.toml:2:1  risk.max_open_orders: -1 is out of range: must be from 0 to",
        ),
        ("[risk]\nmax_order_notional = 250.5\n", "write it in quotes, so that it stays exact: \"250.5\""),
        ("[risk]\nmax_order_notional = \"0\"\n", "\"0\" is out of range: must be more than 0"),
        ("[risk]\nmax_drawdown = \"150%\"\n", "\"150%\" is out of range: must be from 0.01% to 100%"),
        ("[risk]\nmax_drawdown = 10\n", "must be a percentage in quotes, such as \"2%\", not `10`"),
        ("[risk]\nmax_feed_age = 2\n", "seconds? write \"2s\""),
        ("[risk]\nmax_feed_age = \"2 fortnights\"\n", "must be a time with its unit in quotes"),
        ("[risk]\nself_trade = \"allow\"\n", "risk.self_trade: unknown value \"allow\"\n  known: `reject`"),
        ("[risk.kill_switch]\npersist = \"yes\"\n", "risk.kill_switch.persist: must be true or false, not \"yes\""),
        ("risk = 5\n", "risk.toml:1:1  risk: must be a table, not `5`"),
        ("[risk]\nmax_open_orders = [1]\n", "must be a whole number, not a list"),
        ("[risk]\nmax_feed_age = 2026-01-01\n", "is a date without quotes"),
        ("[risks]\n", "risk.toml:1:2  risks: unknown key\n  did you mean `risk`?"),
        ("\"risk.max_open_orders\" = 5\n", "risk.toml:1:1  risk.max_open_orders: unknown key"),
    ];
    for (text, expected) in cases {
        let found = problems(&[("risk.toml", text)], &[], &[]);
        assert!(found.contains(expected), "{text}\ngave\n{found}");
        assert_eq!(found.matches("error:").count(), 1, "{text}\ngave\n{found}");
    }
}

#[test]
fn all_problems_of_all_files_are_told_at_once() {
    let files = [
        ("steadfast.toml", "mode = \"simm\"\n[log]\nformat = \"yaml\"\n"),
        ("risk.toml", "[risk]\nmax_open_orders = \"x\"\nleverage = 3\n"),
        ("venues/bitget.toml", "[venue.bitget-main]\nkind = \"bitgte\"\nkey = \"bitget-main\"\n"),
        ("strategies/btc-grid.toml", "kind = \"grid\"\ninstrument = 5\n"),
        ("notify.toml", "[[channel]]\nkind = \"telegram\"\n"),
    ];
    let found = problems(&files, &[], &[]);
    let lines: Vec<&str> = found.lines().filter(|line| line.starts_with("error:")).collect();
    assert_eq!(
        lines,
        [
            "error: notify.toml:2:1  notify.channel[0].kind: \"telegram\" does not exist yet",
            "error: risk.toml:2:1  risk.max_open_orders: must be a whole number, not \"x\"",
            "error: risk.toml:3:1  risk.leverage: unknown key",
            "error: steadfast.toml:1:1  mode: unknown value \"simm\"",
            "error: steadfast.toml:3:1  log.format: unknown value \"yaml\"",
            "error: strategies/btc-grid.toml:1:1  strategy.btc-grid.venue: is required and missing",
            "error: strategies/btc-grid.toml:2:1  strategy.btc-grid.instrument: must be text, not `5`",
            "error: venues/bitget.toml:1:8  venue.bitget-main.instruments: is required and missing",
            "error: venues/bitget.toml:2:1  venue.bitget-main.kind: unknown value \"bitgte\"",
        ]
    );
}

#[test]
fn broken_syntax_has_a_place_and_does_not_hide_other_files() {
    let files = [("steadfast.toml", "mode = sim\n"), ("risk.toml", "[risk]\nmax_open_orders = 0\n")];
    let found = problems(&files, &[], &[]);
    assert!(found.contains("error: steadfast.toml:1:8: is not valid TOML"), "{found}");
    assert!(found.contains("error: risk.toml:2:1  risk.max_open_orders"), "{found}");
}

#[test]
fn paper_mode_is_refused_in_a_sentence() {
    assert_problem(
        &[("steadfast.toml", "mode = \"paper\"\n")],
        "error: steadfast.toml:1:1  mode: \"paper\" (live market data with simulated fills) does not exist yet\n  use `sim` \
         or `live`",
    );
}

#[test]
fn simulated_mode_reaches_only_simulated_venues_and_names_the_command() {
    for environment in ["demo", "production"] {
        let venue = format!(
            "[venue.bitget-main]\nkind = \"bitget\"\nenvironment = \"{environment}\"\nkey = \"k\"\ninstruments = [\"BTCUSDT\"]\n"
        );
        assert_problem(
            &[("venues/bitget.toml", &venue)],
            &format!(
                "error: venues/bitget.toml:3:1  venue.bitget-main.environment: \"{environment}\" needs `mode = \"live\"`: with \
                 `mode = \"sim\"` every venue is an embedded exchange on this machine\n  start `steadfast sim --listen \
                 127.0.0.1:7450` and set `environment = \"sim\"` with the addresses that it prints\n  or set `mode = \
                 \"live\"` and start with `--live`"
            ),
        );
        let live = [("venues/bitget.toml", venue.as_str()), ("steadfast.toml", "mode = \"live\"\n")];
        assert_problem(&live, "no problem");
    }
    let live = [("venues/bitget.toml", VENUE), ("steadfast.toml", "mode = \"live\"\n")];
    let found = problems(&live, &[], &[]);
    assert!(found.contains("venue.bitget-main.environment: \"sim\" needs `mode = \"sim\"`"), "{found}");
}

#[test]
fn simulated_venue_needs_literal_loopback_addresses() {
    for host in ["api.bitget.com", "localhost:7450", "127.0.0.1.example.com", "127.0.0.1@example.com", "10.0.0.1:7450"]
    {
        let venue = VENUE.replace("http://127.0.0.1:7450", &format!("http://{host}"));
        let found = problems(&[("venues/bitget.toml", &venue)], &[], &[]);
        assert!(
            found.starts_with("error: venues/bitget.toml:4:1  venue.bitget-main.rest: must be http:// and a literal"),
            "{found}"
        );
        assert!(found.contains("steadfast sim --listen 127.0.0.1:7450"), "{found}");
        assert_eq!(found.matches("error:").count(), 1, "{found}");
    }
    let without = VENUE.replace("ws_private = \"ws://127.0.0.1:7450/v2/ws/private\"\n", "");
    let found = problems(&[("venues/bitget.toml", &without)], &[], &[]);
    assert!(found.contains("venue.bitget-main.ws_private: is required with `environment = \"sim\"`"), "{found}");
    assert!(found.contains("write ws_private = \"ws://127.0.0.1:7450/v2/ws/private\""), "{found}");
}

#[test]
fn real_venue_is_reached_over_tls_only() {
    let venue = VENUE.replace("\"sim\"", "\"demo\"").replace("http://127.0.0.1:7450", "http://example.com");
    let files = [("venues/bitget.toml", venue.as_str()), ("steadfast.toml", "mode = \"live\"\n")];
    let found = problems(&files, &[], &[]);
    assert!(found.contains("venue.bitget-main.rest: must begin with https://"), "{found}");
    assert!(found.contains("venue.bitget-main.ws_public: must begin with wss://"), "{found}");
    assert_eq!(found.matches("error:").count(), 3, "{found}");
}

#[test]
fn control_interface_stays_on_loopback_without_tls_and_names() {
    let tls = "tls = { cert = \"a\", key = \"b\" }\n";
    for listen in ["0.0.0.0:7447", "192.168.1.5:7447", "[::]:7447"] {
        for (rest, missing) in [("", "needs `tls`"), ("hosts = [\"a.test\"]\n", "needs `tls`"), (tls, "needs `hosts`")]
        {
            let text = format!("[control]\nlisten = \"{listen}\"\n{rest}");
            let found = problems(&[("steadfast.toml", &text)], &[], &[]);
            assert!(found.starts_with("error: steadfast.toml:2:1  control.listen: "), "{found}");
            assert!(found.contains(missing) && found.contains("ssh -L"), "{found}");
        }
        let text =
            format!("[control]\nlisten = \"{listen}\"\n{tls}hosts = [\"bot.example.org\", \"[2001:db8::1]:443\"]\n");
        assert_eq!(problems(&[("steadfast.toml", &text)], &[], &[]), "no problem");
    }
}

#[test]
fn certificate_has_two_files_and_names_are_no_addresses() {
    for tls in [
        "{ cert = \"a\" }",
        "{ key = \"a\" }",
        "{ cert = \"\", key = \"b\" }",
        "{ cert = \"a\", key = \"b\", more = 1 }",
    ] {
        let text = format!("[control]\ntls = {tls}\n");
        let found = problems(&[("steadfast.toml", &text)], &[], &[]);
        assert!(found.contains("control.tls"), "{tls}: {found}");
    }
    for host in ["", "https://bot.example.org", "bot.example.org/", "a b", "user@bot.example.org", "*"] {
        let text = format!("[control]\nhosts = [\"{host}\"]\n");
        let found = problems(&[("steadfast.toml", &text)], &[], &[]);
        assert!(found.contains("control.hosts: ") && found.contains("must be names such as"), "{host}: {found}");
    }
}

#[test]
fn secrets_are_refused_and_never_repeated() {
    let random = "9b1f6e2a7c4d8035e6f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7";
    let cases = [
        ("venues/bitget.toml", format!("{VENUE}passphrase = \"hunter2\"\n"), "venue.bitget-main.passphrase", "hunter2"),
        ("venues/bitget.toml", format!("{VENUE}api_key = \"abc123\"\n"), "venue.bitget-main.api_key", "abc123"),
        (
            "venues/bitget.toml",
            VENUE.replace("key = \"bitget-main\"", &format!("key = \"{random}\"")),
            "venue.bitget-main.key",
            random,
        ),
        ("steadfast.toml", format!("[vault]\nunlock = \"{random}\"\n"), "vault.unlock", random),
        ("conf.d/x.toml", format!("[risk]\nmax_feed_age = \"{random}\"\n"), "risk.max_feed_age", random),
    ];
    for (file, text, path, secret) in cases {
        let found = problems(&[(file, &text)], &[], &[]);
        assert!(found.starts_with(&format!("error: {file}:")), "{found}");
        assert!(found.contains(path) && found.contains("steadfast keys add"), "{found}");
        assert!(!found.contains(secret), "{found}");
        assert_eq!(found.matches("error:").count(), 1, "{found}");
    }
    let found = problems(&[], &[("STEADFAST__VENUE__X__SECRET", random)], &[&format!("log.level={random}")]);
    assert!(
        found.contains("environment variable STEADFAST__VENUE__X__SECRET") && found.contains("--set log.level"),
        "{found}"
    );
    assert!(!found.contains(random), "{found}");
}

#[test]
fn webhook_with_a_secret_in_its_address_belongs_into_a_file() {
    let text = "[[channel]]\nkind = \"webhook\"\nurl = \"https://hooks.example.com/services/T0001/Xa9fK2mQp7Rt4Lw8Zc1Vn6Bd\"\n";
    let found = problems(&[("notify.toml", text)], &[], &[]);
    assert!(found.starts_with("error: notify.toml:3:1  notify.channel[0].url: looks like a secret"), "{found}");
    assert!(found.contains("`url_file`") && !found.contains("Xa9f"), "{found}");
}

#[test]
fn channel_has_exactly_one_address() {
    let channel =
        |keys: &str| problems(&[("notify.toml", &format!("[[channel]]\nkind = \"webhook\"\n{keys}"))], &[], &[]);
    assert!(channel("").starts_with("error: notify.toml:1:1  notify.channel[0]: has neither `url` nor `url_file`"));
    assert!(channel("url = \"https://a.example/x\"\nurl_file = \"/x\"\n").contains("cannot be set together"));
    assert!(channel("url = \"http://a.example/x\"\n").contains("must begin with https://"));
    assert_eq!(channel("url = \"http://127.0.0.1:9000/x\"\nevents = { fill = \"off\" }\n"), "no problem");
    assert!(channel("url_file = \"/x\"\nevents = { halted = \"on\" }\n").contains("did you mean `halt`?"));
}

#[test]
fn strategy_names_a_venue_account_and_one_of_its_instruments() {
    let with =
        |strategy: &str| problems(&[("venues/bitget.toml", VENUE), ("strategies/btc-grid.toml", strategy)], &[], &[]);
    assert_eq!(with(STRATEGY), "no problem");
    assert_eq!(
        with(&STRATEGY.replace("bitget-main", "bitget-mian")),
        "error: strategies/btc-grid.toml:2:1  strategy.btc-grid.venue: there is no venue account \"bitget-mian\"\n  did you \
         mean `bitget-main`?"
    );
    assert_eq!(
        with(&STRATEGY.replace("BTCUSDT", "BTCUSTD")),
        "error: strategies/btc-grid.toml:3:1  strategy.btc-grid.instrument: \"BTCUSTD\" is not among the instruments of venue \
         account \"bitget-main\"\n  did you mean `BTCUSDT`?\n  or add it to `instruments` of [venue.bitget-main]"
    );
}

#[test]
fn strategy_limits_are_never_wider_than_the_accounts() {
    let strategy =
        format!("{STRATEGY}[limits]\nmax_daily_loss = \"101\"\nmax_open_orders = 51\nmax_order_notional = \"250\"\n");
    let found = problems(&[("venues/bitget.toml", VENUE), ("strategies/btc-grid.toml", &strategy)], &[], &[]);
    assert!(found.contains("btc-grid.toml:5:1  strategy.btc-grid.limits.max_daily_loss: is wider than `risk.max_daily_loss`, which is 100"), "{found}");
    assert!(found.contains("strategy.btc-grid.limits.max_open_orders: is wider than"), "{found}");
    assert_eq!(found.matches("error:").count(), 2, "{found}");
}

#[test]
fn setting_in_two_files_is_refused_but_conf_d_may_override() {
    let files = [("steadfast.toml", "[risk]\nmax_open_orders = 5\n"), ("risk.toml", "[risk]\nmax_open_orders = 6\n")];
    let found = problems(&files, &[], &[]);
    assert!(
        found.starts_with("error: risk.toml:2:1  risk.max_open_orders: is already set in steadfast.toml:2"),
        "{found}"
    );
}

#[test]
fn newer_layout_is_refused() {
    let found = problems(&[("steadfast.toml", "schema_version = 2\n")], &[], &[]);
    assert!(
        found.contains("schema_version: `2` is out of range: must be 1, the only version that this program reads"),
        "{found}"
    );
}

#[test]
fn bad_names_of_files_and_accounts_are_refused() {
    let found = problems(&[("strategies/My Grid.toml", STRATEGY)], &[], &[]);
    assert!(found.starts_with("error: strategies/My Grid.toml: the file's name is the strategy's id"), "{found}");
    let venue = VENUE.replace("[venue.bitget-main]", "[venue.Main_1]");
    let found = problems(&[("venues/x.toml", &venue)], &[], &[]);
    assert!(found.starts_with("error: venues/x.toml:1:8  venue.Main_1: is not a name"), "{found}");
}

#[test]
fn missing_directory_names_the_command_that_makes_one() {
    let directory = directory(&[]);
    let missing = directory.path().join("nowhere");
    let found = load_with(&missing, &[], &[]).expect_err("there is none").to_string();
    assert!(found.contains("there is no settings directory here") && found.contains("steadfast init"), "{found}");
}

#[test]
fn rights_to_withdraw_cannot_be_permitted() {
    let venue = format!("{VENUE}[venue.bitget-main.key_policy]\nforbid = [\"transfer\"]\n");
    let found = problems(&[("venues/bitget.toml", &venue)], &[], &[]);
    assert!(found.contains("must be a list with both \"withdraw\" and \"transfer\""), "{found}");
}

#[test]
fn features_of_later_versions_are_refused_by_name() {
    let text = "mode = \"paper\"\n";
    let found = problems(&[("steadfast.toml", text)], &[], &[]);
    assert_eq!(found.matches("does not exist yet").count(), 1, "{found}");
}

#[test]
fn perpetuals_need_their_product_a_leverage_within_the_limit_and_a_side_exactly_in_hedge_mode() {
    let listed = "instruments = [\"BTCUSDT\", \"ETHUSDT\"]";
    let futures = |products: &str, table: &str| {
        let perpetual = VENUE.replace(listed, &format!("instruments = [\"BTCUSDT-PERP\"]\nproducts = [{products}]"));
        format!("{perpetual}[venue.bitget-main.futures]\n{table}\n")
    };
    let strategy = |side: &str| STRATEGY.replace("BTCUSDT", "BTCUSDT-PERP") + side;
    let found = |venue: &str, strategy: &str| {
        problems(&[("venues/bitget.toml", venue), ("strategies/a.toml", strategy)], &[], &[])
    };
    let good = futures("\"usdt-futures\"", "leverage = 2");
    assert_eq!(found(&good, &strategy("")), "no problem");
    let hedged = futures("\"usdt-futures\"", "position_mode = \"hedge\"");
    assert_eq!(found(&hedged, &strategy("position_side = \"short\"\n")), "no problem");
    let cases = [
        (futures("\"spot\"", "leverage = 2"), strategy(""), "\"BTCUSDT-PERP\" needs the product \"usdt-futures\""),
        (futures("\"usdt-futures\"", "leverage = 4"), strategy(""), "is above `risk.max_leverage`, which is 3"),
        (hedged, strategy(""), "strategy.a.position_side: is required on an account"),
        (good, strategy("position_side = \"long\"\n"), "strategy.a.position_side: is for perpetual futures of"),
    ];
    for (venue, strategy, expected) in cases {
        let told = found(&venue, &strategy);
        assert!(told.contains(expected) && told.matches("error:").count() == 1, "{expected}\ngave\n{told}");
    }
}

#[test]
fn half_written_file_is_read_or_refused_with_its_name() {
    let whole = VENUE;
    for end in (0..=whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        let found = problems(&[("venues/bitget.toml", &whole[..end])], &[], &[]);
        assert!(
            found == "no problem"
                || found.lines().all(|line| line.starts_with("  ") || line.contains("venues/bitget.toml:")),
            "{end}: {found}"
        );
    }
}
