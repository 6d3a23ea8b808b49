//! Several attempts at one thing: in order, each with a head start over the next (RFC 8305).

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::deadline::before;

/// The first attempt that succeeds; those that lost are dropped. One that fails costs its successor nothing.
///
/// # Errors
/// All failures, in the order in which they came.
pub async fn first<T, E, F>(attempts: Vec<F>, head_start: Duration) -> Result<T, Vec<E>>
where
    T: Send + 'static,
    E: Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut failed = Vec::new();
    let mut waiting = attempts.into_iter();
    loop {
        if let Some(attempt) = waiting.next() {
            running.spawn(attempt);
        }
        let is_last = waiting.len() == 0;
        let ended = if is_last {
            Some(running.join_next().await)
        } else {
            before(Instant::now() + head_start, running.join_next()).await
        };
        match ended {
            Some(Some(Ok(Ok(done)))) => return Ok(done),
            Some(Some(Ok(Err(error)))) => failed.push(error),
            Some(None) if is_last => return Err(failed),
            // The head start is over.
            Some(None | Some(Err(_))) | None => {}
        }
    }
}
