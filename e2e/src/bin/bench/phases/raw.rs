//! Bytes without a database: the service answers at once, so that what is measured is the way there and back.

use anyhow::Result;

use super::Run;
use crate::measures::Raw;
use crate::peers::Engine;
use crate::sample::say;
use crate::service::Service;

/// Every measure that is asked for, at every pair, round by round.
pub(crate) fn run(run: &mut Run<'_>) -> Result<()> {
    let wanted = Raw::ALL
        .into_iter()
        .filter(|measure| run.options.wants(measure.name()));
    let wanted: Vec<Raw> = wanted.collect();
    if wanted.is_empty() {
        return Ok(());
    }
    say("starting all pairs");
    let service = Service::start()?;
    let mut pairs = run.pairs(service.address(), Engine::Tcp);
    let scale = run.scale;
    for round in 0..run.options.rounds() {
        if !run.has_time(round, "Raw bytes") {
            break;
        }
        for measure in &wanted {
            for at in &pairs {
                let entry = at.1.entry();
                run.sample(round, measure.name(), at, || measure.run(entry, scale));
            }
        }
        // Nobody is always behind the same neighbour's noise, or always first.
        let step = pairs.len().min(1);
        pairs.rotate_left(step);
    }
    Ok(())
}
