//! When settings are read again: at SIGHUP, and when one of their files has changed.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use daemon::environment::Environment;
use daemon::log::{LogLevel, LogThrottle};
use daemon::settings::Complaints;
use tokio::signal::unix::Signal;
use tracing::{error, info};

use super::launch::Arguments;
use crate::config::{Config, Logging, watched};
use crate::serve::{Changed, Reload, ReloadError};

/// Between two looks at the files. They are looked at by name, so links that are replaced count as well.
const PACE: Duration = Duration::from_secs(1);
/// Between two attempts with the same files, while the CA cannot be reached.
const RETRY: Duration = Duration::from_secs(10);

/// What tells a file from what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark(Option<(SystemTime, u64)>);

/// Reads the settings again whenever there is reason to, for ever.
pub(super) async fn watch(
    reload: Reload,
    log: Option<LogLevel>,
    arguments: Arguments,
    mut files: Vec<PathBuf>,
    mut hangup: Signal,
) -> Infallible {
    let mut seen = marks(&files);
    let mut pause = PACE;
    let failures = LogThrottle::default();
    let mut again = Again {
        level: log.as_ref().and_then(LogLevel::chosen),
        log,
        reload,
        arguments,
    };
    loop {
        let is_asked = tokio::select! {
            _ = hangup.recv() => true,
            () = tokio::time::sleep(pause) => false,
        };
        let now = marks(&files);
        if !is_asked && now == seen {
            continue;
        }
        match again.read().await {
            Ok((changed, found)) => {
                let Changed {
                    added,
                    removed,
                    changed,
                } = changed;
                info!(added, removed, changed, "settings reloaded");
                (seen, files, pause) = (now, found, PACE);
            }
            Err(problem) => {
                let stays = problem.passes();
                // The CA that cannot be asked is tried on and on.
                if let Some(repeated) = failures.due(problem.to_string()) {
                    error!(%problem, repeated, "settings were not reloaded, the old ones stay");
                }
                if stays {
                    pause = RETRY;
                } else {
                    (seen, pause) = (now, PACE);
                }
            }
        }
    }
}

/// What is done with settings that are read again.
struct Again {
    reload: Reload,
    arguments: Arguments,
    log: Option<LogLevel>,
    /// The log's level as the settings said it last: an administrator may have set another.
    level: Option<String>,
}

impl Again {
    /// Takes the settings that the arguments, the environment and the files hold now; which files those are.
    async fn read(&mut self) -> Result<(Changed, Vec<PathBuf>), ReloadError> {
        let (config, level, files) = read(&self.arguments).map_err(ReloadError::Settings)?;
        let changed = self.reload.apply(config).await?;
        if level != self.level
            && let Some(log) = &self.log
        {
            log.set(level.as_deref()).map_err(ReloadError::Settings)?;
            info!(level = log.current(), "the log's level is changed");
            self.level = level;
        }
        Ok((changed, files))
    }
}

/// Everything that can be wrong with the settings shows here.
fn read(arguments: &Arguments) -> Result<(Config, Option<String>, Vec<PathBuf>), Complaints> {
    let environment = Environment::of_process();
    let settings = arguments.settings()?.load(&environment)?;
    let level = Logging::new(&settings).level;
    LogLevel::check(level.as_deref())?;
    let files = watched(&settings, &environment);
    Ok((Config::new(settings, &environment)?, level, files))
}

fn marks(files: &[PathBuf]) -> Vec<Mark> {
    let mark = |path: &PathBuf| -> Mark { Mark(metadata(path)) };
    files.iter().map(mark).collect()
}

fn metadata(path: &Path) -> Option<(SystemTime, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.ino()))
}
