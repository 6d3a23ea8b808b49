//! Data directories that are made once and copied for each start.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use super::{Flavor, account, copy_folder};
use crate::paths::project;
use crate::place::Place;

/// Copies the flavor's data directory to `to`, making it first if there is none yet.
///
/// The lock keeps parallel test programs from making it twice, or from removing what another one
/// copies. `e2e/setup/databases` removes the templates when it installs other servers; the name
/// changes with the SQL and the options of this crate.
pub(super) fn copy(flavor: Flavor, to: &Path) -> Result<()> {
    let templates = project().join(".test/templates");
    std::fs::create_dir_all(&templates).context("making .test/templates")?;
    let template = templates.join(format!("{flavor:?}-{}", definition()));
    let lock = File::create(templates.join("lock")).context("the lock of the templates")?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if !template.exists() {
        remove_outdated(flavor, &templates)?;
        make(flavor, &template)?;
    }
    copy_folder(&template, to)
}

fn remove_outdated(flavor: Flavor, templates: &Path) -> Result<()> {
    for entry in std::fs::read_dir(templates)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(&format!("{flavor:?}-"))
        {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn make(flavor: Flavor, template: &Path) -> Result<()> {
    // Servers drop root, so the work is done where anyone can reach it.
    let place = Place::new("template")?;
    let data = place.join("data");
    std::fs::create_dir(&data)?;
    account::hand_over(place.path())?;
    flavor.initialise(&data)?;
    let unfinished = template.with_extension("unfinished");
    copy_folder(&data, &unfinished)?;
    std::fs::rename(&unfinished, template)?;
    Ok(())
}

/// A number that changes when the sources that define a template do.
fn definition() -> String {
    let sources = [
        include_str!("../databases.rs"),
        include_str!("mysql.rs"),
        include_str!("mariadb.rs"),
        include_str!("certificate.rs"),
    ];
    let digest = sources
        .iter()
        .flat_map(|source| source.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    format!("{digest:016x}")
}
