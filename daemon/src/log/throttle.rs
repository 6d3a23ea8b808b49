//! Bounds the lines that one cause can make: the first at once, then one a minute with the count of those between.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// One line of a kind in this time.
const EVERY: Duration = Duration::from_secs(60);
/// Kinds that are told apart. Those beyond share one line, so that no caller can fill the log by varying its kind.
const MAX_KINDS: usize = 64;

/// Decides which of many equal events are worth a line. `K` is all that tells two of them apart.
#[derive(Debug)]
pub struct LogThrottle<K>(Mutex<Kinds<K>>);

#[derive(Debug)]
struct Kinds<K> {
    known: HashMap<K, Reported>,
    /// All kinds for which there was no room.
    others: Option<Reported>,
}

#[derive(Debug)]
struct Reported {
    at: Instant,
    suppressed: u64,
}

impl<K> Default for LogThrottle<K> {
    fn default() -> Self {
        Self(Mutex::new(Kinds {
            known: HashMap::new(),
            others: None,
        }))
    }
}

impl<K: Hash + Eq> LogThrottle<K> {
    /// Number of events suppressed since the last line of this kind; `None` when this one is suppressed too.
    pub fn due(&self, kind: K) -> Option<u64> {
        self.note(kind, Reported::first)
    }

    /// As [`LogThrottle::due`], where the first event of a kind was reported elsewhere: it is suppressed as well.
    pub fn due_again(&self, kind: K) -> Option<u64> {
        self.note(kind, Reported::elsewhere)
    }

    fn note(&self, kind: K, first: fn(Instant) -> (Reported, Option<u64>)) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(reported) = kinds.known.get_mut(&kind) {
            return reported.again(now);
        }
        if kinds.known.len() >= MAX_KINDS {
            kinds.known.retain(|_, reported| !reported.is_due(now));
        }
        let (reported, due) = first(now);
        if kinds.known.len() < MAX_KINDS {
            kinds.known.insert(kind, reported);
            return due;
        }
        match &mut kinds.others {
            Some(others) => others.again(now),
            None => {
                kinds.others = Some(reported);
                due
            }
        }
    }
}

impl Reported {
    const fn first(at: Instant) -> (Self, Option<u64>) {
        (Self { at, suppressed: 0 }, Some(0))
    }

    const fn elsewhere(at: Instant) -> (Self, Option<u64>) {
        (Self { at, suppressed: 1 }, None)
    }

    fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= EVERY
    }

    fn again(&mut self, now: Instant) -> Option<u64> {
        if !self.is_due(now) {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.at = now;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_of_a_kind_is_due_at_once_and_then_one_a_minute_with_the_count_between() {
        let throttle = LogThrottle::default();
        assert_eq!(throttle.due("a"), Some(0));
        for _ in 0..200 {
            assert_eq!(throttle.due("a"), None);
        }
        assert_eq!(throttle.due("b"), Some(0));
        tokio::time::advance(EVERY).await;
        assert_eq!(throttle.due("a"), Some(200));
        assert_eq!(throttle.due("a"), None);
        assert_eq!(throttle.due("b"), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn kinds_that_take_turns_are_each_bounded() {
        let throttle = LogThrottle::default();
        let lines = (0..600).filter(|at| throttle.due(at % 3).is_some()).count();
        assert_eq!(lines, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_was_reported_elsewhere_is_due_after_a_minute_only() {
        let throttle = LogThrottle::default();
        for _ in 0..3 {
            assert_eq!(throttle.due_again("a"), None);
        }
        tokio::time::advance(EVERY).await;
        assert_eq!(throttle.due_again("a"), Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn kinds_without_number_cost_bounded_memory_and_bounded_lines() {
        let throttle = LogThrottle::default();
        let lines = |range: std::ops::Range<usize>| {
            let due = range.filter_map(|kind| throttle.due(kind));
            due.fold((0, 0), |(lines, events), suppressed| {
                (lines + 1, events + 1 + suppressed)
            })
        };
        assert_eq!(lines(0..10_000), (MAX_KINDS + 1, MAX_KINDS as u64 + 1));
        assert_eq!(throttle.0.lock().unwrap().known.len(), MAX_KINDS);
        tokio::time::advance(EVERY).await;
        // Old kinds make room, and no event is lost from the count.
        let (count, events) = lines(20_000..20_000 + MAX_KINDS + 1);
        assert_eq!(count, MAX_KINDS + 1);
        let missing = 10_000 - MAX_KINDS as u64 - 1;
        assert_eq!(events, missing + MAX_KINDS as u64 + 1);
    }
}
