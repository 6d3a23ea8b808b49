//! Places for tunnels that clients keep ready: bounded for each account, where the newest takes the oldest's.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::AccountName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// All places.
#[derive(Debug)]
pub(super) struct Spares {
    all: Arc<Semaphore>,
    most_of_one: usize,
    waiting: Arc<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting(Mutex<Queues>);

#[derive(Debug, Default)]
struct Queues {
    last: u64,
    /// From the oldest to the newest; accounts without any are not kept.
    of: HashMap<AccountName, VecDeque<(u64, CancellationToken)>>,
}

/// The place of one.
#[derive(Debug)]
pub(crate) struct SparePermit {
    /// A newer one of the account's needs the place.
    pub(crate) gone: CancellationToken,
    /// It has taken another's.
    pub(crate) is_taken: bool,
    number: u64,
    account: AccountName,
    waiting: Arc<Waiting>,
    _place: OwnedSemaphorePermit,
}

impl Spares {
    pub(super) fn new(all: usize, most_of_one: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            most_of_one,
            waiting: Arc::default(),
        }
    }

    /// A place for one more. When its account has none left, the oldest of the account's has to go: a client that has many
    /// harms nobody else, and holds no room of another kind.
    pub(super) fn take(&self, account: &AccountName) -> Option<SparePermit> {
        let place = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let gone = CancellationToken::new();
        let mut queues = self.waiting.lock();
        queues.last = queues.last.wrapping_add(1);
        let number = queues.last;
        let queue = queues.of.entry(account.clone()).or_default();
        let mut is_taken = false;
        while queue.len() >= self.most_of_one.max(1) {
            let Some((_, oldest)) = queue.pop_front() else {
                break;
            };
            oldest.cancel();
            is_taken = true;
        }
        queue.push_back((number, gone.clone()));
        drop(queues);
        Some(SparePermit {
            gone,
            is_taken,
            number,
            account: account.clone(),
            waiting: Arc::clone(&self.waiting),
            _place: place,
        })
    }
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SparePermit {
    fn drop(&mut self) {
        let mut queues = self.waiting.lock();
        if let Some(queue) = queues.of.get_mut(&self.account) {
            queue.retain(|(number, _)| *number != self.number);
            if queue.is_empty() {
                queues.of.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> AccountName {
        format!("{name}@p.iam.x").parse().unwrap()
    }

    #[test]
    fn the_newest_takes_the_place_of_its_accounts_oldest_and_of_nobody_elses() {
        let spares = Spares::new(9, 2);
        let (a, b) = (account("a"), account("b"));
        let others = spares.take(&b).unwrap();
        let [first, second, third] = [(), (), ()].map(|()| spares.take(&a).unwrap());
        let gone = |permit: &SparePermit| permit.gone.is_cancelled();
        assert_eq!([&first, &second, &third].map(gone), [true, false, false]);
        assert_eq!(
            [&second, &third].map(|permit| permit.is_taken),
            [false, true]
        );
        drop(second);
        let fourth = spares.take(&a).unwrap();
        assert_eq!([&third, &fourth, &others].map(gone), [false; 3]);
        // Who has gone already gives nobody's place back.
        drop(first);
        let _fifth = spares.take(&a).unwrap();
        assert_eq!([&third, &fourth].map(gone), [true, false]);
    }

    #[test]
    fn all_together_have_a_ceiling_and_nothing_is_kept_of_those_who_left() {
        let spares = Spares::new(2, 5);
        let (a, b) = (account("a"), account("b"));
        let first = spares.take(&a);
        let second = spares.take(&b);
        assert!(first.is_some() && second.is_some());
        assert!(spares.take(&a).is_none());
        drop(first);
        assert!(spares.take(&a).is_some());
        drop(second);
        assert!(spares.waiting.lock().of.is_empty());
    }
}
