//! The program at work: mounts, accept loops, renewal, health, and how it all ends.

mod announce;
mod checks;
mod doors;
mod life;
mod mounts;
mod quit;
mod reload;
mod shared;
mod stop;
pub(crate) mod trial;

use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Clock;
use daemon::exit::Exit;
use daemon::shutdown::Shutdown;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::accept::Crew;
use transport::authority::AuthorityError;
use transport::error::BindError;
use transport::tls::MaterialError;
use transport::traces::TracesError;

use crate::config::{Config, Refresh, Stop};
use crate::error::SessionError;
use crate::health::Status;
use crate::session::Served;
use doors::Doors;
pub use mounts::Changed;
use mounts::Mounts;
pub use reload::{Reload, ReloadError};
pub(crate) use shared::Shared;

/// At start, the CA is waited for this long to tell engines and regions; then MySQL is assumed.
const LOOKUP: Duration = Duration::from_secs(3);
/// Between two attempts of who waits for readiness.
const READY_RETRY: Duration = Duration::from_millis(200);

/// The program does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The CA's endpoint, root or the credentials are not usable.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// No key can be made.
    #[error("no private key can be made")]
    Key(#[from] MaterialError),
    /// No thread can be started.
    #[error(
        "cannot start the threads that serve sessions: look at the limits of processes and memory"
    )]
    Threads(#[source] std::io::Error),
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
    /// The port for a request to end is not to be had.
    #[error("cannot serve /quitquitquit on 127.0.0.1:{port}: choose another --admin-port")]
    Quit {
        /// Which.
        port: u16,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The connection test failed.
    #[error("the connection test failed: {0}")]
    Trial(String),
    /// Traces cannot be sent.
    #[error("traces of sessions cannot be sent: {0}")]
    Traces(#[from] TracesError),
    /// The administrator's socket is not to be had.
    #[error("cannot serve the administrator's socket")]
    Admin(#[from] BindError),
}

/// The program, started.
pub struct Running {
    workers: Workers,
    stop: Stop,
    status: Arc<Status>,
    reload: Reload,
}

/// What all parts share.
#[derive(Clone)]
struct Workers {
    shutdown: Shutdown,
    /// Sessions end by themselves now, and who connects is told so.
    draining: CancellationToken,
    /// Ends accepting.
    closed: CancellationToken,
    /// Ends sessions.
    cut: CancellationToken,
    /// All sessions have ended: what is told of them is told now.
    told: CancellationToken,
    /// Everything but sessions.
    tasks: TaskTracker,
    sessions: Crew,
    permits: Arc<Semaphore>,
    most: usize,
}

impl Workers {
    fn new(shutdown: Shutdown, most: usize) -> Result<Self, StartError> {
        Ok(Self {
            shutdown,
            draining: CancellationToken::new(),
            closed: CancellationToken::new(),
            cut: CancellationToken::new(),
            told: CancellationToken::new(),
            tasks: TaskTracker::new(),
            sessions: Crew::on_all_cores().map_err(StartError::Threads)?,
            permits: Arc::new(Semaphore::new(most)),
            most,
        })
    }
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
    let workers = Workers::new(shutdown, most)?;
    let (keys, namespace) = (config.keys, config.metrics_namespace.as_deref());
    let (authority, patience) = (config.authority, config.dial_timeout);
    let mut shared = Shared::new(authority, keys, patience, namespace, Arc::clone(&clock))?;
    shared.follow(config.failover);
    shared.bound(config.bounds);
    if let Some(traces) = &config.traces {
        shared.trace(traces, &workers.tasks, &workers.told, &clock)?;
    }
    shared.keep_ready(config.spare_tunnels, workers.draining.clone());
    let served: Vec<Arc<Served>> = config
        .instances
        .into_iter()
        .map(|instance| shared.serve(instance, &workers.tasks, &workers.cut))
        .collect();
    look_up(&served, config.refresh).await;
    let permits = Arc::clone(&workers.permits);
    let status = Arc::new(Status::new(&served, permits, config.refresh));
    if config.connection_test {
        trial::connect_all(&served).await?;
    }
    let mounts = Arc::new(Mounts::new(&workers, &status, config.refresh));
    mounts.bind_all(&served, config.inherited).await?;
    let doors = Doors {
        status: &status,
        shared: &shared,
        workers: &workers,
        log: config.log,
    };
    doors
        .open(config.http.as_ref(), config.admin_socket.as_deref())
        .await?;
    if let Some(port) = config.quit_port {
        quit::serve(port, &status, &workers)?;
    }
    mounts.keep_fresh();
    let announced = announce::announce(Arc::clone(&status), workers.closed.clone());
    workers.tasks.spawn(announced);
    if config.refresh == Refresh::Ahead && config.http.is_some() {
        let checked = checks::check(Arc::clone(&status), workers.closed.clone());
        workers.tasks.spawn(checked);
    }
    let told = life::tell(Arc::clone(&status), workers.cut.clone());
    workers.tasks.spawn(told);
    Ok(Running {
        workers,
        stop: config.stop,
        reload: Reload {
            shared: Arc::new(shared),
            mounts,
            clock,
        },
        status,
    })
}

impl Running {
    /// Where each instance is listened for: its name, and an address or a path.
    pub fn mounts(&self) -> Vec<(String, String)> {
        self.status.mounts()
    }

    /// The instances as sessions see them.
    pub fn served(&self) -> Arc<Vec<Arc<Served>>> {
        self.status.served()
    }

    /// Waits until each instance has settings and a certificate. While the CA cannot be reached it is asked again;
    /// what asking does not mend ends the wait.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn ready(&self, deadline: Instant) -> Result<(), SessionError> {
        for served in self.served().iter() {
            while let Err(error) = served.connector.refresher.info(deadline).await {
                if !error.passes() || Instant::now() + READY_RETRY > deadline {
                    return Err(error);
                }
                tokio::time::sleep(READY_RETRY).await;
            }
        }
        Ok(())
    }

    /// What gives it new credentials while it serves.
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// Serves until told to stop, and stops as told.
    pub async fn until_stopped(self) -> Exit {
        stop::run(&self.workers, self.stop, &self.status).await
    }
}

/// Asks the CA about instances whose place depends on it, side by side. Who is not told is mounted all the same.
///
/// By use, no certificate is asked for before the first connection, and nothing at all where the place is clear.
async fn look_up(served: &[Arc<Served>], refresh: Refresh) {
    let deadline = Instant::now() + LOOKUP;
    let mut lookups = JoinSet::new();
    for served in served {
        let config = &served.config;
        let refresher = Arc::clone(&served.connector.refresher);
        let depends = config.place.depends_on_engine();
        match refresh {
            Refresh::Ahead if config.wanted.is_short() || depends => {
                lookups.spawn(async move { drop(refresher.info(deadline).await) });
            }
            Refresh::Lazy if depends => {
                lookups.spawn(async move { refresher.look_up(deadline).await });
            }
            Refresh::Ahead | Refresh::Lazy => {}
        }
    }
    while lookups.join_next().await.is_some() {}
}
