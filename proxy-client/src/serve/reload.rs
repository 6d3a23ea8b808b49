//! New credentials and another root for a program at work: whole or not at all, and no session notices.

use std::sync::Arc;

use arc_swap::ArcSwap;
use daemon::clock::Clock;
use daemon::settings::Complaints;
use transport::authority::{Authority, AuthorityError};

use super::shared::connect_to;
use crate::config::{Config, InstanceConfig};
use crate::error::{RefreshError, SessionError};
use crate::session::Served;

/// Why everything stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The settings are wrong.
    #[error("the settings are wrong:\n{0}")]
    Settings(Complaints),
    /// Something else has changed with them.
    #[error("the instances have changed too, and that needs a restart")]
    Instances,
    /// The CA does not take the new credentials, or is not believed.
    #[error("the CA at {}: {}", .0.endpoint, .0.failure)]
    Authority(#[from] AuthorityError),
}

impl ReloadError {
    /// Whether the same settings may do later.
    pub fn passes(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Instances => false,
            Self::Authority(error) => {
                SessionError::Refresh(RefreshError::Authority(error.clone())).passes()
            }
        }
    }
}

/// Changes what the CA is asked with.
#[derive(Clone)]
pub struct Reload {
    pub(super) authority: Arc<ArcSwap<Authority>>,
    pub(super) served: Vec<Arc<Served>>,
    pub(super) instances: Vec<InstanceConfig>,
    pub(super) clock: Clock,
}

impl Reload {
    /// Tries the new credentials at the CA, and takes them when they do what the old ones do.
    ///
    /// Certificates are renewed with them at once; sessions keep what they have.
    ///
    /// # Errors
    /// Why nothing has changed.
    pub async fn apply(&self, config: Config) -> Result<(), ReloadError> {
        if config.instances != self.instances {
            return Err(ReloadError::Instances);
        }
        let authority = connect_to(config.authority, Arc::clone(&self.clock))?;
        for served in &self.served {
            // What the old ones do not get, the new ones need not either.
            if served.connector.refresher.failure().is_none() {
                let wanted = &served.config.wanted;
                let settings = authority.connect_settings(wanted.project(), wanted.instance());
                settings.await?;
            }
        }
        self.authority.store(Arc::new(authority));
        for served in &self.served {
            served.connector.refresher.refresh_now();
        }
        Ok(())
    }
}
