//! The program: gives up what it need not have, does what the command line says, and ends with a code that says how.

use std::process::ExitCode;

fn main() -> ExitCode {
    let _rest = daemon::exit::FlushAtEnd::default();
    daemon::harden::harden();
    proxy_client::command::run(std::env::args_os()).into()
}
