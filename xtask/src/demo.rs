//! Runs the demo as a user would, and looks at what it says and serves.

use crate::ci::Outcome;
use crate::run::{cargo, find, root, run, shown, target, unattended};
use anyhow::{Context as _, Result, bail, ensure};
use clock::SystemClock;
use domain::Clock as _;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// How long the demo trades.
const DEMO: &str = "30s";
/// When its metrics are looked at: everything has traded by then.
const SCRAPE_AFTER: Duration = Duration::from_secs(15);
/// Longest wait for its end after that.
const END_MAX: Duration = Duration::from_secs(60);
/// Longest wait for one answer of its control plane.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Largest page of metrics.
const PAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Builds the release program, runs the demo, scrapes it, and checks its summary.
pub(crate) fn step() -> Result<Outcome> {
    run(cargo().args(["build", "--release", "--locked", "--bin", "steadfast"]))?;
    let folder = target().join("xtask/demo");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let address = free_address()?;
    let mut demo = crate::run::command(target().join("release/steadfast"));
    demo.args(["demo", "--for", DEMO, "--json", "--listen"]).arg(address.to_string());
    demo.arg("--data-dir").arg(folder.join("data")).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let child = demo.spawn().with_context(|| format!("cannot start {}", shown(&demo)))?;

    let page = scrape_while_running(&child, address);
    let output = end_of(child)?;
    let summary = summary(&output)?;
    let counts = check_summary(&summary)?;
    let page = page?;
    check_metrics(&page)?;
    let promtool = match find("promtool") {
        Some(promtool) => promtool_accepts(&promtool, &page).map(|()| "promtool agrees")?,
        None if unattended() => bail!("promtool is missing: install the Debian package prometheus"),
        None => "promtool is not here and was not asked",
    };
    Ok(Outcome::Passed(format!("{counts}; {} lines of metrics, {promtool}", page.lines().count())))
}

/// An address on this machine that nobody listens on.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn scrape_while_running(child: &Child, address: SocketAddr) -> Result<String> {
    std::thread::sleep(SCRAPE_AFTER);
    let page = get(address, "/metrics");
    page.with_context(|| format!("GET http://{address}/metrics of process {} failed", child.id()))
}

/// Waits for the end of the demo, which its own limit should bring; past that it is ended and has failed.
fn end_of(mut child: Child) -> Result<Output> {
    let begin = SystemClock.mono();
    while child.try_wait()?.is_none() {
        if SystemClock.mono().since(begin) > END_MAX {
            child.kill()?;
            let output = child.wait_with_output()?;
            bail!("the demo did not end by itself; it printed\n{}", String::from_utf8_lossy(&output.stdout));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(child.wait_with_output()?)
}

/// The body of a plain GET; HTTP/1.0, so that it comes in one piece and the connection ends with it.
fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: text/plain\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(PAGE_BYTES_MAX).read_to_string(&mut answer)?;
    body(&answer).map(str::to_owned)
}

/// The body of an answer whose status is 200.
fn body(answer: &str) -> Result<&str> {
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    let status = head.lines().next().unwrap_or("");
    ensure!(status.split(' ').nth(1) == Some("200"), "answered `{status}`");
    Ok(body)
}

/// The last line of standard output as JSON, if the program ended well.
fn summary(output: &Output) -> Result<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "the demo ended with {}\n{text}", output.status);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).context("the demo printed nothing")?;
    serde_json::from_str(last).with_context(|| format!("the last line is not JSON: {last}"))
}

/// It traded, and it knows what it owns.
fn check_summary(summary: &Value) -> Result<String> {
    let count = |key: &str| {
        let value = summary.get(key).with_context(|| format!("the summary lacks `{key}`"))?;
        value.as_u64().with_context(|| format!("`{key}` is {value}, not a whole number"))
    };
    let (orders, fills, unknown) = (count("orders")?, count("fills")?, count("unknown")?);
    ensure!(orders >= 1, "no order was placed");
    ensure!(fills >= 1, "no order was filled");
    ensure!(unknown == 0, "{unknown} orders are unknown at the end");
    for key in ["maker_fills", "refused", "unknown_seen"] {
        count(key)?;
    }
    for key in ["equity", "fees"] {
        let text = summary.get(key).and_then(Value::as_str).with_context(|| format!("`{key}` is not a text"))?;
        ensure!(is_decimal(text), "`{key}` is `{text}`, not a decimal number");
    }
    for position in summary.get("positions").and_then(Value::as_array).context("`positions` is not a list")? {
        let at = |key: &str| position.get(key).with_context(|| format!("a position lacks `{key}`: {position}"));
        let (venue, fills, journal) = (at("venue")?, at("fills")?, at("journal")?);
        ensure!(same(venue, fills) && same(fills, journal), "venue, fills and journal disagree: {position}");
    }
    Ok(format!("{orders} orders, {fills} fills"))
}

/// Whether two texts are the same decimal number, however many zeros they end with.
fn same(one: &Value, other: &Value) -> bool {
    let plain = |value: &Value| {
        let text = value.as_str().filter(|text| is_decimal(text))?;
        Some(if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }.to_owned())
    };
    plain(one).is_some() && plain(one) == plain(other)
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole) && all_digits(fraction)
}

/// The page counts what the demo did.
fn check_metrics(page: &str) -> Result<()> {
    for name in ["steadfast_build_info", "steadfast_actor_up", "process_resident_memory_bytes"] {
        ensure!(page.lines().any(|line| line.starts_with(name)), "the page of metrics lacks {name}");
    }
    Ok(())
}

/// `promtool check metrics` has nothing to say.
fn promtool_accepts(promtool: &Path, page: &str) -> Result<()> {
    let mut check = Command::new(promtool);
    check.args(["check", "metrics"]).current_dir(root());
    let mut child = check.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // promtool reads everything before it writes, so the whole page can be handed over first.
    let mut input = child.stdin.take().context("promtool has no standard input")?;
    input.write_all(page.as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(output.status.success() && said.trim().is_empty(), "promtool ended with {}:\n{said}", output.status);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn good() -> Value {
        json!({
            "orders": 12, "fills": 7, "maker_fills": 5, "refused": 0, "unknown": 0, "unknown_seen": 0,
            "equity": "100001.25", "fees": "-0.5",
            "positions": [{"instrument": "BTCUSDT", "venue": "0.1", "fills": "0.1", "journal": "0.1"}],
        })
    }

    fn with(key: &str, value: Value) -> Result<String> {
        let mut summary = good();
        summary[key] = value;
        check_summary(&summary)
    }

    #[test]
    fn summary_of_a_demo_that_traded_passes() {
        assert_eq!(check_summary(&good()).unwrap(), "12 orders, 7 fills");
    }

    #[test]
    fn demo_that_did_not_trade_or_does_not_know_fails() {
        for (key, value) in [
            ("orders", json!(0)),
            ("fills", json!(0)),
            ("unknown", json!(1)),
            ("orders", json!("12")),
            ("fees", json!(0.5)),
            ("equity", json!("1e5")),
            ("positions", json!([{"instrument": "BTCUSDT", "venue": "0.1", "fills": "0.2", "journal": "0.2"}])),
            ("positions", json!([{"instrument": "BTCUSDT"}])),
        ] {
            assert!(with(key, value.clone()).is_err(), "{key} = {value}");
        }
    }

    #[test]
    fn summary_without_a_key_fails() {
        for key in ["orders", "fills", "unknown", "unknown_seen", "refused", "maker_fills", "equity", "positions"] {
            let mut summary = good();
            summary.as_object_mut().unwrap().remove(key);
            assert!(check_summary(&summary).is_err(), "{key}");
        }
    }

    #[test]
    fn positions_are_compared_as_numbers() {
        let position = |venue: Value, journal: Value| {
            with("positions", json!([{"instrument": "BTCUSDT", "venue": venue, "fills": "0.1", "journal": journal}]))
        };
        assert!(position(json!("0.100"), json!("0.1")).is_ok());
        assert!(position(json!("0.1"), json!("0.10001")).is_err());
        assert!(position(json!(0.1), json!("0.1")).is_err());
    }

    #[test]
    fn only_an_answer_of_200_has_a_body() {
        assert_eq!(body("HTTP/1.0 200 OK\r\nA: b\r\n\r\nx 1\n").unwrap(), "x 1\n");
        assert!(body("HTTP/1.0 401 Unauthorized\r\n\r\nno").is_err());
        assert!(body("").is_err());
    }
}
