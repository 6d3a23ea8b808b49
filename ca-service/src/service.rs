//! Puts the service together from what the data directory holds, and looks after it while it runs.

use std::sync::Arc;
use std::time::Duration;

use daemon::log::LogThrottle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::authn::{self, AccessTokens, Authenticator};
use crate::budget::{Bounds, Budget};
use crate::clock::{Clock, Seconds};
use crate::error::Result;
use crate::http::App;
use crate::https::Https;
use crate::issuer::{Issuer, Lifetimes, Purpose};
use crate::limits::{Limits, Rates};
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::registry::Registry;
use crate::serve::Config;
use crate::store::Store;
use crate::vault::Vault;

/// How often the store is asked whether an administrator has changed something.
const POLL: Duration = Duration::from_millis(200);
/// How often what has expired is thrown away.
const HOUSEKEEPING: Duration = Duration::from_secs(30);
/// How often the operator's certificate is looked at.
const CERTIFICATE: Duration = Duration::from_secs(1);

/// Age at which the making of a certificate is taken as cut short; no request lasts that long.
const ABANDONED: Seconds = 60;
/// Bytes of request bodies in flight.
const BODIES: Bounds = Bounds {
    total: 32 << 20,
    each: 2 << 20,
};
/// Long polls in flight.
const POLLS: Bounds = Bounds {
    total: 16_384,
    each: 1024,
};

/// What an operator decides about the service itself.
#[derive(Clone, Copy)]
pub(crate) struct Policy {
    /// How long certificates live.
    pub(crate) lifetimes: Lifetimes,
    /// How far clocks may differ.
    pub(crate) leeway: Seconds,
    /// How many requests are served.
    pub(crate) rates: Rates,
}

/// The service, ready to answer requests.
pub(crate) struct Service {
    /// What handlers ask.
    pub(crate) app: Arc<App>,
    /// What the HTTPS listener shows.
    pub(crate) https: Arc<Https>,
    revision: watch::Sender<u64>,
}

impl Service {
    /// Opens the store and the keys; fails before anything listens if they cannot be used.
    pub(crate) async fn open(
        config: &Config,
        clock: Clock,
        stopping: CancellationToken,
    ) -> Result<Self> {
        let policy = &config.policy;
        let vault = Arc::new(Vault::open(&config.data)?);
        let store = Arc::new(Store::open_complete(&config.store).await?);
        let registry = Registry::new(Arc::clone(&store), clock.clone(), "cloudsql-ca".to_owned());
        let profile = registry.profile().await?;
        let tokens = AccessTokens::open_key(&store, &vault, &profile).await?;
        let https = Https::start(
            registry.clone(),
            Arc::clone(&vault),
            clock.clone(),
            config.certificate.as_ref(),
        )
        .await?;
        let issuer = Issuer::new(
            Arc::clone(&store),
            Arc::clone(&vault),
            clock,
            policy.lifetimes,
        );
        let now = registry.now();
        let (revision, changes) = watch::channel(store.revision().await?);
        let app = App {
            authn: Authenticator::new(registry.clone(), tokens, policy.leeway),
            registry,
            issuer,
            limits: Limits::new(&policy.rates),
            bodies: Budget::new("address", BODIES),
            polls: Budget::new("service account", POLLS),
            metrics: Metrics::new(),
            readiness: Readiness::new(now),
            failures: LogThrottle::default(),
            is_plain_http: config.insecure_http,
            revision: changes,
            stopping,
        };
        report(&app).await?;
        Ok(Self {
            app: Arc::new(app),
            https: Arc::new(https),
            revision,
        })
    }

    /// How many agents wait for a change.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.revision.receiver_count() - 1
    }

    /// Looks after the service until it stops.
    pub(crate) async fn look_after(&self) {
        let mut poll = tokio::time::interval(POLL);
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        let mut certificate = tokio::time::interval(CERTIFICATE);
        let (failures, mut is_reported) = (LogThrottle::default(), false);
        loop {
            let done = tokio::select! {
                () = self.app.stopping.cancelled() => return,
                _ = poll.tick() => self.poll().await,
                _ = housekeeping.tick() => self.housekeep().await,
                _ = certificate.tick() => {
                    self.reload_certificate().await;
                    continue;
                }
            };
            match done {
                Ok(()) => {
                    if std::mem::take(&mut is_reported) {
                        info!("the store can be used again");
                    }
                }
                Err(error) => {
                    if let Some(suppressed) = failures.due(error.kind()) {
                        is_reported = true;
                        let error = error.chain();
                        error!(error, suppressed, "the store cannot be used; requests fail");
                    }
                }
            }
        }
    }

    async fn poll(&self) -> Result<()> {
        let store = self.app.registry.store();
        store.restore().await?;
        let revision = store.revision().await?;
        let changed = |known: &mut u64| std::mem::replace(known, revision) != revision;
        if self.revision.send_if_modified(changed) {
            self.https.refresh().await?;
        }
        Ok(())
    }

    /// On a thread of its own: the files may be on a file system that hangs.
    async fn reload_certificate(&self) {
        let https = Arc::clone(&self.https);
        if let Err(error) = tokio::task::spawn_blocking(move || https.reload()).await {
            error!(%error, "the HTTPS certificate could not be looked at");
        }
    }

    async fn housekeep(&self) -> Result<()> {
        self.app.limits.purge();
        // Requests in progress are younger.
        let before = self.app.registry.now() - ABANDONED;
        settle(&self.app, before).await?;
        self.app
            .metrics
            .remembered(authn::purge(&self.app.registry).await?);
        self.https.refresh().await
    }
}

/// Warns of grants from before `grant` refused them: agents refuse their accounts.
async fn warn_of_unenforceable(app: &App) -> Result<()> {
    for instance in app.registry.instances().await? {
        if instance.engine().enforces_narrowing() {
            continue;
        }
        let permissions = app.registry.permissions(&instance).await?;
        for permission in permissions.iter().filter(|one| one.is_narrowed()) {
            warn!(
                instance = %instance.name,
                account = %permission.account,
                database_version = instance.database_version,
                "this grant names database users or schemas, which agents cannot check with this database: \
                they refuse the account; ungrant it, and grant it without --db-user and --schema"
            );
        }
    }
    Ok(())
}

/// Says what an operator should know about: CAs that cannot be used, and certificates whose making was cut short.
async fn report(app: &App) -> Result<()> {
    for instance in app.registry.instances().await? {
        for purpose in [Purpose::Client, Purpose::Server] {
            if let Err(problem) = app.issuer.authority(&instance, purpose).await {
                error!(error = problem.chain(), "an instance cannot be served");
            }
        }
    }
    warn_of_unenforceable(app).await?;
    settle(app, Seconds::MAX).await
}

/// Ends what was begun before that time and has no outcome, once.
async fn settle(app: &App, before: Seconds) -> Result<()> {
    for (serial, instance) in app.issuer.settle(before).await? {
        warn!(
            serial,
            instance, "the making of a certificate was cut short; it was not handed out"
        );
    }
    Ok(())
}
