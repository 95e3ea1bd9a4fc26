//! One HTTP request, sent once, with a truthful account of what became of it.

use crate::address::{AddressError, Plaintext, check_address};
use crate::body::{BodyWatch, FirstByte, WatchedBody};
use crate::tls;
use bytes::{Bytes, BytesMut};
use domain::{Clock, MonoNanos};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::error::Error as _;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The verbs that venues use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMethod {
    /// Reads.
    Get,
    /// Acts.
    Post,
    /// Replaces.
    Put,
    /// Deletes; some venues cancel with it.
    Delete,
}

/// One request, complete: the bytes are sent as they are.
#[derive(Debug, Clone)]
pub struct HttpRequest<'request> {
    /// The verb.
    pub method: HttpMethod,
    /// The whole address with its query.
    pub url: &'request str,
    /// Names and values, in order. Values are treated as secrets.
    pub headers: &'request [(&'request str, &'request str)],
    /// The body; the signature covers these very bytes. Empty: none.
    pub body: Bytes,
    /// The body is withdrawn if writing has not begun by then. For requests
    /// without a body it only ends the wait.
    pub send_by: Option<MonoNanos>,
}

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Whether plain text to loopback is allowed.
    pub plaintext: Plaintext,
    /// Longest wait for a TCP and TLS connection.
    pub connect_patience: Duration,
    /// Longest wait for the whole answer.
    pub answer_patience: Duration,
    /// Idle connections kept per host, at least 1.
    pub idle_connections: usize,
    /// Most bytes of an answer's body.
    pub answer_bytes_max: usize,
    /// Lower-case names of the answer's headers that are kept, such as rate limits.
    pub kept_headers: &'static [&'static str],
    /// A Unix socket of this machine that every request goes to, plain, under `http://localhost`; none: the network.
    pub unix_socket: Option<PathBuf>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            plaintext: Plaintext::Never,
            connect_patience: Duration::from_secs(3),
            answer_patience: Duration::from_secs(5),
            idle_connections: 1,
            answer_bytes_max: 4 * 1024 * 1024,
            kept_headers: &["date", "retry-after"],
            unix_socket: None,
        }
    }
}

/// When what happened, on the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// `send` was called.
    pub asked: MonoNanos,
    /// The body was taken for writing; `None` for a request without a body.
    pub first_byte: Option<MonoNanos>,
    /// The whole answer was here.
    pub answered: MonoNanos,
}

/// The headers of an answer that [`HttpConfig::kept_headers`] names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerHeaders(Vec<(&'static str, String)>);

impl AnswerHeaders {
    /// The first value under the lower-case `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// What the venue answered, whatever the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The HTTP status; a redirect is an answer like any other.
    pub status: u16,
    /// The kept headers.
    pub headers: AnswerHeaders,
    /// The whole body.
    pub body: Bytes,
    /// When what happened.
    pub timings: Timings,
}

/// Why there is no answer. The text never holds the address, a header or the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The address is not spoken to.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A header cannot be written; its name, never its value.
    #[error("header `{0}` cannot be sent")]
    Header(String),
    /// `send_by` passed before the first byte.
    #[error("the time to send by passed")]
    SendByPassed,
    /// No whole answer within the patience of the client.
    #[error("no answer in time")]
    NoAnswerInTime,
    /// The connection could not be made.
    #[error("connecting failed: {0}")]
    Connect(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The answer's body is larger than allowed.
    #[error("the answer is larger than {bytes_max} bytes")]
    AnswerTooLarge {
        /// The bound it broke.
        bytes_max: usize,
    },
}

/// What is known about a request without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpFailure {
    /// Certain: the venue cannot have received it, now or later.
    #[error("not sent: {0}")]
    NotSent(Cause),
    /// It may have been received and acted upon: ask the venue, never send again.
    #[error("outcome unknown: {0}")]
    OutcomeUnknown(Cause),
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// TLS could not be set up.
    #[error("TLS could not be set up")]
    Tls(#[source] rustls::Error),
    /// The HTTP library refused the configuration.
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
}

/// Sends requests over kept-alive connections. Cloneable; clones share the connections,
/// which live on the runtime that first used them: make one client per Arbiter.
#[derive(Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    config: HttpConfig,
    clock: Arc<dyn Clock>,
}

impl HttpClient {
    /// A client without connections yet.
    ///
    /// # Errors
    /// [`HttpSetupError`]; the program cannot work without one.
    pub fn new(config: HttpConfig, clock: Arc<dyn Clock>) -> Result<Self, HttpSetupError> {
        let mut builder = reqwest::Client::builder();
        if let Some(path) = &config.unix_socket {
            builder = builder.unix_socket(path.clone());
        }
        let client = builder
            .tls_backend_preconfigured(tls::client_config().map_err(HttpSetupError::Tls)?)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(config.connect_patience)
            .pool_max_idle_per_host(config.idle_connections.max(1))
            .build()
            .map_err(HttpSetupError::Client)?;
        Ok(Self { client, config, clock })
    }

    /// Sends one request once and waits for its whole answer.
    ///
    /// Dropping the future withdraws what has not been sent yet.
    ///
    /// # Errors
    /// [`HttpFailure::NotSent`] only when the venue can never receive it. A
    /// request without a body has no such proof once a connection was tried for,
    /// except that connecting failed.
    pub async fn send(&self, request: HttpRequest<'_>) -> Result<HttpAnswer, HttpFailure> {
        self.send_telling(request, None).await
    }

    /// As [`Self::send`], and tells when the first byte of the body goes to the socket.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_telling(
        &self,
        request: HttpRequest<'_>,
        on_first_byte: Option<FirstByte>,
    ) -> Result<HttpAnswer, HttpFailure> {
        let asked = self.clock.mono();
        let watch = Arc::new(BodyWatch::default());
        let has_body = !request.body.is_empty();
        let send_by = request.send_by;
        let prepared = self.prepare(request, &watch, on_first_byte).map_err(HttpFailure::NotSent)?;
        let _withdrawn_if_dropped = WithdrawOnDrop(&watch);
        let answer = async {
            let response = self.client.execute(prepared).await.map_err(|error| broken(&error))?;
            self.read(response).await
        };
        let answer = self.within_patience(answer, &watch, send_by, asked).await;
        match answer {
            Ok((status, headers, body)) => {
                let timings = Timings { asked, first_byte: watch.taken_at(), answered: self.clock.mono() };
                Ok(HttpAnswer { status, headers, body, timings })
            }
            Err(cause) => Err(classify(cause, has_body, &watch)),
        }
    }

    fn prepare(
        &self,
        request: HttpRequest<'_>,
        watch: &Arc<BodyWatch>,
        on_first_byte: Option<FirstByte>,
    ) -> Result<reqwest::Request, Cause> {
        let url = match &self.config.unix_socket {
            // It goes to the socket, whatever its name; one name is allowed, so that nothing else looks reachable.
            Some(_) => Url::parse(request.url)
                .ok()
                .filter(|url| url.origin().ascii_serialization() == "http://localhost")
                .ok_or_else(|| AddressError::Malformed("not under http://localhost".to_owned()))?,
            None => check_address(request.url, "https", "http", self.config.plaintext)?,
        };
        let method = match request.method {
            HttpMethod::Get => reqwest::Method::GET,
            HttpMethod::Post => reqwest::Method::POST,
            HttpMethod::Put => reqwest::Method::PUT,
            HttpMethod::Delete => reqwest::Method::DELETE,
        };
        let mut prepared = reqwest::Request::new(method, url);
        *prepared.headers_mut() = header_map(request.headers)?;
        if !request.body.is_empty() {
            let body = WatchedBody::new(request.body, Arc::clone(watch), Arc::clone(&self.clock), request.send_by)
                .telling(on_first_byte);
            *prepared.body_mut() = Some(reqwest::Body::wrap(body));
        }
        Ok(prepared)
    }

    async fn within_patience<T>(
        &self,
        answer: impl Future<Output = Result<T, Cause>>,
        watch: &BodyWatch,
        send_by: Option<MonoNanos>,
        asked: MonoNanos,
    ) -> Result<T, Cause> {
        tokio::pin!(answer);
        let whole = tokio::time::sleep(self.config.answer_patience);
        tokio::pin!(whole);
        if let Some(send_by) = send_by {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                () = &mut whole => return Err(Cause::NoAnswerInTime),
                () = tokio::time::sleep(send_by.since(asked)) => {
                    if watch.withdraw() {
                        return Err(Cause::SendByPassed);
                    }
                }
            }
        }
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            () = &mut whole => Err(Cause::NoAnswerInTime),
        }
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<(u16, AnswerHeaders, Bytes), Cause> {
        let status = response.status().as_u16();
        let headers = self.config.kept_headers.iter().filter_map(|name| {
            let value = response.headers().get(*name)?.to_str().ok()?;
            Some((*name, value.to_owned()))
        });
        let headers = AnswerHeaders(headers.collect());
        let bytes_max = self.config.answer_bytes_max;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            if body.len().saturating_add(chunk.len()) > bytes_max {
                return Err(Cause::AnswerTooLarge { bytes_max });
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, headers, body.freeze()))
    }
}

struct WithdrawOnDrop<'watch>(&'watch BodyWatch);

impl Drop for WithdrawOnDrop<'_> {
    fn drop(&mut self) {
        // True or false alike: what was taken stays taken.
        let _ = self.0.withdraw();
    }
}

fn header_map(headers: &[(&str, &str)]) -> Result<HeaderMap, Cause> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let unusable = || Cause::Header((*name).to_owned());
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| unusable())?;
        value.set_sensitive(true);
        map.append(parsed, value);
    }
    Ok(map)
}

fn classify(cause: Cause, has_body: bool, watch: &BodyWatch) -> HttpFailure {
    let never_sent = if has_body { watch.withdraw() } else { matches!(cause, Cause::Connect(_)) };
    if never_sent { HttpFailure::NotSent(cause) } else { HttpFailure::OutcomeUnknown(cause) }
}

/// The library's error as ours, with its sources and without its address.
fn broken(error: &reqwest::Error) -> Cause {
    let mut text = String::new();
    let mut source = error.source();
    // An error of the library has a handful of sources; the bound is against a circle.
    for _ in 0..8 {
        let Some(cause) = source else { break };
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    if text.is_empty() {
        text.push_str("no cause given");
    }
    if error.is_connect() { Cause::Connect(text) } else { Cause::Broken(text) }
}
