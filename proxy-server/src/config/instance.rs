//! One instance as it is named in the settings: a name, and parameters that hold for it alone.

use std::fmt;

use daemon::settings::nearest;
use proto::instance::{InvalidName, check_label};
use proto::mysql::InnerTls;
use proto::{Engine, InstanceName};

use crate::backend::Database;

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
}

/// What holds for all instances that do not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Common {
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

/// Reads `NAME` or `NAME?database=...&engine=...&inner-tls=...`; what is not said there is as common to all.
pub(super) fn parse(text: &str, common: &Common) -> Parsed {
    let mut parsed = Parsed::default();
    let (name, query) = text.split_once('?').unwrap_or((text, ""));
    let wanted = parsed.keep("", Wanted::parse(name));
    let Common {
        mut database,
        mut engine,
        mut inner_tls,
        excused,
    } = common.clone();
    let mut named = false;
    for (key, value) in parameters(query) {
        match key {
            "database" => {
                named = true;
                database = parsed.keep("database: ", decoded(value).parse());
            }
            "engine" => engine = parsed.keep("engine: ", value.parse()),
            "inner-tls" => inner_tls = parsed.keep("inner-tls: ", value.parse()),
            _ => parsed.problems.push(unknown(key)),
        }
    }
    if database.is_none() && !named && !excused {
        let problem = "no database: say --database, or ?database=unix:/PATH behind the name";
        parsed.problems.push(problem.to_owned());
    }
    if let (Some(wanted), Some(database)) = (wanted, database) {
        parsed.instance = Some(InstanceConfig {
            wanted,
            database,
            engine,
            inner_tls,
        });
    }
    parsed
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
}

fn unknown(key: &str) -> String {
    match nearest(key, ["database", "engine", "inner-tls"]) {
        Some(meant) => format!("there is no parameter {key}; did you mean {meant}?"),
        None => format!("there is no parameter {key}; there are database, engine and inner-tls"),
    }
}

/// `%26` and its like stand for the bytes that would end a parameter; anything else stands for itself.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = behind
            .first_chunk::<2>()
            .filter(|_| first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = match escaped {
            Some(_) => behind.get(2..).unwrap_or_default(),
            None => behind,
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        parse(text, &Common::default()).problems
    }

    #[test]
    fn parameters_behind_the_name_win_over_the_common_ones() {
        let database: Database = "tcp:127.0.0.1:3306".parse().unwrap();
        let common = Common {
            database: Some(database.clone()),
            engine: Some(Engine::Mysql),
            inner_tls: Some(InnerTls::Require),
            excused: false,
        };
        let parsed = parse(
            "p:r:i?database=unix:/a%26b&engine=tcp&inner-tls=off",
            &common,
        );
        let instance = parsed.instance.unwrap();
        assert_eq!(instance.inner_tls, Some(InnerTls::Off));
        assert_eq!(instance.database, Database::Unix("/a&b".into()));
        assert_eq!(instance.engine, Some(Engine::Tcp));
        let instance = parse("db1", &common).instance.unwrap();
        assert_eq!(instance.inner_tls, Some(InnerTls::Require));
        assert_eq!(instance.database, database);
        assert_eq!(instance.engine, Some(Engine::Mysql));
        assert_eq!(instance.wanted, Wanted::Short("db1".into()));
    }

    #[test]
    fn every_problem_of_an_instance_is_told() {
        assert_eq!(
            problems("p:r:i?database=x&engine=oracle&databse=y").len(),
            3
        );
        assert!(problems("p:r:i?databse=y")[0].contains("did you mean database?"));
        assert!(problems("p:r:i?port=1")[0].contains("there are database, engine and inner-tls"));
        assert!(problems("p:r:i")[0].contains("no database"));
        assert_eq!(problems("P:r:i?database=unix:/x").len(), 1);
        assert_eq!(problems("../x?database=unix:/x").len(), 1);
    }

    #[test]
    fn a_percent_that_escapes_nothing_stands_for_itself() {
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%+1%zz%41"), "%+1%zzA");
    }

    #[test]
    fn a_short_name_means_any_region_and_a_full_one_its_own() {
        let name: InstanceName = "p:r:i".parse().unwrap();
        assert!(Wanted::parse("i").unwrap().is(&name));
        assert!(Wanted::parse("p:r:i").unwrap().is(&name));
        assert!(!Wanted::parse("p:r2:i").unwrap().is(&name));
        assert!(!Wanted::parse("j").unwrap().is(&name));
    }
}
