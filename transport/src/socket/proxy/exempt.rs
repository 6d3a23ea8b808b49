//! Peers that are reached without a proxy: this machine, and those that `NO_PROXY` names.

use std::net::IpAddr;
use std::str::FromStr;

use crate::accept::Network;

/// Hosts, domains and networks that are reached directly. This machine itself always is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exempt(Vec<Entry>);

/// One of them; with a port, only what goes there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    Network(Network),
    /// A name and all names below it.
    Domain(String),
}

impl Exempt {
    /// Reads a list with commas, semicolons or blanks: addresses, networks, domains with all below them, each with a
    /// port or without, or `*` for everybody.
    ///
    /// # Errors
    /// The first entry that is none of these.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split(|c: char| c == ',' || c == ';' || c.is_whitespace());
        let entries = entries.filter(|entry| !entry.is_empty());
        entries.map(str::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the host is reached directly at this port.
    pub(super) fn covers(&self, host: &str, port: u16) -> bool {
        let ip = bare(host)
            .parse::<IpAddr>()
            .ok()
            .map(|ip| ip.to_canonical());
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is_here = match ip {
            Some(ip) => ip.is_loopback(),
            None => host == "localhost" || host.ends_with(".localhost"),
        };
        is_here || self.0.iter().any(|entry| entry.covers(&host, ip, port))
    }
}

impl Entry {
    fn covers(&self, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
        let is_host = match (&self.hosts, ip) {
            (Hosts::All, _) => true,
            (Hosts::Network(network), Some(ip)) => network.contains(ip),
            (Hosts::Domain(domain), None) => host
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            _ => false,
        };
        is_host && self.port.is_none_or(|own| own == port)
    }
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "names {text:?}, which is no host, domain, network or *, with a port or without"
            )
        };
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some(hosts) = hosts(rest) {
            return Ok(Self { hosts, port: None });
        }
        let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        // An IPv6 address with a port has brackets.
        let is_clear = !host.contains(':') || bare(host) != host;
        let hosts = hosts(host).filter(|_| is_clear).ok_or_else(wrong)?;
        Ok(Self {
            hosts,
            port: Some(port),
        })
    }
}

fn hosts(text: &str) -> Option<Hosts> {
    if text == "*" {
        return Some(Hosts::All);
    }
    if let Ok(network) = bare(text).parse() {
        return Some(Hosts::Network(network));
    }
    if let Some(network) = with_stars(text) {
        return Some(Hosts::Network(network));
    }
    let domain = text.trim_start_matches("*.").trim_matches('.');
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) || !byte.is_ascii();
    let is_domain = !domain.is_empty() && domain.bytes().all(is_plain);
    is_domain.then(|| Hosts::Domain(domain.to_ascii_lowercase()))
}

/// `10.*` and `192.168.*.*`.
fn with_stars(text: &str) -> Option<Network> {
    let octets = text.trim_end_matches(".*");
    let given: Vec<&str> = octets.split('.').collect();
    let is_cut = octets != text && given.len() < 4;
    let is_octet = |octet: &&str| octet.parse::<u8>().is_ok();
    if !is_cut || !given.iter().all(is_octet) {
        return None;
    }
    let zeros = ".0".repeat(4_usize.saturating_sub(given.len()));
    let bits = given.len().saturating_mul(8);
    format!("{octets}{zeros}/{bits}").parse().ok()
}

/// An IPv6 address without its brackets.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_reached_directly_and_others_as_the_list_says() {
        let list = "10.0.0.0/8, .corp.example,db.example,192.0.2.7,fd00::/8";
        let exempt = Exempt::parse(list).unwrap();
        for host in [
            "127.0.0.1",
            "[::1]",
            "localhost",
            "a.localhost",
            "::ffff:127.0.0.2",
            "10.2.3.4",
            "corp.example",
            "a.b.CORP.example",
            "db.example.",
            "x.db.example",
            "192.0.2.7",
            "[fd00::5]",
        ] {
            assert!(
                exempt.covers(host, 3307),
                "{host} is to be reached directly"
            );
        }
        for host in [
            "11.0.0.1",
            "notcorp.example",
            "example",
            "192.0.2.8",
            "fe80::1",
        ] {
            assert!(
                !exempt.covers(host, 3307),
                "{host} is to be reached by the proxy"
            );
        }
    }

    #[test]
    fn a_list_is_read_as_people_write_it() {
        for (list, host, port, expected) in [
            ("a.example, *", "203.0.113.9", 1, true),
            ("*:3307", "a.example", 3307, true),
            ("*:3307", "a.example", 443, false),
            ("a.example;b.example", "b.example", 1, true),
            ("a.example b.example\n", "b.example", 1, true),
            (" ;, a.example ,", "a.example", 1, true),
            ("a.example:3307", "a.example", 3307, true),
            ("a.example:3307", "x.a.example", 3307, true),
            ("a.example:3307", "a.example", 443, false),
            (".a.example:3307", "x.a.example", 3307, true),
            ("*.a.example", "x.a.example", 1, true),
            ("..a.example.", "a.example", 1, true),
            ("10.0.0.1:3307", "10.0.0.1", 3307, true),
            ("10.0.0.1:3307", "10.0.0.1", 443, false),
            ("10.0.0.0/8:3307", "10.9.9.9", 3307, true),
            ("10.0.0.0/8:3307", "10.9.9.9", 443, false),
            ("10.*", "10.1.2.3", 1, true),
            ("192.168.*.*", "192.168.7.8", 1, true),
            ("192.168.*", "192.169.7.8", 1, false),
            ("[fd00::1]", "fd00::1", 1, true),
            ("[fd00::1]:3307", "[fd00::1]", 3307, true),
            ("[fd00::1]:3307", "fd00::1", 443, false),
            ("fd00::1", "fd00::1", 1, true),
            ("fd00::/8", "[fd12::1]", 1, true),
            ("http://a.example:3307/", "a.example", 3307, true),
            ("A.Example", "a.example", 1, true),
            ("10.0.0.1", "10.0.0.1.example", 1, false),
            ("", "a.example", 1, false),
        ] {
            let exempt = Exempt::parse(list).unwrap();
            assert_eq!(
                exempt.covers(host, port),
                expected,
                "{list:?}: {host}:{port}"
            );
        }
    }

    #[test]
    fn what_is_no_entry_of_such_a_list_is_named() {
        for wrong in [
            "<local>",
            "10.0.0.0/99",
            "a.example:port",
            "a.example:70000",
            "*.*.*.*:x",
            "a*.example",
            "/etc",
            "[a.example",
        ] {
            let found = Exempt::parse(&format!("a.example,{wrong}")).unwrap_err();
            assert!(found.contains(wrong), "{found}");
        }
    }
}
