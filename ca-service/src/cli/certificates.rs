//! `certificates list`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sqlx::FromRow;

use super::{Place, output};
use crate::clock::{Seconds, rfc3339};
use crate::error::Result;

/// Certificates that were issued.
#[derive(Subcommand)]
pub(super) enum Certificates {
    /// List certificates, newest first
    List(List),
}

/// Which certificates.
#[derive(Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
    /// Of this instance only
    #[arg(long, env = "CSQL_CA_INSTANCE")]
    instance: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 1000)]
    limit: u32,
}

#[derive(FromRow)]
struct Row {
    serial: String,
    purpose: String,
    instance: String,
    service_account: String,
    spki_sha256: String,
    not_before: Seconds,
    not_after: Seconds,
    issued_at: Seconds,
    state: String,
}

impl Certificates {
    pub(super) async fn run(&self) -> Result<()> {
        let Self::List(list) = self;
        let registry = list.place.registry().await?;
        let instance = match &list.instance {
            Some(name) => registry.full_name(name).await?.to_string(),
            None => String::new(),
        };
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT serial, purpose, instance, service_account, spki_sha256, not_before, not_after,
                    issued_at, state
             FROM certificates WHERE $1 = '' OR instance = $1 ORDER BY issued_at DESC, serial LIMIT $2",
        )
        .bind(instance)
        .bind(i64::from(list.limit))
        .fetch_all(&registry.store().read())
        .await?;
        let rows: Vec<Value> = rows.iter().map(shown).collect();
        let columns = [
            "serial",
            "purpose",
            "instance",
            "serviceAccount",
            "state",
            "notBefore",
            "notAfter",
        ];
        output::list(list.place.format, &columns, &rows)
    }
}

fn shown(row: &Row) -> Value {
    json!({
        "serial": row.serial,
        "purpose": row.purpose,
        "instance": row.instance,
        "serviceAccount": row.service_account,
        "keySha256": row.spki_sha256,
        "notBefore": rfc3339(row.not_before),
        "notAfter": rfc3339(row.not_after),
        "issuedAt": rfc3339(row.issued_at),
        "state": row.state,
    })
}
