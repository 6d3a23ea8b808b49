//! `make bench`: the tunnel side by side with its peers, interleaved, in one run.
//!
//! Rounds are interleaved and ratios taken within a round, because machines are noisy: read the ratios, not the figures.

mod certificates;
mod cpu;
mod figures;
mod interrupt;
mod load;
mod machine;
mod measures;
mod options;
mod peers;
mod phases;
mod plot;
mod relay;
mod report;
mod sample;
mod service;
mod targets;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;

use figures::Figures;
use options::{Command, Options};
use peers::{Ours, Peer};
use phases::Run;

fn main() -> Result<()> {
    let options = Options::parse();
    match options.command {
        Some(Command::Relay { listen, connect }) => relay::run(listen, connect),
        Some(Command::Spin) => {
            measures::ping::spin();
            Ok(())
        }
        Some(Command::List) => report::list(&peers(&options)?),
        None => bench(&options),
    }
}

fn bench(options: &Options) -> Result<()> {
    let mut figures = Figures::default();
    let (control, note) = machine::enter_network()?;
    note.into_iter().for_each(|note| figures.note(note));
    interrupt::end_children_too()?;
    let descriptors = machine::raise_descriptors()?;
    let asked = peers(options)?;
    let columns = asked.iter().map(|peer| peer.name().to_owned()).collect();
    let peers = present(asked, &mut figures)?;
    let mut run = Run::new(options, peers, columns, figures)?;
    phases::idle::run(&mut run, descriptors)?;
    phases::raw::run(&mut run)?;
    phases::database::run(&mut run)?;
    phases::start::run(&mut run)?;
    phases::soak::run(&mut run)?;
    let setting = report::Setting {
        control,
        descriptors,
    };
    report::write(options, &run, &setting)
}

/// The peers that are asked for.
fn peers(options: &Options) -> Result<Vec<Peer>> {
    let mut all = Peer::all();
    for (place, variant) in options.variant.iter().enumerate() {
        let (name, folder) = variant
            .split_once('=')
            .context("a variant is NAME=FOLDER")?;
        all.insert(place + 1, Peer::Ours(Ours::from(name, Path::new(folder))?));
    }
    for name in &options.peers {
        ensure!(
            all.iter().any(|peer| peer.name() == name),
            "no peer {name}: `bench list` shows them all"
        );
    }
    if !options.peers.is_empty() {
        all.retain(|peer| options.peers.iter().any(|name| peer.name() == name));
    }
    Ok(all)
}

/// Those that can run here. Nothing can be said without the rivals; others may be missing, loudly.
fn present(peers: Vec<Peer>, figures: &mut Figures) -> Result<Vec<Peer>> {
    let mut present = Vec::new();
    for peer in peers {
        match peer.missing() {
            None => present.push(peer),
            Some(why) => {
                ensure!(!peer.is_rival(), "{why}");
                sample::say(&format!("NOT MEASURED: {}: {why}", peer.name()));
                figures.note(format!("**Not measured: {}**. {why}.", peer.name()));
            }
        }
    }
    Ok(present)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Options {
        Options::try_parse_from([&["bench"], arguments].concat()).unwrap()
    }

    #[test]
    fn peers_come_in_the_documents_order_whatever_the_options_order() {
        let found = peers(&parsed(&["--peers", "plain,ours"])).unwrap();
        let names: Vec<&str> = found.iter().map(Peer::name).collect();
        assert_eq!(names, ["ours", "plain"]);
    }

    #[test]
    fn a_peer_that_nobody_knows_is_refused_by_name() {
        let error = peers(&parsed(&["--peers", "ours,socat"])).unwrap_err();
        assert!(error.to_string().contains("socat"), "{error}");
    }

    #[test]
    fn a_variant_needs_a_name_and_binaries() {
        assert!(peers(&parsed(&["--variant", "nameless"])).is_err());
        let empty = tempfile::tempdir().unwrap();
        let variant = format!("old={}", empty.path().display());
        let error = peers(&parsed(&["--variant", &variant])).unwrap_err();
        assert!(error.to_string().contains("cloudsql-proxy"), "{error}");
        for program in ["cloudsql-proxy", "cloudsql-proxy-server"] {
            std::fs::write(empty.path().join(program), "").unwrap();
        }
        let found = peers(&parsed(&["--variant", &variant])).unwrap();
        assert_eq!(found.get(1).map(Peer::name), Some("old"));
    }
}
