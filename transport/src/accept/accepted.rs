//! A connection between its acceptance and the core that serves it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;

use tokio::runtime::Handle;

use crate::socket::{Peer, Socket};

/// An accepted connection that no runtime watches yet, so that the first which does is the one that serves it.
#[derive(Debug)]
pub(super) enum Accepted {
    /// From an address.
    Tcp(TcpStream, SocketAddr),
    /// From somebody on this machine.
    Unix(UnixStream),
}

impl Accepted {
    /// Has a runtime watch it, or the current one: it wakes that one's tasks.
    ///
    /// # Errors
    /// When it cannot be watched there: it is closed.
    pub(super) fn watched_by(self, runtime: Option<&Handle>) -> io::Result<(Socket, Peer)> {
        let _there = runtime.map(Handle::enter);
        match self {
            Self::Tcp(stream, addr) => {
                let socket = tokio::net::TcpStream::from_std(stream)?.into();
                let peer = Peer {
                    addr: Some(addr),
                    ..Peer::default()
                };
                Ok((socket, peer))
            }
            Self::Unix(stream) => {
                let stream = tokio::net::UnixStream::from_std(stream)?;
                let caller = stream.peer_cred().ok();
                let peer = Peer {
                    addr: None,
                    uid: caller.map(|caller| caller.uid()),
                    gid: caller.map(|caller| caller.gid()),
                };
                Ok((stream.into(), peer))
            }
        }
    }
}
