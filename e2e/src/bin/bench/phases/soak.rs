//! 100,000 connections, one after the other: what is left of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::Run;
use crate::cpu::{descriptors, resident};
use crate::load::first_byte;
use crate::measures::connect::pause;
use crate::peers::{Engine, Ours, Pair, Peer};
use crate::sample::say;
use crate::service::Service;

pub(crate) const NAME: &str = "soak";

pub(crate) const CONNECTIONS: usize = 100_000;
/// What is counted before and after.
pub(crate) const ENDS: [&str; 4] = [
    "client-kib",
    "server-kib",
    "client-descriptors",
    "server-descriptors",
];
/// What is made once, and what an allocator keeps, is there after these.
const WARM_UP: usize = 5_000;
const AT_ONCE: usize = 8;
const SETTLE: Duration = Duration::from_secs(3);

/// Through a pair of ours.
pub(crate) fn run(run: &mut Run<'_>) -> Result<()> {
    if !run.options.soak {
        return Ok(());
    }
    say("opening and closing 100,000 connections");
    let service = Service::start()?;
    let peer = Peer::Ours(Ours::usual());
    let pair = peer.start(&run.lab, service.address(), Engine::Tcp)?;
    let cycle = |count: usize| cycle(&pair, count);
    cycle(WARM_UP)?;
    let before = state(&pair)?;
    let begun = Instant::now();
    cycle(CONNECTIONS)?;
    let span = begun.elapsed();
    let after = state(&pair)?;
    for ((name, before), after) in ENDS.into_iter().zip(before).zip(after) {
        say(&format!("{NAME} {name}: {before} before, {after} after"));
        run.figures
            .add(&format!("{NAME}-{name}-before"), peer.name(), 0, before);
        run.figures
            .add(&format!("{NAME}-{name}-after"), peer.name(), 0, after);
    }
    run.figures
        .add("soak-seconds", peer.name(), 0, span.as_secs_f64());
    Ok(())
}

fn cycle(pair: &Pair, count: usize) -> Result<()> {
    let done = Arc::<AtomicUsize>::default();
    let entry = pair.entry();
    let work = |done: Arc<AtomicUsize>| {
        move || -> Result<()> {
            while done.fetch_add(1, Ordering::Relaxed) < count {
                first_byte(entry)?;
            }
            Ok(())
        }
    };
    let threads: Vec<_> = (0..AT_ONCE)
        .map(|_| thread::spawn(work(Arc::clone(&done))))
        .collect();
    for one in threads {
        one.join().map_err(|_| anyhow!("a thread panicked"))??;
    }
    Ok(())
}

/// Memory in KiB and descriptors of both ends, once what ends by itself has ended.
#[expect(clippy::cast_precision_loss, reason = "KiB and counts far below 2^52")]
fn state(pair: &Pair) -> Result<[f64; 4]> {
    pause(SETTLE);
    let [client, server] = pair.ends();
    Ok([
        resident(&client)? as f64,
        resident(&server)? as f64,
        descriptors(&client)? as f64,
        descriptors(&server)? as f64,
    ])
}
