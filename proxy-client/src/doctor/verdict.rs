//! On which rung an error lies.

use proto::Code;
use transport::authority::Failure;

use super::Rung;
use crate::error::{RefreshError, SessionError};

/// The lowest rung that can be to blame.
pub(super) fn rung(error: &SessionError) -> Rung {
    // Whoever found it: time is the ground that all else stands on.
    if error.refusal().code == Code::ClockSkew {
        return Rung::Clock;
    }
    match error {
        SessionError::Refresh(RefreshError::Authority(error)) => of_authority(&error.failure),
        // The CA has answered, and it is the name that has to be corrected.
        SessionError::Refresh(
            RefreshError::Region { .. } | RefreshError::Name(_) | RefreshError::NoInstance { .. },
        ) => Rung::Settings,
        SessionError::Refresh(_) => Rung::Certificate,
        SessionError::RefreshDeadline => Rung::Ca,
        SessionError::Dial(_) => Rung::Tcp,
        SessionError::Refused(refusal) => of_agent(refusal.code),
        SessionError::Deadline => Rung::Database,
        SessionError::Tls(_)
        | SessionError::Alert(_)
        | SessionError::Closed(_)
        | SessionError::Violation(_) => Rung::Tls,
        // Of applications only.
        SessionError::Crowded(_) | SessionError::NotTheProtocol(_) => Rung::Database,
    }
}

const fn of_authority(failure: &Failure) -> Rung {
    match failure {
        // All that can be wrong with settings this late is a key that does not sign.
        Failure::Settings(_) | Failure::NoCredentials(_) => Rung::KeyFile,
        Failure::Unauthenticated(_) => Rung::Token,
        Failure::Forbidden(_) | Failure::NotFound(_) => Rung::Certificate,
        Failure::NameNotResolved
        | Failure::Refused
        | Failure::Timeout
        | Failure::UntrustedRoot
        | Failure::WrongHost
        | Failure::CertificateTime
        | Failure::Broken(_)
        | Failure::NotDialled(..)
        | Failure::Throttled(_)
        | Failure::Unavailable { .. }
        | Failure::Malformed(_) => Rung::Ca,
    }
}

const fn of_agent(code: Code) -> Rung {
    match code {
        Code::CertificateRefused | Code::AgentIdentity => Rung::Tls,
        Code::DatabaseUnreachable | Code::DatabaseRefused | Code::Deadline => Rung::Database,
        Code::Authentication => Rung::Authentication,
        Code::TlsRequired => Rung::Transport,
        _ => Rung::Policy,
    }
}
