//! `keys create | list | delete`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use daemon::settings::Span;
use serde_json::{Value, json};

use super::key_file::Reserved;
use super::{Place, output};
use crate::clock::{Seconds, rfc3339};
use crate::error::Result;
use crate::registry::AccountKey;

/// Keys of a service account: several at a time, so that one can be changed without a pause.
#[derive(Subcommand)]
pub(super) enum Keys {
    /// Make another key
    Create(Create),
    /// List the keys of a service account
    List(Owner),
    /// Delete a key; assertions signed with it are refused from then on
    Delete(Delete),
}

/// Whose keys.
#[derive(Args)]
pub(super) struct Owner {
    #[command(flatten)]
    place: Place,
    /// The service account: short, or its full e-mail
    #[arg(long, env = "CSQL_CA_SERVICE_ACCOUNT")]
    service_account: String,
}

/// A new key.
#[derive(Args)]
pub(super) struct Create {
    #[command(flatten)]
    owner: Owner,
    /// Where to write it (a new file, readable by you alone)
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// How long it counts, such as 90d [default: until it is deleted]
    #[arg(long, env = "CSQL_CA_LIFETIME", value_name = "DURATION")]
    lifetime: Option<Span>,
}

/// A key.
#[derive(Args)]
pub(super) struct Delete {
    /// Its id: the key file's private_key_id
    kid: String,
    #[command(flatten)]
    owner: Owner,
}

impl Keys {
    pub(super) async fn run(&self) -> Result<()> {
        match self {
            Self::Create(Create {
                owner,
                key_file,
                lifetime,
            }) => {
                let registry = owner.place.registry().await?;
                let account = registry.named_account(&owner.service_account).await?;
                let expires_at =
                    lifetime.map(|lifetime| registry.now().saturating_add(seconds(lifetime)));
                let key_file_made = Reserved::new(key_file)?;
                let kid = key_file_made.fill(&registry, &account, expires_at).await?;
                let shown = json!({
                    "serviceAccount": account.name.as_str(),
                    "kid": kid,
                    "keyFile": key_file.display().to_string(),
                    "expireTime": expires_at.map(rfc3339),
                });
                output::one(owner.place.format, &shown)
            }
            Self::List(owner) => {
                let registry = owner.place.registry().await?;
                let account = registry.named_account(&owner.service_account).await?;
                let (keys, now) = (registry.keys(&account).await?, registry.now());
                let rows: Vec<Value> = keys.iter().map(|key| row(key, now)).collect();
                let columns = ["kid", "algorithm", "state", "createTime", "expireTime"];
                output::list(owner.place.format, &columns, &rows)
            }
            Self::Delete(Delete { kid, owner }) => {
                let registry = owner.place.registry().await?;
                let account = registry.named_account(&owner.service_account).await?;
                registry.delete_key(&account, kid).await?;
                output::one(owner.place.format, &json!({ "deleted": kid }))
            }
        }
    }
}

fn seconds(lifetime: Span) -> Seconds {
    Seconds::try_from(lifetime.0.as_secs()).unwrap_or(Seconds::MAX / 2)
}

fn row(key: &AccountKey, now: Seconds) -> Value {
    let state = match (key.enabled, key.is_usable(now)) {
        (false, _) => "disabled",
        (true, false) => "expired",
        (true, true) => "enabled",
    };
    json!({
        "kid": key.kid,
        "algorithm": key.algorithm.name(),
        "enabled": key.is_usable(now),
        "state": state,
        "createTime": rfc3339(key.created_at),
        "expireTime": key.expires_at.map(rfc3339),
    })
}
