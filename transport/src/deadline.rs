//! Deadlines: points in time, kept by whoever starts something slow.

use tokio::time::Instant;

/// Runs a future until a deadline; `None` when it passes.
pub(crate) async fn before<T>(deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout_at(deadline, future).await.ok()
}
