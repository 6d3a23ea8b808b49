//! Our own client and agent, as a user starts them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, ensure};
use e2e::authority::Dialect;
use e2e::paths::binary;
use e2e::place::{AGENT_PORT, Loopback};
use e2e::probe::status;
use e2e::process::Process;
use rustix::process::geteuid;

use super::{Engine, Lab, Pair, Starter, end, free};

/// What all binaries beside this program are called together.
const USUAL: &str = "ours";

/// Names of instances and accounts, one for each pair.
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Which binaries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ours {
    name: String,
    folder: Option<PathBuf>,
}

impl Ours {
    /// Those beside this program.
    pub(crate) fn usual() -> Self {
        Self {
            name: USUAL.to_owned(),
            folder: None,
        }
    }

    /// Those in a folder, under a name of their own.
    pub(crate) fn from(name: &str, folder: &Path) -> Result<Self> {
        for program in ["cloudsql-proxy", "cloudsql-proxy-server"] {
            ensure!(
                folder.join(program).is_file(),
                "no {program} in {}",
                folder.display()
            );
        }
        Ok(Self {
            name: name.to_owned(),
            folder: Some(folder.to_owned()),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn program(&self, name: &str) -> Result<PathBuf> {
        match &self.folder {
            Some(folder) => Ok(folder.join(name)),
            None => binary(name),
        }
    }

    pub(super) fn start(&self, lab: &Lab, service: SocketAddr, engine: Engine) -> Result<Pair> {
        let site = Site::new(lab, Dialect::Ours)?;
        let agent = self.agent(lab, &site, service, engine)?;
        let entry = free()?;
        let mut command = self.client_command(&site, entry)?;
        let client = end(lab, "cloudsql-proxy", &mut command, entry)?;
        Ok(Pair::new(entry, client, agent))
    }

    /// A client whose start can be measured.
    pub(super) fn starter(
        &self,
        lab: &Lab,
        service: SocketAddr,
        engine: Engine,
    ) -> Result<Starter> {
        let site = Site::new(lab, Dialect::Ours)?;
        let entry = free()?;
        Ok(Starter {
            command: self.client_command(&site, entry)?,
            entry,
            _server: self.agent(lab, &site, service, engine)?,
            _site: site,
        })
    }

    /// An agent for a site.
    pub(super) fn agent(
        &self,
        lab: &Lab,
        site: &Site,
        service: SocketAddr,
        engine: Engine,
    ) -> Result<Vec<Process>> {
        let health = free()?;
        let listen = SocketAddr::new(site.address.ip(), AGENT_PORT);
        let engine = match engine {
            Engine::Tcp => "tcp",
            Engine::MySql => "mysql",
        };
        let mut command = Command::new(self.program("cloudsql-proxy-server")?);
        command
            .arg("--credentials-file")
            .arg(&site.agent_key)
            .arg(format!("--instance={}", site.instance))
            .arg(format!("--database=tcp:{service}"))
            .arg(format!("--engine={engine}"))
            .arg(format!("--listen={listen}"))
            .arg(format!("--http-address={}", health.ip()))
            .arg(format!("--http-port={}", health.port()));
        if geteuid().is_root() {
            command.arg("--run-as=daemon");
        }
        let log = lab.place.join(&format!("agent-{}.log", site.instance));
        let mut agent = Process::spawn("cloudsql-proxy-server", &mut command, &log)?;
        agent.ready_when("the agent's readiness", |_| {
            Ok(status(health, "/readiness").ok() == Some(200))
        })?;
        Ok(vec![agent])
    }

    /// What starts a client of a site.
    fn client_command(&self, site: &Site, entry: SocketAddr) -> Result<Command> {
        let mut command = Command::new(self.program("cloudsql-proxy")?);
        command
            .arg("--credentials-file")
            .arg(&site.client_key)
            .arg(format!("--instance={}", site.instance))
            .arg(format!("--address={}", entry.ip()))
            .arg(format!("--port={}", entry.port()));
        Ok(command)
    }
}

/// An instance with an agent's and a client's account, known to the CA.
pub(crate) struct Site {
    pub(super) instance: String,
    pub(super) client_key: PathBuf,
    pub(super) agent_key: PathBuf,
    address: Loopback,
}

impl Site {
    pub(crate) fn new(lab: &Lab, dialect: Dialect) -> Result<Self> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let address = Loopback::reserve()?;
        let (instance, agent, client) = (
            format!("bench{number}"),
            format!("agent{number}"),
            format!("client{number}"),
        );
        let authority = &lab.authority;
        authority.create_instance(&instance, &address.ip().to_string(), "MYSQL_8_4")?;
        let agent_key = authority.create_account(&agent, Dialect::Ours)?;
        let client_key = authority.create_account(&client, dialect)?;
        authority.grant(&instance, &agent, "agent")?;
        authority.grant(&instance, &client, "client")?;
        Ok(Self {
            instance,
            client_key,
            agent_key,
            address,
        })
    }
}
