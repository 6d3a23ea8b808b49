//! Where an instance's listener is, and by which address its agent is reached.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

use daemon::settings::Complaints;
use proto::Engine;
use transport::accept::{Callers, UnixOptions};

use super::instance::InstanceConfig;

/// The name of PostgreSQL's socket within the folder that its clients are given.
pub const POSTGRES_SOCKET: &str = ".s.PGSQL.5432";

/// Where applications find an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A TCP address; without a port, the engine's own or the next free number above it.
    Tcp {
        /// The address.
        address: Address,
        /// The port, where one was given.
        port: Option<u16>,
    },
    /// A Unix socket in a folder, named by the instance.
    UnixFolder(PathBuf),
    /// A Unix socket at exactly this path.
    UnixPath(PathBuf),
}

/// A host and a port, as in `agent.example:3307` or `[fd00::1]:3307`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The name or the address, an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected HOST:PORT, as in agent.example:3307, found {text:?}");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let is_host = match bare {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains([':', '/', '@', '[', ']', ' ']),
        };
        let port = port.parse().ok().filter(|port| *port != 0 && is_host);
        Ok(Self {
            port: port.ok_or_else(wrong)?,
            host: bare.unwrap_or(host).to_owned(),
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where an instance's agents are, whatever the CA says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectTo {
    /// At one host's port.
    Host(HostPort),
    /// Where DNS has the service, as `_csql._tcp.db.example` (SRV): hosts and ports in an order.
    Service(String),
}

impl FromStr for ConnectTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_service(text) {
            return Ok(Self::Service(text.to_owned()));
        }
        let wrong = |problem| format!("{problem}; or a service of DNS, as _csql._tcp.db.example");
        text.parse().map(Self::Host).map_err(wrong)
    }
}

impl fmt::Display for ConnectTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::Service(name) => f.write_str(name),
        }
    }
}

/// Whether this is the name of a service (RFC 2782): no host's name begins so.
pub(crate) fn is_service(name: &str) -> bool {
    let mut labels = name.split('.');
    let mut is_next = |is: fn(&str) -> bool| labels.next().is_some_and(is);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    is_next(|service| service.len() > 1 && service.starts_with('_'))
        && is_next(|protocol| protocol.len() > 1 && protocol.starts_with('_'))
        && is_next(|domain| !domain.is_empty())
        && name.bytes().all(is_plain)
}

/// Where a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// At one IP address.
    Ip(IpAddr),
    /// At both addresses of this machine that nobody else reaches, 127.0.0.1 and ::1.
    Localhost,
}

impl Default for Address {
    fn default() -> Self {
        Self::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}

impl Address {
    /// Whether all of the machine's addresses are meant, those that strangers reach included.
    pub const fn is_wildcard(&self) -> bool {
        match self {
            Self::Ip(ip) => ip.is_unspecified(),
            Self::Localhost => false,
        }
    }
}

impl FromStr for Address {
    type Err = String;

    /// Brackets around IPv6 are allowed, host names other than localhost are not.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("localhost") {
            return Ok(Self::Localhost);
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        bare.parse()
            .map(Self::Ip)
            .map_err(|_| format!("expected an IP address or localhost, found {text:?}"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Localhost => f.write_str("localhost"),
        }
    }
}

/// Which of an instance's addresses is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// The public one.
    #[default]
    Public,
    /// The private one.
    Private,
    /// The name for Private Service Connect.
    Psc,
    /// The public one where there is one, else the private one.
    Either,
}

impl Route {
    pub(super) const fn of(
        private_ip: Option<bool>,
        psc: Option<bool>,
        auto_ip: Option<bool>,
    ) -> Self {
        match (private_ip, psc, auto_ip) {
            (Some(true), ..) => Self::Private,
            (_, Some(true), _) => Self::Psc,
            (.., Some(true)) => Self::Either,
            _ => Self::Public,
        }
    }
}

/// What holds for all instances that do not say otherwise.
pub(super) struct Defaults {
    pub(super) address: Address,
    pub(super) port: Option<u16>,
    pub(super) unix_socket: Option<PathBuf>,
    pub(super) tunnel_port: u16,
    pub(super) connect_to: Option<ConnectTo>,
    pub(super) route: Route,
    pub(super) socket: UnixOptions,
    pub(super) callers: Callers,
}

/// Gives instances without a port of their own the first port and those that follow, as Google's proxy does.
pub(super) fn count_up(
    instances: &mut [InstanceConfig],
    first: Option<u16>,
    complaints: &mut Complaints,
) {
    let Some(first) = first else {
        return;
    };
    let mut next = Some(first);
    for instance in instances {
        let Place::Tcp {
            port: port @ None, ..
        } = &mut instance.place
        else {
            continue;
        };
        match next {
            Some(number) => *port = Some(number),
            None => complaints.add("port", "counts up beyond 65535: begin with a lower one"),
        }
        next = next.and_then(|number| number.checked_add(1));
    }
}

/// Two instances cannot be at one place: the second would never be listened for.
pub(super) fn apart(instances: &[InstanceConfig], complaints: &mut Complaints) {
    for (at, one) in instances.iter().enumerate() {
        let place = match &one.place {
            Place::Tcp {
                address,
                port: Some(port),
            } => format!("port {port} of {address}"),
            Place::UnixPath(path) => path.display().to_string(),
            Place::Tcp { port: None, .. } | Place::UnixFolder(_) => continue,
        };
        let mut before = instances.iter().take(at);
        if let Some(other) = before.find(|other| other.place == one.place) {
            let problem = format!("is at {place}, where {} is already", other.wanted);
            complaints.add(format!("instance {}", one.wanted), problem);
        }
    }
}

impl Place {
    /// Whether the engine must be known to say where exactly it is.
    pub fn depends_on_engine(&self) -> bool {
        match self {
            Self::Tcp { port, .. } => port.is_none(),
            Self::UnixFolder(_) => true,
            Self::UnixPath(path) => !path.ends_with(POSTGRES_SOCKET),
        }
    }
}

/// Counts the engines' own ports up, each engine for itself.
#[derive(Clone, Default)]
pub struct Ports {
    mysql: u16,
    postgres: u16,
}

impl Ports {
    /// The next port for an engine. MySQL's are used for what has no habit of its own.
    pub fn next(&mut self, engine: Engine) -> Option<u16> {
        let base = engine.default_port().or(Engine::Mysql.default_port())?;
        let used = match engine {
            Engine::Postgres => &mut self.postgres,
            Engine::Mysql | Engine::Tcp => &mut self.mysql,
        };
        let port = base.checked_add(*used)?;
        *used = used.checked_add(1)?;
        Some(port)
    }
}
