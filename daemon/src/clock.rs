//! The wall clock: read here and nowhere else, so that tests can put another in its place.

use std::sync::Arc;
use std::time::SystemTime;

/// Something that tells the time.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The machine's clock.
pub fn system() -> Clock {
    Arc::new(now)
}

/// The machine's time. Wall clock: it jumps when somebody sets it, and runs on while the machine sleeps.
pub fn now() -> SystemTime {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    SystemTime::now()
}
