//! Google's unmodified connectors and proxy, driven by the programs of `e2e/clients`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::authority::{Authority, Dialect, PROJECT, REGION};
use crate::clients::{Address, Answer, Login, Target};
use crate::drivers::Driver;
use crate::paths::installed;
use crate::place::{Loopback, free_port_at};
use crate::process::Process;

/// The line that Google's proxy prints once its listener accepts.
const STARTED: &str = "The proxy has started successfully and is ready for new connections!";

/// A connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connector {
    /// `cloud-sql-python-connector` with PyMySQL.
    Python,
    /// `cloud.google.com/go/cloudsqlconn` with go-sql-driver.
    Go,
    /// `@google-cloud/cloud-sql-connector` with mysql2.
    Node,
    /// `cloud-sql-proxy` on a TCP port, with PyMySQL.
    ProxyTcp,
    /// `cloud-sql-proxy` on a Unix socket, with PyMySQL.
    ProxySocket,
}

impl Connector {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Python => "Google's Python connector",
            Self::Go => "Google's Go connector",
            Self::Node => "Google's Node connector",
            Self::ProxyTcp => "Google's proxy, TCP",
            Self::ProxySocket => "Google's proxy, Unix socket",
        }
    }

    /// The kind of key file that it takes: Node's library has no other token endpoint than Google's, unless the key
    /// belongs to another universe.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Node => Dialect::Universe,
            _ => Dialect::Google,
        }
    }

    /// Whether its TLS hello names the instance although it dials an IP address.
    pub const fn sends_server_name(self) -> bool {
        !matches!(self, Self::Python | Self::Node)
    }
}

impl fmt::Display for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A running program that keeps one connector, with its cache of certificates.
pub struct Session {
    driver: Driver,
    endpoint: String,
    key_file: PathBuf,
    proxies: Option<Proxies>,
}

impl Session {
    /// Starts the program with trust in the CA's root, by the variables that Google's documents name.
    pub fn start(connector: Connector, authority: &Authority, key_file: &Path) -> Result<Self> {
        let root = authority.root_certificate(key_file)?;
        let trust = |command: &mut Command| {
            command
                .env("SSL_CERT_FILE", &root)
                .env("REQUESTS_CA_BUNDLE", &root)
                .env("NODE_EXTRA_CA_CERTS", &root);
        };
        let driver = match connector {
            Connector::Python => Driver::python_with("pymysql", trust),
            Connector::Go => Driver::go_with(trust),
            Connector::Node => Driver::node_with("mysql2", trust),
            Connector::ProxyTcp | Connector::ProxySocket => Driver::python("pymysql"),
        }?;
        let proxies = match connector {
            Connector::ProxyTcp => Some(Proxies::new(false, root)?),
            Connector::ProxySocket => Some(Proxies::new(true, root)?),
            _ => None,
        };
        Ok(Self {
            driver,
            endpoint: authority.endpoint(),
            key_file: key_file.to_owned(),
            proxies,
        })
    }

    /// One of the operations of `e2e/clients/README.md` against an instance.
    ///
    /// The proxy closes the connection of an application that it cannot serve; its log says why, and is part of the error.
    pub fn ask(&mut self, instance: &str, login: &Login, operation: &Value) -> Result<Answer> {
        let connection_name = format!("{PROJECT}:{REGION}:{instance}");
        if let Some(proxies) = &mut self.proxies {
            let proxy = proxies.of(&connection_name, &self.endpoint, &self.key_file)?;
            let target = Target::usual(proxy.address.clone(), login.clone());
            let answer = self.driver.ask(&target.request(), operation)?;
            return Ok(answer.map_err(|mut error| {
                error.message = format!("{}; {}", error.message, proxy.process.log());
                error
            }));
        }
        let target = json!({
            "user": login.user,
            "password": login.password,
            "database": login.database,
            "google": {
                "instance": connection_name,
                "endpoint": self.endpoint,
                "credentials_file": self.key_file,
            },
        });
        self.driver.ask(&target, operation)
    }
}

/// Google's proxies of one session, one for each instance.
struct Proxies {
    on_sockets: bool,
    root: PathBuf,
    running: BTreeMap<String, Proxy>,
    folder: TempDir,
    host: Loopback,
}

struct Proxy {
    process: Process,
    address: Address,
}

impl Proxies {
    fn new(on_sockets: bool, root: PathBuf) -> Result<Self> {
        Ok(Self {
            on_sockets,
            root,
            running: BTreeMap::new(),
            folder: tempfile::tempdir()?,
            host: Loopback::reserve()?,
        })
    }

    /// The proxy of an instance, started when it is asked for first.
    fn of(&mut self, instance: &str, endpoint: &str, key_file: &Path) -> Result<&Proxy> {
        if !self.running.contains_key(instance) {
            let proxy = self.start(instance, endpoint, key_file)?;
            self.running.insert(instance.to_owned(), proxy);
        }
        let started = self.running.get(instance);
        started.ok_or_else(|| anyhow::anyhow!("no proxy of {instance}"))
    }

    fn start(&self, instance: &str, endpoint: &str, key_file: &Path) -> Result<Proxy> {
        let mut command = Command::new(installed("bin/cloud-sql-proxy")?);
        command
            .env("SSL_CERT_FILE", &self.root)
            .arg("--enable-builtin-metrics=false")
            .arg("--sqladmin-api-endpoint")
            .arg(endpoint)
            .arg("--credentials-file")
            .arg(key_file);
        let address = if self.on_sockets {
            // Without the engine that the CA names, a path makes a socket of exactly that name.
            let path = self.folder.path().join(self.running.len().to_string());
            command.arg(format!("{instance}?unix-socket-path={}", path.display()));
            Address::Socket(path)
        } else {
            let (host, port) = (self.host.ip(), free_port_at(self.host.ip())?);
            command.arg(format!("{instance}?address={host}&port={port}"));
            Address::Tcp { host, port }
        };
        let log = self
            .folder
            .path()
            .join(format!("{}.log", self.running.len()));
        let mut process = Process::spawn("Google's proxy", &mut command, &log)?;
        process.ready_when("the start of Google's proxy", |log| {
            Ok(log.contains(STARTED))
        })?;
        Ok(Proxy { process, address })
    }
}
