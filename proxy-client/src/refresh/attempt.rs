//! One attempt: settings and certificate, asked for side by side.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use transport::authority::{Authority, AuthorityError, Failure};
use transport::tls::PrivateKey;

use super::Outcome;
use super::info::{Parts, Told};
use super::target::Target;
use crate::config::{Failover, Route, Wanted};
use crate::error::RefreshError;
use crate::metrics::InstanceMetrics;

/// Longest attempt, token included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where an instance's settings and certificates come from.
pub struct Source {
    /// The CA.
    pub authority: Arc<ArcSwap<Authority>>,
    /// The process's key, which is certified again and again.
    pub key: PrivateKey,
    /// The instance.
    pub wanted: Wanted,
    /// By which address its agent is reached.
    pub route: Route,
    /// Counts attempts.
    pub metrics: InstanceMetrics,
    /// What is done about domains.
    pub failover: Failover,
    /// Ends sessions.
    pub cut: CancellationToken,
}

impl Source {
    /// The time by which certificates are judged.
    pub(super) fn now(&self) -> SystemTime {
        self.authority.load().now()
    }

    pub(super) const fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    pub(super) fn count(&self, succeeded: bool) {
        if succeeded {
            self.metrics.refresh_success.inc();
        } else {
            self.metrics.refresh_failure.inc();
        }
    }

    /// Asks for the settings alone.
    pub(super) async fn look_up(&self, target: &Target) -> Result<Told, RefreshError> {
        let wanted = &target.wanted;
        let (project, instance) = (wanted.project(), wanted.instance());
        let authority = self.authority.load_full();
        authority.bind(&self.key);
        let settings = authority.connect_settings(project, instance).await?;
        Told::new(wanted, &settings)
    }

    pub(super) async fn fetch(&self, number: u64, target: &Target) -> Outcome {
        let wanted = &target.wanted;
        let (project, instance) = (wanted.project(), wanted.instance());
        let authority = self.authority.load_full();
        // Before the two calls begin, so that they share one token.
        authority.bind(&self.key);
        let both = async {
            tokio::try_join!(
                authority.connect_settings(project, instance),
                authority.generate_ephemeral_cert(project, instance, &self.key),
            )
        };
        let (settings, certificate) = match tokio::time::timeout(TIMEOUT, both).await {
            Ok(answers) => answers?,
            Err(_) => return Err(too_late(&authority).into()),
        };
        let parts = Parts {
            wanted,
            cut: &target.cut,
            route: self.route,
            settings,
            certificate,
            key: &self.key,
            clock: authority.clock(),
            number,
        };
        parts.join()
    }
}

fn too_late(authority: &Authority) -> AuthorityError {
    AuthorityError {
        endpoint: authority.endpoint().to_owned(),
        failure: Failure::Timeout,
        skew: authority.skew(),
    }
}
