//! How a login ends otherwise, and what the application is told.

use proto::machine::{Face, Machine};
use proto::{Code, Refusal};
use tokio::io::{AsyncRead, AsyncWrite};
use transport::Blame;
use transport::handshake::HandshakeError;
use transport::tls::TlsError;

use crate::refuse::say_and_close;

/// How the exchange ended otherwise.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    /// The database said no, and the application has its words.
    #[error("the database refused the login with error {0}")]
    RefusedByDatabase(u16),
    /// We said no, and the application has our words.
    #[error("the login was refused")]
    Refused(#[source] Refusal),
    /// The application's own TLS did not come about.
    #[error("the application's TLS failed")]
    Tls(#[from] TlsError),
    /// The application asks for TLS, and we have nothing to show.
    #[error("there is no certificate for the application's TLS")]
    NoCertificate,
    /// Our TLS to the database did not come about.
    #[error("the TLS to the database failed")]
    DatabaseTls {
        /// How.
        source: TlsError,
        /// What is left to say to the application, in its protocol.
        farewell: Vec<u8>,
    },
    /// The application's commands could not be told apart any more.
    #[error("the session's commands got out of step")]
    OutOfStep {
        /// What is left to say to the application, in its protocol.
        farewell: Vec<u8>,
    },
    /// It broke off.
    #[error("the login broke off")]
    Handshake {
        /// How.
        source: HandshakeError,
        /// What is left to say to the application, in its protocol.
        farewell: Vec<u8>,
        /// Whether the application has seen the database's greeting.
        greeted: bool,
    },
}

impl LoginError {
    /// An exchange that broke off, with the last words that its machine has for it.
    pub(super) fn broken<M: Machine>(machine: &M, source: HandshakeError) -> Self {
        let farewell = refusal(&source)
            .map(|refusal| machine.farewell(&refusal))
            .unwrap_or_default();
        Self::Handshake {
            source,
            farewell,
            greeted: true,
        }
    }

    /// A restricted session whose packet of this number cannot be judged.
    pub(crate) fn out_of_step(number: u8) -> Self {
        Self::OutOfStep {
            farewell: proto::mysql::error_behind(number, &out_of_step()),
        }
    }

    /// Our TLS to the database failed when the application had said all it has to say before it.
    pub(super) fn database_tls<M: Machine>(machine: &M, source: TlsError) -> Self {
        let farewell = machine.farewell(&database_tls(&source));
        Self::DatabaseTls { source, farewell }
    }

    /// The same, where the application has seen the database's greeting, or not.
    pub(super) fn after_greeting(mut self, seen: bool) -> Self {
        if let Self::Handshake { greeted, .. } = &mut self {
            *greeted = seen;
        }
        self
    }

    /// Whether the application waits for a greeting still.
    pub(crate) const fn is_before_greeting(&self) -> bool {
        matches!(self, Self::Handshake { greeted: false, .. })
    }

    /// Says what is left to say where the application is spoken to now, and closes that.
    pub(crate) async fn told_to<S>(mut self, app: &mut S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        say_and_close(app, self.farewell()).await;
        if let Self::Handshake { farewell, .. }
        | Self::DatabaseTls { farewell, .. }
        | Self::OutOfStep { farewell } = &mut self
        {
            farewell.clear();
        }
        self
    }

    /// What the application has not been told yet.
    pub(crate) fn farewell(&self) -> &[u8] {
        match self {
            Self::RefusedByDatabase(_) | Self::Refused(_) | Self::Tls(_) | Self::NoCertificate => {
                &[]
            }
            Self::Handshake { farewell, .. }
            | Self::DatabaseTls { farewell, .. }
            | Self::OutOfStep { farewell } => farewell,
        }
    }

    /// The refusal that the application is told, or was.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::RefusedByDatabase(_) | Self::Tls(_) | Self::NoCertificate => None,
            Self::Refused(refusal) => Some(refusal.clone()),
            Self::OutOfStep { .. } => Some(out_of_step()),
            Self::DatabaseTls { source, .. } => Some(database_tls(source)),
            Self::Handshake { source, .. } => refusal(source),
        }
    }

    /// The label in logs and metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::RefusedByDatabase(_) => "login-refused-by-database",
            Self::Refused(_) => "login-refused",
            Self::Tls(_) => "login-tls",
            Self::NoCertificate => "login-no-certificate",
            Self::DatabaseTls { .. } => "database-tls",
            Self::OutOfStep { .. } => "commands-out-of-step",
            Self::Handshake { source, .. } => source.kind(),
        }
    }

    /// Whose fault.
    pub(crate) fn blame(&self) -> Blame {
        match self {
            // Too many connections, a stop, hosts that are blocked or unknown, a ceiling of users: nobody's login is to blame.
            Self::RefusedByDatabase(1040 | 1053 | 1129 | 1130 | 1203) => Blame::Database,
            Self::RefusedByDatabase(_)
            | Self::Refused(_)
            | Self::Tls(_)
            | Self::OutOfStep { .. } => Blame::Application,
            Self::NoCertificate => Blame::Ours,
            Self::DatabaseTls { source, .. } => match source.blame() {
                Blame::Ours => Blame::Ours,
                _ => Blame::Database,
            },
            Self::Handshake { source, .. } => source.blame(),
        }
    }
}

/// The refusal of a packet that cannot be judged where the grant names users: it may change the user.
fn out_of_step() -> Refusal {
    Refusal::new(
        Code::Protocol,
        "the session's packets got out of step, and its grant names database users or schemas",
        "connect again, and do not send packets whose numbers are not due",
    )
}

/// What the application is told when our TLS to the database fails; the details are for the agent's log.
fn database_tls(error: &TlsError) -> Refusal {
    let (reason, hint) = match error {
        TlsError::ServerCertificate(_) => (
            "the agent does not believe the database's certificate",
            "see the agent's log, and check its --database-ca or --database-fingerprint",
        ),
        TlsError::Deadline | TlsError::Io(_) => (
            "the database broke off the agent's TLS handshake",
            "check the database's log on its host",
        ),
        _ => (
            "the agent's TLS handshake with the database failed",
            "see the agent's log",
        ),
    };
    Refusal::new(Code::DatabaseRefused, reason, hint)
}

/// What the application is told of a broken exchange; nothing when the application itself is gone.
fn refusal(error: &HandshakeError) -> Option<Refusal> {
    let refusal = |code, reason: &str, hint: &str| Some(Refusal::new(code, reason, hint));
    match error {
        HandshakeError::Closed(Face::Application) | HandshakeError::Io(Face::Application, _) => {
            None
        }
        HandshakeError::Closed(Face::Database) | HandshakeError::Io(Face::Database, _) => refusal(
            Code::DatabaseUnreachable,
            "the database ended the connection during the login",
            "check the database's log on its host",
        ),
        HandshakeError::Violation(violation) => refusal(
            Code::Protocol,
            violation.0,
            "check that the application speaks the database's protocol",
        ),
        HandshakeError::Deadline(Face::Application) => refusal(
            Code::Deadline,
            "the application took too long to log in",
            "log in right after connecting, or raise the agent's --login-timeout",
        ),
        HandshakeError::Deadline(Face::Database) => refusal(
            Code::Deadline,
            "the database took too long in the login",
            "check its load and what its logins wait for, or raise the agent's --database-login-timeout",
        ),
    }
}
