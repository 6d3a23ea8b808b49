//! Who serves connections: one single-threaded runtime per core, each connection on one of them for life.
//!
//! A scheduler that moves tasks between threads moves the two ends of a tunnel apart: one runtime per core answers a
//! fifth more small requests with a fifth less CPU time. The accepting thread hands connections out, rather than all threads
//! accepting from one port (`SO_REUSEPORT`): the kernel would deal them out by hash, however busy a thread is, and a second
//! copy of the program would take half of them without a word.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::accepted::Accepted;
use crate::socket::{Peer, Socket};

/// Serves connections, each on one core.
#[derive(Clone, Debug)]
pub struct Crew {
    cores: Arc<[Core]>,
    /// The threads end when nobody can give them work any more.
    _threads: Option<Arc<DropGuard>>,
}

/// One core and the connections that it serves.
#[derive(Debug, Default)]
struct Core {
    /// `None` is the runtime that accepts.
    elsewhere: Option<Handle>,
    connections: TaskTracker,
}

impl Crew {
    /// All connections are tasks of this tracker's, on the runtime that accepts them.
    pub fn here(connections: TaskTracker) -> Self {
        let elsewhere = None;
        Self {
            cores: [Core {
                elsewhere,
                connections,
            }]
            .into(),
            _threads: None,
        }
    }

    /// The runtime that accepts serves connections, and beside it a thread for each further core that we may use.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be had.
    pub fn on_all_cores() -> io::Result<Self> {
        Self::on(thread::available_parallelism().map_or(1, NonZero::get))
    }

    fn on(cores: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let here = std::iter::once(Ok(Core::default()));
        let elsewhere = (1..cores).map(|number| hire(number, stop.clone()));
        Ok(Self {
            cores: here.chain(elsewhere).collect::<io::Result<_>>()?,
            _threads: Some(Arc::new(stop.drop_guard())),
        })
    }

    /// Serves a connection on the core that serves the fewest. The socket wakes that core alone.
    ///
    /// # Errors
    /// When the socket cannot be watched there: it is closed.
    pub(super) fn serve<F>(
        &self,
        accepted: Accepted,
        life: impl FnOnce(Socket, Peer) -> F,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(core) = self.cores.iter().min_by_key(|core| core.connections.len()) else {
            return Ok(());
        };
        let (socket, peer) = accepted.watched_by(core.elsewhere.as_ref())?;
        match &core.elsewhere {
            None => core.connections.spawn(life(socket, peer)),
            Some(handle) => core.connections.spawn_on(life(socket, peer), handle),
        };
        Ok(())
    }

    /// How many connections are served.
    pub fn len(&self) -> usize {
        self.cores.iter().map(|core| core.connections.len()).sum()
    }

    /// Whether no connection is served.
    pub fn is_empty(&self) -> bool {
        self.cores.iter().all(|core| core.connections.is_empty())
    }

    /// Lets [`Crew::wait`] end once no connection is served.
    pub fn close(&self) {
        for core in self.cores.iter() {
            core.connections.close();
        }
    }

    /// Waits until it is closed and no connection is served.
    pub async fn wait(&self) {
        for core in self.cores.iter() {
            core.connections.wait().await;
        }
    }
}

/// Starts a thread with a runtime of its own, which lives until `stop`.
fn hire(number: usize, stop: CancellationToken) -> io::Result<Core> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let elsewhere = Some(runtime.handle().clone());
    thread::Builder::new()
        .name(format!("core-{number}"))
        .spawn(move || runtime.block_on(stop.cancelled()))?;
    Ok(Core {
        elsewhere,
        connections: TaskTracker::new(),
    })
}

#[cfg(test)]
mod tests;
