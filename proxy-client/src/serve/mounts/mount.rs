//! One mount: an instance, its listeners, and what is put right once the CA has told what was assumed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use proto::Engine;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, error, info};
use transport::accept::Listener;
use transport::error::chain;

use super::super::{LOOKUP, Workers};
use super::listener::accept;
use crate::config::{Place, Ports, Refresh};
use crate::error::MountError;
use crate::health::Status;
use crate::mount::{self, Spot};
use crate::refresh::keep_fresh;
use crate::session::Served;

/// A listener that is not to be had is tried again after this time.
const RETRY: Duration = Duration::from_secs(5);
/// What the CA did not tell is asked for again after this time.
const LOOKUP_RETRY: Duration = Duration::from_secs(1);

/// What all mounts have in common.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) workers: Workers,
    pub(super) status: Arc<Status>,
    pub(super) refresh: Refresh,
    /// Held by whoever binds: the ports that are given out, and nobody else changes mounts meanwhile.
    pub(super) turn: Arc<tokio::sync::Mutex<Ports>>,
}

/// One instance and its listeners.
pub(super) struct Mount {
    pub(super) served: Arc<Served>,
    /// Its listener was opened by the service manager, at a place of its own.
    pub(super) is_handed: bool,
    context: Context,
    retired: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    listening: Vec<Listening>,
    /// Certificates are renewed as long as somebody holds this.
    renewal: Option<Renewal>,
}

/// Ends the renewal of certificates with its last holder.
pub(super) type Renewal = Arc<DropGuard>;

/// A listener at work.
pub(super) struct Listening {
    pub(super) at: Spot,
    local: String,
    /// Whose connections it accepts.
    target: Arc<ArcSwap<Served>>,
    closed: CancellationToken,
    task: JoinHandle<()>,
}

impl Mount {
    pub(super) fn new(served: Arc<Served>, context: &Context, is_handed: bool) -> Self {
        Self {
            served,
            is_handed,
            retired: context.workers.closed.child_token(),
            context: context.clone(),
            state: Mutex::default(),
        }
    }

    /// Logs why the instance is not listened for, and says it.
    pub(super) fn complain(&self, problem: &MountError) -> String {
        let problem = chain(problem);
        error!(
            instance = self.served.label(),
            error = problem,
            "instance cannot be listened for"
        );
        problem
    }

    /// Where it goes, as far as is known.
    pub(super) fn choose(&self, ports: &mut Ports) -> Result<Spot, MountError> {
        let known = self.served.connector.refresher.told();
        mount::spot(&self.served.config, known.as_deref(), ports)
    }

    pub(super) fn bind(&self, spot: &Spot) -> Result<(), MountError> {
        for listener in mount::bind(spot, &self.served.config.socket)? {
            self.listen(listener, Some(spot));
        }
        Ok(())
    }

    /// Renews certificates ahead, where that is wanted; goes on with a renewal that is there already.
    pub(super) fn keep_fresh(&self, renewal: Option<Renewal>) {
        if self.context.refresh != Refresh::Ahead {
            return;
        }
        let renewal = renewal.unwrap_or_else(|| {
            let ended = self.context.workers.cut.child_token();
            let refresher = Arc::clone(&self.served.connector.refresher);
            let tasks = &self.context.workers.tasks;
            tasks.spawn(keep_fresh(refresher, ended.clone()));
            Arc::new(ended.drop_guard())
        });
        self.state().renewal = Some(renewal);
    }

    pub(super) fn renewal(&self) -> Option<Renewal> {
        self.state().renewal.clone()
    }

    /// Listens until the program stops accepting, or the listener is not wanted any more.
    pub(super) fn listen(&self, listener: Listener, spot: Option<&Spot>) {
        let label = self.served.label();
        let listener = listener.with_user_timeout(self.served.bounds.tcp.user_timeout);
        let local = listener.local();
        // The line that people and scripts know from Google's proxy.
        info!("[{label}] Listening on {local}");
        self.context.status.mounted(&self.served, local.clone());
        let at = match (listener.local_addr(), spot) {
            (Some(address), _) => Spot::Tcp(address),
            (None, Some(spot)) => spot.clone(),
            (None, None) => Spot::Unix(PathBuf::from(&local)),
        };
        let closed = self.context.workers.closed.child_token();
        let target = Arc::new(ArcSwap::new(Arc::clone(&self.served)));
        let work = accept(
            listener,
            Arc::clone(&target),
            self.context.workers.clone(),
            closed.clone(),
        );
        let task = self.context.workers.tasks.spawn(work);
        self.state().listening.push(Listening {
            at,
            local,
            target,
            closed,
            task,
        });
    }

    /// Where it listens now.
    pub(super) fn spots(&self) -> Vec<Spot> {
        let listening = &self.state().listening;
        listening.iter().map(|one| one.at.clone()).collect()
    }

    /// Gives up one of its listeners, which goes on listening.
    pub(super) fn hand_over(&self, at: &Spot) -> Option<Listening> {
        let mut state = self.state();
        let found = state.listening.iter().position(|one| one.at == *at)?;
        Some(state.listening.swap_remove(found))
    }

    /// Goes on with a listener of another mount's: who connects from now on comes here.
    pub(super) fn take_over(&self, listening: Listening) {
        listening.target.store(Arc::clone(&self.served));
        let status = &self.context.status;
        status.unmounted(&listening.local);
        status.mounted(&self.served, listening.local.clone());
        self.state().listening.push(listening);
    }

    /// Is not wanted any more: gives up its listeners, and sessions go on.
    pub(super) async fn retire(&self) {
        self.retired.cancel();
        self.served.connector.spares.end();
        self.state().renewal = None;
        self.release().await;
    }

    async fn release(&self) {
        let listening = std::mem::take(&mut self.state().listening);
        let label = self.served.label();
        for Listening { local, closed, .. } in &listening {
            closed.cancel();
            self.context.status.unmounted(local);
            info!("[{label}] Not listening on {local} any more");
        }
        for Listening { local, task, .. } in listening {
            if let Err(error) = task.await {
                debug!(%error, local, "a listener did not end well");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on trying, where it is not bound or may be at another place once the CA has told.
    pub(super) fn see_to(self: &Arc<Self>, spot: Spot, is_bound: bool) {
        let known = self.served.connector.refresher.told().is_some();
        if !is_bound || !known {
            let mount = Arc::clone(self);
            let tasks = &self.context.workers.tasks;
            tasks.spawn(async move { mount.put_right(spot, is_bound).await });
        }
    }

    /// Binds what could not be bound; and what was bound on an assumption that the CA does not share, a second time.
    async fn put_right(&self, spot: Spot, mut is_bound: bool) {
        let work = async {
            while !is_bound {
                tokio::time::sleep(RETRY).await;
                let _turn = self.context.turn.lock().await;
                is_bound = !self.retired.is_cancelled() && self.bind_again(&spot);
            }
            self.told().await;
            if self.is_right() {
                return;
            }
            let mut ports = self.context.turn.lock().await;
            if !self.retired.is_cancelled()
                && let Ok(right) = self.choose(&mut ports)
                && right != spot
            {
                if right.is_below(&spot) {
                    self.release().await;
                }
                self.bind_again(&right);
            }
        };
        tokio::select! {
            biased;
            () = self.retired.cancelled() => {}
            () = work => {}
        }
    }

    /// Waits until the CA has told. Where nothing is renewed ahead and applications may look in a place where they
    /// find nobody, no connection would make it tell: it is asked.
    async fn told(&self) {
        let refresher = &self.served.connector.refresher;
        if self.context.refresh == Refresh::Lazy && self.served.config.place.depends_on_engine() {
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
