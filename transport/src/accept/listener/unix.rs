//! The path of a Unix socket: ready before it can be seen, replaced only when stale, removed when done.

mod options;

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixStream;
use tracing::debug;

use super::{BACKLOG, holder};
use crate::error::BindError;
pub use options::UnixOptions;
use options::{ABSTRACT, MAX_PATH, too_long};

/// Names that are tried until one is free.
const MAX_TRIES: u32 = 100;
/// A path that our socket stands on; removed on drop, unless another socket stands there by then.
#[derive(Debug)]
pub(super) struct Placed {
    path: PathBuf,
    /// None for an abstract name, which goes with the socket, and for what others made.
    file: Option<FileId>,
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64);

impl Placed {
    /// Where a listener stands that is not ours to remove.
    pub(super) fn of_others(listener: &UnixListener) -> io::Result<Self> {
        use std::os::linux::net::SocketAddrExt as _;
        let address = listener.local_addr()?;
        let path = match (address.as_pathname(), address.as_abstract_name()) {
            (Some(path), _) => path.to_owned(),
            (None, Some(name)) => PathBuf::from(format!("{ABSTRACT}{}", name.escape_ascii())),
            (None, None) => PathBuf::from("a socket without a name"),
        };
        Ok(Self { path, file: None })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        let Some(file) = self.file else {
            return;
        };
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|found| id(&found) == file);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            debug!(%error, path = ?self.path, "cannot remove the socket");
        }
    }
}

fn id(found: &fs::Metadata) -> FileId {
    FileId(found.dev(), found.ino())
}

/// Makes the socket. It is seen at its path only when it listens, with its mode and group.
pub(super) fn bind(
    path: &Path,
    options: &UnixOptions,
) -> Result<(UnixListener, Placed), BindError> {
    options.check(path)?;
    let name = path.as_os_str().as_bytes();
    if let Some(name) = name.strip_prefix(&[ABSTRACT as u8]) {
        return bind_abstract(path, name);
    }
    let place = Place::of(path)?;
    place.check_length()?;
    place.clear()?;
    let (socket, mut placed) = place.make(options)?;
    let listener = listen(path, socket)?;
    place.publish(&mut placed)?;
    Ok((listener, placed))
}

fn bind_abstract(path: &Path, name: &[u8]) -> Result<(UnixListener, Placed), BindError> {
    let io = |doing| move |source| failed(path, doing, source);
    let mut bytes = vec![0];
    bytes.extend_from_slice(name);
    let addr = SockAddr::unix(std::ffi::OsStr::from_bytes(&bytes)).map_err(io("name"))?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(io("open"))?;
    socket.bind(&addr).map_err(|source| in_use(path, source))?;
    let placed = Placed {
        path: path.to_owned(),
        file: None,
    };
    Ok((listen(path, socket)?, placed))
}

fn listen(path: &Path, socket: Socket) -> Result<UnixListener, BindError> {
    let io = |doing| move |source| failed(path, doing, source);
    socket.listen(BACKLOG).map_err(io("listen on"))?;
    socket.set_nonblocking(true).map_err(io("listen on"))?;
    Ok(socket.into())
}

/// Where a socket goes: its folder, held open, and its name there.
struct Place<'a> {
    path: &'a Path,
    folder: OwnedFd,
    name: &'a Path,
}

impl<'a> Place<'a> {
    fn of(path: &'a Path) -> Result<Self, BindError> {
        let name = path.file_name().map(Path::new);
        let name = name.ok_or_else(|| BindError::NotASocket {
            path: path.to_owned(),
        })?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(CWD, folder, flags, Mode::empty())
            .map_err(|errno| failed(path, "open the folder of", errno.into()))?;
        Ok(Self { path, folder, name })
    }

    /// By its folder's descriptor the name alone counts.
    fn check_length(&self) -> Result<(), BindError> {
        let reached = bytes_of(&self.short(self.name));
        if reached > MAX_PATH {
            let limit = MAX_PATH.saturating_sub(reached - bytes_of(self.name));
            return Err(too_long(self.path, bytes_of(self.name), limit));
        }
        Ok(())
    }

    fn through_folder(&self, name: &Path) -> PathBuf {
        let folder = format!("/proc/self/fd/{}", self.folder.as_raw_fd());
        Path::new(&folder).join(name)
    }

    /// A name in the folder, as short as it takes.
    fn short(&self, name: &Path) -> PathBuf {
        let plain = self.path.with_file_name(name);
        if bytes_of(&plain) <= MAX_PATH {
            plain
        } else {
            self.through_folder(name)
        }
    }

    /// A bound socket that does not listen yet, under a name that nobody looks for.
    fn make(&self, options: &UnixOptions) -> Result<(Socket, Placed), BindError> {
        let io = |doing| move |source| failed(self.path, doing, source);
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(io("open"))?;
        // Linux gives the path the mode of the unbound socket, less the umask: no moment with too wide a mode.
        rustix::fs::fchmod(&socket, Mode::from_raw_mode(options.mode))
            .map_err(|errno| failed(self.path, "set the mode of", errno.into()))?;
        let path = self.bind_somewhere(&socket).map_err(io("bind"))?;
        let found = fs::symlink_metadata(&path).map_err(io("look at"))?;
        let placed = Placed {
            file: Some(id(&found)),
            path,
        };
        if let Some(group) = options.group {
            std::os::unix::fs::lchown(&placed.path, None, Some(group))
                .map_err(io("give to its group"))?;
        }
        fs::set_permissions(&placed.path, Permissions::from_mode(options.mode))
            .map_err(io("set the mode of"))?;
        Ok((socket, placed))
    }

    /// Binds to the first name that is free: a start that was killed may have left one.
    fn bind_somewhere(&self, socket: &Socket) -> io::Result<PathBuf> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut tries = 0;
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = self.short(Path::new(&format!(".{}-{number}", std::process::id())));
            match socket.bind(&SockAddr::unix(&path)?) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < MAX_TRIES => {
                    tries += 1;
                }
                bound => return bound.map(|()| path),
            }
        }
    }

    /// Gives the socket its name, at once and only if nobody else took it meanwhile.
    fn publish(&self, placed: &mut Placed) -> Result<(), BindError> {
        let (from, to) = (&placed.path, self.name);
        let renamed =
            rustix::fs::renameat_with(CWD, from, &self.folder, to, RenameFlags::NOREPLACE);
        let renamed = match renamed {
            // The file system does not know how to ask: the name was free a moment ago.
            Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::renameat(CWD, from, &self.folder, to),
            renamed => renamed,
        };
        renamed.map_err(|errno| in_use(self.path, errno.into()))?;
        self.path.clone_into(&mut placed.path);
        Ok(())
    }

    /// Removes a socket that nobody answers on; refuses everything else that stands there.
    fn clear(&self) -> Result<(), BindError> {
        let path = self.path;
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
        let listening = listening(&self.short(self.name)).map_err(|error| io("try", error))?;
        if let Some(by) = listening {
            return Err(BindError::InUse {
                path: path.to_owned(),
                by,
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
}

fn bytes_of(path: &Path) -> usize {
    path.as_os_str().as_bytes().len()
}

fn in_use(path: &Path, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::AlreadyExists => BindError::InUse {
            path: path.to_owned(),
            by: holder::process(None),
        },
        _ => failed(path, "bind", source),
    }
}

fn failed(path: &Path, doing: &'static str, source: io::Error) -> BindError {
    BindError::Io {
        path: path.to_owned(),
        doing,
        source,
    }
}

/// Who listens, if anybody does: asked without waiting, since a full backlog is an answer too.
fn listening(path: &Path) -> io::Result<Option<String>> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => {
            let stream = UnixStream::from_std(OwnedFd::from(socket).into())?;
            let process = stream
                .peer_cred()?
                .pid()
                .and_then(|id| u32::try_from(id).ok());
            Ok(Some(holder::process(process)))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Some(holder::process(None))),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
