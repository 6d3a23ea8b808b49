//! Counts what ran, per database and client: `e2e/summary` prints it after the tests.

use std::fs::File;
use std::io::Write as _;

use anyhow::{Context, Result};

use crate::paths::project;

/// Notes that a check passed: a line of its own in `.test/tally`, so that parallel tests do not mix.
pub fn passed(database: &str, client: &str, check: &str) -> Result<()> {
    let path = project().join(".test/tally");
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))?;
    let test = std::thread::current()
        .name()
        .unwrap_or("unnamed")
        .to_owned();
    file.write_all(format!("{database}\t{client}\t{test}: {check}\n").as_bytes())?;
    Ok(())
}
