//! Identity of the store's files: SQLite goes on writing to files that have been deleted or exchanged.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Device and inode of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id(u64, u64);

/// Files that a store was opened with.
///
/// While a connection has a file open, no other file can take its inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    path: PathBuf,
    store: Id,
    log: Id,
    index: Id,
}

impl Files {
    /// Identifies the files that are at `path` now. The log and its index exist while a connection is open.
    pub(super) fn at(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            store: id(path, "is gone")?,
            log: id(&beside(path, "-wal"), "is gone")?,
            index: id(&beside(path, "-shm"), "is gone")?,
        })
    }

    /// Fails unless the store is where it was, and the file that it was.
    pub(super) fn check_store(&self) -> Result<()> {
        check(&self.path, self.store)
    }

    /// Fails unless the store and its log are the files that they were.
    pub(super) fn check(&self) -> Result<()> {
        self.check_store()?;
        check(&beside(&self.path, "-wal"), self.log)?;
        check(&beside(&self.path, "-shm"), self.index)
    }
}

fn check(path: &Path, known: Id) -> Result<()> {
    if id(path, "is gone")? == known {
        return Ok(());
    }
    Err(fault(path, "was replaced by another file"))
}

fn id(path: &Path, gone: &'static str) -> Result<Id> {
    match fs::metadata(path) {
        Ok(about) => Ok(of(&about)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(fault(path, gone)),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

fn of(about: &Metadata) -> Id {
    Id(about.dev(), about.ino())
}

pub(super) fn fault(path: &Path, problem: &'static str) -> Error {
    Error::StoreFile {
        path: path.to_owned(),
        problem,
    }
}

/// A file that SQLite keeps beside the store.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
