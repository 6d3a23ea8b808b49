//! All mounts: bound at start, tried again while they fail, and put right once the CA has told what was assumed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::Engine;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use transport::accept::{Listener, accept_loop};
use transport::error::chain;

use super::{LOOKUP, StartError, Workers};
use crate::config::{Inherited, Place, Ports, Refresh};
use crate::error::MountError;
use crate::health::Status;
use crate::mount::{self, Spot};
use crate::session::{self, Served};

/// Strangers of one listener who are told so at the same time; beyond, they are closed without a word.
const STRANGERS: usize = 64;
/// A listener that is not to be had is tried again after this time.
const RETRY: Duration = Duration::from_secs(5);
/// What the CA did not tell is asked for again after this time.
const LOOKUP_RETRY: Duration = Duration::from_secs(1);

/// Binds all instances. One that fails does not stop the others.
pub(super) fn bind_all(
    served: &[Arc<Served>],
    mut inherited: Inherited,
    workers: &Workers,
    status: &Arc<Status>,
    refresh: Refresh,
) -> Result<(), StartError> {
    warn_of_strangers(served, &inherited);
    let ports = Arc::new(Mutex::new(Ports::default()));
    let mut problems = Vec::new();
    for (at, served) in served.iter().enumerate() {
        let known = served.connector.refresher.told().is_some();
        let mount = Mount {
            served: Arc::clone(served),
            workers: workers.clone(),
            status: Arc::clone(status),
            ports: Arc::clone(&ports),
            refresh,
            listening: Mutex::default(),
        };
        if let Some(handed) = inherited.remove(&at) {
            // Where applications look for it is the service manager's to say: nothing is put right later.
            match mount::adopt(handed) {
                Ok(listener) => mount.listen(listener),
                Err(problem) => problems.push(mount.complain(&problem)),
            }
            continue;
        }
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
                problems.push(mount.complain(&problem));
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
fn warn_of_strangers(served: &[Arc<Served>], inherited: &Inherited) {
    let is_open = |(at, served): &(usize, &Arc<Served>)| {
        let is_wildcard = match (inherited.get(at), &served.config.place) {
            (Some(handed), _) => handed.is_wildcard(),
            (None, Place::Tcp { address, .. }) => address.is_wildcard(),
            (None, Place::UnixFolder(_) | Place::UnixPath(_)) => false,
        };
        is_wildcard && served.config.callers.networks.is_empty()
    };
    let instances = served.iter().enumerate().filter(is_open).count();
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
    refresh: Refresh,
    listening: Mutex<Vec<Listening>>,
}

/// A listener at work.
struct Listening {
    local: String,
    closed: CancellationToken,
    task: JoinHandle<()>,
}

impl Mount {
    /// Logs why the instance is not listened for, and says it.
    fn complain(&self, problem: &MountError) -> String {
        let problem = chain(problem);
        error!(
            instance = self.served.label(),
            error = problem,
            "instance cannot be listened for"
        );
        problem
    }

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
        self.status.mounted(label, local.clone());
        let closed = self.workers.closed.child_token();
        let (served, limited) = (Arc::clone(&self.served), Arc::clone(&self.served));
        let (workers, most) = (self.workers.clone(), self.workers.most);
        let ended = closed.clone();
        let task = self.workers.tasks.spawn(async move {
            let strangers = Arc::new(Semaphore::new(STRANGERS));
            let (draining, tasks) = (workers.draining.clone(), workers.tasks.clone());
            let on_connection = move |socket, peer, permit: OwnedSemaphorePermit| {
                let (served, strangers) = (Arc::clone(&served), Arc::clone(&strangers));
                let (is_draining, tasks) = (draining.is_cancelled(), tasks.clone());
                async move {
                    if is_draining {
                        drop(permit);
                        // Not a session: the drain does not wait for it.
                        if let Ok(telling) = strangers.try_acquire_owned() {
                            tasks.spawn(async move {
                                session::draining(socket, served).await;
                                drop(telling);
                            });
                        }
                        return;
                    }
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
            let (permits, sessions) = (Arc::clone(&workers.permits), &workers.sessions);
            accept_loop(listener, permits, ended, sessions, on_connection, on_limit).await;
        });
        self.lock_listening().push(Listening {
            local,
            closed,
            task,
        });
    }

    /// Gives up its listeners; sessions go on.
    async fn release(&self) {
        let listening = std::mem::take(&mut *self.lock_listening());
        for Listening {
            local,
            closed,
            task,
        } in listening
        {
            closed.cancel();
            if let Err(error) = task.await {
                debug!(%error, local, "a listener did not end well");
            }
            self.status.unmounted(&local);
        }
    }

    fn lock_listening(&self) -> MutexGuard<'_, Vec<Listening>> {
        self.listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Binds what could not be bound; and what was bound on an assumption that the CA does not share, a second time.
    async fn put_right(self, spot: Spot, mut is_bound: bool) {
        let work = async {
            while !is_bound {
                tokio::time::sleep(RETRY).await;
                is_bound = self.bind_again(&spot);
            }
            self.told().await;
            if self.is_right() {
                return;
            }
            if let Ok(right) = self.spot()
                && right != spot
            {
                if right.is_below(&spot) {
                    self.release().await;
                }
                self.bind_again(&right);
            }
        };
        tokio::select! {
            () = work => {}
            () = self.workers.closed.cancelled() => {}
        }
    }

    /// Waits until the CA has told. Where nothing is renewed ahead and applications may look in a place where they
    /// find nobody, no connection would make it tell: it is asked.
    async fn told(&self) {
        let refresher = &self.served.connector.refresher;
        if self.refresh == Refresh::Lazy && self.served.config.place.depends_on_engine() {
            while refresher.told().is_none() {
                tokio::time::sleep(LOOKUP_RETRY).await;
                refresher.look_up(Instant::now() + LOOKUP).await;
            }
        }
        refresher.known().await;
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
                debug!(
                    instance = self.served.label(),
                    error = chain(&problem),
                    "still not listened for"
                );
                false
            }
        }
    }
}
