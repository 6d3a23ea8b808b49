//! The order of things: what is behind the pairs, and round by round what is measured.

pub(crate) mod database;
pub(crate) mod idle;
pub(crate) mod raw;
pub(crate) mod soak;
pub(crate) mod start;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::figures::Figures;
use crate::measures::{Scale, Taken};
use crate::options::Options;
use crate::peers::{Engine, Lab, Pair, Peer};
use crate::sample::{self, say};

/// After this no further round begins.
const LONGEST: Duration = Duration::from_secs(27 * 60);

/// All that a run holds.
pub(crate) struct Run<'a> {
    pub(crate) options: &'a Options,
    pub(crate) peers: Vec<Peer>,
    /// The names of all that were asked for, those that cannot run here too.
    pub(crate) columns: Vec<String>,
    pub(crate) figures: Figures,
    /// How many sessions are idle in the measure of memory.
    pub(crate) sessions: usize,
    lab: Lab,
    scale: Scale,
    begun: Instant,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        options: &'a Options,
        peers: Vec<Peer>,
        columns: Vec<String>,
        figures: Figures,
    ) -> Result<Self> {
        let scale = Scale {
            quick: options.quick,
        };
        Ok(Self {
            options,
            peers,
            columns,
            figures,
            sessions: 0,
            lab: Lab::new()?,
            scale,
            begun: Instant::now(),
        })
    }

    /// How long it has gone on.
    pub(crate) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether there is time for another round; says so where there is none. The first always has.
    fn has_time(&mut self, round: usize, what: &str) -> bool {
        let enough = round == 0 || self.age() < LONGEST;
        if !enough {
            self.figures.note(format!(
                "**{what}: {round} rounds** and no more, for the run had taken {} minutes.",
                self.age().as_secs() / 60
            ));
        }
        enough
    }

    fn is_patient(&self) -> bool {
        !self.options.quick && self.age() < Duration::from_secs(60 * self.options.patience)
    }

    /// Says and keeps what went wrong with one peer: the others go on.
    fn failed(&mut self, what: &str, peer: &str, error: &anyhow::Error) {
        say(&format!("FAILED: {what} at {peer}: {error:#}"));
        self.figures
            .note(format!("**Failed: {what} at {peer}**: {error:#}"));
    }

    /// Starts a pair for each peer. One that does not start is left out, loudly.
    fn pairs(&mut self, service: SocketAddr, engine: Engine) -> Vec<(Peer, Pair)> {
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
        match sample::take(&processes, self.is_patient(), &mut measure) {
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
                self.figures.count_sample(sample.is_doubtful());
                if sample.is_doubtful() {
                    let share = sample.foreign * 100.0;
                    said += &format!(" (others had {share:.0} % of the machine)");
                }
                say(&said);
            }
            Err(error) => {
                self.failed(name, peer, &error);
                say(&pair.logs());
            }
        }
    }
}
