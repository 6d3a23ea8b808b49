//! From prepared listeners to the last session: enrol, accept, drain.

mod background;

use std::sync::Arc;
use std::time::Duration;

use daemon::environment::Environment;
use daemon::shutdown::Shutdown;
use proto::mysql::RsaKey;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use transport::accept::{Crew, Listener, accept_loop};
use transport::authority::{Authority, AuthoritySettings, Credentials};
use transport::socket::Proxies;
use transport::tls::{PrivateKey, TlsServer};

use crate::config::{Certificates, Config};
use crate::direct::{self, Direct};
use crate::enrolment::{self, Ca};
use crate::error::ServeError;
use crate::limits::Limits;
use crate::material::{Files, Instance, Served};
use crate::metrics::Metrics;
use crate::prepare::Prepared;
use crate::session::{self, Agent, Refusals};
use background::Background;

/// How long sessions that are cut may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Serves until told to stop. Says whether all sessions ended by themselves.
///
/// # Errors
/// [`ServeError`] when it cannot begin; once it serves, nothing but `shutdown` ends it.
pub async fn serve(
    config: Config,
    prepared: Prepared,
    shutdown: Shutdown,
) -> Result<bool, ServeError> {
    let listener = Listener::from_std(prepared.tunnels)
        .map_err(|error| setup("the listener", error.to_string()))?
        .with_user_timeout(config.user_timeout);
    let ca = ca(prepared.credentials, prepared.root_pem, prepared.key)?;
    let (direct, files) = prepared.instances.into_iter().unzip();
    let background = Background::default();
    let mut agent = agent(&config, &ca, files, prepared.rsa_key, &shutdown)?;
    agent.traces = background.traces(config.traces.as_ref())?;
    let agent = Arc::new(agent);
    let direct = directs(&agent, direct, config.user_timeout)?;

    enrolment::start(
        &agent.served,
        &ca,
        &agent.metrics,
        &background.stop,
        &background.tasks,
    );
    if let Some(http) = prepared.http {
        background.answer_probes(http, &agent)?;
    }
    info!(
        address = listener.local(),
        instances = config.instances.len(),
        "listening"
    );
    background.tell_the_service_manager(&agent);
    let sessions = Crew::on_all_cores().map_err(|error| setup("threads", error.to_string()))?;
    for (listener, direct) in direct {
        let handshakes = config.ceilings.handshakes;
        background.tasks.spawn(accept_direct(
            listener,
            direct,
            handshakes,
            sessions.clone(),
        ));
    }
    accept(listener, &agent, config.ceilings.handshakes, &sessions).await;
    daemon::notify::stopping();
    let drained = drain(&sessions, &agent, config.drain, &shutdown.now).await;
    background.end().await;
    Ok(drained)
}

fn setup(what: &'static str, problem: String) -> ServeError {
    ServeError::Setup { what, problem }
}

/// The CA that the key file names.
fn ca(
    credentials: Credentials,
    root_pem: Option<String>,
    key: PrivateKey,
) -> Result<Ca, ServeError> {
    let project = credentials.project().unwrap_or_default().to_owned();
    let environment = Environment::of_process();
    let proxies = Proxies::read(|name| environment.get(name)).map_err(|wrong| {
        let told = wrong
            .iter()
            .map(|(name, problem)| format!("{name} {problem}"));
        setup("the proxy to the CA", told.collect::<Vec<_>>().join("; "))
    })?;
    let authority = Authority::new(AuthoritySettings {
        endpoint: None,
        root_pem,
        credentials,
        user_agent: format!("cloudsql-proxy-server/{}", env!("CARGO_PKG_VERSION")),
        quota_project: None,
        proxies,
        clock: daemon::clock::system(),
    })
    .map_err(|error| setup("the CA's API", error.to_string()))?;
    Ok(Ca {
        authority: Arc::new(authority),
        project,
        key: Arc::new(key),
    })
}

/// What sessions share. Certificates are judged by the CA's time, as well as it is known.
fn agent(
    config: &Config,
    ca: &Ca,
    files: Vec<Files>,
    rsa_key: Option<RsaKey>,
    shutdown: &Shutdown,
) -> Result<Agent, ServeError> {
    let instances = config.instances.iter().cloned().zip(files);
    let user_timeout = config.user_timeout;
    let served = Arc::new(Served {
        instances: instances
            .map(|(instance, files)| {
                let age = config.policy_max_age;
                Arc::new(Instance::new(instance, files, age, user_timeout))
            })
            .collect(),
        clock: ca.authority.clock(),
    });
    let tls = TlsServer::new(Arc::clone(&served) as _, ca.authority.clock())
        .map_err(|error| setup("TLS", error.to_string()))?;
    Ok(Agent {
        served,
        tls,
        limits: Limits::new(config.ceilings),
        tunnel_limits: config.tunnel_limits,
        deadlines: config.deadlines,
        rsa_key,
        metrics: Arc::new(Metrics::new()),
        refusals: Refusals::default(),
        traces: None,
        drain: shutdown.drain.clone(),
        cut: CancellationToken::new(),
    })
}

/// Connections beyond the bound on handshakes that wait to make room: the tasks that are sent away end soon, not at once.
const LEAVING: usize = 1024;

fn hard_bound(handshakes: usize) -> Arc<Semaphore> {
    let most = handshakes.saturating_add(LEAVING);
    Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)))
}

/// Accepts until the drain begins.
async fn accept(listener: Listener, agent: &Arc<Agent>, handshakes: usize, sessions: &Crew) {
    let permits = hard_bound(handshakes);
    accept_loop(
        listener,
        permits,
        agent.drain.clone(),
        sessions,
        |socket, peer, permit| {
            session::run(Arc::clone(agent), socket, (peer, Instant::now()), permit)
        },
        |_socket, _peer| {
            // Nobody knows who it is: it is not worth a handshake, nor a word.
            agent.metrics.stranger("limit");
            std::future::ready(())
        },
    )
    .await;
}

/// The listeners for MySQL clients, each with its instance.
fn directs(
    agent: &Arc<Agent>,
    listeners: Vec<Option<std::net::TcpListener>>,
    user_timeout: Option<Duration>,
) -> Result<Vec<(Listener, Direct)>, ServeError> {
    let mut directs = Vec::new();
    for (listener, instance) in listeners.into_iter().zip(&agent.served.instances) {
        let (Some(listener), Some(config)) = (listener, &instance.direct) else {
            continue;
        };
        let listener = Listener::from_std(listener)
            .map_err(|error| setup("the direct listener", error.to_string()))?
            .with_user_timeout(user_timeout);
        let certificates = config.certificates != Certificates::Off;
        info!(
            address = listener.local(),
            instance = %instance.wanted,
            certificates,
            "listening for MySQL clients"
        );
        if !certificates && !config.listen.ip().is_loopback() {
            warn!(
                address = listener.local(),
                "MySQL clients are not identified: only the database's own passwords protect it; \
                say --mysql-listen-client-certificate required to let in whom the CA has granted access"
            );
        }
        let direct = Direct {
            agent: Arc::clone(agent),
            instance: Arc::clone(instance),
            config: config.clone(),
            logins: Arc::new(Semaphore::new(config.max_logins)),
        };
        directs.push((listener, direct));
    }
    Ok(directs)
}

/// Accepts MySQL clients until the drain begins.
async fn accept_direct(listener: Listener, direct: Direct, handshakes: usize, sessions: Crew) {
    let permits = hard_bound(handshakes);
    let agent = &direct.agent;
    accept_loop(
        listener,
        permits,
        agent.drain.clone(),
        &sessions,
        |socket, peer, permit| direct::run(direct.clone(), socket, (peer, Instant::now()), permit),
        |_socket, _peer| {
            agent.metrics.stranger("limit");
            std::future::ready(())
        },
    )
    .await;
}

/// Waits for the sessions, for a while; then cuts them.
async fn drain(
    sessions: &Crew,
    agent: &Agent,
    patience: Duration,
    now: &CancellationToken,
) -> bool {
    sessions.close();
    let drained = tokio::select! {
        biased;
        () = sessions.wait() => true,
        () = now.cancelled() => false,
        () = tokio::time::sleep(patience) => false,
    };
    if !drained {
        warn!(open = sessions.len(), "sessions are cut");
        agent.cut.cancel();
        if tokio::time::timeout(GOODBYE, sessions.wait())
            .await
            .is_err()
        {
            warn!(open = sessions.len(), "sessions did not end in time");
        }
    }
    drained
}
