//! Keeping an instance served: its policy pushed by the CA, its certificate renewed ahead of its end and by use.
//!
//! Two loops an instance, so that a long poll never delays a renewal, and instances fail apart. Neither ends before
//! the program does: whatever is wrong can be mended at the CA, and is noticed without a restart.

mod access;
mod certificate;

use std::sync::Arc;
use std::time::Duration;

use daemon::log::LogThrottle;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::authority::{Authority, AuthorityError, Failure};
use transport::tls::PrivateKey;

use crate::material::{Instance, Problem, Served};
use crate::metrics::Metrics;

/// Neither handshakes nor the CA's answers make the agent ask more often than this when there is no news.
const SPACING: Duration = Duration::from_secs(1);

/// The command that mends a missing grant.
const GRANT: &str = "cloudsql-ca grant";

/// The CA as the agent speaks to it.
#[derive(Clone)]
pub(crate) struct Ca {
    /// The API.
    pub(crate) authority: Arc<Authority>,
    /// The project of instances that are named without one: the key file's.
    pub(crate) project: String,
    /// What certificates are for: made in this process, and never leaves it.
    pub(crate) key: Arc<PrivateKey>,
}

/// What both loops of an instance need.
struct Enrolment {
    ca: Ca,
    instance: Arc<Instance>,
    metrics: Arc<Metrics>,
    /// Bounds lines about failures, by their subject and kind: kinds that take turns are news each time.
    lines: LogThrottle<(&'static str, &'static str)>,
}

/// Starts the loops of all instances.
pub(crate) fn start(
    served: &Served,
    ca: &Ca,
    metrics: &Arc<Metrics>,
    cancel: &CancellationToken,
    tracker: &TaskTracker,
) {
    // All questions share one token, and tokens are bound to the key that they may certify.
    ca.authority.bind(&ca.key);
    for instance in &served.instances {
        let enrolment = Arc::new(Enrolment {
            ca: ca.clone(),
            instance: Arc::clone(instance),
            metrics: Arc::clone(metrics),
            lines: LogThrottle::default(),
        });
        let (access, certificate) = (Arc::clone(&enrolment), enrolment);
        let (first, second) = (cancel.clone(), cancel.clone());
        tracker.spawn(async move { first.run_until_cancelled(access::follow(&access)).await });
        tracker.spawn(async move {
            second
                .run_until_cancelled(certificate::keep(&certificate))
                .await
        });
    }
}

impl Enrolment {
    fn project(&self) -> &str {
        self.instance.wanted.project().unwrap_or(&self.ca.project)
    }

    /// What the operator is told of a failure.
    fn problem(&self, error: &AuthorityError) -> Problem {
        let text = match &error.failure {
            // The general hint is for clients, and an agent needs another role. Our own CA names the command itself.
            Failure::Forbidden(message) | Failure::NotFound(message) if message.contains(GRANT) => {
                format!("the CA does not allow it: {message}")
            }
            Failure::Forbidden(message) | Failure::NotFound(message) => format!(
                "the CA does not allow it: {message}; \
                ask for the grant: {GRANT} --role agent --instance {} --service-account S",
                self.instance.wanted.label()
            ),
            _ => error.refusal().to_string(),
        };
        let is_unusable = matches!(
            error.failure,
            Failure::Malformed(_)
                | Failure::Unauthenticated(_)
                | Failure::Forbidden(_)
                | Failure::NotFound(_)
        );
        Problem {
            kind: error.kind(),
            text,
            is_unusable,
        }
    }
}

/// Waits until `due`, or until a handshake needs what is missing, but then not less than [`SPACING`] after `last`.
async fn due_or_used(used: &Notify, due: Instant, last: Instant) {
    tokio::select! {
        () = tokio::time::sleep_until(due) => {}
        () = used.notified() => tokio::time::sleep_until(last + SPACING).await,
    }
}

/// A random number in `0.0..1.0`; the middle when the system has none to give.
fn random() -> f64 {
    let mut bytes = [0; 4];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_handshake_shortens_a_long_wait_but_does_not_make_the_agent_ask_all_the_time() {
        let used = Notify::new();
        let start = Instant::now();
        let due = start + Duration::from_secs(30);
        used.notify_one();
        due_or_used(&used, due, start).await;
        assert_eq!(start.elapsed(), SPACING);
        due_or_used(&used, due, start).await;
        assert_eq!(start.elapsed(), Duration::from_secs(30));
        used.notify_one();
        due_or_used(&used, due + due.elapsed() + SPACING, start).await;
        assert_eq!(start.elapsed(), Duration::from_secs(30));
    }

    #[test]
    fn random_numbers_are_in_range_and_differ() {
        let numbers: Vec<f64> = (0..100).map(|_| random()).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        assert!(numbers.windows(2).any(|pair| pair.first() != pair.last()));
    }
}
