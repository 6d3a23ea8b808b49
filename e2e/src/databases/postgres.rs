//! A PostgreSQL server in a temporary folder. It trusts its clients: whoever reaches it is let in as whom they name.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::geteuid;

use super::account::{self, Account};
use super::give;
use crate::clients::Address;
use crate::paths::installed;
use crate::place::Place;
use crate::process::{Process, output_of};
use crate::wait::{PATIENCE, until};

/// The administrator of every cluster.
const SUPERUSER: &str = "postgres";

/// A running server; it ends when this value is dropped.
pub struct Postgres {
    folder: PathBuf,
    port: u16,
    _process: Process,
}

impl Postgres {
    /// Starts one in `place` with these users besides [`SUPERUSER`].
    pub fn start(place: &Place, users: &[&str]) -> Result<Self> {
        let port = place.free_port()?;
        let folder = place.join("postgres");
        std::fs::create_dir(&folder)?;
        let account = account::unprivileged()?;
        if geteuid().is_root() {
            give(&folder, account.uid, account.gid)?;
        }
        let data = folder.join("data");
        let mut initdb = program("initdb", &account)?;
        initdb.arg("-D").arg(&data).args(["-U", SUPERUSER]);
        initdb.args(["-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]);
        output_of(&mut initdb)?;
        let mut server = program("postgres", &account)?;
        server.arg("-D").arg(&data).arg("-k").arg(&folder);
        server.args(["-h", "", "-p", &port.to_string(), "-c", "fsync=off"]);
        let process = Process::spawn("postgres", &mut server, &place.join("postgres.log"))?;
        let server = Self {
            folder,
            port,
            _process: process,
        };
        let own = Address::Socket(server.folder.clone());
        until("PostgreSQL's first answer", PATIENCE, || {
            Ok(query(&own, port, SUPERUSER, "SELECT 1")?.ok())
        })?;
        for user in users {
            let made = query(&own, port, SUPERUSER, &format!("CREATE ROLE {user} LOGIN"))?;
            made.map_err(anyhow::Error::msg)?;
        }
        Ok(server)
    }

    /// Its Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{}", self.port))
    }

    /// Runs a statement as `user` through a listener; gives back what `psql` prints, or its complaint.
    pub fn query_at(address: &Address, user: &str, sql: &str) -> Result<Result<String, String>> {
        query(address, address.port(), user, sql)
    }
}

fn query(address: &Address, port: u16, user: &str, sql: &str) -> Result<Result<String, String>> {
    let host = match address {
        Address::Tcp { host, .. } => host.to_string(),
        Address::Socket(folder) => folder.display().to_string(),
    };
    let output = Command::new(bin("psql")?)
        .env("PGCONNECT_TIMEOUT", "20")
        .args(["-X", "-A", "-t", "-h", &host, "-p", &port.to_string()])
        .args(["-U", user, "-d", "postgres", "-c", sql])
        .output()
        .context("running psql")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Ok(if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    })
}

fn bin(name: &str) -> Result<PathBuf> {
    Ok(installed("bin/postgresql")?.join(name))
}

/// A program of PostgreSQL's; its server refuses to run as root.
fn program(name: &str, account: &Account) -> Result<Command> {
    let mut command = Command::new(bin(name)?);
    command.current_dir(Path::new("/"));
    if geteuid().is_root() {
        command.uid(account.uid).gid(account.gid);
    }
    Ok(command)
}
