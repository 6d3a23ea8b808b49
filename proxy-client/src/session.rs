//! The life of a session: from an application's connection to the last byte.

mod openings;
mod refuse;
mod stranger;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use daemon::log::{LogThrottle, SESSION};
use proto::frame::{Hello, Transport, VERSION};
use proto::{Code, Engine, Refusal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info, info_span, warn};
use transport::error::chain;
use transport::socket::{Peer, Socket};
use transport::tls::Alert;
use transport::traces::Traces;
use transport::tunnel::{self, Ended, Limits, reset_on_close};

use crate::config::{Bounds, InstanceConfig, Wanted};
use crate::connector::{Connector, Tunnel};
use crate::error::SessionError;
use crate::legs::{Legs, millis};
use crate::metrics::InstanceMetrics;
use crate::sessions::{Entry, Sessions};
use openings::Openings;
use refuse::Repeats;
pub use stranger::turn_away;
use trace::Told;

/// One instance as sessions see it.
pub struct Served {
    /// What was asked for.
    pub config: InstanceConfig,
    /// Opens its tunnels.
    pub connector: Arc<Connector>,
    /// From an application's connection to the database's first word.
    pub dial_timeout: Duration,
    /// Counts sessions.
    pub metrics: InstanceMetrics,
    /// Shows them.
    pub sessions: Sessions,
    /// Ends sessions.
    pub cut: CancellationToken,
    /// Bounds them.
    pub bounds: Bounds,
    /// Tells of them.
    pub traces: Option<Traces>,
    repeats: Repeats,
    openings: Openings,
    left_early: LogThrottle<()>,
}

impl Served {
    /// An instance without a session yet.
    pub fn new(
        config: InstanceConfig,
        connector: Connector,
        dial_timeout: Duration,
        metrics: InstanceMetrics,
        sessions: Sessions,
        cut: CancellationToken,
    ) -> Self {
        Self {
            config,
            connector: Arc::new(connector),
            dial_timeout,
            metrics,
            sessions,
            cut,
            bounds: Bounds::default(),
            traces: None,
            repeats: Repeats::default(),
            openings: Openings::default(),
            left_early: LogThrottle::default(),
        }
    }

    /// What people call it: the full name once it is known. A domain stays what it is, wherever it leads.
    pub fn label(&self) -> String {
        match (&self.config.wanted, self.connector.refresher.told()) {
            (Wanted::Full(_) | Wanted::Short { .. }, Some(told)) => told.name.to_string(),
            (wanted, _) => wanted.to_string(),
        }
    }

    /// What the database speaks, as far as it is known: MySQL until the CA has told.
    pub fn engine(&self) -> Engine {
        let told = self.connector.refresher.told();
        told.map_or(Engine::Mysql, |told| told.engine)
    }
}

/// Lives one session of an application that was accepted then.
pub async fn run(mut app: Socket, (peer, accepted): (Peer, Instant), served: Arc<Served>) {
    let accept = accepted.elapsed();
    let id = session_id();
    let span = info_span!("session", id, instance = served.label(), %peer);
    let life = async {
        served.metrics.open.inc();
        let entry = served
            .sessions
            .begin(id.clone(), served.label(), peer.to_string());
        let deadline = Instant::now() + served.dial_timeout;
        let mut told = Told::of(&served, &id, peer, accepted);
        let hello = hello(id.clone(), &app, peer);
        // In a box of its own: a session lives for hours, and its opening's memory not longer than that.
        match Box::pin(openings::open((&app, peer), hello, deadline, &served)).await {
            Some(Ok(mut tunnel)) => {
                tunnel.legs.accept = accept;
                told.opened(&tunnel.legs);
                let ended = copy(&mut app, tunnel, &entry, &served).await;
                told.ended(&ended);
            }
            Some(Err(error)) => {
                told.refused(&error.refusal());
                Box::pin(refused(&mut app, &error, &served)).await;
            }
            None => openings::abandoned(&served),
        }
        served.metrics.open.dec();
        told.tell(&served);
    };
    life.instrument(span).await;
}

/// Over the limit: says so in the application's protocol.
pub async fn over_limit(mut app: Socket, most: usize, served: Arc<Served>) {
    let reason = format!("Too many connections: this proxy allows {most}");
    let hint = "wait for one to end, or raise --max-connections";
    let refusal = Refusal::new(Code::Limit, reason, hint);
    served.metrics.refused(Code::Limit);
    refuse::tell(&mut app, &refusal, served.engine()).await;
}

/// The program is stopping: says so in the application's protocol.
pub async fn draining(mut app: Socket, served: Arc<Served>) {
    let hint = "connect again in a moment, or to another replica";
    let refusal = Refusal::new(Code::Draining, "this proxy is stopping", hint);
    served.metrics.refused(Code::Draining);
    refuse::tell(&mut app, &refusal, served.engine()).await;
}

async fn copy(app: &mut Socket, mut tunnel: Tunnel, entry: &Entry, served: &Served) -> Ended {
    let begun = Instant::now();
    entry.connected(&tunnel.legs);
    served.metrics.dialled(&tunnel.legs);
    let ended = relay(app, &mut tunnel, entry, served).await;
    count(&served.metrics, &ended);
    let (engine, was_ready) = (tunnel.info.engine, tunnel.was_ready);
    let Legs {
        accept,
        certificate,
        tcp,
        tls,
        opening,
    } = tunnel.legs;
    if let Some(alert) = refused_late(&ended) {
        Box::pin(refused(app, &SessionError::Alert(alert), served)).await;
        return ended;
    }
    info!(
        target: SESSION,
        engine = %engine,
        bytes_up = ended.up,
        bytes_down = ended.down,
        duration_ms = millis(begun.elapsed()),
        accept_ms = millis(accept),
        certificate_ms = millis(certificate),
        tcp_ms = millis(tcp),
        tls_ms = millis(tls),
        opening_ms = millis(opening),
        was_ready,
        ended_by = ended.by.as_str(),
        error = ended.error.as_ref().map(|error| chain(error)),
        "session ended"
    );
    ended
}

/// Copies bytes both ways. Unless they end in order, both connections are reset when they are closed.
async fn relay(app: &mut Socket, tunnel: &mut Tunnel, entry: &Entry, served: &Served) -> Ended {
    let limits = Limits {
        linger: served.bounds.half_close,
        ..Limits::default()
    };
    let limits = limits.of_engine(tunnel.info.engine);
    reset_on_close(app, &tunnel.stream, true);
    let mut counted = entry.counted(app);
    let rest = std::mem::take(&mut tunnel.rest);
    let (stream, cut) = (&mut tunnel.stream, &tunnel.info.cut);
    let ended = tunnel::copy(&mut counted, stream, rest, &limits, cut).await;
    if ended.is_orderly || refused_late(&ended).is_some() {
        reset_on_close(app, &tunnel.stream, false);
    }
    ended
}

/// The alert of a refused certificate. PostgreSQL's clients speak first, so in the bare dialect it shows only here.
fn refused_late(ended: &Ended) -> Option<Alert> {
    let error = ended.error.as_ref().filter(|_| ended.down == 0)?;
    Alert::of(error)
}

async fn refused(app: &mut Socket, error: &SessionError, served: &Served) {
    let refusal = error.refusal();
    served.metrics.refused(refusal.code);
    let worth_telling = match error {
        // The attempt that failed has told it for all who waited.
        SessionError::Refresh(_) => served.repeats.is_worth_telling_again(&refusal),
        _ => served.repeats.is_worth_telling(&refusal),
    };
    if let Some(repeated) = worth_telling {
        warn!(
            target: SESSION,
            code = %refusal.code,
            reason = refusal.reason,
            hint = refusal.hint,
            error_kind = error.kind(),
            error_blame = error.blame().as_str(),
            repeated,
            "session refused"
        );
    }
    refuse::tell(app, &refusal, served.engine()).await;
}

fn count(metrics: &InstanceMetrics, ended: &Ended) {
    metrics.closed(ended.by);
    metrics
        .sent
        .inc_by(i64::try_from(ended.up).unwrap_or(i64::MAX));
    metrics
        .received
        .inc_by(i64::try_from(ended.down).unwrap_or(i64::MAX));
}

fn hello(session_id: String, app: &Socket, peer: Peer) -> Hello {
    Hello {
        version: VERSION,
        capabilities: Vec::new(),
        session_id,
        // The connector fills it in: a short name is completed by then.
        instance: String::new(),
        transport: match app {
            Socket::Tcp(_) => Transport::Tcp,
            Socket::Unix(_) => Transport::Unix,
        },
        peer: peer.addr.map(|addr| addr.to_string()),
        uid: peer.uid,
        client: concat!("cloudsql-proxy/", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}

/// Sixteen hexadecimal digits: names a session in both programs' logs, proves nothing.
pub fn session_id() -> String {
    let mut bytes = [0; 8];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        debug!("no randomness for a session's name");
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
