//! Logins in progress, bounded for each account: each one holds a connection of the database's and proves nothing yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::AccountName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Accounts beyond which those without a login are forgotten.
const KEPT: usize = 1024;

/// The room of all accounts.
#[derive(Debug)]
pub(super) struct Logins {
    pub(super) most_of_one: usize,
    of: Mutex<HashMap<AccountName, Arc<Semaphore>>>,
}

impl Logins {
    pub(super) fn new(most_of_one: usize) -> Self {
        Self {
            most_of_one,
            of: Mutex::default(),
        }
    }

    /// Returns room for one more login of an account. A pool that opens its connections at once waits for its turn.
    pub(super) async fn enter(
        &self,
        account: &AccountName,
        patience: Duration,
    ) -> Option<OwnedSemaphorePermit> {
        let turn = self.of_account(account).acquire_owned();
        timeout(patience, turn).await.ok()?.ok()
    }

    fn of_account(&self, account: &AccountName) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.len() >= KEPT {
            of.retain(|_, room| Arc::strong_count(room) > 1);
        }
        let room = of
            .entry(account.clone())
            .or_insert_with(|| Arc::new(Semaphore::new(self.most_of_one)));
        Arc::clone(room)
    }
}
