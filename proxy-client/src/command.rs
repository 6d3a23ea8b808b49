//! The command line: one sub-command an arm; without one, the program serves.

mod ask;
mod bundle;
mod ca_certificate;
mod child;
mod completion;
mod doctor;
mod explain;
mod launch;
mod level;
mod manual;
mod probe;
mod reload;
mod say;
mod signals;
mod top;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use daemon::exit::Exit;
use daemon::settings::{Complaints, Overlay as _, Span, parse_with};

use crate::settings::{Settings, advice};
use ask::Door;
use launch::{Arguments, block_on};
use top::Show;

/// The program's name, on the command line and before its complaints.
const PROGRAM: &str = "cloudsql-proxy";

/// Connects applications on this machine to databases far away: each connection goes through mutual TLS
/// with a short-lived certificate.
#[derive(Parser)]
#[command(name = PROGRAM, version, disable_version_flag = true)]
struct CommandLine {
    /// Print the version
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,

    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    settings: Settings,
}

/// What else the program can do.
#[derive(Subcommand)]
enum Command {
    /// Run a command with a tunnel that lives as long as it does
    ///
    /// The command finds the tunnel in its environment: MYSQL_HOST, MYSQL_PORT and MYSQL_TCP_PORT, or MYSQL_UNIX_SOCKET
    /// and MYSQL_UNIX_PORT; PGHOST and PGPORT; and for each instance, here db1,
    /// CLOUDSQL_DB1_HOST and CLOUDSQL_DB1_PORT, or CLOUDSQL_DB1_SOCKET.
    /// Signals are handed on, and the exit code is the command's.
    Run {
        #[command(flatten)]
        settings: Box<Settings>,

        /// Longest wait for the tunnel.
        #[arg(short = 'm', long, value_name = "DURATION", default_value = "30s")]
        max: Span,

        /// The command and its arguments.
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Wait until a program at work has started: its listeners are bound and a certificate was issued
    Wait {
        #[command(flatten)]
        door: Door,

        /// Longest wait.
        #[arg(short = 'm', long, value_name = "DURATION", default_value = "30s")]
        max: Span,
    },
    /// Ask a program at work whether it can serve now: exit code 0 or 1
    Healthcheck {
        #[command(flatten)]
        door: Door,
    },
    /// Ask a program at work to stop, through its administrator's socket or the port of --quitquitquit
    Shutdown {
        #[command(flatten)]
        door: Door,

        /// The port of --quitquitquit, where there is no administrator's socket [default: 9091].
        #[arg(long, env = "CSQL_PROXY_ADMIN_PORT", value_name = "PORT")]
        admin_port: Option<u16>,
    },
    /// Show the sessions open now: instance, peer, age, bytes, state
    Top {
        #[command(flatten)]
        door: Door,

        /// Show them once, also on a terminal.
        #[arg(long)]
        once: bool,

        /// Print JSON, once.
        #[arg(long)]
        json: bool,
    },
    /// Show what a program at work logs, or have it log more or less from now on
    LogLevel {
        #[command(flatten)]
        door: Door,

        /// error, warn, info, debug, trace, directives such as info,session=info, or default.
        #[arg(value_name = "LEVEL")]
        level: Option<String>,
    },
    /// Print the certificate of an instance's server CA: what an application's --ssl-ca is to name
    CaCertificate(Box<ca_certificate::CaCertificate>),
    /// Find the broken place between here and the database
    ///
    /// Climbs a ladder with the settings that the program would be started with: settings, clock, key file, CA, token,
    /// certificate, TCP, mutual TLS, policy, database, authentication, transport. Stops at the first broken rung and
    /// says what mends it. The exit code is 0 when none is broken, else 1.
    Doctor {
        #[command(flatten)]
        settings: Box<Settings>,

        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Collect what somebody who helps must know, without secrets: settings, doctor's findings, metrics, sessions
    SupportBundle {
        #[command(flatten)]
        settings: Box<Settings>,

        /// A new file, in place of standard output.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Explain an error: its cause, what to check, and what mends it
    Explain {
        /// The error's code, or the message that holds it; without one, all codes are listed.
        #[arg(value_name = "CODE")]
        words: Vec<String>,
    },
    /// Write manual pages: one of the program and one of each sub-command
    Man {
        /// The folder that they are written to.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Print a script that completes this program's flags in a shell
    Completion {
        /// Which shell.
        shell: Shell,
    },
}

impl CommandLine {
    /// What is wrong with the settings, where they are for a tunnel.
    fn complaints(self) -> Complaints {
        match self.command {
            None => launch::complaints(self.settings),
            Some(
                Command::Run { settings, .. }
                | Command::Doctor { settings, .. }
                | Command::SupportBundle { settings, .. },
            ) => launch::complaints(settings.over(self.settings)),
            Some(_) => Complaints::default(),
        }
    }
}

/// Does what the arguments say; the first one is the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments = Arguments::new(arguments);
    let CommandLine {
        command, settings, ..
    } = match parse_with(arguments.iter(), advice, CommandLine::complaints) {
        Ok(line) => line,
        Err(exit) => return exit,
    };
    match command {
        None => launch::serve(settings, arguments),
        Some(Command::CaCertificate(command)) => command.run(settings),
        Some(Command::Run {
            settings: own,
            max,
            command,
        }) => child::run(own.over(settings), &command, max.0),
        Some(Command::Wait { door, max }) => block_on(probe::wait(door.below(&settings), max.0)),
        Some(Command::Healthcheck { door }) => block_on(probe::healthcheck(door.below(&settings))),
        Some(Command::Shutdown { door, admin_port }) => {
            let port = admin_port.or(settings.admin_port);
            block_on(probe::shutdown(door.below(&settings).or_port(port)))
        }
        Some(Command::Top { door, once, json }) => {
            let show = match (json, once) {
                (true, _) => Show::Json,
                (false, true) => Show::Once,
                (false, false) => Show::Live,
            };
            block_on(top::run(door.below(&settings), show))
        }
        Some(Command::LogLevel { door, level }) => {
            block_on(level::run(door.below(&settings), level.as_deref()))
        }
        Some(Command::Doctor {
            settings: own,
            json,
        }) => doctor::run(own.over(settings), json),
        Some(Command::SupportBundle {
            settings: own,
            output,
        }) => bundle::run(own.over(settings), output.as_deref()),
        Some(Command::Explain { words }) => explain::run(&words.join(" ")),
        Some(Command::Man { folder }) => manual::write(CommandLine::command(), &folder),
        Some(Command::Completion { shell }) => completion::print(shell),
    }
}
