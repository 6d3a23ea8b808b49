//! What the CA knows: its own profile, instances, service accounts, their keys, and grants.

mod accounts;
mod grants;
mod hosts;
mod instances;
mod keys;
mod profile;

use std::sync::Arc;

use proto::InstanceName;
use proto::instance::{check_label, check_project};

pub(crate) use accounts::{Account, Mode, NewAccount};
pub(crate) use grants::{Permission, Role};
pub(crate) use hosts::{Host, check_address, check_names};
pub(crate) use instances::{
    Instance, InstanceChange, NewAuthority, NewInstance, check_database_version,
};
pub(crate) use keys::{AccountKey, Algorithm, NewKey};
pub(crate) use profile::{HttpsRoot, Profile};

use crate::clock::{Clock, Seconds};
use crate::error::{Error, Result};
use crate::store::Store;

/// Reads and changes what the CA knows. Every change is audited and raises the revision, in one transaction.
#[derive(Clone)]
pub(crate) struct Registry {
    store: Arc<Store>,
    clock: Clock,
    /// Who makes the changes.
    actor: String,
}

impl Registry {
    /// Changes made through it are entered in the audit as `actor`'s.
    pub(crate) fn new(store: Arc<Store>, clock: Clock, actor: String) -> Self {
        Self {
            store,
            clock,
            actor,
        }
    }

    /// The store under it.
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The clock that everything here goes by.
    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The time now.
    pub(crate) fn now(&self) -> Seconds {
        self.clock.now()
    }

    /// Completes a short name of an instance with the CA's own project and region.
    pub(crate) async fn full_name(&self, name: &str) -> Result<InstanceName> {
        if name.contains(':') {
            return Ok(name.parse()?);
        }
        let profile = self.profile().await?;
        Ok(InstanceName::new(&profile.project, &profile.region, name)?)
    }

    /// Finds an instance by its short or full name; an operator's mistake is told in full.
    pub(crate) async fn named_instance(&self, name: &str) -> Result<Instance> {
        let full = self.full_name(name).await?;
        let found = self.instance(full.project(), full.instance()).await?;
        found
            .filter(|instance| instance.name == full)
            .ok_or_else(|| Error::Missing {
                kind: "instance",
                name: name.to_owned(),
                list: "instances list",
            })
    }

    /// Finds an account by its short or full name; an operator's mistake is told in full.
    pub(crate) async fn named_account(&self, name: &str) -> Result<Account> {
        let found = if name.contains('@') {
            self.account(name).await?
        } else {
            check_label(name, "service account")?;
            self.account_by_short_name(name).await?
        };
        found.ok_or_else(|| Error::Missing {
            kind: "service account",
            name: name.to_owned(),
            list: "service-accounts list",
        })
    }
}

/// Checks the names that a request's path holds.
pub(crate) fn check_path_names(project: &str, instance: &str) -> Result<()> {
    check_project(project)?;
    Ok(check_label(instance, "instance")?)
}
