//! What all instances have in common, and how one of them is made from it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use daemon::clock::Clock;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::authority::{Authority, AuthorityError, AuthoritySettings};
use transport::socket::Proxies;
use transport::tls::PrivateKey;
use transport::traces::{TraceSettings, Traces, TracesError};

use super::StartError;
use crate::config::{AuthorityConfig, Bounds, Failover, InstanceConfig, Keys, TraceConfig, Wanted};
use crate::connector::{Connector, Reach, Spares};
use crate::error::RefreshError;
use crate::metrics::{InstanceMetrics, Metrics};
use crate::refresh::{Refresher, Source, Told, resolve};
use crate::session::{self, Served};
use crate::sessions::Sessions;

/// What all instances have in common.
pub(crate) struct Shared {
    pub(crate) authority: Arc<ArcSwap<Authority>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sessions: Sessions,
    key: PrivateKey,
    proxies: Proxies,
    dial_timeout: Duration,
    bounds: Bounds,
    /// How many tunnels of each instance are kept ready, and until when.
    spares: (usize, CancellationToken),
    failover: Failover,
    traces: Option<Traces>,
}

impl Shared {
    /// Speaks to nobody yet.
    pub(crate) fn new(
        authority: AuthorityConfig,
        keys: Keys,
        dial_timeout: Duration,
        metrics_namespace: Option<&str>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let key = match keys {
            Keys::P256 => PrivateKey::generate_p256(),
            Keys::Rsa => PrivateKey::generate_rsa2048(),
        }?;
        Ok(Self {
            proxies: authority.proxies.clone(),
            authority: Arc::new(ArcSwap::from_pointee(connect_to(authority, clock)?)),
            metrics: Arc::new(Metrics::new(session::session_id(), metrics_namespace)),
            sessions: Sessions::default(),
            key,
            dial_timeout,
            bounds: Bounds::default(),
            spares: (0, CancellationToken::new()),
            failover: Failover::default(),
            traces: None,
        })
    }

    /// Bounds sessions.
    pub(crate) fn bound(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Has tunnels kept ready, at most so many of each instance, until then.
    pub(crate) fn keep_ready(&mut self, most: usize, ended: CancellationToken) {
        self.spares = (most, ended);
    }

    fn spares(&self, metrics: &InstanceMetrics, tasks: &TaskTracker) -> Spares {
        let (most, ended) = &self.spares;
        Spares::new(*most, ended, tasks.clone(), metrics.clone())
    }

    /// Looks domains up as the settings say.
    pub(crate) fn follow(&mut self, failover: Failover) {
        self.failover = failover;
    }

    /// Tells of sessions, until their end.
    pub(super) fn trace(
        &mut self,
        config: &TraceConfig,
        tasks: &TaskTracker,
        last: &CancellationToken,
        clock: &Clock,
    ) -> Result<(), TracesError> {
        let settings = TraceSettings {
            endpoint: config.endpoint.clone(),
            one_in: config.one_in,
            program: "cloudsql-proxy",
            version: env!("CARGO_PKG_VERSION"),
            clock: Arc::clone(clock),
        };
        self.traces = Some(Traces::start(settings, tasks, last.clone())?);
        Ok(())
    }

    /// An instance as sessions see it.
    pub(crate) fn serve(
        &self,
        config: InstanceConfig,
        tasks: &TaskTracker,
        cut: &CancellationToken,
    ) -> Arc<Served> {
        self.serve_with(config, None, tasks, cut)
    }

    /// The same with settings and certificates that are kept fresh already.
    pub(crate) fn serve_with(
        &self,
        config: InstanceConfig,
        refresher: Option<Arc<Refresher>>,
        tasks: &TaskTracker,
        cut: &CancellationToken,
    ) -> Arc<Served> {
        let metrics = self.metrics.of(&config.wanted.to_string());
        let source = Source {
            authority: Arc::clone(&self.authority),
            key: self.key.clone(),
            wanted: config.wanted.clone(),
            route: config.route,
            metrics: metrics.clone(),
            failover: self.failover.clone(),
            cut: cut.clone(),
        };
        let refresher = refresher.unwrap_or_else(|| Refresher::new(source, tasks.clone()));
        let connector = Connector {
            refresher,
            tunnel_port: config.tunnel_port,
            connect_to: config.connect_to.clone(),
            proxies: self.proxies.clone(),
            tcp: self.bounds.tcp,
            names: self.failover.names.clone(),
            spares: self.spares(&metrics, tasks),
            reach: Reach::default(),
        };
        let mut served = Served::new(
            config,
            connector,
            self.dial_timeout,
            metrics,
            self.sessions.clone(),
            cut.clone(),
        );
        served.bounds = self.bounds;
        served.traces = self.traces.clone();
        Arc::new(served)
    }
}

impl Shared {
    /// What a CA that is not asked otherwise yet tells of an instance.
    pub(super) async fn ask(
        &self,
        authority: &Authority,
        wanted: &Wanted,
    ) -> Result<Told, RefreshError> {
        let deadline = Instant::now() + self.dial_timeout;
        let wanted = resolve(&self.failover.names, wanted, deadline).await?;
        authority.bind(&self.key);
        let settings = authority.connect_settings(wanted.project(), wanted.instance());
        Told::new(&wanted, &settings.await?)
    }
}

/// The CA as the settings describe it; speaks to nobody yet.
pub(super) fn connect_to(
    config: AuthorityConfig,
    clock: Clock,
) -> Result<Authority, AuthorityError> {
    Authority::new(AuthoritySettings {
        endpoint: config.endpoint,
        root_pem: config.root_pem,
        credentials: config.credentials,
        user_agent: config.user_agent,
        quota_project: config.quota_project,
        proxies: config.proxies,
        clock,
    })
}
