//! Rates: by source before any cryptography, by account after it, and for signing as a whole.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};

use crate::error::{Error, Result};

/// A rate: so many a second on average, and a burst of ten seconds' worth at once.
const BURST: u32 = 10;

/// How many requests a second are served on average.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// Of one address (IPv6: one /64).
    pub(crate) source: NonZeroU32,
    /// Of one service account.
    pub(crate) account: NonZeroU32,
    /// Certificates, for all together.
    pub(crate) signing: NonZeroU32,
}

/// Who has asked how often.
pub(crate) struct Limits {
    clock: DefaultClock,
    sources: DefaultKeyedRateLimiter<IpAddr>,
    accounts: DefaultKeyedRateLimiter<String>,
    signing: DefaultDirectRateLimiter,
}

impl Limits {
    /// Limits at those rates.
    pub(crate) fn new(rates: &Rates) -> Self {
        Self {
            clock: DefaultClock::default(),
            sources: RateLimiter::keyed(quota(rates.source)),
            accounts: RateLimiter::keyed(quota(rates.account)),
            signing: RateLimiter::direct(quota(rates.signing)),
        }
    }

    /// A request has come from there.
    pub(crate) fn check_source(&self, source: IpAddr) -> Result<()> {
        let checked = self.sources.check_key(&prefix(source));
        checked.map_err(|until| self.limited("address", &until))
    }

    /// A request has been proved to be this account's.
    pub(crate) fn check_account(&self, account_id: &str) -> Result<()> {
        let checked = self.accounts.check_key(&account_id.to_owned());
        checked.map_err(|until| self.limited("service account", &until))
    }

    /// A certificate is about to be signed.
    pub(crate) fn check_signing(&self) -> Result<()> {
        self.signing.check().map_err(|until| Error::Limited {
            who: "CA",
            retry_after: self.seconds(&until),
        })
    }

    /// Forgets those who have not asked for a while.
    pub(crate) fn purge(&self) {
        self.sources.retain_recent();
        self.accounts.retain_recent();
        self.sources.shrink_to_fit();
        self.accounts.shrink_to_fit();
    }

    fn limited(
        &self,
        who: &'static str,
        until: &NotUntil<governor::clock::QuantaInstant>,
    ) -> Error {
        Error::Limited {
            who,
            retry_after: self.seconds(until),
        }
    }

    fn seconds(&self, until: &NotUntil<governor::clock::QuantaInstant>) -> u64 {
        until.wait_time_from(self.clock.now()).as_secs() + 1
    }
}

fn quota(rate: NonZeroU32) -> Quota {
    Quota::per_second(rate)
        .allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(BURST - 1)))
}

/// Who counts as one: an IPv4 address, or an IPv6 network of 64 bits.
fn prefix(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let one = NonZeroU32::MIN;
        Limits::new(&Rates {
            source: one,
            account: one,
            signing: one,
        })
    }

    #[test]
    fn a_source_beyond_its_burst_is_told_when_to_come_back() {
        let limits = limits();
        let source = "192.0.2.1".parse().unwrap();
        for _ in 0..BURST {
            limits.check_source(source).unwrap();
        }
        let refused = limits.check_source(source).unwrap_err();
        assert!(
            matches!(
                refused,
                Error::Limited {
                    retry_after: 1..=2,
                    ..
                }
            ),
            "{refused:?}"
        );
        limits.check_source("192.0.2.2".parse().unwrap()).unwrap();
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        let prefix = |text: &str| prefix(text.parse().unwrap());
        assert_eq!(prefix("2001:db8::1"), prefix("2001:db8::ffff:1"));
        assert_ne!(prefix("2001:db8::1"), prefix("2001:db8:0:1::1"));
        assert_eq!(prefix("::ffff:192.0.2.1"), prefix("192.0.2.1"));
    }

    #[test]
    fn accounts_and_signing_have_limits_of_their_own() {
        let limits = limits();
        for _ in 0..BURST {
            limits.check_account("a").unwrap();
            limits.check_signing().unwrap();
        }
        assert!(limits.check_account("a").is_err());
        assert!(limits.check_account("b").is_ok());
        assert!(limits.check_signing().is_err());
    }
}
