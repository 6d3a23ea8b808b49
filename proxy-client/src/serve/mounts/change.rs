//! Another list of instances for a program at work: prepared first, so that it comes whole or not at all.

mod ready;

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::Mounts;
use super::mount::Mount;
use crate::config::{InstanceConfig, Ports, Wanted};
use crate::error::MountError;
use crate::mount::Spot;
use crate::refresh::Told;
use crate::serve::Shared;
use crate::session::Served;
use ready::Ready;

/// How many instances came, went, or became others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// New ones.
    pub added: usize,
    /// Those that are not served any more.
    pub removed: usize,
    /// The same instance, otherwise.
    pub changed: usize,
}

/// One instance of the new list.
enum Slot {
    /// As it was: its listeners and its certificate stay.
    Kept(Arc<Mount>),
    /// New, or not as it was.
    New(Box<InstanceConfig>, Option<Told>),
}

/// A change that is not made yet. Dropped, it leaves all as it was.
pub(in crate::serve) struct Change<'a> {
    mounts: &'a Mounts,
    shared: &'a Shared,
    slots: Vec<Slot>,
    leaving: Vec<Arc<Mount>>,
}

/// Why there is no change.
#[derive(Debug)]
pub(in crate::serve) enum Obstacle {
    /// A listener is not to be had.
    Mount(String, MountError),
    /// A listener is not ours to close.
    Handed(String),
}

impl<'a> Change<'a> {
    /// Compares the new list with the one at work.
    pub(in crate::serve) fn new(
        mounts: &'a Mounts,
        shared: &'a Shared,
        wanted: Vec<InstanceConfig>,
    ) -> Self {
        let mut leaving = mounts.all();
        let slots = wanted.into_iter().map(|config| {
            let same = leaving.iter().position(|one| one.served.config == config);
            match same {
                Some(at) => Slot::Kept(leaving.remove(at)),
                None => Slot::New(Box::new(config), None),
            }
        });
        Self {
            slots: slots.collect(),
            mounts,
            shared,
            leaving,
        }
    }

    /// How long the new list is.
    pub(in crate::serve) const fn len(&self) -> usize {
        self.slots.len()
    }

    /// What the CA has told of the instance at this place.
    pub(in crate::serve) fn learn(&mut self, at: usize, told: Told) {
        if let Some(Slot::New(_, known)) = self.slots.get_mut(at) {
            *known = Some(told);
        }
    }

    /// Which instance has this place in the new list.
    pub(in crate::serve) fn wanted(&self, at: usize) -> Option<Wanted> {
        Some(match self.slots.get(at)? {
            Slot::Kept(mount) => mount.served.config.wanted.clone(),
            Slot::New(config, _) => config.wanted.clone(),
        })
    }

    /// Whether this instance is served now, and the CA does not give what that takes.
    pub(in crate::serve) fn is_failing(&self, wanted: &Wanted) -> bool {
        let mounts = self.mounts.all();
        let mut same = mounts
            .iter()
            .filter(|one| one.served.config.wanted == *wanted);
        same.any(|one| one.served.connector.refresher.failure().is_some())
    }

    /// Makes it, once `accept` has been called: nothing fails from there on.
    pub(in crate::serve) async fn make(self, accept: impl FnOnce()) -> Result<Changed, Obstacle> {
        let turn = Arc::clone(&self.mounts.context.turn).lock_owned().await;
        let mut ports = turn.clone();
        let ready = self.prepare(&mut ports)?;
        accept();
        Ok(self.commit(ready, turn, ports).await)
    }

    fn prepare(&self, ports: &mut Ports) -> Result<Vec<Option<Ready>>, Obstacle> {
        // Each listener goes to one new mount at most.
        let mut free: Vec<(Arc<Mount>, Spot)> = Vec::new();
        for mount in &self.leaving {
            let spots = mount.spots();
            free.extend(spots.into_iter().map(|spot| (Arc::clone(mount), spot)));
        }
        let mut before = self.leaving.clone();
        let mut ready: Vec<Option<Ready>> = self.slots.iter().map(|_| None).collect();
        for (slot, ready) in self.slots.iter().zip(&mut ready) {
            if let Slot::New(config, told) = slot {
                let predecessor = predecessor(&mut before, config);
                let mut new = self.succeed(config, told.clone(), predecessor);
                new.keep_place(&mut free);
                *ready = Some(new);
            }
        }
        let abandoned = free.iter().find(|(mount, _)| mount.is_handed);
        if let Some((mount, _)) = abandoned {
            return Err(Obstacle::Handed(mount.served.label()));
        }
        for new in ready.iter_mut().flatten() {
            let done = new.find_place(&mut free, ports);
            done.map_err(|problem| Obstacle::Mount(new.mount.served.label(), problem))?;
        }
        Ok(ready)
    }

    /// A mount for the configuration, with the certificate that its predecessor has.
    fn succeed(
        &self,
        config: &InstanceConfig,
        told: Option<Told>,
        before: Option<Arc<Mount>>,
    ) -> Ready {
        let context = &self.mounts.context;
        let workers = &context.workers;
        let refresher = before
            .as_ref()
            .filter(|one| one.served.config.route == config.route)
            .map(|one| Arc::clone(&one.served.connector.refresher));
        let served =
            self.shared
                .serve_with(config.clone(), refresher, &workers.tasks, &workers.cut);
        if let Some(told) = told {
            served.connector.refresher.tell(told);
        }
        let is_handed = before.as_ref().is_some_and(|one| one.is_handed);
        Ready::new(Arc::new(Mount::new(served, context, is_handed)), before)
    }

    async fn commit(
        self,
        ready: Vec<Option<Ready>>,
        mut turn: OwnedMutexGuard<Ports>,
        ports: Ports,
    ) -> Changed {
        let mut changed = Changed::default();
        let mut list = Vec::new();
        for (slot, ready) in self.slots.into_iter().zip(ready) {
            match (slot, ready) {
                (_, Some(ready)) => {
                    match ready.before {
                        Some(_) => changed.changed = changed.changed.saturating_add(1),
                        None => changed.added = changed.added.saturating_add(1),
                    }
                    list.push(ready.start());
                }
                (Slot::Kept(mount), None) => list.push(mount),
                (Slot::New(..), None) => {}
            }
        }
        changed.removed = self.leaving.len().saturating_sub(changed.changed);
        *turn = ports;
        let served: Vec<Arc<Served>> = list.iter().map(|one| Arc::clone(&one.served)).collect();
        self.mounts.context.status.serves(&served);
        *self.mounts.lock() = list;
        for mount in &self.leaving {
            mount.retire().await;
            let is_served = |one: &Arc<Served>| one.config.wanted == mount.served.config.wanted;
            if !served.iter().any(is_served) {
                self.shared
                    .metrics
                    .forget(&mount.served.config.wanted.to_string());
            }
        }
        changed
    }
}

/// The mount of the same instance that a new one replaces: at the same place, if there are several.
fn predecessor(leaving: &mut Vec<Arc<Mount>>, config: &InstanceConfig) -> Option<Arc<Mount>> {
    let is_same = |one: &Arc<Mount>| one.served.config.wanted == config.wanted;
    let is_there = |one: &Arc<Mount>| is_same(one) && one.served.config.place == config.place;
    let there = leaving.iter().position(is_there);
    let at = there.or_else(|| leaving.iter().position(is_same))?;
    Some(leaving.remove(at))
}
