//! The address of a listener as people write it: `127.0.0.1:8443`, `[::]:8443`, `localhost:8443`, `name:8443`, `:8443`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

use serde::Deserialize;

use crate::text::clean;

/// The address of a listener; a name is resolved when it is used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Listen {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

impl Listen {
    /// The address; a name's first one of IPv4, else its first one.
    ///
    /// # Errors
    /// The name does not resolve.
    pub fn address(&self) -> Result<SocketAddr, String> {
        let name = match &self.host {
            Host::Ip(ip) => return Ok(SocketAddr::new(*ip, self.port)),
            Host::Name(name) if name.eq_ignore_ascii_case("localhost") => {
                return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)));
            }
            Host::Name(name) => name,
        };
        let unresolved = |error| {
            format!("the name {name} does not resolve ({error}); give an address of this machine")
        };
        let found: Vec<SocketAddr> = (name.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| unresolved(error.to_string()))?
            .collect();
        let first = found.iter().find(|address| address.is_ipv4());
        first
            .or_else(|| found.first())
            .copied()
            .ok_or_else(|| unresolved("no address".to_owned()))
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: Host::Ip(address.ip()),
            port: address.port(),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = clean(text);
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        if text.parse::<u16>().is_ok() {
            return Err(format!(
                "expected HOST:PORT, found {text:?}: say 127.0.0.1:{text} for this machine alone, or :{text} for all addresses"
            ));
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(format!(
                "expected HOST:PORT, found {text:?}: say [{text}]:PORT"
            ));
        }
        let wrong = || {
            format!(
                "expected HOST:PORT, such as 127.0.0.1:8443, [::]:8443 or localhost:8443, found {text:?}"
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let is_name = |host: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !host.is_empty() && host.bytes().all(is_plain)
        };
        let host = match host {
            "" | "*" => Host::Ip(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            name if is_name(name) => Host::Name(name.to_owned()),
            _ => return Err(wrong()),
        };
        Ok(Self { host, port })
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_in_the_forms_that_have_one_meaning() {
        for (text, expected) in [
            ("127.0.0.1:8443", "127.0.0.1:8443"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("[::1]:8443", "[::1]:8443"),
            ("[::]:8443\n", "[::]:8443"),
            (":8443", "[::]:8443"),
            ("*:8443", "[::]:8443"),
            (" localhost:8443", "127.0.0.1:8443"),
            ("LOCALHOST:1", "127.0.0.1:1"),
        ] {
            let address = text.parse::<Listen>().unwrap().address().unwrap();
            assert_eq!(address.to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn any_other_form_is_refused_with_what_to_say() {
        for (text, expected) in [
            ("8443", "127.0.0.1:8443 for this machine alone, or :8443"),
            ("::1", "say [::1]:PORT"),
            ("::1:8443", "say [::1:8443]:PORT"),
            ("localhost", "expected HOST:PORT, such as"),
            ("localhost:", "expected HOST:PORT"),
            ("localhost:https", "expected HOST:PORT"),
            ("localhost:70000", "expected HOST:PORT"),
            ("https://localhost:8443", "expected HOST:PORT"),
            ("a b:1", "expected HOST:PORT"),
            ("", "expected HOST:PORT"),
        ] {
            let found = text.parse::<Listen>().unwrap_err();
            assert!(found.contains(expected), "{text:?}: {found}");
        }
        let name: Listen = "no-such-name.invalid:1".parse().unwrap();
        let found = name.address().unwrap_err();
        assert!(
            found.contains("no-such-name.invalid does not resolve"),
            "{found}"
        );
    }
}
