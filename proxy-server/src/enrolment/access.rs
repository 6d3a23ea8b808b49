//! Following the CA's word on who may connect, by long poll: a change is here within a second or two.

use std::sync::Arc;
use std::time::Duration;

use proto::admin::AgentSettings;
use proto::schedule;
use tokio::time::Instant;
use tracing::{error, info, warn};
use transport::authority::Failure;
use transport::tls::TrustRoots;

use super::{Enrolment, SPACING, random};
use crate::admission::Policy;
use crate::material::{Access, Confirmed, Problem};

/// How long the CA may hold a question that it has no news for.
const LONG_POLL: Duration = Duration::from_secs(30);
/// Longest wait after a failure. Shorter than for certificates: what is waited for may be a withdrawn grant.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Asks for ever.
pub(super) async fn follow(enrolment: &Enrolment) {
    let mut revision = None;
    let mut failures: u32 = 0;
    let instance = &enrolment.instance;
    loop {
        let asked = Instant::now();
        let answer = tokio::select! {
            answer = ask(enrolment, revision) => answer,
            // Dropping the question closes its connection, which a sleep of the machine may have broken.
            () = instance.asked.notified() => ask(enrolment, None).await,
        };
        let heard = answer.and_then(|settings| accept(enrolment, settings));
        match heard {
            Ok(new) => {
                let news = revision != Some(new);
                revision = Some(new);
                failures = 0;
                instance
                    .questions
                    .send_modify(|count| *count = count.wrapping_add(1));
                if !news {
                    // Whatever stands between may answer early: that must not make the loop spin.
                    tokio::time::sleep_until(asked + SPACING).await;
                }
            }
            Err(failure) => {
                failures = failures.saturating_add(1);
                // The next answer must come at once, not when there is news.
                revision = None;
                tell(enrolment, failure);
                instance
                    .questions
                    .send_modify(|count| *count = count.wrapping_add(1));
                let wait = schedule::backoff(failures, random()).min(MAX_BACKOFF);
                tokio::time::sleep_until(asked + wait).await;
            }
        }
    }
}

async fn ask(enrolment: &Enrolment, revision: Option<u64>) -> Result<AgentSettings, Refused> {
    let (project, label) = (enrolment.project(), enrolment.instance.wanted.label());
    enrolment
        .ca
        .authority
        .agent_settings(
            project,
            label,
            revision,
            long_poll(enrolment.instance.policy_max_age),
        )
        .await
        .map_err(|error| Refused {
            withdrawn: matches!(error.failure, Failure::Forbidden(_) | Failure::NotFound(_)),
            problem: enrolment.problem(&error),
        })
}

/// Bounds a question without news so that its answer confirms a policy well before that is too old.
fn long_poll(policy_max_age: Option<Duration>) -> Duration {
    policy_max_age.map_or(LONG_POLL, |age| LONG_POLL.min(age / 3))
}

/// Why there is no word of the CA's to go by.
struct Refused {
    problem: Problem,
    /// The CA knows us and says that this is not (any more) ours to serve.
    withdrawn: bool,
}

/// Takes the answer for the truth from now on; says its revision.
fn accept(enrolment: &Enrolment, settings: AgentSettings) -> Result<u64, Refused> {
    let instance = &enrolment.instance;
    let wrong = |kind, text: String| Refused {
        problem: Problem {
            kind,
            text,
            is_unusable: true,
        },
        withdrawn: false,
    };
    if !instance.wanted.is(&settings.connection_name) {
        let text = format!(
            "the CA knows the instance as {}; correct --instance",
            settings.connection_name
        );
        return Err(wrong("settings", text));
    }
    let roots = TrustRoots::from_pem(&settings.client_ca_cert).map_err(|error| {
        wrong(
            "malformed",
            format!("the CA's client certificates: {error}"),
        )
    })?;
    let access = Arc::new(Access {
        server_names: settings.server_names.clone(),
        server_ca: settings.server_ca_cert.clone(),
        policy: instance.policy(settings),
        client_roots: Arc::new(roots),
    });
    let policy = &access.policy;
    let now = enrolment.ca.authority.now();
    let before = instance.snapshot();
    instance.change(|snapshot| {
        snapshot.access = Some(Arc::clone(&access));
        snapshot.confirmed = Some(Confirmed::at(now));
        snapshot.access_problem = None;
    });
    if instance.snapshot().misnamed_since().is_some() {
        instance.used.notify_one();
    }
    if before.access.is_none() || before.access_problem.is_some() {
        info!(
            instance = %policy.instance,
            revision = policy.revision,
            accounts = policy.accounts(),
            "grants received"
        );
    }
    warn_of_unenforceable(policy, before.access.as_deref());
    Ok(policy.revision)
}

/// Warns when the policy begins to have grants that the engine cannot enforce, or has another number of them.
fn warn_of_unenforceable(policy: &Policy, before: Option<&Access>) {
    let refused = policy.unenforceable();
    if refused == 0 || before.is_some_and(|before| before.policy.unenforceable() == refused) {
        return;
    }
    warn!(
        instance = %policy.instance,
        engine = %policy.engine,
        accounts = refused,
        "grants that name database users or schemas cannot be enforced with this engine: \
        their accounts are refused; grant them again without --db-user and --schema"
    );
}

/// Keeps what was known, unless it was withdrawn. An outage is warned of once; answers that cannot be used, and a
/// policy that is too old, are errors, and told again while they last.
fn tell(enrolment: &Enrolment, failure: Refused) {
    let instance = &enrolment.instance;
    enrolment.metrics.enrolment_failure(failure.problem.kind);
    let before = instance.snapshot();
    let known = before.access_problem.as_ref();
    let news = known.is_none_or(|known| known.kind != failure.problem.kind);
    let problem = Arc::new(failure.problem);
    instance.change(|snapshot| {
        snapshot.access_problem = Some(Arc::clone(&problem));
        if failure.withdrawn {
            snapshot.access = None;
        }
    });
    let now = enrolment.ca.authority.now();
    let after = instance.snapshot();
    let too_old = instance.too_old(&after, now);
    if problem.is_unusable || too_old.is_some() {
        if let Some(suppressed) = enrolment.lines.due(("grants unusable", problem.kind)) {
            error!(
                instance = %instance.wanted,
                error.kind = problem.kind,
                error = %problem.text,
                serving = after.access.is_some() && too_old.is_none(),
                policy_age_s = after.policy_age(now).map(|age| age.as_secs()),
                suppressed,
                "grants cannot be followed: what the CA takes away goes on working here until they can, \
                or until --policy-max-age"
            );
        }
    } else if news && enrolment.lines.due(("grants", problem.kind)).is_some() {
        warn!(
            instance = %instance.wanted,
            error.kind = problem.kind,
            error = %problem.text,
            serving = after.access.is_some(),
            "grants cannot be fetched, trying on"
        );
    }
}
