//! `cloudsql-ca`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ca_service::main()
}
