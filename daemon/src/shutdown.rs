//! How a program is told to stop: SIGTERM or SIGINT once to drain, twice to go now.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

/// What asked the program to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGINT, as from Ctrl-C.
    Interrupt,
    /// A request from within, such as an administrator's.
    Request,
}

/// The two steps of stopping, and who asked.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// First: accept nothing new, let sessions end.
    pub drain: CancellationToken,
    /// Second: end now.
    pub now: CancellationToken,
    cause: Arc<watch::Sender<Option<Signal>>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            drain: CancellationToken::new(),
            now: CancellationToken::new(),
            cause: Arc::new(watch::Sender::new(None)),
        }
    }
}

impl Shutdown {
    /// Listens to the process's signals, in a task of `tracker`, until the program ends.
    ///
    /// # Errors
    /// When the handlers cannot be set.
    pub fn on_signals(tracker: &TaskTracker) -> io::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let told = shutdown.clone();
        tracker.spawn(async move {
            loop {
                let signal = tokio::select! {
                    _ = terminate.recv() => Signal::Terminate,
                    _ = interrupt.recv() => Signal::Interrupt,
                    () = told.now.cancelled() => return,
                };
                told.request(signal);
            }
        });
        Ok(shutdown)
    }

    /// Asks to stop; asks a second time to stop now.
    pub fn request(&self, signal: Signal) {
        if self.drain.is_cancelled() {
            info!("stopping now");
            self.now.cancel();
        } else {
            info!(?signal, "stopping");
            self.cause.send_replace(Some(signal));
            self.drain.cancel();
        }
    }

    /// What asked first; `None` while nothing has.
    pub fn cause(&self) -> Option<Signal> {
        *self.cause.borrow()
    }

    /// Ends the listening task too. Call when the program is done.
    pub fn finish(&self) {
        self.drain.cancel();
        self.now.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_drains_and_the_second_ends() {
        let shutdown = Shutdown::default();
        assert_eq!(shutdown.cause(), None);
        shutdown.request(Signal::Terminate);
        assert!(shutdown.drain.is_cancelled() && !shutdown.now.is_cancelled());
        shutdown.request(Signal::Interrupt);
        assert!(shutdown.now.is_cancelled());
        assert_eq!(shutdown.cause(), Some(Signal::Terminate));
    }

    #[tokio::test]
    async fn a_signal_to_the_process_drains_it() {
        let tracker = TaskTracker::new();
        let shutdown = Shutdown::on_signals(&tracker).unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
            .unwrap();
        shutdown.drain.cancelled().await;
        assert_eq!(shutdown.cause(), Some(Signal::Terminate));
        shutdown.finish();
        tracker.close();
        tracker.wait().await;
    }
}
