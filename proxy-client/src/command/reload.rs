//! When settings are read again: at SIGHUP, and when one of their files has changed.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use daemon::environment::Environment;
use daemon::settings::Complaints;
use tokio::signal::unix::Signal;
use tracing::{error, info};

use super::launch::Arguments;
use crate::config::{Config, watched};
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
    arguments: Arguments,
    mut files: Vec<PathBuf>,
    mut hangup: Signal,
) -> Infallible {
    let mut seen = marks(&files);
    let mut pause = PACE;
    loop {
        let is_asked = tokio::select! {
            _ = hangup.recv() => true,
            () = tokio::time::sleep(pause) => false,
        };
        let now = marks(&files);
        if !is_asked && now == seen {
            continue;
        }
        match again(&arguments, &reload).await {
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
                error!(%problem, "settings were not reloaded, the old ones stay");
                if stays {
                    pause = RETRY;
                } else {
                    (seen, pause) = (now, PACE);
                }
            }
        }
    }
}

async fn again(
    arguments: &Arguments,
    reload: &Reload,
) -> Result<(Changed, Vec<PathBuf>), ReloadError> {
    let (config, files) = read(arguments).map_err(ReloadError::Settings)?;
    let changed = reload.apply(config).await?;
    Ok((changed, files))
}

/// The settings that the arguments, the environment and the files hold now, and which files those are.
fn read(arguments: &Arguments) -> Result<(Config, Vec<PathBuf>), Complaints> {
    let environment = Environment::of_process();
    let settings = arguments.settings()?.load(&environment)?;
    let files = watched(&settings, &environment);
    Ok((Config::new(settings, &environment)?, files))
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
