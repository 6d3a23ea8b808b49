//! Google's unmodified connectors, driven by the programs of `e2e/clients`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use crate::authority::{Authority, PROJECT, REGION};
use crate::clients::{Answer, Login};
use crate::drivers::Driver;

/// A connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connector {
    /// `cloud-sql-python-connector` with PyMySQL.
    Python,
    /// `cloud.google.com/go/cloudsqlconn` with go-sql-driver.
    Go,
}

impl Connector {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Python => "Google's Python connector",
            Self::Go => "Google's Go connector",
        }
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
}

impl Session {
    /// Starts the program with trust in the CA's root, by the variables that Google's documents name.
    pub fn start(connector: Connector, authority: &Authority, key_file: &Path) -> Result<Self> {
        let root = authority.root_certificate(key_file)?;
        let trust = |command: &mut Command| {
            command
                .env("SSL_CERT_FILE", &root)
                .env("REQUESTS_CA_BUNDLE", &root);
        };
        let driver = match connector {
            Connector::Python => Driver::python_with("pymysql", trust),
            Connector::Go => Driver::go_with(trust),
        }?;
        Ok(Self {
            driver,
            endpoint: authority.endpoint(),
            key_file: key_file.to_owned(),
        })
    }

    /// One of the operations of `e2e/clients/README.md` against an instance.
    pub fn ask(&mut self, instance: &str, login: &Login, operation: &Value) -> Result<Answer> {
        let target = json!({
            "user": login.user,
            "password": login.password,
            "database": login.database,
            "google": {
                "instance": format!("{PROJECT}:{REGION}:{instance}"),
                "endpoint": self.endpoint,
                "credentials_file": self.key_file,
            },
        });
        self.driver.ask(&target, operation)
    }
}
