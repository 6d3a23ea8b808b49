//! Room for one more: permits that sessions own, so that they come back whatever ends the session.

mod handshakes;
mod logins;
mod spares;

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) use handshakes::HandshakePermit;
use handshakes::Handshakes;
use logins::Logins;
use proto::{AccountName, Code, Refusal};
pub(crate) use spares::SparePermit;
use spares::Spares;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use transport::accept::Source;

use crate::metrics::Via;

/// How much the agent lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ceilings {
    /// Sessions at once.
    pub(crate) sessions: usize,
    /// Sessions of one account at once.
    pub(crate) sessions_per_account: usize,
    /// Logins of one account in progress.
    pub(crate) logins_per_account: usize,
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
    logins: Logins,
    tunnels: Arc<Handshakes>,
    direct: Arc<Handshakes>,
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
        let handshakes = || Handshakes::new(ceilings.handshakes, ceilings.handshakes_per_source);
        Self {
            ceilings,
            sessions: Arc::new(Semaphore::new(ceilings.sessions)),
            accounts: Arc::default(),
            logins: Logins::new(ceilings.logins_per_account),
            tunnels: handshakes(),
            direct: handshakes(),
            spares: Spares::new(ceilings.spares, ceilings.spares_per_account),
        }
    }

    /// A place for one more tunnel that its account keeps ready.
    pub(crate) fn spare(&self, account: &AccountName) -> Option<SparePermit> {
        self.spares.take(account)
    }

    /// Room for one more unauthenticated peer; the oldest makes room where it is short.
    pub(crate) fn handshake(&self, via: Via, address: Option<IpAddr>) -> Option<HandshakePermit> {
        let room = match via {
            Via::Tunnel => &self.tunnels,
            Via::Direct => &self.direct,
        };
        room.enter(address.map(Source::of))
    }

    /// Room for one more login of an account, which may have to wait for its turn.
    pub(crate) async fn login(
        &self,
        account: &AccountName,
        patience: Duration,
    ) -> Result<OwnedSemaphorePermit, Refusal> {
        let permit = self.logins.enter(account, patience).await;
        permit.ok_or_else(|| {
            too_many(
                "this account has too many logins in progress",
                "--max-logins-per-account",
                self.logins.most_of_one,
            )
        })
    }

    /// Refuses a peer for which nobody makes room.
    pub(crate) fn crowded(&self) -> Refusal {
        too_many(
            "too many logins are in progress",
            "--max-handshakes",
            self.ceilings.handshakes,
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
            logins_per_account: 1,
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

    #[tokio::test(start_paused = true)]
    async fn logins_of_one_account_wait_for_their_turn_and_not_for_ever() {
        let limits = limits();
        let (a, b) = (account("a"), account("b"));
        let patience = Duration::from_secs(2);
        let first = limits.login(&a, patience).await.unwrap();
        let refusal = limits.login(&a, patience).await.unwrap_err();
        assert_eq!(refusal.code, Code::Limit);
        assert!(
            refusal.hint.contains("--max-logins-per-account (1)"),
            "{refusal}"
        );
        assert!(limits.login(&b, patience).await.is_ok());
        let (waits, ()) = tokio::join!(limits.login(&a, patience), async { drop(first) });
        assert!(waits.is_ok());
    }
}
