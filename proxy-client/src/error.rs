//! Why a session did not come about, or the program did not start.

use proto::{Code, InstanceName, Refusal};
use transport::authority::AuthorityError;
use transport::error::{BindError, DialError, NameError, chain};
use transport::tls::{Alert, MaterialError, TlsError};
use transport::{Blame, Retry};

/// The CA did not give us what a connection needs.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RefreshError {
    /// The call failed.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The instance is somewhere else than its name says.
    #[error("{wanted} is in region {region}")]
    Region {
        /// The name that was given.
        wanted: InstanceName,
        /// What the CA says.
        region: String,
    },
    /// The CA's answer names no instance.
    #[error("the CA's answer does not name the instance")]
    Unnamed,
    /// There is no address of the kind asked for.
    #[error("the CA knows no {kind} address of the instance")]
    NoAddress {
        /// `PRIMARY`, `PRIVATE` or `PRIVATE_SERVICE_CONNECT`.
        kind: &'static str,
    },
    /// The CA names no server CA.
    #[error("the CA names no server CA of the instance")]
    NoServerCa,
    /// The certificate or the roots do not parse.
    #[error("the CA's certificates cannot be used")]
    Material(#[from] MaterialError),
    /// The certificate is not valid when it comes.
    #[error("the CA gave a certificate that is not valid now")]
    NotValid,
    /// DNS does not say which instance is meant.
    #[error(transparent)]
    Name(#[from] NameError),
    /// What DNS says at a domain is no instance.
    #[error("no TXT record of {domain:?} is the name of an instance")]
    NoInstance {
        /// The domain.
        domain: String,
    },
    /// TLS cannot be set up with them. Kept as text: one failure is told to all who wait.
    #[error("{0}")]
    Tls(String),
}

impl RefreshError {
    /// The label in logs and metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Authority(error) => error.kind(),
            Self::Region { .. } => "region",
            Self::Unnamed => "unnamed",
            Self::NoAddress { .. } => "no-address",
            Self::NoServerCa => "no-server-ca",
            Self::Material(_) => "material",
            Self::NotValid => "not-valid",
            Self::Name(_) => "name",
            Self::NoInstance { .. } => "no-instance",
            Self::Tls(_) => "tls-setup",
        }
    }

    /// Whose fault.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Authority(error) => error.blame(),
            Self::Region { .. } | Self::Name(_) | Self::NoInstance { .. } => Blame::Ours,
            _ => Blame::Authority,
        }
    }

    /// Whether it can mend itself.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Authority(error) => error.retry(),
            _ => Retry::Backoff,
        }
    }

    /// What the application is told.
    pub fn refusal(&self) -> Refusal {
        let hint = match self {
            Self::Authority(error) => return error.refusal(),
            Self::Region { wanted, region } => {
                let right = format!("{}:{region}:{}", wanted.project(), wanted.instance());
                let hint = format!("name it {right}, or by its short name");
                return Refusal::new(Code::Settings, self.to_string(), hint);
            }
            Self::NoAddress { .. } => {
                "set the instance's address at the CA, or try with or without --private-ip and --psc"
            }
            Self::NotValid => "check the CA's clock",
            Self::Name(NameError::NoRecord { .. }) | Self::NoInstance { .. } => {
                let hint = "write project:region:instance into a TXT record there, or name the instance itself";
                return Refusal::new(Code::Settings, self.to_string(), hint);
            }
            Self::Name(NameError::Failed { .. }) => {
                let hint = "check this machine's DNS servers (/etc/resolv.conf)";
                return Refusal::new(Code::AgentUnreachable, self.to_string(), hint);
            }
            Self::Unnamed | Self::NoServerCa | Self::Material(_) | Self::Tls(_) => {
                "check that the endpoint is the CA's, and compare versions"
            }
        };
        Refusal::new(Code::CaUnavailable, chain(self), hint)
    }
}

/// A session did not come about.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No certificate and settings.
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    /// None in time.
    #[error("the CA did not answer in time")]
    RefreshDeadline,
    /// The agent does not accept connections.
    #[error("the agent cannot be reached")]
    Dial(#[from] DialError),
    /// TLS failed.
    #[error("no tunnel to the agent")]
    Tls(#[from] TlsError),
    /// The agent said no after the handshake, as TLS 1.3 does it.
    #[error("the agent refused the connection with alert {}", .0.name())]
    Alert(Alert),
    /// The agent said no in its frame.
    #[error("{0}")]
    Refused(Refusal),
    /// The agent ended the connection without a word.
    #[error("the agent ended the connection before the database spoke")]
    Closed(#[source] Option<std::io::Error>),
    /// The agent broke the protocol.
    #[error("the agent broke the protocol: {0}")]
    Violation(#[from] proto::machine::Violation),
    /// The agent or the database behind it kept silent.
    #[error("the database did not speak in time")]
    Deadline,
    /// Too many tunnels were being opened all the time that there was.
    #[error("{0} connections are being opened already, and none of them made room in time")]
    Crowded(usize),
    /// The application's first byte cannot begin a session of its engine.
    #[error("the application does not speak the database's protocol: its first byte is {0:#04x}")]
    NotTheProtocol(u8),
}

impl SessionError {
    /// Whether waiting may be enough: nobody need change anything on this side or give a grant.
    pub fn passes(&self) -> bool {
        !matches!(
            self.refusal().code,
            Code::Settings
                | Code::Unauthenticated
                | Code::NoGrant
                | Code::ClockSkew
                | Code::AgentIdentity
                | Code::CertificateRefused
        )
    }

    /// The label in logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refresh(error) => error.kind(),
            Self::RefreshDeadline => "refresh-deadline",
            Self::Dial(error) => error.kind(),
            Self::Tls(error) => error.kind(),
            Self::Alert(_) => "alert",
            Self::Refused(refusal) => refusal.code.as_str(),
            Self::Closed(_) => "closed",
            Self::Violation(_) => "violation",
            Self::Deadline => "deadline",
            Self::Crowded(_) => "crowded",
            Self::NotTheProtocol(_) => "not-the-protocol",
        }
    }

    /// Whose fault.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Refresh(error) => error.blame(),
            Self::RefreshDeadline => Blame::Authority,
            Self::Tls(error) => error.blame(),
            Self::Deadline => Blame::Database,
            Self::Crowded(_) | Self::NotTheProtocol(_) => Blame::Application,
            Self::Dial(error) => error.blame(Blame::Peer),
            Self::Alert(_) | Self::Refused(_) | Self::Closed(_) | Self::Violation(_) => Blame::Peer,
        }
    }

    /// Whether newer settings or a newer certificate may help: the CA was rotated, or the certificate is refused.
    pub const fn is_mended_by_refresh(&self) -> bool {
        match self {
            Self::Tls(TlsError::ServerCertificate(_)) => true,
            // During the handshake it is not about ours; the address may be another instance's agent by now.
            Self::Tls(TlsError::Alert(alert)) | Self::Alert(alert) => alert.is_about_certificate(),
            _ => false,
        }
    }

    /// Whether it may be the fault of a tunnel that was kept ready too long, and not that of what it leads to.
    pub const fn is_mended_by_another_tunnel(&self) -> bool {
        match self {
            Self::Closed(_) | Self::Alert(_) => true,
            Self::Refused(refusal) => matches!(
                refusal.code,
                Code::CertificateRefused | Code::Draining | Code::Deadline
            ),
            _ => false,
        }
    }

    /// What the application is told.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Refresh(error) => error.refusal(),
            Self::RefreshDeadline => Refusal::new(
                Code::CaUnreachable,
                self.to_string(),
                "check that the CA runs and that this machine reaches it",
            ),
            Self::Dial(error) => Refusal {
                reason: chain(self),
                ..error.refusal(Code::AgentUnreachable)
            },
            Self::Tls(error) => error.refusal(),
            Self::Alert(alert) => alert.refusal(),
            Self::Refused(refusal) => refusal.clone(),
            Self::Closed(_) => Refusal::new(
                Code::AgentUnreachable,
                chain(self),
                "see the agent's log for the reason",
            ),
            Self::Violation(_) => Refusal::new(
                Code::Protocol,
                self.to_string(),
                "check that the address is an agent's, and compare versions",
            ),
            Self::Deadline => Refusal::new(
                Code::Deadline,
                self.to_string(),
                "check the database and the agent's log",
            ),
            Self::Crowded(_) => Refusal::new(
                Code::Limit,
                self.to_string(),
                "find out with cloudsql-proxy doctor why openings take long, or connect less often",
            ),
            Self::NotTheProtocol(_) => Refusal::new(
                Code::Protocol,
                self.to_string(),
                "check which program connects to this port, and what it takes it for",
            ),
        }
    }
}

/// A mount did not come about.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The TCP address is not to be had.
    #[error("cannot listen on {address}: choose another address or port")]
    Tcp {
        /// Which.
        address: std::net::SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The Unix socket is not to be had.
    #[error(transparent)]
    Unix(#[from] BindError),
    /// The folder of a Unix socket is not to be had.
    #[error("cannot use the folder {path}")]
    Folder {
        /// Which.
        path: std::path::PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// What was handed over cannot be used.
    #[error("cannot use the socket that the service manager handed over")]
    Inherited(#[source] std::io::Error),
    /// There is no port left.
    #[error("no port is left for the instance: give one with ?port=")]
    NoPort,
}
