//! Checks of the agents, so that readiness is measured where no application connects.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::health::Status;

/// Between two looks at which agents are to be checked.
const TICK: Duration = Duration::from_millis(250);

/// Checks the agents of all instances until cancelled, each where nothing recent is known of it.
pub(super) async fn check(status: Arc<Status>, ended: CancellationToken) {
    let work = async {
        loop {
            let mut checks = JoinSet::new();
            for served in status.served().iter() {
                let connector = Arc::clone(&served.connector);
                if connector.reach.is_stale() {
                    checks.spawn(async move { connector.check().await });
                }
            }
            while checks.join_next().await.is_some() {}
            tokio::time::sleep(TICK).await;
        }
    };
    ended.run_until_cancelled(work).await;
}
