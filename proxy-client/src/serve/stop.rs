//! How the program ends: go on accepting for a while, then let sessions end, then cut them.

use std::time::Duration;

use daemon::exit::Exit;
use daemon::notify;
use daemon::shutdown::Signal;
use tokio::time::timeout;
use tracing::{info, warn};

use super::Workers;
use crate::config::Stop;
use crate::health::Status;

/// Once cut, sessions and tasks end by themselves; who does not, is left behind.
const CUT: Duration = Duration::from_secs(5);

pub(super) async fn run(workers: &Workers, stop: Stop, status: &Status) -> Exit {
    workers.shutdown.drain.cancelled().await;
    notify::stopping();
    let drained = tokio::select! {
        drained = drain(workers, stop, status) => drained,
        () = workers.shutdown.now.cancelled() => workers.sessions.is_empty(),
    };
    status.stopping();
    workers.draining.cancel();
    workers.closed.cancel();
    workers.cut.cancel();
    workers.shutdown.finish();
    workers.sessions.close();
    workers.tasks.close();
    let ended = timeout(CUT, async {
        workers.sessions.wait().await;
        workers.told.cancel();
        workers.tasks.wait().await;
    });
    if ended.await.is_err() {
        warn!("some tasks did not end in time");
    }
    let signal = workers.shutdown.cause().unwrap_or(Signal::Request);
    if stop.exit_zero && signal == Signal::Terminate {
        return Exit::Success;
    }
    Exit::after(signal, drained)
}

/// `true` when all sessions ended by themselves.
async fn drain(workers: &Workers, stop: Stop, status: &Status) -> bool {
    tokio::time::sleep(stop.accept_for).await;
    status.stopping();
    // Who connects now is told so, rather than left with a port that is closed: pools go elsewhere at once.
    workers.draining.cancel();
    workers.sessions.close();
    let open = workers.sessions.len();
    if open > 0 {
        info!(open, "waiting for sessions to end");
    }
    let drained = timeout(stop.drain_for, workers.sessions.wait())
        .await
        .is_ok();
    if !drained {
        warn!(open = workers.sessions.len(), "sessions are cut");
    }
    drained
}
