//! The CA service as a process, and its admin commands.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::paths::binary;
use crate::place::Place;
use crate::probe::accepts;
use crate::process::{Process, output_of};

/// The project of every test.
pub const PROJECT: &str = "acme";
/// The region of every test.
pub const REGION: &str = "lab1";

/// The universe domain of accounts that have one.
const UNIVERSE: &str = "csql.example";

/// A CA with a data directory of its own.
pub struct Authority {
    data: PathBuf,
    folder: PathBuf,
    listen: SocketAddr,
    process: Process,
}

/// What a key file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Our own client and agent.
    Ours,
    /// Google's libraries, by the token endpoint that the key file names.
    Google,
    /// Google's libraries, with a universe domain: they use no token endpoint.
    Universe,
}

impl Authority {
    /// Makes one and serves it. It stays at one port, because its endpoint is part of every key file.
    pub fn start(place: &Place) -> Result<Self> {
        let listen = SocketAddr::new(place.address(), place.free_port()?);
        let data = place.join("ca");
        let endpoint = format!("https://{listen}");
        let mut init = Command::new(binary("cloudsql-ca")?);
        init.arg("init").arg("--data").arg(&data);
        init.args([
            "--project",
            PROJECT,
            "--region",
            REGION,
            "--endpoint",
            &endpoint,
        ]);
        output_of(&mut init)?;
        let folder = place.path().to_owned();
        let process = serve(&data, &folder, listen)?;
        Ok(Self {
            data,
            folder,
            listen,
            process,
        })
    }

    /// Where it serves.
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.listen)
    }

    /// The process, for signals and its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Whether it accepts connections.
    pub fn is_up(&self) -> bool {
        accepts(self.listen)
    }

    /// Ends it at once, as a crash would.
    pub fn crash(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts it again after `crash`, with the same data at the same port.
    pub fn resume(&mut self) -> Result<()> {
        self.process = serve(&self.data, &self.folder, self.listen)?;
        Ok(())
    }

    /// Runs an admin command on the data directory; gives back what it prints.
    pub fn admin(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(binary("cloudsql-ca")?);
        output_of(command.args(arguments).arg("--data").arg(&self.data))
    }

    /// Creates an instance whose agent is at `address`.
    pub fn create_instance(&self, name: &str, address: &str, version: &str) -> Result<()> {
        let command = ["instances", "create", name, "--address", address];
        self.admin(&[&command[..], &["--database-version", version]].concat())
            .map(drop)
    }

    /// Creates a service account; gives back its key file.
    pub fn create_account(&self, name: &str, dialect: Dialect) -> Result<PathBuf> {
        let key_file = self.folder.join(format!("{name}.json"));
        let path = key_file
            .to_str()
            .context("a temporary folder's name is text")?;
        let mut command = vec!["service-accounts", "create", name, "--key-file", path];
        command.extend(match dialect {
            Dialect::Ours => &[][..],
            Dialect::Google => &["--compat"],
            Dialect::Universe => &["--compat", "--universe-domain", UNIVERSE],
        });
        self.admin(&command)?;
        Ok(key_file)
    }

    /// Grants a role, `client` or `agent`.
    pub fn grant(&self, instance: &str, account: &str, role: &str) -> Result<()> {
        let command = [
            "grant",
            "--instance",
            instance,
            "--service-account",
            account,
        ];
        self.admin(&[&command[..], &["--role", role]].concat())
            .map(drop)
    }

    /// The certificates issued for an instance.
    pub fn certificates(&self, instance: &str) -> Result<Vec<Value>> {
        let command = [
            "certificates",
            "list",
            "--instance",
            instance,
            "--format",
            "json",
        ];
        let printed = self.admin(&command)?;
        serde_json::from_str(&printed).with_context(|| format!("a JSON list, not {printed}"))
    }

    /// The root that vouches for its HTTPS certificate, as a file, taken from a key file.
    pub fn root_certificate(&self, key_file: &Path) -> Result<PathBuf> {
        let key_file: Value = serde_json::from_slice(&std::fs::read(key_file)?)?;
        let pem = key_file["csql_root_certificate"]
            .as_str()
            .context("a key file names the root")?;
        let path = self.folder.join("root.pem");
        std::fs::write(&path, pem)?;
        Ok(path)
    }
}

fn serve(data: &Path, folder: &Path, listen: SocketAddr) -> Result<Process> {
    let mut command = Command::new(binary("cloudsql-ca")?);
    command.arg("serve").arg("--data").arg(data);
    command.arg("--listen").arg(listen.to_string());
    let mut process = Process::spawn("cloudsql-ca", &mut command, &folder.join("ca.log"))?;
    process.ready_when("the CA's port", |_| Ok(accepts(listen)))?;
    Ok(process)
}
