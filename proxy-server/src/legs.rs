//! The legs of a session's opening: how long each took, for the log and the metrics.

use std::sync::atomic::{AtomicU64, Ordering};
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

/// Where a leg is that was not gone.
const NOT_GONE: u64 = u64::MAX;

/// How long each leg of one session took.
#[derive(Debug)]
pub(crate) struct Legs([AtomicU64; Leg::ALL.len()]);

impl Default for Legs {
    fn default() -> Self {
        Self(Leg::ALL.map(|_| AtomicU64::new(NOT_GONE)))
    }
}

impl Legs {
    /// A leg has been gone.
    pub(crate) fn took(&self, leg: Leg, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(NOT_GONE);
        if let Some(place) = self.0.get(leg as usize) {
            place.store(micros, Ordering::Relaxed);
        }
    }

    /// The same for a leg that began then.
    pub(crate) fn since(&self, leg: Leg, begun: Instant) {
        self.took(leg, begun.elapsed());
    }

    /// How long it took.
    pub(crate) fn time(&self, leg: Leg) -> Option<Duration> {
        let micros = self.0.get(leg as usize)?.load(Ordering::Relaxed);
        (micros != NOT_GONE).then(|| Duration::from_micros(micros))
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
}
