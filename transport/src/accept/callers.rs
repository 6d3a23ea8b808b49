//! Who may use a listener: local users by number, and addresses by network.

use std::net::IpAddr;
use std::str::FromStr;

use crate::socket::Peer;

/// Who may use a listener. Empty lists let in whoever gets as far as the listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callers {
    /// Users who may use a Unix socket.
    pub uids: Vec<u32>,
    /// Primary groups that may use it, too.
    pub gids: Vec<u32>,
    /// Networks from which TCP may be used.
    pub networks: Vec<Network>,
}

/// Somebody whom the listener does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// A user.
    #[error("this socket does not serve user {uid} of group {gid}")]
    User {
        /// The user's number.
        uid: u32,
        /// Its primary group's number.
        gid: u32,
    },
    /// An address.
    #[error("this port does not serve {0}")]
    Address(IpAddr),
    /// The kernel did not say who it is.
    #[error("this listener serves nobody whom the system does not name")]
    Unknown,
}

impl Callers {
    /// Lets a caller in, or says whom it does not know.
    ///
    /// # Errors
    /// The [`Stranger`].
    pub fn admit(&self, peer: Peer) -> Result<(), Stranger> {
        match (peer.addr, peer.uid, peer.gid) {
            (Some(addr), ..) => {
                let ip = addr.ip().to_canonical();
                let is_known = self.networks.iter().any(|network| network.contains(ip));
                (is_known || self.networks.is_empty())
                    .then_some(())
                    .ok_or(Stranger::Address(ip))
            }
            _ if self.uids.is_empty() && self.gids.is_empty() => Ok(()),
            (None, Some(uid), Some(gid)) => (self.uids.contains(&uid) || self.gids.contains(&gid))
                .then_some(())
                .ok_or(Stranger::User { uid, gid }),
            (None, ..) => Err(Stranger::Unknown),
        }
    }
}

/// An address and how many of its bits count, as in `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u32,
}

/// A text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotANetwork {
    /// No address, or no number behind the slash.
    #[error(
        "expected an address or a network, such as 192.0.2.7, 10.0.0.0/8 or fd00::/8, found {0:?}"
    )]
    Shape(String),
    /// The address says more than the network.
    #[error("{0} has bits behind its prefix: write {1}")]
    Bits(String, String),
}

impl Network {
    /// Whether the address is one of the network's.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.base, ip) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                masked(ip, self.bits) == self.base
            }
            _ => false,
        }
    }
}

const fn width(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn masked(ip: IpAddr, bits: u32) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let shape = || NotANetwork::Shape(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().map_err(|_| shape())?;
        let bits = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| shape())?,
            None => width(base),
        };
        if bits > width(base) {
            return Err(shape());
        }
        let right = masked(base, bits);
        if right == base {
            Ok(Self { base, bits })
        } else {
            Err(NotANetwork::Bits(
                text.to_owned(),
                format!("{right}/{bits}"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.6/31", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1", "::1", "::2"),
        ] {
            let found = network(text);
            assert!(
                found.contains(inside.parse().unwrap()),
                "{text} lacks {inside}"
            );
            assert!(
                !found.contains(outside.parse().unwrap()),
                "{text} has {outside}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_the_right_one_where_it_is_clear() {
        for bad in [
            "",
            "home",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/x",
            "10.0.0/8",
        ] {
            assert!(
                matches!(bad.parse::<Network>(), Err(NotANetwork::Shape(_))),
                "{bad}"
            );
        }
        let error = "10.1.2.3/8".parse::<Network>().unwrap_err().to_string();
        assert!(error.contains("write 10.0.0.0/8"), "{error}");
    }

    #[test]
    fn empty_lists_admit_everybody_and_lists_admit_who_is_in_them() {
        let tcp = |addr: &str| Peer {
            addr: Some(addr.parse().unwrap()),
            ..Peer::default()
        };
        let user = |uid, gid| Peer {
            addr: None,
            uid: Some(uid),
            gid: Some(gid),
        };
        let all = Callers::default();
        for peer in [tcp("192.0.2.1:9"), user(7, 8), Peer::default()] {
            assert_eq!(all.admit(peer), Ok(()));
        }
        let some = Callers {
            uids: vec![7],
            gids: vec![8],
            networks: vec![network("127.0.0.0/8")],
        };
        assert_eq!(some.admit(user(7, 1)), Ok(()));
        assert_eq!(some.admit(user(1, 8)), Ok(()));
        assert_eq!(
            some.admit(user(8, 7)),
            Err(Stranger::User { uid: 8, gid: 7 })
        );
        assert_eq!(some.admit(Peer::default()), Err(Stranger::Unknown));
        assert_eq!(some.admit(tcp("127.0.0.9:1")), Ok(()));
        // A listener of both families sees IPv4 callers in IPv6's clothes.
        assert_eq!(some.admit(tcp("[::ffff:127.0.0.1]:1")), Ok(()));
        let stranger = Stranger::Address("192.0.2.1".parse().unwrap());
        assert_eq!(some.admit(tcp("192.0.2.1:1")), Err(stranger));
        // One kind of list says nothing about the other kind of listener.
        let only_users = Callers {
            uids: vec![7],
            ..Callers::default()
        };
        assert_eq!(only_users.admit(tcp("192.0.2.1:1")), Ok(()));
    }
}
