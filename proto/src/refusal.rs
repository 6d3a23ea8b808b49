//! Why we say no, and how that reads in the protocol of whoever asked.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::engine::Engine;

/// A stable code: part of the contract with scripts, pools and people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The CA does not answer.
    CaUnreachable,
    /// The CA does not accept the credentials.
    Unauthenticated,
    /// This machine's clock and the CA's differ too much.
    ClockSkew,
    /// The CA limits or cannot serve us now.
    CaUnavailable,
    /// The account has no grant for the instance, or the instance does not exist.
    NoGrant,
    /// The agent does not answer on its port.
    AgentUnreachable,
    /// What answers there is not the agent of this instance.
    AgentIdentity,
    /// The agent does not accept our certificate.
    CertificateRefused,
    /// The agent does not serve the instance.
    NotServed,
    /// The agent cannot reach its database.
    DatabaseUnreachable,
    /// The database said no before the login.
    DatabaseRefused,
    /// Too many connections.
    Limit,
    /// The program is stopping.
    Draining,
    /// A deadline passed.
    Deadline,
    /// A peer broke its protocol.
    Protocol,
    /// This login is not possible through the tunnel.
    Authentication,
    /// The application must speak TLS here.
    TlsRequired,
    /// The listener does not serve this local caller.
    CallerRefused,
    /// Our settings are wrong.
    Settings,
    /// Our own fault.
    Internal,
    /// What a newer peer says and this code does not know.
    #[serde(other)]
    Unknown,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::CaUnreachable,
        Self::Unauthenticated,
        Self::ClockSkew,
        Self::CaUnavailable,
        Self::NoGrant,
        Self::AgentUnreachable,
        Self::AgentIdentity,
        Self::CertificateRefused,
        Self::NotServed,
        Self::DatabaseUnreachable,
        Self::DatabaseRefused,
        Self::Limit,
        Self::Draining,
        Self::Deadline,
        Self::Protocol,
        Self::Authentication,
        Self::TlsRequired,
        Self::CallerRefused,
        Self::Settings,
        Self::Internal,
        Self::Unknown,
    ];

    /// The code as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CaUnreachable => "ca-unreachable",
            Self::Unauthenticated => "unauthenticated",
            Self::ClockSkew => "clock-skew",
            Self::CaUnavailable => "ca-unavailable",
            Self::NoGrant => "no-grant",
            Self::AgentUnreachable => "agent-unreachable",
            Self::AgentIdentity => "agent-identity",
            Self::CertificateRefused => "certificate-refused",
            Self::NotServed => "not-served",
            Self::DatabaseUnreachable => "database-unreachable",
            Self::DatabaseRefused => "database-refused",
            Self::Limit => "limit",
            Self::Draining => "draining",
            Self::Deadline => "deadline",
            Self::Protocol => "protocol",
            Self::Authentication => "authentication",
            Self::TlsRequired => "tls-required",
            Self::CallerRefused => "caller-refused",
            Self::Settings => "settings",
            Self::Internal => "internal",
            Self::Unknown => "unknown",
        }
    }

    /// MySQL's error number: 1045 for what a retry does not mend, 1040 and 1053 for what passes, else 1105.
    ///
    /// Never 2000-2999, which MariaDB's client takes for a malformed packet.
    pub const fn mysql(self) -> u16 {
        match self {
            Self::NoGrant
            | Self::Unauthenticated
            | Self::CertificateRefused
            | Self::CallerRefused => 1045,
            Self::Limit => 1040,
            Self::Draining => 1053,
            Self::Protocol => 1043,
            // ER_SECURE_TRANSPORT_REQUIRED
            Self::TlsRequired => 3159,
            Self::CaUnreachable
            | Self::ClockSkew
            | Self::CaUnavailable
            | Self::AgentUnreachable
            | Self::AgentIdentity
            | Self::NotServed
            | Self::DatabaseUnreachable
            | Self::DatabaseRefused
            | Self::Deadline
            | Self::Authentication
            | Self::Settings
            | Self::Internal
            | Self::Unknown => 1105,
        }
    }

    /// The SQLSTATE that PostgreSQL's clients get, and MySQL's once they have said hello.
    pub const fn sqlstate(self) -> &'static str {
        match self {
            Self::NoGrant
            | Self::Unauthenticated
            | Self::CertificateRefused
            | Self::CallerRefused => "28000",
            Self::Limit => "53300",
            Self::Draining => "57P03",
            Self::Protocol => "08P01",
            Self::TlsRequired => "28000",
            Self::CaUnreachable
            | Self::ClockSkew
            | Self::CaUnavailable
            | Self::AgentUnreachable
            | Self::AgentIdentity
            | Self::NotServed
            | Self::DatabaseUnreachable
            | Self::DatabaseRefused
            | Self::Deadline
            | Self::Authentication
            | Self::Settings
            | Self::Internal
            | Self::Unknown => "08006",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal: code, reason in one sentence, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}; {hint} [{code}]")]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// What failed: lower case, no full stop, never a secret.
    pub reason: String,
    /// What to do, in the same style.
    pub hint: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: Code, reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            hint: hint.into(),
        }
    }

    /// The refusal as the first bytes of a connection, in the protocol of the engine; nothing for plain TCP.
    pub fn greeting(&self, engine: Engine) -> Vec<u8> {
        match engine {
            Engine::Mysql => crate::mysql::error_instead_of_greeting(self),
            Engine::Postgres => crate::postgres::error_response(self),
            Engine::Tcp => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_codes_are_among_all() {
        // A code that is new does not compile here until it has a place.
        let place = |code: Code| match code {
            Code::CaUnreachable => 0,
            Code::Unauthenticated => 1,
            Code::ClockSkew => 2,
            Code::CaUnavailable => 3,
            Code::NoGrant => 4,
            Code::AgentUnreachable => 5,
            Code::AgentIdentity => 6,
            Code::CertificateRefused => 7,
            Code::NotServed => 8,
            Code::DatabaseUnreachable => 9,
            Code::DatabaseRefused => 10,
            Code::Limit => 11,
            Code::Draining => 12,
            Code::Deadline => 13,
            Code::Protocol => 14,
            Code::Authentication => 15,
            Code::TlsRequired => 16,
            Code::CallerRefused => 17,
            Code::Settings => 18,
            Code::Internal => 19,
            Code::Unknown => 20,
        };
        for (number, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(place(code), number, "{code}");
        }
    }
}
