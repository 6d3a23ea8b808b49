//! A TCP or Unix socket.

use std::io::{Read, Result as IoResult, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::clients::Address;

/// A connected socket of either kind.
#[derive(Debug)]
pub enum Socket {
    /// TCP, without Nagle's delay: each write is a segment.
    Tcp(TcpStream),
    /// Unix.
    Unix(UnixStream),
}

impl Socket {
    /// Connects.
    pub fn connect(address: &Address) -> Result<Self> {
        let socket = match address {
            Address::Tcp { host, port } => TcpStream::connect((*host, *port)).map(Self::Tcp),
            Address::Socket(path) => UnixStream::connect(path).map(Self::Unix),
        };
        let socket = socket.with_context(|| format!("connecting to {address}"))?;
        if let Self::Tcp(stream) = &socket {
            stream.set_nodelay(true)?;
        }
        Ok(socket)
    }

    /// How long a read may take.
    pub fn set_patience(&self, patience: Option<Duration>) -> Result<()> {
        let set = match self {
            Self::Tcp(stream) => stream.set_read_timeout(patience),
            Self::Unix(stream) => stream.set_read_timeout(patience),
        };
        set.context("a read timeout")
    }

    /// How long a write may take.
    pub fn set_write_patience(&self, patience: Option<Duration>) -> Result<()> {
        let set = match self {
            Self::Tcp(stream) => stream.set_write_timeout(patience),
            Self::Unix(stream) => stream.set_write_timeout(patience),
        };
        set.context("a write timeout")
    }

    /// A second handle.
    pub fn twin(&self) -> Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
    }

    /// Ends one direction or both.
    pub fn shutdown(&self, how: Shutdown) -> IoResult<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}
