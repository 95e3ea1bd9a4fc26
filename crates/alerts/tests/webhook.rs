//! Messages against a receiver on loopback.
#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test; helpers are not recognised as tests")]

use alerts::{Alert, Alerts, Channel, Event, Message, Origin, Severity, WebhookUrl, start};
use clock::SystemClock;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Answers each request with the next of these, then with the last one for ever; hands out the bodies.
fn receiver(answers: Vec<String>) -> (String, Receiver<Message>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/hook/hunter2", listener.local_addr().unwrap());
    let (got, bodies) = sync_channel(1_000);
    std::thread::spawn(move || {
        let mut answers = answers.into_iter().peekable();
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let answer = answers.next().unwrap();
            if answers.peek().is_none() {
                answers = vec![answer.clone()].into_iter().peekable();
            }
            // Before the answer: who hears it looks at what has come.
            if got.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
            stream
                .write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
                .unwrap();
        }
    });
    (address, bodies)
}

fn to(address: &str) -> Alerts {
    let channel = Channel {
        url: WebhookUrl::inline(address).unwrap(),
        min_severity: Severity::Warning,
        switches: BTreeMap::new(),
        rate_count: 20,
        rate_per: Duration::from_secs(3_600),
        include_money: false,
    };
    let origin =
        Origin { host: "box".to_owned(), mode: "sim".to_owned(), dashboard: "http://127.0.0.1:7447/".to_owned() };
    start(vec![channel], origin, Arc::new(SystemClock)).unwrap()
}

fn halt() -> Alert {
    Alert::new(
        Event::Halt,
        "Trading is halted: the loss of the day reached its limit.",
        "Look, then `steadfast unhalt`.",
    )
    .account("bitget-main")
    .money("100.5 USDT are lost.")
}

#[test]
fn message_says_what_where_when_and_what_to_do() {
    let (address, bodies) = receiver(vec!["204 No Content".to_owned()]);
    let alerts = to(&address);
    alerts.tell(&halt());
    let message = bodies.recv_timeout(PATIENCE).unwrap();
    assert_eq!(message.event, "halt");
    assert_eq!(message.severity, "critical");
    assert_eq!((message.host.as_str(), message.mode.as_str()), ("box", "sim"));
    assert_eq!(message.account.as_deref(), Some("bitget-main"));
    assert!(message.next_step.contains("unhalt"));
    assert!(!message.text.contains("100.5"), "no money unless it is wished");
    assert!(message.time.ends_with('Z') && message.time.contains('T'));
    assert!(!message.id.is_empty());
}

#[test]
fn same_event_is_posted_once() {
    let (address, bodies) = receiver(vec!["200 OK".to_owned()]);
    let alerts = to(&address);
    for _ in 0..10 {
        alerts.tell(&halt());
    }
    alerts.tell(&Alert::new(Event::Stopped, "The program stopped.", "Start it again."));
    assert!(alerts.flush(PATIENCE));
    let events: Vec<_> = bodies.try_iter().map(|message| message.event).collect();
    assert_eq!(events, ["halt", "stopped"]);
}

#[test]
fn redirect_is_not_followed_and_not_tried_again() {
    let (elsewhere, elsewhere_bodies) = receiver(vec!["200 OK".to_owned()]);
    let (address, bodies) = receiver(vec![format!("307 Temporary Redirect\r\nLocation: {elsewhere}")]);
    let alerts = to(&address);
    alerts.tell(&halt());
    assert!(alerts.flush(PATIENCE));
    assert_eq!(bodies.try_iter().count(), 1);
    assert_eq!(elsewhere_bodies.try_iter().count(), 0);
}

#[test]
fn failing_receiver_is_tried_again_with_the_same_id() {
    let (address, bodies) = receiver(vec!["503 Busy".to_owned(), "429 Slow Down".to_owned(), "200 OK".to_owned()]);
    let alerts = to(&address);
    alerts.tell(&halt());
    assert!(alerts.flush(PATIENCE));
    let ids: Vec<_> = bodies.try_iter().map(|message| message.id).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn exit_message_is_sent_before_flush_returns() {
    let (address, bodies) = receiver(vec!["200 OK".to_owned()]);
    let alerts = to(&address);
    alerts.tell(&Alert::new(Event::Stopped, "The program stopped.", "Start it again."));
    assert!(alerts.flush(PATIENCE));
    assert_eq!(bodies.try_recv().unwrap().event, "stopped");
}

#[test]
fn flush_gives_up_at_its_deadline_and_telling_never_waits() {
    // Accepts connections and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let alerts = to(&format!("http://{}/", listener.local_addr().unwrap()));
    for number in 0..1_000 {
        alerts.tell(&halt().account(number.to_string()));
    }
    assert!(!alerts.flush(Duration::from_millis(50)));
}

#[test]
fn without_a_channel_nothing_happens_and_flush_is_done() {
    let origin = Origin { host: String::new(), mode: String::new(), dashboard: String::new() };
    let alerts = start(Vec::new(), origin, Arc::new(SystemClock)).unwrap();
    alerts.tell(&halt());
    assert!(alerts.flush(Duration::ZERO));
}
