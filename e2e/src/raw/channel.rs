//! What packets travel in: a socket, or TLS on it. Counts what passes once it is told to.

use std::fmt;
use std::io::{Read, Result as IoResult, Write};

use anyhow::{Result, bail};
use aws_lc_rs::digest::{Context, SHA256};
use rustls::{ClientConnection, StreamOwned};

use super::socket::Socket;
use super::tls;

/// What has passed in one direction: how much, and its SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct Direction {
    /// Bytes.
    pub bytes: u64,
    digest: Vec<u8>,
}

impl fmt::Debug for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of hash {:02x?}", self.bytes, self.digest)
    }
}

/// What has passed both ways since the login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// From the application to the database.
    pub up: Direction,
    /// From the database to the application.
    pub down: Direction,
}

/// Counts and hashes one direction.
#[derive(Clone)]
pub(super) struct Gauge {
    bytes: u64,
    hash: Context,
}

impl Default for Gauge {
    fn default() -> Self {
        Self {
            bytes: 0,
            hash: Context::new(&SHA256),
        }
    }
}

impl Gauge {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.hash.update(bytes);
    }

    pub(super) fn reading(&self) -> Direction {
        Direction {
            bytes: self.bytes,
            digest: self.hash.clone().finish().as_ref().to_vec(),
        }
    }
}

enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
    /// Between the two.
    Moving,
}

/// See the module.
pub(super) struct Channel {
    stream: Stream,
    gauges: Option<(Gauge, Gauge)>,
    /// Stands in for the socket while it moves.
    twin: Socket,
}

impl Channel {
    pub(super) fn plain(socket: Socket) -> Result<Self> {
        Ok(Self {
            twin: socket.twin()?,
            stream: Stream::Plain(socket),
            gauges: None,
        })
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.twin
    }

    pub(super) const fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    pub(super) fn certificates(&self) -> usize {
        match &self.stream {
            Stream::Tls(stream) => stream.conn.peer_certificates().map_or(0, <[_]>::len),
            Stream::Plain(_) | Stream::Moving => 0,
        }
    }

    pub(super) fn start_tls(&mut self, ahead: &[u8]) -> Result<()> {
        match std::mem::replace(&mut self.stream, Stream::Moving) {
            Stream::Plain(socket) => {
                let tls = tls::shake_hands(socket, ahead)?;
                self.stream = Stream::Tls(Box::new(tls));
                Ok(())
            }
            Stream::Tls(_) | Stream::Moving => bail!("TLS inside TLS"),
        }
    }

    pub(super) fn begin_counting(&mut self) {
        self.gauges = Some(<(Gauge, Gauge)>::default());
    }

    pub(super) fn passed(&self) -> Passed {
        let (up, down) = self.gauges.clone().unwrap_or_default();
        Passed {
            up: up.reading(),
            down: down.reading(),
        }
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        let length = match &mut self.stream {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
            Stream::Moving => Ok(0),
        }?;
        if let Some((_, down)) = &mut self.gauges {
            down.add(buffer.get(..length).unwrap_or_default());
        }
        Ok(length)
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        let length = match &mut self.stream {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
            Stream::Moving => Ok(0),
        }?;
        if let Some((up, _)) = &mut self.gauges {
            up.add(bytes.get(..length).unwrap_or_default());
        }
        Ok(length)
    }

    fn flush(&mut self) -> IoResult<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(stream) => stream.flush(),
            Stream::Moving => Ok(()),
        }
    }
}
