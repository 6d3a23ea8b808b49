//! What takes the place of a mount: its listeners, those of others, or new ones.

use std::sync::Arc;

use transport::accept::Listener;

use super::super::mount::Mount;
use super::super::warn_of_strangers;
use crate::config::{Inherited, Ports};
use crate::error::MountError;
use crate::mount::{self as place, Regarded, Spot};

/// A new mount with all that it needs, at work as soon as it is told.
pub(super) struct Ready {
    pub(super) mount: Arc<Mount>,
    /// Listeners of mounts that leave, by whom and where.
    taken: Vec<(Arc<Mount>, Spot)>,
    bound: Vec<(Listener, Spot)>,
    regarded: Vec<Regarded>,
    spot: Option<Spot>,
    pub(super) before: Option<Arc<Mount>>,
}

impl Ready {
    /// Nothing is had yet.
    pub(super) const fn new(mount: Arc<Mount>, before: Option<Arc<Mount>>) -> Self {
        Self {
            mount,
            taken: Vec::new(),
            bound: Vec::new(),
            regarded: Vec::new(),
            spot: None,
            before,
        }
    }

    /// Where the settings say the same place as before, or the service manager does, the listeners stay.
    pub(super) fn keep_place(&mut self, free: &mut Vec<(Arc<Mount>, Spot)>) {
        let Some(before) = &self.before else {
            return;
        };
        if !before.is_handed && before.served.config.place != self.mount.served.config.place {
            return;
        }
        let is_its = |entry: &mut (Arc<Mount>, Spot)| Arc::ptr_eq(&entry.0, before);
        self.taken.extend(free.extract_if(.., is_its));
        let first = self.taken.first().filter(|_| !before.is_handed);
        self.spot = first.map(|(_, spot)| spot.clone());
    }

    /// Takes listeners that others give up, and binds the rest.
    pub(super) fn find_place(
        &mut self,
        free: &mut Vec<(Arc<Mount>, Spot)>,
        ports: &mut Ports,
    ) -> Result<(), MountError> {
        if self.taken.is_empty() {
            let spot = self.mount.choose(ports)?;
            let parts = spot.parts();
            let is_part = |entry: &mut (Arc<Mount>, Spot)| parts.contains(&entry.1);
            self.taken.extend(free.extract_if(.., is_part));
            let missing: Vec<&Spot> = parts.iter().filter(|part| !self.has(part)).collect();
            let options = &self.mount.served.config.socket;
            if missing.len() == parts.len() {
                let bound = place::bind(&spot, options)?;
                self.bound
                    .extend(bound.into_iter().map(|one| (one, spot.clone())));
            } else {
                // Of localhost's two addresses one is there: it is enough, as at the start.
                for part in missing {
                    match place::bind(part, options) {
                        Ok(bound) => self
                            .bound
                            .extend(bound.into_iter().map(|one| (one, part.clone()))),
                        Err(problem) => place::warn_of_half(&problem, None),
                    }
                }
            }
            self.spot = Some(spot);
        }
        self.regard()
    }

    fn has(&self, part: &Spot) -> bool {
        self.taken.iter().any(|(_, spot)| spot == part)
    }

    /// A Unix socket that goes on may be for others now.
    fn regard(&mut self) -> Result<(), MountError> {
        let options = &self.mount.served.config.socket;
        for (before, spot) in &self.taken {
            if let Spot::Unix(path) = spot
                && !before.is_handed
                && before.served.config.socket != *options
            {
                self.regarded.extend(place::regard(path, options)?);
            }
        }
        Ok(())
    }

    /// To work. Nothing fails from here on.
    pub(super) fn start(self) -> Arc<Mount> {
        let mount = self.mount;
        let renewal = self
            .before
            .filter(|one| {
                let refresher = &one.served.connector.refresher;
                Arc::ptr_eq(refresher, &mount.served.connector.refresher)
            })
            .and_then(|one| one.renewal());
        if !mount.is_handed {
            warn_of_strangers(std::slice::from_ref(&mount.served), &Inherited::new());
        }
        for (giver, spot) in self.taken {
            if let Some(listening) = giver.hand_over(&spot) {
                mount.take_over(listening);
            }
        }
        for (listener, spot) in self.bound {
            mount.listen(listener, Some(&spot));
        }
        for regarded in self.regarded {
            regarded.keep();
        }
        mount.keep_fresh(renewal);
        if let Some(spot) = self.spot {
            mount.see_to(spot, true);
        }
        mount
    }
}
