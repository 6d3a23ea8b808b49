//! cloudsql-ca: verifies service-account JWTs and issues short-lived certificates.
//!
//! The walk of a request: `serve` -> `http` -> `authn` -> `authz` -> `registry` -> `issuer` -> `audit`.

mod audit;
mod authn;
mod authz;
mod budget;
mod cli;
mod clock;
mod error;
mod establish;
mod http;
mod https;
mod issuer;
mod limits;
mod metrics;
mod readiness;
mod registry;
mod retention;
mod serve;
mod service;
mod store;
mod strict_json;
#[cfg(test)]
mod tests;
mod vault;

use std::process::ExitCode;

/// Runs the program.
pub fn main() -> ExitCode {
    let _rest = daemon::exit::FlushAtEnd::default();
    cli::main(std::env::args_os()).into()
}
