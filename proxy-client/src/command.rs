//! The command line: one sub-command an arm; without one, the program serves.

mod ca_certificate;
mod launch;
mod say;

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use daemon::exit::Exit;
use daemon::settings::parse;

use crate::settings::Settings;

/// The program's name, on the command line and before its complaints.
const PROGRAM: &str = "cloudsql-proxy";

/// Connects applications on this machine to databases far away: each connection goes through mutual TLS
/// with a short-lived certificate.
#[derive(Parser)]
#[command(name = PROGRAM, version)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    settings: Settings,
}

/// What else the program can do.
#[derive(Subcommand)]
enum Command {
    /// Print the certificate of an instance's server CA: what an application's --ssl-ca is to name
    CaCertificate(Box<ca_certificate::CaCertificate>),
    /// Print a script that completes this program's flags in a shell
    Completion {
        /// Which shell.
        shell: Shell,
    },
}

/// Does what the arguments say; the first one is the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let CommandLine { command, settings } = match parse(arguments) {
        Ok(line) => line,
        Err(exit) => return exit,
    };
    match command {
        None => launch::serve(settings),
        Some(Command::CaCertificate(command)) => command.run(settings),
        Some(Command::Completion { shell }) => completion(shell),
    }
}

fn completion(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), PROGRAM, &mut script);
    say::out(&String::from_utf8_lossy(&script))
}
