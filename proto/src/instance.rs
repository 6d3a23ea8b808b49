//! `project:region:instance`, the name of an instance.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest X.520 common name (RFC 5280 appendix A, `ub-common-name`): `project:instance` must fit.
const MAX_COMMON_NAME: usize = 64;
/// Longest DNS label (RFC 1035 2.3.4).
const MAX_LABEL: usize = 63;

/// The full name of an instance, `project:region:instance`; checked when made.
///
/// The project may be domain-scoped (`example.com:project`). Project and instance together fit an X.520
/// common name (64 characters with the colon), because Google's connectors compare that name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceName {
    project: String,
    region: String,
    instance: String,
}

/// A text is not a name of an instance, or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not three parts (four when the project is domain-scoped).
    #[error("an instance is named project:region:instance")]
    Shape,
    /// One part has a character that is not allowed, or a bad length.
    #[error(
        "{part} must be 1 to {MAX_LABEL} of a-z, 0-9 and '-', beginning with a letter and not ending with '-'"
    )]
    Part {
        /// Which part: `project`, `region` or `instance`.
        part: &'static str,
    },
    /// `project:instance` does not fit a certificate's common name.
    #[error("project and instance together are longer than {} characters", MAX_COMMON_NAME - 1)]
    TooLong,
}

impl InstanceName {
    /// Checks the three parts and joins them.
    ///
    /// # Errors
    /// [`InvalidName`] names the part that is wrong.
    pub fn new(project: &str, region: &str, instance: &str) -> Result<Self, InvalidName> {
        check_project(project)?;
        check_label(region, "region")?;
        check_label(instance, "instance")?;
        let name = Self {
            project: project.to_owned(),
            region: region.to_owned(),
            instance: instance.to_owned(),
        };
        if name.common_name().len() > MAX_COMMON_NAME {
            return Err(InvalidName::TooLong);
        }
        Ok(name)
    }

    /// The project, with its domain if it is domain-scoped.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The last part, by which the instance is called within its project.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// `project:instance`, the common name that Google's Go, Java and Node connectors accept in a server certificate.
    pub fn common_name(&self) -> String {
        format!("{}:{}", self.project, self.instance)
    }

    /// The DNS name of the instance's server certificate: of a fixed shape, without a trailing dot. Resolved only for Private Service Connect.
    ///
    /// `instance.region.project.csql.internal`; of a domain-scoped project the domain follows the project.
    pub fn dns_name(&self) -> String {
        let project = match self.project.split_once(':') {
            Some((domain, project)) => format!("{project}.{domain}"),
            None => self.project.clone(),
        };
        format!("{}.{}.{project}.csql.internal", self.instance, self.region)
    }
}

/// Checks a project: one label, or `domain:label`.
///
/// # Errors
/// [`InvalidName::Part`] when it is neither.
pub fn check_project(project: &str) -> Result<(), InvalidName> {
    let invalid = InvalidName::Part { part: "project" };
    match project.split_once(':') {
        None => check_label(project, "project"),
        Some((domain, project)) => {
            let labels = domain.split('.').all(|label| is_label(label, false));
            if !labels || !domain.contains('.') || domain.len() > MAX_LABEL {
                return Err(invalid);
            }
            check_label(project, "project")
        }
    }
}

/// Checks a region or the last part of an instance's name.
///
/// # Errors
/// [`InvalidName::Part`] with `part` when it is not a label.
pub fn check_label(label: &str, part: &'static str) -> Result<(), InvalidName> {
    if is_label(label, true) {
        Ok(())
    } else {
        Err(InvalidName::Part { part })
    }
}

fn is_label(label: &str, starts_with_letter: bool) -> bool {
    let bytes = label.as_bytes();
    let start = |b: &u8| {
        if starts_with_letter {
            b.is_ascii_lowercase()
        } else {
            *b != b'-'
        }
    };
    bytes.len() <= MAX_LABEL
        && bytes.first().is_some_and(start)
        && bytes.last().is_some_and(|b| *b != b'-')
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

impl FromStr for InstanceName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let mut parts = text.rsplitn(3, ':');
        let (Some(instance), Some(region), Some(project)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidName::Shape);
        };
        Self::new(project, region, instance)
    }
}

impl TryFrom<String> for InstanceName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<InstanceName> for String {
    fn from(name: InstanceName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.project, self.region, self.instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_name_reads_back_as_it_was_written() {
        for text in [
            "p:r:i",
            "my-project:europe-west1:db1",
            "example.com:proj:eu:db",
        ] {
            assert_eq!(text.parse::<InstanceName>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_domain_scoped_project_keeps_its_domain() {
        let name: InstanceName = "example.com:proj:eu:db".parse().unwrap();
        assert_eq!(name.project(), "example.com:proj");
        assert_eq!(name.common_name(), "example.com:proj:db");
        assert_eq!(name.dns_name(), "db.eu.proj.example.com.csql.internal");
    }

    #[test]
    fn names_with_traversal_percent_tricks_nul_or_look_alikes_are_refused() {
        let bad = [
            "",
            ":",
            "::",
            "a:b",
            "a:b:c:d:e",
            "../x:r:i",
            "p:r:..",
            "p:r:a/b",
            "p:r:a%2fb",
            "p:r:a\0b",
            "P:r:i",
            "p:r:i-",
            "p:r:-i",
            "p:r:1",
            "p:r:\u{430}",
            "p: r:i",
            "p:r:i ",
            "nodot:p:r:i",
            ".com:p:r:i",
            "exa_mple.com:p:r:i",
        ];
        for text in bad {
            assert!(
                text.parse::<InstanceName>().is_err(),
                "{text:?} was accepted"
            );
        }
    }

    #[test]
    fn a_name_that_does_not_fit_a_common_name_is_refused() {
        let long = "a".repeat(40);
        let name = format!("{long}:r:{long}");
        assert_eq!(name.parse::<InstanceName>(), Err(InvalidName::TooLong));
        assert!(
            format!("{}:r:{}", "a".repeat(32), "b".repeat(31))
                .parse::<InstanceName>()
                .is_ok()
        );
    }
}
