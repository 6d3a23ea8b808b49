//! `make matrix`: every client against every database, account and leg; writes docs/login-matrix.md.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use e2e::matrix::{Kind, document, run};
use e2e::paths::project;

fn main() -> Result<ExitCode> {
    let started = Instant::now();
    let report = run(&Kind::ALL, |_| true)?;
    let path = project().join("docs/login-matrix.md");
    std::fs::write(&path, document(&report)?)?;

    let (red, idle) = (report.red(), report.idle_reasons());
    let mut out = std::io::stdout().lock();
    for line in &red {
        writeln!(out, "red: {line}")?;
    }
    for reason in &idle {
        writeln!(out, "a reason that explains nothing: {}", reason.text())?;
    }
    writeln!(
        out,
        "{} logins of {} clients in {} s, {} red; see {}",
        report.outcomes.len(),
        report.clients.len(),
        started.elapsed().as_secs(),
        red.len(),
        path.display()
    )?;
    let is_green = red.is_empty() && idle.is_empty();
    Ok(if is_green {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
