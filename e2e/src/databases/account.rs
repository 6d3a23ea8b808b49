//! The account that a database server runs as: an unprivileged one when the tests run as root.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::{geteuid, getuid};

use super::give;
use crate::paths::installed;

const UNPRIVILEGED: &str = "nobody";
const SEARCHABLE_BY_OTHERS: u32 = 0o001;

/// An entry of /etc/passwd.
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Ourselves, or `nobody` when we are root. Root again when `nobody` cannot reach the installed
/// trees, as in a clone below a private folder: the servers read files there after dropping root.
pub(super) fn choose() -> Result<Account> {
    if !geteuid().is_root() {
        return find(|account| account.uid == getuid().as_raw());
    }
    let trees = installed("bin")?;
    let wanted = if reachable_by_others(&trees) {
        UNPRIVILEGED
    } else {
        "root"
    };
    find(|account| account.name == wanted)
}

/// Ourselves, or `nobody` when we are root, for a server that needs nothing of the installed trees.
pub(super) fn unprivileged() -> Result<Account> {
    if geteuid().is_root() {
        return find(|account| account.name == UNPRIVILEGED);
    }
    find(|account| account.uid == getuid().as_raw())
}

/// Gives `folder` and all in it to the chosen account.
pub(super) fn hand_over(folder: &Path) -> Result<()> {
    let account = choose()?;
    if geteuid().is_root() {
        hand_over_to(folder, &account)?;
    }
    Ok(())
}

fn hand_over_to(path: &Path, account: &Account) -> Result<()> {
    give(path, account.uid, account.gid)?;
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            hand_over_to(&entry?.path(), account)?;
        }
    }
    Ok(())
}

fn reachable_by_others(path: &Path) -> bool {
    path.ancestors().all(|folder| {
        folder
            .metadata()
            .is_ok_and(|found| found.mode() & SEARCHABLE_BY_OTHERS != 0)
    })
}

fn find(wanted: impl Fn(&Account) -> bool) -> Result<Account> {
    let accounts = std::fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
    accounts
        .lines()
        .filter_map(parse)
        .find(wanted)
        .context("no account in /etc/passwd to run a database as")
}

fn parse(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(Account { name, uid, gid })
}
