//! WebSocket and HTTP mechanics, once for all venues: reaching a venue, noticing
//! that it is gone, waiting before the next try, and saying truthfully whether a
//! request can have reached it.
//!
//! Invariants: plain text goes to literal loopback addresses only, and only if
//! the configuration says so; no redirect is followed, no proxy from the
//! environment is used, no request is sent twice; every buffer, queue and wait has
//! a bound; a session that is dropped leaves no task behind.

mod address;
mod back_off;
mod body;
mod http;
mod public;
mod tls;
mod ws;
mod ws_session;

pub use address::{AddressError, Plaintext, check_address};
pub use back_off::{BackOff, BackOffSettings};
pub use body::FirstByte;
pub use http::{
    AnswerHeaders, Cause, HttpAnswer, HttpClient, HttpConfig, HttpFailure, HttpMethod, HttpRequest, HttpSetupError,
    Timings,
};
pub use public::{PublicClient, PublicConfig, PublicError};
pub use tls::install_tls_provider;
pub use ws::{Ping, Stamp, WsConfig, WsEnd, WsEvent, WsHandle, WsSendError, WsSession};

pub use bytes::Bytes;
pub use tokio_tungstenite::tungstenite::Utf8Bytes;
