//! The listening socket of each instance.

mod regard;

use std::fs::DirBuilder;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use proto::Engine;
use tracing::warn;
use transport::accept::{Listener, UnixOptions};

use crate::config::{Address, Handed, InstanceConfig, POSTGRES_SOCKET, Place, Ports, Wanted};
use crate::error::MountError;
use crate::refresh::Told;
pub use regard::{Regarded, regard};

/// Folders that are made for sockets: for the owner and the group.
const FOLDER_MODE: u32 = 0o750;
/// Ports that the kernel chose for one family and the other has not.
const LOCALHOST_TRIES: usize = 16;

/// Where exactly an instance's listener goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A port of both of this machine's own addresses.
    Localhost(u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Spot {
    /// The same, one listener each.
    pub fn parts(&self) -> Vec<Self> {
        match *self {
            Self::Localhost(port) if port != 0 => {
                let at = |ip| Self::Tcp(SocketAddr::new(ip, port));
                vec![
                    at(Ipv4Addr::LOCALHOST.into()),
                    at(Ipv6Addr::LOCALHOST.into()),
                ]
            }
            Self::Localhost(_) | Self::Tcp(_) | Self::Unix(_) => vec![self.clone()],
        }
    }

    /// Whether this is in a folder where the other one is a socket: both cannot be.
    pub fn is_below(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unix(path), Self::Unix(other)) => path != other && path.starts_with(other),
            _ => false,
        }
    }
}

/// Decides where an instance's listener goes: MySQL is assumed until the CA has told.
///
/// # Errors
/// When the ports have run out.
pub fn spot(
    config: &InstanceConfig,
    known: Option<&Told>,
    ports: &mut Ports,
) -> Result<Spot, MountError> {
    let engine = known.map_or(Engine::Mysql, |told| told.engine);
    Ok(match &config.place {
        Place::Tcp {
            address,
            port: Some(port),
        } => tcp(*address, *port),
        Place::Tcp {
            address,
            port: None,
        } => {
            let port = ports.next(engine).ok_or(MountError::NoPort)?;
            tcp(*address, port)
        }
        Place::UnixFolder(folder) => {
            let name = match known {
                // A domain stays what it is, wherever it leads.
                Some(told) if !matches!(config.wanted, Wanted::Domain(_)) => told.name.to_string(),
                _ => config.wanted.to_string(),
            };
            Spot::Unix(socket_in(folder.join(name), engine))
        }
        Place::UnixPath(path) if path.ends_with(POSTGRES_SOCKET) => Spot::Unix(path.clone()),
        Place::UnixPath(path) => Spot::Unix(socket_in(path.clone(), engine)),
    })
}

const fn tcp(address: Address, port: u16) -> Spot {
    match address {
        Address::Ip(ip) => Spot::Tcp(SocketAddr::new(ip, port)),
        Address::Localhost => Spot::Localhost(port),
    }
}

fn socket_in(path: PathBuf, engine: Engine) -> PathBuf {
    match engine {
        Engine::Postgres => path.join(POSTGRES_SOCKET),
        Engine::Mysql | Engine::Tcp => path,
    }
}

/// Begins to listen; at two addresses where localhost is meant.
///
/// # Errors
/// [`MountError`] says what to change.
pub fn bind(spot: &Spot, options: &UnixOptions) -> Result<Vec<Listener>, MountError> {
    match spot {
        Spot::Tcp(address) => Ok(vec![bind_tcp(*address)?]),
        Spot::Localhost(port) => bind_localhost(*port),
        Spot::Unix(path) => {
            // Before a folder is made for nothing.
            options.check(path)?;
            if let Some(folder) = path.parent()
                && !is_abstract(path)
            {
                make_folder(folder)?;
            }
            Ok(vec![Listener::bind_unix_with(path, options)?])
        }
    }
}

/// Goes on with a listener that is there already.
///
/// # Errors
/// [`MountError::Inherited`] with what the kernel says.
pub fn adopt(handed: Handed) -> Result<Listener, MountError> {
    let adopted = match handed {
        Handed::Tcp(listener) => Listener::from_std(listener),
        Handed::Unix(listener) => Listener::from_std_unix(listener),
    };
    adopted.map_err(MountError::Inherited)
}

fn bind_tcp(address: SocketAddr) -> Result<Listener, MountError> {
    Listener::bind_tcp(address).map_err(|source| MountError::Tcp { address, source })
}

/// Both families on one port. A family that this machine has not, or whose port is taken, is said to be missing.
fn bind_localhost(port: u16) -> Result<Vec<Listener>, MountError> {
    let at = |ip: IpAddr, port| bind_tcp(SocketAddr::new(ip, port));
    let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    let mut tries = 0;
    loop {
        tries += 1;
        let first = at(v4, port);
        let chosen = first.as_ref().ok().and_then(Listener::local_addr);
        let second = at(v6, chosen.map_or(port, |addr| addr.port()));
        return match (first, second) {
            (Ok(first), Ok(second)) => Ok(vec![first, second]),
            (Ok(_), Err(error)) if port == 0 && is_taken(&error) && tries < LOCALHOST_TRIES => {
                continue;
            }
            (Ok(one), Err(error)) | (Err(error), Ok(one)) => {
                warn_of_half(&error, Some(one.local()));
                Ok(vec![one])
            }
            (Err(error), Err(_)) => Err(error),
        };
    }
}

/// One of localhost's two addresses is not to be had, and the other is listened for.
pub fn warn_of_half(problem: &MountError, listening: Option<String>) {
    warn!(
        error = transport::error::chain(problem),
        listening, "localhost is listened for at one of its two addresses"
    );
}

fn is_taken(error: &MountError) -> bool {
    matches!(error, MountError::Tcp { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
}

/// Whether the name stands in no folder.
fn is_abstract(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().starts_with(b"@")
}

fn make_folder(folder: &Path) -> Result<(), MountError> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(folder);
    made.map_err(|source| MountError::Folder {
        path: folder.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_both_families_on_one_port() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _inside = runtime.enter();
        let listeners = bind_localhost(0).unwrap();
        let addresses: Vec<SocketAddr> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap())
            .collect();
        let port = addresses[0].port();
        assert_eq!(
            addresses,
            [
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
                SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port)
            ]
        );
        // Half of it is better than nothing, all of it taken is an error that names the port.
        let error = bind_localhost(port).unwrap_err().to_string();
        assert!(error.contains(&port.to_string()), "{error}");
        let mut listeners = listeners;
        listeners.truncate(1);
        let other = bind_localhost(port).unwrap();
        assert_eq!(other.len(), 1);
        assert_eq!(other[0].local(), format!("[::1]:{port}"));
    }

    #[test]
    fn no_folder_is_made_for_a_socket_that_cannot_be() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("f".repeat(120));
        let spot = Spot::Unix(folder.join("db.sock"));
        assert!(bind(&spot, &UnixOptions::of_mode(0o600)).is_err());
        assert!(!folder.exists());
    }

    #[test]
    fn a_folder_that_is_made_is_not_for_everybody() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        make_folder(&folder).unwrap();
        let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{mode:o}");
    }
}
