//! The legs of a connection's way to its database: how long each took, for the log, the metrics and `top`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long each leg of a tunnel's opening took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Legs {
    /// From the application's connection to the task that serves it.
    pub accept: Duration,
    /// Settings and certificate: nothing while there are valid ones.
    pub certificate: Duration,
    /// The TCP connection to the agent.
    pub tcp: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// The agent's consent, and in Google's dialect the database's first word.
    pub opening: Duration,
}

impl Legs {
    /// All, in the order of a connection, by their labels.
    pub const fn all(&self) -> [(&'static str, Duration); 5] {
        [
            ("accept", self.accept),
            ("certificate", self.certificate),
            ("tcp", self.tcp),
            ("tls", self.tls),
            ("opening", self.opening),
        ]
    }

    /// The whole.
    pub fn sum(&self) -> Duration {
        self.all().into_iter().map(|(_, leg)| leg).sum()
    }

    /// For people: the whole, and what took longest of it.
    pub fn shown(&self) -> Opened {
        let longest = self.all().into_iter().max_by_key(|(_, leg)| *leg);
        let (slowest, time) = longest.unwrap_or_default();
        Opened {
            millis: millis(self.sum()),
            slowest: slowest.to_owned(),
            slowest_millis: millis(time),
        }
    }
}

/// How long a tunnel's opening took, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The whole.
    pub millis: u64,
    /// The leg that took longest.
    pub slowest: String,
    /// And how long that was.
    pub slowest_millis: u64,
}

/// For the log.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_the_whole_and_the_leg_that_took_longest() {
        let legs = Legs {
            certificate: Duration::from_millis(3),
            tls: Duration::from_millis(200),
            opening: Duration::from_micros(9_900),
            ..Legs::default()
        };
        let expected = Opened {
            millis: 212,
            slowest: "tls".into(),
            slowest_millis: 200,
        };
        assert_eq!(legs.shown(), expected);
    }
}
