//! Renewal ahead of need: makes connections fast, decides nothing.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use proto::schedule;
use tokio_util::sync::CancellationToken;

use super::Refresher;

/// Longest sleep: timers stand still while the machine sleeps, and the clock may be set.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// Renews until cancelled, and follows the name where it leads.
pub async fn keep_fresh(refresher: Arc<Refresher>, cancel: CancellationToken) {
    tokio::join!(renew(&refresher, &cancel), refresher.watch(cancel.clone()));
}

async fn renew(refresher: &Arc<Refresher>, cancel: &CancellationToken) {
    let mut attempts = refresher.attempts.subscribe();
    // Drawn once a certificate, so that a fleet that was started together does not renew together.
    let mut random = draw();
    loop {
        let wait = wait(refresher, random);
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(wait.min(MAX_SLEEP)) => {}
            changed = attempts.changed() => {
                if changed.is_err() {
                    return;
                }
                random = draw();
                continue;
            }
        }
        let known = refresher.last_known().map_or(0, |info| info.number);
        if wait > MAX_SLEEP || !refresher.renew(known) {
            continue;
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = attempts.changed() => if changed.is_err() { return },
        }
        random = draw();
    }
}

fn wait(refresher: &Refresher, random: f64) -> Duration {
    let failures = refresher.state().failures.count;
    if failures > 0 {
        return schedule::backoff(failures, random);
    }
    let Some(info) = refresher.last_known() else {
        return Duration::ZERO;
    };
    let now = refresher.source.now();
    let elapsed = now.duration_since(info.not_before).unwrap_or_default();
    schedule::renew_in(info.lifetime(), elapsed, random)
}

/// A number in `0.0..1.0`.
fn draw() -> f64 {
    let mut bytes = [0; 4];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        // No randomness: everybody in the middle is better than nobody at all.
        Err(_) => 0.5,
    }
}
