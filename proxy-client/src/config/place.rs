//! Where an instance's listener is, and by which address its agent is reached.

use std::net::IpAddr;
use std::path::PathBuf;

use daemon::settings::Complaints;
use proto::Engine;

use super::instance::InstanceConfig;

/// Where applications find an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A TCP address; without a port, the engine's own or the next free number above it.
    Tcp {
        /// The IP address.
        address: IpAddr,
        /// The port, where one was given.
        port: Option<u16>,
    },
    /// A Unix socket in a folder, named by the instance.
    UnixFolder(PathBuf),
    /// A Unix socket at exactly this path.
    UnixPath(PathBuf),
}

/// Which of an instance's addresses is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// The public one.
    #[default]
    Public,
    /// The private one.
    Private,
    /// The public one where there is one, else the private one.
    Either,
}

impl Route {
    pub(super) fn of(private_ip: Option<bool>, auto_ip: Option<bool>) -> Self {
        match (private_ip, auto_ip) {
            (Some(true), _) => Self::Private,
            (_, Some(true)) => Self::Either,
            _ => Self::Public,
        }
    }
}

/// What holds for all instances that do not say otherwise.
pub(super) struct Defaults {
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) unix_socket: Option<PathBuf>,
    pub(super) tunnel_port: u16,
    pub(super) route: Route,
}

/// An IP address: brackets around IPv6 are allowed, host names are not.
pub(super) fn ip(text: &str) -> Result<IpAddr, String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse()
        .map_err(|_| format!("expected an IP address, found {text}"))
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

impl Place {
    /// Whether the engine must be known to say where exactly it is.
    pub const fn depends_on_engine(&self) -> bool {
        match self {
            Self::Tcp { port, .. } => port.is_none(),
            Self::UnixFolder(_) | Self::UnixPath(_) => true,
        }
    }
}

/// Counts the engines' own ports up, each engine for itself.
#[derive(Default)]
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
