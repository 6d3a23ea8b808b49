//! From the start of the client's process to its first accepted connection, and to the first byte from the far end.

use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use e2e::wait::PATIENCE;

use super::Run;
use crate::load::first_byte;
use crate::measures::connect::pause;
use crate::peers::{Engine, Peer};
use crate::sample::say;
use crate::service::Service;

pub(crate) const NAME: &str = "start";

const TIMES: usize = 9;
/// Between two attempts to connect.
const SPACE: Duration = Duration::from_micros(200);

/// Of every pair whose client end can be started on its own: ours, and Google's.
pub(crate) fn run(run: &mut Run<'_>) -> Result<()> {
    if !run.options.wants(NAME) {
        return Ok(());
    }
    let service = Service::start()?;
    let times = run.scale.of(TIMES, 3);
    for peer in run.peers.clone() {
        if let Err(error) = one_peer(run, &peer, &service, times) {
            run.failed(NAME, peer.name(), &error);
        }
    }
    Ok(())
}

fn one_peer(run: &mut Run<'_>, peer: &Peer, service: &Service, times: usize) -> Result<()> {
    let Some(mut starter) = peer.starter(&run.lab, service.address(), Engine::Tcp)? else {
        return Ok(());
    };
    for round in 0..times {
        let entry = starter.entry();
        let begun = Instant::now();
        let command = starter.command().stdin(Stdio::null());
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the client")?;
        let accepted = accepted(entry, begun);
        let answered = accepted.and_then(|accepted| {
            first_byte(entry)?;
            Ok((accepted, begun.elapsed()))
        });
        child.kill()?;
        child.wait()?;
        let (accepted, answered) = answered?;
        for (figure, time) in [("accepted", accepted), ("answered", answered)] {
            let value = time.as_secs_f64() * 1e3;
            run.figures
                .add(&format!("{NAME}-{figure}"), peer.name(), round, value);
            say(&format!("{NAME}-{figure} {} {value:.1} ms", peer.name()));
        }
    }
    Ok(())
}

/// How long it took until a connection was accepted.
fn accepted(entry: SocketAddr, begun: Instant) -> Result<Duration> {
    while begun.elapsed() < PATIENCE {
        if TcpStream::connect(entry).is_ok() {
            return Ok(begun.elapsed());
        }
        pause(SPACE);
    }
    anyhow::bail!("no connection was accepted within {PATIENCE:?}")
}
