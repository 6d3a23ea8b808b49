//! Environment variables other than those of flags: read here and nowhere else. Of flags, too, blank ones count as absent.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;

use crate::text::clean;

/// A copy of the environment. Variables that are blank or not Unicode count as absent.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of a variable, without blanks and quotes around it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(|value| clean(value))
            .filter(|value| !value.is_empty())
    }

    /// All variables as they are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let variables = self.0.iter();
        variables.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The user's home folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }
}

/// Whether a variable of this process is there and is no setting: it is blank, or Kubernetes set it for a service.
pub(crate) fn says_nothing(name: &OsStr) -> bool {
    std::env::var_os(name).is_some_and(|value| {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        clean(&value).is_empty() || is_service_link(&name, &value)
    })
}

/// Whether Kubernetes, or Docker's links, set this for a service: by the value where a flag has that name.
pub(crate) fn is_service_link(name: &str, value: &str) -> bool {
    let is_url = ["tcp://", "udp://", "sctp://"]
        .into_iter()
        .any(|scheme| value.starts_with(scheme));
    let is_port = name.ends_with("_PORT") && is_url;
    let is_address = name.split_once("_PORT_").is_some_and(|(_, rest)| {
        let (number, protocol) = rest.split_once('_').unwrap_or((rest, ""));
        number.bytes().all(|digit| digit.is_ascii_digit())
            && ["TCP", "UDP", "SCTP"]
                .into_iter()
                .any(|known| protocol.starts_with(known))
    });
    is_port
        || is_address
        || name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        Self(variables.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_variable_counts_as_absent_and_blanks_around_a_value_do_not_count() {
        let environment: Environment = [("A", " x\n"), ("B", " ")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        assert_eq!(environment.get("A"), Some("x"));
        assert_eq!(environment.get("B"), None);
        assert_eq!(environment.get("C"), None);
        assert!(environment.home().is_none());
    }
}
