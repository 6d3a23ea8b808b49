//! Open connections of each source.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use transport::accept::Source;

/// Counts connections by source.
#[derive(Clone)]
pub(super) struct PerSource {
    limit: usize,
    open: Arc<Mutex<HashMap<Source, usize>>>,
}

/// One connection's place; given back when dropped.
pub(super) struct Place {
    of: PerSource,
    source: Source,
}

impl PerSource {
    /// At most `limit` of each.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            open: Arc::default(),
        }
    }

    /// A place for one more connection, if there is one.
    pub(super) fn enter(&self, source: Source) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(source).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Place {
            of: self.clone(),
            source,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.of.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        Source::of(address.parse().unwrap())
    }

    #[test]
    fn a_source_at_its_limit_gets_no_place_until_one_is_given_back() {
        for (one, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"),
        ] {
            let sources = PerSource::new(2);
            let first = sources.enter(source(one)).unwrap();
            let second = sources.enter(source(same)).unwrap();
            assert!(sources.enter(source(one)).is_none());
            assert!(sources.enter(source(same)).is_none());
            assert!(sources.enter(source(other)).is_some());
            drop(first);
            let third = sources.enter(source(same)).unwrap();
            drop((second, third));
            assert!(sources.open.lock().unwrap().is_empty());
        }
    }
}
