//! The server: threads of its own, two listeners, the tasks beside them, and an end with a deadline.

use crate::backend::Backend;
use crate::checks::Hosts;
use crate::connections::{self, Connection, Crowd};
use crate::gate::{Gate, lock};
use crate::limits::{
    BACKLOG, BLOCKING_THREADS, CONNECTIONS_MAX, HEAD_PATIENCE, KEEP_ALIVE, STOP_PATIENCE_SECONDS, UPKEEP_INTERVAL,
};
use crate::repeats::Repeats;
use crate::reply::answer;
use crate::stream::{self, Streams};
use crate::tls::Tls;
use crate::token::Token;
use access::{ApiKeys, StepUp};
use actix_http::error::DispatchError;
use actix_http::{Extensions, HttpService};
use actix_rt::System;
use actix_rt::net::{TcpStream as AsyncTcpStream, UnixStream as AsyncUnixStream};
use actix_server::{Server, ServerHandle};
use actix_service::{IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, web};
use domain::Clock;
use metrics_exporter_prometheus::PrometheusHandle;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What the server is made of.
pub struct Setup {
    /// Where the Unix socket is made, with mode 0600; none: no socket. Its directory must exist and be private.
    pub socket: Option<PathBuf>,
    /// The scrape; none: `/metrics` is off.
    pub metrics: Option<PrometheusHandle>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Who may come in beside the holder of the token.
    pub access: AccessSetup,
}

/// Who may come in beside the holder of the token, and how.
pub struct AccessSetup {
    /// The API keys.
    pub keys: Arc<Mutex<ApiKeys>>,
    /// Checks one-time codes.
    pub step_up: Arc<dyn StepUp>,
    /// Names under which the server answers beside those of loopback: `NAME` or `NAME:PORT`.
    pub hosts: Vec<String>,
    /// The certificate; with it the listener speaks TLS and nothing else.
    pub tls: Option<Tls>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The listener is reachable from other machines and something is missing for that.
    #[error("the control interface would listen on {address}, which other machines reach, without {missing}")]
    Exposed {
        /// Where it listens.
        address: SocketAddr,
        /// What it would need.
        missing: &'static str,
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
    pub(crate) gate: Gate,
    pub(crate) repeats: Repeats,
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

/// Serves on `listener`, which the caller has bound and keeps, so that the server can be started again after a failure.
/// An address that other machines reach needs TLS, at least one API key and a list of names.
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
    let AccessSetup { keys, step_up, hosts, tls } = setup.access;
    if !address.ip().is_loopback() {
        let now = setup.clock.unix().0 / 1_000_000_000;
        let missing = match () {
            () if tls.is_none() => Some("TLS"),
            () if !lock(&keys).list().any(|key| now < key.expires) => Some("an API key"),
            () if hosts.is_empty() => Some("a list of the names it is reached under"),
            () => None,
        };
        if let Some(missing) = missing {
            return Err(StartError::Exposed { address, missing });
        }
    }
    let listener = listener.try_clone().map_err(io("share the control interface's listener"))?;
    let socket = setup.socket.as_deref().map(bind_socket).transpose()?;
    let streams = Streams::new();
    let shared = web::Data::new(Shared {
        backend: Arc::clone(&backend),
        hosts: Hosts::new(address, &hosts, tls.is_some()),
        gate: Gate::new(token.hash(), keys, step_up, Arc::clone(&setup.clock), backend),
        repeats: Repeats::default(),
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
                let server = match build(listener, socket, tls.as_ref(), &shared) {
                    Ok(server) => server,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                let _ = tell.send(Ok(server.handle()));
                actix_web::rt::spawn(upkeep(shared.clone()));
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
    tls: Option<&Tls>,
    shared: &web::Data<Shared>,
) -> std::io::Result<Server> {
    let mut server = Server::build()
        .workers(1)
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .max_concurrent_connections(CONNECTIONS_MAX)
        .backlog(BACKLOG)
        .shutdown_timeout(STOP_PATIENCE_SECONDS)
        .disable_signals();
    let stopping = server.graceful_shutdown_signal();
    let (crowd, acceptor) = (Crowd::default(), tls.map(Tls::acceptor));
    let (for_tcp, stopping_tcp) = (shared.clone(), stopping.clone());
    server = server.listen("control-plane", listener, move || {
        let (crowd, acceptor) = (crowd.clone(), acceptor.clone());
        fn_service(move |stream: AsyncTcpStream| connections::admit(stream, crowd.clone(), acceptor.clone()))
            .and_then(http(&for_tcp, &stopping_tcp))
    })?;
    if let Some(socket) = socket {
        let shared = shared.clone();
        server = server.listen_uds("control-socket", socket, move || {
            fn_service(|stream: AsyncUnixStream| std::future::ready(Ok((Connection::Socket(stream), None))))
                .and_then(http(&shared, &stopping))
        })?;
    }
    Ok(server.run())
}

/// Speaks HTTP/1 on connections that were let in.
fn http(
    shared: &web::Data<Shared>,
    stopping: &actix_server::GracefulShutdownSignal,
) -> impl ServiceFactory<(Connection, Option<SocketAddr>), Config = (), Response = (), Error = DispatchError, InitError = ()>
+ use<> {
    let app = App::new().app_data(shared.clone()).default_service(web::to(answer));
    let app = app.into_factory().map_err(|error: actix_web::Error| error.error_response());
    let stopping = stopping.clone();
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_PATIENCE)
        .on_connect_ext(|connection: &Connection, data: &mut Extensions| {
            if let Connection::Socket(stream) = connection {
                arrived(stream, data);
            }
        })
        .h1(map_config(app, |()| AppConfig::default()))
}

/// Marks what came over the Unix socket.
fn arrived(stream: &AsyncUnixStream, data: &mut Extensions) {
    data.insert(OverSocket { user: stream.peer_cred().ok().map(|peer| peer.uid()) });
}

/// Takes the metrics' samples in, so that they do not pile up between scrapes, and stores when API keys were used.
async fn upkeep(shared: web::Data<Shared>) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        ticks.tick().await;
        if let Some(metrics) = &shared.metrics {
            metrics.run_upkeep();
        }
        let shared = shared.clone();
        // That a thread ended badly was logged there.
        let _ = web::block(move || shared.gate.upkeep()).await;
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
