//! What was found, for people.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;

use crate::measures::Raw;
use crate::options::Options;
use crate::peers::Peer;
use crate::phases::Run;

/// How the machine was prepared.
pub(crate) struct Setting {
    pub(crate) control: String,
    pub(crate) descriptors: u64,
}

pub(crate) fn list(peers: &[Peer]) -> Result<()> {
    let mut text = String::from("measures:");
    Raw::ALL
        .iter()
        .for_each(|measure| text = format!("{text} {}", measure.name()));
    text += "\npeers:";
    peers
        .iter()
        .for_each(|peer| text = format!("{text} {}", peer.name()));
    print(&text)
}

fn print(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

pub(crate) fn write(options: &Options, run: &Run<'_>, setting: &Setting) -> Result<()> {
    let mut text = format!(
        "congestion control {}, descriptors {}\n\n",
        setting.control, setting.descriptors
    );
    let names: Vec<&str> = run.peers.iter().map(Peer::name).collect();
    writeln!(text, "| figure | {} |", names.join(" | "))?;
    for figure in run.figures.names() {
        write!(text, "| {figure} |")?;
        for peer in &names {
            match run.figures.spread(&figure, peer) {
                Some(found) => write!(
                    text,
                    " {:.3} ({:.3}-{:.3}) |",
                    found.median, found.least, found.most
                )?,
                None => write!(text, " - |")?,
            }
        }
        writeln!(text)?;
    }
    let _whole = options.is_whole();
    print(&text)
}
