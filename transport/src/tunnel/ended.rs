//! Ends of a tunnel, and the reset that keeps a cut one from looking whole.

use std::io;

use proto::machine::{Face, Inputs};
use tracing::debug;

use crate::socket::Socket;
use crate::tls::TlsStream;

/// The end of a tunnel.
#[derive(Debug)]
pub struct Ended {
    /// Bytes written to the database.
    pub up: u64,
    /// Bytes written to the application.
    pub down: u64,
    /// The first cause; a failure of the database goes before the application's orderly end.
    pub by: EndedBy,
    /// False when anything may be missing: both sides must then see a reset, see [`reset_on_close`].
    pub is_orderly: bool,
    /// The error of a face, if one failed.
    pub error: Option<io::Error>,
    /// Bytes that were read from a face and could not be written to the other any more.
    pub unsent: Inputs,
}

/// Causes of a tunnel's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndedBy {
    /// The application said it was done.
    Application,
    /// The database (or the other end of the tunnel) said it was done.
    Database,
    /// One side was done and the other stayed quiet too long.
    Linger,
    /// Both sides stayed quiet too long.
    Idle,
    /// We were told to stop.
    Cancelled,
    /// A face failed.
    Error(Face),
}

impl EndedBy {
    /// The label in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Database => "database",
            Self::Linger => "linger",
            Self::Idle => "idle",
            Self::Cancelled => "cancelled",
            Self::Error(Face::Application) => "application-error",
            Self::Error(Face::Database) => "database-error",
        }
    }
}

/// A connection that a tunnel runs over.
pub trait Leg {
    /// Has the kernel reset it when it is closed, also by the death of this process, or close it in order.
    ///
    /// # Errors
    /// What the kernel says.
    fn reset_on_close(&self, on: bool) -> io::Result<()>;
}

impl Leg for Socket {
    fn reset_on_close(&self, on: bool) -> io::Result<()> {
        Self::reset_on_close(self, on)
    }
}

/// Our own client and agent take an end without close_notify for what it is, and lose none of the bytes before it. Other
/// TLS libraries may hide it (Python's does), so they get a reset.
impl Leg for TlsStream {
    fn reset_on_close(&self, on: bool) -> io::Result<()> {
        if self.alpn().is_some() {
            return Ok(());
        }
        self.socket().reset_on_close(on)
    }
}

/// Has the kernel reset both connections of a session when they are closed, or close them in order again.
///
/// On while a session runs, so that its peers see a reset after a failure, after a cut, and when this process is killed.
/// Off once it has ended in order: a reset would throw away bytes that are still on their way. A Unix socket cannot be
/// reset: its peer sees an end (ECONNRESET only when bytes of the peer's were left unread).
pub fn reset_on_close(app: &impl Leg, db: &impl Leg, on: bool) {
    for set in [app.reset_on_close(on), db.reset_on_close(on)] {
        if let Err(error) = set {
            debug!(%error, on, "a connection does not take the way in which it is to be closed");
        }
    }
}
