//! What the benchmark is asked to do.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The tunnel side by side with its peers, interleaved, in one run. Read the ratios, not the figures.
#[derive(Parser, Debug)]
#[command(name = "bench")]
pub(crate) struct Options {
    /// Fewer rounds, sizes and measures; the result goes to the standard output.
    #[arg(long)]
    pub(crate) quick: bool,
    /// 100,000 connections one after the other through our pair, too.
    #[arg(long)]
    pub(crate) soak: bool,
    /// Only measures whose name begins like one of these, as bulk,ping-64.
    #[arg(long, env = "BENCH_ONLY", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Only these peers, as ours,haproxy64,plain.
    #[arg(long, env = "BENCH_PEERS", value_delimiter = ',')]
    pub(crate) peers: Vec<String>,
    /// Other binaries of ours to compare, as before=/path/to/folder; may be given several times.
    #[arg(
        long,
        env = "BENCH_VARIANTS",
        value_delimiter = ',',
        value_name = "NAME=FOLDER"
    )]
    pub(crate) variant: Vec<String>,
    /// Rounds; 5 unless quick.
    #[arg(long, env = "BENCH_ROUNDS")]
    pub(crate) rounds: Option<usize>,
    /// How long, in minutes, samples on a busy machine are repeated: a run has to end, too.
    #[arg(long, default_value_t = 15)]
    pub(crate) patience: u64,
    /// Where to write the document; its plots go to a folder beside it, of the same name. Without this, a run of
    /// everything writes docs/performance.md, and any other prints.
    #[arg(long)]
    document: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Work for processes that this program starts.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// List the measures and peers.
    List,
    /// Copy bytes from one address to another, without encryption.
    #[command(hide = true)]
    Relay {
        /// Where to accept.
        listen: SocketAddr,
        /// Where to go.
        connect: SocketAddr,
    },
    /// Burn time, so that a core does not sleep.
    #[command(hide = true)]
    Spin,
}

impl Options {
    /// How many rounds.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 5 })
    }

    /// Where the document goes, if one is written.
    pub(crate) fn document(&self) -> Option<PathBuf> {
        let usual = || {
            self.is_whole()
                .then(|| PathBuf::from("docs/performance.md"))
        };
        self.document.clone().or_else(usual)
    }

    /// Whether this run measures everything.
    pub(crate) const fn is_whole(&self) -> bool {
        !self.quick && self.only.is_empty() && self.peers.is_empty() && self.variant.is_empty()
    }

    /// Whether a measure is asked for.
    pub(crate) fn wants(&self, measure: &str) -> bool {
        self.only.is_empty()
            || self
                .only
                .iter()
                .any(|begin| measure.starts_with(begin.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Options {
        Options::try_parse_from([&["bench"], arguments].concat()).unwrap()
    }

    #[test]
    fn only_a_run_of_everything_writes_the_projects_document() {
        let usual = Some(PathBuf::from("docs/performance.md"));
        assert_eq!(parsed(&[]).document(), usual);
        assert_eq!(parsed(&["--soak"]).document(), usual);
        for part in [
            &["--quick"][..],
            &["--only", "ping"],
            &["--peers", "ours,plain"],
            &["--variant", "old=/x"],
        ] {
            assert_eq!(parsed(part).document(), None, "{part:?}");
        }
        let named = parsed(&["--quick", "--document", "/x/y.md"]);
        assert_eq!(named.document(), Some(PathBuf::from("/x/y.md")));
    }

    #[test]
    fn measures_are_chosen_by_the_beginning_of_their_names() {
        let options = parsed(&["--only", "bulk,ping"]);
        assert!(options.wants("bulk-up-1") && options.wants("ping"));
        assert!(!options.wants("awake-ping") && !options.wants("idle"));
        assert!(parsed(&[]).wants("idle"));
    }

    #[test]
    fn a_quick_run_has_one_round_unless_it_is_told_otherwise() {
        assert_eq!(parsed(&["--quick"]).rounds(), 1);
        assert_eq!(parsed(&["--quick", "--rounds", "4"]).rounds(), 4);
        assert_eq!(parsed(&[]).rounds(), 5);
    }
}
