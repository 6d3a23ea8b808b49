//! The level of a log at work: another one takes effect at once, for all threads.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::{EnvFilter, Registry};

use crate::settings::Complaints;

/// The filter of the log, to be changed.
pub(super) type Filter = reload::Layer<EnvFilter, Registry>;

/// What is said where no level was chosen.
pub const DEFAULT: &str = "default";

/// Changes what is logged.
#[derive(Clone, Debug)]
pub struct LogLevel {
    handle: Handle<EnvFilter, Registry>,
    chosen: Arc<Mutex<Option<String>>>,
}

impl LogLevel {
    /// As [`super::init`] takes it.
    pub(super) fn new(level: Option<&str>) -> Result<(Self, Filter), Complaints> {
        let (filter, handle) = reload::Layer::new(super::filter(level)?);
        let chosen = Arc::new(Mutex::new(level.map(str::to_owned)));
        Ok((Self { handle, chosen }, filter))
    }

    /// Changes it; `None` is the default. What is wrong changes nothing.
    ///
    /// # Errors
    /// A complaint about `level`.
    pub fn set(&self, level: Option<&str>) -> Result<(), Complaints> {
        let filter = super::filter(level)?;
        if let Err(error) = self.handle.reload(filter) {
            // Only a log that has ended does this, and then nobody reads.
            warn!(%error, "the log's level cannot be changed");
            return Ok(());
        }
        *self.lock() = level.map(str::to_owned);
        Ok(())
    }

    /// Whether it could be this.
    ///
    /// # Errors
    /// A complaint about `level`.
    pub fn check(level: Option<&str>) -> Result<(), Complaints> {
        super::filter(level).map(drop)
    }

    /// What was chosen last; `None` is the default.
    pub fn chosen(&self) -> Option<String> {
        self.lock().clone()
    }

    /// The same in one word.
    pub fn current(&self) -> String {
        self.chosen().unwrap_or_else(|| DEFAULT.to_owned())
    }

    /// Sets what the settings say at each SIGHUP, for ever; `read` reads them again.
    ///
    /// # Errors
    /// When the signal's handler cannot be set.
    pub async fn follow(
        self,
        read: impl Fn() -> Result<Option<String>, Complaints>,
    ) -> io::Result<Infallible> {
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            hangup.recv().await;
            let read = read().and_then(|level| self.set(level.as_deref()));
            match read {
                Ok(()) => info!(level = self.current(), "the log's level is read again"),
                Err(wrong) => error!(problem = %wrong, "the log's level stays as it was"),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
