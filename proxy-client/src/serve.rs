//! The program at work: mounts, accept loops, renewal, health, and how it all ends.

mod mounts;
mod stop;

use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Clock;
use daemon::exit::Exit;
use daemon::health::Probes;
use daemon::notify;
use daemon::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;
use transport::authority::{Authority, AuthorityError, AuthoritySettings};
use transport::tls::{MaterialError, PrivateKey};

use crate::config::{AuthorityConfig, Config, Http, InstanceConfig, Keys, Refresh, Stop};
use crate::connector::Connector;
use crate::health::{self, Status};
use crate::metrics::Metrics;
use crate::refresh::{Refresher, Source, keep_fresh};
use crate::session::{self, Served};

/// At start, the CA is waited for this long to tell engines and regions; then MySQL is assumed.
const LOOKUP: Duration = Duration::from_secs(3);

/// The program does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The CA's endpoint, root or the credentials are not usable.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// No key can be made.
    #[error("no private key can be made")]
    Key(#[from] MaterialError),
    /// Not one instance can be listened for.
    #[error("no instance can be listened for: {0}")]
    Mounts(String),
    /// The health server's address is not to be had.
    #[error("cannot serve health on {address}: choose another --http-address or --http-port")]
    Health {
        /// Which.
        address: String,
        /// What the kernel said.
        source: std::io::Error,
    },
}

/// The program, started.
pub struct Running {
    workers: Workers,
    stop: Stop,
    status: Arc<Status>,
}

/// What all parts share.
#[derive(Clone)]
struct Workers {
    shutdown: Shutdown,
    /// Ends accepting.
    closed: CancellationToken,
    /// Ends sessions.
    cut: CancellationToken,
    /// Everything but sessions.
    tasks: TaskTracker,
    sessions: TaskTracker,
    permits: Arc<Semaphore>,
    most: usize,
}

/// Starts all that the configuration says.
///
/// # Errors
/// When nothing at all can be served.
pub async fn start(
    config: Config,
    clock: Clock,
    shutdown: Shutdown,
) -> Result<Running, StartError> {
    let most = config.max_connections.unwrap_or(Semaphore::MAX_PERMITS);
    let workers = Workers {
        shutdown,
        closed: CancellationToken::new(),
        cut: CancellationToken::new(),
        tasks: TaskTracker::new(),
        sessions: TaskTracker::new(),
        permits: Arc::new(Semaphore::new(most)),
        most,
    };
    let key = match config.keys {
        Keys::P256 => PrivateKey::generate_p256(),
        Keys::Rsa => PrivateKey::generate_rsa2048(),
    }?;
    let authority = Arc::new(authority(config.authority, clock)?);
    let metrics = Arc::new(Metrics::new(session::session_id()));
    let shared = Shared {
        authority,
        key,
        metrics: Arc::clone(&metrics),
        dial_timeout: config.dial_timeout,
    };
    let served: Vec<Arc<Served>> = config
        .instances
        .into_iter()
        .map(|instance| shared.serve(instance, &workers))
        .collect();
    look_up(&served).await;
    let permits = Arc::clone(&workers.permits);
    let status = Arc::new(Status::new(&served, permits, config.refresh));
    mounts::bind_all(&served, &workers, &status)?;
    if let Some(http) = &config.http {
        let metrics = http.metrics.then_some(metrics);
        serve_health(http, health::probes(&status, metrics), &workers).await?;
    }
    if config.refresh == Refresh::Ahead {
        for served in &served {
            let refresher = Arc::clone(&served.connector.refresher);
            let ended = workers.cut.clone();
            workers.tasks.spawn(keep_fresh(refresher, ended));
        }
    }
    info!("The proxy has started successfully and is ready for new connections!");
    notify::ready();
    Ok(Running {
        workers,
        stop: config.stop,
        status,
    })
}

impl Running {
    /// Where each instance is listened for: its name, and an address or a path.
    pub fn mounts(&self) -> Vec<(String, String)> {
        self.status.mounts()
    }

    /// Serves until told to stop, and stops as told.
    pub async fn until_stopped(self) -> Exit {
        stop::run(&self.workers, self.stop, &self.status).await
    }
}

fn authority(config: AuthorityConfig, clock: Clock) -> Result<Authority, AuthorityError> {
    Authority::new(AuthoritySettings {
        endpoint: config.endpoint,
        root_pem: config.root_pem,
        credentials: config.credentials,
        user_agent: config.user_agent,
        quota_project: config.quota_project,
        clock,
    })
}

/// What all instances have in common.
struct Shared {
    authority: Arc<Authority>,
    key: PrivateKey,
    metrics: Arc<Metrics>,
    dial_timeout: Duration,
}

impl Shared {
    fn serve(&self, config: InstanceConfig, workers: &Workers) -> Arc<Served> {
        let metrics = self.metrics.of(&config.wanted.to_string());
        let source = Source {
            authority: Arc::clone(&self.authority),
            key: self.key.clone(),
            wanted: config.wanted.clone(),
            route: config.route,
            metrics: metrics.clone(),
        };
        let connector = Connector {
            refresher: Refresher::new(source, workers.tasks.clone()),
            tunnel_port: config.tunnel_port,
        };
        let cut = workers.cut.clone();
        let served = Served::new(config, connector, self.dial_timeout, metrics, cut);
        Arc::new(served)
    }
}

/// Asks the CA about instances whose place depends on it, side by side. Who is not told is mounted all the same.
async fn look_up(served: &[Arc<Served>]) {
    let deadline = Instant::now() + LOOKUP;
    let mut lookups = JoinSet::new();
    for served in served {
        if served.config.wanted.is_short() || served.config.place.depends_on_engine() {
            let refresher = Arc::clone(&served.connector.refresher);
            lookups.spawn(async move { refresher.info(deadline).await.is_ok() });
        }
    }
    while lookups.join_next().await.is_some() {}
}

async fn serve_health(http: &Http, probes: Probes, workers: &Workers) -> Result<(), StartError> {
    let listener = TcpListener::bind((http.host.as_str(), http.port))
        .await
        .map_err(|source| StartError::Health {
            address: format!("{}:{}", http.host, http.port),
            source,
        })?;
    let server =
        daemon::health::serve(listener, probes, workers.cut.clone(), workers.tasks.clone());
    workers.tasks.spawn(server);
    Ok(())
}
