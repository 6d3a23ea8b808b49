//! All mounts: bound at start, tried again while they fail, and put right once the CA has told what was assumed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::Engine;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{error, info, warn};
use transport::accept::{Listener, accept_loop};
use transport::error::chain;

use super::{StartError, Workers};
use crate::config::{Place, Ports};
use crate::error::MountError;
use crate::health::Status;
use crate::mount::{self, Spot};
use crate::session::{self, Served};

/// Strangers of one listener who are told so at the same time; beyond, they are closed without a word.
const STRANGERS: usize = 64;
/// A listener that is not to be had is tried again after this time.
const RETRY: Duration = Duration::from_secs(5);

/// Binds all instances. One that fails does not stop the others.
pub(super) fn bind_all(
    served: &[Arc<Served>],
    workers: &Workers,
    status: &Arc<Status>,
) -> Result<(), StartError> {
    warn_of_strangers(served);
    let ports = Arc::new(Mutex::new(Ports::default()));
    let mut problems = Vec::new();
    for served in served {
        let known = served.connector.refresher.told().is_some();
        let mount = Mount {
            served: Arc::clone(served),
            workers: workers.clone(),
            status: Arc::clone(status),
            ports: Arc::clone(&ports),
        };
        let spot = match mount.spot() {
            Ok(spot) => spot,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let is_bound = match mount.bind(&spot) {
            Ok(()) => true,
            Err(problem) => {
                let problem = chain(&problem);
                error!(
                    instance = served.label(),
                    error = problem,
                    "instance cannot be listened for"
                );
                problems.push(problem);
                false
            }
        };
        if !is_bound || !known {
            workers.tasks.spawn(mount.put_right(spot, is_bound));
        }
    }
    if problems.len() == served.len() {
        return Err(StartError::Mounts(problems.join("; ")));
    }
    Ok(())
}

/// A port at all addresses is had by asking for it, and not without a word about who else reaches it.
fn warn_of_strangers(served: &[Arc<Served>]) {
    let is_open = |served: &&Arc<Served>| {
        let is_wildcard = matches!(&served.config.place,
            Place::Tcp { address, .. } if address.is_wildcard());
        is_wildcard && served.config.callers.networks.is_empty()
    };
    let instances = served.iter().filter(is_open).count();
    if instances > 0 {
        warn!(
            instances,
            "whoever reaches this machine reaches the database: name who may with --allow-from"
        );
    }
}

/// What is needed to mount one instance.
struct Mount {
    served: Arc<Served>,
    workers: Workers,
    status: Arc<Status>,
    ports: Arc<Mutex<Ports>>,
}

impl Mount {
    fn spot(&self) -> Result<Spot, String> {
        let known = self.served.connector.refresher.told();
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        mount::spot(&self.served.config, known.as_deref(), &mut ports)
            .map_err(|problem| problem.to_string())
    }

    fn bind(&self, spot: &Spot) -> Result<(), MountError> {
        for listener in mount::bind(spot, &self.served.config.socket)? {
            self.listen(listener);
        }
        Ok(())
    }

    /// Listens until the program stops accepting.
    fn listen(&self, listener: Listener) {
        let label = self.served.label();
        let local = listener.local();
        // The line that people and scripts know from Google's proxy.
        info!("[{label}] Listening on {local}");
        self.status.mounted(label, local);
        let (served, limited) = (Arc::clone(&self.served), Arc::clone(&self.served));
        let (workers, most) = (self.workers.clone(), self.workers.most);
        self.workers.tasks.spawn(async move {
            let strangers = Arc::new(Semaphore::new(STRANGERS));
            let on_connection = move |socket, peer, permit: OwnedSemaphorePermit| {
                let (served, strangers) = (Arc::clone(&served), Arc::clone(&strangers));
                async move {
                    match served.config.callers.admit(peer) {
                        Ok(()) => session::run(socket, peer, served).await,
                        Err(stranger) => {
                            // Who is not served takes no place from those who are.
                            drop(permit);
                            if let Ok(_telling) = strangers.try_acquire() {
                                session::turn_away(socket, stranger, served).await;
                            }
                        }
                    }
                }
            };
            let on_limit = move |socket, _| session::over_limit(socket, most, Arc::clone(&limited));
            let (permits, closed) = (Arc::clone(&workers.permits), workers.closed.clone());
            let sessions = &workers.sessions;
            accept_loop(listener, permits, closed, sessions, on_connection, on_limit).await;
        });
    }

    /// Binds what could not be bound; and what was bound on an assumption that the CA does not share, a second time.
    async fn put_right(self, spot: Spot, mut is_bound: bool) {
        let work = async {
            while !is_bound {
                tokio::time::sleep(RETRY).await;
                is_bound = self.bind_again(&spot);
            }
            self.served.connector.refresher.known().await;
            if self.is_right() {
                return;
            }
            if let Ok(right) = self.spot()
                && right != spot
            {
                self.bind_again(&right);
            }
        };
        tokio::select! {
            () = work => {}
            () = self.workers.closed.cancelled() => {}
        }
    }

    /// Whether a place that was chosen before the CA had told cannot be another one now.
    fn is_right(&self) -> bool {
        match &self.served.config.place {
            Place::Tcp { port: Some(_), .. } => true,
            Place::Tcp { port: None, .. } => self.served.engine() != Engine::Postgres,
            place => !place.depends_on_engine(),
        }
    }

    fn bind_again(&self, spot: &Spot) -> bool {
        match self.bind(spot) {
            Ok(()) => true,
            Err(problem) => {
                tracing::debug!(
                    instance = self.served.label(),
                    error = chain(&problem),
                    "still not listened for"
                );
                false
            }
        }
    }
}
