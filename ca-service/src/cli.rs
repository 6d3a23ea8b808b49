//! The command line: one file per noun. Admin commands act on the store itself, whether or not the CA runs.

mod accounts;
mod certificates;
mod grants;
mod init;
mod instances;
mod key_file;
mod keys;
mod output;
mod serve;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use daemon::environment::Environment;
use daemon::exit::Exit;
use daemon::settings::{check_variables, choice, parse};

use crate::audit::local_admin;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::registry::Registry;
use crate::store::{Store, locate, secure_directory};
use output::Format;

/// The name that messages begin with.
pub(crate) const PROGRAM: &str = "cloudsql-ca";

/// Verifies service accounts and issues short-lived certificates for database tunnels.
#[derive(Parser)]
#[command(name = PROGRAM, version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a data directory with its keys and its store
    Init(init::Init),
    /// Change what `init` set: the endpoint, the root of HTTPS
    Configure(init::Configure),
    /// Answer requests
    Serve(Box<serve::Serve>),
    /// Databases that tunnels lead to
    #[command(subcommand)]
    Instances(instances::Instances),
    /// Who may ask for certificates
    #[command(subcommand, name = "service-accounts")]
    ServiceAccounts(accounts::ServiceAccounts),
    /// Keys of service accounts
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Let a service account do something with an instance
    Grant(grants::Grant),
    /// Take a grant back
    Ungrant(grants::Ungrant),
    /// Certificates that were issued
    #[command(subcommand)]
    Certificates(certificates::Certificates),
    /// Print the OpenAPI document of the HTTP API
    Openapi,
}

/// Which CA, and how to print.
#[derive(Args)]
struct Place {
    /// Data directory of the CA
    #[arg(long, value_name = "DIR", env = "CSQL_CA_DATA")]
    data: PathBuf,
    /// How to print
    #[arg(long, value_name = "table|json", env = "CSQL_CA_FORMAT", default_value = "table", value_parser = choice::<Format>)]
    format: Format,
}

impl Place {
    /// Opens the registry of that data directory.
    async fn registry(&self) -> Result<Registry> {
        secure_directory(&self.data, false)?;
        let path = locate(&self.data, None)?;
        let store = Arc::new(Store::open_complete(&path).await?);
        Ok(Registry::new(store, Clock::system(), local_admin()))
    }
}

/// Runs a command; says how the process is to end.
pub(crate) fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli: Cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(cli.command)),
        Err(source) => Err(Error::File {
            doing: "start threads for",
            path: PROGRAM.into(),
            source,
        }),
    };
    ended.unwrap_or_else(|error| complain(&error))
}

async fn run(command: Command) -> Result<Exit> {
    // `serve` says it with all else that is wrong, and in its log.
    if !matches!(command, Command::Serve(_) | Command::Openapi) {
        let wrong = check_variables(&Cli::command(), &[], &Environment::of_process());
        if !wrong.is_empty() {
            return Ok(daemon::settings::complain(PROGRAM, &wrong));
        }
    }
    match command {
        Command::Serve(serve) => return Box::pin(serve.run()).await,
        Command::Init(init) => init.run().await?,
        Command::Configure(configure) => configure.run().await?,
        Command::Instances(instances) => instances.run().await?,
        Command::ServiceAccounts(accounts) => accounts.run().await?,
        Command::Keys(keys) => keys.run().await?,
        Command::Grant(grant) => grant.run().await?,
        Command::Ungrant(ungrant) => ungrant.run().await?,
        Command::Certificates(certificates) => certificates.run().await?,
        Command::Openapi => output::json(&crate::http::document())?,
    }
    Ok(Exit::Success)
}

fn complain(error: &Error) -> Exit {
    daemon::log::complain(&format!("{PROGRAM}: {}\n", error.chain()));
    match error {
        Error::Settings(_) | Error::Invalid(_) | Error::Name(_) => Exit::Usage,
        _ => Exit::Failure,
    }
}
