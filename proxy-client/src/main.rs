//! The program: reads settings, starts, and ends with a code that says how.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use daemon::environment::Environment;
use daemon::exit::Exit;
use daemon::settings::{complain, load, parse};
use daemon::shutdown::Shutdown;
use proxy_client::config::{Config, Logging};
use proxy_client::serve;
use proxy_client::settings::Settings;
use tokio_util::task::TaskTracker;
use transport::error::chain;

const PROGRAM: &str = "cloudsql-proxy";

fn main() -> ExitCode {
    daemon::harden::harden();
    match configure() {
        Ok(config) => run(config).into(),
        Err(exit) => exit.into(),
    }
}

fn configure() -> Result<Config, Exit> {
    let flags: Settings = parse(std::env::args_os())?;
    let file: Option<PathBuf> = flags.config_file.clone();
    let settings = load(flags, file.as_deref()).map_err(|wrong| complain(PROGRAM, &wrong))?;
    let logging = Logging::new(&settings);
    logging.start().map_err(|wrong| complain(PROGRAM, &wrong))?;
    Config::new(settings, &Environment::of_process()).map_err(|wrong| complain(PROGRAM, &wrong))
}

fn run(config: Config) -> Exit {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    runtime.block_on(async {
        let signals = TaskTracker::new();
        let shutdown = match Shutdown::on_signals(&signals) {
            Ok(shutdown) => shutdown,
            Err(error) => return fail(&error),
        };
        match serve::start(config, daemon::clock::system(), shutdown).await {
            Ok(running) => running.until_stopped().await,
            Err(error) => fail(&error),
        }
    })
}

fn fail(error: &dyn std::error::Error) -> Exit {
    let line = format!("{PROGRAM}: {}\n", chain(error));
    if let Err(error) = std::io::stderr().lock().write_all(line.as_bytes()) {
        tracing::debug!(%error, "the error could not be written");
    }
    Exit::Failure
}
