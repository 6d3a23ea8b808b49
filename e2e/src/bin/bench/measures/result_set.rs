//! A large result set, read as it comes by the database's own command line.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, ensure};
use e2e::databases::{Flavor, PASSWORD, SCHEMA};
use e2e::paths::installed;

use super::sysbench::ROWS;
use super::{Scale, Taken};

/// What the time is given for, whatever part of it is read.
const WHOLE: f64 = 500e6;
/// One row of sysbench's on the wire, on average: two numbers, texts of 119 and 59 bytes, five bytes of lengths and so on.
const ROW: f64 = 195.0;

/// Seconds for 500 MB of sysbench's rows.
pub(crate) fn run(flavor: Flavor, entry: SocketAddr, scale: Scale) -> Result<Taken> {
    let times = scale.of(256, 64);
    let sql = format!("SELECT a.* FROM sbtest1 a, (SELECT id FROM sbtest1 LIMIT {times}) b");
    let (program, usual): (_, &[&str]) = match flavor {
        Flavor::MySql9 => (
            "bin/mysql9",
            &["--ssl-mode=DISABLED", "--get-server-public-key"],
        ),
        Flavor::MariaDb10 | Flavor::MariaDb11 => ("bin/mariadb10", &["--skip-ssl"]),
    };
    let mut command = Command::new(installed(program)?);
    command
        .arg("--no-defaults")
        .args(usual)
        .args(["--quick", "--batch", "--raw", "--skip-column-names"])
        .arg(format!("--host={}", entry.ip()))
        .arg(format!("--port={}", entry.port()))
        .arg("--user=app")
        .arg(format!("--password={PASSWORD}"))
        .args(["--execute", &sql, SCHEMA])
        .stdout(Stdio::null());
    let begun = Instant::now();
    let output = command.output()?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let received = f64::from(ROWS) * f64::from(times) * ROW;
    Ok(Taken {
        figures: vec![("", seconds * WHOLE / received)],
        work: received / 1e9,
    })
}
