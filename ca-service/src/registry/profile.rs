//! The CA's own profile: its id, project, region and endpoint.

use serde_json::json;

use super::Registry;
use crate::audit::{self, Entry};
use crate::error::Result;

/// What the CA is called and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    /// Random; tokens are bound to it.
    pub(crate) ca_id: String,
    /// Completes short names.
    pub(crate) project: String,
    /// Completes short names.
    pub(crate) region: String,
    /// Base URL without a trailing slash.
    pub(crate) endpoint: String,
}

impl Profile {
    /// Where assertions are exchanged for tokens: the one audience that is accepted.
    pub(crate) fn token_url(&self) -> String {
        format!("{}/token", self.endpoint)
    }
}

impl Registry {
    /// Reads the profile.
    pub(crate) async fn profile(&self) -> Result<Profile> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT name, value FROM meta")
            .fetch_all(self.store.read())
            .await?;
        let value = |wanted: &str| {
            let found = rows.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        Ok(Profile {
            ca_id: value("ca_id"),
            project: value("project"),
            region: value("region"),
            endpoint: value("endpoint"),
        })
    }

    /// Writes the profile, at `init` and when its endpoint moves.
    pub(crate) async fn set_profile(&self, profile: &Profile) -> Result<()> {
        let old = self.profile().await?;
        let mut write = self.store.write().await?;
        let rows = [
            ("ca_id", &profile.ca_id),
            ("project", &profile.project),
            ("region", &profile.region),
            ("endpoint", &profile.endpoint),
        ];
        for (name, value) in rows {
            sqlx::query(
                "INSERT INTO meta (name, value) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )
            .bind(name)
            .bind(value)
            .execute(&mut *write)
            .await?;
        }
        let entry = Entry {
            at: self.now(),
            actor: &self.actor,
            action: "profile.set",
            outcome: "ok",
            instance: "",
            detail: audit::change(
                "profile",
                json!({ "endpoint": old.endpoint }),
                json!({ "endpoint": profile.endpoint, "project": profile.project, "region": profile.region }),
            ),
        };
        audit::record(&mut write, &entry).await?;
        self.store.commit_change(write).await
    }
}
