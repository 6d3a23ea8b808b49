//! The alert by which the other side says why it ended a TLS connection.

use std::io;

use proto::{Code, Refusal};
use rustls::AlertDescription;

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

    /// What to tell an application whose client got it during the handshake.
    ///
    /// In TLS 1.3 the client's certificate goes out behind the server's whole flight: such an alert is never about it.
    pub(super) fn refusal_of_handshake(self) -> Refusal {
        let name = self.name();
        match self.0 {
            AlertDescription::AccessDenied
            | AlertDescription::CertificateUnknown
            | AlertDescription::InternalError => Refusal::new(
                Code::AgentUnreachable,
                format!("the agent has no certificate to show (TLS alert {name})"),
                "check that the agent reaches its CA: its log and /readiness say why it has none",
            ),
            AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::NoApplicationProtocol
            | AlertDescription::UnrecognisedName => Refusal::new(
                Code::AgentIdentity,
                format!("what answers there is no agent of ours (TLS alert {name})"),
                "check the instance's address at the CA: something else answers there",
            ),
            _ => Refusal::new(
                Code::AgentUnreachable,
                format!("the agent ended the TLS handshake with alert {name}"),
                "see the agent's log for the reason, and compare versions",
            ),
        }
    }

    /// What to tell an application whose client got it after the handshake.
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
