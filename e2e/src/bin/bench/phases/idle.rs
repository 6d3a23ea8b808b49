//! Many sessions that say nothing: memory before and after use, CPU, and what is left when they are gone.

use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Run;
use crate::cpu::{Snapshot, resident};
use crate::load::{first_byte, greeted, round_trip};
use crate::measures::connect::pause;
use crate::peers::{Engine, Pair, Peer};
use crate::sample::say;
use crate::service::{CHUNK, Service};

pub(crate) const NAME: &str = "idle";

const SESSIONS: usize = 5_000;
const QUICK_SESSIONS: usize = 1_000;
/// Of each end: both sockets of every session, and some to spare.
const SPARE_DESCRIPTORS: u64 = 1_000;
/// Connections before anything is counted, so that what is made once is made.
const WARM_UP: usize = 50;
/// Until what ends by itself has ended, in ms.
const SETTLE: [u64; 2] = [2_000, 500];

/// Once for each pair, each freshly started: memory is steadier than time.
pub(crate) fn run(run: &mut Run<'_>, descriptors: u64) -> Result<()> {
    if !run.options.wants(NAME) {
        return Ok(());
    }
    let possible = usize::try_from(descriptors.saturating_sub(SPARE_DESCRIPTORS) / 2)?;
    let wanted = run.scale.of(SESSIONS, QUICK_SESSIONS);
    let sessions = wanted.min(possible);
    if sessions < wanted {
        run.figures.note(format!(
            "**Idle sessions: {sessions} in place of {wanted}**: the limit of descriptors is {descriptors}."
        ));
    }
    run.sessions = sessions;
    let service = Service::start()?;
    for peer in run.peers.clone() {
        // Buffers of another size are no matter of idle sessions, and each pair takes half a minute.
        let large = matches!(
            peer,
            Peer::HaProxy { large: true } | Peer::Nginx { large: true }
        );
        let quick = matches!(peer, Peer::Ours(_) | Peer::HaProxy { .. });
        if peer == Peer::Direct || large || (run.options.quick && !quick) {
            continue;
        }
        if let Err(error) = one_peer(run, &peer, &service, sessions) {
            run.failed(NAME, peer.name(), &error);
        }
    }
    Ok(())
}

fn one_peer(run: &mut Run<'_>, peer: &Peer, service: &Service, sessions: usize) -> Result<()> {
    let pair = peer.start(&run.lab, service.address(), Engine::Tcp)?;
    let settle = Duration::from_millis(run.scale.of(SETTLE[0], SETTLE[1]));
    let quiet = Duration::from_secs(run.scale.of(10, 2));
    for _ in 0..WARM_UP {
        first_byte(pair.entry())?;
    }
    pause(settle);
    let empty = memory(&pair)?;
    let open: Result<Vec<TcpStream>> = (0..sessions)
        .map(|_| greeted(pair.entry(), CHUNK))
        .collect();
    let mut open = open?;
    pause(settle);
    let unused = memory(&pair)?;
    use_all(&mut open)?;
    pause(settle);
    let used = memory(&pair)?;
    let before = Snapshot::take()?;
    pause(quiet);
    let after = Snapshot::take()?;
    let processes = pair.processes();
    let cpu = after
        .time(&processes)
        .saturating_sub(before.time(&processes));
    drop(open);
    pause(settle);
    let closed = memory(&pair)?;
    let figures = Figures {
        empty,
        unused,
        used,
        closed,
    };
    let mut said = format!("{NAME} {}:", peer.name());
    let cpu = cpu.as_secs_f64() * 10.0 / quiet.as_secs_f64();
    for (figure, value) in figures.all(sessions).into_iter().chain([("cpu", cpu)]) {
        said += &format!(" {figure} {value:.2}");
        run.figures
            .add(&format!("{NAME}-{figure}"), peer.name(), 0, value);
    }
    say(&said);
    Ok(())
}

/// Memory of client end and server end, in KiB, at four moments.
struct Figures {
    empty: [f64; 2],
    unused: [f64; 2],
    used: [f64; 2],
    closed: [f64; 2],
}

impl Figures {
    /// KiB for each session, but for what is left, in MiB.
    fn all(&self, sessions: usize) -> Vec<(&'static str, f64)> {
        #[expect(clippy::cast_precision_loss, reason = "a number of sessions")]
        let sessions = sessions as f64;
        let each = |[client, server]: [f64; 2]| {
            let [client_empty, server_empty] = self.empty;
            [
                (client - client_empty) / sessions,
                (server - server_empty) / sessions,
            ]
        };
        let ([unused_client, unused_server], [client, server]) =
            (each(self.unused), each(self.used));
        let (unused, used) = (unused_client + unused_server, client + server);
        let left: f64 = each(self.closed).iter().sum::<f64>() * sessions / 1024.0;
        vec![
            ("unused", unused),
            ("used", used),
            ("used-client", client),
            ("used-server", server),
            ("growth", used / unused),
            ("left-mib", left),
        ]
    }
}

#[expect(clippy::cast_precision_loss, reason = "KiB far below 2^52")]
fn memory(pair: &Pair) -> Result<[f64; 2]> {
    let [client, server] = pair.ends();
    Ok([resident(&client)? as f64, resident(&server)? as f64])
}

/// 256 KiB each way over every session.
fn use_all(open: &mut [TcpStream]) -> Result<()> {
    let mut message = vec![7; CHUNK];
    for (number, stream) in open.iter_mut().enumerate() {
        round_trip(stream, &mut message).with_context(|| format!("session {number}"))?;
    }
    Ok(())
}
