//! Listening sockets: TCP and Unix as one type.

mod holder;
mod tcp;
mod unix;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use rustix::io::retry_on_intr;
use rustix::net::{SocketFlags, accept_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::accepted::Accepted;
use crate::error::BindError;
pub use holder::name_holder;
pub use unix::UnixOptions;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;
/// What accepted connections are from the first moment.
const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// A listening socket of either kind.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(tcp::Tcp),
    Unix(AsyncFd<UnixListener>, unix::Placed),
}

impl Listener {
    /// Listens on a TCP address; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// What the kernel says; of a port that is taken, who has it.
    pub fn bind_tcp(addr: SocketAddr) -> io::Result<Self> {
        let listener = tcp::listen(addr).map_err(|error| name_holder(addr, error))?;
        Self::from_std(listener)
    }

    /// Takes over a TCP listener that was bound before the runtime was there, for instance by root.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn from_std(listener: TcpListener) -> io::Result<Self> {
        Ok(Self(Kind::Tcp(tcp::Tcp::new(listener)?)))
    }

    /// Takes over a Unix listener that somebody else made and keeps: its path stays when this is dropped.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn from_std_unix(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let placed = unix::Placed::of_others(&listener)?;
        Ok(Self(Kind::Unix(watch(listener)?, placed)))
    }

    /// Listens on a Unix socket with these permission bits; its path is removed when the listener is dropped.
    ///
    /// A socket left over by a process that is gone is replaced; one that somebody answers on, and anything that
    /// is not a socket, is left alone.
    ///
    /// # Errors
    /// [`BindError`] says what is in the way.
    pub fn bind_unix(path: &Path, mode: u32) -> Result<Self, BindError> {
        Self::bind_unix_with(path, &UnixOptions::of_mode(mode))
    }

    /// The same with more to say about it. A path that begins with `@` is an abstract name: it stands in no folder,
    /// so mode and group do not guard it.
    ///
    /// # Errors
    /// [`BindError`] says what is in the way.
    pub fn bind_unix_with(path: &Path, options: &UnixOptions) -> Result<Self, BindError> {
        let (listener, placed) = unix::bind(path, options)?;
        let listener = watch(listener).map_err(|source| BindError::Io {
            path: path.to_owned(),
            doing: "watch",
            source,
        })?;
        Ok(Self(Kind::Unix(listener, placed)))
    }

    /// Gives its connections a user timeout ([`TcpOptions::user_timeout`]), unless they come from this machine.
    ///
    /// [`TcpOptions::user_timeout`]: crate::socket::TcpOptions::user_timeout
    #[must_use]
    pub const fn with_user_timeout(mut self, timeout: Option<Duration>) -> Self {
        if let Kind::Tcp(listener) = &mut self.0 {
            listener.set_user_timeout(timeout);
        }
        self
    }

    /// Where it listens, for logs: an address or a path.
    pub fn local(&self) -> String {
        match &self.0 {
            Kind::Tcp(listener) => match listener.local_addr() {
                Ok(addr) => addr.to_string(),
                Err(_) => "unknown".to_owned(),
            },
            Kind::Unix(_, placed) => placed.path().display().to_string(),
        }
    }

    /// The address, over TCP.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Unix(..) => None,
        }
    }

    /// The next connection, with its options set.
    ///
    /// # Errors
    /// What the kernel says; the listener can be used on.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match &self.0 {
            Kind::Tcp(listener) => {
                let (stream, addr) = listener.accept().await?;
                Ok(Accepted::Tcp(stream, addr))
            }
            Kind::Unix(listener, _) => {
                let socket = next(listener, |at| accept_with(at, FLAGS)).await?;
                Ok(Accepted::Unix(socket.into()))
            }
        }
    }
}

/// Has the current runtime wake whoever waits for a listener's next connection.
fn watch<L: AsRawFd>(listener: L) -> io::Result<AsyncFd<L>> {
    #[expect(
        deprecated,
        reason = "what its unsafe successor asks for holds: listeners of std keep one open descriptor all their lives"
    )]
    AsyncFd::with_interest(listener, Interest::READABLE)
}

/// Waits for a listener's next connection and takes it, without having the runtime watch it: another one may serve it.
async fn next<L: AsRawFd, A>(
    listener: &AsyncFd<L>,
    accept: impl Fn(&L) -> rustix::io::Result<A>,
) -> io::Result<A> {
    let accept = |listener: &L| Ok(retry_on_intr(|| accept(listener))?);
    listener.async_io(Interest::READABLE, accept).await
}

#[cfg(test)]
mod tests;
