//! What a certificate is going to say, decided before it is made.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proto::{AccountName, Identity, InstanceName};

use crate::clock::Seconds;
use crate::error::{Error, Result};
use crate::registry::Host;
use crate::store::hex;

/// How far back a certificate's beginning is set: that much slower may a peer's clock be.
pub(crate) const BACKDATING: Seconds = 300;

/// Whom a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The side of the application.
    Client,
    /// The side of the database.
    Server,
}

/// When a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    /// From.
    pub(crate) not_before: Seconds,
    /// To, inclusive.
    pub(crate) not_after: Seconds,
}

/// A serial number: 127 random bits, written with 32 hexadecimal digits everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Serial([u8; 16]);

/// What a certificate may be called besides its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AlternativeName {
    /// Whom a client certificate speaks for.
    Identity(String),
    /// A host that a server certificate is for.
    Host(Host),
}

/// Everything that a leaf certificate says, besides the key.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Client or server.
    pub(crate) purpose: Purpose,
    /// Of which instance.
    pub(crate) instance: InstanceName,
    /// Where else applications find the server, by the administrator's word; of no meaning in a client's.
    pub(crate) hosts: Vec<Host>,
    /// Who asked for it; a client certificate speaks for it.
    pub(crate) account: AccountName,
    /// Its number.
    pub(crate) serial: Serial,
    /// When it holds.
    pub(crate) validity: Validity,
}

impl Purpose {
    /// As it is stored and shown.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

impl Validity {
    /// Of a certificate that is made now: back-dated, and a second short of `lifetime` from now.
    pub(crate) const fn starting(now: Seconds, lifetime: Seconds) -> Self {
        Self {
            not_before: now - BACKDATING,
            not_after: now + lifetime - 1,
        }
    }
}

impl Serial {
    /// Draws one: positive, and without a leading zero byte, so that its length never varies.
    pub(crate) fn random() -> Result<Self> {
        loop {
            let mut bytes = [0_u8; 16];
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Crypto("no random numbers"))?;
            // The sign bit: a serial number is positive (RFC 5280 4.1.2.2).
            bytes[0] &= 0x7f;
            if bytes[0] != 0 {
                return Ok(Self(bytes));
            }
        }
    }

    /// Big-endian.
    pub(crate) const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// 32 hexadecimal digits.
    pub(crate) fn hex(&self) -> String {
        hex(&self.0)
    }
}

impl Plan {
    /// The subject's common name: what Google's connectors compare in a server certificate; for people in a client's.
    pub(crate) fn common_name(&self) -> String {
        match self.purpose {
            Purpose::Server => self.instance.common_name(),
            Purpose::Client => {
                let short = self.account.as_str().split('@').next();
                short.unwrap_or_default().to_owned()
            }
        }
    }

    /// All alternative names, in order and each once.
    ///
    /// A client has its identity alone. A server has the instance's name, by which tunnels know it; then the machine itself,
    /// for applications that speak TLS of their own to the client beside them; then the hosts that the administrator named.
    pub(crate) fn alternative_names(&self) -> Vec<AlternativeName> {
        if self.purpose == Purpose::Client {
            return vec![AlternativeName::Identity(self.identity().to_string())];
        }
        let known = [
            Host::Name(self.instance.dns_name()),
            Host::Name("localhost".to_owned()),
            Host::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Host::Address(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        let mut names = Vec::new();
        for host in known.iter().chain(&self.hosts) {
            let name = AlternativeName::Host(host.clone());
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The identity that a client certificate carries.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            instance: self.instance.clone(),
            account: self.account.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_million_serial_numbers_are_positive_and_different() {
        let mut seen = HashSet::new();
        for _ in 0..1_000_000 {
            let serial = Serial::random().unwrap();
            assert!((1..0x80).contains(&serial.bytes()[0]));
            assert!(seen.insert(serial));
        }
    }

    #[test]
    fn a_certificate_is_backdated_and_never_longer_than_its_lifetime() {
        let validity = Validity::starting(1_000_000, 3600);
        assert_eq!(
            validity,
            Validity {
                not_before: 999_700,
                not_after: 1_003_599
            }
        );
    }
}
