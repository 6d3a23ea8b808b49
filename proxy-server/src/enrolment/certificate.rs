//! Keeping the agent's certificate: fetched at start, renewed in the third quarter of its life, or by use.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proto::schedule;
use tokio::time::Instant;
use tracing::{info, warn};
use transport::tls::{Material, MaterialError};

use super::{Ca, Enrolment, SPACING, due_or_used, random};
use crate::material::Problem;

/// Renews for ever.
pub(super) async fn keep(enrolment: &Enrolment) {
    let mut failures: u32 = 0;
    // Drawn once a certificate, so that waking up early does not draw until a small number comes.
    let mut spread = random();
    let mut last = Instant::now();
    // The revision for whose names a certificate was asked for: a CA that does not give them is not asked twice.
    let mut named = None;
    loop {
        let now = enrolment.ca.authority.now();
        let left = due_in(enrolment, now, spread);
        let misnamed = enrolment.instance.snapshot().misnamed_since();
        if failures > 0 || left.is_zero() || is_asked_for_names(misnamed, named) {
            named = misnamed.or(named);
            last = Instant::now();
            match renew(enrolment, now).await {
                Ok(material) => {
                    failures = 0;
                    spread = random();
                    put(enrolment, material, now);
                }
                Err(problem) => {
                    failures = failures.saturating_add(1);
                    tell(enrolment, problem, now);
                }
            }
            enrolment
                .instance
                .attempts
                .send_modify(|attempts| *attempts = attempts.wrapping_add(1));
        }
        let wait = if failures > 0 {
            schedule::backoff(failures, random())
        } else {
            // However short its life: one that is due as soon as it is here must not make the loop spin.
            due_in(enrolment, enrolment.ca.authority.now(), spread).max(SPACING)
        };
        due_or_used(&enrolment.instance.used, Instant::now() + wait, last).await;
    }
}

/// Whether names alone are reason enough: once a revision, or the CA's every word would be.
fn is_asked_for_names(misnamed: Option<u64>, named: Option<u64>) -> bool {
    misnamed.is_some() && misnamed != named
}

/// How long the certificate can stay; zero when there is none that holds.
fn due_in(enrolment: &Enrolment, now: SystemTime, spread: f64) -> Duration {
    let snapshot = enrolment.instance.snapshot();
    let Some(material) = snapshot
        .material
        .as_ref()
        .filter(|material| material.is_valid_at(now))
    else {
        return Duration::ZERO;
    };
    let since = |later: SystemTime| later.duration_since(material.not_before());
    match (since(material.not_after()), since(now)) {
        (Ok(life), Ok(elapsed)) => schedule::renew_in(life, elapsed, spread),
        _ => Duration::ZERO,
    }
}

/// Asks for a certificate and looks whether it can be used.
async fn renew(enrolment: &Enrolment, now: SystemTime) -> Result<Material, Problem> {
    let ours = |error: MaterialError| Problem {
        kind: "material",
        text: error.to_string(),
        is_unusable: true,
    };
    let (project, label) = (enrolment.project(), enrolment.instance.wanted.label());
    let Ca { authority, key, .. } = &enrolment.ca;
    let pem = authority
        .generate_server_cert(project, label, key)
        .await
        .map_err(|error| enrolment.problem(&error))?;
    let material = Material::new(&pem, key).map_err(ours)?;
    if !material.is_valid_at(now) {
        return Err(Problem {
            kind: "clock-skew",
            text: "the CA's certificate does not hold now; check this machine's clock".to_owned(),
            is_unusable: true,
        });
    }
    Ok(material)
}

fn put(enrolment: &Enrolment, material: Material, now: SystemTime) {
    let instance = &enrolment.instance;
    let material = Arc::new(material);
    instance.change(|snapshot| {
        snapshot.material = Some(Arc::clone(&material));
        snapshot.material_problem = None;
    });
    let lasts = instance.snapshot().lasts(now).unwrap_or_default();
    enrolment
        .metrics
        .certificate(&instance.wanted, material.not_after());
    info!(
        instance = %instance.wanted,
        serial = material.serial_hex(),
        lasts_s = lasts.as_secs(),
        "certificate received"
    );
}

/// Keeps the certificate, and says once how long the agent can go on with it.
fn tell(enrolment: &Enrolment, failure: Problem, now: SystemTime) {
    let instance = &enrolment.instance;
    enrolment.metrics.enrolment_failure(failure.kind);
    let before = instance.snapshot();
    let lasts = before.lasts(now);
    let known = before.material_problem.as_ref();
    // When grants cannot be had for the same reason, that has been said.
    let told = [known, before.access_problem.as_ref()];
    let news = !told
        .into_iter()
        .flatten()
        .any(|told| told.kind == failure.kind);
    let problem = Arc::new(failure);
    instance.change(|snapshot| snapshot.material_problem = Some(Arc::clone(&problem)));
    if news && enrolment.lines.due(("certificate", problem.kind)).is_some() {
        warn!(
            instance = %instance.wanted,
            error.kind = problem.kind,
            error = %problem.text,
            serving_for_s = lasts.map_or(0, |lasts| lasts.as_secs()),
            "certificate cannot be renewed, trying on"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_reason_for_a_certificate_once_a_revision() {
        for (misnamed, named, expected) in [
            (None, None, false),
            (None, Some(5), false),
            (Some(5), None, true),
            (Some(5), Some(5), false),
            (Some(6), Some(5), true),
            // A CA whose store was restored counts from an earlier number.
            (Some(4), Some(5), true),
        ] {
            assert_eq!(
                is_asked_for_names(misnamed, named),
                expected,
                "{misnamed:?} {named:?}"
            );
        }
    }
}
