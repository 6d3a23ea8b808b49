//! What is compared: pairs of processes, one end beside the application and one beside the service.

mod ghostunnel;
mod google;
mod haproxy;
mod nginx;
mod ours;
mod pair;
mod plain;
mod stunnel;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use e2e::authority::Authority;
use e2e::place::{Place, free_port_at};
use e2e::probe::accepts;
use e2e::process::Process;

use crate::certificates::Certificates;

pub(crate) use ours::Ours;
pub(crate) use pair::{Pair, Starter};

/// Everything but the agents is here.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What is behind the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Tcp,
    MySql,
}

/// What all pairs are made from.
pub(crate) struct Lab {
    pub(crate) place: Place,
    pub(crate) certificates: Certificates,
    pub(crate) authority: Authority,
}

impl Lab {
    pub(crate) fn new() -> Result<Self> {
        let place = Place::new("bench")?;
        let certificates = Certificates::write(&place)?;
        let authority = Authority::start(&place)?;
        Ok(Self {
            place,
            certificates,
            authority,
        })
    }
}

/// One way from the application to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Direct,
    Plain,
    Stunnel,
    HaProxy {
        large: bool,
    },
    Nginx {
        large: bool,
    },
    Ghostunnel,
    Google,
    /// Our own, with binaries from beside this program or from a folder that was named.
    Ours(Ours),
}

impl Peer {
    /// All that may be compared, in the order of the document.
    pub(crate) fn all() -> Vec<Self> {
        vec![
            Self::Ours(Ours::usual()),
            Self::Stunnel,
            Self::HaProxy { large: false },
            Self::HaProxy { large: true },
            Self::Nginx { large: false },
            Self::Nginx { large: true },
            Self::Ghostunnel,
            Self::Google,
            Self::Plain,
            Self::Direct,
        ]
    }

    /// The name in options and tables.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Direct => "direct",
            Self::Plain => "plain",
            Self::Stunnel => "stunnel",
            Self::HaProxy { large: false } => "haproxy",
            Self::HaProxy { large: true } => "haproxy64",
            Self::Nginx { large: false } => "nginx",
            Self::Nginx { large: true } => "nginx64",
            Self::Ghostunnel => "ghostunnel",
            Self::Google => "google",
            Self::Ours(ours) => ours.name(),
        }
    }

    /// Whether it is one of those that floors and goals are measured against.
    pub(crate) const fn is_rival(&self) -> bool {
        matches!(
            self,
            Self::Stunnel | Self::HaProxy { .. } | Self::Nginx { .. }
        )
    }

    /// Version and configuration, for the document; none for what needs no explanation.
    pub(crate) fn describe(&self) -> Option<String> {
        match self {
            Self::Direct | Self::Ours(_) => None,
            Self::Plain => Some(plain::DESCRIPTION.to_owned()),
            Self::Stunnel => Some(stunnel::describe()),
            Self::HaProxy { large } => Some(haproxy::describe(*large)),
            Self::Nginx { large } => Some(nginx::describe(*large)),
            Self::Ghostunnel => Some(ghostunnel::describe()),
            Self::Google => Some(google::describe()),
        }
    }

    /// Why it cannot take part on this machine.
    pub(crate) fn missing(&self) -> Option<String> {
        let program = match self {
            Self::Stunnel => stunnel::PROGRAM,
            Self::HaProxy { .. } => haproxy::PROGRAM,
            Self::Nginx { .. } => nginx::PROGRAM,
            Self::Ghostunnel => ghostunnel::PROGRAM,
            Self::Google => google::PROGRAM,
            Self::Direct | Self::Plain | Self::Ours(_) => return None,
        };
        let missing = find(program).is_none();
        missing.then(|| format!("{program} could not be installed by e2e/setup/bench"))
    }

    /// Starts both ends in front of `service` and waits until connections are accepted.
    pub(crate) fn start(&self, lab: &Lab, service: SocketAddr, engine: Engine) -> Result<Pair> {
        let pair = match self {
            Self::Direct => Ok(Pair::direct(service)),
            Self::Plain => plain::start(lab, service),
            Self::Stunnel => stunnel::start(lab, service),
            Self::HaProxy { large } => haproxy::start(lab, service, *large),
            Self::Nginx { large } => nginx::start(lab, service, *large),
            Self::Ghostunnel => ghostunnel::start(lab, service),
            Self::Google => google::start(lab, service, engine),
            Self::Ours(ours) => ours.start(lab, service, engine),
        };
        pair.with_context(|| format!("starting {}", self.name()))
    }

    /// A client end whose start can be measured; none of the peers that fetch no certificate.
    pub(crate) fn starter(
        &self,
        lab: &Lab,
        service: SocketAddr,
        engine: Engine,
    ) -> Result<Option<Starter>> {
        match self {
            Self::Ours(ours) => ours.starter(lab, service, engine).map(Some),
            Self::Google => google::starter(lab, service, engine).map(Some),
            _ => Ok(None),
        }
    }
}

/// A free address for a listener.
fn free() -> Result<SocketAddr> {
    Ok(SocketAddr::new(HOST, free_port_at(HOST)?))
}

/// Starts one end and waits until it accepts at `listen`.
fn end(lab: &Lab, name: &str, command: &mut Command, listen: SocketAddr) -> Result<Process> {
    let log = lab.place.join(&format!("{name}-{}.log", listen.port()));
    let mut process = Process::spawn(name, command, &log)?;
    process.ready_when("its port", |_| Ok(accepts(listen)))?;
    Ok(process)
}

/// Writes a configuration file for the listener at `listen`.
fn configuration(lab: &Lab, name: &str, listen: SocketAddr, text: &str) -> Result<PathBuf> {
    let path = lab.place.join(&format!("{name}-{}.conf", listen.port()));
    std::fs::write(&path, text)?;
    Ok(path)
}

/// Where a program is: put into `.test/bin` by setup, or installed on the machine.
fn find(program: &str) -> Option<PathBuf> {
    let own = e2e::paths::project().join(".test/bin").join(program);
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
    let usual = usual.map(|folder| Path::new(folder).join(program));
    std::iter::once(own)
        .chain(usual)
        .find(|path| path.is_file())
}

fn program(name: &str) -> Result<PathBuf> {
    match find(name) {
        Some(path) => Ok(path),
        None => bail!("{name} is not installed: run e2e/setup/bench"),
    }
}

/// The first line of a program's own account of its version that holds `wanted`.
fn version(name: &str, argument: &str, wanted: &str) -> String {
    find(name).map_or_else(
        || format!("{name} is not installed"),
        |path| crate::machine::version(&path.to_string_lossy(), argument, wanted),
    )
}
