//! The loop that accepts: it never ends on an error and never passes its limit.

mod accepted;
mod callers;
mod crew;
mod listener;
mod source;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use proto::Code;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::socket::{Peer, Socket};
use accepted::Accepted;
pub use callers::{Callers, Network, NotANetwork, Stranger};
pub use crew::Crew;
pub use listener::{Listener, UnixOptions, name_holder};
pub use source::Source;

/// First and longest wait after an accept that failed.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// One warning in this time, however many accepts fail or connections are refused.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// Refusals being told at the same time; beyond, a connection is closed without a word.
const REFUSALS: usize = 64;
/// Longest time for telling one refusal.
const REFUSAL_TIME: Duration = Duration::from_secs(5);

/// Accepts until cancelled, each connection in a task of the crew's, and closes the listener.
///
/// `on_connection` owns a permit of `permits`: the limit holds as long as it is kept. When no permit is left,
/// `on_limit` gets the connection, to refuse it in the protocol of whoever asked, within five seconds.
pub async fn accept_loop<C, L, CF, LF>(
    listener: Listener,
    permits: Arc<Semaphore>,
    cancel: CancellationToken,
    crew: &Crew,
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
        let accepted = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            accepted = next.accept() => accepted,
        };
        if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
            begin(crew, accepted, |socket, peer| {
                on_connection(socket, peer, permit)
            });
            continue;
        }
        if limit_warning.due() {
            warn!(code = %Code::Limit, %local, "connection limit reached");
        }
        if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
            begin(crew, accepted, |socket, peer| {
                let told = on_limit(socket, peer);
                async move {
                    if tokio::time::timeout(REFUSAL_TIME, told).await.is_err() {
                        debug!(%peer, "refusal was not read in time");
                    }
                    drop(permit);
                }
            });
        }
    }
}

/// Gives a connection to the crew.
fn begin<F>(crew: &Crew, accepted: Accepted, life: impl FnOnce(Socket, Peer) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    if let Err(error) = crew.serve(accepted, life) {
        warn!(%error, "a connection could not be served");
    }
}

/// A listener, or a test's script of failures.
trait Incoming {
    fn accept(&self) -> impl Future<Output = io::Result<Accepted>> + Send;
}

impl Incoming for Listener {
    fn accept(&self) -> impl Future<Output = io::Result<Accepted>> + Send {
        Self::accept(self)
    }
}

/// A listener that waits after a failure and goes on: out of descriptors today, fine in a moment.
struct Acceptor<I> {
    incoming: I,
    local: String,
    backoff: Duration,
    warning: Rarely,
}

impl<I: Incoming> Acceptor<I> {
    fn new(incoming: I, local: String) -> Self {
        Self {
            incoming,
            local,
            backoff: BACKOFF.0,
            warning: Rarely::default(),
        }
    }

    async fn accept(&mut self) -> Accepted {
        loop {
            match self.incoming.accept().await {
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
