//! The server: threads of its own, two listeners, the tasks beside them, and an end with a deadline.

use crate::backend::Backend;
use crate::checks::Hosts;
use crate::limits::{
    BACKLOG, BLOCKING_THREADS, CONNECTIONS_MAX, HEAD_PATIENCE, KEEP_ALIVE, STOP_PATIENCE_SECONDS, UPKEEP_INTERVAL,
    WRONG_TOKENS_PER_SECOND,
};
use crate::reply::answer;
use crate::stream::{self, Streams};
use crate::token::{Token, TokenHash};
use actix_web::dev::ServerHandle;
use actix_web::rt::System;
use actix_web::{App, HttpServer, web};
use domain::{Clock, MonoNanos};
use governor::clock::Reference;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use metrics_exporter_prometheus::PrometheusHandle;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

/// What the server is made of.
pub struct Setup {
    /// Where the Unix socket is made, with mode 0600; none: no socket. Its directory must exist and be private.
    pub socket: Option<PathBuf>,
    /// The scrape; none: `/metrics` is off.
    pub metrics: Option<PrometheusHandle>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The listener is reachable from other machines.
    #[error("the control interface would listen on {address}, which is not a loopback address")]
    NotLoopback {
        /// Where it listens.
        address: SocketAddr,
    },
    /// Something that is not a socket of a dead process stands in its place.
    #[error("the control socket {path} is in use or is not a socket")]
    SocketTaken {
        /// The path.
        path: PathBuf,
    },
    /// The system failed.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// The running server; ends when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    address: SocketAddr,
    socket: Option<PathBuf>,
    streams: StreamsHandle,
    server: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

struct StreamsHandle(Arc<Streams>);

impl std::fmt::Debug for StreamsHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Streams")
    }
}

/// What every request needs.
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) hosts: Hosts,
    pub(crate) token: TokenHash,
    pub(crate) wrong_tokens: Bucket,
    pub(crate) metrics: Option<PrometheusHandle>,
    pub(crate) process: metrics_process::Collector,
    pub(crate) streams: Arc<Streams>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Marks connections that came over the Unix socket.
pub(crate) struct OverSocket {
    /// The user of the process at the other end, as the system says; none: it does not say.
    pub(crate) user: Option<u32>,
}

/// The bucket of wrong tokens, on the program's clock.
pub(crate) type Bucket = RateLimiter<NotKeyed, InMemoryState, BucketClock, NoOpMiddleware<BucketInstant>>;

/// The program's clock, as the bucket wants it.
#[derive(Clone)]
pub(crate) struct BucketClock(Arc<dyn Clock>);

/// A time of that clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BucketInstant(MonoNanos);

impl std::ops::Add<Nanos> for BucketInstant {
    type Output = Self;
    fn add(self, other: Nanos) -> Self {
        Self(self.0.after(Duration::from_nanos(other.as_u64())))
    }
}

impl Reference for BucketInstant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        Nanos::from(self.0.since(earlier.0))
    }
    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(MonoNanos(self.0.0.saturating_sub(duration.as_u64())))
    }
}

impl governor::clock::Clock for BucketClock {
    type Instant = BucketInstant;
    fn now(&self) -> BucketInstant {
        BucketInstant(self.0.mono())
    }
}

/// Serves on `listener`, which the caller has bound to a loopback address and keeps, so that the server can be started
/// again after a failure.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub fn start(
    listener: &TcpListener,
    token: &Token,
    setup: Setup,
    backend: Arc<dyn Backend>,
) -> Result<ControlPlane, StartError> {
    let io = |action| move |source| StartError::Io { action, source };
    let address = listener.local_addr().map_err(io("read the control interface's address"))?;
    if !address.ip().is_loopback() {
        return Err(StartError::NotLoopback { address });
    }
    let listener = listener.try_clone().map_err(io("share the control interface's listener"))?;
    let socket = setup.socket.as_deref().map(bind_socket).transpose()?;
    let streams = Streams::new();
    let bucket_clock = BucketClock(Arc::clone(&setup.clock));
    let shared = web::Data::new(Shared {
        backend,
        hosts: Hosts::new(address),
        token: token.hash(),
        wrong_tokens: RateLimiter::direct_with_clock(Quota::per_second(WRONG_TOKENS_PER_SECOND), bucket_clock),
        metrics: setup.metrics,
        process: metrics_process::Collector::default(),
        streams: Arc::clone(&streams),
        clock: setup.clock,
    });
    shared.process.describe();
    let (tell, told) = sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("control-plane".to_owned())
        .spawn(move || {
            System::new().block_on(async move {
                let server = match build(listener, socket, &shared) {
                    Ok(server) => server,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                let _ = tell.send(Ok(server.handle()));
                actix_web::rt::spawn(upkeep(shared.metrics.clone()));
                actix_web::rt::spawn(stream::publish(Arc::clone(&shared.streams), Arc::clone(&shared.backend)));
                if let Err(error) = server.await {
                    tracing::error!(%error, "the control plane ended");
                }
            });
        })
        .map_err(io("start the control plane's thread"))?;
    let server = match told.recv() {
        Ok(Ok(server)) => server,
        Ok(Err(source)) => return Err(StartError::Io { action: "start the control plane", source }),
        Err(_) => {
            let source = std::io::Error::other("its thread ended");
            return Err(StartError::Io { action: "start the control plane", source });
        }
    };
    Ok(ControlPlane { address, socket: setup.socket, streams: StreamsHandle(streams), server, thread: Some(thread) })
}

impl ControlPlane {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it still serves; if not, drop it and [`start`] again.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Closes the streams, lets answers finish for at most a second, then ends. Blocks until then.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.streams.0.end();
        // The command is sent by the call; the thread's end is what is waited for.
        drop(self.server.stop(true));
        if let Some(thread) = self.thread.take() {
            // A panic there was logged and has ended the server, which is what is wanted here.
            let _ = thread.join();
        }
        if let Some(path) = &self.socket {
            // It may be gone already.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn build(
    listener: TcpListener,
    socket: Option<UnixListener>,
    shared: &web::Data<Shared>,
) -> std::io::Result<actix_web::dev::Server> {
    let shared = shared.clone();
    let mut server = HttpServer::new(move || App::new().app_data(shared.clone()).default_service(web::to(answer)))
        .workers(1)
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .max_connections(CONNECTIONS_MAX)
        .backlog(BACKLOG)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_PATIENCE)
        .shutdown_timeout(STOP_PATIENCE_SECONDS)
        .disable_signals()
        .on_connect(|connection, data| {
            if let Some(socket) = connection.downcast_ref::<tokio::net::UnixStream>() {
                data.insert(OverSocket { user: socket.peer_cred().ok().map(|peer| peer.uid()) });
            }
        })
        .listen(listener)?;
    if let Some(socket) = socket {
        server = server.listen_uds(socket)?;
    }
    Ok(server.run())
}

/// Takes the metrics' samples in, so that they do not pile up between scrapes.
async fn upkeep(metrics: Option<PrometheusHandle>) {
    let Some(metrics) = metrics else { return };
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

/// Makes the socket, in place of one that a dead process left.
fn bind_socket(path: &Path) -> Result<UnixListener, StartError> {
    let io = |action| move |source| StartError::Io { action, source };
    match std::fs::symlink_metadata(path) {
        Ok(meta) => {
            if !meta.file_type().is_socket() || UnixStream::connect(path).is_ok() {
                return Err(StartError::SocketTaken { path: path.to_owned() });
            }
            std::fs::remove_file(path).map_err(io("remove the old control socket"))?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(io("examine the control socket")(error)),
    }
    let listener = UnixListener::bind(path).map_err(io("make the control socket"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(io("close the control socket to others"))?;
    listener.set_nonblocking(true).map_err(io("set up the control socket"))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_of_a_dead_process_is_replaced_and_one_in_use_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        drop(bind_socket(&path).unwrap());
        let alive = bind_socket(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(bind_socket(&path), Err(StartError::SocketTaken { .. })));
        drop(alive);
        assert!(bind_socket(&path).is_ok());
    }

    #[test]
    fn file_in_place_of_the_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(bind_socket(&path), Err(StartError::SocketTaken { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
