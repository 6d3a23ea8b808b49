//! Transactions that write. A connection is used again only after its transaction has ended well.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteConnection;

use super::known::Known;
use super::opened::Opened;
use crate::error::Result;

/// A transaction that writes.
///
/// Dropped without an end, it closes its connection, which undoes it: after an error SQLite may have rolled back by
/// itself or not, and a future that was cut may have left a statement behind. A new connection begins afresh.
pub(crate) struct Write {
    connection: PoolConnection<Sqlite>,
    opened: Arc<Opened>,
    known: Arc<Known>,
    /// The last entry of the audit that it makes.
    entry: i64,
    ended: bool,
}

impl Write {
    /// Takes the write lock at once, so that what is read in it stays true until it is committed.
    pub(super) async fn begin(opened: Arc<Opened>, known: Arc<Known>) -> Result<Self> {
        let connection = opened.writer.acquire().await?;
        let mut write = Self {
            connection,
            opened,
            known,
            entry: 0,
            ended: false,
        };
        // After the connection is there, which may have been opened just now.
        if let Err(lost) = write.opened.files.check() {
            write.ended = true;
            return Err(lost);
        }
        write.run("BEGIN IMMEDIATE").await?;
        Ok(write)
    }

    /// Makes it last. When this succeeds, the record is in the file that is at the store's path.
    pub(crate) async fn commit(mut self) -> Result<()> {
        self.run("COMMIT").await?;
        self.ended = true;
        self.opened.files.check()?;
        self.known.has_entry(self.entry);
        Ok(())
    }

    /// Undoes it, and keeps the connection.
    pub(crate) async fn rollback(mut self) -> Result<()> {
        self.run("ROLLBACK").await?;
        self.ended = true;
        Ok(())
    }

    /// An entry of the audit is part of it.
    pub(crate) fn has_entry(&mut self, id: i64) {
        self.entry = id;
    }

    async fn run(&mut self, statement: &'static str) -> Result<()> {
        sqlx::query(statement)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }
}

impl Deref for Write {
    type Target = SqliteConnection;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Store, file};

    const FILL: &str =
        "INSERT INTO meta (name, value) VALUES ('filler', hex(zeroblob(4 * 1024 * 1024)))";

    async fn count(store: &Store) -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM meta")
            .fetch_one(&store.read())
            .await
            .unwrap()
    }

    /// Fails a transaction in some way.
    async fn fail(store: &Store, how: usize) {
        let mut write = store.write().await.unwrap();
        let statements: &[&str] = match how {
            // SQLite rolls back by itself, and there is nothing left to roll back.
            0 => &["PRAGMA max_page_count = 64", FILL],
            1 => &["nonsense"],
            2 => &["INSERT INTO grants VALUES ('no', 'no', 'client', '', '', 0)"],
            // Ended behind the back of whoever began it.
            3 => &["ROLLBACK", "COMMIT"],
            _ => &["INSERT INTO meta (name, value) VALUES ('half', '')"],
        };
        for statement in statements {
            let ran = sqlx::raw_sql(*statement).execute(&mut *write).await;
            drop(ran);
        }
        if how == 0 {
            let ended = write.commit().await;
            assert!(ended.is_err(), "the store was not full");
        }
    }

    #[tokio::test]
    async fn a_write_that_failed_in_whatever_way_leaves_the_next_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&file(dir.path())).await.unwrap();
        let before = count(&store).await;
        for how in 0..5 {
            fail(&store, how).await;
            let mut write = store.write().await.unwrap();
            sqlx::query("UPDATE revision SET value = value + 1")
                .execute(&mut *write)
                .await
                .unwrap();
            write.commit().await.unwrap();
            assert_eq!(count(&store).await, before, "way {how}");
        }
        assert_eq!(store.revision().await.unwrap(), 6);
    }

    #[tokio::test]
    async fn writes_that_are_cut_anywhere_leave_the_next_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&file(dir.path())).await.unwrap();
        for polls in 0..40 {
            let work = async {
                let mut write = store.write().await.unwrap();
                sqlx::query("UPDATE revision SET value = value + 1")
                    .execute(&mut *write)
                    .await
                    .unwrap();
                write.commit().await.unwrap();
            };
            let mut work = Box::pin(work);
            for _ in 0..polls {
                tokio::select! {
                    biased;
                    () = &mut work => break,
                    () = tokio::task::yield_now() => {}
                }
            }
            drop(work);
            store.write().await.unwrap().rollback().await.unwrap();
        }
    }
}
