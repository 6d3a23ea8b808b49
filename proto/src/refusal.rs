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

    /// The numbers of the code in the protocols of applications.
    pub const fn numbers(self) -> Numbers {
        match self {
            // A fault of the login itself: another host, or another attempt, does not mend it.
            Self::NoGrant
            | Self::Unauthenticated
            | Self::CertificateRefused
            | Self::CallerRefused => Numbers::new(1045, "28000", "28000"),
            Self::Authentication => Numbers::new(1105, "HY000", "28000"),
            Self::TlsRequired => Numbers::new(3159, "HY000", "28000"),
            // Passes, or does not concern another host: drivers with several hosts go on to the next.
            Self::Limit => Numbers::new(1040, "08004", "53300"),
            Self::Draining => Numbers::new(1053, "08S01", "57P03"),
            Self::Protocol => Numbers::new(1043, "08S01", "08P01"),
            Self::CaUnreachable
            | Self::ClockSkew
            | Self::CaUnavailable
            | Self::AgentUnreachable
            | Self::AgentIdentity
            | Self::NotServed
            | Self::DatabaseUnreachable
            | Self::DatabaseRefused
            | Self::Deadline
            | Self::Settings
            | Self::Internal
            | Self::Unknown => Numbers::new(1158, "08S01", "57P03"),
        }
    }
}

/// The numbers of a code in the protocols of applications, chosen by the reaction of their drivers.
///
/// The table in docs/errors.md is measured with the drivers that take several hosts:
/// * MySQL's numbers are never 2000 to 2999, which MariaDB's client takes for a malformed packet. 1158 is
///   `ER_NET_READ_ERROR`, a failure of the network in every driver's own table.
/// * MariaDB Connector/J goes on to the next host for a SQLSTATE of class 08 only.
/// * libpq goes on to the next host for 57P03 (`cannot_connect_now`) only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// MySQL's error number.
    pub mysql: u16,
    /// MySQL's SQLSTATE.
    pub mysql_state: &'static str,
    /// PostgreSQL's SQLSTATE.
    pub postgres_state: &'static str,
}

impl Numbers {
    const fn new(mysql: u16, mysql_state: &'static str, postgres_state: &'static str) -> Self {
        Self {
            mysql,
            mysql_state,
            postgres_state,
        }
    }

    /// Whether MySQL's SQLSTATE is one of class 08, "connection exception".
    pub fn is_connection_exception(self) -> bool {
        self.mysql_state.starts_with("08")
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
