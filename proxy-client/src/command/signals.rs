//! The signals that a command's parent hands on.

use std::io;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tracing::debug;

/// One that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caught(Signal);

/// All that are handed on.
pub(super) struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hangup: Stream,
    quit: Stream,
    user1: Stream,
    user2: Stream,
}

impl Signals {
    /// From now on they do not end this process any more.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Caught {
        Caught(tokio::select! {
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.hangup.recv() => Signal::HUP,
            _ = self.quit.recv() => Signal::QUIT,
            _ = self.user1.recv() => Signal::USR1,
            _ = self.user2.recv() => Signal::USR2,
        })
    }
}

impl Caught {
    /// Its number.
    pub(super) const fn number(self) -> i32 {
        self.0.as_raw()
    }

    /// Whether a terminal sends it to all processes in the foreground.
    pub(super) fn is_typed(self) -> bool {
        self.0 == Signal::INT || self.0 == Signal::QUIT
    }

    /// Sends it on. A child that has ended and was waited for has no number any more, so nobody else is met.
    pub(super) fn pass_to(self, child: &Child) {
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw)
            && let Err(error) = kill_process(pid, self.0)
        {
            debug!(%error, "a signal could not be handed on");
        }
    }
}
