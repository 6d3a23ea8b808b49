//! Listeners, and the loop that accepts: it never ends on an error and never passes its limit.

mod unix;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::error::BindError;
use crate::socket::{Peer, Socket, TcpOptions, tune};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;
/// First and longest wait after an accept that failed.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// One warning in this time, however many accepts fail or connections are refused.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// Refusals being told at the same time; beyond, a connection is closed without a word.
const REFUSALS: usize = 64;
/// Longest time for telling one refusal.
const REFUSAL_TIME: Duration = Duration::from_secs(5);

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
    /// What the kernel says.
    pub fn bind_tcp(addr: SocketAddr) -> io::Result<Self> {
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

    /// Listens on a Unix socket with these permission bits; its path is removed when the listener is dropped.
    ///
    /// A socket left over by a process that is gone is replaced; one that somebody answers on, and anything that
    /// is not a socket, is left alone.
    ///
    /// # Errors
    /// [`BindError`] says what is in the way.
    pub fn bind_unix(path: &Path, mode: u32) -> Result<Self, BindError> {
        let (listener, placed) = unix::bind(path, mode)?;
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
                tune(&stream, &self.options)?;
                let peer = Peer {
                    addr: Some(addr),
                    uid: None,
                };
                Ok((Socket::Tcp(stream), peer))
            }
            Kind::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let peer = Peer {
                    addr: None,
                    uid: stream.peer_cred().ok().map(|cred| cred.uid()),
                };
                Ok((Socket::Unix(stream), peer))
            }
        }
    }
}

/// Accepts until cancelled, each connection in a task of the tracker's, and closes the listener.
///
/// `on_connection` owns a permit of `permits`: the limit holds as long as it is kept. When no permit is left,
/// `on_limit` gets the connection, to refuse it in the protocol of whoever asked, within five seconds.
pub async fn accept_loop<C, L, CF, LF>(
    listener: Listener,
    permits: Arc<Semaphore>,
    cancel: CancellationToken,
    tracker: &TaskTracker,
    on_connection: C,
    on_limit: L,
) where
    C: Fn(Socket, Peer, OwnedSemaphorePermit) -> CF,
    L: Fn(Socket, Peer) -> LF,
    CF: Future<Output = ()> + Send + 'static,
    LF: Future<Output = ()> + Send + 'static,
{
    let local = listener.local();
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut limit_warning = Rarely::default();
    let mut next = Acceptor::new(listener, local.clone());
    loop {
        let (socket, peer) = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            accepted = next.accept() => accepted,
        };
        if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
            tracker.spawn(on_connection(socket, peer, permit));
            continue;
        }
        if limit_warning.due() {
            warn!(%local, "connection limit reached");
        }
        if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
            let told = on_limit(socket, peer);
            tracker.spawn(async move {
                if tokio::time::timeout(REFUSAL_TIME, told).await.is_err() {
                    debug!(%peer, "refusal was not read in time");
                }
                drop(permit);
            });
        }
    }
}

/// Where connections come from: a listener, or a test's script of failures.
trait Source {
    fn accept(&self) -> impl Future<Output = io::Result<(Socket, Peer)>> + Send;
}

impl Source for Listener {
    fn accept(&self) -> impl Future<Output = io::Result<(Socket, Peer)>> + Send {
        Self::accept(self)
    }
}

/// A source that waits after a failure and goes on: out of descriptors today, fine in a moment.
struct Acceptor<S> {
    source: S,
    local: String,
    backoff: Duration,
    warning: Rarely,
}

impl<S: Source> Acceptor<S> {
    fn new(source: S, local: String) -> Self {
        Self {
            source,
            local,
            backoff: BACKOFF.0,
            warning: Rarely::default(),
        }
    }

    async fn accept(&mut self) -> (Socket, Peer) {
        loop {
            match self.source.accept().await {
                Ok(accepted) => {
                    self.backoff = BACKOFF.0;
                    return accepted;
                }
                Err(error) => {
                    if self.warning.due() {
                        warn!(%error, local = %self.local, "cannot accept connections, trying on");
                    }
                    tokio::time::sleep(self.backoff).await;
                    self.backoff = (self.backoff * 2).min(BACKOFF.1);
                }
            }
        }
    }
}

/// Says yes once in [`WARN_EVERY`].
#[derive(Default)]
struct Rarely(Option<Instant>);

impl Rarely {
    fn due(&mut self) -> bool {
        let now = Instant::now();
        let due = self.0.is_none_or(|last| now - last >= WARN_EVERY);
        if due {
            self.0 = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests;
