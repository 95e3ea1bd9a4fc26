//! The answer to one request: checks in a fixed order, then the route's action.

use crate::access_api::{self, AccessView, KeyMade, NewKey};
use crate::backend::{Act, ActVerb, Backend};
use crate::checks::{self, Way};
use crate::gate::{self, Caller, Source, lock};
use crate::keys_api::{self, KeyDetail, KeyHistory, KeyWish, Sent};
use crate::limits::{
    ANSWER_PATIENCE, BODY_BYTES_MAX, BODY_PATIENCE, EQUITY_POINTS_MAX, PAGE_DEFAULT, PAGE_MAX, REASON_CHARS_MAX,
};
use crate::page::CONTENT_SECURITY_POLICY;
use crate::problem::Problem;
use crate::repeats::{Answered, Begin, Ticket};
use crate::routes::{self, Action, Found, Method, Route};
use crate::server::{OverSocket, Shared};
use crate::stream;
use crate::view::{EquityPoint, NotReadyView, Ready, Status};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::timeout;

/// The headers of every answer.
const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Answers one request and counts it.
pub(crate) async fn answer(request: HttpRequest, payload: web::Payload, shared: web::Data<Shared>) -> HttpResponse {
    let started = shared.clock.mono();
    let found = routes::find(request.method().as_str(), request.path());
    let result = reply(&request, payload, &shared, found).await;
    let mut response = result.unwrap_or_else(|problem| problem.response());
    if let (Found::OtherMethod(route), 405) = (found, response.status().as_u16())
        && let Ok(methods) = HeaderValue::from_str(&routes::methods(route.path))
    {
        response.headers_mut().insert(header::ALLOW, methods);
    }
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    let (method, route) = match found {
        Found::Route(route) => (route.method.as_str(), route.path),
        Found::OtherMethod(route) => ("other", route.path),
        Found::Nothing => ("other", "other"),
    };
    let code = telemetry::http_code(response.status().as_u16());
    telemetry::http_requests_total(method, route, code).increment(1);
    let took = shared.clock.mono().since(started);
    telemetry::http_request_duration_seconds(route).record(took.as_secs_f64());
    response
}

async fn reply(
    request: &HttpRequest,
    payload: web::Payload,
    shared: &web::Data<Shared>,
    found: Found,
) -> Result<HttpResponse, Problem> {
    let way = match request.conn_data::<OverSocket>() {
        Some(OverSocket { user }) => {
            checks::check_user(*user, rustix::process::geteuid().as_raw())?;
            Way::Socket
        }
        None => Way::Tcp,
    };
    let (uri, headers) = (request.uri(), request.headers());
    shared.hosts.check(uri, headers, way).inspect_err(|_| telemetry::auth_failures_total("wrong_host").increment(1))?;
    checks::check_head(uri, headers)?;
    let listed = headers.get(header::HOST).is_some_and(|host| shared.hosts.is_listed(host.as_bytes()));
    let source = Source::new(way, request.peer_addr(), listed);
    let caller = if routes::needs_credentials(request.path(), found, source.is_here()) {
        let stream = matches!(found, Found::Route(Route { action: Action::Stream, .. }));
        let route = match found {
            Found::Route(route) => Some(route),
            _ => None,
        };
        let caller = shared.gate.admit(checks::presented(headers, stream), source, route)?;
        let method = if request.method() == "GET" { Method::Get } else { Method::Post };
        checks::check_origin(&shared.hosts, headers, method)
            .inspect_err(|_| telemetry::auth_failures_total("cross_origin").increment(1))?;
        Some(caller)
    } else {
        shared.gate.admit_open(source)?;
        None
    };
    match found {
        Found::Nothing => Err(Problem::new(404, "no_such_route", "not found", "there is nothing at this address")),
        Found::OtherMethod(route) => Err(Problem::new(
            405,
            "wrong_method",
            "method not allowed",
            format!("this address takes {} only", routes::methods(route.path)),
        )),
        Found::Route(route) => match (route.method, caller) {
            (Method::Get, Some(caller)) if route.action == Action::Stream => {
                stream::upgrade(request, payload, shared, caller)
            }
            (Method::Get, _) => show_route(route.action, request, shared).await,
            (Method::Post, Some(caller)) => change(route, &caller, request, payload, shared, way).await,
            // Every route that changes something has a scope, so this is never reached; closed all the same.
            (Method::Post, None) => Err(Problem::new(401, "token_missing", "unauthorized", "credentials are needed")),
        },
    }
}

async fn show_route(action: Action, request: &HttpRequest, shared: &Shared) -> Result<HttpResponse, Problem> {
    match action {
        Action::File(file) => Ok(HttpResponse::Ok().content_type(file.media_type).body(file.text)),
        Action::Healthy => Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")),
        Action::Metrics => metrics(shared),
        Action::Ready => {
            let reasons: Vec<_> =
                ask(shared, |backend| backend.ready()).await?.into_iter().map(NotReadyView::from).collect();
            let ready = Ready { ready: reasons.is_empty(), reasons };
            let mut response = if ready.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
            Ok(response.json(ready))
        }
        Action::Status => {
            let status = ask(shared, |backend| backend.status()).await?;
            Ok(HttpResponse::Ok().insert_header((header::ETAG, version(&status))).json(status))
        }
        Action::Positions => show(shared, |backend| backend.positions()).await,
        Action::Balances => show(shared, |backend| backend.balances()).await,
        Action::Equity => show(shared, |backend| thinned(backend.equity(), EQUITY_POINTS_MAX)).await,
        Action::Book => show(shared, |backend| backend.book()).await,
        Action::Orders => {
            let Paging { cursor, limit } = paging(request)?;
            show(shared, move |backend| backend.orders(cursor, limit)).await
        }
        Action::Fills => {
            let Paging { cursor, limit } = paging(request)?;
            show(shared, move |backend| backend.fills(cursor, limit)).await
        }
        Action::AccessList => {
            let view = AccessView::of(&lock(shared.gate.keys()));
            Ok(HttpResponse::Ok().insert_header((header::ETAG, keys_version(view.revision))).json(view))
        }
        Action::Keys => show_keys(shared, |keys| keys).await,
        Action::KeysAudit => show_keys(shared, |keys| keys.into_iter().map(history).collect::<Vec<_>>()).await,
        Action::SealingKey => {
            let view = ask(shared, |backend| backend.sealing_key()).await?.map_err(keys_api::refused)?;
            Ok(HttpResponse::Ok().json(view))
        }
        // A stream has a caller, and the others change something and are posts.
        Action::Stream
        | Action::Act(_)
        | Action::AccessAdd
        | Action::AccessRevoke
        | Action::KeyAdd
        | Action::KeyTest
        | Action::KeyDisable
        | Action::KeyEnable
        | Action::KeyRotate
        | Action::KeyRevoke
        | Action::PolicyTighten
        | Action::PolicyLoosen => {
            Err(Problem::new(405, "wrong_method", "method not allowed", "this address is not read like this"))
        }
    }
}

/// Does what changes something: content type, body, repetition, version, one-time code, then the act itself.
async fn change(
    route: &'static Route,
    caller: &Caller,
    request: &HttpRequest,
    payload: web::Payload,
    shared: &web::Data<Shared>,
    way: Way,
) -> Result<HttpResponse, Problem> {
    let headers = request.headers();
    checks::check_content_type(headers)?;
    let bytes = body(payload).await?;
    let wish = Wish::read(route.action, &bytes)?;
    let now = shared.clock.mono();
    let ticket = match shared.repeats.begin(headers, &caller.name(), route.path, &bytes, now)? {
        Begin::Again(answered) => return again(&answered),
        Begin::First(ticket) => ticket,
    };
    if let Some(wanted) = if_match(headers)? {
        let found = match &wish {
            Wish::Act { .. } | Wish::Key(_) => version(&ask(shared, |backend| backend.status()).await?),
            Wish::AddKey(_) | Wish::RevokeKey(_) => keys_version(lock(shared.gate.keys()).revision()),
        };
        if found != wanted {
            let detail = "it changed since you looked; look again, then decide";
            return Err(Problem::new(412, "changed_meanwhile", "precondition failed", detail));
        }
    }
    if shared.gate.needs_code(route) {
        let header = headers.get("x-totp").and_then(|value| value.to_str().ok());
        let code = header.map(str::to_owned).or_else(|| wish.code().map(str::to_owned));
        let code = code.filter(|code| gate::may_be_code(code)).ok_or_else(gate::code_needed)?;
        let step_up = shared.gate.step_up();
        blocking(move || step_up.verify(&code, route.path)).await?.map_err(|refusal| {
            shared
                .backend
                .authentication_refused(refusal.as_str(), &Source::new(way, request.peer_addr(), false).words());
            gate::code_refused(refusal)
        })?;
    }
    let origin = match (way, request.peer_addr()) {
        (Way::Tcp, Some(peer)) => peer.to_string(),
        _ => "socket".to_owned(),
    };
    tracing::info!(
        path = route.path,
        caller = caller.name(),
        { telemetry::fields::OPERATOR } = origin,
        "asked to change something"
    );
    // On a task of its own: a caller that goes away must not leave the memory of its request behind half done.
    let work = perform(wish, route, caller.clone(), origin, ticket, shared.clone());
    match actix_rt::spawn(work).await {
        Ok(done) => done,
        Err(_) => Err(Problem::new(500, "defect", "internal error", "the answer could not be made; see the log")),
    }
}

/// Does what was asked and remembers the answer.
async fn perform(
    wish: Wish,
    route: &'static Route,
    caller: Caller,
    origin: String,
    ticket: Ticket,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let shared = &*shared;
    let origin = match caller {
        Caller::Local => origin,
        Caller::Key(_) => format!("{origin}, {}", caller.name()),
    };
    let done = match wish {
        Wish::Act { verb, reason, .. } => act(Act { verb, reason, origin }, shared).await,
        Wish::AddKey(wish) => add_key(wish, origin, shared).await,
        Wish::RevokeKey(name) => revoke_key(name, origin, shared).await,
        Wish::Key(sent) => key_act(*sent, origin, shared).await,
    };
    let (status, text) = match done {
        Ok(text) => (200, text),
        Err(problem) => {
            // What was tried is answered the same again; what was not tried leaves no trace.
            if problem.status == 409 || problem.status == 504 {
                let text = serde_json::to_string(&problem).ok();
                ticket.answered(Answered { status: problem.status, body: text });
            }
            return Err(problem);
        }
    };
    let shown_once = matches!(route.action, Action::AccessAdd);
    ticket.answered(Answered { status, body: (!shown_once).then(|| text.clone()) });
    Ok(HttpResponse::Ok().content_type("application/json").body(text))
}

/// An answer that was given before.
fn again(answered: &Answered) -> Result<HttpResponse, Problem> {
    let Some(text) = &answered.body else {
        let detail = "the secret was shown then and cannot be shown again; revoke the key and make another";
        return Err(Problem::new(409, "done_before", "this was done before", detail));
    };
    let status = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    Ok(HttpResponse::build(status).content_type(kind).insert_header(("idempotent-replayed", "true")).body(text.clone()))
}

/// The version of the trading state: another one after every change of it.
fn version(status: &Status) -> String {
    format!("\"{}-{}\"", status.trading.as_str(), status.since.as_millisecond())
}

/// The version of the API keys.
fn keys_version(revision: u64) -> String {
    format!("\"keys-{revision}\"")
}

/// The version that the caller saw; none: it does not matter.
fn if_match(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all(header::IF_MATCH);
    match (given.next().map(|value| value.to_str()), given.next()) {
        (None, _) => Ok(None),
        (Some(Ok("*")), None) => Ok(None),
        (Some(Ok(tag)), None) if tag.starts_with('"') && tag.ends_with('"') => Ok(Some(tag.to_owned())),
        _ => Err(Problem::new(400, "bad_if_match", "bad request", "If-Match takes one ETag as it was given, or `*`")),
    }
}

fn metrics(shared: &Shared) -> Result<HttpResponse, Problem> {
    let Some(handle) = &shared.metrics else {
        return Err(Problem::new(404, "metrics_off", "not found", "`metrics.enabled` is false in the settings"));
    };
    shared.process.collect();
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(handle.render()))
}

/// Asks the backend on a thread that may block.
async fn ask<T: Send + 'static>(
    shared: &Shared,
    question: impl FnOnce(&dyn Backend) -> T + Send + 'static,
) -> Result<T, Problem> {
    let backend = Arc::clone(&shared.backend);
    blocking(move || question(&*backend)).await
}

/// Works on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    match timeout(ANSWER_PATIENCE, web::block(work)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Problem::new(500, "defect", "internal error", "the answer could not be made; see the log")),
        Err(_) => Err(Problem::new(
            504,
            "too_slow",
            "no answer in time",
            "the program did not answer within 10 s; what was asked for may still happen: look at the status",
        )),
    }
}

async fn show<T: Serialize + Send + 'static>(
    shared: &Shared,
    question: impl FnOnce(&dyn Backend) -> T + Send + 'static,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(ask(shared, question).await?))
}

async fn act(act: Act, shared: &Shared) -> Result<String, Problem> {
    match ask(shared, move |backend| backend.act(&act)).await? {
        Ok(done) => text_of(&done),
        Err(refused) => Err(Problem::new(409, refused.code, refused.why, refused.fix)),
    }
}

async fn add_key(wish: NewKey, origin: String, shared: &Shared) -> Result<String, Problem> {
    let (keys, now) = (shared.gate.keys_shared(), shared.gate.unix());
    let name = wish.name.clone();
    if !ask(shared, move |backend| backend.credential_granted(&name, &origin)).await? {
        let detail = "it could not be recorded in the audit log; look at the log and at the disk's room";
        return Err(Problem::new(503, "not_recorded", "no key was made", detail));
    }
    let made = blocking(move || lock(&keys).add(wish.wanted(), now)).await?;
    let (key, token) = made.map_err(|error| access_api::refused(&error))?;
    text_of(&KeyMade { key, token: (*token).clone() })
}

/// The exchange keys, or what is made of them.
async fn show_keys<T: Serialize>(
    shared: &Shared,
    shown: impl FnOnce(Vec<KeyDetail>) -> T,
) -> Result<HttpResponse, Problem> {
    let keys = ask(shared, |backend| backend.keys()).await?.map_err(keys_api::refused)?;
    Ok(HttpResponse::Ok().json(shown(keys)))
}

fn history(key: KeyDetail) -> KeyHistory {
    KeyHistory { alias: key.alias, fingerprint: key.fingerprint, history: key.history }
}

async fn key_act(sent: Sent, origin: String, shared: &Shared) -> Result<String, Problem> {
    let Sent { alias, act, reason, .. } = sent;
    let wish = KeyWish { alias, act, reason, origin };
    text_of(&ask(shared, move |backend| backend.key_act(&wish)).await?.map_err(keys_api::refused)?)
}

async fn revoke_key(name: String, origin: String, shared: &Shared) -> Result<String, Problem> {
    let keys = shared.gate.keys_shared();
    let whose = name.clone();
    let revoked = blocking(move || lock(&keys).revoke(&whose)).await?;
    if revoked.is_ok() {
        shared.backend.credential_revoked(&name, &origin);
    }
    text_of(&revoked.map_err(|error| access_api::refused(&error))?)
}

fn text_of(answer: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(answer)
        .map_err(|_| Problem::new(500, "defect", "internal error", "it was done, but the answer could not be written"))
}

struct Paging {
    cursor: Option<u64>,
    limit: usize,
}

fn paging(request: &HttpRequest) -> Result<Paging, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Query {
        cursor: Option<u64>,
        limit: Option<usize>,
    }
    let bad = || {
        Problem::new(
            400,
            "bad_query",
            "bad request",
            format!("`cursor` is a number, `limit` is 1 to {PAGE_MAX}; no other"),
        )
    };
    let query = web::Query::<Query>::from_query(request.query_string()).map_err(|_| bad())?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(bad());
    }
    Ok(Paging { cursor: query.cursor, limit })
}

async fn body(payload: web::Payload) -> Result<web::Bytes, Problem> {
    match timeout(BODY_PATIENCE, payload.to_bytes_limited(BODY_BYTES_MAX)).await {
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(_))) => Err(Problem::new(400, "bad_body", "bad request", "the body could not be read")),
        Ok(Err(_)) => Err(Problem::new(413, "body_too_large", "content too large", "at most 64 KiB are read")),
        Err(_) => Err(Problem::new(408, "body_too_slow", "request timeout", "the body took more than 5 s")),
    }
}

/// What a changing request asks for, read and checked.
enum Wish {
    /// An operator's act.
    Act { verb: ActVerb, reason: String, totp: Option<String> },
    /// A new API key.
    AddKey(NewKey),
    /// The end of an API key.
    RevokeKey(String),
    /// Something about an exchange key.
    Key(Box<Sent>),
}

impl Wish {
    fn read(action: Action, bytes: &[u8]) -> Result<Self, Problem> {
        let bad = |takes: &str| Problem::new(400, "bad_body", "bad request", format!("the body must be {takes}"));
        let object = bytes.trim_ascii_start().starts_with(b"{");
        match action {
            Action::Act(verb) => reason(verb, bytes),
            action if action.is_key_wish() => keys_api::read(action, bytes).map(|sent| Self::Key(Box::new(sent))),
            // A derived struct would take a list as well.
            Action::AccessAdd => serde_json::from_slice(bytes).ok().filter(|_| object).map(Self::AddKey).ok_or_else(|| {
                bad("{\"name\": \"...\", \"role\": \"viewer|operator|admin\", \"scopes\": [...], \"days\": 90, \"from\": [...]}")
            }),
            _ => {
                let takes = || bad("{\"name\": \"...\"}");
                let mut fields: BTreeMap<String, String> = serde_json::from_slice(bytes).map_err(|_| takes())?;
                let name = fields.remove("name").filter(|_| fields.is_empty()).ok_or_else(takes)?;
                Ok(Self::RevokeKey(name))
            }
        }
    }

    /// The one-time code in the body.
    fn code(&self) -> Option<&str> {
        match self {
            Self::Act { totp, .. } | Self::AddKey(NewKey { totp, .. }) => totp.as_deref(),
            Self::Key(sent) => sent.totp.as_deref(),
            Self::RevokeKey(_) => None,
        }
    }
}

/// Reads `{"reason": "..."}`; an empty object has no reason.
fn reason(verb: ActVerb, bytes: &[u8]) -> Result<Wish, Problem> {
    let bad_body = || Problem::new(400, "bad_body", "bad request", "the body must be {\"reason\": \"...\"}");
    // A map, since a derived struct would take a list as well.
    let mut body: BTreeMap<String, String> = serde_json::from_slice(bytes).map_err(|_| bad_body())?;
    let reason = body.remove("reason").unwrap_or_default();
    let totp = body.remove("totp");
    if !body.is_empty() {
        return Err(bad_body());
    }
    let reason = reason.trim();
    if reason.chars().count() > REASON_CHARS_MAX || reason.chars().any(char::is_control) {
        let detail = format!("a reason is one line of at most {REASON_CHARS_MAX} characters");
        return Err(Problem::new(400, "bad_reason", "bad request", detail));
    }
    if verb == ActVerb::Unhalt && reason.is_empty() {
        return Err(Problem::new(400, "reason_missing", "bad request", "say why it is safe again"));
    }
    Ok(Wish::Act { verb, reason: reason.to_owned(), totp })
}

/// At most `points_max` points, evenly picked; the last one is always among them.
fn thinned(points: Vec<EquityPoint>, points_max: usize) -> Vec<EquityPoint> {
    let step = points.len().div_ceil(points_max.max(1)).max(1);
    let offset = points.len().saturating_sub(1) % step;
    points.into_iter().skip(offset).step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(count: u64) -> Vec<EquityPoint> {
        (0..count).map(|time_ms| EquityPoint { time_ms, equity: time_ms.into() }).collect()
    }

    #[test]
    fn thinned_curve_keeps_order_bound_and_last_point() {
        for count in [0, 1, 2, 9, 10, 11, 19, 20, 21, 1_234] {
            let thin = thinned(points(count), 10);
            assert!(thin.len() <= 10, "{count}: {}", thin.len());
            assert!(thin.windows(2).all(|pair| pair[0].time_ms < pair[1].time_ms));
            assert_eq!(thin.last().map(|point| point.time_ms), count.checked_sub(1));
        }
        assert_eq!(thinned(points(10), 10), points(10));
    }
}
