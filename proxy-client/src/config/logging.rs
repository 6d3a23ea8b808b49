//! How the program logs: checked before all else, so that the rest can be logged.

use daemon::log::{LogLevel, Output, Style};
use daemon::settings::Complaints;

use crate::settings::Settings;

/// How the program logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// Level or directives; `None` for the default.
    pub level: Option<String>,
    /// Text or JSON.
    pub style: Style,
}

impl Logging {
    /// `--log-level` wins over `--quiet` and `--debug-logs`; JSON stays JSON with any of them.
    pub fn new(settings: &Settings) -> Self {
        let level = if let Some(level) = &settings.log_level {
            Some(level.clone())
        } else if settings.quiet == Some(true) {
            Some("error".to_owned())
        } else if settings.debug_logs == Some(true) {
            Some("debug".to_owned())
        } else {
            None
        };
        let style = if settings.structured_logs == Some(true) {
            Style::Json
        } else {
            Style::Text
        };
        Self { level, style }
    }

    /// Starts the log. What it gives changes the level later.
    ///
    /// # Errors
    /// A complaint about the level.
    pub fn start(&self, output: Output) -> Result<LogLevel, Complaints> {
        daemon::log::init(self.level.as_deref(), self.style, output)
    }
}
