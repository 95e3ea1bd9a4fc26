//! Keys and the vault: exit code 6, the one thing that is wrong, and a vault that holds what it held.

use crate::support::{Home, KEY, PASSPHRASE, SECRET, STEADFAST, Said, Sim, VAULT_PASSPHRASE, set_mode};

const ADD: [&str; 6] = ["keys", "add", "bitget-main", "--venue", "bitget", "--stdin"];

fn add(home: &Home, key: &str, secret: &str, passphrase: &str) -> Said {
    home.run_with(&ADD, &format!("{key}\n{secret}\n{passphrase}\n"))
}

fn listed(home: &Home) -> serde_json::Value {
    let said = home.run(&["keys", "list", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    serde_json::from_str(&said.out).expect("the list is JSON")
}

fn states(home: &Home) -> Vec<String> {
    let rows = listed(home);
    let rows = rows.as_array().expect("a list");
    rows.iter().map(|row| row["status"].as_str().expect("a state").to_owned()).collect()
}

#[test]
fn wrong_secret_is_named_and_the_right_one_is_taken_afterwards() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    let wrong = SECRET.replace('9', "8");
    let said = add(&home, KEY, &wrong, PASSPHRASE);
    assert!(!said.err.contains(&wrong) && !said.out.contains(&wrong));
    assert_eq!(said.code, Some(6));
    home.reads("wrong_secret", &said);
    assert_eq!(states(&home), Vec::<String>::new(), "nothing was stored");
    let said = add(&home, KEY, SECRET, "not-the-passphrase");
    assert_eq!(said.code, Some(6));
    home.reads("wrong_key_passphrase", &said);
    let said = add(&home, KEY, SECRET, PASSPHRASE);
    assert_eq!(said.code, Some(0), "{}", said.err);
    home.reads("right_secret", &said);
    assert_eq!(states(&home), ["Active"]);

    let before = home.files("data/custody");
    let said = add(&home, KEY, SECRET, PASSPHRASE);
    assert_eq!(said.code, Some(6));
    home.reads("name_taken", &said);
    assert_eq!(home.files("data/custody"), before);
    let said = home.run(&["keys", "test", "nobody"]);
    assert_eq!(said.code, Some(8));
    home.reads("no_such_key", &said);
}

#[test]
fn key_that_may_withdraw_is_refused_and_not_stored() {
    let sim = Sim::start(&["--permissions", "read,trade,withdraw"]);
    let home = Home::new(Some(&sim));
    let said = add(&home, KEY, SECRET, PASSPHRASE);
    assert_eq!(said.code, Some(6));
    home.reads("withdrawal_right", &said);
    assert_eq!(states(&home), Vec::<String>::new());
}

#[test]
fn key_that_may_not_trade_is_kept_until_the_right_is_given() {
    let sim = Sim::start(&["--permissions", "read"]);
    let home = Home::new(Some(&sim));
    let said = add(&home, KEY, SECRET, PASSPHRASE);
    assert_eq!(said.code, Some(6));
    home.reads("missing_right", &said);
    assert_eq!(states(&home), ["Linked"]);
}

#[test]
fn clock_off_by_40_seconds_is_named_and_the_key_is_kept() {
    let sim = Sim::start(&["--clock-offset", "40s"]);
    let home = Home::new(Some(&sim));
    let said = add(&home, KEY, SECRET, PASSPHRASE);
    assert_eq!(said.code, Some(6));
    home.reads("clock_off", &said);
    assert_eq!(states(&home), ["Linked"]);
    let again = home.run(&["keys", "test", "bitget-main"]);
    assert_eq!(again.code, Some(6));
    home.reads("clock_off_again", &again);
    assert_eq!(states(&home), ["Linked"]);
}

#[test]
fn address_that_is_not_on_the_list_is_named_and_the_key_is_kept() {
    let sim = Sim::start(&["--ip", "10.9.9.9"]);
    let home = Home::new(Some(&sim));
    let said = add(&home, KEY, SECRET, PASSPHRASE);
    assert_eq!(said.code, Some(6));
    home.reads("wrong_address", &said);
    assert_eq!(states(&home), ["Linked"]);
}

#[test]
fn demo_key_on_a_production_account_is_named() {
    let sim = Sim::start(&["--environment", "demo"]);
    let home = Home::new(Some(&sim));
    let said = add(&home, KEY, SECRET, PASSPHRASE);
    assert_eq!(said.code, Some(6));
    home.reads("wrong_environment", &said);
    assert_eq!(states(&home), Vec::<String>::new());
}

#[test]
fn unified_account_is_recognised_and_its_daemon_asks_for_a_key_that_only_reads() {
    let sim = Sim::start(&["--account", "uta"]);
    let home = Home::new(Some(&sim));
    let said = add(&home, KEY, SECRET, PASSPHRASE);
    assert_eq!(said.code, Some(0), "{}", said.err);
    home.reads("unified_account", &said);
    assert_eq!(states(&home), ["Active"]);
    let said = home.run(&["run"]);
    assert_eq!(said.code, Some(6));
    home.reads("unified_needs_stream_key", &said);
}

#[test]
fn silent_exchange_is_no_fault_of_the_key() {
    let home = Home::new(None);
    let said = add(&home, KEY, SECRET, PASSPHRASE);
    assert_eq!(said.code, Some(1));
    home.reads("venue_down_keys", &said);
    assert_eq!(states(&home), ["Linked"], "the values may be right");
}

#[test]
fn key_that_was_linked_while_the_exchange_was_silent_gets_its_policy_when_it_is_tried_again() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    let rest = format!("rest = \"{}\"", sim.addresses.rest);
    home.edit("config/conf.d/local.toml", &rest, "rest = \"http://127.0.0.1:9\"");
    add(&home, KEY, SECRET, PASSPHRASE);
    let held = || home.run(&["keys", "policy", "show", "bitget-main"]).out;
    assert!(held().contains("nothing is placed with it"), "{}", held());
    home.edit("config/conf.d/local.toml", "rest = \"http://127.0.0.1:9\"", &rest);
    assert_eq!(home.run(&["keys", "test", "bitget-main"]).code, Some(0));
    assert_eq!(states(&home), ["Active"]);
    assert!(held().contains("BTCUSDT: no sell below"), "{}", held());
}

#[test]
fn mistyped_secret_that_nobody_could_try_is_replaced_by_linking_again() {
    let sim = Sim::start(&[]);
    let home = Home::new(Some(&sim));
    let rest = format!("rest = \"{}\"", sim.addresses.rest);
    home.edit("config/conf.d/local.toml", &rest, "rest = \"http://127.0.0.1:9\"");
    add(&home, KEY, &SECRET.replace('9', "8"), PASSPHRASE);
    assert_eq!(states(&home), ["Linked"]);
    home.edit("config/conf.d/local.toml", "rest = \"http://127.0.0.1:9\"", &rest);
    assert_eq!(home.run(&["keys", "test", "bitget-main"]).code, Some(6), "the secret is wrong");
    let said = add(&home, KEY, SECRET, PASSPHRASE);
    assert_eq!(said.code, Some(0), "{}", said.err);
    home.reads("linked_again", &said);
    assert_eq!(states(&home), ["Active"]);
}

#[test]
fn wrong_passphrase_of_the_vault_changes_nothing_in_it() {
    let home = Home::new(None);
    home.write("vault-passphrase", "another six words for a vault\n", 0o600);
    let before = home.files("data/custody").into_iter().filter(|(path, _)| path.ends_with("keys.vault"));
    let before: Vec<_> = before.collect();
    let said = home.run(&["keys", "list"]);
    assert_eq!(said.code, Some(6));
    home.reads("wrong_vault_passphrase", &said);
    let after = home.files("data/custody").into_iter().filter(|(path, _)| path.ends_with("keys.vault"));
    assert_eq!(before, after.collect::<Vec<_>>());
    assert!(home.run(&["run"]).err.ends_with(&said.err), "the daemon says the same");
}

#[test]
fn vault_is_locked_after_wrong_passphrases_until_it_is_opened_by_hand() {
    let home = Home::new(None);
    home.edit("config/conf.d/local.toml", "[vault]\n", "[vault]\nauto_lock_after_failures = 2\n");
    home.write("vault-passphrase", "another six words for a vault\n", 0o600);
    assert!(home.run(&["keys", "list"]).err.contains("does not open"));
    assert!(home.run(&["run"]).err.contains("does not open"), "the setting allows two");
    home.write("vault-passphrase", &format!("{VAULT_PASSPHRASE}\n"), 0o600);
    let said = home.run(&["run"]);
    assert_eq!(said.code, Some(6));
    home.reads("locked_vault", &said);
    home.edit("config/conf.d/local.toml", "file:vault-passphrase", "prompt");
    let said = home.run(&["keys", "list"]);
    assert!(said.err.contains("cannot ask for the passphrase"), "a person at a terminal may try: {}", said.err);
}

#[test]
fn passphrase_is_taken_from_a_descriptor_for_one_command() {
    let home = Home::new(None);
    home.edit("config/conf.d/local.toml", "file:vault-passphrase", "prompt");
    let line = format!("STEADFAST__VAULT__UNLOCK=file:/dev/fd/3 {STEADFAST} keys list --json 3< vault-passphrase");
    let said = home.run_shell(&line);
    assert_eq!((said.code, said.out.trim()), (Some(0), "[]"), "{}", said.err);
    let said =
        home.run_shell(&format!("cat vault-passphrase | {{ {line}; }} 3<&0").replace(" 3< vault-passphrase", ""));
    assert_eq!((said.code, said.out.trim()), (Some(0), "[]"), "{}", said.err);
}

#[test]
fn vault_that_others_may_read_is_not_opened() {
    let home = Home::new(None);
    set_mode(&home.path("data/custody/keys.vault"), 0o644);
    let before = home.files("data/custody");
    let said = home.run(&["run"]);
    assert_eq!(said.code, Some(6));
    home.reads("open_vault", &said);
    assert_eq!(home.files("data/custody"), before);
}

#[test]
fn passphrase_file_that_others_may_read_is_not_read() {
    let home = Home::new(None);
    set_mode(&home.path("vault-passphrase"), 0o640);
    let said = home.run(&["keys", "list"]);
    assert_eq!(said.code, Some(6));
    home.reads("open_passphrase_file", &said);
}

#[test]
fn nothing_is_asked_without_a_terminal() {
    let home = Home::new(None);
    home.edit("config/conf.d/local.toml", "file:vault-passphrase", "prompt");
    let said = home.run(&["keys", "list"]);
    assert_eq!(said.code, Some(6));
    home.reads("no_terminal", &said);
}

#[test]
fn new_vault_with_a_short_passphrase_is_not_made() {
    let home = Home::new(None);
    std::fs::remove_dir_all(home.path("data/custody")).expect("the vault is removed");
    home.write("vault-passphrase", "too short\n", 0o600);
    let said = add(&home, KEY, SECRET, PASSPHRASE);
    assert_eq!(said.code, Some(6));
    home.reads("short_vault_passphrase", &said);
    assert!(!home.path("data/custody/keys.vault").exists());
}

#[test]
fn key_of_fewer_than_three_lines_is_not_taken() {
    let home = Home::new(None);
    let said = home.run_with(&ADD, &format!("{KEY}\n{SECRET}\n"));
    assert_eq!(said.code, Some(6));
    home.reads("two_lines", &said);
}

#[test]
fn key_of_a_name_that_no_account_uses_is_refused_before_it_is_read() {
    let home = Home::new(None);
    let said = home.run(&["keys", "add", "other", "--venue", "bitget", "--from-file", "key.txt"]);
    assert_eq!(said.code, Some(3));
    home.reads("unused_name", &said);
}

#[test]
fn daemon_without_a_key_names_the_command_that_links_one() {
    let home = Home::new(None);
    std::fs::remove_dir_all(home.path("data/custody")).expect("the vault is removed");
    let said = home.run(&["run"]);
    assert_eq!(said.code, Some(6));
    home.reads("no_vault", &said);
}
