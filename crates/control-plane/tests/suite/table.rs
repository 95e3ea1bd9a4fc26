//! The authorisation table: every route with every scope and every kind of credentials, and the codes that confirm.

use crate::common::{Server, header, json, server};
use access::{Role, Scope, Scopes};
use control_plane::{ActVerb, Action, Method, ROUTES, Risk, Route};
use std::time::Duration;

fn body(route: &Route) -> &'static str {
    match (route.method, route.action) {
        (Method::Get, _) => "",
        (_, Action::AccessAdd) => r#"{"name":"made","role":"viewer"}"#,
        (_, Action::AccessRevoke) => r#"{"name":"no-such-key"}"#,
        (_, Action::KeyAdd) => {
            r#"{"alias":"main","venue":"bitget","account":"a","role":"trade","wallets":["spot"],"sealed":"AA"}"#
        }
        (_, Action::PolicyTighten | Action::PolicyLoosen) => r#"{"alias":"main","policy":"{}","reason":"test"}"#,
        (_, action) if action.is_key_wish() => r#"{"alias":"main","reason":"test"}"#,
        _ => r#"{"reason":"test"}"#,
    }
}

/// The status of a request that is let in.
fn let_in(route: &Route) -> u16 {
    match route.action {
        Action::Stream => 400,
        Action::Act(ActVerb::Unhalt) => 409,
        Action::AccessRevoke => 404,
        _ => 200,
    }
}

fn ask(server: &Server, route: &Route, headers: &[(String, String)]) -> (u16, String) {
    // Time for buckets and waits to be over.
    server.clock.advance(Duration::from_secs(600));
    let mut all = vec![json()];
    all.extend_from_slice(headers);
    let answer = server.send(route.method.as_str(), route.path, &all, body(route));
    let code = if answer.body.starts_with('{') {
        answer.json()["code"].as_str().unwrap_or("").to_owned()
    } else {
        String::new()
    };
    (answer.status, code)
}

/// Whether anything was done since the last look.
fn changed(server: &Server) -> bool {
    let wished = !std::mem::take(&mut *server.fake.wishes.lock().unwrap()).is_empty();
    let acted = !std::mem::take(&mut *server.fake.acts.lock().unwrap()).is_empty() || wished;
    let made = server.keys.lock().unwrap().revoke("made").is_ok();
    acted || made
}

#[test]
fn every_route_with_every_scope_and_every_credential_answers_as_the_table_says() {
    let server = server();
    let wrong = header("Authorization", &format!("Bearer 0123456789abcdef.{}", "0".repeat(64)));
    let ended = server.key("ended", Scopes::all(), &[]);
    server.clock.advance(Duration::from_secs(2 * 86_400));
    let mut walked = 0;
    for route in ROUTES {
        for scope in Scope::ALL {
            let only: Scopes = [*scope].into_iter().collect();
            let name = scope.as_str();
            let key = server.key(name, only.clone(), &[]);
            let elsewhere = server.key("elsewhere", only, &["192.0.2.0/24"]);
            let allowed = route.needs(true).is_none_or(|needed| needed == *scope);
            let cases = [
                ("none", None, 401, "token_missing"),
                ("wrong", Some(&wrong), 401, "token_wrong"),
                ("ended", Some(&ended), 401, "token_expired"),
                ("elsewhere", Some(&elsewhere), 401, "token_wrong"),
            ];
            for (case, credentials, status, code) in cases {
                let headers: Vec<_> = credentials.into_iter().cloned().collect();
                let answer = ask(&server, route, &headers);
                let expected =
                    if route.needs(true).is_none() { (200, String::new()) } else { (status, code.to_owned()) };
                assert_eq!(answer, expected, "{} with {case}", route.path);
                assert!(!changed(&server), "{} with {case}", route.path);
            }
            // Without codes set up the scope alone decides.
            let (status, code) = ask(&server, route, std::slice::from_ref(&key));
            if allowed {
                assert_eq!(status, let_in(route), "{} with {name}: {code}", route.path);
            } else {
                assert_eq!((status, code.as_str()), (403, "scope_missing"), "{} with {name}", route.path);
            }
            assert_eq!(
                changed(&server),
                allowed && route.method == Method::Post && route.action != Action::AccessRevoke
            );
            walked += 1;
            server.keys.lock().unwrap().revoke(name).unwrap();
            server.keys.lock().unwrap().revoke("elsewhere").unwrap();
        }
    }
    assert_eq!(walked, ROUTES.len() * Scope::ALL.len());
}

#[test]
fn what_raises_a_risk_needs_a_fresh_code_once_codes_are_set_up_and_nothing_else_does() {
    let server = server();
    server.codes.enroll();
    let key = server.key("all", Scopes::all(), &[]);
    for route in ROUTES {
        for credentials in [key.clone(), server.bearer()] {
            let without = ask(&server, route, std::slice::from_ref(&credentials));
            if route.risk != Risk::Raises {
                assert_eq!(without.0, let_in(route), "{} needs no code", route.path);
                changed(&server);
                continue;
            }
            assert_eq!(without, (403, "step_up_needed".to_owned()), "{}", route.path);
            server.clock.advance(Duration::from_secs(600));
            let send = |code: &str| {
                let answer = server.send(
                    "POST",
                    route.path,
                    &[json(), credentials.clone(), header("X-Totp", code)],
                    body(route),
                );
                (answer.status, if answer.status == 200 { String::new() } else { answer.code() })
            };
            let code = server.codes.code();
            let wrong = if code == "000000" { "000001" } else { "000000" };
            assert_eq!(send(wrong), (403, "step_up_wrong".to_owned()));
            assert_eq!(send("not a code at all, by far too long"), (403, "step_up_needed".to_owned()));
            assert!(!changed(&server), "{}: nothing is done without the right code", route.path);
            assert_eq!(send(&code).0, let_in(route), "{}", route.path);
            assert!(changed(&server));
            assert_eq!(send(&code), (403, "step_up_replayed".to_owned()), "{}", route.path);
            assert!(!changed(&server));
        }
    }
}

#[test]
fn viewers_code_is_not_spent_on_what_its_scopes_forbid() {
    let server = server();
    server.codes.enroll();
    let viewer = server.key("viewer", Role::Viewer.scopes(), &[]);
    let code = header("X-Totp", &server.codes.code());
    let body = r#"{"reason":"r"}"#;
    let refused = server.send("POST", "/api/v1/unhalt", &[json(), viewer, code.clone()], body);
    assert_eq!(refused.code(), "scope_missing");
    let malformed = server.send("POST", "/api/v1/unhalt", &[json(), server.bearer(), code.clone()], "{");
    assert_eq!(malformed.code(), "bad_body");
    assert_eq!(server.send("POST", "/api/v1/unhalt", &[json(), server.bearer(), code], body).status, 409, "still good");
}

#[test]
fn code_in_the_body_and_recovery_codes_are_taken_once() {
    let server = server();
    let recovery = server.codes.enroll();
    let unhalt = |code: &str| {
        let body = format!("{{\"reason\":\"r\",\"totp\":\"{code}\"}}");
        let answer = server.post("/api/v1/unhalt", &body);
        (answer.status, answer.code())
    };
    assert_eq!(unhalt(&recovery[0]).0, 409);
    assert_eq!(unhalt(&recovery[0]), (403, "step_up_wrong".to_owned()));
    let code = server.codes.code();
    assert_eq!(unhalt(&code).0, 409);
    assert_eq!(unhalt(&code), (403, "step_up_replayed".to_owned()));
}

#[test]
fn code_spent_before_a_restart_is_spent_after_it() {
    let mut server = server();
    server.codes.enroll();
    let code = header("X-Totp", &server.codes.code());
    let unhalt = |server: &Server| {
        let headers = [json(), server.bearer(), code.clone()];
        server.send("POST", "/api/v1/unhalt", &headers, r#"{"reason":"r"}"#).code()
    };
    assert_eq!(unhalt(&server), "not_halted");
    server.plane.take().unwrap().stop();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setup =
        control_plane::Setup { socket: None, metrics: None, clock: server.clock.clone(), access: server.access() };
    let plane = control_plane::start(&listener, &server.token, setup, server.fake.clone()).unwrap();
    server.address = plane.address();
    server.plane = Some(plane);
    assert_eq!(unhalt(&server), "step_up_replayed");
}

#[test]
fn wrong_codes_lock_unhalt_and_never_halt() {
    let server = server();
    server.codes.enroll();
    let unhalt = |code: &str| {
        let headers = [json(), server.bearer(), header("X-Totp", code)];
        server.send("POST", "/api/v1/unhalt", &headers, r#"{"reason":"r"}"#)
    };
    let good = server.codes.code();
    let wrong = if good == "000000" { "000001" } else { "000000" };
    for _ in 0..5 {
        assert_eq!(unhalt(wrong).code(), "step_up_wrong");
    }
    let locked = unhalt(&good);
    assert_eq!((locked.status, locked.code().as_str()), (429, "step_up_locked"));
    assert!(locked.has_header("retry-after: 30"));
    assert_eq!(server.post("/api/v1/halt", "{}").status, 200);
    server.clock.advance(Duration::from_secs(30));
    assert_eq!(unhalt(&server.codes.code()).status, 409);
}

#[test]
fn api_keys_are_made_listed_used_and_revoked_over_the_api_and_a_secret_is_shown_once() {
    let server = server();
    let body = r#"{"name":"phone","role":"operator","days":30,"from":["127.0.0.0/8"]}"#;
    let again = header("Idempotency-Key", "make-phone");
    let made = server.send("POST", "/api/v1/access/add", &[json(), server.bearer(), again.clone()], body);
    assert_eq!(made.status, 200, "{}", made.body);
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let phone = header("Authorization", &format!("Bearer {token}"));
    assert_eq!(server.send("POST", "/api/v1/pause", &[json(), phone.clone()], "{}").status, 200);
    assert!(server.acts()[0].origin.ends_with(", key phone"), "{:?}", server.acts());
    let list = server.get("/api/v1/access");
    assert_eq!(list.json()["keys"][0]["name"], "phone");
    assert_eq!(list.json()["keys"][0]["last_used"], 1_000_000);
    let secret = token.split_once('.').unwrap().1;
    assert!(!list.body.contains(secret) && !list.body.contains("sha256"));
    let repeated = server.send("POST", "/api/v1/access/add", &[json(), server.bearer(), again], body);
    assert_eq!((repeated.status, repeated.code().as_str()), (409, "done_before"));
    assert!(!repeated.body.contains(secret));
    assert_eq!(server.post("/api/v1/access/add", body).code(), "name_taken");
    for (bad, code) in [
        (r#"{"name":"x"}"#, "no_scope"),
        (r#"{"name":"X y","role":"viewer"}"#, "bad_name"),
        (r#"{"name":"x","role":"viewer","days":0}"#, "bad_life"),
        (r#"{"name":"x","role":"root"}"#, "bad_body"),
        (r#"{"name":"x","scopes":["everything"]}"#, "bad_body"),
        (r#"{"name":"x","role":"viewer","also":1}"#, "bad_body"),
        (r#"["x","viewer"]"#, "bad_body"),
    ] {
        assert_eq!(server.post("/api/v1/access/add", bad).code(), code, "{bad}");
    }
    assert_eq!(server.post("/api/v1/access/revoke", r#"{"name":"phone"}"#).status, 200);
    assert_eq!(server.send("POST", "/api/v1/pause", &[json(), phone], "{}").status, 401);
}

#[test]
fn values_of_a_key_are_taken_sealed_and_in_no_other_form() {
    let server = server();
    let sealed = r#"{"alias":"main","venue":"bitget","account":"a","role":"trade","wallets":["spot"],"sealed":"AA"}"#;
    assert_eq!(server.post("/api/v1/keys", sealed).status, 200);
    for field in ["key", "api_key", "secret", "passphrase", "apiKey"] {
        let body = sealed.replacen('{', &format!("{{\"{field}\":\"an invented value\","), 1);
        let answer = server.post("/api/v1/keys", &body);
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_body"), "{field}");
        assert!(!answer.body.contains("an invented value"));
    }
    let clear = sealed.replacen("sealed", "secret", 1);
    assert_eq!(server.post("/api/v1/keys", &clear).code(), "bad_body");
    assert_eq!(server.fake.wishes.lock().unwrap().len(), 1);
}

#[test]
fn trust_is_taken_and_given_back_with_a_reason_and_an_unknown_key_is_not_found() {
    let server = server();
    for path in ["/api/v1/keys/disable", "/api/v1/keys/enable"] {
        assert_eq!(server.post(path, r#"{"alias":"main"}"#).code(), "reason_missing");
        assert_eq!(server.post(path, r#"{"alias":"main","reason":" "}"#).code(), "reason_missing");
        assert_eq!(server.post(path, r#"{"alias":"main","reason":"a\nb"}"#).code(), "bad_reason");
        assert_eq!(server.post(path, r#"{"alias":"main","reason":"r","policy":"{}"}"#).code(), "bad_body");
    }
    assert_eq!(server.post("/api/v1/keys/policy/tighten", r#"{"alias":"main","reason":"r"}"#).code(), "bad_body");
    assert_eq!(server.post("/api/v1/keys/revoke", r#"{"alias":"nobody"}"#).status, 404);
    assert_eq!(server.post("/api/v1/keys/revoke", r#"["main"]"#).code(), "bad_body");
    assert_eq!(server.fake.wishes.lock().unwrap().len(), 0);
    assert_eq!(server.post("/api/v1/keys/revoke", r#"{"alias":"main"}"#).status, 200);
    assert_eq!(server.fake.wishes.lock().unwrap()[0].act, control_plane::KeyAct::Revoke);
}
