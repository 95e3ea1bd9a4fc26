//! The exchange's page, and the guard in front of its JSON interface.
//!
//! A session is shown as `Authorization: Bearer` by scripts and as a cookie by the browser. What
//! changes something comes as JSON from the page's own origin; a host name that is not this
//! machine's is refused, so that no other page can reach in through the browser.

use crate::control_http::bearer;
use crate::reject::Reject;
use crate::server::Shared;
use crate::web_api::{Ask, find};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION,
    ORIGIN, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

/// One file of the page.
struct PageFile {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

const FILES: [PageFile; 4] = [
    PageFile { path: "", media_type: "text/html; charset=utf-8", text: include_str!("page/index.html") },
    PageFile { path: "page.js", media_type: "text/javascript; charset=utf-8", text: include_str!("page/page.js") },
    PageFile { path: "page.css", media_type: "text/css; charset=utf-8", text: include_str!("page/page.css") },
    PageFile { path: "icon.svg", media_type: "image/svg+xml", text: include_str!("page/icon.svg") },
];

/// What the browser may do with our answers: run our own script and style, speak to us, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// Bytes of a request to the JSON interface.
const BODY_MAX: usize = 16 * 1_024;

/// The texts of a header that may come several times.
fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The host and port that the browser thinks it speaks to, if that is this machine.
fn authority(headers: &HeaderMap) -> Option<&str> {
    let authority = header(headers, &HOST)?;
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => authority.split(':').next()?,
    };
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    here.then_some(authority)
}

/// Cookies are shared by all ports of a host, so the port is in the name.
fn cookie_name(authority: &str) -> String {
    let port = authority.rsplit_once(':').map_or("80", |(_, port)| port);
    format!("sim_session_{port}")
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(&COOKIE).filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(its, _)| *its == name).map(|(_, value)| value)
}

fn guarded(mut answer: HttpResponse) -> HttpResponse {
    let fixed = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn json_answer(status: u16, body: &Value) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).content_type("application/json").body(body.to_string())
}

fn refusal(reject: &Reject) -> HttpResponse {
    json_answer(reject.status, &json!({"error": {"code": reject.code, "message": reject.message}}))
}

fn elsewhere() -> Reject {
    Reject { status: 403, ..Reject::new("40018", "the page is served to this machine under its own name only") }
}

/// Sends a person who opens the bare address to the page.
pub(crate) async fn to_page() -> HttpResponse {
    guarded(HttpResponse::SeeOther().insert_header((LOCATION, "/web/")).finish())
}

/// The files of the page.
pub(crate) async fn page(request: HttpRequest) -> HttpResponse {
    let answer = if authority(request.headers()).is_none() {
        refusal(&elsewhere())
    } else {
        let path = request.match_info().get("file").unwrap_or("");
        match FILES.iter().find(|file| file.path == path) {
            Some(file) => HttpResponse::Ok().content_type(file.media_type).body(file.text),
            None => HttpResponse::NotFound().content_type("text/plain").body("no such page; try /web/"),
        }
    };
    guarded(answer)
}

/// The JSON interface.
pub(crate) async fn api(request: HttpRequest, body: web::Bytes, shared: web::Data<Shared>) -> HttpResponse {
    guarded(answer(&request, &body, &shared).unwrap_or_else(|reject| refusal(&reject)))
}

/// Whether a request that changes something comes from a script of ours or from no page at all.
fn judge_origin(headers: &HeaderMap, authority: &str) -> Result<(), Reject> {
    let own = |origin: &str| origin.strip_prefix("http://") == Some(authority);
    let json = header(headers, &CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
    if !headers.get_all(&ORIGIN).all(|origin| origin.to_str().is_ok_and(own)) {
        return Err(elsewhere());
    }
    if json { Ok(()) } else { Err(Reject::new("40007", "Content-Type must be 'application/json'")) }
}

fn answer(request: &HttpRequest, body: &[u8], shared: &Shared) -> Result<HttpResponse, Reject> {
    let headers = request.headers();
    let authority = authority(headers).ok_or_else(elsewhere)?;
    let method = request.method().as_str();
    let body = if method == "GET" {
        Value::Null
    } else {
        judge_origin(headers, authority)?;
        if body.len() > BODY_MAX {
            return Err(Reject { status: 413, ..Reject::new("40020", "Parameter body error: too long") });
        }
        serde_json::from_slice(body).map_err(|_| Reject::new("40020", "Parameter body error: not JSON"))?
    };
    let path = request.match_info().get("path").unwrap_or("");
    let name = cookie_name(authority);
    let mut venue = shared.venue();
    let given = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or("");
    match (method, path) {
        ("POST", "sign-up") => {
            let session = venue.sign_up(given("email"), given("password"))?;
            return Ok(with_session(201, &name, &session));
        }
        ("POST", "sign-in") => {
            let session = venue.sign_in(given("email"), given("password"))?;
            return Ok(with_session(200, &name, &session));
        }
        _ => {}
    }
    let session = bearer(request).or_else(|| cookie(headers, &name)).unwrap_or("");
    let now = venue.elapsed();
    let unknown = || Reject { status: 401, ..Reject::new("40001", "sign in first") };
    let member = venue.members.who(session, now).ok_or_else(unknown)?;
    if (method, path) == ("POST", "sign-out") {
        venue.members.sign_out(session);
        return Ok(json_answer(200, &json!({"session": null})));
    }
    let main = venue.members.get(member).map(|member| member.account).ok_or_else(unknown)?;
    let act = find(method, path).ok_or_else(Reject::not_found)?;
    let origin = format!("http://{authority}");
    let data = act(&mut venue, &Ask { member, main, body: &body, origin: &origin })?;
    Ok(json_answer(200, &data))
}

fn with_session(status: u16, name: &str, session: &str) -> HttpResponse {
    let mut answer = json_answer(status, &json!({"session": session}));
    let cookie = format!("{name}={session}; Path=/web; HttpOnly; SameSite=Strict");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().insert(SET_COOKIE, value);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_hosts_of_the_page() {
        let host = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(text).unwrap());
            authority(&headers).is_some()
        };
        assert!(host("127.0.0.1:7450") && host("localhost:1") && host("[::1]:9") && host("127.0.0.1"));
        for other in ["example.org", "127.0.0.1.example.org:7450", "10.0.0.1:7450", "localhost.evil:1", ""] {
            assert!(!host(other), "{other}");
        }
        assert!(authority(&HeaderMap::new()).is_none());
    }

    #[test]
    fn a_cookie_is_found_among_others_and_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static("a=b; sim_session_74501=x; sim_session_7450=y"));
        assert_eq!(cookie(&headers, &cookie_name("127.0.0.1:7450")), Some("y"));
        assert_eq!(cookie(&headers, "session_7450"), None);
    }

    #[test]
    fn the_script_has_no_way_from_text_to_markup_or_code_and_nothing_is_loaded_from_elsewhere() {
        let script: String = FILES[1].text.to_lowercase().split_whitespace().collect();
        let sinks = [
            "innerhtml",
            "outerhtml",
            "insertadjacenthtml",
            "document.write",
            "eval(",
            "newfunction(",
            "settimeout(\"",
            "settimeout('",
            "domparser",
            "srcdoc",
            "javascript:",
            "setattribute(\"on",
        ];
        for sink in sinks {
            assert!(!script.contains(sink), "{sink}");
        }
        for file in &FILES {
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("@import"), "{}", file.path);
        }
        let page = FILES[0].text.to_lowercase();
        assert_eq!(page.matches("<script").count(), 1);
        assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick"));
        assert!(POLICY.contains("script-src 'self';") && !POLICY.contains("unsafe"));
    }
}
