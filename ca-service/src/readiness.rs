//! Readiness, measured: certificates could be issued at that moment, or why not, and since when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daemon::log::LogThrottle;
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::audit;
use crate::clock::{Seconds, rfc3339};
use crate::error::{Error, Result};
use crate::http::App;
use crate::issuer::Purpose;

/// Time between two measurements.
const EVERY: Duration = Duration::from_secs(2);
/// Time between two measurements that write, while all is well.
const THOROUGH: Duration = Duration::from_secs(10);
/// Longest measurement; a store that takes longer is not ready.
const LONGEST: Duration = Duration::from_secs(3);
/// Oldest measurement that still counts.
const STALE: Duration = Duration::from_secs(8);
/// A clock that has gone back by more than this since the last certificate is not believed.
const MAX_STEP_BACK: Seconds = 300;

/// The latest measurement.
pub(crate) struct Readiness {
    latest: watch::Sender<Measured>,
    suspicion: Notify,
    lines: LogThrottle<&'static str>,
    /// Whether a line says that it is not ready, and none since that it is.
    is_reported: AtomicBool,
}

/// A measurement.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    problem: Option<&'static str>,
    since: Seconds,
    at: Instant,
}

/// The answer to a probe.
pub(crate) struct Report {
    /// Whether certificates can be issued.
    pub(crate) ready: bool,
    /// JSON.
    pub(crate) body: String,
}

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Whether the store can be locked for writing.
    Lock,
    /// Whether it can be written, and every instance's keys can be used.
    Write,
}

impl Readiness {
    /// Nothing is measured yet.
    pub(crate) fn new(now: Seconds) -> Self {
        let (latest, _) = watch::channel(Measured {
            problem: Some("starting"),
            since: now,
            at: Instant::now(),
        });
        Self {
            latest,
            suspicion: Notify::new(),
            lines: LogThrottle::default(),
            is_reported: AtomicBool::new(false),
        }
    }

    /// Has it measured again now: a request has met a failure.
    pub(crate) fn suspect(&self) {
        self.suspicion.notify_one();
    }

    /// The latest measurement, for a probe.
    pub(crate) fn report(&self) -> Report {
        let measured = self.latest.borrow().clone();
        let age = measured.at.elapsed();
        let problem = match measured.problem {
            None if age > STALE => Some("stale"),
            problem => problem,
        };
        let since = rfc3339(measured.since);
        let body = match problem {
            None => json!({ "status": "ok", "since": since, "measuredSecondsAgo": age.as_secs() }),
            // Which instance it is, is in the log.
            Some(reason) => json!({
                "status": "failed", "reason": reason, "since": since, "measuredSecondsAgo": age.as_secs(),
            }),
        };
        Report {
            ready: problem.is_none(),
            body: format!("{body}\n"),
        }
    }

    /// Measures now, thoroughly.
    pub(crate) async fn measure(&self, app: &App) {
        self.measure_to(app, Depth::Write).await;
    }

    /// Measures again and again until the service stops.
    pub(crate) async fn keep(app: Arc<App>) {
        let this = &app.readiness;
        let mut thorough = Instant::now();
        loop {
            let is_well = this.latest.borrow().problem.is_none();
            let depth = if is_well && Instant::now() < thorough {
                Depth::Lock
            } else {
                thorough = Instant::now() + THOROUGH;
                Depth::Write
            };
            this.measure_to(&app, depth).await;
            tokio::select! {
                () = app.stopping.cancelled() => break,
                () = tokio::time::sleep(EVERY) => {}
                () = this.suspicion.notified() => thorough = Instant::now(),
            }
        }
        this.note(Some("stopping"), app.registry.now());
    }

    async fn measure_to(&self, app: &App, depth: Depth) {
        let measured = tokio::time::timeout(LONGEST, measure(app, depth)).await;
        let problem = match measured {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some((error.kind(), error.chain())),
            Err(_) => Some(("slow", "the store did not answer in time".to_owned())),
        };
        self.note(problem.as_ref().map(|(kind, _)| *kind), app.registry.now());
        match problem {
            None => self.say_ready(),
            Some((kind, chain)) => self.say_failed(kind, &chain),
        }
    }

    fn note(&self, problem: Option<&'static str>, now: Seconds) {
        self.latest.send_modify(|latest| {
            if latest.problem != problem {
                latest.since = now;
            }
            latest.problem = problem;
            latest.at = Instant::now();
        });
    }

    fn say_ready(&self) {
        if self.is_reported.swap(false, Ordering::Relaxed) {
            info!("ready again");
        }
    }

    fn say_failed(&self, kind: &'static str, error: &str) {
        if let Some(suppressed) = self.lines.due(kind) {
            self.is_reported.store(true, Ordering::Relaxed);
            warn!(error, suppressed, "not ready");
        }
    }
}

async fn measure(app: &App, depth: Depth) -> Result<()> {
    let store = app.registry.store();
    // Takes the write lock, as every issue does.
    let mut write = store.write().await?;
    if depth == Depth::Lock {
        return write.rollback().await;
    }
    audit::probe(&mut write).await?;
    // The latest by the clock is among the latest that were made.
    let latest: Option<Seconds> = sqlx::query_scalar(
        "SELECT MAX(issued_at) FROM
         (SELECT issued_at FROM certificates ORDER BY rowid DESC LIMIT 1000)",
    )
    .fetch_one(&mut *write)
    .await?;
    let now = app.registry.now();
    // What is only rolled back never reaches a disk that is full.
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ('written_at', $1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(now.to_string())
    .execute(&mut *write)
    .await?;
    write.commit().await?;
    if latest.is_some_and(|latest| now < latest - MAX_STEP_BACK) {
        return Err(Error::Vault(
            "the clock has gone back since the last certificate".to_owned(),
        ));
    }
    for instance in app.registry.instances().await? {
        for purpose in [Purpose::Client, Purpose::Server] {
            app.issuer.authority(&instance, purpose).await?;
        }
    }
    Ok(())
}
