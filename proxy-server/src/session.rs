//! The life of a session, from an accepted socket to the end of its tunnel.

mod record;
mod spare;
mod strangers;
mod told;

use std::net::SocketAddr;
use std::sync::Arc;

use proto::frame::{Answer, Hello, Transport, VERSION};
use proto::mysql::{LoginOptions, RsaKey};
use proto::{Code, Engine, Refusal};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use transport::handshake::Budget;
use transport::socket::{Peer, Socket};
use transport::tls::{Dialect, TlsPeer, TlsServer};
use transport::traces::Traces;
use transport::tunnel::{self, Ended, reset_on_close};

use crate::admission::{self, Admitted, Asking};
use crate::carry::{self, Bounds};
use crate::config::Deadlines;
use crate::error::SessionError;
use crate::legs::{Leg, Legs};
use crate::limits::Limits;
use crate::login::{self, Duplex, Rules};
use crate::material::{Instance, Served};
use crate::metrics::{Metrics, Via};
use crate::preamble;
use crate::refuse::{Words, say_and_close};
pub(crate) use record::Record;
use spare::Begun;
pub(crate) use strangers::Refusals;

/// What all sessions share.
pub(crate) struct Agent {
    pub(crate) served: Arc<Served>,
    pub(crate) tls: TlsServer,
    pub(crate) limits: Limits,
    pub(crate) tunnel_limits: tunnel::Limits,
    pub(crate) deadlines: Deadlines,
    /// For applications that ask a database on a secure leg for its RSA key.
    pub(crate) rsa_key: Option<RsaKey>,
    pub(crate) metrics: Arc<Metrics>,
    /// Bounds the log lines about refusals.
    pub(crate) refusals: Refusals,
    /// Tells of sessions.
    pub(crate) traces: Option<Traces>,
    /// Nobody new is let in.
    pub(crate) drain: CancellationToken,
    /// Ends all tunnels.
    pub(crate) cut: CancellationToken,
}

/// One connection, from accept to close. `handshake` is room among the unauthenticated.
pub(crate) async fn run(
    agent: Arc<Agent>,
    socket: Socket,
    (peer, accepted): (Peer, Instant),
    handshake: OwnedSemaphorePermit,
) {
    let legs = Legs::default();
    legs.since(Leg::Accept, accepted);
    let begun = Instant::now();
    let address = peer.addr.map(|addr| addr.ip());
    let Some(source) = agent.limits.handshake(Via::Tunnel, address) else {
        agent.metrics.stranger("limit");
        return;
    };
    let deadline = begun + agent.deadlines.tls;
    // Boxes for what is over soon: a session lives for hours, and its opening's memory not longer than that.
    let shaken = Box::pin(source.gone.run_until_cancelled(async {
        agent.served.freshen(deadline).await;
        agent.tls.accept(socket, deadline).await
    }));
    let Some(shaken) = shaken.await else {
        agent.metrics.stranger("crowded");
        return;
    };
    match shaken {
        Ok(mut tls) => {
            source.authenticated();
            legs.since(Leg::Tls, begun);
            let room = Box::new((handshake, source));
            let Some(begun) = Box::pin(spare::wait(&agent, &mut tls, room)).await else {
                return;
            };
            let record = Record::new(&tls, peer, legs, agent.traces.as_ref());
            let span = record.span();
            authenticated(&agent, tls, &record, begun)
                .instrument(span)
                .await;
        }
        Err(error) => strangers::tell(&agent.refusals, &agent.metrics, peer, &error),
    }
}

/// A peer that has proved who it is: it gets a tunnel, or is told why not.
async fn authenticated<R>(agent: &Agent, mut tls: TlsPeer, record: &Record, begun: Begun<R>) {
    let _open = agent.metrics.opened(Via::Tunnel);
    let mut told = Told::new(agent, &tls);
    match tunnel(agent, &mut tls, record, &mut told, begun).await {
        Ok(ended) => record.ended(&agent.metrics, &ended),
        Err(error) => {
            record.refused(&agent.metrics, &agent.refusals, &error);
            Box::pin(say_and_close(&mut tls.stream, &told.last_words(&error))).await;
        }
    }
}

/// The story of a session.
async fn tunnel<R>(
    agent: &Agent,
    tls: &mut TlsPeer,
    record: &Record,
    told: &mut Told,
    begun: Begun<R>,
) -> Result<Ended, SessionError> {
    let within = |limit| Instant::now() + limit;
    let stream = &mut tls.stream;
    let hello = match tls.dialect {
        Dialect::Framed => {
            let deadline = within(agent.deadlines.frame);
            Some(Box::pin(preamble::read(stream, begun.first, deadline)).await?)
        }
        Dialect::Bare => None,
    };
    drop(begun.room);
    record.hello(hello.as_ref());
    let lap = Instant::now();
    let (instance, admitted) = admit(agent, tls, hello.as_ref())?;
    let _permit = agent.limits.session(&tls.identity.account)?;
    let turn = agent.deadlines.turn;
    let login = agent.limits.login(&tls.identity.account, turn).await?;
    record.admitted(&admitted);
    record.legs.since(Leg::Policy, lap);
    let source = source(record.peer(), hello.as_ref());
    let lap = Instant::now();
    let dial_deadline = lap + agent.deadlines.dial;
    let mut database = Box::pin(instance.backend.dial(source, dial_deadline)).await?;
    record.legs.since(Leg::Database, lap);
    let time = agent.deadlines.login;
    let stream = &mut tls.stream;
    told.database_speaks();
    if hello.is_some() {
        let answer = Answer::Ok {
            version: VERSION,
            patience: begun.patience,
        };
        preamble::answer(stream, &answer, within(time.application)).await?;
    }
    let rules = rules(agent, instance, admitted, tls.dialect, hello.as_ref());
    let ends = (stream, &mut database);
    converse(agent, record, rules, login, ends, time).await
}

/// The login, and then bytes both ways: for tunnels and direct sessions alike. `room` is given back between.
///
/// Unless the session ends in order, both connections are reset when they are closed. A refusal is an orderly end.
pub(crate) async fn converse<A, D, R>(
    agent: &Agent,
    record: &Record,
    rules: Rules<'_>,
    room: R,
    (app, db): (&mut A, &mut D),
    mut time: Budget,
) -> Result<Ended, SessionError>
where
    A: Duplex + tunnel::Leg,
    D: Duplex + tunnel::Leg,
{
    reset_on_close(app, db, true);
    let limits = agent.tunnel_limits.of_engine(rules.engine);
    let ended = {
        let ends = (&mut *app, &mut *db);
        let opened = Box::pin(login::run(rules, &record.legs, ends, &mut time)).await;
        agent.metrics.opening(&record.legs);
        // In a box: what a login ends with is moved often, and each place of it would last as long as the session.
        match opened.map(Box::new) {
            Ok(opened) => {
                drop(room);
                record.logged_in(opened.mysql.as_ref().map(|session| &session.logged_in));
                let bounds = Bounds {
                    limits,
                    login: agent.deadlines.login,
                    cut: &agent.cut,
                };
                carry::run(opened, &bounds).await
            }
            Err(error) => Err(error),
        }
    };
    if !matches!(&ended, Ok(ended) if !ended.is_orderly) {
        reset_on_close(app, db, false);
    }
    Ok(ended?)
}

/// Whose connection the database is told it is: the application's where the client names its address. An application on
/// the client's own machine is known there as loopback; here it is known as that machine.
fn source(peer: Peer, hello: Option<&Hello>) -> Option<SocketAddr> {
    let named = hello.and_then(|hello| hello.peer.as_deref()?.parse::<SocketAddr>().ok());
    named
        .filter(|addr| !addr.ip().to_canonical().is_loopback())
        .or(peer.addr)
}

/// Whether the application is on its client's machine: by the client's word, which is as good as that machine.
fn is_beside_its_client(hello: &Hello) -> bool {
    let peer = hello.peer.as_deref().map(str::parse::<SocketAddr>);
    hello.transport == Transport::Unix
        || matches!(peer, Some(Ok(addr)) if addr.ip().to_canonical().is_loopback())
}

/// A bare peer does not say how its application reached it, but what it reached us by is TLS, and the drivers inside
/// Google's connectors that look at their socket see just that.
fn rules<'r>(
    agent: &Agent,
    instance: &'r Instance,
    admitted: Admitted,
    dialect: Dialect,
    hello: Option<&Hello>,
) -> Rules<'r> {
    Rules {
        engine: admitted.engine,
        options: LoginOptions {
            application: hello.map_or(Transport::Tls, |hello| hello.transport),
            database: instance.backend.place.leg(),
            rsa_key: agent.rsa_key.clone(),
            allowed_users: admitted.grant.db_users,
            allowed_schemas: admitted.grant.schemas,
            inner_tls: instance.inner_tls(dialect),
        },
        tls: instance.local_tls(),
        tls_for_mariadb: hello
            .filter(|hello| is_beside_its_client(hello))
            .and_then(|_| instance.lone_tls()),
        gate: None,
        database_tls: instance.backend.tls.as_ref(),
        version: &instance.version,
    }
}

fn admit<'a>(
    agent: &'a Agent,
    tls: &TlsPeer,
    hello: Option<&Hello>,
) -> Result<(&'a Instance, Admitted), Refusal> {
    if agent.drain.is_cancelled() {
        return Err(draining());
    }
    let now = (agent.served.clock)();
    let instance = agent.served.find(&tls.identity.instance);
    let snapshot = instance.map(|instance| instance.snapshot());
    let standing = instance
        .zip(snapshot.as_ref())
        .and_then(|(instance, snapshot)| instance.standing(snapshot, now));
    let asking = Asking {
        identity: &tls.identity,
        not_after: tls.not_after,
        hello,
    };
    let admitted = admission::decide(asking, standing, now)?;
    let instance = instance.ok_or_else(|| admission::not_served(&tls.identity.instance))?;
    instance.backend.check(admitted.engine)?;
    Ok((instance, admitted))
}

/// What new sessions are told once the agent has been asked to stop.
pub(crate) fn draining() -> Refusal {
    Refusal::new(
        Code::Draining,
        "the agent is stopping",
        "connect again: to another agent, or to this one when it is back",
    )
}

/// What the peer has been told so far, which decides how it can be told more.
struct Told {
    words: Words,
    database_speaks: bool,
}

impl Told {
    fn new(agent: &Agent, tls: &TlsPeer) -> Self {
        let words = match tls.dialect {
            Dialect::Framed => Words::Framed,
            Dialect::Bare => {
                let instance = agent.served.find(&tls.identity.instance);
                let snapshot = instance.map(|instance| instance.snapshot());
                let access = snapshot
                    .as_ref()
                    .and_then(|snapshot| snapshot.access.as_ref());
                Words::Bare(access.map_or(Engine::Mysql, |access| access.policy.engine))
            }
        };
        Self {
            words,
            database_speaks: false,
        }
    }

    /// From here on only the login machine knows what can be said.
    const fn database_speaks(&mut self) {
        self.database_speaks = true;
    }

    fn last_words(&self, error: &SessionError) -> Vec<u8> {
        match (error, error.refusal()) {
            (SessionError::Login(error), _) => error.farewell().to_vec(),
            (_, Some(refusal)) if !self.database_speaks => self.words.of(&refusal),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
