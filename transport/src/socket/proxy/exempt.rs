//! Who is reached without a proxy: this machine, and whom `NO_PROXY` names.

use std::net::IpAddr;

use crate::accept::Network;

/// Hosts, domains and networks that are reached directly. This machine itself always is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exempt {
    everybody: bool,
    networks: Vec<Network>,
    domains: Vec<String>,
}

impl Exempt {
    /// Reads a list with commas: addresses, networks, domains with all below them, or `*` for everybody.
    pub fn parse(text: &str) -> Self {
        let mut exempt = Self::default();
        let entries = text.split(',').map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            if entry == "*" {
                exempt.everybody = true;
            } else if let Ok(network) = bare(entry).parse() {
                exempt.networks.push(network);
            } else {
                let domain = entry.trim_start_matches("*.").trim_matches('.');
                exempt.domains.push(domain.to_ascii_lowercase());
            }
        }
        exempt
    }

    /// Whether the host is reached directly.
    pub(super) fn covers(&self, host: &str) -> bool {
        if self.everybody {
            return true;
        }
        if let Ok(ip) = bare(host).parse::<IpAddr>() {
            let ip = ip.to_canonical();
            return ip.is_loopback() || self.networks.iter().any(|network| network.contains(ip));
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is_below = |domain: &String| {
            host.strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        host == "localhost" || host.ends_with(".localhost") || self.domains.iter().any(is_below)
    }
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
        let exempt = Exempt::parse("10.0.0.0/8, .corp.example,db.example,192.0.2.7,fd00::/8");
        for host in [
            "127.0.0.1",
            "[::1]",
            "localhost",
            "::ffff:127.0.0.2",
            "10.2.3.4",
            "corp.example",
            "a.b.CORP.example",
            "db.example.",
            "x.db.example",
            "192.0.2.7",
            "[fd00::5]",
        ] {
            assert!(exempt.covers(host), "{host} is to be reached directly");
        }
        for host in [
            "11.0.0.1",
            "notcorp.example",
            "example",
            "192.0.2.8",
            "fe80::1",
        ] {
            assert!(!exempt.covers(host), "{host} is to be reached by the proxy");
        }
        assert!(Exempt::parse("a.example, *").covers("203.0.113.9"));
    }
}
