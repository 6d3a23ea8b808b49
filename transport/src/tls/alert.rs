//! What goes wrong in TLS, and the alert by which the other side says why.

use std::io;

use proto::{Code, Refusal};
use rustls::AlertDescription;

use crate::error::{Blame, CertificateProblem, Retry};

/// A fatal alert that the other side has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert(AlertDescription);

impl Alert {
    /// The alert inside an error of a [`super::TlsStream`]: in TLS 1.3 a client learns only from its first read that its
    /// certificate is refused.
    pub fn of(error: &io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref()? {
            rustls::Error::AlertReceived(alert) => Some(Self(*alert)),
            _ => None,
        }
    }

    /// Its name in RFC 8446 section 6.
    pub const fn name(self) -> &'static str {
        match self.0 {
            AlertDescription::CertificateRequired => "certificate_required",
            AlertDescription::CertificateExpired => "certificate_expired",
            AlertDescription::CertificateRevoked => "certificate_revoked",
            AlertDescription::CertificateUnknown => "certificate_unknown",
            AlertDescription::BadCertificate => "bad_certificate",
            AlertDescription::UnsupportedCertificate => "unsupported_certificate",
            AlertDescription::UnknownCA => "unknown_ca",
            AlertDescription::AccessDenied => "access_denied",
            AlertDescription::DecryptError => "decrypt_error",
            AlertDescription::ProtocolVersion => "protocol_version",
            AlertDescription::HandshakeFailure => "handshake_failure",
            AlertDescription::NoApplicationProtocol => "no_application_protocol",
            AlertDescription::UnrecognisedName => "unrecognized_name",
            AlertDescription::InternalError => "internal_error",
            _ => "other",
        }
    }

    /// Whether it is about the certificate that was shown: a new one may be accepted.
    pub const fn is_about_certificate(self) -> bool {
        matches!(
            self.0,
            AlertDescription::CertificateRequired
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
        )
    }

    /// What to tell an application whose client got it.
    pub fn refusal(self) -> Refusal {
        let (code, hint) = match self.0 {
            AlertDescription::CertificateExpired => (
                Code::CertificateRefused,
                "check the clocks of this machine, the agent and the CA",
            ),
            AlertDescription::UnknownCA => (
                Code::CertificateRefused,
                "check that this agent serves the instance and has its current client CA",
            ),
            AlertDescription::CertificateRevoked => (
                Code::CertificateRefused,
                "ask the CA's operator why the certificate is revoked",
            ),
            _ if self.is_about_certificate() => (
                Code::CertificateRefused,
                "see the agent's log for the reason",
            ),
            _ => (
                Code::Protocol,
                "see the agent's log for the reason, and compare versions",
            ),
        };
        let reason = format!(
            "the agent ended the connection with TLS alert {}",
            self.name()
        );
        Refusal::new(code, reason, hint)
    }
}

/// A TLS connection did not come about.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Too slow.
    #[error("the TLS handshake was not over in time")]
    Deadline,
    /// The socket failed or ended.
    #[error("the connection failed during the TLS handshake")]
    Io(#[source] io::Error),
    /// The client showed none.
    #[error("the client showed no certificate")]
    NoCertificate,
    /// Ours is the server, and the client's certificate is refused.
    #[error("the client's certificate is refused")]
    ClientCertificate(#[source] CertificateProblem),
    /// Ours is the client, and the server's certificate is refused.
    #[error("the server's certificate is refused")]
    ServerCertificate(#[source] CertificateProblem),
    /// We have no certificate to show.
    #[error("there is no server certificate to show yet")]
    NoMaterial,
    /// The other side ended the handshake and said why.
    #[error("the other side ended the TLS handshake with alert {}", .0.name())]
    Alert(Alert),
    /// The other side does not speak TLS 1.3 as we do.
    #[error("the TLS handshake failed: {0}")]
    Protocol(String),
    /// Our own configuration.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

impl TlsError {
    /// The label in logs and metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Deadline => "tls-deadline",
            Self::Io(_) => "tls-io",
            Self::NoCertificate => "tls-no-certificate",
            Self::ClientCertificate(problem) | Self::ServerCertificate(problem) => problem.kind(),
            Self::NoMaterial => "tls-no-material",
            Self::Alert(_) => "tls-alert",
            Self::Protocol(_) => "tls-protocol",
            Self::Setup(_) => "tls-setup",
        }
    }

    /// Whose fault.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::NoMaterial | Self::Setup(_) => Blame::Ours,
            _ => Blame::Peer,
        }
    }

    /// Whether another attempt can succeed by itself.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Deadline | Self::Io(_) | Self::NoMaterial => Retry::Backoff,
            _ => Retry::Never,
        }
    }

    /// What to tell an application whose client got it.
    pub fn refusal(&self) -> Refusal {
        let reason = crate::error::chain(self);
        match self {
            Self::Deadline | Self::Io(_) => Refusal::new(
                Code::AgentUnreachable,
                reason,
                "check that the agent runs there, and its log",
            ),
            Self::ServerCertificate(
                CertificateProblem::Expired | CertificateProblem::NotValidYet,
            ) => Refusal::new(
                Code::AgentIdentity,
                reason,
                "check the clocks of this machine and of the agent, and that the agent reaches the CA",
            ),
            Self::ServerCertificate(_) => Refusal::new(
                Code::AgentIdentity,
                reason,
                "check the instance's address at the CA: something else answers there",
            ),
            Self::Alert(alert) => alert.refusal(),
            Self::NoCertificate | Self::ClientCertificate(_) => Refusal::new(
                Code::CertificateRefused,
                reason,
                "get a certificate of this instance's from the CA",
            ),
            Self::Protocol(_) => Refusal::new(
                Code::Protocol,
                reason,
                "check that the address is an agent's",
            ),
            Self::NoMaterial | Self::Setup(_) => {
                Refusal::new(Code::Internal, reason, "see the log")
            }
        }
    }

    /// What an error of the TLS stream means, apart from certificates.
    pub(super) fn from_io(error: io::Error) -> Self {
        let found = error.get_ref().and_then(|inner| inner.downcast_ref());
        match found {
            Some(rustls::Error::AlertReceived(alert)) => Self::Alert(Alert(*alert)),
            Some(rustls::Error::NoCertificatesPresented) => Self::NoCertificate,
            Some(error) => Self::Protocol(error.to_string()),
            None => Self::Io(error),
        }
    }
}
