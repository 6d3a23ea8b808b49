//! What the service manager is told while the program lives: ready when it is, how it is, that it is alive.

use std::sync::Arc;
use std::time::Duration;

use daemon::notify;
use tokio_util::sync::CancellationToken;

use crate::health::Status;

/// Between two looks, until the program has started and afterwards.
const EARLY: Duration = Duration::from_millis(50);
const PACE: Duration = Duration::from_secs(1);
/// The start may take this much longer, said again and again: a CA that is down at boot is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tells until cancelled; nothing where nobody listens.
pub(super) async fn tell(status: Arc<Status>, ended: CancellationToken) {
    if !notify::is_wanted() {
        return;
    }
    let mut has_started = false;
    let mut told = String::new();
    let pace = notify::watchdog().map_or(PACE, |period| (period / 3).min(PACE));
    loop {
        if !has_started && status.has_started() {
            notify::ready();
            has_started = true;
        } else if !has_started {
            notify::starting(PATIENCE);
        }
        let line = status.line();
        if line != told {
            notify::status(&line);
            told = line;
        }
        notify::alive();
        let pause = if has_started { pace } else { EARLY.min(pace) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = ended.cancelled() => return,
        }
    }
}
