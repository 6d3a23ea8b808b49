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
    /// It broke off.
    #[error("the login broke off")]
    Handshake {
        /// How.
        source: HandshakeError,
        /// What is left to say to the application, in its protocol.
        farewell: Vec<u8>,
    },
}

impl LoginError {
    /// An exchange that broke off, with the last words that its machine has for it.
    pub(super) fn broken<M: Machine>(machine: &M, source: HandshakeError) -> Self {
        let farewell = refusal(&source)
            .map(|refusal| machine.farewell(&refusal))
            .unwrap_or_default();
        Self::Handshake { source, farewell }
    }

    /// Says what is left to say where the application is spoken to now, and closes that.
    pub(crate) async fn told_to<S>(mut self, app: &mut S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        say_and_close(app, self.farewell()).await;
        if let Self::Handshake { farewell, .. } = &mut self {
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
            Self::Handshake { farewell, .. } => farewell,
        }
    }

    /// The refusal that the application is told, or was.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::RefusedByDatabase(_) | Self::Tls(_) | Self::NoCertificate => None,
            Self::Refused(refusal) => Some(refusal.clone()),
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
            Self::Handshake { source, .. } => source.kind(),
        }
    }

    /// Whose fault.
    pub(crate) fn blame(&self) -> Blame {
        match self {
            Self::RefusedByDatabase(_) | Self::Refused(_) | Self::Tls(_) => Blame::Application,
            Self::NoCertificate => Blame::Ours,
            Self::Handshake { source, .. } => source.blame(),
        }
    }
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
        HandshakeError::Deadline => refusal(
            Code::Deadline,
            "the login took too long",
            "log in right after connecting, and check the load of the database",
        ),
    }
}
