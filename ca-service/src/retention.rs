//! Retention: certificates and entries of the audit are deleted a while after they have ended, in small steps.
//!
//! Entries of the audit are written to files before they are deleted. A crash in between writes some of them twice;
//! their `id` shows which.

mod export;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use daemon::settings::Span;
use serde::Deserialize;
use serde_json::json;
use tracing::{error, info};

use crate::audit::{self, Entry};
use crate::clock::{Seconds, rfc3339};
use crate::error::{Error, Result};
use crate::http::App;
use export::Exported;

/// Time between two runs.
const EVERY: Duration = Duration::from_secs(60);
/// Rows in one transaction, and the pause after it, in which others write.
const STEP: i64 = 500;
const PAUSE: Duration = Duration::from_millis(20);
const DAY: Seconds = 86_400;

/// How long rows are kept; `None` keeps them for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Retention {
    /// Certificates, after their end.
    pub(crate) certificates: Option<Seconds>,
    /// Entries of the audit.
    pub(crate) audit: Option<Seconds>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            certificates: Some(90 * DAY),
            audit: Some(400 * DAY),
        }
    }
}

impl FromStr for Retention {
    type Err = String;

    /// Reads `certificates=90d,audit=400d`; what is not named keeps its default.
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut retention, mut seen) = (Self::default(), Vec::new());
        for part in text.split(',') {
            let shape = || {
                format!("expected certificates=90d,audit=400d (0 keeps for ever), found {part:?}")
            };
            let (name, value) = part.split_once('=').ok_or_else(shape)?;
            let name = name.trim();
            let span: Span = value.trim().parse().map_err(|_| shape())?;
            let seconds = i64::try_from(span.0.as_secs()).map_err(|_| shape())?;
            if seconds == 0 && !span.0.is_zero() {
                return Err(format!("{part}: one second is the shortest"));
            }
            let kept = (seconds > 0).then_some(seconds);
            match name {
                "certificates" => retention.certificates = kept,
                "audit" => retention.audit = kept,
                _ => return Err(shape()),
            }
            if seen.contains(&name) {
                return Err(format!("{name} is there twice"));
            }
            seen.push(name);
        }
        Ok(retention)
    }
}

impl TryFrom<String> for Retention {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Deletes what is old again and again, until the service stops.
pub(crate) async fn keep(app: Arc<App>, retention: Retention, folder: PathBuf) {
    let mut failing = false;
    loop {
        match retain(&app, retention, folder.clone()).await {
            Ok(()) => failing = false,
            // Once, however long it lasts.
            Err(error) if !failing => {
                failing = true;
                error!(error = error.chain(), "old rows of the store stay");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Deletes what is old now.
pub(crate) async fn retain(app: &App, retention: Retention, folder: PathBuf) -> Result<()> {
    let now = app.registry.now();
    if let Some(kept) = retention.certificates {
        let before = now.saturating_sub(kept);
        let deleted = delete_certificates(app, before).await?;
        report(app, "certificates", before, deleted, None).await?;
    }
    if let Some(kept) = retention.audit {
        let before = now.saturating_sub(kept);
        let exporter = Arc::new(folder);
        let (deleted, files) = delete_entries(app, before, &exporter).await?;
        report(app, "audit", before, deleted, Some(files)).await?;
    }
    Ok(())
}

async fn delete_certificates(app: &App, before: Seconds) -> Result<u64> {
    let mut deleted = 0;
    while !app.stopping.is_cancelled() {
        let mut write = app.registry.store().write().await?;
        let step = sqlx::query(
            "DELETE FROM certificates WHERE rowid IN (SELECT rowid FROM certificates
             WHERE not_after < $1 AND state <> 'started' ORDER BY not_after LIMIT $2)",
        )
        .bind(before)
        .bind(STEP)
        .execute(&mut *write)
        .await?
        .rows_affected();
        write.commit().await?;
        deleted += step;
        if step == 0 {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(deleted)
}

/// Entries are in the order of their ids, but for clocks that were set; the newest stays, so that no id comes again.
async fn delete_entries(
    app: &App,
    before: Seconds,
    folder: &Arc<PathBuf>,
) -> Result<(u64, Vec<String>)> {
    let (mut deleted, mut files) = (0, Vec::new());
    while !app.stopping.is_cancelled() {
        let rows: Vec<Exported> = sqlx::query_as(
            "SELECT id, at, actor, action, outcome, instance, detail FROM
             (SELECT * FROM audit WHERE id < (SELECT MAX(id) FROM audit) ORDER BY id LIMIT $1)
             WHERE at < $2 ORDER BY id",
        )
        .bind(STEP)
        .bind(before)
        .fetch_all(&app.registry.store().read())
        .await?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            break;
        };
        let ids = (first.id, last.id);
        let into = Arc::clone(folder);
        let written = tokio::task::spawn_blocking(move || export::append(&into, &rows));
        let written = written
            .await
            .map_err(|_| Error::Crypto("the audit could not be exported"))??;
        for name in written {
            if !files.contains(&name) {
                files.push(name);
            }
        }
        let mut write = app.registry.store().write().await?;
        let step = sqlx::query("DELETE FROM audit WHERE id BETWEEN $1 AND $2 AND at < $3")
            .bind(ids.0)
            .bind(ids.1)
            .bind(before)
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        deleted += step.rows_affected();
        tokio::time::sleep(PAUSE).await;
    }
    Ok((deleted, files))
}

/// Enters a deletion in the audit.
async fn report(
    app: &App,
    table: &'static str,
    before: Seconds,
    deleted: u64,
    files: Option<Vec<String>>,
) -> Result<()> {
    if deleted == 0 {
        return Ok(());
    }
    app.metrics.deleted(table, deleted);
    info!(table, deleted, "old rows were deleted");
    let mut write = app.registry.store().write().await?;
    let entry = Entry {
        at: app.registry.now(),
        actor: "cloudsql-ca",
        action: "retention.delete",
        outcome: "ok",
        instance: "",
        detail: json!({ "table": table, "before": rfc3339(before), "rows": deleted, "files": files }),
    };
    audit::record(&mut write, &entry).await?;
    write.commit().await
}

#[cfg(test)]
mod tests;
