//! What names led to last: DNS that fails takes nothing away, and is not waited for by each connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Most names whose last answer is kept.
const MOST: usize = 256;
/// After a failure, what is known is used without asking for this time.
const REST: Duration = Duration::from_secs(5);

/// The last good answer for each name.
#[derive(Clone, Debug)]
pub(super) struct Memory<T>(Arc<Mutex<HashMap<String, Known<T>>>>);

#[derive(Debug)]
struct Known<T> {
    found: Vec<T>,
    failed: Option<Instant>,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Memory<T> {
    /// The last answer, and whether it is worth asking for another.
    pub(super) fn get(&self, name: &str) -> Option<(Vec<T>, bool)> {
        let names = self.names();
        let known = names.get(name)?;
        let rests = known.failed.is_some_and(|at| at.elapsed() < REST);
        Some((known.found.clone(), !rests))
    }

    pub(super) fn learn(&self, name: &str, found: &[T]) {
        let mut names = self.names();
        if names.len() >= MOST && !names.contains_key(name) {
            names.clear();
        }
        let found = found.to_vec();
        let known = Known {
            found,
            failed: None,
        };
        names.insert(name.to_owned(), known);
    }

    pub(super) fn failed(&self, name: &str) {
        if let Some(known) = self.names().get_mut(name) {
            known.failed = Some(Instant::now());
        }
    }

    pub(super) fn forget(&self, name: &str) {
        self.names().remove(name);
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, Known<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_not_asked_for_again_at_once_and_nothing_is_lost_with_it() {
        let memory = Memory::default();
        memory.failed("a");
        assert_eq!(memory.get("a"), None);
        memory.learn("a", &[1]);
        assert_eq!(memory.get("a"), Some((vec![1], true)));
        memory.failed("a");
        assert_eq!(memory.get("a"), Some((vec![1], false)));
        tokio::time::advance(REST).await;
        assert_eq!(memory.get("a"), Some((vec![1], true)));
        memory.failed("a");
        memory.learn("a", &[2]);
        assert_eq!(memory.get("a"), Some((vec![2], true)));
        memory.forget("a");
        assert_eq!(memory.get("a"), None);
    }

    #[test]
    fn the_memory_has_an_end() {
        let memory = Memory::default();
        for name in 0..10 * MOST {
            memory.learn(&name.to_string(), &[name]);
        }
        assert!(memory.names().len() <= MOST);
        assert!(memory.get(&(10 * MOST - 1).to_string()).is_some());
    }
}
