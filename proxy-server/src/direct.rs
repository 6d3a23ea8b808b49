//! Sessions of MySQL clients that come without cloudsql-proxy, by TLS of their own.
//!
//! Nobody has authenticated when the database must greet: MySQL speaks first. So what a stranger can cost is bounded: it
//! must be there still after [`GRACE`], logins in progress have a ceiling of their own, and a short deadline.

mod gate;
mod refuse;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::frame::Transport;
use proto::mysql::LoginOptions;
use proto::{Code, Engine, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;
use transport::socket::{Peer, Socket};
use transport::tunnel::Ended;

use crate::admission;
use crate::config::{Certificates, DirectConfig};
use crate::error::SessionError;
use crate::legs::Leg;
use crate::limits::too_many;
use crate::login::{Gate, Rules};
use crate::material::Instance;
use crate::metrics::Via;
use crate::refuse::say_and_close;
use crate::session::{Agent, Record, converse, draining};
use gate::Door;

/// How long a client must stay before the database is dialled for it. Port scans connect and close, and each one that
/// reached the database would count there as an aborted connection.
const GRACE: Duration = Duration::from_millis(5);

/// The listener of one instance.
#[derive(Clone)]
pub(crate) struct Direct {
    /// What sessions share.
    pub(crate) agent: Arc<Agent>,
    /// What it is for.
    pub(crate) instance: Arc<Instance>,
    /// How it is set.
    pub(crate) config: DirectConfig,
    /// Room for logins in progress.
    pub(crate) logins: Arc<Semaphore>,
}

/// One connection, from accept to close. `handshake` is room among the unauthenticated.
pub(crate) async fn run(
    direct: Direct,
    mut socket: Socket,
    (peer, accepted): (Peer, Instant),
    handshake: OwnedSemaphorePermit,
) {
    let accept = accepted.elapsed();
    let agent = &direct.agent;
    if has_left(&socket, GRACE).await {
        agent.metrics.stranger("left");
        return;
    }
    let record = Record::direct(&direct.instance.wanted, peer, agent.traces.as_ref());
    record.legs.took(Leg::Accept, accept);
    let span = record.span();
    let _open = agent.metrics.opened(Via::Direct);
    let whole = async {
        match session(&direct, &mut socket, &record, handshake).await {
            Ok(ended) => record.ended(&agent.metrics, &ended),
            Err(error) => {
                record.refused(&agent.metrics, &agent.refusals, &error);
                last_words(&direct, &mut socket, &error).await;
            }
        }
    };
    whole.instrument(span).await;
}

/// The story of a session.
async fn session(
    direct: &Direct,
    socket: &mut Socket,
    record: &Record,
    handshake: OwnedSemaphorePermit,
) -> Result<Ended, SessionError> {
    let agent = &direct.agent;
    let peer = record.peer().addr;
    let address = peer.map(|addr| addr.ip());
    let source = agent.limits.handshake(Via::Direct, address);
    let source = source.ok_or_else(|| agent.limits.crowded())?;
    let gone = source.gone.clone();
    let room = (handshake, source);
    let session = opened(direct, socket, record, room);
    // Its room is given back, and no newer client's any more, once it has logged in.
    let ended = gone.run_until_cancelled(session).await;
    ended.unwrap_or(Err(SessionError::Crowded))
}

/// The rest of it, which ends early where a newer client needs the room before the login.
async fn opened<R>(
    direct: &Direct,
    socket: &mut Socket,
    record: &Record,
    unauthenticated: R,
) -> Result<Ended, SessionError> {
    let agent = &direct.agent;
    let within = |limit| Instant::now() + limit;
    let peer = record.peer().addr;
    let login = turn(direct).await?;
    if has_left(socket, Duration::ZERO).await {
        return Err(SessionError::Left);
    }
    agent.served.freshen(within(agent.deadlines.tls)).await;
    let begun = Instant::now();
    admit(direct)?;
    let _permit = agent.limits.anonymous()?;
    record.legs.since(Leg::Policy, begun);
    let begun = Instant::now();
    let mut database = dial(direct, peer).await?;
    record.legs.since(Leg::Database, begun);
    let door = Door::new(direct, record);
    let rules = rules(direct, &door);
    let ends = (&mut *socket, &mut database);
    let room = (unauthenticated, login);
    let time = agent.deadlines.direct_login;
    converse(agent, record, rules, room, ends, time).await
}

async fn dial(direct: &Direct, peer: Option<SocketAddr>) -> Result<Socket, SessionError> {
    let deadline = Instant::now() + direct.agent.deadlines.dial;
    Ok(direct.instance.backend.dial(peer, deadline).await?)
}

fn rules<'r>(direct: &'r Direct, door: &'r Door<'_>) -> Rules<'r> {
    let Direct {
        agent,
        instance,
        config,
        ..
    } = direct;
    let asks = config.certificates != Certificates::Off;
    Rules {
        engine: Engine::Mysql,
        options: LoginOptions {
            application: Transport::Tcp,
            database: instance.backend.place.leg(),
            rsa_key: agent.rsa_key.clone(),
            allowed_users: vec![],
            allowed_schemas: vec![],
            inner_tls: config.tls,
        },
        tls_for_mariadb: None,
        tls: instance.direct_tls(config.certificates, &agent.served.clock),
        gate: asks.then_some(door as &dyn Gate),
        database_tls: instance.backend.tls.as_ref(),
        version: &instance.version,
    }
}

/// Whether anybody may come in now.
fn admit(direct: &Direct) -> Result<(), Refusal> {
    let Direct {
        agent, instance, ..
    } = direct;
    if agent.drain.is_cancelled() {
        return Err(draining());
    }
    let snapshot = instance.snapshot();
    let now = (agent.served.clock)();
    let engine = admission::open(instance.standing(&snapshot, now), now)?;
    if engine == Engine::Mysql {
        return Ok(());
    }
    Err(Refusal::new(
        Code::Settings,
        format!("this port is for MySQL, and the instance speaks {engine}"),
        "reach it through cloudsql-proxy",
    ))
}

/// Room among the logins in progress. A pool that opens its connections at once waits its turn; waiting costs the
/// database nothing.
async fn turn(direct: &Direct) -> Result<OwnedSemaphorePermit, Refusal> {
    let waiting = Arc::clone(&direct.logins).acquire_owned();
    match timeout(direct.agent.deadlines.turn, waiting).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(too_many(
            "too many clients are logging in at once",
            "--mysql-listen-max-logins",
            direct.config.max_logins,
        )),
    }
}

/// Whether the client has gone, or goes within the grace.
async fn has_left(socket: &Socket, grace: Duration) -> bool {
    let Socket::Tcp(stream) = socket else {
        return false;
    };
    // A client has nothing to say before the greeting: what can be seen is its end.
    matches!(
        timeout(grace, stream.peek(&mut [0])).await,
        Ok(Ok(0) | Err(_))
    )
}

/// What the client has not been told yet, behind a greeting of our own where the database has not greeted.
async fn last_words(direct: &Direct, socket: &mut Socket, error: &SessionError) {
    match (error, error.refusal()) {
        (SessionError::Login(error), refusal) if error.is_before_greeting() => {
            if let Some(refusal) = refusal {
                refuse::refuse(direct, socket, &refusal).await;
            }
        }
        (SessionError::Login(error), _) => say_and_close(socket, error.farewell()).await,
        (_, Some(refusal)) => refuse::refuse(direct, socket, &refusal).await,
        (_, None) => {}
    }
}
