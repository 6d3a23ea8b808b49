//! New credentials, another root, other instances for a program at work: whole or not at all, and no session notices.

use std::sync::Arc;

use daemon::clock::Clock;
use daemon::settings::Complaints;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use transport::authority::{Authority, AuthorityError};
use transport::error::chain;

use super::mounts::{Change, Changed, Mounts, Obstacle};
use super::shared::{Shared, connect_to};
use crate::config::Config;
use crate::error::{MountError, RefreshError, SessionError};

/// The CA is asked about so many instances at once.
const AT_ONCE: usize = 16;

/// Why everything stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The settings are wrong.
    #[error("the settings are wrong:\n{0}")]
    Settings(Complaints),
    /// A listener is not to be had.
    #[error("[{instance}] {}", chain(.problem))]
    Mount {
        /// Whose.
        instance: String,
        /// Why.
        problem: MountError,
    },
    /// A listener is not ours to close.
    #[error(
        "[{0}] is listened for by the service manager: stop its socket unit, and restart without the instance"
    )]
    Handed(String),
    /// The CA cannot be asked with the new settings.
    #[error("the CA at {}: {}", .0.endpoint, .0.failure)]
    Authority(#[from] AuthorityError),
    /// The CA does not take the new credentials, is not believed, or does not serve an instance.
    #[error("[{instance}] {}", told(.problem))]
    Instance {
        /// Which.
        instance: String,
        /// Why.
        problem: RefreshError,
    },
}

fn told(problem: &RefreshError) -> String {
    match problem {
        RefreshError::Authority(error) => {
            format!("the CA at {}: {}", error.endpoint, error.failure)
        }
        problem => chain(problem),
    }
}

impl ReloadError {
    /// Whether the same settings may do later.
    pub fn passes(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Mount { .. } | Self::Handed(_) => false,
            Self::Authority(error) => {
                SessionError::Refresh(RefreshError::Authority(error.clone())).passes()
            }
            Self::Instance { problem, .. } => SessionError::Refresh(problem.clone()).passes(),
        }
    }
}

impl From<Obstacle> for ReloadError {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Mount(instance, problem) => Self::Mount { instance, problem },
            Obstacle::Handed(instance) => Self::Handed(instance),
        }
    }
}

/// Changes what the CA is asked with, and what is served.
#[derive(Clone)]
pub struct Reload {
    pub(super) shared: Arc<Shared>,
    pub(super) mounts: Arc<Mounts>,
    pub(super) clock: Clock,
}

impl Reload {
    /// Tries the new settings: the credentials at the CA for each instance, and a listener for each that is new. Takes
    /// them when all of that works.
    ///
    /// Certificates are renewed at once; sessions keep what they have, also those of instances that leave.
    ///
    /// # Errors
    /// Why nothing has changed.
    pub async fn apply(&self, config: Config) -> Result<Changed, ReloadError> {
        let authority = connect_to(config.authority, Arc::clone(&self.clock))?;
        let authority = Arc::new(authority);
        let mut change = Change::new(&self.mounts, &self.shared, config.instances);
        self.ask(&authority, &mut change).await?;
        let changed = change
            .make(|| self.shared.authority.store(authority))
            .await?;
        for served in self.mounts.served() {
            let refresher = &served.connector.refresher;
            if refresher.last_known().is_some() || refresher.failure().is_some() {
                refresher.refresh_now();
            }
        }
        Ok(changed)
    }

    /// What the old credentials do not get, the new ones need not either; and new instances are to be had.
    async fn ask(
        &self,
        authority: &Arc<Authority>,
        change: &mut Change<'_>,
    ) -> Result<(), ReloadError> {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut asking = JoinSet::new();
        for at in 0..change.len() {
            let Some(wanted) = change.wanted(at).filter(|one| !change.is_failing(one)) else {
                continue;
            };
            let (shared, authority) = (Arc::clone(&self.shared), Arc::clone(authority));
            let room = Arc::clone(&room);
            asking.spawn(async move {
                let _room = room.acquire().await;
                (at, shared.ask(&authority, &wanted).await, wanted)
            });
        }
        while let Some(asked) = asking.join_next().await {
            let Ok((at, told, wanted)) = asked else {
                continue;
            };
            let told = told.map_err(|problem| ReloadError::Instance {
                instance: wanted.to_string(),
                problem,
            })?;
            change.learn(at, told);
        }
        Ok(())
    }
}
