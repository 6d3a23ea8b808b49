//! Sockets: TCP and Unix as one type, their options, and who is at the other end.

mod dial;
mod first;
mod names;
mod proxy;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Handle;
use tracing::debug;

pub use dial::{dial_tcp, dial_unix};
pub use first::first;
pub use names::{Names, ServiceAddress};
pub use proxy::{Exempt, Proxies, Proxy, dial_through};

/// Options of a TCP leg. `TCP_NODELAY` is always on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Silence before the first probe.
    pub keepalive_time: Duration,
    /// Silence between probes.
    pub keepalive_interval: Duration,
    /// Probes without an answer until the connection is given up.
    pub keepalive_retries: u32,
    /// How long sent bytes may stay without acknowledgement (`TCP_USER_TIMEOUT`).
    pub user_timeout: Duration,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            keepalive_time: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(10),
            keepalive_retries: 3,
            user_timeout: Duration::from_secs(60),
        }
    }
}

/// Sets the options of a TCP leg.
///
/// # Errors
/// When the kernel refuses one of them.
pub fn tune(stream: &TcpStream, options: &TcpOptions) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(options.keepalive_time)
        .with_interval(options.keepalive_interval)
        .with_retries(options.keepalive_retries);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(options.user_timeout))?;
    if stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback()) {
        // A pacing congestion control (bbr) costs a third of the throughput where nothing can be lost.
        if let Err(error) = socket.set_tcp_congestion(b"reno") {
            debug!(%error, "loopback leg keeps the system's congestion control");
        }
    }
    Ok(())
}

/// A connected stream socket of either kind.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// The same connection, watched by another runtime: it wakes that one's tasks.
    ///
    /// # Errors
    /// When it cannot be watched there.
    pub(crate) fn moved_to(self, runtime: &Handle) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => {
                let stream = stream.into_std()?;
                let _there = runtime.enter();
                TcpStream::from_std(stream).map(Self::Tcp)
            }
            Self::Unix(stream) => {
                let stream = stream.into_std()?;
                let _there = runtime.enter();
                UnixStream::from_std(stream).map(Self::Unix)
            }
        }
    }
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

    /// Sets the options of a TCP leg; a Unix socket has none.
    ///
    /// # Errors
    /// When the kernel refuses one of them.
    pub(crate) fn tune(&self, options: &TcpOptions) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => tune(stream, options),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tuned_leg_has_every_option() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        tune(&stream, &TcpOptions::default()).unwrap();
        let socket = SockRef::from(&stream);
        assert!(stream.nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), 30);
        assert_eq!(socket.tcp_keepalive_interval().unwrap().as_secs(), 10);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        let timeout = socket.tcp_user_timeout().unwrap();
        assert_eq!(timeout, Some(Duration::from_secs(60)));
    }
}
