//! `steadfast keys policy`, and the policy proposed when a key is linked: what its signer may sign.

use crate::cli::{Global, KeysPolicyArgs, KeysPolicyCommand};
use crate::commands::client::plain;
use crate::commands::keys::Place;
use crate::commands::keys_life::{self, Keeper};
use crate::key_desk;
use crate::plan::VenuePlan;
use crate::report::{Exit, Trouble, causes};
use crate::term::{can_ask, data, say, tell};
use control_plane::KeyDone;
use domain::{Clock, Scaled};
use net::{HttpClient, HttpConfig};
use order_gateway::fetch_prices;
use order_signer::PolicyMove;
use risk_guard::Limits;
use serde_json::Value;
use sign_policy::{DeriveFacts, Direction, FuturesFacts, PolicyDocument};
use std::io::BufRead as _;
use std::sync::Arc;

/// Orders on one side that a strategy may place within a minute for each that it may place within a second: it may
/// hurry, but not for a whole minute.
const SUSTAINED: u32 = 12;

/// `steadfast keys policy ...`
///
/// # Errors
/// [`Trouble`]: nothing was changed.
pub(crate) fn run(global: &Global, command: &KeysPolicyCommand, keeper: Keeper) -> Result<(), Trouble> {
    match command {
        KeysPolicyCommand::Show(args) => show(global, &args.alias, keeper),
        KeysPolicyCommand::Tighten(args) => change(global, args, PolicyMove::Tighten, keeper),
        KeysPolicyCommand::Loosen(args) => change(global, args, PolicyMove::Loosen, keeper),
    }
}

/// The policy of a key, and one that waits.
struct Held {
    policy: String,
    waiting: Option<(String, jiff::Timestamp)>,
}

fn held(global: &Global, alias: &str, keeper: Keeper) -> Result<(Held, Back), Trouble> {
    match keeper {
        Keeper::Daemon(client) => {
            let key = keys_life::find(keys_life::all(&client)?, alias)?;
            let waiting = key.waiting_policy.map(|waiting| (waiting.policy, waiting.due));
            Ok((Held { policy: key.policy, waiting }, Back::Daemon(client)))
        }
        Keeper::Nobody(place) => {
            let mut custody = keys_life::open(global, &place)?;
            let settled = custody.settle_policies(place.clock.unix());
            settled.map_err(|error| crate::commands::keys::custody_trouble(&error))?;
            let record = custody.show(alias).map_err(|error| keys_life::not_found(&error))?;
            let waiting = record.waiting_policy.clone().map(|waiting| (waiting.policy, key_desk::time(waiting.due)));
            let policy = record.policy.clone();
            Ok((Held { policy, waiting }, Back::Vault(place, Box::new(custody))))
        }
    }
}

/// Where a changed policy goes.
enum Back {
    Daemon(Box<crate::commands::client::Client>),
    Vault(Box<Place>, Box<order_signer::Custody>),
}

fn show(global: &Global, alias: &str, keeper: Keeper) -> Result<(), Trouble> {
    let (Held { policy, waiting }, _back) = held(global, alias, keeper)?;
    if global.json {
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
        let waits = waiting.map(|(text, due)| serde_json::json!({ "policy": parsed(&text), "due": due }));
        data(&serde_json::json!({ "alias": alias, "policy": parsed(&policy), "waiting": waits }).to_string());
        return Ok(());
    }
    if policy.is_empty() {
        data(&format!("key `{}` has no policy: nothing is placed with it", plain(alias)));
        say(global, "give it one with: steadfast keys policy loosen NAME --from-file FILE --reason '...'");
        return Ok(());
    }
    for line in read(&policy)?.describe() {
        data(&plain(&line));
    }
    if let Some((text, due)) = waiting {
        data(&format!("from {} on:", due.strftime("%F %T UTC")));
        for line in differences(&policy, &read(&text)?) {
            data(&line);
        }
    }
    Ok(())
}

fn read(text: &str) -> Result<PolicyDocument, Trouble> {
    PolicyDocument::parse(text).map_err(|error| {
        Trouble::new(Exit::Key, "the policy cannot be used").why(plain(&error.to_string())).fix("nothing was changed")
    })
}

/// What changes, a line each, with the direction.
fn differences(before: &str, after: &PolicyDocument) -> Vec<String> {
    let Ok(before) = PolicyDocument::parse(before) else { return after.describe() };
    let line = |change: sign_policy::PolicyChange| {
        let word = match change.direction {
            Direction::Tightens => "tightens",
            Direction::Loosens => "LOOSENS",
            Direction::Same => "same",
        };
        let or = |text: String| if text.is_empty() { "nothing".to_owned() } else { text };
        plain(&format!("  {word:<8} {}: {} -> {}", change.field, or(change.before), or(change.after)))
    };
    before.changes(after).into_iter().map(line).collect()
}

fn change(global: &Global, args: &KeysPolicyArgs, wanted: PolicyMove, keeper: Keeper) -> Result<(), Trouble> {
    let reason = args.reason.as_deref().map_or(Ok("asked for at the terminal"), keys_life::said)?;
    let (held, back) = held(global, &args.alias, keeper)?;
    let next = match &args.from_file {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Trouble::new(Exit::Failure, format!("{} cannot be read", path.display())).why(error)
            })?;
            read(&text)?
        }
        None if held.policy.is_empty() => {
            return Err(Trouble::new(Exit::Key, format!("key `{}` has no policy to change", plain(&args.alias)))
                .fix("give it a whole one with --from-file FILE"));
        }
        None => read(&with(&held.policy, &args.set)?)?,
    };
    let lines = differences(&held.policy, &next);
    if lines.is_empty() {
        say(global, "that is the policy already");
        return Ok(());
    }
    for line in &lines {
        say(global, line);
    }
    let loosens = PolicyDocument::parse(&held.policy).map_or(true, |before| before.is_loosening(&next));
    if wanted == PolicyMove::Tighten && loosens {
        return Err(Trouble::new(Exit::Refused, "this is no tightening")
            .why("the lines marked LOOSENS let more be signed")
            .fix(format!(
                "steadfast keys policy loosen {} with the same change, or leave them out",
                plain(&args.alias)
            )));
    }
    let text = next.to_text();
    let done = match back {
        Back::Daemon(client) => {
            let verb = if wanted == PolicyMove::Tighten { "policy/tighten" } else { "policy/loosen" };
            let body = serde_json::json!({ "alias": args.alias, "policy": text, "reason": reason });
            keys_life::wish(global, &client, verb, &body, args.totp.as_deref())?
        }
        Back::Vault(place, mut custody) => {
            if wanted == PolicyMove::Loosen {
                keys_life::confirm(global, &mut custody, args.totp.as_deref())?;
            }
            let set = custody
                .change_policy(&args.alias, wanted, &text, reason, place.clock.unix())
                .map_err(|error| crate::commands::keys::custody_trouble(&error))?;
            let status = custody.show(&args.alias).map(|record| record.state.as_str()).unwrap_or_default();
            KeyDone { status: status.to_owned(), done: vec![key_desk::policy_words(set)] }
        }
    };
    keys_life::report(global, &args.alias, &done);
    Ok(())
}

/// A policy's text with fields replaced, each named as `steadfast keys policy tighten` shows it, such as
/// `BTCUSDT.order_notional` or `orders.per_second`; `instrument.` may stand before.
fn with(policy: &str, sets: &[String]) -> Result<String, Trouble> {
    let bad = |set: &str, why: String| {
        Trouble::new(Exit::Usage, format!("`{}` changes no field of the policy", plain(set)))
            .why(why)
            .fix("fields are named as in `steadfast keys policy show --json`, such as BTCUSDT.buy.day.notional=5000")
    };
    let mut tree: Value = serde_json::from_str(policy)
        .map_err(|error| Trouble::new(Exit::Key, "the policy cannot be read").why(error))?;
    for set in sets {
        let (path, text) = set.split_once('=').ok_or_else(|| bad(set, "a field and a value are needed".to_owned()))?;
        let path = path.trim().strip_prefix("instrument.").unwrap_or(path.trim());
        let mut here = &mut tree;
        for step in path.split('.') {
            let step = match step {
                "max_notional" => "order_notional",
                "max_quantity" => "order_quantity",
                other => other,
            };
            let listed = here
                .get("instruments")
                .and_then(Value::as_array)
                .and_then(|all| all.iter().position(|one| one.get("symbol").and_then(Value::as_str) == Some(step)));
            let next = match listed {
                Some(place) => here.get_mut("instruments").and_then(|all| all.get_mut(place)),
                None => here.get_mut(step),
            };
            here = next.ok_or_else(|| bad(set, format!("there is no `{}`", plain(step))))?;
        }
        let text = text.trim();
        *here = match here {
            Value::String(_) => Value::String(text.to_owned()),
            Value::Number(_) | Value::Null if text == "none" => Value::Null,
            Value::Number(_) | Value::Null => {
                let number: u64 = text.parse().map_err(|_| bad(set, "a whole number is needed".to_owned()))?;
                number.into()
            }
            _ => return Err(bad(set, "that is a group of fields".to_owned())),
        };
    }
    Ok(tree.to_string())
}

/// The policy proposed for a key of an account: the instruments of the settings at their prices of now, at twice the
/// risk limits. None: the exchange did not tell its prices, which its verification will say too.
pub(crate) async fn proposed(limits: &Limits, venue: &VenuePlan, clock: &Arc<dyn Clock>) -> Option<PolicyDocument> {
    let config =
        HttpConfig { plaintext: venue.plaintext, answer_patience: venue.rest_timeout, ..HttpConfig::default() };
    let http = HttpClient::new(config, Arc::clone(clock)).ok()?;
    let prices = match fetch_prices(&http, venue.codecs.public.as_ref(), &venue.rest).await {
        Ok(prices) => prices,
        Err(error) => {
            tracing::warn!(error = causes(&error), "no prices for a policy");
            return None;
        }
    };
    let max_order_notional = Scaled::try_from(limits.max_order_notional.0).ok()?;
    let max_open_orders = limits.max_open_orders;
    let facts: Vec<DeriveFacts> = prices
        .into_iter()
        .filter(|(symbol, _)| venue.symbols.iter().any(|wanted| wanted == symbol.as_str()))
        .map(|(symbol, price)| DeriveFacts {
            symbol,
            price,
            max_order_notional,
            max_order_quantity: None,
            max_open_orders,
            max_orders_per_second: limits.max_orders_per_second,
            max_cancels_per_second: limits.max_cancels_per_second,
            placements_per_minute: limits.max_orders_per_second.saturating_mul(SUSTAINED),
            futures: venue
                .futures
                .filter(|_| domain::Market::of(&symbol).has_positions())
                .map(|wish| FuturesFacts { leverage: wish.leverage, margin_mode: wish.margin_mode }),
        })
        .collect();
    (facts.len() == venue.symbols.len()).then(|| PolicyDocument::derive(&facts, clock.unix()))
}

/// As [`proposed`], for callers that wait.
pub(crate) fn proposed_now(limits: &Limits, venue: &VenuePlan, clock: &Arc<dyn Clock>) -> Option<PolicyDocument> {
    net::install_tls_provider();
    actix_rt::System::new().block_on(proposed(limits, venue, clock))
}

/// Shows a proposed policy to whoever is at the terminal and asks; without a terminal it is taken and named.
///
/// # Errors
/// [`Trouble`]: the person said no.
pub(crate) fn confirmed(global: &Global, alias: &str, yes: bool, document: &PolicyDocument) -> Result<(), Trouble> {
    let symbols: Vec<&str> = document.instruments.iter().map(|instrument| instrument.symbol.as_str()).collect();
    if yes || !can_ask(global) {
        say(
            global,
            &format!(
                "policy: {} from half to twice the price of now, at twice the risk limits; see steadfast keys policy show {alias}",
                symbols.join(", ")
            ),
        );
        return Ok(());
    }
    tell("what the signer will sign with this key, and nothing else:");
    for line in document.describe() {
        tell(&format!("  {}", plain(&line)));
    }
    eprint!("link the key with this policy? [Y/n] ");
    let mut line = String::new();
    let _ = std::io::stdin().lock().read_line(&mut line);
    match line.trim() {
        "" | "y" | "Y" | "yes" => Ok(()),
        _ => Err(Trouble::new(Exit::Refused, "the key is not linked")
            .why("its policy was not confirmed")
            .fix("narrow the limits in config/risk.toml or the instruments of the account, then add it again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> PolicyDocument {
        let facts = DeriveFacts {
            symbol: domain::Symbol::from("BTCUSDT").unwrap(),
            price: Scaled { mantissa: 64_000, decimals: 0 },
            max_order_notional: Scaled { mantissa: 250, decimals: 0 },
            max_order_quantity: None,
            max_open_orders: 50,
            max_orders_per_second: 5,
            max_cancels_per_second: 10,
            placements_per_minute: 60,
            futures: None,
        };
        PolicyDocument::derive(&[facts], domain::UnixNanos(1_700_000_000_000_000_000))
    }

    fn set(field: &str) -> Result<PolicyDocument, Trouble> {
        read(&with(&policy().to_text(), &[field.to_owned()])?)
    }

    #[test]
    fn fields_are_set_by_the_names_under_which_they_are_shown() {
        let before = policy();
        for (field, direction) in [
            ("instrument.BTCUSDT.max_notional=100", Direction::Tightens),
            ("BTCUSDT.order_notional=5000", Direction::Loosens),
            ("BTCUSDT.high=70000.5", Direction::Tightens),
            ("BTCUSDT.low=60000", Direction::Tightens),
            ("BTCUSDT.open_orders=3", Direction::Tightens),
            ("orders.per_second=1000", Direction::Loosens),
            ("loosening_delay_seconds=3600", Direction::Tightens),
            ("BTCUSDT.buy.day.notional=1", Direction::Tightens),
        ] {
            let next = set(field).unwrap();
            let changes = before.changes(&next);
            assert_eq!(changes.len(), 1, "{field}");
            assert_eq!(changes[0].direction, direction, "{field}");
            let line = &differences(&before.to_text(), &next)[0];
            assert_eq!(line.contains("LOOSENS"), direction == Direction::Loosens, "{line}");
        }
    }

    #[test]
    fn what_is_no_field_or_no_value_of_it_changes_nothing() {
        for field in [
            "BTCUSDT",
            "BTCUSDT=1",
            "BTCUSDT.buy=1",
            "ETHUSDT.order_notional=1",
            "BTCUSDT.limit=1",
            "BTCUSDT.open_orders=many",
            "BTCUSDT.order_notional=much",
            "BTCUSDT.low=-1",
            "orders.per_second=none",
            "=1",
        ] {
            assert!(set(field).is_err(), "{field}");
        }
    }
}
