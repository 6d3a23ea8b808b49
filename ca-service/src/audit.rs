//! The audit: every decision and every administrative change, in the store and as a log line.
//!
//! An entry is part of the transaction that it tells of, so what cannot be written down does not happen.

use serde_json::{Value, json};

use crate::clock::Seconds;
use crate::error::Result;
use crate::store::Write;

/// The outcome of what has begun and not ended.
pub(crate) const STARTED: &str = "started";

/// One entry. Never holds a token, a key or a password.
pub(crate) struct Entry<'a> {
    /// When.
    pub(crate) at: Seconds,
    /// Who: an account's name, or `admin:uid=1000` for the command line.
    pub(crate) actor: &'a str,
    /// What: `instance.create`, `certificate.issue`, ...
    pub(crate) action: &'static str,
    /// `ok`, `started`, `failed`.
    pub(crate) outcome: &'static str,
    /// The instance's full name, or empty.
    pub(crate) instance: &'a str,
    /// The rest: old and new values, serial numbers, validity.
    pub(crate) detail: Value,
}

/// Writes an entry within a transaction.
pub(crate) async fn record(write: &mut Write, entry: &Entry<'_>) -> Result<()> {
    let inserted = sqlx::query(
        "INSERT INTO audit (at, actor, action, outcome, instance, detail) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(entry.at)
    .bind(entry.actor)
    .bind(entry.action)
    .bind(entry.outcome)
    .bind(entry.instance)
    .bind(entry.detail.to_string())
    .execute(&mut **write)
    .await?;
    write.has_entry(inserted.last_insert_rowid());
    // What has only begun is for the store; the log has one line per decision.
    if entry.outcome != STARTED {
        tracing::info!(
            target: "audit",
            actor = entry.actor,
            action = entry.action,
            outcome = entry.outcome,
            instance = entry.instance,
            detail = %entry.detail,
            "audit"
        );
    }
    Ok(())
}

/// Tries to write an entry, and takes it back: for the measurement of readiness.
pub(crate) async fn probe(write: &mut Write) -> Result<()> {
    for statement in [
        "SAVEPOINT probe",
        "INSERT INTO audit (at, actor, action, outcome, instance, detail) VALUES (0, '', '', '', '', '')",
        "ROLLBACK TO probe",
        "RELEASE probe",
    ] {
        sqlx::query(statement).execute(&mut **write).await?;
    }
    Ok(())
}

/// Who an administrative command is run by.
pub(crate) fn local_admin() -> String {
    format!("admin:uid={}", rustix::process::getuid().as_raw())
}

/// A change from one value to another, as `detail` of an entry.
pub(crate) fn change(subject: &str, old: Value, new: Value) -> Value {
    json!({ "subject": subject, "old": old, "new": new })
}
