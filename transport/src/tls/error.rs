//! What goes wrong in TLS: material that cannot be used, certificates that are refused, handshakes that fail.

use std::io;

use proto::{Code, InstanceName, Refusal};

use super::alert::Alert;
use crate::error::{Blame, Retry};

/// Keys, certificates or trust roots that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaterialError {
    /// Not PEM, or another kind of PEM.
    #[error("no certificate is found in the text: expected PEM blocks of type CERTIFICATE")]
    NoCertificate,
    /// A certificate that does not parse.
    #[error("a certificate does not parse: {0}")]
    Certificate(String),
    /// The certificate is not for the key.
    #[error("the certificate is for another key than ours")]
    WrongKey,
    /// The cryptographic library refuses.
    #[error("{0} failed in the cryptographic library")]
    Crypto(&'static str),
}

/// Why a certificate is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    /// It does not parse, or repeats an extension, or is not version 3.
    #[error("the certificate is malformed")]
    Malformed,
    /// Its time is over.
    #[error("the certificate has expired")]
    Expired,
    /// Its time has not begun.
    #[error("the certificate is not valid yet")]
    NotValidYet,
    /// No trusted root issued it directly.
    #[error("the certificate was not issued by the expected CA")]
    UnknownIssuer,
    /// No trusted root issued it directly, and it names another server. Its names are unproven.
    #[error("the certificate is from another CA and says {found}, where {expected} is expected")]
    Foreign {
        /// The server that is dialled.
        expected: String,
        /// The names in it, on one line.
        found: String,
    },
    /// Its extended key usage is missing or is another.
    #[error("the certificate is not for this purpose")]
    Purpose,
    /// It is a CA's.
    #[error("the certificate is a CA's")]
    Authority,
    /// Its alternative names are not exactly one identity.
    #[error("the certificate does not carry exactly one identity")]
    Identity,
    /// It is another server's.
    #[error("the certificate is for {found}, and {expected} is expected")]
    Name {
        /// Whom we want.
        expected: String,
        /// The names in it, as far as they can be told on one line.
        found: String,
    },
    /// It is for an instance that is not served here.
    #[error("the certificate is for {0}, which is not served here")]
    NotServed(InstanceName),
    /// Anything else.
    #[error("the certificate is not acceptable: {0}")]
    Other(String),
}

impl CertificateProblem {
    /// The label in logs and metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed => "certificate-malformed",
            Self::Expired => "certificate-expired",
            Self::NotValidYet => "certificate-not-valid-yet",
            Self::UnknownIssuer | Self::Foreign { .. } => "certificate-unknown-issuer",
            Self::Purpose => "certificate-purpose",
            Self::Authority => "certificate-authority",
            Self::Identity => "certificate-identity",
            Self::Name { .. } => "certificate-name",
            Self::NotServed(_) => "certificate-not-served",
            Self::Other(_) => "certificate-other",
        }
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
            // TCP connects with small packets; the handshake is the first to need large ones.
            Self::Deadline => Refusal::new(
                Code::AgentUnreachable,
                reason,
                "check the agent and its log; TCP connects, so large packets may be lost on the way: check its MTU",
            ),
            Self::Io(_) => Refusal::new(
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
            Self::ServerCertificate(
                CertificateProblem::Name { .. } | CertificateProblem::Foreign { .. },
            ) => Refusal::new(
                Code::AgentIdentity,
                reason,
                "another server answers there: check the instance's address at the CA, or --connect-to",
            ),
            Self::ServerCertificate(_) => Refusal::new(
                Code::AgentIdentity,
                reason,
                "check the instance's address at the CA: something else answers there",
            ),
            Self::Alert(alert) => alert.refusal_of_handshake(),
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
        if let Some(alert) = Alert::of(&error) {
            return Self::Alert(alert);
        }
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::NoCertificatesPresented) => Self::NoCertificate,
            Some(error) => Self::Protocol(error.to_string()),
            None => Self::Io(error),
        }
    }
}
