//! The control endpoint: faults of a running exchange, for whoever holds its token.

use crate::FaultPlan;
use crate::server::Shared;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

fn answer(status: StatusCode, body: &Value) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body.to_string())
}

/// The text behind `Authorization: Bearer`.
pub(crate) fn bearer(request: &HttpRequest) -> Option<&str> {
    request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// `GET`, `POST` and `DELETE /control/faults`.
pub(crate) async fn faults(request: HttpRequest, body: web::Bytes, shared: web::Data<Shared>) -> HttpResponse {
    let known = bearer(&request).is_some_and(|token| token.as_bytes().ct_eq(shared.control_token.as_bytes()).into());
    if !known {
        let error = "the control token is missing or wrong; `steadfast sim` prints it as \"control_token\"";
        return answer(StatusCode::UNAUTHORIZED, &json!({"error": error}));
    }
    match request.method().as_str() {
        "GET" => {}
        "DELETE" => shared.venue().hub.faults.clear(),
        "POST" => {
            let toml = request
                .headers()
                .get(CONTENT_TYPE)
                .and_then(|kind| kind.to_str().ok())
                .is_some_and(|kind| kind.contains("toml"));
            let text = String::from_utf8_lossy(&body);
            let plan = if toml { FaultPlan::from_toml(&text) } else { FaultPlan::from_json(&text) };
            let added = plan.map_err(|error| error.to_string()).and_then(|plan| shared.venue().add_faults(plan));
            if let Err(problems) = added {
                let problems: Vec<&str> = problems.lines().collect();
                return answer(StatusCode::BAD_REQUEST, &json!({"error": "no fault was added", "problems": problems}));
            }
        }
        _ => return answer(StatusCode::METHOD_NOT_ALLOWED, &json!({"error": "GET, POST or DELETE"})),
    }
    answer(StatusCode::OK, &shared.venue().hub.faults.status())
}
