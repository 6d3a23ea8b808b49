//! All mounts: bound at start, and changed as one when the settings are read again.

mod change;
mod listener;
mod mount;

use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;

use super::{StartError, Workers};
use crate::config::{Inherited, Place, Ports, Refresh};
use crate::health::Status;
use crate::mount as place;
use crate::session::Served;
pub use change::Changed;
pub(super) use change::{Change, Obstacle};
use mount::{Context, Mount};

/// All instances, each with its listeners.
pub(super) struct Mounts {
    context: Context,
    /// In the order of the settings.
    list: Mutex<Vec<Arc<Mount>>>,
}

impl Mounts {
    /// Nothing is mounted yet.
    pub(super) fn new(workers: &Workers, status: &Arc<Status>, refresh: Refresh) -> Self {
        Self {
            context: Context {
                workers: workers.clone(),
                status: Arc::clone(status),
                refresh,
                turn: Arc::new(tokio::sync::Mutex::new(Ports::default())),
            },
            list: Mutex::default(),
        }
    }

    /// Binds all instances. One that fails does not stop the others.
    pub(super) async fn bind_all(
        &self,
        served: &[Arc<Served>],
        mut inherited: Inherited,
    ) -> Result<(), StartError> {
        warn_of_strangers(served, &inherited);
        let mut ports = self.context.turn.lock().await;
        let mut problems = Vec::new();
        let mut list = Vec::new();
        for (at, served) in served.iter().enumerate() {
            let handed = inherited.remove(&at);
            let mount = Mount::new(Arc::clone(served), &self.context, handed.is_some());
            let mount = Arc::new(mount);
            list.push(Arc::clone(&mount));
            if let Some(handed) = handed {
                // Where applications look for it is the service manager's to say: nothing is put right later.
                match place::adopt(handed) {
                    Ok(listener) => mount.listen(listener, None),
                    Err(problem) => problems.push(mount.complain(&problem)),
                }
                continue;
            }
            let spot = match mount.choose(&mut ports) {
                Ok(spot) => spot,
                Err(problem) => {
                    problems.push(problem.to_string());
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
            mount.see_to(spot, is_bound);
        }
        drop(ports);
        if problems.len() == served.len() {
            return Err(StartError::Mounts(problems.join("; ")));
        }
        *self.lock() = list;
        Ok(())
    }

    /// Begins to renew certificates ahead, where that is wanted.
    pub(super) fn keep_fresh(&self) {
        for mount in self.all() {
            mount.keep_fresh(None);
        }
    }

    /// The instances as sessions see them.
    pub(super) fn served(&self) -> Vec<Arc<Served>> {
        let all = self.all();
        all.iter().map(|mount| Arc::clone(&mount.served)).collect()
    }

    fn all(&self) -> Vec<Arc<Mount>> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Mount>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
