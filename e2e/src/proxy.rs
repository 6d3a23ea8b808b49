//! The client beside the application, as a process.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;

use crate::authority::{PROJECT, REGION};
use crate::clients::Address;
use crate::paths::binary;
use crate::place::{Place, free_port_at};
use crate::process::{Process, output_of};

/// What it says once its listeners accept; Google's proxy says the same.
const STARTED: &str = "The proxy has started successfully and is ready for new connections!";

/// The line while something is missing for that, such as the CA.
const LISTENING: &str = "The proxy listens, but is not ready for new connections yet";

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A client with one or more mounts.
pub struct Proxy {
    process: Process,
}

/// One place where an application finds an instance.
pub struct Mount {
    argument: String,
    address: Address,
}

impl Mount {
    /// A free TCP port.
    pub fn tcp(place: &Place, instance: &str) -> Result<Self> {
        let (host, port) = (place.address(), place.free_port()?);
        Ok(Self {
            argument: format!("--instance={instance}?address={host}&port={port}"),
            address: Address::Tcp { host, port },
        })
    }

    /// A free port of the machine's own address `host`, of which certificates may speak.
    pub fn tcp_at(host: IpAddr, instance: &str) -> Result<Self> {
        let port = free_port_at(host)?;
        Ok(Self {
            argument: format!("--instance={instance}?address={host}&port={port}"),
            address: Address::Tcp { host, port },
        })
    }

    /// A Unix socket with Google's name for it.
    pub fn socket(place: &Place, instance: &str) -> Result<Self> {
        let folder = place.join("sockets");
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            argument: format!("--instance={instance}?unix-socket={}", folder.display()),
            address: Address::Socket(socket_path(&folder, instance)),
        })
    }

    /// Where the application connects to.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

/// The socket of an instance in a folder, `project:region:instance`.
pub fn socket_path(folder: &Path, instance: &str) -> PathBuf {
    folder.join(format!("{PROJECT}:{REGION}:{instance}"))
}

/// Has the client write the certificate of an instance's server CA to `file`.
pub fn write_ca_certificate(key_file: &Path, instance: &str, file: &Path) -> Result<()> {
    let mut command = Command::new(binary("cloudsql-proxy")?);
    command
        .arg("ca-certificate")
        .arg(format!("--instance={instance}"))
        .arg("--credentials-file")
        .arg(key_file)
        .arg("--out")
        .arg(file);
    output_of(&mut command).map(drop)
}

impl Proxy {
    /// Starts one with `mounts` and further `arguments`, and waits until its listeners accept.
    /// That is no promise that a tunnel can be opened: the CA may be down.
    pub fn start(
        place: &Place,
        key_file: &Path,
        mounts: &[Mount],
        arguments: &[&str],
    ) -> Result<Self> {
        Self::start_in(place, mounts, |command| {
            command
                .arg("--credentials-file")
                .arg(key_file)
                .args(arguments);
        })
    }

    /// The same with whatever flags and variables `prepare` gives it, credentials included.
    pub fn start_in(
        place: &Place,
        mounts: &[Mount],
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let mut command = Command::new(binary("cloudsql-proxy")?);
        prepare(&mut command);
        command.args(mounts.iter().map(|mount| &mount.argument));
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let log = place.join(&format!("proxy-{number}.log"));
        let mut process = Process::spawn("cloudsql-proxy", &mut command, &log)?;
        let listens = |log: &str| Ok(log.contains(STARTED) || log.contains(LISTENING));
        process.ready_when("the client's start", listens)?;
        Ok(Self { process })
    }

    /// The process, for signals and its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
