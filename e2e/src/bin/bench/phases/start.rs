//! From the start of the client's process to its first accepted connection, to the first byte from the far end, and to
//! the first query that a database has answered.

use std::io::{Error as IoError, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use e2e::clients::{Address, Login};
use e2e::databases::{Flavor, PASSWORD, SCHEMA};
use e2e::raw::{Raw, Wish};
use e2e::wait::PATIENCE;

use super::{Run, database};
use crate::load::first_byte;
use crate::measures::connect::pause;
use crate::peers::{Engine, Peer};
use crate::sample::say;
use crate::service::Service;

pub(crate) const NAME: &str = "start";
/// The figures' names, behind [`NAME`].
pub(crate) const ACCEPTED: &str = "start-accepted";
pub(crate) const ANSWERED: &str = "start-answered";
pub(crate) const QUERY: &str = "start-query";

const TIMES: usize = 9;
/// Between two attempts to connect.
const SPACE: Duration = Duration::from_micros(200);

/// The moments of one start, by their figures' names.
type Moments = Vec<(&'static str, Duration)>;
/// Watches a client that was started at that moment and will listen there.
type Watch = fn(SocketAddr, Instant) -> Result<Moments>;

/// Of every pair whose client end can be started on its own: ours, and Google's.
pub(crate) fn run(run: &mut Run<'_>) -> Result<()> {
    if !run.options.wants(NAME) {
        return Ok(());
    }
    let service = Service::start()?;
    each_peer(run, (service.address(), Engine::Tcp), bytes);
    say("starting MariaDB for first queries");
    let (_database, address) = database::started(run, Flavor::MariaDb10)?;
    // What the database itself does once only is nobody's start.
    query(address)?;
    each_peer(run, (address, Engine::MySql), |entry, begun| {
        let queried = until_accepted(begun, || query(entry))?;
        Ok(vec![(QUERY, queried)])
    });
    Ok(())
}

fn each_peer(run: &mut Run<'_>, service: (SocketAddr, Engine), watch: Watch) {
    for peer in run.peers.clone() {
        if let Err(error) = one_peer(run, &peer, service, watch) {
            run.failed(NAME, peer.name(), &error);
        }
    }
}

fn one_peer(
    run: &mut Run<'_>,
    peer: &Peer,
    (service, engine): (SocketAddr, Engine),
    watch: Watch,
) -> Result<()> {
    let Some(mut starter) = peer.starter(&run.lab, service, engine)? else {
        return Ok(());
    };
    for round in 0..run.scale.of(TIMES, 3) {
        let entry = starter.entry();
        let begun = Instant::now();
        let command = starter.command().stdin(Stdio::null());
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the client")?;
        let moments = watch(entry, begun);
        child.kill()?;
        child.wait()?;
        for (figure, time) in moments? {
            let value = time.as_secs_f64() * 1e3;
            run.figures.add(figure, peer.name(), round, value);
            say(&format!("{figure} {} {value:.1} ms", peer.name()));
        }
    }
    Ok(())
}

/// To the first accepted connection, and to a byte back from the far end.
fn bytes(entry: SocketAddr, begun: Instant) -> Result<Moments> {
    let accepted = until_accepted(begun, || Ok(TcpStream::connect(entry).map(drop)?))?;
    first_byte(entry)?;
    Ok(vec![(ACCEPTED, accepted), (ANSWERED, begun.elapsed())])
}

/// Logs in as applications do and asks something.
fn query(at: SocketAddr) -> Result<()> {
    let address = Address::Tcp {
        host: at.ip(),
        port: at.port(),
    };
    let login = Login::new("app", PASSWORD, SCHEMA);
    let mut session = Raw::log_in(&address, &Wish::new(&login, false))?;
    let answer = session.text("SELECT 1")?;
    ensure!(answer == "1", "SELECT 1 is answered with {answer}");
    Ok(())
}

/// How long it took, with the first connection that is accepted. Nothing but a closed port is tried again.
fn until_accepted(begun: Instant, mut attempt: impl FnMut() -> Result<()>) -> Result<Duration> {
    while begun.elapsed() < PATIENCE {
        match attempt() {
            Ok(()) => return Ok(begun.elapsed()),
            Err(error) if is_closed(&error) => pause(SPACE),
            Err(error) => return Err(error),
        }
    }
    bail!("no connection was accepted within {PATIENCE:?}")
}

fn is_closed(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<IoError>();
    error.is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_port_is_tried_again_and_what_comes_behind_an_open_one_is_not() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = gone.local_addr().unwrap();
        drop(gone);
        let mut attempts = 0;
        let ended = until_accepted(Instant::now(), || {
            attempts += 1;
            if attempts < 3 {
                return query(address);
            }
            bail!("access denied")
        });
        assert_eq!(attempts, 3);
        assert_eq!(ended.unwrap_err().to_string(), "access denied");
    }
}
