//! Connections to one store file: a writer and some readers, opened and closed together.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::files::Files;
use super::migrations;
use crate::error::{Error, Result};

/// Longest wait for another's transaction. A request may wait twice within its time.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// Longest wait for connections in use when all are closed.
const CLOSING: Duration = Duration::from_secs(2);
const READERS: u32 = 4;

/// Connections to one store file.
pub(super) struct Opened {
    pub(super) writer: SqlitePool,
    pub(super) reader: SqlitePool,
    pub(super) files: Files,
}

impl Opened {
    /// Opens the store and brings its tables up to date.
    pub(super) async fn open(path: &Path) -> Result<Self> {
        if !path.exists() {
            let hint = format!(
                "there is no store at {}; run: cloudsql-ca init",
                path.display()
            );
            return Err(Error::Settings(vec![hint]));
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let writer = pool(1).connect_with(options.clone()).await?;
        migrations().run(&writer).await?;
        // All at once: one that is opened later could meet another file.
        let reader = pool(READERS)
            .min_connections(READERS)
            .connect_with(options.pragma("query_only", "on"))
            .await?;
        let files = Files::at(path)?;
        Ok(Self {
            writer,
            reader,
            files,
        })
    }

    /// Closes all connections; SQLite then moves what its log holds into the store, if that is still in place.
    pub(super) async fn close(&self) {
        let closing = async {
            self.reader.close().await;
            self.writer.close().await;
        };
        if tokio::time::timeout(CLOSING, closing).await.is_err() {
            tracing::debug!("connections to the store are still in use");
        }
    }
}

/// Connections that stay: the log lives as long as one is open, and its identity is watched.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(BUSY)
        .idle_timeout(None)
        .max_lifetime(None)
}
