//! Bounds and repetition: floods, connections of one address, the same request twice, versions.

use crate::common::{exchange, header, json, server};
use access::{Role, Scopes};
use std::io::Read as _;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

#[test]
fn flood_of_one_address_is_told_to_wait_and_a_halt_still_passes() {
    let server = server();
    let answers: Vec<_> = (0..300).map(|_| server.send("GET", "/-/healthy", &[], "")).collect();
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert_eq!(refused, 300 - 256);
    let last = &answers[299];
    assert!(last.has_header("retry-after: 1") && last.has_header("x-content-type-options: nosniff"));
    assert_eq!(last.code(), "too_many_requests");
    assert_eq!(server.get("/api/v1/status").status, 429);
    assert_eq!(server.post("/api/v1/halt", "{}").status, 200, "what lowers a risk is never kept waiting");
    assert_eq!(server.post("/api/v1/unhalt", r#"{"reason":"r"}"#).status, 429);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(server.get("/api/v1/status").status, 200);
}

#[test]
fn api_key_has_a_rate_of_its_own() {
    let server = server();
    let eager = server.key("eager", Role::Operator.scopes(), &[]);
    let calm = server.key("calm", Role::Operator.scopes(), &[]);
    let get = |key: &(String, String)| server.send("GET", "/api/v1/status", std::slice::from_ref(key), "").status;
    let answers: Vec<_> = (0..140).map(|_| get(&eager)).collect();
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 128);
    assert_eq!(get(&calm), 200);
    assert_eq!(server.send("POST", "/api/v1/halt", &[json(), eager], "{}").status, 200);
}

#[test]
fn seventeenth_connection_of_an_address_is_closed_and_the_socket_still_answers() {
    let server = server();
    let mut open: Vec<TcpStream> = (0..16).map(|_| server.connect()).collect();
    // Each is served, so that it surely has its place.
    let ask = format!("GET /-/healthy HTTP/1.1\r\nHost: {}\r\n\r\n", server.host());
    for stream in &mut open {
        std::io::Write::write_all(stream, ask.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    let mut more = server.connect();
    let mut answer = Vec::new();
    let ended = more.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{ended:?}");
    let local = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(UnixStream::connect(&server.socket).unwrap(), local.as_bytes()).status, 200);
}

#[test]
fn unknown_key_and_wrong_secret_get_the_same_answer_to_the_byte() {
    let server = server();
    let key = server.key("phone", Scopes::all(), &[]).1;
    let (id, _) = key.strip_prefix("Bearer ").unwrap().split_once('.').unwrap();
    let zeros = "0".repeat(64);
    let ask = |id: &str| {
        let answer =
            server.send("GET", "/api/v1/status", &[header("Authorization", &format!("Bearer {id}.{zeros}"))], "");
        let head: Vec<String> =
            answer.head.lines().filter(|line| !line.starts_with("date")).map(str::to_owned).collect();
        (answer.status, head, answer.body)
    };
    assert_eq!(ask(id), ask("0123456789abcdef"));
    assert_eq!(ask(id).0, 401);
}

#[test]
fn same_request_under_the_same_key_is_done_once() {
    let server = server();
    let key = header("Idempotency-Key", "k-1");
    let send = |target: &str, body: &str| server.send("POST", target, &[json(), server.bearer(), key.clone()], body);
    let first = send("/api/v1/halt", r#"{"reason":"storm"}"#);
    let again = send("/api/v1/halt", r#"{"reason":"storm"}"#);
    assert_eq!((first.status, &first.body), (200, &again.body));
    assert_eq!(again.status, 200);
    assert!(again.has_header("idempotent-replayed: true") && !first.has_header("idempotent-replayed"));
    assert_eq!(server.acts().len(), 1);
    let other = send("/api/v1/halt", r#"{"reason":"another"}"#);
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_mismatch"));
    assert_eq!(server.acts().len(), 1);
    assert_eq!(send("/api/v1/pause", r#"{"reason":"storm"}"#).status, 200, "another route is another request");
    assert_eq!(send("/api/v1/unhalt", r#"{"reason":"over"}"#).status, 409);
    assert_eq!(send("/api/v1/unhalt", r#"{"reason":"over"}"#).code(), "not_halted");
    assert_eq!(server.acts().len(), 3, "a refusal is an answer too");
    let key = server.key("phone", Scopes::all(), &[]);
    let of_other = [json(), key, header("Idempotency-Key", "k-1")];
    assert_eq!(server.send("POST", "/api/v1/halt", &of_other, r#"{"reason":"storm"}"#).status, 200);
    assert_eq!(server.acts().len(), 4, "another caller's key is another key");
    let bad = [json(), server.bearer(), header("Idempotency-Key", "two words")];
    assert_eq!(server.send("POST", "/api/v1/halt", &bad, "{}").code(), "bad_idempotency_key");
}

#[test]
fn request_that_was_refused_for_its_code_may_be_sent_again_with_another() {
    let server = server();
    server.codes.enroll();
    let key = header("Idempotency-Key", "k-1");
    let body = r#"{"reason":"over"}"#;
    let without = server.send("POST", "/api/v1/unhalt", &[json(), server.bearer(), key.clone()], body);
    assert_eq!(without.code(), "step_up_needed");
    let code = header("X-Totp", &server.codes.code());
    let headers = [json(), server.bearer(), key, code];
    assert_eq!(server.send("POST", "/api/v1/unhalt", &headers, body).code(), "not_halted");
    assert_eq!(server.send("POST", "/api/v1/unhalt", &headers, body).code(), "not_halted", "answered from memory");
    assert_eq!(server.acts().len(), 1);
}

#[test]
fn act_on_a_state_that_changed_meanwhile_is_not_done() {
    let server = server();
    let status = server.get("/api/v1/status");
    let tag = status.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let pause =
        |tag: &str| server.send("POST", "/api/v1/pause", &[json(), server.bearer(), header("If-Match", tag)], "{}");
    assert_eq!(pause("\"halted-1\"").code(), "changed_meanwhile");
    assert_eq!(pause("no tag").code(), "bad_if_match");
    assert_eq!(server.acts().len(), 0);
    assert_eq!(pause(&tag).status, 200);
    assert_eq!(pause("*").status, 200);
    let list = server.get("/api/v1/access");
    let tag = list.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let add = |name: &str| {
        let body = format!("{{\"name\":\"{name}\",\"role\":\"viewer\"}}");
        server.send("POST", "/api/v1/access/add", &[json(), server.bearer(), header("If-Match", &tag)], &body).status
    };
    assert_eq!([add("one"), add("two")], [200, 412]);
}

#[test]
fn every_origin_method_and_content_type_but_our_own_is_kept_from_changing_anything() {
    let server = server();
    let own = format!("http://{}", server.host());
    let port = server.address.port();
    let same_site = format!("http://127.0.0.1:{}", port ^ 1);
    let origins = [
        None,
        Some(own.as_str()),
        Some("http://evil.test"),
        Some("null"),
        Some(same_site.as_str()),
        Some("https://127.0.0.1"),
    ];
    let kinds = [
        None,
        Some("application/json"),
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data"),
    ];
    let sites = [None, Some("same-origin"), Some("same-site"), Some("cross-site"), Some("none")];
    let credentials =
        [Some(server.bearer()), None, Some(header("Cookie", &format!("token={}", server.token.expose())))];
    let mut passed = 0;
    for method in ["POST", "GET", "PUT", "PATCH", "DELETE"] {
        for origin in origins {
            for kind in kinds {
                for site in sites {
                    for credentials in &credentials {
                        server.clock.advance(Duration::from_secs(1));
                        let mut headers: Vec<_> = credentials.iter().cloned().collect();
                        headers.extend(origin.map(|origin| header("Origin", origin)));
                        headers.extend(kind.map(|kind| header("Content-Type", kind)));
                        headers.extend(site.map(|site| header("Sec-Fetch-Site", site)));
                        let status = server.send(method, "/api/v1/pause", &headers, "{}").status;
                        let fine = method == "POST"
                            && origin.is_none_or(|origin| origin == own)
                            && kind == Some("application/json")
                            && site.is_none_or(|site| site == "same-origin")
                            && credentials.as_ref().is_some_and(|(name, _)| name == "Authorization");
                        assert_eq!(status == 200, fine, "{method} {headers:?}: {status}");
                        passed += usize::from(fine);
                        assert_eq!(server.acts().len(), passed, "{method} {headers:?}");
                    }
                }
            }
        }
    }
    assert_eq!(passed, 4);
}
