//! Recognition of a store: another CA's, an emptied or an older one is never taken for the one that was lost.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::files::fault;
use super::opened::BUSY;
use crate::error::{Error, Result};

/// Facts about a store that its successor must share or exceed.
#[derive(Default)]
pub(crate) struct Known {
    /// The CA's own id and those of its own keys; `None` until `init` has written them.
    owner: Mutex<Option<Owner>>,
    revision: AtomicI64,
    entry: AtomicI64,
}

/// The CA's own id and those of its own keys.
type Owner = (String, String);

const STRANGER: &str = "is another CA's, or empty, or damaged";

/// What a store says of itself.
type Facts = (Option<String>, Option<String>, i64, i64);

const FACTS: &str = "SELECT (SELECT value FROM meta WHERE name = 'ca_id'),
    (SELECT group_concat(id) FROM (SELECT id FROM authorities WHERE instance_id IS NULL ORDER BY id)),
    (SELECT value FROM revision WHERE id = 1), (SELECT COALESCE(MAX(id), 0) FROM audit)";

impl Known {
    /// An entry of the audit has been committed.
    pub(super) fn has_entry(&self, id: i64) {
        self.entry.fetch_max(id, Ordering::Relaxed);
    }

    /// A revision has been read or committed.
    pub(super) fn has_revision(&self, revision: i64) {
        self.revision.fetch_max(revision, Ordering::Relaxed);
    }

    /// Whether `init` has completed the store.
    pub(super) fn has_owner(&self) -> bool {
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        owner.is_some()
    }

    /// Takes a store as it is: at the start, when nothing is known yet.
    pub(super) async fn learn(&self, connection: &mut SqliteConnection) -> Result<()> {
        self.remember(read(connection).await?);
        Ok(())
    }

    /// Fails unless the store at `path` is this CA's and holds all that is known; changes nothing in it.
    pub(super) async fn recognise(&self, path: &Path) -> Result<()> {
        if !path.exists() {
            return Err(fault(path, "is gone"));
        }
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY)
            .connect()
            .await
            .map_err(|error| unreadable(path, error))?;
        let facts = read(&mut connection).await;
        if let Err(error) = connection.close().await {
            tracing::debug!(%error, "a store that was looked at did not close well");
        }
        let facts = facts.map_err(|error| unreadable(path, error))?;
        if let Some(owner) = &*self.owner.lock().unwrap_or_else(PoisonError::into_inner) {
            let (id, keys, ..) = &facts;
            if id.as_ref() != Some(&owner.0) || keys.as_ref() != Some(&owner.1) {
                return Err(fault(path, STRANGER));
            }
        }
        let (.., revision, entry) = facts;
        if revision < self.revision.load(Ordering::Relaxed)
            || entry < self.entry.load(Ordering::Relaxed)
        {
            return Err(fault(
                path,
                "is older than what this CA has recorded (a restart takes it all the same)",
            ));
        }
        self.remember(facts);
        Ok(())
    }

    fn remember(&self, (id, keys, revision, entry): Facts) {
        if let (Some(id), Some(keys)) = (id, keys) {
            let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
            *owner = Some((id, keys));
        }
        self.has_revision(revision);
        self.has_entry(entry);
    }
}

/// Whether `init` has completed the store at `path`. A file that holds more than an interruption leaves is an error.
pub(crate) async fn is_complete(path: &Path) -> Result<bool> {
    const USED: &str =
        "SELECT (SELECT COUNT(*) FROM instances) + (SELECT COUNT(*) FROM service_accounts)
        + (SELECT COUNT(*) FROM certificates)";
    const TABLES: &str = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'service_accounts'";
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .connect()
        .await?;
    let tables: i64 = sqlx::query_scalar(TABLES)
        .fetch_one(&mut connection)
        .await?;
    let is_complete = if tables == 0 {
        false
    } else if let (Some(_), Some(_), ..) = read(&mut connection).await? {
        true
    } else {
        let used: i64 = sqlx::query_scalar(USED).fetch_one(&mut connection).await?;
        if used > 0 {
            return Err(fault(path, "was used and has lost its settings"));
        }
        false
    };
    connection.close().await?;
    Ok(is_complete)
}

/// Not a database, or one without our tables; otherwise a failure that may pass.
fn unreadable(path: &Path, error: sqlx::Error) -> Error {
    const GENERIC: &str = "1";
    const NOT_A_DATABASE: &str = "26";
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        Some(GENERIC | NOT_A_DATABASE) => fault(path, STRANGER),
        _ => error.into(),
    }
}

async fn read(connection: &mut SqliteConnection) -> Result<Facts, sqlx::Error> {
    sqlx::query_as(FACTS).fetch_one(connection).await
}
