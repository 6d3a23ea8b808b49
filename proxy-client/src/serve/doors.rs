//! Where others ask the program how it is: health over HTTP, and the administrator's socket.

use std::path::Path;
use std::sync::Arc;

use daemon::log::LogLevel;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::{Shared, StartError, Workers};
use crate::admin::Admin;
use crate::config::Http;
use crate::health::{self, Status};

/// What those who ask are told of.
pub(super) struct Doors<'a> {
    pub(super) status: &'a Arc<Status>,
    pub(super) shared: &'a Shared,
    pub(super) workers: &'a Workers,
    pub(super) log: Option<LogLevel>,
}

impl Doors<'_> {
    /// Opens those that are wanted.
    pub(super) async fn open(
        &self,
        http: Option<&Http>,
        admin_socket: Option<&Path>,
    ) -> Result<(), StartError> {
        if let Some(path) = admin_socket {
            self.open_admin(path)?;
        }
        if let Some(http) = http {
            self.open_http(http).await?;
        }
        Ok(())
    }

    fn open_admin(&self, path: &Path) -> Result<(), StartError> {
        let admin = Admin {
            status: Arc::clone(self.status),
            sessions: self.shared.sessions.clone(),
            shutdown: self.workers.shutdown.clone(),
            begun: Instant::now(),
            log: self.log.clone(),
        };
        let probes = health::probes(self.status, Some(Arc::clone(&self.shared.metrics)));
        let ended = self.workers.cut.clone();
        Ok(admin.serve(path, probes, ended, &self.workers.tasks)?)
    }

    async fn open_http(&self, http: &Http) -> Result<(), StartError> {
        let failed = |source| StartError::Health {
            address: format!("{}:{}", http.host, http.port),
            source,
        };
        let listener = TcpListener::bind((http.host.as_str(), http.port))
            .await
            .and_then(TcpListener::into_std)
            .map_err(failed)?;
        let metrics = http.metrics.then(|| Arc::clone(&self.shared.metrics));
        let probes = health::probes(self.status, metrics);
        let ended = self.workers.cut.clone();
        daemon::health::start(listener, probes, ended, &self.workers.tasks).map_err(failed)
    }
}
