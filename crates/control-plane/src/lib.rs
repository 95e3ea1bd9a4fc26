//! What people and their tools reach over HTTP: the live page, the API, the scrape and the health checks.
//!
//! In: requests on a loopback address, a Unix socket, or over TLS from elsewhere. Out: views from the [`Backend`] that the wiring hands in, and
//! the four acts pause, resume, halt and unhalt.
//!
//! Invariants:
//! - a route that is not in [`ROUTES`] does not exist; everything under `/api` needs the scope that stands there, also
//!   from loopback; what raises a risk needs a fresh one-time code too, once codes are set up;
//! - an address of other machines is served over TLS only, with an API key and a list of names, or not at all;
//! - a GET changes nothing;
//! - a request whose `Host` is not ours is answered with 421 before anything else is looked at;
//! - connections, headers, bodies, streams and waits have a bound, and all of it runs on threads of its own, so that
//!   no client can delay an order;
//! - no secret is served: the token is compared by its hash and has no read path here.

mod access_api;
mod backend;
mod checks;
mod connections;
mod failures;
mod gate;
mod keys_api;
mod limits;
mod page;
mod problem;
mod repeats;
mod reply;
mod routes;
mod server;
mod stream;
mod tls;
pub mod token;
mod view;

pub use access_api::{AccessView, KeyMade, NewKey};
pub use backend::{Act, ActDone, ActRefused, ActVerb, Backend};
pub use keys_api::{
    KeyAct, KeyDetail, KeyDone, KeyHistory, KeyStepView, KeyWish, NewExchangeKey, ProbeView, RotationView,
    SealingKeyView, WaitingPolicyView,
};
pub use problem::Problem;
pub use routes::{Action, Method, ROUTES, Risk, Route};
pub use server::{AccessSetup, ControlPlane, Setup, StartError, start};
pub use tls::{Tls, TlsError};
pub use token::{Token, TokenError};
pub use view::{
    ActorView, BalanceView, BookView, ClockView, EquityPoint, FeedView, FillView, FuturesView, HaltView, HopView,
    KeyView, LevelView, NotReadyView, OrderView, Page, PositionView, Ready, Snapshot, Status, StrategyView,
};
