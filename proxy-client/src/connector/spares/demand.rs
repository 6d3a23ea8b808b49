//! How many tunnels are worth being kept ready, by how applications came.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// After so long without an application none is worth it; and who comes more rarely has no use for one.
pub(super) const QUIET: Duration = Duration::from_secs(60);
/// How long a crowd is remembered while smaller ones come.
const FADE: Duration = Duration::from_secs(10);

/// What is known of how applications come.
#[derive(Debug, Default)]
pub(super) struct Demand {
    /// Those of late.
    crowd: VecDeque<Instant>,
    /// The largest crowd that is remembered, and since when.
    peak: Option<(usize, Instant)>,
    last: Option<Instant>,
    /// Whether the last one was not the only one in its minute.
    repeats: bool,
}

impl Demand {
    /// An application has come. A crowd are those who come within `span`; one larger than `most` is not told apart.
    pub(super) fn arrived(&mut self, now: Instant, span: Duration, most: usize) {
        self.repeats = self.last.is_some_and(|last| now - last < QUIET);
        self.last = Some(now);
        while self.crowd.len() >= most.max(1)
            || self.crowd.front().is_some_and(|first| now - *first > span)
        {
            self.crowd.pop_front();
        }
        self.crowd.push_back(now);
        let crowd = self.crowd.len();
        if self
            .peak
            .is_none_or(|(peak, since)| crowd >= peak || now - since > FADE)
        {
            self.peak = Some((crowd, now));
        }
    }

    /// How many are worth being kept ready: one for each of a crowd, and one while they are made again.
    pub(super) fn wanted(&self, now: Instant, most: usize) -> usize {
        match (self.last, self.peak) {
            (Some(last), Some((peak, _))) if self.repeats && now - last < QUIET => {
                peak.saturating_add(1).min(most)
            }
            _ => 0,
        }
    }

    /// Whether nobody has come since.
    pub(super) fn is_none_since(&self, then: Instant) -> bool {
        self.last.is_none_or(|last| last < then)
    }

    /// What was kept ready was kept in vain.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 8;
    const SPAN: Duration = Duration::from_millis(20);

    struct Coming {
        demand: Demand,
        now: Instant,
    }

    impl Coming {
        fn new() -> Self {
            Self {
                demand: Demand::default(),
                now: Instant::now(),
            }
        }

        fn after(&mut self, pause: Duration) -> usize {
            self.now += pause;
            self.demand.arrived(self.now, SPAN, MOST);
            self.demand.wanted(self.now, MOST)
        }

        fn wanted_after(&self, pause: Duration) -> usize {
            self.demand.wanted(self.now + pause, MOST)
        }
    }

    #[test]
    fn who_comes_once_or_rarely_is_not_waited_for() {
        let mut coming = Coming::new();
        assert_eq!(coming.wanted_after(Duration::ZERO), 0);
        for _ in 0..5 {
            assert_eq!(coming.after(QUIET), 0);
        }
    }

    #[test]
    fn who_comes_one_after_another_is_waited_for_with_two() {
        let mut coming = Coming::new();
        coming.after(Duration::ZERO);
        for _ in 0..100 {
            assert_eq!(coming.after(SPAN * 2), 2);
        }
    }

    #[test]
    fn a_crowd_is_waited_for_up_to_the_most_and_forgotten_when_smaller_ones_come() {
        let mut coming = Coming::new();
        for crowd in 1..100 {
            let expected = if crowd == 1 { 0 } else { (crowd + 1).min(MOST) };
            assert_eq!(coming.after(Duration::from_micros(10)), expected);
        }
        assert!(coming.demand.crowd.len() <= MOST, "bounded");
        assert_eq!(coming.after(FADE / 2), MOST);
        assert_eq!(coming.after(FADE), 2);
    }

    #[test]
    fn after_a_quiet_minute_nobody_is_waited_for() {
        let mut coming = Coming::new();
        coming.after(Duration::ZERO);
        coming.after(SPAN * 2);
        assert_eq!(coming.wanted_after(QUIET - SPAN), 2);
        assert_eq!(coming.wanted_after(QUIET), 0);
    }
}
