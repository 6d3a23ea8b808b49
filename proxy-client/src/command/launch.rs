//! From settings to a program at work.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::CommandFactory as _;
use daemon::environment::Environment;
use daemon::exit::Exit;
use daemon::log::Output;
use daemon::settings::{Complaints, check_variables, complain, nearest, parse_again};
use daemon::shutdown::Shutdown;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::TaskTracker;

use super::{CommandLine, PROGRAM, reload, say};
use crate::config::{Config, Logging, watched};
use crate::serve;
use crate::settings::{Settings, VARIABLES};

/// What the settings are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The program itself.
    Serving,
    /// Something whose standard output is not ours, and that wants to hear of trouble only.
    BesideAnother,
}

/// What the program was called with, to be read again.
pub(super) struct Arguments(Vec<OsString>);

impl Arguments {
    pub(super) fn new(arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self(arguments.into_iter().collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = OsString> {
        self.0.iter().cloned()
    }

    /// The settings in them.
    pub(super) fn settings(&self) -> Result<Settings, Complaints> {
        let line: CommandLine = parse_again(self.iter())?;
        Ok(line.settings)
    }
}

/// Serves until told to stop.
pub(super) fn serve(settings: Settings, arguments: Arguments) -> Exit {
    let mistaken = mistaken(&settings);
    if !mistaken.is_empty() {
        return complain(PROGRAM, &mistaken);
    }
    let (mut config, files) = match configure_all(settings, Purpose::Serving) {
        Ok(configured) => configured,
        Err(exit) => return exit,
    };
    let log = config.log.clone();
    // Before the runtime starts its threads.
    if let Err(wrong) = config.inherit(&Environment::of_process()) {
        return complain(PROGRAM, &wrong);
    }
    block_on(async {
        let signals = TaskTracker::new();
        let shutdown = match Shutdown::on_signals(&signals) {
            Ok(shutdown) => shutdown,
            Err(error) => return say::fail(&error),
        };
        let hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return say::fail(&error),
        };
        let running = match serve::start(config, daemon::clock::system(), shutdown).await {
            Ok(running) => running,
            Err(error) => return say::fail(&error),
        };
        let watch = reload::watch(running.reload(), log, arguments, files, hangup);
        tokio::select! {
            exit = running.until_stopped() => exit,
            never = watch => match never {},
        }
    })
}

/// The sub-commands whose names are too long to be an instance's by chance.
const LONG_COMMAND: usize = 6;

/// Complains of instances without a flag that are nearly the name of a sub-command: `docter` would be served otherwise.
fn mistaken(settings: &Settings) -> Complaints {
    let commands = CommandLine::command();
    let commands: Vec<&str> = commands
        .get_subcommands()
        .map(clap::Command::get_name)
        .filter(|name| name.len() >= LONG_COMMAND)
        .collect();
    let mut complaints = Complaints::default();
    for name in &settings.instances {
        let is_counted = name.ends_with(|last: char| last.is_ascii_digit());
        let near = nearest(name, commands.iter().copied()).filter(|_| !is_counted);
        if let Some(command) = near {
            complaints.add(
                name.clone(),
                format!("did you mean {command}? An instance of this name is --instance={name}"),
            );
        }
    }
    complaints
}

/// Reads the settings file below the flags, starts the log, and checks everything.
pub(super) fn configure(flags: Settings, purpose: Purpose) -> Result<Config, Exit> {
    configure_all(flags, purpose).map(|(config, _)| config)
}

/// The same, and which files all that was read from.
fn configure_all(flags: Settings, purpose: Purpose) -> Result<(Config, Vec<PathBuf>), Exit> {
    let environment = Environment::of_process();
    let settings = load(flags, &environment).map_err(|wrong| complain(PROGRAM, &wrong))?;
    let mut logging = Logging::new(&settings);
    let output = match purpose {
        Purpose::Serving => Output::Split,
        Purpose::BesideAnother => {
            logging.level.get_or_insert_with(|| "warn".to_owned());
            Output::Stderr
        }
    };
    let mut complaints = Complaints::default();
    let log = noted(logging.start(output), &mut complaints);
    complaints.extend(check_variables(
        &CommandLine::command(),
        &VARIABLES,
        &environment,
    ));
    let files = watched(&settings, &environment);
    let config = noted(Config::new(settings, &environment), &mut complaints);
    match config {
        Some(config) if complaints.is_empty() => Ok((Config { log, ..config }, files)),
        _ => Err(complain(PROGRAM, &complaints)),
    }
}

fn noted<T>(result: Result<T, Complaints>, complaints: &mut Complaints) -> Option<T> {
    result.map_err(|wrong| complaints.extend(wrong)).ok()
}

/// The settings, the file's below the flags. Where the file is wrong, all else that is wrong is said with it.
pub(super) fn load(flags: Settings, environment: &Environment) -> Result<Settings, Complaints> {
    let (settings, mut complaints) = flags.load_with_complaints(environment)?;
    if complaints.is_empty() {
        return Ok(settings);
    }
    noted(Config::new(settings, environment), &mut complaints);
    Err(complaints)
}

/// All that is wrong with settings and what they name, flags apart.
pub(super) fn complaints(flags: Settings) -> Complaints {
    let environment = Environment::of_process();
    let config = load(flags, &environment).and_then(|settings| Config::new(settings, &environment));
    config.err().unwrap_or_default()
}

/// Runs a future on a runtime of its own. Sessions have further threads (`transport::accept::Crew`).
pub(super) fn block_on(work: impl Future<Output = Exit>) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => say::fail(&error),
    }
}
