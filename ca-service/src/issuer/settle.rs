//! Certificates whose making was cut short: each gets an outcome, once.

use serde_json::json;

use super::Issuer;
use crate::audit::{self, Entry};
use crate::clock::Seconds;
use crate::error::Result;

/// Most of them in one transaction.
const STEP: i64 = 500;

/// A row of a certificate whose making was cut short: authority, serial number, purpose, instance, account.
type Row = (String, String, String, String, String);

impl Issuer {
    /// Records the outcome `abandoned` of what was started before that time; returns serial numbers and instances.
    ///
    /// Nothing is handed out before its outcome is recorded. Should another process be at work on one of them still,
    /// it records its own outcome later.
    pub(crate) async fn settle(&self, before: Seconds) -> Result<Vec<(String, String)>> {
        let mut settled = Vec::new();
        loop {
            let found = self.started(before).await?;
            if found.is_empty() {
                return Ok(settled);
            }
            let mut write = self.store.write().await?;
            for (authority, serial, purpose, instance, account) in &found {
                let changed = sqlx::query(
                    "UPDATE certificates SET state = 'failed'
                     WHERE authority_id = $1 AND serial = $2 AND state = 'started'",
                )
                .bind(authority)
                .bind(serial)
                .execute(&mut *write)
                .await?;
                if changed.rows_affected() == 0 {
                    continue;
                }
                let entry = Entry {
                    at: self.clock.now(),
                    actor: account,
                    action: "certificate.issue",
                    outcome: "abandoned",
                    instance,
                    detail: json!({ "purpose": purpose, "serial": serial }),
                };
                audit::record(&mut write, &entry).await?;
                settled.push((serial.clone(), instance.clone()));
            }
            write.commit().await?;
        }
    }

    async fn started(&self, before: Seconds) -> Result<Vec<Row>> {
        let rows = sqlx::query_as(
            "SELECT authority_id, serial, purpose, instance, service_account FROM certificates
             WHERE state = 'started' AND issued_at < $1 LIMIT $2",
        )
        .bind(before)
        .bind(STEP)
        .fetch_all(&self.store.read())
        .await?;
        Ok(rows)
    }
}
