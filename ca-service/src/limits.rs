//! Rates: by source before any cryptography, by account after it, and for signing as a whole.

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use transport::accept::Source;

use crate::error::{Error, Result};

/// A rate: so many a second on average, and a burst of ten seconds' worth at once.
const BURST: u32 = 10;

/// Certificates a second that an account gets even when all others together have used up the total.
const RESERVED: NonZeroU32 = NonZeroU32::MIN;

/// How many requests a second are served on average.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// Of one source.
    pub(crate) source: NonZeroU32,
    /// Of one service account.
    pub(crate) account: NonZeroU32,
    /// Certificates, for all together.
    pub(crate) signing: NonZeroU32,
    /// Certificates, for one service account.
    pub(crate) signing_each: NonZeroU32,
}

/// Who has asked how often.
pub(crate) struct Limits {
    clock: DefaultClock,
    sources: DefaultKeyedRateLimiter<Source>,
    accounts: DefaultKeyedRateLimiter<String>,
    signing: DefaultDirectRateLimiter,
    signers: DefaultKeyedRateLimiter<String>,
    reserved: DefaultKeyedRateLimiter<String>,
}

impl Limits {
    /// Limits at those rates.
    pub(crate) fn new(rates: &Rates) -> Self {
        Self {
            clock: DefaultClock::default(),
            sources: RateLimiter::keyed(quota(rates.source)),
            accounts: RateLimiter::keyed(quota(rates.account)),
            signing: RateLimiter::direct(quota(rates.signing)),
            signers: RateLimiter::keyed(quota(rates.signing_each)),
            reserved: RateLimiter::keyed(quota(RESERVED)),
        }
    }

    /// A request has come from there.
    pub(crate) fn check_source(&self, source: IpAddr) -> Result<()> {
        let checked = self.sources.check_key(&Source::of(source));
        checked.map_err(|until| self.limited("address", &until))
    }

    /// A request has been proved to be this account's.
    pub(crate) fn check_account(&self, account_id: &str) -> Result<()> {
        let checked = self.accounts.check_key(&account_id.to_owned());
        checked.map_err(|until| self.limited("service account", &until))
    }

    /// A certificate is about to be signed for this account.
    ///
    /// Accounts that ask for much leave nothing of the total; each other account still gets its reserve.
    pub(crate) fn check_signing(&self, account_id: &str) -> Result<()> {
        let account = account_id.to_owned();
        let own = self.signers.check_key(&account);
        own.map_err(|until| self.limited("service account", &until))?;
        match self.signing.check() {
            Err(until) if self.reserved.check_key(&account).is_err() => {
                Err(self.limited("CA", &until))
            }
            _ => Ok(()),
        }
    }

    /// Forgets those who have not asked for a while.
    pub(crate) fn purge(&self) {
        self.sources.retain_recent();
        self.accounts.retain_recent();
        self.signers.retain_recent();
        self.reserved.retain_recent();
        self.sources.shrink_to_fit();
        self.accounts.shrink_to_fit();
        self.signers.shrink_to_fit();
        self.reserved.shrink_to_fit();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let one = NonZeroU32::MIN;
        Limits::new(&Rates {
            source: one,
            account: one,
            signing: one,
            signing_each: NonZeroU32::new(100).unwrap(),
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
        let limits = limits();
        for host in 0..BURST {
            let address = format!("2001:db8::{host:x}").parse().unwrap();
            limits.check_source(address).unwrap();
        }
        let refused = |text: &str| limits.check_source(text.parse().unwrap()).is_err();
        assert!(refused("2001:db8::ffff:1"));
        assert!(!refused("2001:db8:0:1::1"));
    }

    #[test]
    fn an_account_that_signs_much_leaves_others_their_reserve() {
        let limits = limits();
        let granted = |account: &str| {
            let signed = (0..1000).take_while(|_| limits.check_signing(account).is_ok());
            u32::try_from(signed.count()).unwrap()
        };
        let first = granted("greedy");
        assert!((2 * BURST..=2 * BURST + 2).contains(&first), "{first}");
        for account in 0..20 {
            assert!(granted(&format!("account {account}")) >= BURST);
        }
    }

    #[test]
    fn an_account_has_a_share_of_signing_and_not_all_of_it() {
        let limits = Limits::new(&Rates {
            source: NonZeroU32::MIN,
            account: NonZeroU32::MIN,
            signing: NonZeroU32::new(1000).unwrap(),
            signing_each: NonZeroU32::MIN,
        });
        for _ in 0..BURST {
            limits.check_signing("a").unwrap();
        }
        let refused = limits.check_signing("a").unwrap_err().to_string();
        assert!(refused.contains("service account"), "{refused}");
        limits.check_signing("b").unwrap();
    }

    #[test]
    fn accounts_have_limits_of_their_own() {
        let limits = limits();
        for _ in 0..BURST {
            limits.check_account("a").unwrap();
        }
        assert!(limits.check_account("a").is_err());
        assert!(limits.check_account("b").is_ok());
    }
}
