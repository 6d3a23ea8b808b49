//! What can go wrong between us and the CA, and what we tell people about it.

use proto::{Code, Refusal};

use super::skew::Skew;
use crate::error::{Blame, DialCause, Retry};

/// A call to the CA failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{endpoint}: {failure}")]
pub struct AuthorityError {
    /// Whom we called: scheme, host and port.
    pub endpoint: String,
    /// What happened.
    pub failure: Failure,
    /// How far the clocks are apart, where it was known.
    pub skew: Option<Skew>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The endpoint, the root or the credentials are not usable.
    #[error("{0}")]
    Settings(String),
    /// Nobody vouches for us: the metadata server does not answer.
    #[error("there are no credentials: {0}")]
    NoCredentials(String),
    /// The host name has no address.
    #[error("the host name cannot be resolved")]
    NameNotResolved,
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The certificate is not from the root that we trust.
    #[error("its certificate is not from the root that we trust")]
    UntrustedRoot,
    /// The certificate is for another host.
    #[error("its certificate is for another host")]
    WrongHost,
    /// The certificate is not valid at our time.
    #[error("its certificate is not valid at this machine's time")]
    CertificateTime,
    /// Some other trouble of the connection.
    #[error("the connection failed: {0}")]
    Broken(String),
    /// The fault lies at this machine.
    #[error("the connection failed: {0}")]
    NotDialled(String, DialCause),
    /// 400 or 401, or `invalid_grant`.
    #[error("credentials refused: {0}")]
    Unauthenticated(String),
    /// 403.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// 404.
    #[error("not found: {0}")]
    NotFound(String),
    /// 429.
    #[error("too many requests: {0}")]
    Throttled(String),
    /// 5xx.
    #[error("it cannot serve us now ({status}): {message}")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// An answer that is not the CA's API.
    #[error("its answer is not that of the CA's API: {0}")]
    Malformed(String),
}

impl AuthorityError {
    /// A stable word for logs and metrics.
    pub const fn kind(&self) -> &'static str {
        match &self.failure {
            Failure::Settings(_) => "settings",
            Failure::NoCredentials(_) => "no-credentials",
            Failure::NameNotResolved => "name-not-resolved",
            Failure::Refused => "refused",
            Failure::Timeout => "timeout",
            Failure::UntrustedRoot => "untrusted-root",
            Failure::WrongHost => "wrong-host",
            Failure::CertificateTime => "certificate-time",
            Failure::Broken(_) => "broken",
            Failure::NotDialled(..) => "not-dialled",
            Failure::Unauthenticated(_) => "unauthenticated",
            Failure::Forbidden(_) => "forbidden",
            Failure::NotFound(_) => "not-found",
            Failure::Throttled(_) => "throttled",
            Failure::Unavailable { .. } => "unavailable",
            Failure::Malformed(_) => "malformed",
        }
    }

    /// Whose fault it is.
    pub const fn blame(&self) -> Blame {
        match &self.failure {
            Failure::Settings(_)
            | Failure::NoCredentials(_)
            | Failure::NotDialled(..)
            | Failure::Unauthenticated(_)
            | Failure::CertificateTime => Blame::Ours,
            _ => Blame::Authority,
        }
    }

    /// Whether the same call can succeed later with nothing changed on our side. A missing grant can be given.
    pub const fn retry(&self) -> Retry {
        match &self.failure {
            Failure::Settings(_) => Retry::Never,
            _ => Retry::Backoff,
        }
    }

    /// What the application is told.
    pub fn refusal(&self) -> Refusal {
        let blames_time = matches!(
            &self.failure,
            Failure::Unauthenticated(_) | Failure::CertificateTime
        );
        match self.skew.filter(Skew::is_notable) {
            Some(skew) if blames_time => Refusal::new(
                Code::ClockSkew,
                skew.to_string(),
                "set this machine's clock, for instance with NTP; no restart is needed",
            ),
            _ => self.plain_refusal(),
        }
    }

    fn plain_refusal(&self) -> Refusal {
        let (code, reason) = self.told();
        if let Failure::NotDialled(_, cause) = &self.failure {
            return Refusal::new(code, reason, cause.remedy("this program", "this machine"));
        }
        Refusal::new(code, reason, self.hint())
    }

    /// What happened, for people.
    fn told(&self) -> (Code, String) {
        let endpoint = &self.endpoint;
        match &self.failure {
            Failure::Settings(problem) => (Code::Settings, problem.clone()),
            Failure::NoCredentials(problem) => (
                Code::Unauthenticated,
                format!("there are no credentials: {problem}"),
            ),
            Failure::UntrustedRoot => (
                Code::CaUnreachable,
                format!("the certificate at {endpoint} is not from the CA's root"),
            ),
            Failure::WrongHost => (
                Code::CaUnreachable,
                format!("the certificate at {endpoint} is for another host"),
            ),
            Failure::CertificateTime => (
                Code::ClockSkew,
                format!("the certificate at {endpoint} is not valid at this machine's time"),
            ),
            failure @ (Failure::NameNotResolved
            | Failure::Refused
            | Failure::Timeout
            | Failure::Broken(_)) => (
                Code::CaUnreachable,
                format!("CA unreachable, retrying: {endpoint}: {failure}"),
            ),
            Failure::NotDialled(said, cause) => {
                let what = cause.describe("this program", "this machine");
                let reason = format!("the CA at {endpoint} {what}: {said}");
                (cause.code(Code::CaUnreachable), reason)
            }
            Failure::Unauthenticated(message) => (
                Code::Unauthenticated,
                format!("the CA refuses our credentials: {message}"),
            ),
            Failure::Forbidden(message) => (
                Code::NoGrant,
                format!("the CA does not allow it: {message}"),
            ),
            Failure::NotFound(message) => {
                (Code::NoGrant, format!("the CA does not know it: {message}"))
            }
            Failure::Throttled(message) => (
                Code::CaUnavailable,
                format!("the CA limits our requests: {message}"),
            ),
            Failure::Unavailable { status, message } => (
                Code::CaUnavailable,
                format!("the CA at {endpoint} cannot serve us now ({status}): {message}"),
            ),
            Failure::Malformed(problem) => (
                Code::CaUnavailable,
                format!("what answers at {endpoint} is not the CA's API: {problem}"),
            ),
        }
    }

    /// What to do about it.
    const fn hint(&self) -> &'static str {
        match &self.failure {
            Failure::Settings(_) => "correct the settings and start the program again",
            Failure::NoCredentials(_) => {
                "give a key file with --credentials-file or GOOGLE_APPLICATION_CREDENTIALS"
            }
            Failure::UntrustedRoot => {
                "use a current key file, or give the root with --ca-certificate"
            }
            Failure::WrongHost => "use the host name that the CA was set up with",
            Failure::CertificateTime => "check this machine's clock, then the CA's certificate",
            Failure::NameNotResolved
            | Failure::Refused
            | Failure::Timeout
            | Failure::Broken(_)
            | Failure::NotDialled(..) => "check that the CA runs and that this machine reaches it",
            Failure::Unauthenticated(_) => {
                "check the key file, or make a new one with `cloudsql-ca keys create`"
            }
            Failure::Forbidden(_) => "ask an administrator of the CA for a grant of role client",
            Failure::NotFound(_) => "check the instance's name",
            Failure::Throttled(_) => "wait a moment; the program tries again by itself",
            Failure::Unavailable { .. } => "see the CA's log; the program tries again by itself",
            Failure::Malformed(_) => "check the endpoint",
        }
    }
}
