//! One life of a daemon that ends by `kill -9` while it trades, and the life after it.

use super::books::{self, Books};
use super::lab::{Exchange, Home, until};
use super::spot::Truth;
use domain::ClientOrderId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a scenario saw, for the record.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Orders that rested when the process had died.
    pub(crate) rested: usize,
    /// Of these, resting a moment after the restart.
    pub(crate) kept: usize,
    /// Orders that were unknown at the restart.
    pub(crate) unknown: usize,
    /// Orders and fills of both lives.
    pub(crate) orders: usize,
    pub(crate) fills: usize,
}

fn clients(truth: &Truth) -> BTreeSet<ClientOrderId> {
    truth.resting.iter().map(|order| order.client_id.parse().unwrap()).collect()
}

/// Lets `first_life` run a daemon until it is killed, starts it again, lets it trade, stops it; fails unless nothing was
/// lost, doubled or guessed at.
pub(crate) fn survive(seed: u64, first_life: impl FnOnce(&Exchange, &Home)) -> Seen {
    let exchange = Exchange::start(seed, &[]);
    let home = Home::new(&exchange);
    first_life(&exchange, &home);
    let journalled = Books::read(&home);
    let left = exchange.truth();

    let mut daemon = home.run(None);
    daemon.ready();
    let page = daemon.api("/api/v1/orders?limit=200");
    let known: BTreeMap<ClientOrderId, String> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            (text("client_order_id").parse().unwrap(), text("strategy"))
        })
        .collect();
    for id in clients(&left) {
        let strategy = known.get(&id).unwrap_or_else(|| panic!("{id} rested and is not known after the restart"));
        assert!(["grid", "maker"].contains(&strategy.as_str()), "{id} belongs to `{strategy}`");
    }
    let after = exchange.truth();
    // It goes on trading: orders of its new life, by both strategies.
    until("orders of the new life", || {
        let new = exchange.truth();
        let before: BTreeSet<_> = left.resting.iter().chain(&left.ended).map(|order| &order.venue_id).collect();
        let placed = new.resting.iter().chain(&new.ended).filter(|order| !before.contains(&order.venue_id)).count();
        (placed >= 6).then_some(())
    });
    let later = exchange.truth();
    let (status, took) = daemon.stop();
    assert!(status.success(), "stopping ended with {status}");
    assert!(took < Duration::from_secs(8), "stopping took {took:?}");

    let (books, truth) = books::agree(&exchange, &home);
    assert_eq!(truth.resting.len(), 0, "cancelled at the end: {:?}", truth.resting);
    assert_eq!(books.starts, 2);
    let verified = home.command(&["journal", "verify"]).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
    for moment in [&left, &after, &later] {
        books.nothing_doubled(&moment.resting);
    }
    let grid = |truth: &Truth| -> BTreeSet<ClientOrderId> {
        let is_grid = |id: &ClientOrderId| books.orders[id].strategy == books::GRID;
        clients(truth).into_iter().filter(is_grid).collect()
    };
    let (rested, kept) = (grid(&left), grid(&after));
    let gone = ended(&after);
    let taken_up = rested.iter().filter(|id| kept.contains(*id) || gone.get(*id) == Some(&"filled")).count();
    assert!(
        rested.is_empty() || taken_up * 2 >= rested.len(),
        "the grid took up {taken_up} of its {} orders: {left:?} then {after:?}",
        rested.len()
    );
    Seen {
        rested: left.resting.len(),
        kept: clients(&left).intersection(&clients(&after)).count(),
        unknown: books.unknown_seen.difference(&journalled.unknown_seen).count(),
        orders: books.orders.len(),
        fills: books.fills.len(),
    }
}

/// Prints what all scenarios saw together, for the record of a long run. Something must have been at stake.
pub(crate) fn measure(seen: &[Seen]) {
    let total = |count: fn(&Seen) -> usize| seen.iter().map(count).sum::<usize>();
    let measures = [
        ("kills", seen.len()),
        ("orders", total(|seen| seen.orders)),
        ("fills", total(|seen| seen.fills)),
        ("rested_at_kill", total(|seen| seen.rested)),
        ("kept_after_restart", total(|seen| seen.kept)),
        ("unknown_resolved", total(|seen| seen.unknown)),
    ];
    for (name, value) in measures {
        println!("measure: {}", serde_json::json!({ "name": name, "value": value, "unit": "count" }));
    }
    assert!(total(|seen| seen.rested) > 0 && total(|seen| seen.fills) > 0, "nothing was at stake");
}

fn ended(truth: &Truth) -> BTreeMap<ClientOrderId, &str> {
    truth.ended.iter().map(|order| (order.client_id.parse().unwrap(), order.status.as_str())).collect()
}
