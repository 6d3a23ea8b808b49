//! What is logged and counted of a session: one closing line, one warning if it is refused.

use std::sync::OnceLock;

use daemon::log::SESSION;
use proto::Engine;
use proto::frame::Hello;
use proto::mysql::LoggedIn;
use tokio::time::Instant;
use tracing::{Span, info, info_span, warn};
use transport::error::chain;
use transport::socket::Peer;
use transport::tls::{ClientIdentity, Dialect, TlsPeer};
use transport::traces::Traces;
use transport::tunnel::Ended;

use super::strangers::{Refusals, source};
use super::told::Told;
use crate::admission::Admitted;
use crate::config::Wanted;
use crate::error::SessionError;
use crate::legs::{Leg, Legs};
use crate::login::LoginError;
use crate::metrics::{Metrics, Via};

/// Longest session id of a client's that is repeated in our log.
const MAX_ID: usize = 64;

/// One session as it is told at its end.
pub(crate) struct Record {
    /// How long each leg took.
    pub(crate) legs: Legs,
    started: Instant,
    span: Span,
    via: Via,
    peer: Peer,
    instance: String,
    /// The account, once it has authenticated to us.
    account: OnceLock<String>,
    told: Option<Box<Told>>,
}

impl Record {
    /// A session of a client that has not said who it is, and may never do.
    pub(crate) fn direct(instance: &Wanted, peer: Peer, traces: Option<&Traces>) -> Self {
        let id = own_id();
        let told = Told::of(traces, instance, None, peer);
        if let Some(told) = &told {
            told.named(&id, None);
        }
        let span = info_span!(
            "session",
            id,
            instance = %instance,
            principal = tracing::field::Empty,
            serial = tracing::field::Empty,
            peer.addr = %peer,
            dialect = "direct",
            engine = %Engine::Mysql,
            db.user = tracing::field::Empty,
            db.schema = tracing::field::Empty,
            db.connection_id = tracing::field::Empty,
        );
        Self {
            started: Instant::now(),
            span,
            legs: Legs::default(),
            via: Via::Direct,
            peer,
            instance: instance.to_string(),
            account: OnceLock::new(),
            told,
        }
    }

    /// Who is at the other end of the socket.
    pub(crate) const fn peer(&self) -> Peer {
        self.peer
    }

    /// It has said who it is.
    pub(crate) fn identified(&self, client: &ClientIdentity) {
        let account = &client.identity.account;
        self.span
            .record("principal", tracing::field::display(account));
        self.span.record("serial", &client.serial);
        self.account.get_or_init(|| account.to_string());
    }

    pub(super) fn new(tls: &TlsPeer, peer: Peer, legs: Legs, traces: Option<&Traces>) -> Self {
        let identity = &tls.identity;
        let span = info_span!(
            "session",
            id = tracing::field::Empty,
            instance = %tls.identity.instance,
            principal = %tls.identity.account,
            serial = %tls.serial,
            peer.addr = %peer,
            dialect = match tls.dialect {
                Dialect::Framed => "framed",
                Dialect::Bare => "bare",
            },
            engine = tracing::field::Empty,
            db.user = tracing::field::Empty,
            db.schema = tracing::field::Empty,
            db.connection_id = tracing::field::Empty,
        );
        Self {
            started: Instant::now(),
            span,
            legs,
            via: Via::Tunnel,
            peer,
            instance: identity.instance.to_string(),
            account: identity.account.to_string().into(),
            told: Told::of(traces, &identity.instance, Some(&identity.account), peer),
        }
    }

    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The client's id where it sends a decent one, so that both programs' logs can be laid side by side.
    pub(super) fn hello(&self, hello: Option<&Hello>) {
        let decent = |id: &&str| {
            (1..=MAX_ID).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        let id = hello.map(|hello| hello.session_id.as_str()).filter(decent);
        let id = id.map_or_else(own_id, str::to_owned);
        self.span.record("id", &id);
        if let Some(told) = &self.told {
            told.named(&id, hello);
        }
    }

    pub(super) fn admitted(&self, admitted: &Admitted) {
        self.span
            .record("engine", tracing::field::display(admitted.engine));
    }

    pub(crate) fn logged_in(&self, logged_in: Option<&LoggedIn>) {
        let Some(logged_in) = logged_in else {
            return;
        };
        // The user's own words: shown escaped.
        self.span
            .record("db.user", tracing::field::debug(&logged_in.user));
        if let Some(schema) = &logged_in.schema {
            self.span.record("db.schema", tracing::field::debug(schema));
        }
        self.span
            .record("db.connection_id", logged_in.connection_id);
    }

    fn duration_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// There was a tunnel.
    pub(crate) fn ended(&self, metrics: &Metrics, ended: &Ended) {
        self.tell(Ok(ended));
        let by = ended.by.as_str();
        metrics.ended(self.via, by, ended.up, ended.down);
        let millis = |leg| self.legs.millis(leg);
        info!(
            target: SESSION,
            duration_ms = self.duration_ms(),
            accept_ms = millis(Leg::Accept),
            tls_ms = millis(Leg::Tls),
            policy_ms = millis(Leg::Policy),
            database_ms = millis(Leg::Database),
            greeting_ms = millis(Leg::Greeting),
            authentication_ms = millis(Leg::Authentication),
            bytes.up = ended.up,
            bytes.down = ended.down,
            ended_by = by,
            error = ended.error.as_ref().map(tracing::field::display),
            "session ended"
        );
    }

    fn tell(&self, end: Result<&Ended, &SessionError>) {
        if let Some(told) = &self.told {
            told.tell(self.started, &self.legs, end);
        }
    }

    fn count(&self, metrics: &Metrics, error: &SessionError) {
        self.tell(Err(error));
        if let SessionError::Login(LoginError::RefusedByDatabase(number)) = error {
            metrics.refused_by_database(*number);
        }
        let code = error.refusal().map(|refusal| refusal.code);
        metrics.refused(self.via, code, error.kind());
    }

    /// There was none. An application that goes away in the middle, and a database that does not like a password, are
    /// everyday business; the rest the operator may want to know, each kind of it once a minute.
    pub(crate) fn refused(&self, metrics: &Metrics, refusals: &Refusals, error: &SessionError) {
        self.count(metrics, error);
        if let SessionError::Login(LoginError::RefusedByDatabase(number)) = error
            && let Some(hint) = operators_business(*number)
            && let Some(repeated) = refusals.due((hint, self.instance.clone()))
        {
            warn!(
                db.error = number,
                hint, repeated, "the database refuses connections"
            );
        }
        let Some(refusal) = error.refusal() else {
            return self.ended_early(error);
        };
        let code = refusal.code.as_str();
        if let Some(repeated) = refusals.due((code, self.caller(error))) {
            warn!(
                code,
                error.kind = error.kind(),
                error.blame = error.blame().as_str(),
                error = chain(error),
                repeated,
                "session refused"
            );
        }
    }

    fn ended_early(&self, error: &SessionError) {
        info!(
            target: SESSION,
            duration_ms = self.duration_ms(),
            error.kind = error.kind(),
            error.blame = error.blame().as_str(),
            error = chain(error),
            "session ended"
        );
    }

    /// Whom an error met, as the log tells them apart.
    fn caller(&self, error: &SessionError) -> String {
        let instance = &self.instance;
        let kind = error.kind();
        match self.account.get() {
            Some(account) => format!("{account} {instance} {kind}"),
            None => format!("{} {instance} {kind}", source(self.peer)),
        }
    }
}

/// What an error of the database's calls for, where everybody suffers from it and not one user only.
const fn operators_business(number: u16) -> Option<&'static str> {
    match number {
        1040 => {
            Some("raise max_connections of the database, or lower --max-connections of the agent")
        }
        1129 => Some(
            "the database blocks this host: run mysqladmin flush-hosts there (TRUNCATE performance_schema.host_cache), and look who opens connections without a login",
        ),
        1130 => Some("the database has no account for this host: create its users for localhost"),
        _ => None,
    }
}

fn own_id() -> String {
    let mut bytes = [0; 8];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => format!("{:016x}", u64::from_be_bytes(bytes)),
        Err(_) => "none".to_owned(),
    }
}
