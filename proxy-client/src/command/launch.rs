//! From settings to a program at work.

use daemon::environment::Environment;
use daemon::exit::Exit;
use daemon::log::Output;
use daemon::settings::complain;
use daemon::shutdown::Shutdown;
use tokio_util::task::TaskTracker;

use super::{PROGRAM, say};
use crate::config::{Config, Logging};
use crate::serve;
use crate::settings::Settings;

/// What the settings are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The program itself.
    Serving,
    /// Something whose standard output is not ours, and that wants to hear of trouble only.
    BesideAnother,
}

/// Serves until told to stop.
pub(super) fn serve(settings: Settings) -> Exit {
    let config = match configure(settings, Purpose::Serving) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    block_on(async {
        let signals = TaskTracker::new();
        let shutdown = match Shutdown::on_signals(&signals) {
            Ok(shutdown) => shutdown,
            Err(error) => return say::fail(&error),
        };
        match serve::start(config, daemon::clock::system(), shutdown).await {
            Ok(running) => running.until_stopped().await,
            Err(error) => say::fail(&error),
        }
    })
}

/// Reads the settings file below the flags, starts the log, and checks everything.
pub(super) fn configure(flags: Settings, purpose: Purpose) -> Result<Config, Exit> {
    let environment = Environment::of_process();
    let settings = flags
        .load(&environment)
        .map_err(|wrong| complain(PROGRAM, &wrong))?;
    let mut logging = Logging::new(&settings);
    let output = match purpose {
        Purpose::Serving => Output::Split,
        Purpose::BesideAnother => {
            logging.level.get_or_insert_with(|| "warn".to_owned());
            Output::Stderr
        }
    };
    logging
        .start(output)
        .map_err(|wrong| complain(PROGRAM, &wrong))?;
    Config::new(settings, &environment).map_err(|wrong| complain(PROGRAM, &wrong))
}

/// Runs a future on a runtime of its own.
pub(super) fn block_on(work: impl Future<Output = Exit>) -> Exit {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => say::fail(&error),
    }
}
