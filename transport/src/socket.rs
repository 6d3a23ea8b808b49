//! Sockets: TCP and Unix as one type, and who is at the other end.

mod dial;
mod early;
mod first;
mod last;
mod names;
mod options;
mod proxy;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

pub use dial::{dial_tcp, dial_unix};
pub use first::first;
pub use names::{Names, ServiceAddress};
pub use options::TcpOptions;
#[cfg(test)]
pub(crate) use options::pacing;
pub(crate) use options::{is_tuned, tune, unpace};
pub use proxy::{Exempt, Proxies, Proxy, dial_through};

/// A connected stream socket of either kind.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// Has the current runtime watch it, in place of the one that did.
    ///
    /// # Errors
    /// When it cannot be watched here; then all is as it was.
    pub(crate) fn watch_here(&mut self) -> io::Result<()> {
        *self = match self {
            Self::Tcp(stream) => {
                let same = stream.as_fd().try_clone_to_owned()?;
                TcpStream::from_std(same.into()).map(Self::Tcp)?
            }
            Self::Unix(stream) => {
                let same = stream.as_fd().try_clone_to_owned()?;
                UnixStream::from_std(same.into()).map(Self::Unix)?
            }
        };
        Ok(())
    }

    /// Has the kernel reset the connection when it is closed, also by the death of this process, or close it in order.
    ///
    /// A Unix socket cannot be reset: its peer sees ECONNRESET only when bytes of its own were left unread.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn reset_on_close(&self, on: bool) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream).set_linger(on.then_some(Duration::ZERO)),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Sets the options of a TCP leg; a Unix socket has none.
    ///
    /// # Errors
    /// When the kernel refuses one of them.
    pub(crate) fn tune(&self, options: &TcpOptions) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => match stream.peer_addr() {
                Ok(end) => tune(stream, &options.towards(end)),
                Err(_) => tune(stream, options),
            },
            Self::Unix(_) => Ok(()),
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Who is at the other end of an accepted connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The address, over TCP.
    pub addr: Option<SocketAddr>,
    /// The user, over a Unix socket (`SO_PEERCRED`).
    pub uid: Option<u32>,
    /// The user's primary group, over a Unix socket.
    pub gid: Option<u32>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.addr, self.uid) {
            (Some(addr), _) => write!(f, "{addr}"),
            (None, Some(uid)) => write!(f, "uid:{uid}"),
            (None, None) => f.write_str("unknown"),
        }
    }
}
