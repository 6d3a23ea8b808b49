//! What probes are told: whether the agent can serve, and for each instance why not, or for how long.

use std::sync::Arc;
use std::time::Duration;

use daemon::health::{Probes, Verdict};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::material::{Instance, Problem, Served};
use crate::metrics::Metrics;

#[derive(Serialize)]
struct Report {
    ready: bool,
    draining: bool,
    instances: Vec<OfInstance>,
}

#[derive(Serialize)]
struct OfInstance {
    instance: String,
    ready: bool,
    /// The CA's revision that admission goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    /// Seconds since the CA last confirmed the grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_age_s: Option<u64>,
    /// For how long the agent can go on without the CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_lasts_s: Option<u64>,
    problems: Vec<Told>,
}

#[derive(Serialize)]
struct Told {
    kind: &'static str,
    text: String,
}

/// Ready means that an instance can be served and that the agent is not stopping. Not every instance: a probe that one
/// misconfigured instance turns red would take the others out of service. The body and the metrics tell each apart.
pub(crate) fn probes(
    served: Arc<Served>,
    metrics: Arc<Metrics>,
    drain: CancellationToken,
) -> Probes {
    let alive = || Verdict {
        healthy: true,
        body: r#"{"alive":true}"#.to_owned(),
    };
    let (started, measured) = (Arc::clone(&served), Arc::clone(&served));
    Probes {
        startup: Arc::new(move || verdict(&report(&started, false))),
        readiness: Arc::new(move || verdict(&report(&served, drain.is_cancelled()))),
        liveness: Arc::new(alive),
        metrics: Some(Arc::new(move || {
            let now = (measured.clock)();
            for instance in &measured.instances {
                metrics.policy_age(&instance.wanted, instance.snapshot().policy_age(now));
            }
            metrics.encode()
        })),
    }
}

/// Whether an instance can be served.
pub(crate) fn has_started(served: &Served) -> bool {
    report(served, false).ready
}

/// The problems of all instances, on one line.
pub(crate) fn problems(served: &Served) -> String {
    let report = report(served, false);
    let of_instance = |one: &OfInstance| {
        let texts: Vec<&str> = one.problems.iter().map(|told| told.text.as_str()).collect();
        let texts = if texts.is_empty() {
            "no certificate yet".to_owned()
        } else {
            texts.join("; ")
        };
        format!("{}: {texts}", one.instance)
    };
    let lines: Vec<String> = report.instances.iter().map(of_instance).collect();
    format!("not ready: {}", lines.join("; "))
}

fn report(served: &Served, draining: bool) -> Report {
    let instances: Vec<_> = served
        .instances
        .iter()
        .map(|instance| of_instance(served, instance))
        .collect();
    Report {
        ready: !draining && instances.iter().any(|instance| instance.ready),
        draining,
        instances,
    }
}

fn of_instance(served: &Served, instance: &Instance) -> OfInstance {
    let now = (served.clock)();
    let snapshot = instance.snapshot();
    let problems = [&snapshot.access_problem, &snapshot.material_problem];
    let problems = problems.into_iter().flatten();
    let too_old = instance.too_old(&snapshot, now).map(too_old);
    let access = snapshot.access.as_ref();
    OfInstance {
        instance: access.map_or_else(
            || instance.wanted.to_string(),
            |access| access.policy.instance.to_string(),
        ),
        ready: instance.is_ready(now),
        revision: access.map(|access| access.policy.revision),
        policy_age_s: snapshot.policy_age(now).map(|age| age.as_secs()),
        certificate_lasts_s: snapshot.lasts(now).map(|lasts| lasts.as_secs()),
        problems: problems
            .map(|problem| told(problem))
            .chain(too_old)
            .collect(),
    }
}

fn too_old(age: Duration) -> Told {
    Told {
        kind: "policy-too-old",
        text: format!(
            "the CA has not confirmed the grants for {} s: new sessions are refused (--policy-max-age)",
            age.as_secs()
        ),
    }
}

fn told(problem: &Problem) -> Told {
    Told {
        kind: problem.kind,
        text: problem.text.clone(),
    }
}

fn verdict(report: &Report) -> Verdict {
    Verdict {
        healthy: report.ready,
        body: serde_json::to_string(report).unwrap_or_default(),
    }
}
