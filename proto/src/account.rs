//! The name of a service account.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::instance::{InvalidName, check_label};

/// The middle part of every account's domain, as in Google's service accounts.
const IAM: &str = "iam";
/// The end of an account's domain when no universe domain is set.
pub const DEFAULT_UNIVERSE: &str = "gserviceaccount.com";
/// Longest name: what a URI of a certificate and a column of a table comfortably hold.
const MAX_LENGTH: usize = 200;

/// `name@project.iam.universe`: a service account, the identity that owns keys and grants. Checked when made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(String);

impl AccountName {
    /// Joins the parts. A domain-scoped project (`example.com:proj`) becomes `proj.example.com`, as at Google.
    ///
    /// # Errors
    /// [`InvalidName`] when a part is not a name.
    pub fn new(name: &str, project: &str, universe: &str) -> Result<Self, InvalidName> {
        let project = match project.split_once(':') {
            Some((domain, project)) => format!("{project}.{domain}"),
            None => project.to_owned(),
        };
        format!("{name}@{project}.{IAM}.{universe}").parse()
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = InvalidName::Part {
            part: "service account",
        };
        let (name, domain) = text.split_once('@').ok_or_else(|| invalid.clone())?;
        check_label(name, "service account")?;
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let has_iam = domain.split('.').skip(1).any(|part| part == IAM);
        if text.len() > MAX_LENGTH || !has_iam || !domain.split('.').all(label) {
            return Err(invalid);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for AccountName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<AccountName> for String {
    fn from(name: AccountName) -> Self {
        name.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_made_of_name_project_and_universe() {
        let account = AccountName::new("app", "demo", DEFAULT_UNIVERSE).unwrap();
        assert_eq!(account.as_str(), "app@demo.iam.gserviceaccount.com");
        let scoped = AccountName::new("app", "example.com:demo", "csql.internal").unwrap();
        assert_eq!(scoped.as_str(), "app@demo.example.com.iam.csql.internal");
    }

    #[test]
    fn what_is_not_an_account_is_refused() {
        for bad in [
            "",
            "app",
            "app@",
            "@p.iam.x",
            "a@b@p.iam.x",
            "App@p.iam.x",
            "app@p.x",
            "app@p..iam.x",
            "app@p.iam.x/../y",
            "app@p.iam.x%00",
            "app@iam.x",
            "app@p.iam.\u{430}",
        ] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad:?} was accepted");
        }
    }
}
