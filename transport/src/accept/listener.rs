//! Listening sockets: TCP and Unix as one type.

mod holder;
mod unix;

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tracing::debug;

use crate::error::BindError;
use crate::socket::{Peer, Socket, TcpOptions, tune};
pub use holder::name_holder;
pub use unix::UnixOptions;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// A listening socket of either kind.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    options: TcpOptions,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener, unix::Placed),
}

impl Listener {
    /// Listens on a TCP address; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// What the kernel says; of a port that is taken, who has it.
    pub fn bind_tcp(addr: SocketAddr) -> io::Result<Self> {
        Self::listen_tcp(addr).map_err(|error| name_holder(addr, error))
    }

    fn listen_tcp(addr: SocketAddr) -> io::Result<Self> {
        let socket = if addr.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        Ok(Self {
            kind: Kind::Tcp(socket.listen(BACKLOG)?),
            options: TcpOptions::default(),
        })
    }

    /// Takes over a TCP listener that was bound before the runtime was there, for instance by root.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            kind: Kind::Tcp(TcpListener::from_std(listener)?),
            options: TcpOptions::default(),
        })
    }

    /// Takes over a Unix listener that somebody else made and keeps: its path stays when this is dropped.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn from_std_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let placed = unix::Placed::of_others(&listener)?;
        Ok(Self {
            kind: Kind::Unix(UnixListener::from_std(listener)?, placed),
            options: TcpOptions::default(),
        })
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
        Ok(Self {
            kind: Kind::Unix(listener, placed),
            options: TcpOptions::default(),
        })
    }

    /// Uses other options for the TCP connections that it accepts.
    #[must_use]
    pub const fn with_options(mut self, options: TcpOptions) -> Self {
        self.options = options;
        self
    }

    /// Where it listens, for logs: an address or a path.
    pub fn local(&self) -> String {
        match &self.kind {
            Kind::Tcp(listener) => match listener.local_addr() {
                Ok(addr) => addr.to_string(),
                Err(_) => "unknown".to_owned(),
            },
            Kind::Unix(_, placed) => placed.path().display().to_string(),
        }
    }

    /// The address, over TCP.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Unix(..) => None,
        }
    }

    /// The next connection, with its options set.
    ///
    /// # Errors
    /// What the kernel says; the listener can be used on.
    pub async fn accept(&self) -> io::Result<(Socket, Peer)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, addr) = listener.accept().await?;
                // A peer that is gone already fails its options: no reason to wait before the next.
                if let Err(error) = tune(&stream, &self.options) {
                    debug!(%error, %addr, "options of an accepted connection are not set");
                }
                let peer = Peer {
                    addr: Some(addr),
                    ..Peer::default()
                };
                Ok((Socket::Tcp(stream), peer))
            }
            Kind::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let caller = stream.peer_cred().ok();
                let peer = Peer {
                    addr: None,
                    uid: caller.map(|caller| caller.uid()),
                    gid: caller.map(|caller| caller.gid()),
                };
                Ok((Socket::Unix(stream), peer))
            }
        }
    }
}

#[cfg(test)]
mod tests;
