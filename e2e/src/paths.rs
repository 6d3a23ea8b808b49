//! Where things are: the project, what setup installed, what cargo built.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The root of the project.
pub fn project() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// What `e2e/setup/all` installed, for example `.test/bin/mysqld9`.
pub fn installed(name: &str) -> Result<PathBuf> {
    let path = project().join(".test").join(name);
    ensure!(
        path.exists(),
        "{} is missing: run e2e/setup/all",
        path.display()
    );
    Ok(path)
}

/// A driver's program in `e2e/clients`.
pub fn client_program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(name)
}

/// One of our binaries, built beside the program that runs now.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is")?;
    let path = own
        .ancestors()
        .skip(1)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    path.with_context(|| {
        format!(
            "{name} is not beside {}: run cargo build first",
            own.display()
        )
    })
}
