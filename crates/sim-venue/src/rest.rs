//! The REST side: in which order a request is judged, and how it is answered.

use crate::FaultKind;
use crate::auth::Request;
use crate::call::{Access, Answer, Call, Route, parameters};
use crate::hub::Socket;
use crate::limits::{Caller, Spent};
use crate::mishaps::LATE_ACK_DELAY;
use crate::outgoing::Place;
use crate::reject::{Reject, UNAVAILABLE, success};
use crate::routes;
use crate::server::Shared;
use crate::venue::Venue;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Extra time before the answer when its fill is to be seen first.
const FILL_FIRST_DELAY: Duration = Duration::from_millis(100);

/// Extra time before pushes when the answer is lost or worthless.
const LOST_FIRST_DELAY: Duration = Duration::from_millis(100);

/// Answers one REST request.
pub(crate) async fn serve(request: HttpRequest, body: web::Bytes, shared: web::Data<Shared>) -> HttpResponse<AckBody> {
    let address = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let signed = Request {
        method: request.method().as_str(),
        target,
        body: &body,
        address,
        key: header("ACCESS-KEY"),
        sign: header("ACCESS-SIGN"),
        timestamp: header("ACCESS-TIMESTAMP"),
        passphrase: header("ACCESS-PASSPHRASE"),
        paper: header("paptrading") == Some("1"),
    };
    if let Some(delay) = shared.draw_latency() {
        tokio::time::sleep(delay).await;
    }
    let is_json = header("Content-Type").is_some_and(|kind| kind.starts_with("application/json"));
    let (outcome, held, left, now_ms) = {
        let mut venue = shared.venue();
        let Judged { outcome, held, left } = judge(&mut venue, &signed, is_json);
        (outcome, held, left, venue.now_ms())
    };
    let release = held.map(|held| Release { held, shared: shared.clone().into_inner() });
    let answer = match outcome {
        Ok(answer) => answer,
        Err(reject) => return respond(reject.status, reject.body(now_ms), release, left),
    };
    if answer.faults.contains(&FaultKind::FillBeforeAck) {
        drop(release);
        tokio::time::sleep(FILL_FIRST_DELAY).await;
        return respond(200, success(&answer.data, now_ms), None, left);
    }
    if let Some(delay) = answer.faults.delay(FaultKind::AckLate, LATE_ACK_DELAY) {
        drop(release);
        tokio::time::sleep(delay).await;
        return respond(200, success(&answer.data, now_ms), None, left);
    }
    let lost = [FaultKind::AckLost, FaultKind::ServerErrorAfterAccept];
    let release = if lost.iter().any(|fault| answer.faults.contains(fault)) {
        // The push comes later than the loss, so that nobody but the one who asks learns what became of the order.
        actix_web::rt::spawn(async move {
            tokio::time::sleep(LOST_FIRST_DELAY).await;
            drop(release);
        });
        None
    } else {
        release
    };
    if answer.faults.contains(&FaultKind::AckLost)
        && let Some(socket) = request.conn_data::<Socket>()
    {
        socket.cut();
    }
    if answer.faults.contains(&FaultKind::ServerErrorAfterAccept) {
        return respond(503, UNAVAILABLE.to_owned(), release, None);
    }
    respond(200, success(&answer.data, now_ms), release, left)
}

/// The header that says how many requests are left of the caller's second (the venue's FAQ names it).
const LEFT_HEADER: &str = "x-mbx-used-remain-limit";

fn respond(status: u16, text: String, release: Option<Release>, left: Option<u32>) -> HttpResponse<AckBody> {
    let json = text.starts_with('{');
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    if let Some(left) = left {
        response.insert_header((LEFT_HEADER, left.to_string()));
    }
    response
        .content_type(if json { "application/json;charset=UTF-8" } else { "text/html" })
        .message_body(AckBody { text: Some(web::Bytes::from(text)), _release: release })
        .unwrap_or_else(|_| {
            HttpResponse::with_body(StatusCode::INTERNAL_SERVER_ERROR, AckBody { text: None, _release: None })
        })
}

/// What came of a request.
struct Judged {
    outcome: Result<Answer, Reject>,
    /// The answer's place, where pushes wait for it.
    held: Option<Held>,
    /// What the caller has left of its second, where it is counted.
    left: Option<u32>,
}

/// Judges a request in the venue's order.
fn judge(venue: &mut Venue, request: &Request<'_>, is_json: bool) -> Judged {
    let mut left = None;
    match admit(venue, request, is_json, &mut left) {
        Err(reject) => Judged { outcome: Err(reject), held: None, left },
        Ok((route, call)) => {
            // Reading pushes nothing, so nothing has to wait for it.
            let waits = matches!(route.access, Access::Private(_)) && route.method == "POST";
            let account = call.account;
            let place = if waits { venue.hold(account) } else { None };
            let outcome = (route.handler)(venue, &call);
            Judged { outcome, held: place.map(|place| Held { account, place }), left }
        }
    }
}

fn admit(
    venue: &mut Venue,
    request: &Request<'_>,
    is_json: bool,
    left: &mut Option<u32>,
) -> Result<(&'static Route, Call), Reject> {
    if !venue.limits.address(request.address) {
        *left = Some(0);
        return Err(Reject::too_many());
    }
    if let Some(reject) = venue.closed() {
        return Err(reject);
    }
    let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
    let route: &'static Route = routes::find(request.method, path).ok_or_else(Reject::not_found)?;
    let (account, key, caller) = match route.access {
        Access::Public => (0, String::new(), Caller::Address(request.address)),
        Access::Private(need) => {
            let mode = |account: usize| venue.accounts.get(account).map(|account| account.mode).unwrap_or_default();
            let key = venue.keys.authenticate(request, need, mode, venue.now_ms())?;
            let account = key.config.account;
            if venue.frozen(account) {
                return Err(Reject::frozen());
            }
            (account, key.config.material.key.clone(), Caller::Account(account))
        }
    };
    match venue.limits.spend(route.path, route.per_second, caller) {
        Spent::Unlimited => {}
        Spent::Left(more) => *left = Some(more),
        Spent::TooMuch => {
            *left = Some(0);
            return Err(Reject::too_many());
        }
    }
    let body = match request.body {
        [] => Value::Null,
        _ if !is_json => return Err(Reject::new("40007", "Content-Type must be 'application/json'")),
        body => serde_json::from_slice(body).map_err(|_| Reject::new("40020", "Parameter body error"))?,
    };
    Ok((route, Call { account, key, query: parameters(query), body }))
}

/// An answer's place in the line of its account.
struct Held {
    account: usize,
    place: Place,
}

/// Lets an account's pushes go when it is dropped, which is when the answer has been handed to the socket.
pub(crate) struct Release {
    held: Held,
    shared: Arc<Shared>,
}

impl Drop for Release {
    fn drop(&mut self) {
        self.shared.venue().release(self.held.account, Some(self.held.place));
    }
}

/// A whole body that holds back pushes until the server has taken it.
pub(crate) struct AckBody {
    text: Option<web::Bytes>,
    _release: Option<Release>,
}

impl MessageBody for AckBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.text.as_ref().map_or(0, |text| u64::try_from(text.len()).unwrap_or(u64::MAX)))
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<web::Bytes, Infallible>>> {
        Poll::Ready(self.text.take().map(Ok))
    }
}
