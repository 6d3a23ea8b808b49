//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything that should happen at once may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `probe` until it gives a value; fails, naming `what`, when it has not within `patience`.
pub fn until<T>(
    what: &str,
    patience: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = probe()? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("waited {patience:?} in vain for {what}");
        }
        pause();
    }
}

/// The space between two probes.
#[expect(
    clippy::disallowed_methods,
    reason = "no runtime here: each test has a thread of its own"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}
