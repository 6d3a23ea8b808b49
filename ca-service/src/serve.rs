//! Listens, and hands each connection to its task, within limits.

mod activity;
mod connection;
mod per_source;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daemon::exit::Exit;
use daemon::shutdown::{Shutdown, Signal};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{debug, info};
use transport::accept::{Crew, Listener, Source, accept_loop};
use transport::socket::{Peer, Socket};
use transport::tls::HttpsServer;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::http::{Caller, router};
use crate::https::CertificateFiles;
use crate::readiness::Readiness;
use crate::retention::{self, Retention};
use crate::service::{Policy, Service};
use connection::Connection;
use per_source::PerSource;

/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Everything that `serve` needs to know; complete and checked.
pub(crate) struct Config {
    /// The data directory.
    pub(crate) data: PathBuf,
    /// The store's file.
    pub(crate) store: PathBuf,
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Plain HTTP; `listen` is loopback then.
    pub(crate) insecure_http: bool,
    /// The operator's own certificate for HTTPS.
    pub(crate) certificate: Option<CertificateFiles>,
    /// Where to answer probes besides.
    pub(crate) health_listen: Option<SocketAddr>,
    /// Where to write what `listen` became.
    pub(crate) address_file: Option<PathBuf>,
    /// What is decided about requests.
    pub(crate) policy: Policy,
    /// What is decided about connections.
    pub(crate) bounds: Bounds,
    /// Longest wait for requests in progress when told to stop.
    pub(crate) drain: Duration,
    /// How long certificates and entries of the audit are kept.
    pub(crate) retention: Retention,
}

/// How many connections there may be.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// In total.
    pub(crate) total: usize,
    /// From one source: an IPv4 address, or an IPv6 network of 64 bits.
    pub(crate) per_address: usize,
}

/// A service that listens, and has not begun to accept.
pub(crate) struct Server {
    service: Arc<Service>,
    listener: Listener,
    tls: Option<HttpsServer>,
    bounds: Bounds,
}

/// Serves until told to stop.
pub(crate) async fn run(config: &Config) -> Result<Exit> {
    let signals = TaskTracker::new();
    let shutdown = Shutdown::on_signals(&signals).map_err(|source| Error::Listen {
        address: "signals".to_owned(),
        source,
    })?;
    let server = Server::open(config, Clock::system(), &shutdown).await?;
    let address = server.address()?;
    let service = Arc::clone(&server.service);
    if let Some(path) = &config.address_file {
        daemon::address_file::write(path, address).map_err(Error::file("write", path))?;
    }
    let connections = TaskTracker::new();
    if let Some(listen) = config.health_listen {
        server
            .answer_probes(listen, &shutdown, &connections)
            .await?;
    }
    let (app, folder) = (Arc::clone(&service.app), config.data.clone());
    connections.spawn(retention::keep(app, config.retention, folder));
    info!(%address, plain_http = config.insecure_http, "listening");
    daemon::notify::ready();
    server.accept(&shutdown, &connections).await;
    daemon::notify::stopping();
    let drained = drain(&connections, &shutdown, config.drain).await;
    shutdown.finish();
    signals.close();
    signals.wait().await;
    service.app.registry.store().close().await;
    Ok(Exit::after(
        shutdown.cause().unwrap_or(Signal::Request),
        drained,
    ))
}

async fn drain(connections: &TaskTracker, shutdown: &Shutdown, longest: Duration) -> bool {
    connections.close();
    tokio::select! {
        () = connections.wait() => true,
        () = shutdown.now.cancelled() => false,
        () = tokio::time::sleep(longest) => false,
    }
}

impl Server {
    /// Opens the service and its listening socket.
    pub(crate) async fn open(config: &Config, clock: Clock, shutdown: &Shutdown) -> Result<Self> {
        let stopping = shutdown.drain.clone();
        let service = Service::open(config, clock, stopping).await?;
        let listener = Listener::bind_tcp(config.listen).map_err(|source| Error::Listen {
            address: config.listen.to_string(),
            source,
        })?;
        let tls = if config.insecure_http {
            None
        } else {
            Some(https(&service)?)
        };
        Ok(Self {
            service: Arc::new(service),
            listener,
            tls,
            bounds: config.bounds,
        })
    }

    /// The service behind it.
    #[cfg(test)]
    pub(crate) fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let source = std::io::Error::other("it has no address");
        let address = self.listener.local();
        self.listener
            .local_addr()
            .ok_or(Error::Listen { address, source })
    }

    /// Accepts until told to stop.
    pub(crate) async fn accept(self, shutdown: &Shutdown, connections: &TaskTracker) {
        let Self {
            service,
            listener,
            tls,
            bounds,
        } = self;
        let permits = Arc::new(Semaphore::new(bounds.total));
        let sources = PerSource::new(bounds.per_address);
        let caretaker = Arc::clone(&service);
        connections.spawn(async move { caretaker.look_after().await });
        connections.spawn(Readiness::keep(Arc::clone(&service.app)));
        let tracker = connections.clone();
        let on_connection = move |socket, peer, permit| {
            let (service, tls, tracker) = (Arc::clone(&service), tls.clone(), tracker.clone());
            let place = caller(peer).and_then(|caller| sources.enter(Source::of(caller.0)));
            async move {
                if let (Some(caller), Some(place)) = (caller(peer), place) {
                    converse(&service, tls, socket, caller, &tracker).await;
                    drop(place);
                }
                drop(permit);
            }
        };
        let drain = shutdown.drain.clone();
        accept_loop(
            listener,
            permits,
            drain,
            &Crew::here(connections.clone()),
            on_connection,
            |_, _| async {},
        )
        .await;
    }

    /// Answers probes on a listener of their own.
    async fn answer_probes(
        &self,
        listen: SocketAddr,
        shutdown: &Shutdown,
        tracker: &TaskTracker,
    ) -> Result<()> {
        let failed = |source| Error::Listen {
            address: listen.to_string(),
            source,
        };
        let listener = TcpListener::bind(listen)
            .await
            .and_then(TcpListener::into_std)
            .map_err(failed)?;
        let address = listener.local_addr().map_or(listen, |address| address);
        info!(%address, "answering probes");
        let app = Arc::clone(&self.service.app);
        app.readiness.measure(&app).await;
        let probes = connection::probes(app);
        let stop = shutdown.drain.clone();
        daemon::health::start(listener, probes, stop, tracker).map_err(failed)?;
        Ok(())
    }
}

fn https(service: &Service) -> Result<HttpsServer> {
    let https = Arc::clone(&service.https);
    HttpsServer::new(move || Some(https.material()))
        .map_err(|_| Error::Crypto("TLS cannot be set up"))
}

fn caller(peer: Peer) -> Option<Caller> {
    peer.addr.map(|address| Caller(address.ip().to_canonical()))
}

/// One connection, from its handshake to its end.
async fn converse(
    service: &Service,
    tls: Option<HttpsServer>,
    socket: Socket,
    caller: Caller,
    tracker: &TaskTracker,
) {
    let app = &service.app;
    app.metrics.connections.inc();
    let connection = Connection {
        router: router(Arc::clone(app), caller),
        clock: app.registry.clock(),
        stopping: app.stopping.clone(),
        tracker: tracker.clone(),
    };
    match tls {
        None => connection.serve(socket, false).await,
        Some(tls) => match tls.accept(socket, Instant::now() + HANDSHAKE).await {
            Ok(stream) => {
                let is_http2 = stream.alpn() == Some(b"h2");
                connection.serve(stream, is_http2).await;
            }
            Err(error) => debug!(caller = %caller.0, %error, "TLS handshake failed"),
        },
    }
    app.metrics.connections.dec();
}
