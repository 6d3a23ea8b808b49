//! The order of things: what is behind the pairs, and round by round what is measured.

use anyhow::Result;

use crate::figures::Figures;
use crate::measures::{Raw, Scale, Taken};
use crate::options::Options;
use crate::peers::{Engine, Lab, Pair, Peer};
use crate::sample::{self, say};
use crate::service::Service;

/// All that a run holds.
pub(crate) struct Run<'a> {
    pub(crate) options: &'a Options,
    pub(crate) peers: Vec<Peer>,
    pub(crate) figures: Figures,
    lab: Lab,
    scale: Scale,
}

impl<'a> Run<'a> {
    pub(crate) fn new(options: &'a Options, peers: Vec<Peer>, figures: Figures) -> Result<Self> {
        let scale = Scale {
            quick: options.quick,
        };
        Ok(Self {
            options,
            peers,
            figures,
            lab: Lab::new()?,
            scale,
        })
    }

    /// Starts a pair for each peer. One that does not start is left out, loudly.
    fn pairs(&mut self, service: std::net::SocketAddr, engine: Engine) -> Vec<(Peer, Pair)> {
        let mut pairs = Vec::new();
        for peer in &self.peers {
            match peer.start(&self.lab, service, engine) {
                Ok(pair) => pairs.push((peer.clone(), pair)),
                Err(error) => {
                    say(&format!("FAILED: {error:#}"));
                    self.figures
                        .note(format!("**Not measured: {}**. {error:#}", peer.name()));
                }
            }
        }
        pairs
    }

    /// Takes one sample of a measure at one pair and keeps what it gives.
    fn sample(
        &mut self,
        round: usize,
        name: &str,
        (peer, pair): &(Peer, Pair),
        mut measure: impl FnMut() -> Result<Taken>,
    ) {
        let peer = peer.name();
        let processes = pair.processes();
        match sample::take(&processes, !self.options.quick, &mut measure) {
            Ok(sample) => {
                let mut said = format!("round {} {name} {peer}:", round + 1);
                for (end, value) in &sample.value.figures {
                    let figure = format!("{name}{end}");
                    said += &format!(" {figure} {value:.3}");
                    self.figures.add(&figure, peer, round, *value);
                }
                if !processes.is_empty() {
                    let cpu = sample.cpu.as_secs_f64() / sample.value.work;
                    said += &format!(" cpu {cpu:.3}");
                    self.figures.add(&format!("{name}-cpu"), peer, round, cpu);
                }
                if sample.is_doubtful() {
                    let share = sample.foreign * 100.0;
                    said += &format!(" (others had {share:.0} % of the machine)");
                    self.figures.note(format!(
                        "Round {} of {name} at {peer}: other processes had {share:.0} % of the machine.",
                        round + 1
                    ));
                }
                say(&said);
            }
            Err(error) => {
                say(&format!("FAILED: {name} {peer}: {error:#}{}", pair.logs()));
                self.figures.note(format!(
                    "**Failed: {name} at {peer}**, round {}: {error:#}",
                    round + 1
                ));
            }
        }
    }
}

/// Measures on raw bytes.
pub(crate) fn raw(run: &mut Run<'_>) -> Result<()> {
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
