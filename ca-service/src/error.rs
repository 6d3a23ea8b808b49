//! What can go wrong in the CA. What a stranger is told of it is decided in `http/errors.rs` alone.

use std::io;
use std::path::PathBuf;

use proto::instance::InvalidName;

use crate::clock::{Seconds, rfc3339};

/// The result of almost everything here.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Who is asking could not be proved.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Who is asking is known, and may not do this.
    #[error("{0}")]
    Denied(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The token endpoint knows one grant type.
    #[error("grant_type must be {}", proto::admin::JWT_BEARER)]
    UnsupportedGrant,
    /// The key to be certified is not one that we certify.
    #[error("the public key is refused: {0}")]
    Key(&'static str),
    /// Too many requests.
    #[error("too many requests from this {who}; try again in {retry_after} s")]
    Limited {
        /// `address`, `service account` or `CA`.
        who: &'static str,
        /// Whole seconds, at least one.
        retry_after: u64,
    },
    /// A request asked for something longer than we read.
    #[error("the request body is longer than {} bytes", crate::http::MAX_BODY)]
    TooLarge,
    /// A request did not end in time.
    #[error("the request did not end in time")]
    TimedOut,
    /// A name that is not one.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A `create` of what exists.
    #[error("{kind} {name} exists already (--if-not-exists makes that no error)")]
    Exists {
        /// `instance`, `service account`, ...
        kind: &'static str,
        /// As the operator wrote it.
        name: String,
    },
    /// Something named does not exist.
    #[error("there is no {kind} {name}; `cloudsql-ca {list}` shows those that exist")]
    Missing {
        /// `instance`, `service account`, ...
        kind: &'static str,
        /// As the operator wrote it.
        name: String,
        /// The command that lists them.
        list: &'static str,
    },
    /// All complaints about the settings, together.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// A file could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// `read`, `create`, ...
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder is open to others.
    #[error("{} is {problem}; {remedy}", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// In which way.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// A socket could not be opened.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] sqlx::Error),
    /// The store's connections were closed because its file is not there.
    #[error("the store is not there, or is not this CA's; the log says why")]
    StoreLost,
    /// The store's file is not the one that was opened.
    #[error("{} {problem}; nothing is issued until this CA's store is there again", path.display())]
    StoreFile {
        /// Which file.
        path: PathBuf,
        /// `is gone`, ...
        problem: &'static str,
    },
    /// The store's schema is newer than this program, or damaged.
    #[error("the store's schema cannot be used (is the store from a newer cloudsql-ca?)")]
    Schema(#[from] sqlx::migrate::MigrateError),
    /// A key could not be wrapped or opened.
    #[error("{0}")]
    Vault(String),
    /// A CA's certificate or key does not hold what it must.
    #[error("the {purpose} CA of {instance} cannot be used: {reason}")]
    Authority {
        /// `client`, `server` or `root`.
        purpose: &'static str,
        /// Whose.
        instance: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A certificate that we made does not hold what it must; it never leaves.
    #[error("a certificate failed its inspection before it was handed out: {0}")]
    Inspection(String),
    /// Cryptography failed where it cannot.
    #[error("cryptography failed: {0}")]
    Crypto(&'static str),
}

/// Why an assertion or a token is not believed.
///
/// Whatever depends on which accounts and keys exist is one variant, [`Rejection::Unproven`], so that nobody learns it
/// who has no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    /// There is none.
    #[error("the request has no `Authorization: Bearer` header")]
    Absent,
    /// It does not have the shape of one.
    #[error("the assertion is malformed: {0}")]
    Malformed(&'static str),
    /// Unknown account, unknown or disabled key, bad signature.
    #[error("the assertion is not signed by an enabled key of a known account; check the key file")]
    Unproven,
    /// Signed well, with a key whose time is over.
    #[error(
        "the account's key {kid} expired at {}; make a new one with `cloudsql-ca keys create`", rfc3339(*.at)
    )]
    ExpiredKey {
        /// Which.
        kid: String,
        /// When.
        at: Seconds,
    },
    /// Signed well, with a claim that we do not accept.
    #[error("the assertion is refused: {0}")]
    Claim(String),
    /// A time in it and our time do not go together.
    #[error(
        "the assertion's {claim} is {by} s {direction} this CA's clock, which says {}; check the caller's clock", rfc3339(*.now)
    )]
    Clock {
        /// `iat`, `exp` or `nbf`.
        claim: &'static str,
        /// How far.
        by: Seconds,
        /// `ahead of` or `behind`.
        direction: &'static str,
        /// Our time.
        now: Seconds,
    },
    /// Its `jti` was used before.
    #[error("the assertion was used before; make a new one, with a new jti, for each request")]
    Replayed,
    /// An access token that is not ours, has expired, or whose account or key has been switched off.
    #[error("the access token is not valid (any more); ask for a new one")]
    Token,
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolClosed => Self::StoreLost,
            error => Self::Store(error),
        }
    }
}

impl Error {
    /// A file's trouble.
    pub(crate) fn file(
        doing: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }

    /// A stable word for logs and metrics.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.kind(),
            Self::Denied(_) => "denied",
            Self::Invalid(_) | Self::Name(_) | Self::UnsupportedGrant => "invalid",
            Self::Key(_) => "key_refused",
            Self::Limited { .. } => "limited",
            Self::TooLarge => "too_large",
            Self::TimedOut => "timed_out",
            Self::Exists { .. } => "exists",
            Self::Missing { .. } => "missing",
            Self::Settings(_) => "settings",
            Self::File { .. } => "file",
            Self::Exposed { .. } => "exposed",
            Self::Listen { .. } => "listen",
            Self::Store(_) => "store",
            Self::StoreLost | Self::StoreFile { .. } => "store_file",
            Self::Schema(_) => "schema",
            Self::Vault(_) => "vault",
            Self::Authority { .. } => "authority",
            Self::Inspection(_) => "inspection",
            Self::Crypto(_) => "crypto",
        }
    }

    /// Itself and its causes, in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl Rejection {
    /// A stable word for logs and metrics.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Malformed(_) => "malformed",
            Self::Unproven => "unproven",
            Self::ExpiredKey { .. } => "expired_key",
            Self::Claim(_) => "claim",
            Self::Clock { .. } => "clock",
            Self::Replayed => "replayed",
            Self::Token => "token",
        }
    }
}
