//! Hosts that an operator names: where an agent is, and by which other names applications reach it.

use std::fmt;
use std::net::IpAddr;

use rustls_pki_types::DnsName;

use crate::error::{Error, Result};

/// Most names that an instance may have besides its address: each goes into every certificate of its agent.
const MAX_NAMES: usize = 32;
/// Instances' own names end so. None of them is given to another instance; records for them are the operator's own.
const RESERVED: &str = ".csql.internal";

/// A host as a certificate names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// A DNS name in lower case, without a closing dot.
    Name(String),
    /// An IP address.
    Address(IpAddr),
}

impl Host {
    /// Reads an IP address or a DNS name; no wildcard, no port.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Address(address));
        }
        let is_name = DnsName::try_from(text).is_ok() && !text.ends_with('.');
        is_name.then(|| Self::Name(text.to_ascii_lowercase()))
    }

    fn is_reserved(&self) -> bool {
        matches!(self, Self::Name(name) if name.ends_with(RESERVED))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Checks an agent's address.
pub(crate) fn check_address(address: &str) -> Result<()> {
    match Host::parse(address) {
        Some(host) if !host.is_reserved() => Ok(()),
        Some(_) => Err(reserved("--address", address)),
        None => Err(Error::Invalid(format!(
            "--address {address:?} is not an IP address or a host name (the port is always {})",
            proto::TUNNEL_PORT
        ))),
    }
}

/// Checks further names of an instance; returns each once, as certificates spell it.
pub(crate) fn check_names(flag: &str, names: &[String]) -> Result<Vec<String>> {
    let mut checked = Vec::with_capacity(names.len());
    for name in names {
        let host = Host::parse(name).ok_or_else(|| {
            Error::Invalid(format!(
                "{flag} {name:?} is not a host name or an IP address (no wildcard, no port; letters outside ASCII as xn--)"
            ))
        })?;
        if host.is_reserved() {
            return Err(reserved(flag, name));
        }
        let spelled = host.to_string();
        if !checked.contains(&spelled) {
            checked.push(spelled);
        }
    }
    check_count(&checked)?;
    Ok(checked)
}

/// Checks how many names an instance has.
pub(super) fn check_count(names: &[String]) -> Result<()> {
    if names.len() <= MAX_NAMES {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "an instance may have {MAX_NAMES} names besides its address, not {}",
        names.len()
    )))
}

fn reserved(flag: &str, name: &str) -> Error {
    Error::Invalid(format!(
        "{flag} {name:?} is not free: names below {RESERVED} stand for instances"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_spelled_one_way() {
        for (told, spelled) in [
            ("DB.Example.COM", "db.example.com"),
            ("db1", "db1"),
            ("my_db.example", "my_db.example"),
            ("10.0.0.7", "10.0.0.7"),
            ("0:0:0:0:0:0:0:1", "::1"),
        ] {
            assert_eq!(Host::parse(told).unwrap().to_string(), spelled);
        }
        for none in [
            "",
            "*.example.com",
            "db:3307",
            "a..b",
            "db.",
            "-db",
            "db-",
            "300.1.1.1",
            "d b",
            "dü",
            "a\0b",
            "[::1]",
        ] {
            assert_eq!(Host::parse(none), None, "{none:?}");
        }
    }

    #[test]
    fn names_of_instances_are_not_given_away() {
        for name in ["db2.eu.demo.csql.internal", "X.CSQL.internal"] {
            let told = check_address(name).unwrap_err().to_string();
            assert!(told.contains("not free"), "{told}");
            let told = check_names("--name", &[name.to_owned()]).unwrap_err();
            assert!(told.to_string().contains("--name"), "{told}");
        }
    }

    #[test]
    fn names_are_counted_once_each() {
        let names = |n: usize| (0..n).map(|n| format!("db{n}")).collect::<Vec<_>>();
        let twice = [names(MAX_NAMES), names(MAX_NAMES)].concat();
        assert_eq!(check_names("--name", &twice).unwrap(), names(MAX_NAMES));
        let told = check_names("--name", &names(MAX_NAMES + 1)).unwrap_err();
        assert!(told.to_string().contains("not 33"), "{told}");
    }
}
