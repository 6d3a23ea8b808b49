//! The line about the start: when it is true, and until then what is missing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::health::Status;

/// Between two looks at the start.
const TICK: Duration = Duration::from_millis(50);
/// A start that takes longer is explained.
const USUAL: Duration = Duration::from_secs(1);

/// Logs that the program has started, once `/startup` says so.
pub(super) async fn announce(status: Arc<Status>, ended: CancellationToken) {
    let begun = Instant::now();
    let mut is_explained = false;
    while !status.has_started() {
        if !is_explained && begun.elapsed() >= USUAL {
            let missing = status.missing();
            warn!("The proxy listens, but is not ready for new connections yet: {missing}");
            is_explained = true;
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = ended.cancelled() => return,
        }
    }
    // Scripts for Google's proxy wait for this line.
    info!("The proxy has started successfully and is ready for new connections!");
}
