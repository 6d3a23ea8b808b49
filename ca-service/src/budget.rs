//! Budgets of what is in flight: in total, and for each of those who ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// Most that may be in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// For all together.
    pub(crate) total: usize,
    /// For each.
    pub(crate) each: usize,
}

/// Counts what is in flight.
#[derive(Clone)]
pub(crate) struct Budget {
    /// `address` or `service account`, for the refusal.
    who: &'static str,
    bounds: Bounds,
    used: Arc<Mutex<Used>>,
}

#[derive(Default)]
struct Used {
    total: usize,
    each: HashMap<String, usize>,
}

/// A share of a budget; given back when dropped.
pub(crate) struct Share {
    budget: Budget,
    key: String,
    amount: usize,
}

impl Budget {
    /// A budget that nothing is taken from.
    pub(crate) fn new(who: &'static str, bounds: Bounds) -> Self {
        Self {
            who,
            bounds,
            used: Arc::default(),
        }
    }

    /// A share for that one, empty.
    pub(crate) fn share(&self, key: String) -> Share {
        Share {
            budget: self.clone(),
            key,
            amount: 0,
        }
    }

    /// How much is in flight.
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> usize {
        let used = self.used.lock().unwrap();
        assert_eq!(used.each.values().sum::<usize>(), used.total);
        used.total
    }
}

impl Share {
    /// Takes that much more, if there is so much.
    pub(crate) fn take(&mut self, more: usize) -> Result<()> {
        let Budget { who, bounds, used } = &self.budget;
        let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
        let own = used.each.get(&self.key).copied().unwrap_or_default();
        let limited = |who| Error::Limited {
            who,
            retry_after: 1,
        };
        if own + more > bounds.each {
            return Err(limited(who));
        }
        if used.total + more > bounds.total {
            return Err(limited("CA"));
        }
        used.total += more;
        used.each.insert(self.key.clone(), own + more);
        self.amount += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut used = self
            .budget
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        used.total -= self.amount;
        if let Some(own) = used.each.get_mut(&self.key) {
            *own -= self.amount;
            if *own == 0 {
                used.each.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_bounded_for_each_and_in_total_and_given_back() {
        let bounds = Bounds { total: 10, each: 6 };
        let budget = Budget::new("address", bounds);
        let (mut one, mut same) = (budget.share("a".into()), budget.share("a".into()));
        let mut other = budget.share("b".into());
        one.take(3).unwrap();
        one.take(2).unwrap();
        assert!(same.take(2).is_err());
        same.take(1).unwrap();
        other.take(4).unwrap();
        let full = other.take(1).unwrap_err().to_string();
        assert!(full.contains("this CA"), "{full}");
        drop(one);
        assert_eq!(budget.in_flight(), 5);
        other.take(1).unwrap();
        drop((same, other));
        assert_eq!(budget.in_flight(), 0);
        assert!(budget.used.lock().unwrap().each.is_empty());
    }
}
