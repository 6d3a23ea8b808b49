//! The level of a log at work: another one takes effect at once, for all threads.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::{EnvFilter, Registry};

use crate::settings::Complaints;

/// The filter of the log, to be changed.
pub(super) type Filter = reload::Layer<EnvFilter, Registry>;

/// What is said where no level was chosen.
const DEFAULT: &str = "default";

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
        *self.chosen() = level.map(str::to_owned);
        Ok(())
    }

    /// What was chosen last.
    pub fn current(&self) -> String {
        self.chosen().clone().unwrap_or_else(|| DEFAULT.to_owned())
    }

    fn chosen(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
