//! Which protocol an instance's database speaks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The protocol inside the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// MySQL or MariaDB: the database speaks first.
    Mysql,
    /// PostgreSQL: the application speaks first.
    Postgres,
    /// Any other TCP service: bytes are copied as they are.
    Tcp,
}

impl Engine {
    /// The engine of a `databaseVersion` such as `MYSQL_8_4` or `POSTGRES_17`; only the prefix counts, as in Google's clients.
    pub fn of_database_version(version: &str) -> Self {
        if version.starts_with("MYSQL") || version.starts_with("MARIADB") {
            Self::Mysql
        } else if version.starts_with("POSTGRES") {
            Self::Postgres
        } else {
            Self::Tcp
        }
    }

    /// Whether the agent reads user and schema of every login, and so can enforce a grant that names them.
    ///
    /// An engine that is added later must say so here; until then its narrowed grants are refused.
    pub const fn enforces_narrowing(self) -> bool {
        match self {
            Self::Mysql => true,
            Self::Postgres | Self::Tcp => false,
        }
    }

    /// The port on which applications expect this engine; `None` where there is no such habit.
    pub const fn default_port(self) -> Option<u16> {
        match self {
            Self::Mysql => Some(3306),
            Self::Postgres => Some(5432),
            Self::Tcp => None,
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mysql => "mysql",
            Self::Postgres => "postgres",
            Self::Tcp => "tcp",
        })
    }
}

/// A text is not the name of an engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an engine is one of mysql, postgres, tcp")]
pub struct UnknownEngine;

impl FromStr for Engine {
    type Err = UnknownEngine;

    fn from_str(text: &str) -> Result<Self, UnknownEngine> {
        match text {
            "mysql" => Ok(Self::Mysql),
            "postgres" => Ok(Self::Postgres),
            "tcp" => Ok(Self::Tcp),
            _ => Err(UnknownEngine),
        }
    }
}
