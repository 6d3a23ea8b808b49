//! Variables with the program's prefix that it does not read: those that Kubernetes sets, and misspelt ones.
//!
//! For a service named `csql-proxy` Kubernetes sets `CSQL_PROXY_PORT=tcp://10.0.0.7:3306` and more in every pod beside
//! it, unless the pod's spec says `enableServiceLinks: false`.

use clap::Command;
use tracing::{debug, warn};

use super::Complaints;
use super::nearest::{nearest, within};
use crate::environment::{Environment, is_service_link};

/// Shortest name, behind the prefix, that counts as a misspelt one: shorter ones are near to too many.
const MIN_NAME: usize = 6;
/// Most characters by which a misspelt name differs.
const MAX_DIFFERENCE: usize = 2;

/// Complains about variables that are nearly those of `command`, and logs others of its prefix. `further` are the names
/// that the program reads without a flag; one that ends with `_` has numbers behind it.
pub fn check_variables(
    command: &Command,
    further: &[&str],
    environment: &Environment,
) -> Complaints {
    let mut known = names(command);
    known.extend(further.iter().map(|name| (*name).to_owned()));
    let mut complaints = Complaints::default();
    let Some(prefix) = known
        .first()
        .and_then(|name| prefix(name))
        .map(str::to_owned)
    else {
        return complaints;
    };
    for (name, value) in environment.iter() {
        let is_known = known.iter().any(|known| is_of(name, known));
        match name.strip_prefix(prefix.as_str()) {
            None => {}
            Some(_) if is_service_link(name, value) => told_of_link(name, is_known),
            Some(_) if is_known => {}
            Some(short) => unknown(short, &prefix, &known, &mut complaints),
        }
    }
    complaints
}

fn told_of_link(name: &str, is_known: bool) {
    const STOP: &str = "enableServiceLinks: false in the pod's spec stops that";
    if is_known {
        warn!("{name} is ignored: Kubernetes set it for a service of that name; {STOP}");
    } else {
        debug!("{name} is ignored: Kubernetes set it for a service of that name; {STOP}");
    }
}

fn unknown(short: &str, prefix: &str, known: &[String], complaints: &mut Complaints) {
    let candidates = || known.iter().filter_map(|name| name.strip_prefix(prefix));
    let upper = short.to_ascii_uppercase();
    let is_long = short.len() >= MIN_NAME;
    let misspelt = within(&upper, candidates(), MAX_DIFFERENCE).filter(|_| is_long);
    if let Some(meant) = misspelt {
        let problem = format!("is no variable of this program; did you mean {prefix}{meant}?");
        complaints.add(format!("{prefix}{short}"), problem);
        return;
    }
    match nearest(&upper, candidates()) {
        Some(meant) => warn!(
            "{prefix}{short} is no variable of this program and is ignored; did you mean {prefix}{meant}?"
        ),
        None => warn!("{prefix}{short} is no variable of this program and is ignored"),
    }
}

/// `CSQL_PROXY_` of `CSQL_PROXY_PORT`.
fn prefix(name: &str) -> Option<&str> {
    let (at, _) = name.match_indices('_').nth(1)?;
    name.get(..=at)
}

fn is_of(name: &str, known: &str) -> bool {
    let numbered = known
        .strip_suffix('_')
        .and_then(|known| name.strip_prefix(known)?.strip_prefix('_'));
    name == known
        || numbered.is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        })
}

fn names(command: &Command) -> Vec<String> {
    let own = command
        .get_arguments()
        .filter_map(|arg| arg.get_env()?.to_str());
    let own = own.map(str::to_owned);
    own.chain(command.get_subcommands().flat_map(names))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Flags {
        #[arg(long, env = "CSQL_TEST_PORT")]
        _port: Option<u16>,
        #[arg(long, env = "CSQL_TEST_MAX_CONNECTIONS")]
        _max_connections: Option<u16>,
        #[arg(long, env = "CSQL_TEST_HTTP_PORT")]
        _http_port: Option<u16>,
    }

    fn complaints(name: &str, value: &str) -> String {
        let command = <Flags as clap::CommandFactory>::command();
        let variables = [(name.to_owned(), value.to_owned())];
        let further = ["CSQL_TEST_INSTANCE", "CSQL_TEST_INSTANCE_NAME_"];
        check_variables(&command, &further, &variables.into_iter().collect()).to_string()
    }

    #[test]
    fn a_variable_that_is_nearly_one_of_the_programs_is_refused() {
        for (name, meant) in [
            ("CSQL_TEST_MAX_CONECTIONS", "CSQL_TEST_MAX_CONNECTIONS"),
            ("CSQL_TEST_MAX_CONNECTION", "CSQL_TEST_MAX_CONNECTIONS"),
            ("CSQL_TEST_max_connections", "CSQL_TEST_MAX_CONNECTIONS"),
            ("CSQL_TEST_MAX-CONNECTIONS", "CSQL_TEST_MAX_CONNECTIONS"),
            ("CSQL_TEST_INSTANCES", "CSQL_TEST_INSTANCE"),
            ("CSQL_TEST_HTTP_PROT", "CSQL_TEST_HTTP_PORT"),
        ] {
            let found = complaints(name, "1");
            assert!(
                found.contains(&format!("did you mean {meant}?")),
                "{name}: {found}"
            );
        }
        for name in [
            "CSQL_TEST_PORT",
            "CSQL_TEST_INSTANCE_NAME_0",
            "CSQL_TEST_INSTANCE_NAME_12",
            "CSQL_TEST_HOST",
            "CSQL_TEST_VERSION",
            "CSQL_OTHER_MAX_CONECTIONS",
            "MAX_CONECTIONS",
        ] {
            assert_eq!(complaints(name, "1"), "", "{name}");
        }
    }

    #[test]
    fn what_kubernetes_sets_for_a_service_is_no_setting() {
        for (name, value) in [
            ("CSQL_TEST_PORT", "tcp://10.0.0.7:3306"),
            ("CSQL_TEST_HTTP_PORT", "tcp://10.0.0.7:80"),
            ("CSQL_TEST_PORT", "udp://[fd00::1]:53"),
            ("CSQL_TEST_SERVICE_HOST", "10.0.0.7"),
            ("CSQL_TEST_SERVICE_PORT", "3306"),
            ("CSQL_TEST_SERVICE_PORT_MYSQL", "3306"),
            ("CSQL_TEST_ADMIN_SERVICE_HOST", "10.0.0.7"),
            ("CSQL_TEST_PORT_3306_TCP", "tcp://10.0.0.7:3306"),
            ("CSQL_TEST_PORT_3306_TCP_ADDR", "10.0.0.7"),
            ("CSQL_TEST_PORT_3306_TCP_PORT", "3306"),
            ("CSQL_TEST_PORT_3306_TCP_PROTO", "tcp"),
            ("CSQL_TEST_ADMIN_PORT_53_UDP_PROTO", "udp"),
        ] {
            assert!(is_service_link(name, value), "{name}={value}");
            assert_eq!(complaints(name, value), "", "{name}={value}");
        }
        for (name, value) in [
            ("CSQL_TEST_PORT", "3306"),
            ("CSQL_TEST_DATABASE", "tcp://10.0.0.7:3306"),
            ("CSQL_TEST_PORT_X_TCP", "1"),
        ] {
            assert!(!is_service_link(name, value), "{name}={value}");
        }
    }
}
