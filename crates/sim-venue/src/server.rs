//! Starting and stopping the embedded exchange: its thread, its sockets, its handle.

use crate::config::random_hex;
use crate::control::SimControl;
use crate::hub::Socket;
use crate::venue::Venue;
use crate::{ApiKeyMaterial, SimConfig, SimError, StreamLimits, control_http, rest, stream, web as page};
use actix_web::dev::{Extensions, ServerHandle};
use actix_web::{App, HttpServer, web};
use domain::Clock;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::any::Any;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// What handlers, stream tasks, the market's loop and the control handle share.
pub(crate) struct Shared {
    venue: Mutex<Venue>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stream_limits: StreamLimits,
    /// What the control endpoint wants to see.
    pub(crate) control_token: String,
    latency: (Duration, Duration),
    dice: Mutex<SmallRng>,
}

impl Shared {
    /// The venue, for as long as one request, frame or step takes.
    pub(crate) fn venue(&self) -> MutexGuard<'_, Venue> {
        self.venue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the next request is held up.
    pub(crate) fn draw_latency(&self) -> Option<Duration> {
        let (least, most) = self.latency;
        if most.is_zero() {
            return None;
        }
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        Some(dice.random_range(least.min(most)..=most))
    }
}

/// The embedded exchange.
#[derive(Debug)]
pub struct SimVenue;

/// A running exchange; stopping or dropping it ends it in order.
pub struct RunningSim {
    /// Address of REST, without a slash at the end.
    pub rest: String,
    /// Address of the public streams.
    pub ws_public: String,
    /// Address of the private streams.
    pub ws_private: String,
    /// Address of the page where accounts and keys are made.
    pub web: String,
    /// The main key.
    pub key: ApiKeyMaterial,
    /// What the control endpoint wants to see as `Authorization: Bearer`.
    pub control_token: String,
    /// Where it listens.
    pub address: SocketAddr,
    control: SimControl,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Time between two steps of the venue's own loop.
const TICK: Duration = Duration::from_millis(25);
/// How long requests in flight may take when the exchange stops, in seconds.
const SHUTDOWN_S: u64 = 1;
/// How long an idle connection stays open.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Bytes of a request body.
const BODY_MAX: usize = 256 * 1_024;

impl SimVenue {
    /// Starts the exchange on a thread of its own; it serves when this returns.
    ///
    /// # Errors
    /// [`SimError`]: the address, a setting or the recording cannot be used.
    pub fn start(config: SimConfig, clock: Arc<dyn Clock>) -> Result<RunningSim, SimError> {
        let wanted = config.listen;
        if !wanted.ip().is_loopback() {
            return Err(SimError::NotLoopback { address: wanted });
        }
        let key = main_key(&config)?;
        let control_token = random_hex::<32>()?;
        let venue = Venue::new(&config, key.clone(), Arc::clone(&clock))?;
        let refused = |source| SimError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let shared = Arc::new(Shared {
            venue: Mutex::new(venue),
            clock,
            stream_limits: config.stream_limits,
            control_token: control_token.clone(),
            latency: config.latency,
            dice: Mutex::new(SmallRng::seed_from_u64(config.seed)),
        });
        let (stop, stopping) = watch::channel(false);
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("sim-venue".into())
            .spawn(move || actix_rt::System::new().block_on(run(listener, own, stopping, ready)))
            .map_err(|source| SimError::Thread { source })?;
        let silent = || SimError::Thread { source: std::io::Error::other("it ended before it served") };
        started.recv().map_err(|_| silent())?.map_err(refused)?;
        tracing::info!(%address, "embedded exchange serves");
        Ok(RunningSim {
            rest: format!("http://{address}"),
            ws_public: format!("ws://{address}/v2/ws/public"),
            ws_private: format!("ws://{address}/v2/ws/private"),
            web: format!("http://{address}/web/"),
            key,
            control_token,
            address,
            control: SimControl::new(shared),
            stop,
            thread: Some(thread),
        })
    }
}

impl RunningSim {
    /// The handle by which tests and the demo look behind the scenes.
    #[must_use]
    pub fn control(&self) -> SimControl {
        self.control.clone()
    }

    /// Ends the exchange: the market stops, clients are told, requests in flight are answered.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the exchange's thread panicked");
        }
    }
}

impl Drop for RunningSim {
    fn drop(&mut self) {
        self.end();
    }
}

fn main_key(config: &SimConfig) -> Result<ApiKeyMaterial, SimError> {
    let fresh = ApiKeyMaterial::generate()?;
    let chosen = |given: &Option<String>, fresh: String| given.clone().unwrap_or(fresh);
    Ok(ApiKeyMaterial {
        key: chosen(&config.key, fresh.key),
        secret: chosen(&config.secret, fresh.secret),
        passphrase: chosen(&config.passphrase, fresh.passphrase),
    })
}

/// Keeps a second handle on each connection, so that a fault can cut it; small frames leave at once.
fn remember_socket(connection: &dyn Any, data: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<actix_rt::net::TcpStream>() else { return };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::warn!(%error, "connection keeps small frames back");
    }
    if let Ok(handle) = stream.as_fd().try_clone_to_owned() {
        data.insert(Socket(Arc::new(TcpStream::from(handle))));
    }
}

/// The route of one stream address.
fn streams(public: bool, unified: bool) -> actix_web::Route {
    let path = stream::Path { public, unified };
    web::get().to(move |request, payload, shared| stream::connect(request, payload, shared, path))
}

async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stopping: watch::Receiver<bool>,
    ready: std::sync::mpsc::SyncSender<Result<(), std::io::Error>>,
) {
    let data = web::Data::from(Arc::clone(&shared));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(web::PayloadConfig::new(BODY_MAX))
            .route("/v2/ws/public", streams(true, false))
            .route("/v2/ws/private", streams(false, false))
            .route("/v3/ws/public", streams(true, true))
            .route("/v3/ws/private", streams(false, true))
            .route("/control/faults", web::to(control_http::faults))
            .route("/", web::get().to(page::to_page))
            .route("/web", web::get().to(page::to_page))
            .route("/web/api/{path:.*}", web::to(page::api))
            .route("/web/{file:.*}", web::get().to(page::page))
            .default_service(web::to(rest::serve))
    })
    .workers(1)
    .disable_signals()
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(SHUTDOWN_S)
    .on_connect(remember_socket)
    .listen(listener);
    let server = match server {
        Ok(server) => server.run(),
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let handle: ServerHandle = server.handle();
    let serving = actix_rt::spawn(server);
    let _ = ready.send(Ok(()));
    loop {
        tokio::select! {
            _ = stopping.changed() => break,
            () = tokio::time::sleep(TICK) => shared.venue().tick(),
        }
    }
    shared.venue().hub.close_all();
    handle.stop(true).await;
    if let Ok(Err(error)) = serving.await {
        tracing::warn!(%error, "the exchange's server ended badly");
    }
}
