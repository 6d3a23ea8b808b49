//! TCP listeners: their connections come with every option set, and cost no system call for it.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::acceptfrom_with;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::unix::AsyncFd;
use tracing::debug;

use super::{BACKLOG, FLAGS, next, watch};
use crate::socket::{TcpOptions, is_tuned, tune, unpace};

/// A TCP listener whose options its connections inherit.
#[derive(Debug)]
pub(super) struct Tcp {
    listener: AsyncFd<TcpListener>,
    options: TcpOptions,
    /// Whether a connection was seen to have the options from here: then all after it do, since they come in their order.
    /// Those that waited before the options were set have none of them, and some kernels (gVisor) never hand them on.
    is_inherited: AtomicBool,
    is_loopback: bool,
}

/// A listening socket at an address.
pub(super) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Tcp {
    pub(super) fn new(listener: TcpListener) -> io::Result<Self> {
        let options = TcpOptions::default();
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        unpace(&listener, addr);
        if let Err(error) = tune(&listener, &options) {
            debug!(%error, "options of a listener are not set");
        }
        Ok(Self {
            listener: watch(listener)?,
            options,
            is_inherited: AtomicBool::new(false),
            is_loopback: addr.ip().to_canonical().is_loopback(),
        })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.get_ref().local_addr()
    }

    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, addr) = next(&self.listener, |at| acceptfrom_with(at, FLAGS)).await?;
        let addr = SocketAddr::try_from(addr.ok_or(Errno::AFNOSUPPORT)?)?;
        let stream = TcpStream::from(socket);
        // A peer that is gone already fails its options: no reason to wait before the next.
        if let Err(error) = self.complete(&stream, addr) {
            debug!(%error, %addr, "options of an accepted connection are not set");
        }
        Ok((stream, addr))
    }

    /// Sets what a connection has not from its listener.
    fn complete(&self, stream: &TcpStream, peer: SocketAddr) -> io::Result<()> {
        let is_complete = self.is_inherited.load(Ordering::Relaxed);
        if !(is_complete && self.is_loopback) {
            unpace(stream, peer);
        }
        // Which of them have one depends on where they come from.
        if let Some(timeout) = self.options.towards(peer).user_timeout {
            SockRef::from(stream).set_tcp_user_timeout(Some(timeout))?;
        }
        if is_complete {
            return Ok(());
        }
        let options = self.options.towards(peer);
        if is_tuned(stream, &options).unwrap_or(false) {
            self.is_inherited.store(true, Ordering::Relaxed);
            return Ok(());
        }
        tune(stream, &options)
    }

    /// Gives its connections a user timeout, unless they come from this machine.
    pub(super) const fn set_user_timeout(&mut self, timeout: Option<Duration>) {
        self.options = self.options.with_user_timeout(timeout);
    }
}

#[cfg(test)]
mod tests;
