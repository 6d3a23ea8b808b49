//! The servers, and what tells them apart.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{DatabaseOptions, PASSWORD, SCHEMA, mariadb, mysql};
use crate::clients::{Client, Login};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// MySQL 9 from Debian sid.
    MySql9,
    /// MariaDB 10.11 from Debian 12.
    MariaDb10,
    /// MariaDB 11.8 from Debian 13.
    MariaDb11,
}

impl Flavor {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::MySql9, Self::MariaDb10, Self::MariaDb11];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MySql9 => "MySQL 9",
            Self::MariaDb10 => "MariaDB 10.11",
            Self::MariaDb11 => "MariaDB 11.8",
        }
    }

    /// What `SELECT VERSION()` begins with.
    pub const fn version(self) -> &'static str {
        match self {
            Self::MySql9 => "9.",
            Self::MariaDb10 => "10.11.",
            Self::MariaDb11 => "11.8.",
        }
    }

    /// The `databaseVersion` of an instance (Google's clients know no MariaDB).
    pub const fn database_version(self) -> &'static str {
        match self {
            Self::MySql9 => "MYSQL_8_4",
            Self::MariaDb10 | Self::MariaDb11 => "MYSQL_8_0",
        }
    }

    /// The applications' accounts: the server's usual authentication first.
    pub fn logins(self) -> [Login; 2] {
        let second = match self {
            Self::MySql9 => "app_sha256",
            Self::MariaDb10 | Self::MariaDb11 => "app_ed25519",
        };
        ["app", second].map(|user| Login::new(user, PASSWORD, SCHEMA))
    }

    pub(super) fn command(self, data: &Path, options: &DatabaseOptions) -> Result<Command> {
        match self {
            Self::MySql9 => mysql::command(data, options),
            Self::MariaDb10 | Self::MariaDb11 => mariadb::command(self, data, options),
        }
    }

    pub(super) fn initialise(self, data: &Path) -> Result<()> {
        match self {
            Self::MySql9 => mysql::initialise(data),
            Self::MariaDb10 | Self::MariaDb11 => mariadb::initialise(self, data),
        }
    }

    /// The command line that the harness itself uses.
    pub(super) const fn own_client(self) -> Client {
        match self {
            Self::MySql9 => Client::MysqlCli,
            Self::MariaDb10 | Self::MariaDb11 => Client::MariadbCli,
        }
    }
}
