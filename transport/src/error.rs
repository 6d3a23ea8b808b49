//! What can fail here: each error says what, whose fault it is, and whether to try again.

mod cause;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use proto::machine::{Face, Violation};
use proto::{Code, Refusal};

pub use cause::DialCause;

pub use crate::tls::{CertificateProblem, MaterialError, TlsError};

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The application's.
    Application,
    /// The other end of the tunnel's.
    Peer,
    /// The database's.
    Database,
    /// The CA's.
    Authority,
    /// Our own, or our operator's.
    Ours,
}

impl Blame {
    /// The label in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Peer => "peer",
            Self::Database => "database",
            Self::Authority => "authority",
            Self::Ours => "ours",
        }
    }
}

impl From<Face> for Blame {
    fn from(face: Face) -> Self {
        match face {
            Face::Application => Self::Application,
            Face::Database => Self::Database,
        }
    }
}

/// Whether the same attempt can succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Not until somebody changes something.
    Never,
    /// Yes, after a wait.
    Backoff,
}

/// Words for the side that dials, where its own operator reads them.
const PROGRAM: &str = "this program";
const MACHINE: &str = "this machine";

/// A connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no answer.
    #[error("the name {host:?} does not resolve")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The name resolves to nothing.
    #[error("the name {host:?} has no address")]
    NoAddress {
        /// The name.
        host: String,
    },
    /// All addresses were tried.
    #[error("{target} {}: {tried}", tried.cause().describe(PROGRAM, MACHINE))]
    Unreachable {
        /// Host and port.
        target: String,
        /// Each address with its answer.
        tried: Tried,
    },
    /// The Unix socket does not accept.
    #[error("the Unix socket {path:?} {}", DialCause::of_unix(source).describe(PROGRAM, MACHINE))]
    Unix {
        /// Its path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// No answer in time.
    #[error("{target} did not answer in time")]
    Deadline {
        /// What was dialled.
        target: String,
    },
    /// The name of a service leads nowhere.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The proxy on the way does not open it.
    #[error("no way to {target} through the proxy {proxy}: {said}")]
    Proxy {
        /// Which, without user and password.
        proxy: String,
        /// What was dialled.
        target: String,
        /// What the proxy said, or how it failed.
        said: String,
        /// The cause, where the proxy itself could not be dialled.
        cause: Option<DialCause>,
    },
}

/// DNS does not tell what a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is no such name, or no such record at it.
    #[error("the name {name:?} has no {kind} record")]
    NoRecord {
        /// The name.
        name: String,
        /// `TXT` or `SRV`.
        kind: &'static str,
    },
    /// No server answers, or the answer is a failure.
    #[error("DNS does not tell the {kind} record of {name:?}: {said}")]
    Failed {
        /// The name.
        name: String,
        /// `TXT` or `SRV`.
        kind: &'static str,
        /// What the resolver said.
        said: String,
    },
}

/// Addresses that were tried, each with its answer.
#[derive(Debug)]
pub struct Tried(pub Vec<(SocketAddr, io::Error)>);

impl Tried {
    fn cause(&self) -> DialCause {
        let causes = self.0.iter();
        let causes = causes.map(|(address, error)| DialCause::of_tcp(*address, error));
        causes.max().unwrap_or(DialCause::Other)
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (addr, error)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{addr}: {error}")?;
        }
        Ok(())
    }
}

impl DialError {
    /// The label in logs and metrics.
    pub fn kind(&self) -> &'static str {
        if self.cause().is_some_and(DialCause::is_exhaustion) {
            return "dial-exhausted";
        }
        match self {
            Self::Resolve { .. } | Self::NoAddress { .. } | Self::Name(_) => "dial-resolve",
            Self::Unreachable { .. } | Self::Unix { .. } => "dial-unreachable",
            Self::Deadline { .. } => "dial-deadline",
            Self::Proxy { .. } => "dial-proxy",
        }
    }

    /// Always worth another try: names, addresses and listeners come back.
    pub const fn retry(&self) -> Retry {
        Retry::Backoff
    }

    /// The cause, where the kernel named one.
    pub fn cause(&self) -> Option<DialCause> {
        match self {
            Self::Unreachable { tried, .. } => Some(tried.cause()),
            Self::Unix { source, .. } => Some(DialCause::of_unix(source)),
            Self::Resolve { source, .. } => {
                Some(DialCause::of_any(source)).filter(|cause| cause.is_exhaustion())
            }
            Self::Proxy { cause, .. } => cause.filter(|cause| cause.is_ours()),
            Self::NoAddress { .. } | Self::Deadline { .. } | Self::Name(_) => None,
        }
    }

    /// Whose fault; `otherwise` where it is not ours.
    pub fn blame(&self, otherwise: Blame) -> Blame {
        self.cause()
            .map_or(otherwise, |cause| cause.blame(otherwise))
    }

    /// The refusal under the code of whatever was dialled, with the addresses: for people on our own side of the wire.
    /// What ran out on this machine is refused with `limit`.
    pub fn refusal(&self, code: Code) -> Refusal {
        if let Some(cause) = self.cause() {
            let remedy = cause.remedy(PROGRAM, MACHINE);
            return Refusal::new(cause.code(code), chain(self), remedy);
        }
        let hint = match self {
            Self::Resolve { .. } | Self::NoAddress { .. } | Self::Name(_) => {
                "check the name and this machine's DNS"
            }
            Self::Unreachable { .. } | Self::Unix { .. } | Self::Deadline { .. } => {
                "check the network and firewalls between"
            }
            Self::Proxy { .. } => {
                "check the proxy and its rules, and ALL_PROXY; NO_PROXY names who is reached without it"
            }
        };
        Refusal::new(code, chain(self), hint)
    }
}

/// An error with its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A Unix socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The kernel's limit.
    #[error(
        "the socket path {path:?} has {length} bytes and the system allows {limit}: choose a shorter one, such as {shorter:?}"
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its bytes.
        length: usize,
        /// Most bytes.
        limit: usize,
        /// One that fits.
        shorter: PathBuf,
    },
    /// An abstract name without a name.
    #[error("an abstract socket needs a name behind its @, such as @db1")]
    Nameless,
    /// Somebody listens there.
    #[error("{by} listens on {path:?}: stop it, or choose another path")]
    InUse {
        /// The path.
        path: PathBuf,
        /// Who, as far as that is known.
        by: String,
    },
    /// A file that is not ours to delete.
    #[error("{path:?} exists and is not a socket: move it away, or choose another path")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The kernel said no.
    #[error("cannot {doing} {path:?}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What we were about.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// An opening exchange did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// A peer broke the protocol.
    #[error("the protocol was broken: {0}")]
    Violation(#[from] Violation),
    /// A face ended before its time.
    #[error("the {} closed the connection before the exchange was over", name(*.0))]
    Closed(Face),
    /// A face failed.
    #[error("the connection to the {} failed", name(*.0))]
    Io(Face, #[source] io::Error),
    /// A face that was waited for was too slow.
    #[error("the {} took too long in the exchange", name(*.0))]
    Deadline(Face),
}

/// A face in words.
const fn name(face: Face) -> &'static str {
    match face {
        Face::Application => "application",
        Face::Database => "database",
    }
}

impl HandshakeError {
    /// The label in logs and metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Violation(_) => "handshake-violation",
            Self::Closed(_) => "handshake-closed",
            Self::Io(..) => "handshake-io",
            Self::Deadline(_) => "handshake-deadline",
        }
    }

    /// Whose fault, where it is known.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Closed(face) | Self::Io(face, _) | Self::Deadline(face) => (*face).into(),
            Self::Violation(_) => Blame::Peer,
        }
    }

    /// What to tell the application.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Violation(violation) => Refusal::new(
                Code::Protocol,
                violation.to_string(),
                "check that the client and the database speak the instance's protocol",
            ),
            Self::Closed(_) | Self::Io(..) => Refusal::new(
                Code::DatabaseUnreachable,
                self.to_string(),
                "check the database and its log",
            ),
            Self::Deadline(face) => Refusal::new(
                Code::Deadline,
                self.to_string(),
                match face {
                    Face::Application => "log in right after connecting",
                    Face::Database => "check the load of the database and the network",
                },
            ),
        }
    }
}
