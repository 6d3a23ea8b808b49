//! Whether the program's main thread is at work: probes have a thread of their own and would answer for a dead one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Probe, Verdict};

/// Between two beats.
const PACE: Duration = Duration::from_secs(1);
/// A runtime that has not run a task for so long stands still.
const LIMIT: Duration = Duration::from_secs(30);

/// The last time that a runtime ran a task.
#[derive(Debug)]
pub(super) struct Pulse {
    begun: Instant,
    /// Milliseconds since then.
    last: AtomicU64,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            last: AtomicU64::new(0),
        }
    }

    /// Beats for ever, on the runtime that is watched.
    pub(super) async fn beat(&self) {
        loop {
            let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.last.store(now, Ordering::Relaxed);
            tokio::time::sleep(PACE).await;
        }
    }

    /// The probe, and red when the runtime stands still.
    pub(super) fn watched(self: &Arc<Self>, probe: Probe) -> Probe {
        let pulse = Arc::clone(self);
        Arc::new(move || pulse.stuck(Instant::now()).unwrap_or_else(|| probe()))
    }

    fn stuck(&self, now: Instant) -> Option<Verdict> {
        let last = self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed));
        let silent = now.saturating_duration_since(last);
        (silent > LIMIT).then(|| Verdict {
            healthy: false,
            body: format!(
                "{{\"alive\":false,\"stands_still_for_s\":{}}}",
                silent.as_secs()
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_runtime_that_stands_still_is_dead_after_half_a_minute_and_not_before() {
        let pulse = Pulse::new();
        drop(tokio::time::timeout(Duration::from_millis(1), pulse.beat()).await);
        assert_eq!(pulse.stuck(Instant::now()), None);
        assert_eq!(pulse.stuck(Instant::now() + LIMIT / 2), None);
        let stuck = pulse.stuck(Instant::now() + LIMIT * 2).unwrap();
        assert!(!stuck.healthy && stuck.body.contains("stands_still_for_s"));
    }
}
