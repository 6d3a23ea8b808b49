//! Who a client certificate speaks for: the URI in its subject alternative name.

use std::fmt;
use std::str::FromStr;

use crate::account::AccountName;
use crate::instance::{InstanceName, InvalidName};

/// Scheme of the identity URI. There is no authority part: names are the CA's own, not DNS's.
const SCHEME: &str = "csql:";

/// The account and the instance that a client certificate is for.
///
/// Written into the certificate as its only URI:
/// `csql:/projects/P/locations/R/instances/I/serviceAccounts/A`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The instance that the certificate opens.
    pub instance: InstanceName,
    /// The account that asked for it.
    pub account: AccountName,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SCHEME}/projects/{}/locations/{}/instances/{}/serviceAccounts/{}",
            self.instance.project(),
            self.instance.region(),
            self.instance.instance(),
            self.account
        )
    }
}

impl FromStr for Identity {
    type Err = InvalidName;

    fn from_str(uri: &str) -> Result<Self, InvalidName> {
        let path = uri.strip_prefix(SCHEME).ok_or(InvalidName::Shape)?;
        let parts: Vec<&str> = path.split('/').collect();
        let [
            "",
            "projects",
            project,
            "locations",
            region,
            "instances",
            instance,
            "serviceAccounts",
            account,
        ] = parts.as_slice()
        else {
            return Err(InvalidName::Shape);
        };
        Ok(Self {
            instance: InstanceName::new(project, region, instance)?,
            account: account.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_reads_back_as_it_was_written() {
        let identity = Identity {
            instance: "example.com:p:r:db".parse().unwrap(),
            account: "app@p.iam.x".parse().unwrap(),
        };
        let uri = identity.to_string();
        assert_eq!(
            uri,
            "csql:/projects/example.com:p/locations/r/instances/db/serviceAccounts/app@p.iam.x"
        );
        assert_eq!(uri.parse(), Ok(identity));
    }

    #[test]
    fn anything_but_the_exact_shape_is_refused() {
        let good = "csql:/projects/p/locations/r/instances/i/serviceAccounts/a@p.iam.x";
        assert!(good.parse::<Identity>().is_ok());
        for bad in [
            good.replace("csql:", "https:"),
            good.replace("csql:/", "csql://"),
            good.replace("/projects", "//projects"),
            format!("{good}/"),
            format!("{good}?x=y"),
            good.replace("/p/", "/%70/"),
            good.replace("/i/", "/../"),
        ] {
            assert!(bad.parse::<Identity>().is_err(), "{bad} was accepted");
        }
    }
}
