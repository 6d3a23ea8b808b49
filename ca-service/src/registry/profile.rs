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

/// The root that vouches for the CA's HTTPS certificate: key files name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HttpsRoot {
    /// The CA's own.
    Own,
    /// Any root of the machine that calls.
    System,
    /// PEM of the operator's own roots.
    Pem(String),
}

impl HttpsRoot {
    const SYSTEM: &str = "system";

    fn stored(&self) -> &str {
        match self {
            Self::Own => "",
            Self::System => Self::SYSTEM,
            Self::Pem(pem) => pem,
        }
    }

    /// Name in reports.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::System => Self::SYSTEM,
            Self::Pem(_) => "file",
        }
    }
}

impl Registry {
    /// Reads which root vouches for HTTPS.
    pub(crate) async fn https_root(&self) -> Result<HttpsRoot> {
        let stored: Option<String> =
            sqlx::query_scalar("SELECT value FROM meta WHERE name = 'https_root'")
                .fetch_optional(&self.store.read())
                .await?;
        Ok(match stored.unwrap_or_default() {
            none if none.is_empty() => HttpsRoot::Own,
            system if system == HttpsRoot::SYSTEM => HttpsRoot::System,
            pem => HttpsRoot::Pem(pem),
        })
    }

    /// Sets which root vouches for HTTPS.
    pub(crate) async fn set_https_root(&self, root: &HttpsRoot) -> Result<()> {
        let old = self.https_root().await?;
        let mut write = self.store.write().await?;
        sqlx::query(
            "INSERT INTO meta (name, value) VALUES ('https_root', $1)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(root.stored())
        .execute(&mut *write)
        .await?;
        let entry = Entry {
            at: self.now(),
            actor: &self.actor,
            action: "profile.set",
            outcome: "ok",
            instance: "",
            detail: audit::change(
                "profile",
                json!({ "httpsRoot": old.name() }),
                json!({ "httpsRoot": root.name() }),
            ),
        };
        audit::record(&mut write, &entry).await?;
        self.store.commit_change(write).await
    }

    /// Reads the profile.
    pub(crate) async fn profile(&self) -> Result<Profile> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT name, value FROM meta")
            .fetch_all(&self.store.read())
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
