//! The path of a Unix socket: made with its mode, replaced only when stale, removed when done.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use socket2::{Domain, SockAddr, Type};
use tokio::net::UnixListener;
use tracing::debug;

use super::BACKLOG;
use crate::error::BindError;

/// Bytes of `sun_path` without its closing NUL (unix(7)).
const MAX_PATH: usize = 107;

/// A path that our socket stands on; removed on drop, unless another socket stands there by then.
#[derive(Debug)]
pub(super) struct Placed {
    path: PathBuf,
    file: FileId,
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64);

impl Placed {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|found| id(&found) == self.file);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            debug!(%error, path = ?self.path, "cannot remove the socket");
        }
    }
}

fn id(found: &fs::Metadata) -> FileId {
    FileId(found.dev(), found.ino())
}

/// Makes the socket. It never stands at its path with more permissions than `mode`.
pub(super) fn bind(path: &Path, mode: u32) -> Result<(UnixListener, Placed), BindError> {
    let length = path.as_os_str().as_bytes().len();
    if length > MAX_PATH {
        return Err(BindError::TooLong {
            path: path.to_owned(),
            length,
            limit: MAX_PATH,
        });
    }
    clear(path)?;
    let io = |doing| move |source| failed(path, doing, source);
    let (socket, placed) = place(path, mode)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(io("set the mode of"))?;
    socket
        .listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))
        .map_err(io("listen on"))?;
    socket.set_nonblocking(true).map_err(io("listen on"))?;
    let listener = UnixListener::from_std(socket.into()).map_err(io("listen on"))?;
    Ok((listener, placed))
}

/// A bound socket that does not listen yet; its mode is `mode` less the umask.
fn place(path: &Path, mode: u32) -> Result<(socket2::Socket, Placed), BindError> {
    let io = |doing| move |source| failed(path, doing, source);
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).map_err(io("open"))?;
    // Linux gives the path the mode of the unbound socket, less the umask: no moment with too wide a mode.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(mode))
        .map_err(|errno| failed(path, "set the mode of", errno.into()))?;
    let addr = SockAddr::unix(path).map_err(io("name"))?;
    socket.bind(&addr).map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            BindError::InUse {
                path: path.to_owned(),
            }
        } else {
            failed(path, "bind", source)
        }
    })?;
    let found = fs::symlink_metadata(path).map_err(io("look at"))?;
    let placed = Placed {
        path: path.to_owned(),
        file: id(&found),
    };
    Ok((socket, placed))
}

fn failed(path: &Path, doing: &'static str, source: io::Error) -> BindError {
    BindError::Io {
        path: path.to_owned(),
        doing,
        source,
    }
}

/// Removes a socket that nobody answers on; refuses everything else that stands there.
fn clear(path: &Path) -> Result<(), BindError> {
    let io = |doing, source| failed(path, doing, source);
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io("look at", error)),
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket {
            path: path.to_owned(),
        });
    }
    if answers(path).map_err(|error| io("try", error))? {
        return Err(BindError::InUse {
            path: path.to_owned(),
        });
    }
    // Another start of ours may have replaced it meanwhile: only the file that was tried is removed.
    match fs::symlink_metadata(path) {
        Ok(now) if id(&now) == id(&found) => {
            fs::remove_file(path).map_err(|error| io("remove", error))
        }
        _ => Ok(()),
    }
}

/// Whether somebody listens: asked without waiting, since a full backlog is an answer too.
fn answers(path: &Path) -> io::Result<bool> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_mode_holds_from_the_first_moment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db.sock");
        let (_socket, _placed) = place(&path, 0o600).unwrap();
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
