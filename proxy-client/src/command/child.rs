//! `run -- CMD`: a tunnel that lives as long as a command does.

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal as _};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use daemon::exit::Exit;
use daemon::shutdown::{Shutdown, Signal};
use proto::Engine;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use transport::error::chain;

use super::launch::{self, Purpose};
use super::say;
use super::signals::Signals;
use crate::config::Place;
use crate::serve::{self, Running};
use crate::settings::Settings;

/// Once the command has ended, so long its sessions have for ending in good order: what it said last still goes out.
const FAREWELL: Duration = Duration::from_secs(5);
/// What shells answer for a command that cannot be run, and for one that is not there.
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;
/// Added to a signal's number.
const SIGNALLED: i32 = 128;
/// The number in the name of PostgreSQL's socket.
const POSTGRES_PORT: &str = "5432";
/// Of our own settings, what a child has no use for.
const SECRETS: [&str; 2] = ["CSQL_PROXY_TOKEN", "CSQL_PROXY_JSON_CREDENTIALS"];

/// Opens the tunnel, runs the command, and ends as it did.
pub(super) fn run(settings: Settings, command: &[OsString], patience: Duration) -> Exit {
    let mut config = match launch::configure(settings, Purpose::BesideAnother) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    config.stop.drain_for = config.stop.drain_for.max(FAREWELL);
    // A command is told its port: any free one does, and many commands can run side by side.
    for instance in &mut config.instances {
        if let Place::Tcp { port, .. } = &mut instance.place {
            port.get_or_insert(0);
        }
    }
    launch::block_on(async {
        // Before all else: a signal that comes while the tunnel is made must not be lost.
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => return say::fail(&error),
        };
        let shutdown = Shutdown::default();
        let running = match serve::start(config, daemon::clock::system(), shutdown.clone()).await {
            Ok(running) => running,
            Err(error) => return say::fail(&error),
        };
        let exit = lead(&running, command, patience, &mut signals).await;
        shutdown.request(Signal::Request);
        let mut stopped = pin!(running.until_stopped());
        loop {
            tokio::select! {
                _ = &mut stopped => return exit,
                // The command is gone: a signal is for us now, and asks to stop at once.
                _ = signals.next() => shutdown.request(Signal::Request),
            }
        }
    })
}

/// Waits until the tunnel is ready, then for the command.
async fn lead(
    running: &Running,
    command: &[OsString],
    patience: Duration,
    signals: &mut Signals,
) -> Exit {
    let ready = tokio::select! {
        ready = running.ready(Instant::now() + patience) => ready,
        signal = signals.next() => return Exit::Child(ended_by(signal.number())),
    };
    if let Err(error) = ready {
        let refusal = error.refusal();
        say::complain(&format!("the command was not started: {refusal}"));
        return Exit::Failure;
    }
    let Some((program, arguments)) = command.split_first() else {
        return Exit::Usage;
    };
    let mut started = Command::new(program);
    started
        .args(arguments)
        .envs(environment(running))
        .kill_on_drop(true);
    for secret in SECRETS {
        started.env_remove(secret);
    }
    match started.spawn() {
        Ok(child) => Exit::Child(accompany(child, signals).await),
        Err(error) => {
            let program = program.to_string_lossy();
            say::complain(&format!("cannot run {program}: {}", chain(&error)));
            match error.kind() {
                ErrorKind::NotFound => Exit::Child(NOT_FOUND),
                _ => Exit::Child(CANNOT_RUN),
            }
        }
    }
}

/// Hands signals on until the child has ended.
async fn accompany(mut child: Child, signals: &mut Signals) -> u8 {
    // From a terminal, the child gets what is typed there by itself.
    let has_terminal = std::io::stdin().is_terminal();
    loop {
        tokio::select! {
            ended = child.wait() => return match ended {
                Ok(status) => code(status),
                Err(error) => say::fail(&error).code(),
            },
            signal = signals.next() => {
                if !(has_terminal && signal.is_typed()) {
                    signal.pass_to(&child);
                }
            }
        }
    }
}

fn code(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, signal) => ended_by(signal.unwrap_or_default()),
    }
}

fn ended_by(signal: i32) -> u8 {
    u8::try_from(SIGNALLED.saturating_add(signal)).unwrap_or(u8::MAX)
}

/// The addresses as the command finds them: under the names that database clients read, for the first instance of
/// each engine, and under names of its own for each instance.
fn environment(running: &Running) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for (instance, local) in running.mounts() {
        let engine = running
            .served()
            .iter()
            .find(|served| served.label() == instance)
            .map_or(Engine::Mysql, |served| served.engine());
        for (name, value) in of_instance(&instance, &local, engine) {
            if !variables.iter().any(|(known, _)| *known == name) {
                variables.push((name, value));
            }
        }
    }
    variables
}

fn of_instance(instance: &str, local: &str, engine: Engine) -> Vec<(String, String)> {
    let short = instance.rsplit(':').next().unwrap_or(instance);
    let own = format!("CLOUDSQL_{}", short.to_uppercase().replace(['-', '.'], "_"));
    let mut found = Vec::new();
    let mut add = |name: String, usual: &[&str], value: &str| {
        let usual = usual.iter().map(|name| (*name).to_owned());
        for name in std::iter::once(name).chain(usual) {
            found.push((name, value.to_owned()));
        }
    };
    if let Ok(address) = local.parse::<SocketAddr>() {
        let (hosts, ports): (&[&str], &[&str]) = match engine {
            Engine::Mysql => (&["MYSQL_HOST"], &["MYSQL_PORT", "MYSQL_TCP_PORT"]),
            Engine::Postgres => (&["PGHOST"], &["PGPORT"]),
            Engine::Tcp => (&[], &[]),
        };
        add(format!("{own}_HOST"), hosts, &address.ip().to_string());
        add(format!("{own}_PORT"), ports, &address.port().to_string());
    } else {
        let usual: &[&str] = match engine {
            Engine::Mysql => &["MYSQL_UNIX_SOCKET", "MYSQL_UNIX_PORT"],
            Engine::Postgres | Engine::Tcp => &[],
        };
        add(format!("{own}_SOCKET"), usual, local);
        if engine == Engine::Postgres {
            found.push(("PGHOST".to_owned(), folder(local)));
            found.push(("PGPORT".to_owned(), POSTGRES_PORT.to_owned()));
        }
    }
    found
}

fn folder(path: &str) -> String {
    let parent = Path::new(path).parent();
    parent.map_or_else(String::new, |parent| parent.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_each_engine_find_the_tunnel_under_the_names_that_they_read() {
        let names = |local: &str, engine| -> Vec<String> {
            of_instance("p:r:my-db", local, engine)
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect()
        };
        assert_eq!(
            names("127.0.0.1:3310", Engine::Mysql),
            [
                "CLOUDSQL_MY_DB_HOST=127.0.0.1",
                "MYSQL_HOST=127.0.0.1",
                "CLOUDSQL_MY_DB_PORT=3310",
                "MYSQL_PORT=3310",
                "MYSQL_TCP_PORT=3310"
            ]
        );
        let found = names("[::1]:5432", Engine::Postgres);
        assert!(found.contains(&"PGHOST=::1".into()) && found.contains(&"PGPORT=5432".into()));
        assert_eq!(
            names("/s/p:r:my-db", Engine::Mysql)[..2],
            [
                "CLOUDSQL_MY_DB_SOCKET=/s/p:r:my-db",
                "MYSQL_UNIX_SOCKET=/s/p:r:my-db"
            ]
        );
        assert_eq!(
            names("/s/db/.s.PGSQL.5432", Engine::Postgres)[1..],
            ["PGHOST=/s/db", "PGPORT=5432"]
        );
        let of_domain = of_instance("db-1.corp.test", "127.0.0.1:3310", Engine::Mysql);
        assert_eq!(of_domain[0].0, "CLOUDSQL_DB_1_CORP_TEST_HOST");
    }
}
