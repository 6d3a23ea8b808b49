//! What was found, for people.

mod document;
mod micro;
mod plots;
mod tables;

use std::io::Write as _;

use anyhow::{Context as _, Result};

use crate::measures::Raw;
use crate::options::Options;
use crate::peers::Peer;
use crate::phases::database::{FLAVORS, Measure};
use crate::phases::{Run, idle, start};
use crate::sample::say;

/// How the machine was prepared.
pub(crate) struct Setting {
    pub(crate) control: String,
    pub(crate) descriptors: u64,
}

/// The names that options take.
pub(crate) fn list(peers: &[Peer]) -> Result<()> {
    let raw = Raw::ALL.iter().map(|measure| measure.name().to_owned());
    let databases = FLAVORS
        .iter()
        .flat_map(|(flavor, _)| Measure::ALL.iter().map(|measure| measure.name(flavor)));
    let others = [idle::NAME, start::NAME].map(str::to_owned);
    let measures: Vec<String> = raw.chain(databases).chain(others).collect();
    let peers: Vec<&str> = peers.iter().map(Peer::name).collect();
    print(&format!(
        "measures: {}\npeers: {}\n",
        measures.join(" "),
        peers.join(" ")
    ))
}

/// The document, or for a part of the measures the same tables on the standard output.
pub(crate) fn write(options: &Options, run: &Run<'_>, setting: &Setting) -> Result<()> {
    let Some(document) = options.document() else {
        let tables = [
            tables::targets(run),
            tables::figures(run),
            if options.soak {
                document::soak(run)
            } else {
                String::new()
            },
            tables::notes(run),
        ];
        return print(&tables.join("\n"));
    };
    let folder = document.with_extension("");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let plots = plots::all(run);
    for plot in &plots {
        let file = folder.join(format!("{}.svg", plot.name));
        std::fs::write(&file, &plot.picture)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    let text = document::write(run, setting, &folder, &plots)?;
    std::fs::write(&document, text).with_context(|| format!("writing {}", document.display()))?;
    say(&format!("{} is written", document.display()));
    print(&tables::targets(run))
}

fn print(text: &str) -> Result<()> {
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}
