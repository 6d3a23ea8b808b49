//! The listening socket of each instance.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use proto::Engine;
use transport::accept::Listener;

use crate::config::{InstanceConfig, Place, Ports};
use crate::error::MountError;
use crate::refresh::ConnectionInfo;

/// Any application of this machine may connect, as with Google's proxy; who must not, is kept out by the folder.
const SOCKET_MODE: u32 = 0o777;
/// The name of PostgreSQL's socket within the folder that its clients are given.
const POSTGRES_SOCKET: &str = ".s.PGSQL.5432";

/// Where exactly an instance's listener goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Decides where an instance's listener goes: MySQL is assumed until the CA has told.
///
/// # Errors
/// When the ports have run out.
pub fn spot(
    config: &InstanceConfig,
    known: Option<&ConnectionInfo>,
    ports: &mut Ports,
) -> Result<Spot, MountError> {
    let engine = known.map_or(Engine::Mysql, |info| info.engine);
    Ok(match &config.place {
        Place::Tcp {
            address,
            port: Some(port),
        } => Spot::Tcp(SocketAddr::new(*address, *port)),
        Place::Tcp {
            address,
            port: None,
        } => {
            let port = ports.next(engine).ok_or(MountError::NoPort)?;
            Spot::Tcp(SocketAddr::new(*address, port))
        }
        Place::UnixFolder(folder) => {
            let name = match known {
                Some(info) => info.name.to_string(),
                None => config.wanted.to_string(),
            };
            Spot::Unix(socket_in(folder.join(name), engine))
        }
        Place::UnixPath(path) if path.ends_with(POSTGRES_SOCKET) => Spot::Unix(path.clone()),
        Place::UnixPath(path) => Spot::Unix(socket_in(path.clone(), engine)),
    })
}

fn socket_in(path: PathBuf, engine: Engine) -> PathBuf {
    match engine {
        Engine::Postgres => path.join(POSTGRES_SOCKET),
        Engine::Mysql | Engine::Tcp => path,
    }
}

/// Begins to listen.
///
/// # Errors
/// [`MountError`] says what to change.
pub fn bind(spot: &Spot) -> Result<Listener, MountError> {
    match spot {
        Spot::Tcp(address) => Listener::bind_tcp(*address).map_err(|source| MountError::Tcp {
            address: *address,
            source,
        }),
        Spot::Unix(path) => {
            if let Some(folder) = path.parent() {
                make_folder(folder)?;
            }
            Ok(Listener::bind_unix(path, SOCKET_MODE)?)
        }
    }
}

fn make_folder(folder: &Path) -> Result<(), MountError> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(folder).map_err(|source| MountError::Folder {
        path: folder.to_owned(),
        source,
    })
}
