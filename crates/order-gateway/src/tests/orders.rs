//! The gateway against a venue on loopback: what leaves, in which order, and what is said about it.

use super::support::{
    Action, DEADLINE, FakeVenue, Rig, cancel, id, next, place, place_verb_sent, query, run, symbol, wire_log,
};
use crate::wire_log::read_all;
use crate::{Recorder, WireLogError, WireRecord, fetch_instruments, fetch_offset};
use messages::{Control, CouldNotAsk, EndpointGroup, QueryAnswer, QueryId, QueryPurpose, ReportBody, Verb};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

#[test]
fn order_is_on_record_when_its_bytes_arrive_and_arrives_exactly_as_signed() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().to_owned();
        let recorded_on_arrival = Arc::new(AtomicU64::new(0));
        let on_arrival = Arc::clone(&recorded_on_arrival);
        let venue = FakeVenue::start(move |_| {
            on_arrival.store(read_all(&dir).unwrap().last_seq, Ordering::SeqCst);
            Action::Answer(200, "ok")
        })
        .await;
        let mut rig = Rig::start(&venue.base_url, wire_log(home.path()), |_| {});
        rig.push(place(rig.clock.as_ref(), 1));
        assert!(place_verb_sent(&rig.report().await, 1));
        let ReportBody::Accepted { id: accepted, verb: Verb::Place, venue_order_id, .. } = rig.report().await else {
            panic!("not accepted")
        };
        assert_eq!((accepted, venue_order_id.as_str()), (id(1), "77"));
        assert_eq!(recorded_on_arrival.load(Ordering::SeqCst), 1);

        let seen = venue.seen();
        assert_eq!(
            (seen[0].method.as_str(), seen[0].target.as_str(), seen[0].body.as_str()),
            ("POST", "/place/1", "{\"n\":1}")
        );
        assert!(seen[0].headers.contains(&("access-key".to_owned(), "bg_invented".to_owned())));
        let record = read_all(home.path()).unwrap().records[0];
        assert_eq!((record.id, record.verb, record.symbol, record.version), (Some(id(1)), Verb::Place, symbol(), 2));
        let bytes = std::fs::read(home.path().join("wire-000001.log")).unwrap();
        assert!(!bytes.windows(11).any(|window| window == b"bg_invented"), "no header is on record");
    });
}

#[test]
fn order_whose_time_has_passed_leaves_no_trace() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let venue = FakeVenue::start(|_| Action::Answer(200, "ok")).await;
        let mut rig = Rig::start(&venue.base_url, wire_log(home.path()), |_| {});
        let mut late = place(rig.clock.as_ref(), 1);
        late.send_by = rig.clock.mono();
        rig.push(late);
        assert_eq!(rig.report().await, ReportBody::NotSent { id: id(1), verb: Verb::Place });
        assert_eq!(venue.targets(), [""; 0]);
        assert_eq!(read_all(home.path()).unwrap().records, []);
    });
}

#[test]
fn refused_connection_is_not_sent() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        let mut rig = Rig::start(&base_url, wire_log(home.path()), |_| {});
        rig.push(place(rig.clock.as_ref(), 1));
        assert_eq!(rig.report().await, ReportBody::NotSent { id: id(1), verb: Verb::Place });
        rig.push(query(rig.clock.as_ref(), QueryPurpose::Reconcile, 5));
        let answer = QueryAnswer::CouldNotAsk(CouldNotAsk::NotSent);
        assert_eq!(rig.report().await, ReportBody::Answer { query: QueryId(5), answer });
    });
}

#[test]
fn answers_that_say_nothing_leave_the_outcome_unknown_and_nothing_is_sent_twice() {
    type Do = fn(&super::support::Seen) -> Action;
    let cases: [Do; 4] = [
        |_| Action::CloseUnanswered,
        |_| Action::Answer(502, "<html>Bad Gateway</html>"),
        |_| Action::Answer(200, ""),
        |_| Action::NeverAnswer,
    ];
    for (index, script) in cases.into_iter().enumerate() {
        run(async move {
            let home = tempfile::tempdir().unwrap();
            let venue = FakeVenue::start(script).await;
            let mut rig = Rig::start(&venue.base_url, wire_log(home.path()), |link| {
                link.answer_patience = Duration::from_millis(300);
            });
            rig.push(place(rig.clock.as_ref(), 1));
            assert!(place_verb_sent(&rig.report().await, 1), "case {index}");
            assert_eq!(rig.report().await, ReportBody::AnswerMissing { id: id(1), verb: Verb::Place }, "case {index}");
            assert_eq!(venue.targets(), ["/place/1"], "case {index}");
        });
    }
}

#[test]
fn connection_that_the_venue_closed_after_an_answer_doubles_nothing() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let venue = FakeVenue::start(|_| Action::AnswerAndClose(200, "ok")).await;
        let mut rig = Rig::start(&venue.base_url, wire_log(home.path()), |_| {});
        for sequence in 1..=20 {
            rig.push(place(rig.clock.as_ref(), sequence));
            let first = rig.report().await;
            let arrived = || venue.targets().iter().filter(|seen| **seen == format!("/place/{sequence}")).count();
            if first == (ReportBody::NotSent { id: id(sequence), verb: Verb::Place }) {
                assert_eq!(arrived(), 0);
                continue;
            }
            assert!(place_verb_sent(&first, sequence));
            match rig.report().await {
                ReportBody::Accepted { .. } => assert_eq!(arrived(), 1),
                // The request met the closing connection: it may or may not have arrived, once.
                ReportBody::AnswerMissing { .. } => assert!(arrived() <= 1),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn cancel_leaves_only_after_the_answer_to_its_own_place() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let go = Arc::new(Notify::new());
        let held = Arc::clone(&go);
        let venue = FakeVenue::start(move |seen| {
            if seen.target == "/place/1" {
                Action::AnswerAfter(Arc::clone(&held), 200, "ok")
            } else {
                Action::Answer(200, "ok")
            }
        })
        .await;
        let mut rig = Rig::start(&venue.base_url, wire_log(home.path()), |_| {});
        rig.push(place(rig.clock.as_ref(), 1));
        rig.push(cancel(rig.clock.as_ref(), 1));
        rig.push(place(rig.clock.as_ref(), 2));
        venue.has_seen("/place/2").await;
        // Both first bytes are told when they go, not when their answers come.
        let first_bytes = [rig.report().await, rig.report().await];
        for sequence in [1, 2] {
            assert!(first_bytes.iter().any(|report| place_verb_sent(report, sequence)));
        }
        assert!(matches!(rig.report().await, ReportBody::Accepted { verb: Verb::Place, .. }));
        assert!(!venue.targets().contains(&"/cancel/1".to_owned()));
        go.notify_one();
        venue.has_seen("/cancel/1").await;
        assert!(matches!(rig.report().await, ReportBody::Accepted { verb: Verb::Place, .. }));
        assert!(matches!(rig.report().await, ReportBody::Sent { verb: Verb::Cancel, .. }));
        assert!(matches!(rig.report().await, ReportBody::Accepted { verb: Verb::Cancel, .. }));
    });
}

#[test]
fn waiting_order_is_given_back_when_its_time_passes_and_not_when_a_connection_gets_free() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let venue = FakeVenue::start(|_| Action::NeverAnswer).await;
        let mut rig = Rig::start(&venue.base_url, wire_log(home.path()), |_| {});
        for sequence in 1..=6 {
            rig.push(place(rig.clock.as_ref(), sequence));
        }
        let mut seventh = place(rig.clock.as_ref(), 7);
        seventh.send_by = rig.clock.mono().after(Duration::from_millis(100));
        rig.push(seventh);
        let mut told = rig.report().await;
        while matches!(told, ReportBody::Sent { .. }) {
            assert!(!place_verb_sent(&told, 7));
            told = rig.report().await;
        }
        assert_eq!(told, ReportBody::NotSent { id: id(7), verb: Verb::Place });
        assert!(!venue.targets().contains(&"/place/7".to_owned()));
    });
}

#[test]
fn limit_of_the_venue_is_told_with_its_wait() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let venue = FakeVenue::start(|_| Action::AnswerWith(429, "Retry-After: 7\r\n", "no")).await;
        let mut rig = Rig::start(&venue.base_url, wire_log(home.path()), |_| {});
        rig.push(place(rig.clock.as_ref(), 1));
        assert!(place_verb_sent(&rig.report().await, 1));
        assert!(matches!(rig.report().await, ReportBody::Failed { error, .. } if error.code.as_str() == "43012"));
        let wait = Duration::from_secs(7);
        assert_eq!(rig.report().await, ReportBody::RateLimited { group: EndpointGroup::Place, wait });
    });
}

struct FullDisk;

impl Recorder for FullDisk {
    fn append(&mut self, _: WireRecord) -> Result<u64, WireLogError> {
        Err(WireLogError::Full { path: "wire".into(), bytes_max: 0 })
    }
}

#[test]
fn without_a_wire_record_only_cancels_go_out() {
    run(async {
        let venue = FakeVenue::start(|_| Action::Answer(200, "ok")).await;
        let mut rig = Rig::start(&venue.base_url, Box::new(FullDisk), |_| {});
        rig.push(place(rig.clock.as_ref(), 1));
        assert_eq!(rig.report().await, ReportBody::NotSent { id: id(1), verb: Verb::Place });
        assert_eq!(rig.control().await, Control::WireLogFailed);
        rig.push(cancel(rig.clock.as_ref(), 9));
        assert!(matches!(rig.report().await, ReportBody::Sent { verb: Verb::Cancel, .. }));
        assert!(matches!(rig.report().await, ReportBody::Accepted { verb: Verb::Cancel, .. }));
        assert_eq!(venue.targets(), ["/cancel/9"]);
    });
}

#[test]
fn answers_to_questions_go_to_whoever_asked() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let venue = FakeVenue::start(|_| Action::Answer(200, "{}")).await;
        let mut rig = Rig::start(&venue.base_url, wire_log(home.path()), |_| {});
        rig.push(query(rig.clock.as_ref(), QueryPurpose::Verify, 3));
        rig.push(query(rig.clock.as_ref(), QueryPurpose::Reconcile, 4));
        assert_eq!(next(&mut rig.verified).await, (QueryId(3), QueryAnswer::Balances(Vec::new())));
        let answer = QueryAnswer::Balances(Vec::new());
        assert_eq!(rig.report().await, ReportBody::Answer { query: QueryId(4), answer });
        assert_eq!(read_all(home.path()).unwrap().records, [], "questions are not on record");
        assert_eq!(venue.seen()[0].target, "/balances?x=1");
    });
}

#[test]
fn stopping_gateway_sends_what_it_was_given_and_is_no_death() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let venue = FakeVenue::start(|_| Action::Answer(200, "ok")).await;
        let mut rig = Rig::start(&venue.base_url, wire_log(home.path()), |_| {});
        for sequence in 1..=20 {
            rig.push(place(rig.clock.as_ref(), sequence));
        }
        rig.handle.stop();
        tokio::time::timeout(DEADLINE, rig.handle.ended()).await.unwrap();
        let mut accepted = 0;
        while let Ok(report) = rig.reports.try_recv() {
            accepted += u64::from(matches!(report, ReportBody::Accepted { .. }));
        }
        assert_eq!(accepted, 20);
        assert_eq!(read_all(home.path()).unwrap().last_seq, 20);
        let death = tokio::time::timeout(Duration::from_millis(1), rig.died.notified()).await;
        assert!(death.is_err());
    });
}

#[test]
fn death_of_the_gateway_is_told() {
    run(async {
        struct Panicking;
        impl Recorder for Panicking {
            fn append(&mut self, _: WireRecord) -> Result<u64, WireLogError> {
                panic!("a defect");
            }
        }
        let venue = FakeVenue::start(|_| Action::Answer(200, "ok")).await;
        let rig = Rig::start(&venue.base_url, Box::new(Panicking), |_| {});
        rig.push(place(rig.clock.as_ref(), 1));
        tokio::time::timeout(DEADLINE, rig.died.notified()).await.unwrap();
        tokio::time::timeout(DEADLINE, rig.handle.ended()).await.unwrap();
    });
}

#[test]
fn venue_time_is_measured_from_the_start() {
    run(async {
        let home = tempfile::tempdir().unwrap();
        let venue = FakeVenue::start(|_| Action::Answer(200, "[]")).await;
        let mut rig = Rig::start(&venue.base_url, wire_log(home.path()), |_| {});
        let Control::ClockMeasured { offset_ns, uncertainty_ns, .. } = next(&mut rig.controls).await else {
            panic!("not measured")
        };
        assert!(offset_ns.unsigned_abs() <= uncertainty_ns + 1_000_000, "one clock serves both sides");

        let config = net::HttpConfig { plaintext: net::Plaintext::Loopback, ..net::HttpConfig::default() };
        let http = net::HttpClient::new(config, Arc::clone(&rig.clock)).unwrap();
        let listed = fetch_instruments(&http, &super::support::WordCodec, &venue.base_url).await;
        assert_eq!(listed, Ok(Vec::new()));
        assert!(fetch_offset(&http, &super::support::WordCodec, &venue.base_url, rig.clock.as_ref()).await.is_ok());
    });
}
