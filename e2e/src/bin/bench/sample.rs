//! One sample: a piece of work, the CPU time that a pair spent on it, and who else was busy meanwhile.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cpu::Snapshot;
use crate::measures::connect::pause;

/// As much of the machine as others may have before a sample is taken again.
const FOREIGN: f64 = 0.10;
const ATTEMPTS: usize = 3;
/// How long a busy machine is left alone before the next attempt.
const REST: Duration = Duration::from_secs(1);

/// What one piece of work cost.
pub(crate) struct Sample<T> {
    pub(crate) value: T,
    /// Of the pair's processes.
    pub(crate) cpu: Duration,
    /// The share of the machine that other processes had.
    pub(crate) foreign: f64,
}

impl<T> Sample<T> {
    /// Whether others had so much of the machine that the sample is doubtful.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.foreign > FOREIGN
    }
}

/// Does the work, again where others were busy, and keeps the quietest.
pub(crate) fn take<T>(
    processes: &[u32],
    patient: bool,
    mut work: impl FnMut() -> Result<T>,
) -> Result<Sample<T>> {
    let mut best = once(processes, &mut work)?;
    let attempts = if patient { ATTEMPTS } else { 1 };
    for _ in 1..attempts {
        if !best.is_doubtful() {
            break;
        }
        pause(REST);
        let next = once(processes, &mut work)?;
        if next.foreign < best.foreign {
            best = next;
        }
    }
    Ok(best)
}

fn once<T>(processes: &[u32], work: &mut impl FnMut() -> Result<T>) -> Result<Sample<T>> {
    let own = [std::process::id()];
    let cores = std::thread::available_parallelism()?.get();
    let (before, begun) = (Snapshot::take()?, Instant::now());
    let value = work()?;
    let (span, after) = (begun.elapsed(), Snapshot::take()?);
    let foreign = after
        .foreign_time(&own)
        .saturating_sub(before.foreign_time(&own));
    #[expect(clippy::cast_precision_loss, reason = "a number of cores")]
    let machine = span.as_secs_f64() * cores as f64;
    Ok(Sample {
        value,
        cpu: after.time(processes).saturating_sub(before.time(processes)),
        foreign: foreign.as_secs_f64() / machine,
    })
}

/// Progress, for whoever waits.
pub(crate) fn say(text: &str) {
    // Nobody may be there to read it.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}
