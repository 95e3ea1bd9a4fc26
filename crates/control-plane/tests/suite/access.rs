//! Tokens, hosts, origins: each route with each kind of caller.

use crate::common::{exchange, header, json, server, server_with};
use control_plane::{AccessSetup, ROUTES, Setup, StartError, start};
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn token_is_taken_from_the_authorization_header_alone() {
    let server = server();
    let token = server.token.expose().to_owned();
    for headers in [
        vec![header("Authorization", &token)],
        vec![header("Authorization", &format!("Basic {token}"))],
        vec![header("Cookie", &format!("token={token}"))],
        vec![header("Sec-WebSocket-Protocol", &format!("steadfast.v1, token.{token}"))],
        vec![header("Authorization", &format!("Bearer {}", &token[..63]))],
        vec![header("Authorization", &format!("Bearer {token}0"))],
    ] {
        assert_eq!(server.send("GET", "/api/v1/status", &headers, "").status, 401, "{headers:?}");
    }
    assert_eq!(server.send("GET", &format!("/api/v1/status?token={token}"), &[], "").status, 401);
    let lower = header("authorization", &format!("bearer {token}"));
    assert_eq!(server.send("GET", "/api/v1/status", &[lower], "").status, 200);
}

#[test]
fn strangers_do_not_learn_which_api_addresses_exist() {
    let server = server();
    assert_eq!(server.send("GET", "/api/v1/no-such-thing", &[], "").status, 401);
    assert_eq!(server.get("/api/v1/no-such-thing").status, 404);
    assert_eq!(server.get("/no-such-thing").code(), "no_such_route");
}

#[test]
fn wrong_tokens_are_slowed_down_and_the_right_one_is_not() {
    let server = server();
    let wrong = [header("Authorization", "Bearer guess")];
    let answers: Vec<_> = (0..8).map(|_| server.send("GET", "/api/v1/status", &wrong, "").status).collect();
    assert_eq!(answers, [401, 401, 401, 401, 401, 429, 429, 429]);
    assert_eq!(server.get("/api/v1/status").status, 200);
    let slowed = server.send("GET", "/api/v1/status", &wrong, "");
    assert!(slowed.has_header("retry-after: 1"));
    for wait in [2, 4, 8] {
        server.clock.advance(Duration::from_secs(wait / 2));
        assert_eq!(server.send("GET", "/api/v1/status", &wrong, "").status, 401);
        let slowed = server.send("GET", "/api/v1/status", &wrong, "");
        assert!(slowed.has_header(&format!("retry-after: {wait}")));
        assert_eq!(slowed.json()["retry_after"], wait);
    }
}

#[test]
fn requests_under_another_name_are_misdirected_on_every_route() {
    let server = server();
    let port = server.address.port();
    let bearer = server.bearer().1;
    let ask = |line: &str, host: &str| {
        let text = format!(
            "{line} HTTP/1.1\r\n{host}Authorization: {bearer}\r\nContent-Type: application/json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        exchange(server.connect(), text.as_bytes()).status
    };
    for route in ROUTES {
        server.clock.advance(Duration::from_secs(1));
        let line = format!("{} {}", route.method.as_str(), route.path);
        for host in
            ["evil.test".to_owned(), format!("evil.test:{port}"), "127.0.0.1".to_owned(), format!("localhost.:{port}")]
        {
            assert_eq!(ask(&line, &format!("Host: {host}\r\n")), 421, "{} under {host}", route.path);
        }
        assert_eq!(ask(&line, ""), 400, "{} without a host", route.path);
    }
    assert_eq!(ask("GET /metrics", &format!("Host: localhost:{port}\r\n")), 200);
    assert_eq!(ask("GET http://evil.test/metrics", &format!("Host: localhost:{port}\r\n")), 421);
    let twice = format!("Host: localhost:{port}\r\nHost: evil.test\r\n");
    assert!([400, 421].contains(&ask("GET /metrics", &twice)));
    assert_eq!(server.acts().len(), 0);
}

#[test]
fn acts_are_taken_from_programs_and_our_own_page_only() {
    let server = server();
    let own = format!("http://{}", server.host());
    let table: [(&[(String, String)], u16); 10] = [
        (&[json()], 200),
        (&[json(), header("Origin", &own), header("Sec-Fetch-Site", "same-origin")], 200),
        (&[json(), header("Origin", "http://evil.test")], 403),
        (&[json(), header("Origin", "null")], 403),
        (&[json(), header("Sec-Fetch-Site", "cross-site")], 403),
        (&[json(), header("Sec-Fetch-Site", "same-site")], 403),
        (&[json(), header("Sec-Fetch-Site", "none")], 403),
        (&[header("Content-Type", "text/plain")], 415),
        (&[header("Content-Type", "application/x-www-form-urlencoded")], 415),
        (&[], 415),
    ];
    for (headers, expected) in table {
        server.fake.acts.lock().unwrap().clear();
        let mut all = vec![server.bearer()];
        all.extend_from_slice(headers);
        let answer = server.send("POST", "/api/v1/pause", &all, "{}");
        assert_eq!(answer.status, expected, "{headers:?}");
        assert_eq!(server.acts().len(), usize::from(expected == 200), "{headers:?}");
        assert!(!answer.has_header("access-control-"), "no CORS");
    }
    let preflight =
        server.send("OPTIONS", "/api/v1/pause", &[server.bearer(), header("Origin", "http://evil.test")], "");
    assert_eq!(preflight.status, 403);
}

#[test]
fn no_get_or_other_method_changes_anything_on_any_route() {
    let server = server();
    for route in ROUTES {
        for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            server.clock.advance(Duration::from_secs(1));
            let answer = server.send(method, route.path, &[server.bearer(), json()], "");
            let exists = ROUTES.iter().any(|other| other.path == route.path && other.method.as_str() == method);
            if !exists {
                assert_eq!(answer.status, 405, "{method} {}", route.path);
                let allowed: Vec<_> =
                    ROUTES.iter().filter(|other| other.path == route.path).map(|other| other.method.as_str()).collect();
                assert!(answer.has_header(&format!("allow: {}", allowed.join(", "))));
            }
        }
    }
    assert_eq!(server.acts(), Vec::new());
}

#[test]
fn oversized_and_odd_bodies_are_refused_and_nothing_is_done() {
    let server = server();
    let long = format!("{{\"reason\":\"{}\"}}", "x".repeat(64 * 1024));
    assert_eq!(server.post("/api/v1/halt", &long).code(), "body_too_large");
    let wordy = format!("{{\"reason\":\"{}\"}}", "x".repeat(257));
    for (body, code) in [
        ("", "bad_body"),
        ("[]", "bad_body"),
        ("{\"reason\":1}", "bad_body"),
        ("{\"reason\":\"a\",\"also\":1}", "bad_body"),
        ("{\"reason\":\"two\\nlines\"}", "bad_reason"),
        (wordy.as_str(), "bad_reason"),
    ] {
        let answer = server.post("/api/v1/halt", body);
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{body:.40}");
    }
    assert_eq!(server.post("/api/v1/unhalt", "{\"reason\":\" \"}").code(), "reason_missing");
    let heavy = server.send("GET", "/metrics", &[header("X-Long", &"x".repeat(9 * 1024))], "");
    assert_eq!(heavy.code(), "headers_too_large");
    assert_eq!(server.acts(), Vec::new());
}

#[test]
fn head_that_never_ends_is_given_up() {
    let server = server();
    let mut slow = server.connect();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").unwrap();
    let answer = exchange(slow, b"");
    assert!([0, 408].contains(&answer.status), "{answer:?}");
    assert_eq!(server.send("GET", "/-/healthy", &[], "").status, 200);
}

#[test]
fn socket_has_the_same_routes_and_the_same_token() {
    let server = server();
    let ask = |host: &str, token: bool| {
        let auth = if token { format!("Authorization: {}\r\n", server.bearer().1) } else { String::new() };
        let text = format!("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\n{auth}Connection: close\r\n\r\n");
        exchange(UnixStream::connect(&server.socket).unwrap(), text.as_bytes()).status
    };
    assert_eq!(ask("localhost", true), 200);
    assert_eq!(ask("localhost", false), 401);
    assert_eq!(ask("evil.test", true), 421);
}

#[test]
fn address_of_other_machines_needs_tls_an_api_key_and_names() {
    let server = server();
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let begin = |access: AccessSetup| {
        let setup = Setup { socket: None, metrics: None, clock: server.clock.clone(), access };
        start(&listener, &server.token, setup, Arc::clone(&server.fake) as _)
    };
    let tls = crate::tls::certificate(server.directory.path()).tls;
    let hosts = vec!["bot.example.org".to_owned()];
    let missing = |access: AccessSetup| match begin(access).unwrap_err() {
        StartError::Exposed { missing, .. } => missing,
        error => panic!("{error}"),
    };
    assert_eq!(missing(server.access()), "TLS");
    assert_eq!(missing(AccessSetup { tls: Some(tls.clone()), hosts: hosts.clone(), ..server.access() }), "an API key");
    server.key("one", access::Role::Viewer.scopes(), &[]);
    let no_hosts = AccessSetup { tls: Some(tls.clone()), ..server.access() };
    assert_eq!(missing(no_hosts), "a list of the names it is reached under");
    assert_eq!(missing(AccessSetup { hosts: hosts.clone(), ..server.access() }), "TLS");
    begin(AccessSetup { tls: Some(tls), hosts, ..server.access() }).unwrap().stop();
}

#[test]
fn server_ends_on_stop_and_can_be_started_again_on_the_same_listener() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = server();
    let begin = || {
        let setup = Setup { socket: None, metrics: None, clock: server.clock.clone(), access: server.access() };
        start(&listener, &server.token, setup, Arc::clone(&server.fake) as _).unwrap()
    };
    for _ in 0..2 {
        let plane = begin();
        assert!(plane.is_running());
        let text = format!("GET /-/healthy HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", plane.address());
        let stream = std::net::TcpStream::connect(plane.address()).unwrap();
        assert_eq!(exchange(stream, text.as_bytes()).status, 200);
        plane.stop();
    }
}

#[test]
fn callers_under_a_listed_name_are_of_another_machine_even_behind_a_proxy_on_this_one() {
    let server = server_with(vec!["bot.example.org:443".to_owned()], None);
    let ask = |method: &str, target: &str, host: &str, bearer: Option<&str>| {
        let auth = bearer.map(|bearer| format!("Authorization: {bearer}\r\n")).unwrap_or_default();
        let text = format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{auth}Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        );
        exchange(server.connect(), text.as_bytes()).status
    };
    let (token, own) = (server.bearer().1, server.host());
    let key = server.key("phone", access::Role::Operator.scopes(), &[]).1;
    let name = "bot.example.org";
    assert_eq!(ask("GET", "/-/healthy", name, None), 200);
    for target in ["/metrics", "/-/ready", "/api/v1/status"] {
        assert_eq!(ask("GET", target, name, None), 401, "{target}");
        assert_eq!(ask("GET", target, name, Some(&token)), 401, "{target}: the token is good on this machine alone");
        assert_eq!(ask("GET", target, &own, Some(&token)), 200, "{target}");
    }
    // Five of these were wrong tokens or none; the fifth wrong one makes the name's callers wait, right ones included.
    for _ in 0..2 {
        ask("GET", "/metrics", name, Some(&token));
    }
    assert_eq!(ask("POST", "/api/v1/pause", name, Some(&key)), 429);
    assert_eq!(ask("POST", "/api/v1/pause", &own, Some(&token)), 200, "nobody elsewhere keeps this machine out");
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(ask("POST", "/api/v1/pause", name, Some(&key)), 200);
    assert_eq!(ask("GET", "/metrics", name, Some(&key)), 200);
}
