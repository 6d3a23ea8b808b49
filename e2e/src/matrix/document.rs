//! The login matrix as a document.

use std::collections::HashMap;
use std::fmt::Write as _;

use anyhow::Result;

use super::cell::{Cell, Kind, ways};
use super::reasons::Reason;
use super::run::{Outcome, Report, Verdict};
use crate::clients::Client;

const INTRODUCTION: &str = "\
# The login matrix

Written by `make matrix`, which logs in once for every cell below; do not edit. Before each login the database's
authentication cache is emptied (`FLUSH PRIVILEGES`), so that every login is a first one; where there is such a cache
(`caching_sha2_password`), a second login with the cache filled follows. Each runs a statement and compares the user and
the row that come back.

A column is a way to the database. Its first word is the database's leg: `direct` is without us, for comparison;
`unix:`, `tcp:` and `tls:` are what the agent's `--database` says. Its second word is the application's leg, to the
client (`cloudsql-proxy`) or directly to the database: TCP in the clear, TCP with TLS of its own, or a Unix socket.
`listener` is TLS to the agent's own `--mysql-listen`, without the client. In both TLS columns the agent takes nothing but
TLS (`inner-tls=require`, `--mysql-listen-tls require`).

`yes` is a login; a number is a reason why there can be none, from the list of reasons; `-` is a way that does not exist,
because that database has no TLS.
";

const NOTES: &str = "\
- Clients may do what they can for the login: they may ask for the database's RSA key (`--get-server-public-key`,
  `allowPublicKeyRetrieval=true`) and may send a password in the clear where a plugin asks for it.
- go-sql-driver 1.10 takes about one `ed25519` exchange in 300 for a malformed packet, directly too; it is tried again.
- MySQL 9 has no `mysql_native_password` any more on the server's side.
";

/// The text for a run.
pub fn document(report: &Report) -> Result<String> {
    let mut text = String::from(INTRODUCTION);
    text += &versions(report)?;
    text += &tables(&report.outcomes)?;
    Ok(text)
}

/// What ran.
fn versions(report: &Report) -> Result<String> {
    let mut text = String::from("\n## Versions\n\n| program | version |\n|---|---|\n");
    for (name, version) in report.databases.iter().chain(&report.clients) {
        writeln!(text, "| {name} | {version} |")?;
    }
    Ok(text)
}

/// Reasons, counts and cells: all that does not depend on versions.
pub fn tables(outcomes: &[Outcome]) -> Result<String> {
    let mut text = String::from("\n## Reasons\n\n");
    for (number, reason) in Reason::ALL.iter().enumerate() {
        writeln!(text, "{}. {}", number + 1, reason.text())?;
    }
    write!(text, "\nNotes:\n\n{NOTES}\n## Counts\n\n")?;
    text += "| database | logins | yes | with a reason | red |\n|---|---|---|---|---|\n";
    for kind in Kind::ALL {
        writeln!(text, "{}", counts(kind, outcomes))?;
    }
    let found: HashMap<Cell, &Verdict> = outcomes
        .iter()
        .map(|outcome| (outcome.cell, &outcome.verdict))
        .collect();
    for kind in Kind::ALL {
        writeln!(text, "\n## {kind}")?;
        for plugin in kind.plugins() {
            write!(text, "\n### {}\n\n{}", plugin.name(), heading(kind))?;
            for client in Client::ALL {
                let cells = ways().map(|(far, near)| {
                    let cell = Cell {
                        kind,
                        plugin: *plugin,
                        client,
                        near,
                        far,
                    };
                    mark(found.get(&cell).copied())
                });
                let cells: Vec<String> = cells.collect();
                writeln!(text, "| {client} | {} |", cells.join(" | "))?;
            }
        }
    }
    Ok(text)
}

fn heading(kind: Kind) -> String {
    let names: Vec<String> = ways()
        .map(|(far, near)| format!("{} {}", far.name(), near.name()))
        .collect();
    let rule = "---|".repeat(names.len());
    format!("| {kind} | {} |\n|---|{rule}\n", names.join(" | "))
}

fn counts(kind: Kind, outcomes: &[Outcome]) -> String {
    let (mut works, mut explained, mut red) = (0, 0, 0);
    for outcome in outcomes.iter().filter(|outcome| outcome.cell.kind == kind) {
        match outcome.verdict {
            Verdict::Works => works += 1,
            Verdict::Explained(_) => explained += 1,
            Verdict::Red(_) => red += 1,
        }
    }
    let all = works + explained + red;
    format!("| {kind} | {all} | {works} | {explained} | {red} |")
}

fn mark(verdict: Option<&Verdict>) -> String {
    match verdict {
        None => "-".to_owned(),
        Some(Verdict::Works) => "yes".to_owned(),
        Some(Verdict::Red(_)) => "**red**".to_owned(),
        Some(Verdict::Explained(reason)) => {
            let place = Reason::ALL.iter().position(|one| one == reason);
            place.map_or_else(String::new, |place| (place + 1).to_string())
        }
    }
}
