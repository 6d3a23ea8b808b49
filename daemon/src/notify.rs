//! What we tell the service manager, where there is one (`sd_notify(3)`).

use sd_notify::NotifyState;
use tracing::debug;

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
