//! Room for one more: permits that sessions own, so that they come back whatever ends the session.

mod spares;

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use proto::{AccountName, Code, Refusal};
pub(crate) use spares::SparePermit;
use spares::Spares;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use transport::accept::Source;

/// How much the agent lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ceilings {
    /// Sessions at once.
    pub(crate) sessions: usize,
    /// Sessions of one account at once.
    pub(crate) sessions_per_account: usize,
    /// Handshakes in progress.
    pub(crate) handshakes: usize,
    /// Handshakes in progress from one address.
    pub(crate) handshakes_per_source: usize,
    /// Tunnels that clients keep ready.
    pub(crate) spares: usize,
    /// Those of one account.
    pub(crate) spares_per_account: usize,
}

/// The room that is left.
#[derive(Debug)]
pub(crate) struct Limits {
    ceilings: Ceilings,
    sessions: Arc<Semaphore>,
    accounts: Arc<Counts<AccountName>>,
    sources: Arc<Counts<Source>>,
    spares: Spares,
}

/// One session's room.
#[derive(Debug)]
pub(crate) struct SessionPermit {
    _session: OwnedSemaphorePermit,
    _account: Counted<AccountName>,
}

impl Limits {
    /// All the room.
    pub(crate) fn new(ceilings: Ceilings) -> Self {
        Self {
            ceilings,
            sessions: Arc::new(Semaphore::new(ceilings.sessions)),
            accounts: Arc::default(),
            sources: Arc::default(),
            spares: Spares::new(ceilings.spares, ceilings.spares_per_account),
        }
    }

    /// A place for one more tunnel that its account keeps ready.
    pub(crate) fn spare(&self, account: &AccountName) -> Option<SparePermit> {
        self.spares.take(account)
    }

    /// Room for one more handshake from an address; a peer without one (a Unix socket) always has it.
    pub(crate) fn handshake(&self, source: Option<IpAddr>) -> Option<Option<Counted<Source>>> {
        let Some(source) = source else {
            return Some(None);
        };
        self.sources
            .take(Source::of(source), self.ceilings.handshakes_per_source)
            .map(Some)
    }

    /// What somebody is told whose address has no room for one more.
    pub(crate) fn crowded_source(&self) -> Refusal {
        too_many(
            "this address has too many logins in progress",
            "--max-handshakes-per-source",
            self.ceilings.handshakes_per_source,
        )
    }

    /// Room for one more session of an account.
    pub(crate) fn session(&self, account: &AccountName) -> Result<SessionPermit, Refusal> {
        Ok(SessionPermit {
            _session: self.anonymous()?,
            _account: self.account(account)?,
        })
    }

    /// Room for one more session of whomever.
    pub(crate) fn anonymous(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let permit = Arc::clone(&self.sessions).try_acquire_owned();
        permit.map_err(|_| {
            too_many(
                "the agent has too many connections",
                "--max-connections",
                self.ceilings.sessions,
            )
        })
    }

    /// Room for one more session among those of an account.
    pub(crate) fn account(&self, account: &AccountName) -> Result<Counted<AccountName>, Refusal> {
        let most = self.ceilings.sessions_per_account;
        self.accounts.take(account.clone(), most).ok_or_else(|| {
            too_many(
                "this account has too many connections",
                "--max-connections-per-account",
                most,
            )
        })
    }
}

/// What somebody beyond a ceiling is told.
pub(crate) fn too_many(reason: &str, flag: &str, most: usize) -> Refusal {
    Refusal::new(
        Code::Limit,
        reason,
        format!("close some, or raise the agent's {flag} ({most})"),
    )
}

/// How many of each key there are; keys without any are not kept.
#[derive(Debug)]
struct Counts<K>(Mutex<HashMap<K, usize>>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Counted<K: Eq + Hash> {
    key: K,
    counts: Arc<Counts<K>>,
}

impl<K: Eq + Hash + Clone> Counts<K> {
    fn take(self: &Arc<Self>, key: K, most: usize) -> Option<Counted<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&key).copied().unwrap_or_default();
        if count >= most {
            return None;
        }
        counts.insert(key.clone(), count.saturating_add(1));
        Some(Counted {
            key,
            counts: Arc::clone(self),
        })
    }
}

impl<K: Eq + Hash> Drop for Counted<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits::new(Ceilings {
            sessions: 3,
            sessions_per_account: 2,
            handshakes: 9,
            handshakes_per_source: 1,
            spares: 3,
            spares_per_account: 2,
        })
    }

    fn account(name: &str) -> AccountName {
        format!("{name}@p.iam.x").parse().unwrap()
    }

    #[test]
    fn each_account_and_all_together_have_their_ceiling_and_room_comes_back() {
        let limits = limits();
        let (a, b) = (account("a"), account("b"));
        let first = limits.session(&a).unwrap();
        let _second = limits.session(&a).unwrap();
        let refusal = limits.session(&a).unwrap_err();
        assert_eq!(refusal.code, Code::Limit);
        assert!(refusal.hint.contains("--max-connections-per-account (2)"));
        // The refused one must not have kept room of the total.
        let _third = limits.session(&b).unwrap();
        let refusal = limits.session(&b).unwrap_err();
        assert!(refusal.hint.contains("--max-connections (3)"));
        drop(first);
        assert!(limits.session(&b).is_ok());
    }

    #[test]
    fn one_address_does_not_take_the_room_of_another() {
        let limits = limits();
        let (a, b) = (Some([127, 0, 0, 1].into()), Some([127, 0, 0, 2].into()));
        let held = limits.handshake(a);
        assert!(held.is_some());
        assert!(limits.handshake(a).is_none());
        assert!(limits.handshake(b).is_some());
        drop(held);
        assert!(limits.handshake(a).is_some());
        assert_eq!(limits.sources.0.lock().unwrap().len(), 0);
    }

    #[test]
    fn all_addresses_of_one_ipv6_network_are_one_source() {
        let limits = limits();
        let source = |text: &str| Some(text.parse().unwrap());
        let _held = limits.handshake(source("2001:db8::1"));
        assert!(limits.handshake(source("2001:db8::ffff:2")).is_none());
        assert!(limits.handshake(source("2001:db8:0:1::1")).is_some());
        let _mapped = limits.handshake(source("::ffff:10.0.0.1"));
        assert!(limits.handshake(source("10.0.0.1")).is_none());
    }

    #[test]
    fn a_peer_without_an_address_always_has_room() {
        let limits = limits();
        let held: Vec<_> = (0..5).map(|_| limits.handshake(None)).collect();
        assert!(held.iter().all(Option::is_some));
    }
}
