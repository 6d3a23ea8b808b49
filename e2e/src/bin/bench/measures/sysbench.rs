//! sysbench's own loads against a database.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use e2e::databases::{PASSWORD, SCHEMA};

use super::{Scale, Taken};

pub(crate) const ROWS: u32 = 10_000;

/// One of its loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    PointSelect,
    ReadWrite,
}

impl Load {
    const fn script(self) -> &'static str {
        match self {
            Self::PointSelect => "oltp_point_select",
            Self::ReadWrite => "oltp_read_write",
        }
    }
}

/// Fills the table.
pub(crate) fn prepare(database: SocketAddr) -> Result<()> {
    said(command(Load::ReadWrite, database).arg("prepare")).map(drop)
}

/// Queries a second; work is counted in hundreds of thousands of queries.
pub(crate) fn run(load: Load, threads: usize, entry: SocketAddr, scale: Scale) -> Result<Taken> {
    let mut command = command(load, entry);
    command
        .arg(format!("--threads={threads}"))
        .arg(format!("--time={}", scale.of(2, 1)))
        .arg("run");
    let said = said(&mut command)?;
    let (queries, rate) =
        queries(&said).with_context(|| format!("no count of queries in {said}"))?;
    Ok(Taken {
        figures: vec![("", rate)],
        work: queries / 1e5,
    })
}

/// What it prints; where it fails, the first line that says why.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output().context("starting sysbench")?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let why = text.lines().filter(|line| line.contains("FATAL")).nth(1);
    ensure!(
        output.status.success(),
        "sysbench: {}",
        why.unwrap_or("it does not say why")
    );
    Ok(text.into_owned())
}

fn command(load: Load, at: SocketAddr) -> Command {
    let mut command = Command::new("sysbench");
    command
        .arg(load.script())
        .args(["--db-driver=mysql", "--mysql-ssl=off", "--tables=1"])
        .arg(format!("--table-size={ROWS}"))
        .arg(format!("--mysql-host={}", at.ip()))
        .arg(format!("--mysql-port={}", at.port()))
        .arg("--mysql-user=app")
        .arg(format!("--mysql-password={PASSWORD}"))
        .arg(format!("--mysql-db={SCHEMA}"));
    command
}

/// `queries:   12345  (6172.11 per sec.)`
fn queries(said: &str) -> Option<(f64, f64)> {
    let line = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("queries:"))?;
    let (count, rate) = line.split_once('(')?;
    let rate = rate.split_ascii_whitespace().next()?;
    Some((count.trim().parse().ok()?, rate.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_and_the_rate_are_found_among_the_other_lines() {
        let said = "SQL statistics:\n    queries performed:\n        read: 12\n    transactions: 9 (4.5 per sec.)\n    \
                    queries:                             23410  (11702.96 per sec.)\n";
        assert_eq!(queries(said), Some((23410.0, 11702.96)));
        assert_eq!(queries("FATAL: unable to connect"), None);
    }
}
