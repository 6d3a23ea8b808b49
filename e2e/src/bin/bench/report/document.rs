//! `docs/performance.md`, written whole.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::plots::Plot;
use super::{Setting, micro, tables};
use crate::machine;
use crate::peers::Peer;
use crate::phases::soak::{CONNECTIONS, ENDS};
use crate::phases::{Run, start};
use crate::plot::number;
use crate::targets::{ALL, Verdict};

pub(super) fn write(
    run: &Run<'_>,
    setting: &Setting,
    folder: &Path,
    plots: &[Plot],
) -> Result<String> {
    let mut text = String::from("# Performance\n\n");
    text += "<!-- Written by `make bench`: what is changed by hand is lost. -->\n\n";
    text += &introduction(run);
    writeln!(text, "\n## Targets\n\n{TARGETS}\n")?;
    text += &tables::targets(run);
    let folder = folder.file_name().context("a document has a name")?;
    let folder = folder.to_string_lossy();
    for plot in plots {
        writeln!(text, "\n![{}]({folder}/{}.svg)", plot.title, plot.name)?;
    }
    writeln!(
        text,
        "\nThe lines across the bars go from the least to the most of all rounds."
    )?;
    writeln!(text, "\n## Start\n\n{}", starts(run))?;
    writeln!(
        text,
        "\n## {} connections one after the other\n\n{}",
        number(100_000.0),
        soak(run)
    )?;
    writeln!(text, "\n## Micro-benchmarks\n\n{}", micro::section())?;
    writeln!(text, "\n## All figures\n\n{FIGURES}\n")?;
    text += &tables::figures(run);
    writeln!(text, "\n## Machine and configurations\n")?;
    text += &configurations(run, setting)?;
    writeln!(text, "\n## Method and its limits\n\n{METHOD}")?;
    writeln!(text, "\n## What disturbed this run\n")?;
    text += &tables::notes(run);
    Ok(text.replace("\n\n\n", "\n\n"))
}

const TARGETS: &str = "Ratios are taken within a round and their median is shown, with the least and the most. *Compared \
with* is whoever sets the hardest mark: of stunnel, HAProxy and nginx, the last two with their usual buffers and with \
64 KiB, the one beside whom our ratio is worst. *Plain relay* is the same ratio of two relays that encrypt nothing: the \
limit. Floors must hold; goals are what we are here for.";

const FIGURES: &str = "Medians of all rounds, with the least and the most. Bulk in GB/s, ping and first byte in \
microseconds, connections and queries per second, result sets in seconds, start in milliseconds, idle memory in KiB a \
session (`left-mib`: MiB of both ends when all sessions are closed). `-cpu`: CPU seconds, user and system, of both ends with all \
their children, for one GB (bulk, result sets), 100,000 round trips or queries; CPU milliseconds for one connection; CPU \
seconds of all idle sessions in 10 s.";

const METHOD: &str = "\
* Both ends, the load and the service run on the same machine and share its cores; only loopback is used. So absolute \
figures hold for this machine only, and everything that any of them does slows the others down: read the ratios.
* Rounds are interleaved: in each, every measure is taken at every peer before the next measure, and the order of peers \
moves by one from round to round.
* Before and after each sample the CPU time of all other processes is read. Where they had more than 10 % of the machine, \
the sample is repeated up to twice and the quietest is kept. After 15 minutes nothing is repeated any more, after 27 no round begins.
* CPU time comes from `/proc` in steps of 10 ms. Kernel threads are nobody's.
* TCP runs under reno in a network of its own: bbr, the default of many machines, paces loopback and hides differences.
* All pairs: TLS 1.3, AES-256-GCM (ghostunnel: AES-128-GCM), ECDSA P-256 on both sides, client certificate verified. stunnel, HAProxy and nginx \
resume TLS sessions from the second connection on; ours makes a full handshake each time, but may have made it ahead of need.
* Ours exchange keys by X25519 with ML-KEM-768, which quantum computers shall not break either: about a tenth of a handshake. \
stunnel, HAProxy and nginx with Debian's OpenSSL exchange them by X25519 alone.
* Ours are the release binaries with CA, key files and certificates as a user has them, and no flags for speed. They reach the \
database by TCP, as the peers do, though a Unix socket would be faster.
* A new connection is measured with one byte there and back. `first-byte` leaves 25 ms between two connections, `connect` none.
* `parallel-50` opens 50 connections at the same moment. Its p99 is the slowest but one of a hundred.
* `awake-ping` is `ping` while a process of the lowest priority keeps each core from sleeping. A `ping` is in good part the cores' waking up.
* Idle sessions: each pair is freshly started, 50 connections come first, `unused` is after one byte from the \
far end as a database's greeting would be, `used` after 256 KiB each way. Memory is resident memory as the kernel counts it for the \
processes; sockets' buffers in the kernel are not in it.
* sysbench runs with 10,000 rows, prepared statements and without TLS of its own, both databases with 256 MiB of buffers and without \
flushing at commits. Result sets are 500 MB of its rows, 195 bytes \
each, read by the database's own command line with `--quick`: mostly its time.
";

fn introduction(run: &Run<'_>) -> String {
    let ours: Vec<_> = ALL
        .iter()
        .map(|target| target.standing(&run.figures, &run.peers, "ours").verdict)
        .collect();
    let count = |wanted: Verdict| ours.iter().filter(|verdict| **verdict == wanted).count();
    format!(
        "What safety costs: our client and agent side by side with stunnel, HAProxy, nginx, ghostunnel, Google's proxy, a relay without \
         encryption, and the direct connection. `make bench` makes this document ({} rounds), `make bench QUICK=1` prints a \
         short form in three minutes.\n\n\
         **Of {} targets {} reach the goal, {} the floor, {} are missed, {} were not measured.**\n",
        run.options.rounds(),
        ours.len(),
        count(Verdict::Goal),
        count(Verdict::Floor),
        count(Verdict::Missed),
        count(Verdict::Open),
    )
}

/// From process start to service.
fn starts(run: &Run<'_>) -> String {
    let mut text = String::from(
        "From the start of the client's process. Neither client keeps a certificate from one run to the next: \
         the first step is to ask the CA, and there is no other kind of start. The query is a login and `SELECT 1` at MariaDB \
         on the first connection that is accepted. Medians in milliseconds.\n\n\
         | client | first accepted connection | first byte from the far end | first query answered |\n|---|---|---|---|\n",
    );
    for peer in &run.peers {
        let figures = [start::ACCEPTED, start::ANSWERED, start::QUERY];
        let found = figures.map(|figure| run.figures.spread(figure, peer.name()));
        if found.iter().any(Option::is_some) {
            let [accepted, answered, query] =
                found.map(|found| found.map_or_else(tables::none, |one| number(one.median)));
            text += &format!("| {} | {accepted} | {answered} | {query} |\n", peer.name());
        }
    }
    text
}

/// What is left of many connections.
pub(super) fn soak(run: &Run<'_>) -> String {
    let Some(seconds) = run.figures.spread("soak-seconds", "ours") else {
        return "Not part of this run: `make bench SOAK=1`.\n".to_owned();
    };
    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
    let rate = CONNECTIONS as f64 / seconds.median;
    let mut text = format!(
        "Eight at a time through our pair, {} a second, each with one byte there and back.\n\n\
         | end | before | after |\n|---|---|---|\n",
        number(rate)
    );
    for end in ENDS {
        let ends = ["before", "after"].map(|moment| {
            let found = run.figures.spread(&format!("soak-{end}-{moment}"), "ours");
            found.map_or_else(|| "-".to_owned(), |found| format!("{:.0}", found.median))
        });
        let [before, after] = ends;
        text += &format!("| {} | {before} | {after} |\n", end.replace('-', ", "));
    }
    text
}

fn configurations(run: &Run<'_>, setting: &Setting) -> Result<String> {
    let mut text = String::new();
    for line in machine::describe()? {
        writeln!(text, "* {line}")?;
    }
    writeln!(
        text,
        "* TCP congestion control {}, {} descriptors a process, {} idle sessions",
        setting.control, setting.descriptors, run.sessions
    )?;
    writeln!(
        text,
        "* {}",
        machine::version("sysbench", "--version", "sysbench")
    )?;
    for server in ["bin/mariadbd10", "bin/mysqld9"] {
        let program = e2e::paths::installed(server)?;
        let version = machine::version(&program.to_string_lossy(), "--version", "ver");
        let (_, version) = version.split_once("Ver ").unwrap_or(("", &version));
        let name = if server.contains("maria") {
            "MariaDB"
        } else {
            "MySQL"
        };
        writeln!(text, "* {name} {version}")?;
    }
    for peer in &run.peers {
        if let Some(description) = Peer::describe(peer) {
            writeln!(text, "* **{}**: {description}", peer.name())?;
        }
    }
    Ok(text)
}
