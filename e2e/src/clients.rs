//! The database clients that people use, each run as it is: command lines and drivers.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

mod client;
mod command_line;

pub use client::{Client, Runner};

/// Where a client connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP listener.
    Tcp {
        /// Its address.
        host: IpAddr,
        /// Its port.
        port: u16,
    },
    /// A Unix socket.
    Socket(PathBuf),
}

impl Address {
    /// The host of a TCP listener, nothing for a socket: what `--host` takes.
    pub fn host(&self) -> String {
        match self {
            Self::Tcp { host, .. } => host.to_string(),
            Self::Socket(_) => String::new(),
        }
    }

    /// The port of a TCP listener, 0 for a socket.
    pub const fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. } => *port,
            Self::Socket(_) => 0,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Whether the client's own leg is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// As the client does by itself: some encrypt whenever the greeting offers it.
    Usual,
    /// In the clear.
    Off,
    /// Encrypted, the server's certificate not verified.
    Required,
    /// Encrypted, the certificate verified up to the target's CA.
    VerifyCa,
    /// Encrypted, the certificate verified up to the target's CA, its name too.
    VerifyIdentity,
}

impl Tls {
    /// The name in a driver's request.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Off => "off",
            Self::Required => "required",
            Self::VerifyCa => "verify-ca",
            Self::VerifyIdentity => "verify-identity",
        }
    }
}

/// Who logs in, and where to.
#[derive(Clone, Debug)]
pub struct Login {
    /// The database user.
    pub user: String,
    /// The password.
    pub password: String,
    /// The schema.
    pub database: String,
}

impl Login {
    /// A login from its parts.
    pub fn new(user: &str, password: &str, database: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            database: database.to_owned(),
        }
    }
}

/// All that a client needs to know.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where.
    pub address: Address,
    /// Who.
    pub login: Login,
    /// How.
    pub tls: Tls,
    /// The CA that a verified certificate must come from, as a PEM file.
    pub ca: Option<PathBuf>,
    /// The name to connect by, instead of the IP address: what `VerifyIdentity` compares.
    pub host: Option<String>,
}

impl Target {
    /// A login with this much TLS.
    pub fn new(address: Address, login: Login, tls: Tls) -> Self {
        Self {
            address,
            login,
            tls,
            ca: None,
            host: None,
        }
    }

    /// A login as applications do it that say nothing about TLS.
    pub fn usual(address: Address, login: Login) -> Self {
        Self::new(address, login, Tls::Usual)
    }

    /// The same, believing certificates of this CA.
    #[must_use]
    pub fn trusting(mut self, ca: &Path) -> Self {
        self.ca = Some(ca.to_owned());
        self
    }

    /// The same, connecting by a name instead of the IP address.
    #[must_use]
    pub fn named(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// What `--host` takes for a TCP listener; nothing for a socket.
    pub fn host(&self) -> Option<String> {
        match (&self.address, &self.host) {
            (Address::Socket(_), _) => None,
            (Address::Tcp { .. }, Some(name)) => Some(name.clone()),
            (Address::Tcp { host, .. }, None) => Some(host.to_string()),
        }
    }

    /// The request of a program of `e2e/clients`, without an operation.
    pub fn request(&self) -> Value {
        let mut request = json!({
            "user": self.login.user,
            "password": self.login.password,
            "database": self.login.database,
            "tls": self.tls.name(),
            "ca": self.ca,
        });
        let address = match &self.address {
            Address::Tcp { port, .. } => json!({ "host": self.host(), "port": port }),
            Address::Socket(path) => json!({ "socket": path }),
        };
        if let (Some(request), Value::Object(address)) = (request.as_object_mut(), address) {
            request.extend(address);
        }
        request
    }
}

/// Rows as text, or the error that the application sees.
pub type Answer = Result<Vec<Vec<Option<String>>>, SqlError>;

/// The error that the application sees.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SqlError {
    /// The server's error number; 0 when the error did not come as an ERR packet.
    pub code: u32,
    /// The text.
    pub message: String,
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}: {}", self.code, self.message)
    }
}

impl std::error::Error for SqlError {}
