//! What people and their tools reach over HTTP: the live page, the API, the scrape and the health checks.
//!
//! In: requests on a loopback address or a Unix socket. Out: views from the [`Backend`] that the wiring hands in, and
//! the four acts pause, resume, halt and unhalt.
//!
//! Invariants:
//! - a route that is not in [`ROUTES`] does not exist; everything under `/api` needs the token, also from loopback;
//! - a GET changes nothing;
//! - a request whose `Host` is not ours is answered with 421 before anything else is looked at;
//! - connections, headers, bodies, streams and waits have a bound, and all of it runs on threads of its own, so that
//!   no client can delay an order;
//! - no secret is served: the token is compared by its hash and has no read path here.

mod backend;
mod checks;
mod limits;
mod page;
mod problem;
mod reply;
mod routes;
mod server;
mod stream;
pub mod token;
mod view;

pub use backend::{Act, ActDone, ActRefused, ActVerb, Backend};
pub use problem::Problem;
pub use routes::{Access, Action, Method, ROUTES, Route};
pub use server::{ControlPlane, Setup, StartError, start};
pub use token::{Token, TokenError};
pub use view::{
    ActorView, BalanceView, BookView, ClockView, EquityPoint, FeedView, FillView, HaltView, HopView, KeyView,
    LevelView, NotReadyView, OrderView, Page, PositionView, Ready, Snapshot, Status, StrategyView,
};
