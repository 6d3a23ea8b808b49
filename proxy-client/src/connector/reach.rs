//! The last sign of life of an instance's agent: of sessions, of tunnels kept ready, and of checks where both are silent.
//!
//! A failure counts once it has lasted: an agent that restarts must not turn probes red.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proto::Refusal;
use tokio::time::Instant;

use crate::error::SessionError;

/// The age at which a sign of life is renewed by a check.
const STALE: Duration = Duration::from_secs(5);
/// The same for a failure: so that the end of an outage shows soon.
const STALE_FAILURE: Duration = Duration::from_secs(1);
/// How long an agent must have failed, and how often, to be down.
const LASTING: Duration = Duration::from_secs(2);
const FAILURES: u32 = 2;

/// What is known of the agent.
#[derive(Debug, Default)]
pub struct Reach(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    seen: Option<Instant>,
    failing: Option<Failing>,
    /// The other side dials its database for every handshake: checks would cost it aborted connections.
    is_never_checked: bool,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    count: u32,
    refusal: Refusal,
}

/// The state of the agent at a moment, as probes show it.
#[derive(Clone, Debug)]
pub struct Sign {
    /// The age of what is known.
    pub age: Duration,
    /// The last failure, as long as no success followed.
    pub failure: Option<Refusal>,
    /// Whether the failure has lasted.
    pub is_down: bool,
}

impl Reach {
    /// Notes the end of a dial and a TLS handshake.
    pub(super) fn note<T>(&self, outcome: &Result<T, SessionError>) {
        let now = Instant::now();
        let mut state = self.state();
        state.seen = Some(now);
        let Err(error) = outcome else {
            state.failing = None;
            return;
        };
        let refusal = error.refusal();
        let (since, count) = match &state.failing {
            Some(failing) => (failing.since, failing.count.saturating_add(1)),
            None => (now, 1),
        };
        state.failing = Some(Failing {
            since,
            count,
            refusal,
        });
    }

    /// Keeps checks away from this agent.
    pub(super) fn never_check(&self) {
        self.state().is_never_checked = true;
    }

    /// Whether a check is due.
    pub fn is_stale(&self) -> bool {
        let state = self.state();
        let age = state.seen.map(|seen| seen.elapsed());
        let limit = match state.failing {
            Some(_) => STALE_FAILURE,
            None => STALE,
        };
        !state.is_never_checked && age.is_none_or(|age| age >= limit)
    }

    /// What is known; nothing before the first dial.
    pub fn sign(&self) -> Option<Sign> {
        let state = self.state();
        let failing = state.failing.as_ref();
        Some(Sign {
            age: state.seen?.elapsed(),
            failure: failing.map(|failing| failing.refusal.clone()),
            is_down: failing.is_some_and(|failing| {
                failing.count >= FAILURES && failing.since.elapsed() >= LASTING
            }),
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Result<(), SessionError> {
        Err(SessionError::Closed(None))
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_counts_once_it_has_lasted_and_ends_with_the_first_success() {
        let reach = Reach::default();
        assert!(reach.sign().is_none() && reach.is_stale());
        reach.note(&failure());
        reach.note(&failure());
        let sign = reach.sign().unwrap();
        assert!(!sign.is_down && sign.failure.is_some());
        assert!(!reach.is_stale());
        tokio::time::advance(LASTING).await;
        assert!(reach.sign().unwrap().is_down && reach.is_stale());
        reach.note(&Ok(()));
        let sign = reach.sign().unwrap();
        assert!(!sign.is_down && sign.failure.is_none());
        tokio::time::advance(STALE / 2).await;
        assert!(!reach.is_stale());
        assert_eq!(reach.sign().unwrap().age, STALE / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_failure_alone_is_no_outage() {
        let reach = Reach::default();
        reach.note(&failure());
        tokio::time::advance(LASTING * 10).await;
        assert!(!reach.sign().unwrap().is_down);
    }
}
