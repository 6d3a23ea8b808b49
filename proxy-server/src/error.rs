//! What goes wrong: what it is, whose fault, and what the peer is told.

use std::net::SocketAddr;
use std::path::PathBuf;

use proto::{Code, Refusal};
use transport::Blame;
use transport::error::DialError;

use crate::login::LoginError;
use crate::preamble::PreambleError;

/// The agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address is not to be had.
    #[error("cannot listen on {address}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the kernel says.
        source: std::io::Error,
    },
    /// The address cannot be told.
    #[error("cannot write the address file {path}")]
    AddressFile {
        /// Where.
        path: PathBuf,
        /// What the kernel says.
        source: std::io::Error,
    },
    /// The key file does not do.
    #[error("the key file {path} {problem}")]
    Credentials {
        /// Its path, as far as that is no secret.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The CA's root is not to be read.
    #[error("cannot read the CA's root {path}")]
    Root {
        /// Where.
        path: PathBuf,
        /// What the kernel says.
        source: std::io::Error,
    },
    /// A file for TLS, to the database or with applications, does not do.
    #[error("{path} cannot be used for TLS: {problem}")]
    TlsFile {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Another user cannot be had.
    #[error("{0}")]
    RunAs(String),
    /// Keys, TLS, the HTTP client or the runtime cannot be set up.
    #[error("cannot set up {what}: {problem}")]
    Setup {
        /// What.
        what: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// An authenticated peer gets no tunnel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// It has gone while it waited for its turn.
    #[error("the client left before its turn to log in")]
    Left,
    /// A newer client has needed its room before it logged in.
    #[error("a newer connection has taken its room before it logged in")]
    Crowded,
    /// Its opening frame is wrong or missing.
    #[error("no opening frame")]
    Preamble(#[from] PreambleError),
    /// We do not let it in, or have no room.
    #[error("refused")]
    Refused(#[from] Refusal),
    /// The database does not answer.
    #[error("the database cannot be reached")]
    Database(#[from] DialError),
    /// The login does not come to its end.
    #[error("no login")]
    Login(#[from] LoginError),
}

impl SessionError {
    /// The label in logs and metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Crowded => "crowded",
            Self::Preamble(PreambleError::Deadline) => "frame-deadline",
            Self::Preamble(PreambleError::Closed | PreambleError::Io(_)) => "frame-closed",
            Self::Preamble(PreambleError::Violation(_)) => "frame-violation",
            Self::Refused(_) => "refused",
            Self::Database(error) => error.kind(),
            Self::Login(error) => error.kind(),
        }
    }

    /// Whose fault.
    pub(crate) fn blame(&self) -> Blame {
        match self {
            Self::Left | Self::Crowded => Blame::Application,
            Self::Preamble(_) => Blame::Peer,
            Self::Refused(refusal) if refusal.code == Code::CaUnreachable => Blame::Authority,
            Self::Refused(refusal) if refusal.code == Code::NotServed => Blame::Ours,
            Self::Refused(_) => Blame::Application,
            Self::Database(error) => error.blame(Blame::Database),
            Self::Login(error) => error.blame(),
        }
    }

    /// What the peer is told, or has been; `None` when it is gone, or the database has told it.
    ///
    /// Paths and addresses of the agent's machine stay in the agent's log.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Left | Self::Crowded => None,
            Self::Preamble(error) => error.refusal(),
            Self::Refused(refusal) => Some(refusal.clone()),
            Self::Database(error) => Some(database_unreachable(error)),
            Self::Login(error) => error.refusal(),
        }
    }
}

/// The refusal of a failed dial, without paths and addresses.
fn database_unreachable(error: &DialError) -> Refusal {
    const WHOSE: [&str; 2] = ["the agent", "the agent's machine"];
    let cause = error.cause();
    let how = match (error, cause) {
        (_, Some(cause)) => format!("it {}", cause.describe(WHOSE[0], WHOSE[1])),
        (DialError::Deadline { .. }, None) => "it does not answer in time".to_owned(),
        (DialError::Proxy { .. }, None) => "the proxy on the way does not open it".to_owned(),
        (_, None) => "its name does not resolve".to_owned(),
    };
    let hint = match cause.filter(|cause| cause.is_ours()) {
        Some(cause) => cause.remedy(WHOSE[0], WHOSE[1]),
        None => {
            "check on the database's host that it runs, and that the agent's --database names it"
                .to_owned()
        }
    };
    let code = cause.map_or(Code::DatabaseUnreachable, |cause| {
        cause.code(Code::DatabaseUnreachable)
    });
    let reason = format!("the agent cannot reach its database: {how}");
    Refusal::new(code, reason, hint)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_failed_dial_is_blamed_and_told_by_its_cause_without_the_path() {
        // EMFILE, ENFILE, EACCES, ENOENT, ECONNREFUSED.
        for (number, code, blame, words) in [
            (
                24,
                Code::Limit,
                Blame::Ours,
                "the agent has no file descriptor left",
            ),
            (
                23,
                Code::Limit,
                Blame::Ours,
                "the agent's machine has no file descriptor left",
            ),
            (
                13,
                Code::DatabaseUnreachable,
                Blame::Ours,
                "the user of the agent has no permission",
            ),
            (
                2,
                Code::DatabaseUnreachable,
                Blame::Database,
                "it does not exist",
            ),
            (
                111,
                Code::DatabaseUnreachable,
                Blame::Database,
                "it does not accept connections",
            ),
        ] {
            let error = SessionError::Database(DialError::Unix {
                path: "/secret/db.sock".into(),
                source: io::Error::from_raw_os_error(number),
            });
            let refusal = error.refusal().unwrap();
            assert_eq!((refusal.code, error.blame()), (code, blame), "{refusal}");
            assert!(refusal.reason.contains(words), "{refusal}");
            assert!(!refusal.to_string().contains("secret"), "{refusal}");
        }
    }
}
