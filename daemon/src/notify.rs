//! What we tell the service manager, where there is one (`sd_notify(3)`).

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

use crate::environment::Environment;

/// Whether anybody listens.
pub fn is_wanted() -> bool {
    Environment::of_process().get("NOTIFY_SOCKET").is_some()
}

/// Within which time [`alive`] is expected again; `None` when it is not.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// The program is alive.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// The start takes longer, and is not to be given up for this time.
pub fn starting(patience: Duration) {
    let micros = u32::try_from(patience.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::ExtendTimeoutUsec(micros)]);
}

/// The program is ready for connections.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// The program is stopping.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "the service manager could not be told");
    }
}
