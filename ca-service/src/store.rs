//! The store: SQLite in the data directory. Queries live with what they are about, in `registry/` and beside.
//!
//! Opened -> (its file is gone or exchanged) -> refusing -> (this CA's store is there, nothing is missing) -> opened.
//! A connection that failed to write is closed, so no failure outlives its cause.

mod files;
mod known;
mod location;
mod opened;
mod write;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use crate::error::{Error, Result};
pub(crate) use files::beside;
use known::Known;
pub(crate) use known::is_complete;
pub(crate) use location::{is_elsewhere, locate};
use opened::Opened;
pub(crate) use write::Write;

/// The store's file within the data directory.
const FILE: &str = "store.db";

/// The store. Writers take turns within a process (one connection) and between processes (SQLite's lock).
pub(crate) struct Store {
    path: PathBuf,
    opened: ArcSwap<Opened>,
    known: Arc<Known>,
    /// Closed: reads from a store that is not there fail.
    nothing: SqlitePool,
}

/// Makes the data directory for this user alone, and refuses one that others may enter.
pub(crate) fn secure_directory(data: &Path, create: bool) -> Result<()> {
    if create {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data);
        made.map_err(Error::file("create", data))?;
    }
    let about = fs::metadata(data).map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            let hint = format!(
                "there is no data directory; run: cloudsql-ca init --data {}",
                data.display()
            );
            return Error::Settings(vec![hint]);
        }
        Error::file("read", data)(source)
    })?;
    if about.mode() & 0o077 != 0 {
        return Err(Error::Exposed {
            path: data.to_owned(),
            problem: format!("open to others (mode {:o})", about.mode() & 0o7777),
            remedy: format!("run: chmod 700 {}", data.display()),
        });
    }
    Ok(())
}

/// Where the store's file is.
pub(crate) fn file(data: &Path) -> PathBuf {
    data.join(FILE)
}

impl Store {
    /// Makes the store's file and its tables.
    pub(crate) async fn create(path: &Path) -> Result<Self> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(Error::file("create", path))?;
        Self::open(path).await
    }

    /// Opens the store and brings its tables up to date.
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let (opened, known) = (Opened::open(path).await?, Known::default());
        known.learn(&mut *opened.reader.acquire().await?).await?;
        let nothing = SqlitePool::connect_lazy_with(SqliteConnectOptions::new());
        nothing.close().await;
        Ok(Self {
            path: path.to_owned(),
            opened: ArcSwap::from_pointee(opened),
            known: Arc::new(known),
            nothing,
        })
    }

    /// Opens a store that `init` has completed.
    pub(crate) async fn open_complete(path: &Path) -> Result<Self> {
        let store = Self::open(path).await?;
        if store.known.has_owner() {
            return Ok(store);
        }
        store.close().await;
        Err(Error::Settings(vec![format!(
            "{} is incomplete: `cloudsql-ca init` was interrupted; run it again",
            path.display()
        )]))
    }

    /// For reading.
    pub(crate) fn read(&self) -> SqlitePool {
        let opened = self.opened.load();
        match opened.files.check_store() {
            Ok(()) => opened.reader.clone(),
            Err(_) => self.nothing.clone(),
        }
    }

    /// For writing. Takes the write lock at once, so that what is read in it stays true until it is committed.
    pub(crate) async fn write(&self) -> Result<Write> {
        Write::begin(self.opened.load_full(), Arc::clone(&self.known)).await
    }

    /// Commits an administrative change, which raises the revision.
    pub(crate) async fn commit_change(&self, mut change: Write) -> Result<()> {
        sqlx::query("UPDATE revision SET value = value + 1 WHERE id = 1")
            .execute(&mut *change)
            .await?;
        change.commit().await
    }

    /// The revision: how many administrative changes there have been.
    pub(crate) async fn revision(&self) -> Result<u64> {
        let value: i64 = sqlx::query_scalar("SELECT value FROM revision WHERE id = 1")
            .fetch_one(&self.read())
            .await?;
        self.known.has_revision(value);
        Ok(u64::try_from(value).unwrap_or(0))
    }

    /// Opens the files at the store's path if they are others than those that are open, and this CA's store.
    pub(crate) async fn restore(&self) -> Result<()> {
        let opened = self.opened.load_full();
        if opened.files.check().is_ok() && !opened.writer.is_closed() {
            return Ok(());
        }
        // First, so that a log which was deleted is not lost: its last connection writes it into the store.
        opened.close().await;
        self.known.recognise(&self.path).await?;
        let opened = Opened::open(&self.path).await?;
        self.opened.store(Arc::new(opened));
        tracing::warn!(store = %self.path.display(), "the store was opened again");
        Ok(())
    }

    /// Closes the files in order.
    pub(crate) async fn close(&self) {
        self.opened.load().close().await;
    }
}

/// All migrations, by number. One that was released is never edited: its checksum is in every store.
const MIGRATIONS: [(i64, &str, &str); 3] = [
    (
        1,
        "first",
        include_str!("../migrations/sqlite/0001_first.sql"),
    ),
    (
        2,
        "instance names",
        include_str!("../migrations/sqlite/0002_instance_names.sql"),
    ),
    (
        3,
        "retention",
        include_str!("../migrations/sqlite/0003_retention.sql"),
    ),
];

fn migrations() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|&(number, name, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(number, name.into(), kind, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Whether a write failed because the row exists.
pub(crate) fn is_duplicate(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// A random name for a row: 128 bits, hexadecimal.
pub(crate) fn random_id() -> Result<String> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Crypto("no random numbers"))?;
    Ok(hex(&bytes))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string does not fail.
            let written = write!(text, "{byte:02x}");
            debug_assert!(written.is_ok());
            text
        })
}

/// SHA-256, hexadecimal: how the store recognises a public key.
pub(crate) fn thumbprint(spki: &[u8]) -> String {
    hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, spki).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_stores_files_are_for_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        secure_directory(&data, true).unwrap();
        let store = Store::create(&file(&data)).await.unwrap();
        assert_eq!(store.revision().await.unwrap(), 1);
        assert_eq!(fs::metadata(&data).unwrap().mode() & 0o777, 0o700);
        let mut seen = 0;
        for entry in fs::read_dir(&data).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{entry:?}");
            seen += 1;
        }
        assert!(seen >= 2, "the store and its write-ahead log");
    }

    #[tokio::test]
    async fn a_directory_open_to_others_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let error = secure_directory(dir.path(), false).unwrap_err();
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }

    #[tokio::test]
    async fn a_store_of_the_first_version_keeps_its_instances() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path());
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true);
        let old = SqlitePool::connect_with(options).await.unwrap();
        let mut first = migrations();
        first.migrations.to_mut().truncate(1);
        first.run(&old).await.unwrap();
        sqlx::query(
            "INSERT INTO instances (id, project, region, name, address, database_version, created_at)
             VALUES ('1', 'demo', 'eu', 'db1', '192.0.2.1', 'MYSQL_8_4', 0)",
        )
        .execute(&old)
        .await
        .unwrap();
        old.close().await;
        let store = Store::open(&path).await.unwrap();
        let names: String = sqlx::query_scalar("SELECT names FROM instances WHERE id = '1'")
            .fetch_one(&store.read())
            .await
            .unwrap();
        assert_eq!(names, "[]");
    }

    #[tokio::test]
    async fn a_store_of_a_newer_program_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path());
        let store = Store::create(&path).await.unwrap();
        let mut write = store.write().await.unwrap();
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'from the future', 1, x'00', 0)",
        )
        .execute(&mut *write)
        .await
        .unwrap();
        write.commit().await.unwrap();
        store.close().await;
        let error = Store::open(&path).await.err().unwrap();
        assert!(error.to_string().contains("newer"), "{error}");
    }

    #[tokio::test]
    async fn full_synchronous_and_write_ahead_logging_are_on() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&file(dir.path())).await.unwrap();
        let mut write = store.write().await.unwrap();
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut *write)
            .await
            .unwrap();
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&mut *write)
            .await
            .unwrap();
        assert_eq!((mode.as_str(), synchronous), ("wal", 2));
    }
}
