//! The answer to one request: checks in a fixed order, then the route's action.

use crate::backend::{Act, ActVerb, Backend};
use crate::checks::{self, TokenCheck, Way};
use crate::limits::{
    ANSWER_PATIENCE, BODY_BYTES_MAX, BODY_PATIENCE, EQUITY_POINTS_MAX, PAGE_DEFAULT, PAGE_MAX, REASON_CHARS_MAX,
};
use crate::page::CONTENT_SECURITY_POLICY;
use crate::problem::Problem;
use crate::routes::{self, Action, Found, Method, Route};
use crate::server::{OverSocket, Shared};
use crate::stream;
use crate::view::{EquityPoint, NotReadyView, Ready};
use actix_web::http::header::{self, HeaderName, HeaderValue};
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
    if let (Found::OtherMethod(route), 405) = (found, response.status().as_u16()) {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(route.method.as_str()));
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
    shared: &Shared,
    found: Found,
) -> Result<HttpResponse, Problem> {
    let way = if request.conn_data::<OverSocket>().is_some() { Way::Socket } else { Way::Tcp };
    let (uri, headers) = (request.uri(), request.headers());
    shared.hosts.check(uri, headers, way)?;
    checks::check_head(uri, headers)?;
    if routes::needs_token(request.path(), found) {
        let stream = matches!(found, Found::Route(Route { action: Action::Stream, .. }));
        let source = || request.peer_addr().map_or_else(|| "socket".to_owned(), |peer| peer.ip().to_string());
        admit(checks::check_token(headers, shared.token, stream), shared, source)?;
        let method = if request.method() == "GET" { Method::Get } else { Method::Post };
        checks::check_origin(headers, method)?;
    }
    match found {
        Found::Nothing => Err(Problem::new(404, "no_such_route", "not found", "there is nothing at this address")),
        Found::OtherMethod(route) => Err(Problem::new(
            405,
            "wrong_method",
            "method not allowed",
            format!("this address takes {} only", route.method.as_str()),
        )),
        Found::Route(route) => act_on(route.action, request, payload, shared, way).await,
    }
}

fn admit(check: TokenCheck, shared: &Shared, source: impl Fn() -> String) -> Result<(), Problem> {
    let kind = match check {
        TokenCheck::Right => return Ok(()),
        TokenCheck::Missing => "token_missing",
        TokenCheck::Wrong => "token_wrong",
    };
    telemetry::auth_failures_total(kind).increment(1);
    if check == TokenCheck::Wrong && shared.wrong_tokens.check().is_err() {
        return Err(Problem::new(429, "too_many_wrong_tokens", "too many requests", "wait a second, then try again"));
    }
    // A page that is open without a token asks again and again: only what was tried as a token is told.
    if check == TokenCheck::Wrong {
        shared.backend.authentication_refused(kind, &source());
    }
    Err(Problem::new(
        401,
        kind,
        "unauthorized",
        "send `Authorization: Bearer` with the token from the file control.token of the data directory",
    ))
}

async fn act_on(
    action: Action,
    request: &HttpRequest,
    payload: web::Payload,
    shared: &Shared,
    way: Way,
) -> Result<HttpResponse, Problem> {
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
        Action::Status => show(shared, |backend| backend.status()).await,
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
        Action::Stream => stream::upgrade(request, payload, &shared.streams, &shared.clock),
        Action::Act(verb) => {
            checks::check_content_type(request.headers())?;
            let reason = reason(verb, payload).await?;
            let origin = match (way, request.peer_addr()) {
                (Way::Tcp, Some(peer)) => peer.to_string(),
                _ => "socket".to_owned(),
            };
            act(Act { verb, reason, origin }, shared).await
        }
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
    match timeout(ANSWER_PATIENCE, web::block(move || question(&*backend))).await {
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

async fn act(act: Act, shared: &Shared) -> Result<HttpResponse, Problem> {
    tracing::info!(
        verb = act.verb.as_str(),
        reason = act.reason,
        { telemetry::fields::OPERATOR } = act.origin,
        "asked to act"
    );
    match ask(shared, move |backend| backend.act(&act)).await? {
        Ok(done) => Ok(HttpResponse::Ok().json(done)),
        Err(refused) => Err(Problem::new(409, refused.code, refused.why, refused.fix)),
    }
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

/// Reads `{"reason": "..."}`; an empty object has no reason.
async fn reason(verb: ActVerb, payload: web::Payload) -> Result<String, Problem> {
    let bytes = match timeout(BODY_PATIENCE, payload.to_bytes_limited(BODY_BYTES_MAX)).await {
        Ok(Ok(Ok(bytes))) => bytes,
        Ok(Ok(Err(_))) => return Err(Problem::new(400, "bad_body", "bad request", "the body could not be read")),
        Ok(Err(_)) => return Err(Problem::new(413, "body_too_large", "content too large", "at most 64 KiB are read")),
        Err(_) => return Err(Problem::new(408, "body_too_slow", "request timeout", "the body took more than 5 s")),
    };
    let bad_body = || Problem::new(400, "bad_body", "bad request", "the body must be {\"reason\": \"...\"}");
    // A map, since a derived struct would take a list as well.
    let mut body: BTreeMap<String, String> = serde_json::from_slice(&bytes).map_err(|_| bad_body())?;
    let reason = body.remove("reason").unwrap_or_default();
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
    Ok(reason.to_owned())
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
