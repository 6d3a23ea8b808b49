//! 64 bytes there and back, one after the other on one connection.

use std::net::SocketAddr;
use std::process::{Child, Command};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::{Scale, Taken};
use crate::figures::quantile;
use crate::load::{echoing, round_trip};

const LENGTH: usize = 64;
const WARM_UP: u32 = 200;

pub(crate) fn run(entry: SocketAddr, scale: Scale) -> Result<Taken> {
    let trips = scale.of(10_000, 3_000);
    let mut stream = echoing(entry, LENGTH)?;
    let mut message = [7; LENGTH];
    for _ in 0..WARM_UP {
        round_trip(&mut stream, &mut message)?;
    }
    let mut times = Vec::new();
    for _ in 0..trips {
        let begun = Instant::now();
        round_trip(&mut stream, &mut message)?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(Taken {
        figures: vec![
            ("-p50", quantile(&mut times, 0.5)),
            ("-p99", quantile(&mut times, 0.99)),
        ],
        work: f64::from(trips + WARM_UP) / 1e5,
    })
}

/// The same while a process of the lowest priority on each core keeps it from going to sleep: without them a round
/// trip is in good part the cores' waking up.
pub(crate) fn run_awake(entry: SocketAddr, scale: Scale) -> Result<Taken> {
    let cores = std::thread::available_parallelism()?.get();
    let awake: Result<Vec<Spin>> = (0..cores).map(|_| Spin::start()).collect();
    let taken = run(entry, scale);
    drop(awake?);
    taken
}

/// A process that only burns time; it ends with this value.
struct Spin(Child);

impl Spin {
    fn start() -> Result<Self> {
        let own = std::env::current_exe().context("where this program is")?;
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(own).arg("spin");
        Ok(Self(command.spawn().context("starting nice")?))
    }
}

impl Drop for Spin {
    fn drop(&mut self) {
        // One that has ended already is no loss.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What such a process does, until it is killed or its parent is gone.
pub(crate) fn spin() {
    let parent = rustix::process::getppid();
    while rustix::process::getppid() == parent {
        (0..1_000_000).for_each(|_| std::hint::spin_loop());
    }
}
