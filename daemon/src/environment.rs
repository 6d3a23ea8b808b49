//! Environment variables other than those of flags: read here and nowhere else. Of flags, too, empty ones count as absent.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;

/// A copy of the environment. Variables that are empty or not Unicode count as absent.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The user's home folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }
}

/// Whether a variable of this process is there and says nothing.
pub(crate) fn says_nothing(name: &OsStr) -> bool {
    std::env::var_os(name).is_some_and(|value| value.is_empty())
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
    fn an_empty_variable_counts_as_absent() {
        let environment: Environment = [("A", "x"), ("B", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        assert_eq!(environment.get("A"), Some("x"));
        assert_eq!(environment.get("B"), None);
        assert_eq!(environment.get("C"), None);
        assert!(environment.home().is_none());
    }
}
