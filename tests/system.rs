//! The whole program against an exchange in a process of its own: killed, cut off, lied to, stopped and started again.
//! After each, the exchange's books and the journal must agree order by order.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed assumption fails the test")]

#[path = "system/books.rs"]
mod books;
#[path = "system/crash.rs"]
mod crash;
#[path = "system/http.rs"]
mod http;
#[path = "system/lab.rs"]
mod lab;
#[cfg(target_os = "linux")]
#[path = "system/signer.rs"]
mod signer;
#[path = "system/spot.rs"]
mod spot;

use books::Books;
use lab::{Daemon, Exchange, Home, until};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use std::time::Duration;

/// An orderly stop takes no longer, the last answers of the exchange included.
const STOP_MAX: Duration = Duration::from_secs(8);

/// Stops in order and compares all books; nothing may rest.
fn stop_and_agree(daemon: Daemon, exchange: &Exchange, home: &Home) -> Books {
    let (status, took) = daemon.stop();
    assert!(status.success() && took < STOP_MAX, "stopping ended with {status} after {took:?}");
    let (books, truth) = books::agree(exchange, home);
    assert_eq!(truth.resting.len(), 0, "cancelled at the end: {:?}", truth.resting);
    books
}

/// Waits until the exchange has accepted so many orders.
fn orders(exchange: &Exchange, count: usize) {
    until("orders", || {
        let truth = exchange.truth();
        (truth.resting.len() + truth.ended.len() >= count).then_some(())
    });
}

fn runs(words: &[&str], home: &Home) -> String {
    let output = home.command(words).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words:?}: {text}");
    text
}

#[test]
fn kill_9_at_any_moment_loses_nothing_and_doubles_nothing() {
    let lives = |seed: u64| {
        let mut random = SmallRng::seed_from_u64(seed);
        let (fills, after) = (random.random_range(1..6_usize), Duration::from_millis(random.random_range(0..1_500)));
        let seen = crash::survive(seed, |exchange, home| {
            let mut daemon = home.run(None);
            daemon.ready();
            until("fills", || (exchange.truth().fills.len() >= fills).then_some(()));
            std::thread::sleep(after);
            drop(daemon);
        });
        println!("seed {seed}, {after:?} after {fills} fills: {seen:?}");
        seen
    };
    let seen: Vec<crash::Seen> = std::thread::scope(|scope| {
        let workers = [scope.spawn(|| lives(21)), scope.spawn(|| lives(22))];
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    crash::measure(&seen);
}

#[test]
fn an_order_without_an_answer_is_asked_for_and_never_placed_twice() {
    let exchange = Exchange::start(31, &["--fault", "ack-lost@20"]);
    let home = Home::new(&exchange);
    let daemon = home.run(None);
    orders(&exchange, 30);
    let books = stop_and_agree(daemon, &exchange, &home);
    assert_eq!(books.unknown_seen.len(), 1, "the answer to one order was lost");
}

#[test]
fn answers_that_are_wrong_or_late_change_nothing_that_happened() {
    let exchange = Exchange::start(32, &["--fault", "5xx-after-accept@12", "--fault", "fill-before-ack@18"]);
    let home = Home::new(&exchange);
    let daemon = home.run(None);
    orders(&exchange, 30);
    let books = stop_and_agree(daemon, &exchange, &home);
    assert_eq!(books.unknown_seen.len(), 1, "a server error says nothing about the order");
}

#[test]
fn no_order_is_placed_on_a_book_that_is_broken_or_old() {
    let faults = ["--fault", "gap@8s", "--fault", "bad-checksum@10s", "--fault", "drop@12s", "--fault", "stall@15s"];
    let exchange = Exchange::start(33, &faults);
    let home = Home::new(&exchange);
    let mut daemon = home.run(None);
    daemon.ready();
    let (address, token) = daemon.control();
    let count = |name: &str| -> f64 {
        let (status, page) = http::bearer(&address, &token, "/metrics");
        assert_eq!(status, 200, "{page}");
        let lines = page.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    until("every fault to be noticed", || {
        let noticed = count("steadfast_feed_gaps_total") >= 2.0 && count("steadfast_feed_reconnects_total") >= 2.0;
        noticed.then_some(())
    });
    daemon.ready();
    let before = exchange.truth();
    orders(&exchange, before.resting.len() + before.ended.len() + 4);
    // That every order was checked against a fresh book is one of the things that the books must show.
    stop_and_agree(daemon, &exchange, &home);
}

#[test]
fn a_halt_outlives_kill_9_and_a_second_process_is_turned_away() {
    let exchange = Exchange::start(34, &[]);
    let home = Home::new(&exchange);
    let mut daemon = home.run(None);
    daemon.ready();
    orders(&exchange, 12);
    let second = home.command(&["run"]).output().unwrap();
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && words.contains("data"), "a second daemon: {second:?}");
    assert!(daemon.api("/api/v1/status")["trading"].is_string(), "the first one goes on");

    let token = home.data().join("control.token");
    let (address, _) = daemon.control();
    let to = ["--endpoint", &format!("http://{address}"), "--token-file", token.to_str().unwrap()];
    let words = |words: &[&str]| runs(&[words, &to].concat(), &home);
    words(&["halt", "--reason", "a rehearsal"]);
    until("all orders to be cancelled", || exchange.truth().resting.is_empty().then_some(()));
    drop(daemon);
    let placed = exchange.truth().ended.len();

    let mut daemon = home.run(None);
    until("the reconciliation", || {
        let status = daemon.api("/api/v1/status");
        let reasons: Vec<&str> =
            status["not_ready"].as_array().unwrap().iter().filter_map(|row| row["reason"].as_str()).collect();
        (reasons == ["halted"]).then_some(())
    });
    assert_eq!(daemon.api("/api/v1/status")["trading"], "halted");
    // Strategies have been started and have asked: their orders were refused.
    until("refusals", || Books::read(&home).refused_while_halted.checked_sub(1));
    assert_eq!(exchange.truth().ended.len() + exchange.truth().resting.len(), placed, "an order passed the halt");

    let (address, _) = daemon.control();
    let to = ["--endpoint", &format!("http://{address}"), "--token-file", token.to_str().unwrap()];
    runs(&[&["unhalt", "--reason", "the rehearsal is over"][..], &to].concat(), &home);
    orders(&exchange, placed + 4);
    let (status, _) = daemon.stop();
    assert!(status.success());
    let (mut books, truth) = (Books::read(&home), exchange.truth());
    assert!(!books.halts.is_empty() && books.halts.iter().all(|halt| *halt == Some(messages::HaltReason::Operator)));
    books.halts.clear();
    books.agree(&truth);
}

#[test]
fn orders_left_at_a_stop_are_taken_up_by_their_strategies() {
    let exchange = Exchange::start(35, &[]);
    let home = Home::new(&exchange);
    let mut daemon = home.spawn(home.command(&["run", "--set", "process.on_shutdown=leave"]));
    daemon.ready();
    orders(&exchange, 20);
    let (status, took) = daemon.stop();
    assert!(status.success() && took < STOP_MAX, "{status} after {took:?}");
    let (books, left) = (Books::read(&home), exchange.truth());
    assert!(left.resting.len() > 4, "they were left: {:?}", left.resting);
    books.nothing_doubled(&left.resting);

    let mut daemon = home.run(None);
    daemon.ready();
    orders(&exchange, left.resting.len() + left.ended.len() + 4);
    let later = exchange.truth();
    let books = stop_and_agree(daemon, &exchange, &home);
    books.nothing_doubled(&later.resting);
    let stayed = left.resting.iter().filter(|order| later.resting.iter().any(|now| now.venue_id == order.venue_id));
    assert!(stayed.count() > 0, "nothing was taken up: {left:?} then {later:?}");
    assert_eq!(books.unknown_seen.len(), 0, "an orderly stop leaves no question");
}

#[test]
fn status_and_scrape_show_every_actor_that_runs() {
    let exchange = Exchange::start(36, &[]);
    let home = Home::new(&exchange);
    let mut daemon = home.run(None);
    daemon.ready();
    let (address, token) = daemon.control();
    // Gauges are published once a second.
    let page = until("the gauges", || {
        let (_, page) = http::bearer(&address, &token, "/metrics");
        page.contains("steadfast_equity_quote{").then_some(page)
    });
    let status = daemon.api("/api/v1/status");
    for name in [
        "market-feed",
        "strategy",
        "risk-guard",
        "key-manager",
        "order-path",
        "order-signer",
        "order-gateway",
        "journal",
        "portfolio",
    ] {
        let gauge = format!("steadfast_actor_up{{actor=\"{name}\"}} 1");
        assert!(page.contains(&gauge), "{name} is not up in the scrape");
        let shown = status["actors"].as_array().unwrap().iter().find(|actor| actor["name"] == name);
        let shown = shown.unwrap_or_else(|| panic!("{name} is not shown"));
        assert_eq!(shown["up"], true, "{name}");
        // Two are called within the order path's turn and have no mailbox.
        let has_mailbox = !["risk-guard", "order-signer"].contains(&name);
        assert_eq!(shown["mailbox_capacity"].as_u64().unwrap() > 0, has_mailbox, "{name}");
    }
    assert!(page.contains("steadfast_equity_quote{account=\"lab\",quote=\"USDT\"}"), "{page}");
    assert!(page.contains("steadfast_key_status{account=\"lab\",status=\"active\"} 1"));
    let equity = status["equity"].as_str().unwrap();
    assert!(equity.split('.').nth(1).is_none_or(|digits| digits.len() <= 4), "{equity}");
}
