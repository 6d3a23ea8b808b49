//! The legs of a session's opening: how long each took, for the log and the metrics.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// One leg. What a client does on its way is the client's to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    /// From the socket to the task that serves it.
    Accept,
    /// The client's TLS handshake.
    Tls,
    /// Whether it may.
    Policy,
    /// The connection to the database.
    Database,
    /// The database's first word.
    Greeting,
    /// From there to its consent; the application takes part in it.
    Authentication,
}

impl Leg {
    /// All, in the order of a session.
    pub(crate) const ALL: [Self; 6] = [
        Self::Accept,
        Self::Tls,
        Self::Policy,
        Self::Database,
        Self::Greeting,
        Self::Authentication,
    ];

    /// The label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Tls => "tls",
            Self::Policy => "policy",
            Self::Database => "database",
            Self::Greeting => "greeting",
            Self::Authentication => "authentication",
        }
    }
}

/// Where a leg is that was not gone, or longer than an hour.
const NOT_GONE: u32 = u32::MAX;

/// How long each leg of one session took.
#[derive(Debug)]
pub(crate) struct Legs {
    base: Instant,
    /// How long each took, and how long after `base` it ended, in microseconds.
    gone: [(AtomicU32, AtomicU32); Leg::ALL.len()],
}

impl Default for Legs {
    fn default() -> Self {
        Self {
            base: Instant::now(),
            gone: Leg::ALL.map(|_| (AtomicU32::new(NOT_GONE), AtomicU32::new(0))),
        }
    }
}

impl Legs {
    /// A leg has been gone, and ends now.
    pub(crate) fn took(&self, leg: Leg, time: Duration) {
        let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(NOT_GONE);
        if let Some((took, end)) = self.gone.get(leg as usize) {
            end.store(micros(self.base.elapsed()), Ordering::Relaxed);
            took.store(micros(time), Ordering::Relaxed);
        }
    }

    /// The same for a leg that began then.
    pub(crate) fn since(&self, leg: Leg, begun: Instant) {
        self.took(leg, begun.elapsed());
    }

    /// How long it took.
    pub(crate) fn time(&self, leg: Leg) -> Option<Duration> {
        let micros = self.gone.get(leg as usize)?.0.load(Ordering::Relaxed);
        (micros != NOT_GONE).then(|| Duration::from_micros(micros.into()))
    }

    /// Those that began after a moment, for a trace that begins there.
    pub(crate) fn since_then(&self, moment: Instant) -> Vec<transport::traces::Leg> {
        let gone = Leg::ALL.into_iter().zip(&self.gone);
        let place = |(leg, (_, end)): (Leg, &(AtomicU32, AtomicU32))| {
            let took = self.time(leg)?;
            let end = self.base + Duration::from_micros(end.load(Ordering::Relaxed).into());
            let begun = end.checked_sub(took)?;
            Some(transport::traces::Leg {
                name: leg.as_str(),
                after: begun.checked_duration_since(moment)?,
                took,
            })
        };
        gone.filter_map(place).collect()
    }

    /// For the log.
    pub(crate) fn millis(&self, leg: Leg) -> Option<u64> {
        u64::try_from(self.time(leg)?.as_millis()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_leg_has_its_place_and_what_was_not_gone_has_no_time() {
        let legs = Legs::default();
        for (number, leg) in (1..).zip(Leg::ALL) {
            assert_eq!(legs.time(leg), None);
            legs.took(leg, Duration::from_millis(number));
        }
        let times = Leg::ALL.map(|leg| legs.millis(leg));
        assert_eq!(times, [1, 2, 3, 4, 5, 6].map(Some));
    }

    #[tokio::test(start_paused = true)]
    async fn legs_have_their_places_after_the_moment_from_which_they_are_told() {
        let legs = Legs::default();
        tokio::time::advance(Duration::from_millis(50)).await;
        legs.took(Leg::Tls, Duration::from_millis(30));
        let moment = Instant::now();
        tokio::time::advance(Duration::from_millis(9)).await;
        let begun = Instant::now();
        tokio::time::advance(Duration::from_millis(200)).await;
        legs.since(Leg::Greeting, begun);
        let told = legs.since_then(moment);
        let [leg] = told.as_slice() else {
            panic!("{told:?}");
        };
        let expected = (Duration::from_millis(9), Duration::from_millis(200));
        assert_eq!((leg.name, (leg.after, leg.took)), ("greeting", expected));
    }
}
