//! The program `cloudsql-proxy-server`: settings, log, runtime, exit code.

use std::process::ExitCode;

use clap::CommandFactory as _;
use daemon::environment::Environment;
use daemon::exit::Exit;
use daemon::log::{LogLevel, Output};
use daemon::settings::{
    Complaints, check_variables, complain, load_with_complaints, parse_again, parse_with,
};
use daemon::shutdown::Shutdown;
use proxy_server::{Config, Prepared, ServeError, Settings, prepare, serve};
use tokio_util::task::TaskTracker;
use tracing::error;

const NAME: &str = "cloudsql-proxy-server";

fn main() -> ExitCode {
    let _rest = daemon::exit::FlushAtEnd::default();
    run().unwrap_or_else(|exit| exit).into()
}

fn run() -> Result<Exit, Exit> {
    let flags: Settings = parse_with(std::env::args_os(), |_, _| None, complaints)?;
    let settings = read(flags).map_err(|complaints| complain(NAME, &complaints))?;
    let (config, log) = configure(settings).map_err(|complaints| complain(NAME, &complaints))?;
    let failed = |error: ServeError| {
        error!(error = transport::error::chain(&error), "cannot start");
        Exit::Failure
    };
    // While there is one thread: becoming another user changes one thread only.
    let prepared = prepare(&config).map_err(failed)?;
    daemon::log::write_from_now();
    daemon::harden::harden();
    transport::tls::install_provider();
    // Sessions have further threads: `transport::accept::Crew`.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            error!(%error, "cannot start the runtime");
            Exit::Failure
        })?;
    runtime
        .block_on(until_told(config, prepared, log))
        .map_err(failed)
}

/// Where the file is wrong, all else that is wrong is said with it.
fn read(flags: Settings) -> Result<Settings, Complaints> {
    let file = flags.config_file.clone();
    let (settings, mut complaints) = load_with_complaints(flags, file.as_deref(), |_, _, _| {})?;
    if complaints.is_empty() {
        return Ok(settings);
    }
    if let Err(wrong) = check(settings) {
        complaints.extend(wrong);
    }
    Err(complaints)
}

fn check(settings: Settings) -> Result<Config, Complaints> {
    Config::new(settings, rustix::process::geteuid().is_root())
}

/// All that is wrong, flags apart.
fn complaints(flags: Settings) -> Complaints {
    let checked = read(flags).and_then(check);
    checked.err().unwrap_or_default()
}

fn configure(settings: Settings) -> Result<(Config, LogLevel), Complaints> {
    let style = settings.log_style.unwrap_or_default();
    let log = daemon::log::init_unwritten(settings.log_level.as_deref(), style, Output::Stderr)?;
    let mut complaints = check_variables(&Settings::command(), &[], &Environment::of_process());
    match check(settings) {
        Ok(config) => complaints.or((config, log)),
        Err(wrong) => {
            complaints.extend(wrong);
            Err(complaints)
        }
    }
}

/// The log's level, as the settings say it now. The flags were right when the program began.
fn level() -> Result<Option<String>, Complaints> {
    let flags: Settings = parse_again(std::env::args_os())?;
    Ok(read(flags)?.log_level)
}

async fn until_told(config: Config, prepared: Prepared, log: LogLevel) -> Result<Exit, ServeError> {
    let tracker = TaskTracker::new();
    let handlers = |error: std::io::Error| ServeError::Setup {
        what: "signal handlers",
        problem: error.to_string(),
    };
    let shutdown = Shutdown::on_signals(&tracker).map_err(handlers)?;
    let drained = tokio::select! {
        drained = serve(config, prepared, shutdown.clone()) => drained?,
        never = log.follow(level) => match never.map_err(handlers)? {},
    };
    let exit = shutdown
        .cause()
        .map_or(Exit::Success, |signal| Exit::after(signal, drained));
    shutdown.finish();
    Ok(exit)
}
