//! One instance as it is named in the settings: a name, and parameters that hold for it alone.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use daemon::settings::{BOOLEAN, Known, Listen, Query, boolean};
use proto::instance::{InvalidName, check_label};
use proto::mysql::InnerTls;
use proto::{Engine, InstanceName};

use super::direct::DirectConfig;
use super::leg::LegConfig;
use crate::backend::Database;

/// What may stand behind an instance's name.
const KNOWN: Known<'_> = Known {
    all: &[
        "database",
        "engine",
        "inner-tls",
        "local-certificate",
        "local-key",
        "database-ca",
        "database-fingerprint",
        "database-name",
        "proxy-protocol",
        "mysql-listen",
    ],
    lists: &[],
    switches: &["proxy-protocol"],
};

/// The instance that the operator names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// `project:region:instance`.
    Full(InstanceName),
    /// The last part alone: the project is the key file's, the region is the one that the CA answers.
    Short(String),
}

impl Wanted {
    /// The project, if it is named.
    pub(crate) fn project(&self) -> Option<&str> {
        match self {
            Self::Full(name) => Some(name.project()),
            Self::Short(_) => None,
        }
    }

    /// The last part of the name.
    pub(crate) fn label(&self) -> &str {
        match self {
            Self::Full(name) => name.instance(),
            Self::Short(label) => label,
        }
    }

    /// Whether the instance that the CA speaks of is the one meant.
    pub(crate) fn is(&self, name: &InstanceName) -> bool {
        match self {
            Self::Full(wanted) => wanted == name,
            Self::Short(label) => label == name.instance(),
        }
    }

    fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.contains(':') {
            return text.parse().map(Self::Full);
        }
        check_label(text, "instance")?;
        Ok(Self::Short(text.to_owned()))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(name) => name.fmt(f),
            Self::Short(label) => f.write_str(label),
        }
    }
}

/// One instance to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstanceConfig {
    /// Which.
    pub(crate) wanted: Wanted,
    /// Where its database stands.
    pub(crate) database: Database,
    /// What it speaks, when the operator says so.
    pub(crate) engine: Option<Engine>,
    /// Whether MySQL's applications are offered TLS, when the operator says so.
    pub(crate) inner_tls: Option<InnerTls>,
    /// The files that applications' TLS is ended with, where that is not the CA's certificate.
    pub(crate) local: LocalFiles,
    /// How TLS to its database goes.
    pub(crate) leg: LegConfig,
    /// Whether its database is told whose connections they are.
    pub(crate) proxy_protocol: bool,
    /// Its listener for clients that come without cloudsql-proxy.
    pub(crate) direct: Option<DirectConfig>,
}

/// A certificate of the operator's own, and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LocalFiles {
    /// PEM, its issuers behind it.
    pub(crate) certificate: Option<PathBuf>,
    /// PEM.
    pub(crate) key: Option<PathBuf>,
}

/// What holds for all instances that do not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Common {
    pub(super) local: LocalFiles,
    pub(super) leg: LegConfig,
    pub(super) proxy_protocol: bool,
    /// Where the direct listener is, where there is one instance only.
    pub(super) mysql_listen: Option<SocketAddr>,
    pub(super) database: Option<Database>,
    pub(super) engine: Option<Engine>,
    pub(super) inner_tls: Option<InnerTls>,
    /// A database was named for all, wrongly, so that none here is not another problem.
    pub(super) excused: bool,
}

/// What [`parse`] made of a text: an instance, or problems, or both.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) instance: Option<InstanceConfig>,
    pub(super) problems: Vec<String>,
}

impl Parsed {
    fn keep<T, E: fmt::Display>(&mut self, what: &str, value: Result<T, E>) -> Option<T> {
        value
            .map_err(|error| self.problems.push(format!("{what}{error}")))
            .ok()
    }
}

/// Reads `NAME` or `NAME?database=...&engine=...` with any of [`KNOWN`]; what is not said there is as common to all.
pub(super) fn parse(text: &str, common: &Common, direct: &DirectConfig) -> Parsed {
    let mut parsed = Parsed::default();
    let query = Query::parse(text, KNOWN);
    let wanted = parsed.keep("", Wanted::parse(&query.name));
    let mut said = common.clone();
    // A wrong database is no missing one.
    said.excused |= query
        .problems
        .iter()
        .any(|problem| problem.starts_with("database "));
    parsed.problems.extend(query.problems);
    for (key, value) in &query.found {
        said.hear(key, value, &mut parsed);
    }
    if said.database.is_none() && !said.excused {
        let problem = "no database: say --database, or ?database=unix:/PATH behind the name";
        parsed.problems.push(problem.to_owned());
    }
    if said.local.certificate.is_some() != said.local.key.is_some() {
        let problem =
            "a certificate and its key come together: say local-certificate and local-key";
        parsed.problems.push(problem.to_owned());
    }
    if let (Some(wanted), Some(database)) = (wanted, said.database) {
        parsed.instance = Some(InstanceConfig {
            wanted,
            database,
            engine: said.engine,
            inner_tls: said.inner_tls,
            local: said.local,
            leg: said.leg,
            proxy_protocol: said.proxy_protocol,
            direct: said.mysql_listen.map(|listen| DirectConfig {
                listen,
                ..direct.clone()
            }),
        });
    }
    parsed
}

impl Common {
    /// One parameter: it holds instead of what is common.
    fn hear(&mut self, key: &str, value: &str, parsed: &mut Parsed) {
        match key {
            "database" => {
                self.database = parsed.keep("database: ", value.parse());
                // A wrong one has been complained about.
                self.excused = true;
            }
            "engine" => self.engine = parsed.keep("engine: ", value.parse()),
            "inner-tls" => self.inner_tls = parsed.keep("inner-tls: ", value.parse()),
            "local-certificate" => self.local.certificate = Some(value.into()),
            "local-key" => self.local.key = Some(value.into()),
            "database-ca" => self.leg.ca = Some(value.into()),
            "database-fingerprint" => {
                self.leg.fingerprint = parsed.keep("database-fingerprint: ", value.parse());
            }
            "database-name" => self.leg.name = Some(value.to_owned()),
            "proxy-protocol" => {
                let is_on = if value.is_empty() {
                    Some(true)
                } else {
                    boolean(value)
                };
                let is_on = parsed.keep("proxy-protocol: ", is_on.ok_or(BOOLEAN));
                self.proxy_protocol = is_on.unwrap_or(false);
            }
            "mysql-listen" => {
                let listen = value.parse().and_then(|listen: Listen| listen.address());
                self.mysql_listen = parsed.keep("mysql-listen: ", listen);
            }
            // The others have been refused.
            _ => {}
        }
    }
}

/// The instance as complaints name it: somebody may have given a URL with a password as its database.
pub(super) fn shown(text: &str) -> String {
    match text
        .split_once("://")
        .and_then(|(before, rest)| Some((before, rest.rsplit_once('@')?)))
    {
        Some((before, (_, behind))) => format!("instance {before}://...@{behind}"),
        None => format!("instance {text}"),
    }
}

#[cfg(test)]
mod tests;
