//! The agent beside the database, as a process.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use rustix::process::geteuid;

use crate::databases::Database;
use crate::paths::binary;
use crate::place::{AGENT_PORT, Loopback, Place};
use crate::probe::status;
use crate::process::Process;

/// How the agent reaches its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// The Unix socket.
    Unix,
    /// Loopback TCP in the clear.
    Tcp,
}

impl Leg {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Unix, Self::Tcp];

    /// An `--instance` argument for a database behind this leg.
    pub fn argument(self, instance: &str, database: &Database) -> String {
        match self {
            Self::Unix => format!("{instance}?database=unix:{}", database.socket().display()),
            Self::Tcp => format!("{instance}?database=tcp:{}", database.address()),
        }
    }
}

/// An agent on the address of a [`Loopback`], at Google's port.
pub struct Agent {
    key_file: PathBuf,
    instances: Vec<String>,
    arguments: Vec<String>,
    folder: PathBuf,
    address: Loopback,
    health: SocketAddr,
    process: Process,
}

impl Agent {
    /// Starts one and waits until it is ready to serve `instances` (`name?database=...`).
    pub fn start(
        place: &Place,
        key_file: &Path,
        address: Loopback,
        instances: &[String],
    ) -> Result<Self> {
        Self::start_with(place, key_file, address, instances, &[])
    }

    /// The same with further `arguments`.
    pub fn start_with(
        place: &Place,
        key_file: &Path,
        address: Loopback,
        instances: &[String],
        arguments: &[String],
    ) -> Result<Self> {
        let health = SocketAddr::new(place.address(), place.free_port()?);
        let folder = place.path().to_owned();
        let process = launch(key_file, &folder, &address, health, (instances, arguments))?;
        let mut agent = Self {
            key_file: key_file.to_owned(),
            instances: instances.to_vec(),
            arguments: arguments.to_vec(),
            folder,
            address,
            health,
            process,
        };
        agent.wait_until_ready()?;
        Ok(agent)
    }

    /// Where its tunnels arrive, at [`AGENT_PORT`].
    pub fn address(&self) -> IpAddr {
        self.address.ip()
    }

    /// Where it answers probes.
    pub fn health(&self) -> SocketAddr {
        self.health
    }

    /// The process, for signals and its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it at once, as a crash would.
    pub fn crash(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts it again after `crash`, at the same address.
    pub fn resume(&mut self) -> Result<()> {
        self.process = launch(
            &self.key_file,
            &self.folder,
            &self.address,
            self.health,
            (&self.instances, &self.arguments),
        )?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let health = self.health;
        self.process.ready_when("the agent's readiness", |_| {
            Ok(status(health, "/readiness").ok() == Some(200))
        })
    }
}

fn launch(
    key_file: &Path,
    folder: &Path,
    address: &Loopback,
    health: SocketAddr,
    (instances, arguments): (&[String], &[String]),
) -> Result<Process> {
    let mut command = Command::new(binary("cloudsql-proxy-server")?);
    command.arg("--credentials-file").arg(key_file);
    command.arg(format!(
        "--listen={}",
        SocketAddr::new(address.ip(), AGENT_PORT)
    ));
    command.arg(format!("--http-address={}", health.ip()));
    command.arg(format!("--http-port={}", health.port()));
    command.args(
        instances
            .iter()
            .map(|instance| format!("--instance={instance}")),
    );
    command.args(arguments);
    // As root it would pass for root at a database by Unix socket, as `nobody` for the database itself.
    if geteuid().is_root() {
        command.arg("--run-as=daemon");
    }
    Process::spawn(
        "cloudsql-proxy-server",
        &mut command,
        &folder.join(format!("agent-{}.log", address.ip())),
    )
}
