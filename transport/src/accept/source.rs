//! A peer's source: the addresses that every limit counts as one caller.

use std::fmt;
use std::net::IpAddr;

/// Leading bits of an IPv6 address that name its network: a host chooses the others freely.
const IPV6_NETWORK_BITS: u32 = 64;

/// All addresses that one caller can take at will: one IPv4 address, or one IPv6 /64.
///
/// An IPv4 address in its IPv6 form (`::ffff:192.0.2.1`) is the same source as the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(IpAddr);

impl Source {
    /// Returns the source that an address belongs to.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let bits = u128::from(address);
                let host_bits = u128::BITS - IPV6_NETWORK_BITS;
                IpAddr::V6((bits & (u128::MAX << host_bits)).into())
            }
        })
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self::of(address)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/{IPV6_NETWORK_BITS}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_network_however_it_is_written() {
        for (address, source) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.2", "192.0.2.2"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8::ffff:2", "2001:db8::/64"),
            ("2001:db8:0:0:ffff:ffff:ffff:ffff", "2001:db8::/64"),
            ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
            ("::1", "::/64"),
            ("fe80::1", "fe80::/64"),
        ] {
            let found = Source::of(address.parse().unwrap());
            assert_eq!(found.to_string(), source, "{address}");
        }
    }

    #[test]
    fn addresses_of_one_source_are_equal_keys() {
        let source = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(source("2001:db8::1"), source("2001:db8::2:3:4:5"));
        assert_eq!(source("::ffff:10.0.0.1"), source("10.0.0.1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_ne!(source("10.0.0.1"), source("10.0.0.2"));
    }
}
