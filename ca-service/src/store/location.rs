//! The one place of a data directory's store, which every command uses.
//!
//! The store is `store.db` in the data directory. An operator may move it elsewhere and name it with `serve --store`; the
//! place is then written down in the data directory, and whoever names another one is refused.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::file;
use crate::error::{Error, Result};

/// The file in the data directory that has the path of a store elsewhere.
const MARK: &str = "store.path";

/// Returns the store of a data directory, after a check of its modes. `asked` is the place that the operator names.
pub(crate) fn locate(data: &Path, asked: Option<&Path>) -> Result<PathBuf> {
    let remembered = remembered(data)?;
    let own = file(data);
    let known = match (&remembered, own.exists()) {
        (Some(elsewhere), true) => return Err(two_stores(&own, elsewhere)),
        (Some(elsewhere), false) => Some(elsewhere.clone()),
        (None, true) => Some(own.clone()),
        (None, false) => None,
    };
    let path = match (known, asked.map(real)) {
        (Some(known), None) => known,
        (None, None) => return Ok(own),
        (Some(known), Some(asked)) if real(&known) == asked => known,
        (Some(known), Some(asked)) => return Err(two_stores(&known, &asked)),
        (None, Some(asked)) => {
            secure(&asked)?;
            remember(data, &asked)?;
            asked
        }
    };
    // The data directory itself lets nobody else in.
    if path != own {
        secure(&path)?;
    }
    Ok(path)
}

/// Whether the store of a data directory was moved out of it.
pub(crate) fn is_elsewhere(data: &Path) -> Result<bool> {
    Ok(remembered(data)?.is_some())
}

fn two_stores(known: &Path, other: &Path) -> Error {
    Error::Settings(vec![format!(
        "store: this data directory's store is {known}, and {other} is another one; two would have other accounts, \
         grants and records. To move it, stop the CA, move the file with its -wal and -shm, and remove {MARK} and any \
         store.db that is not to be used from the data directory; then name the new place with serve --store",
        known = known.display(),
        other = other.display(),
    )])
}

/// The path without symbolic links: SQLite puts its other files beside the real one.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn remembered(data: &Path) -> Result<Option<PathBuf>> {
    let mark = data.join(MARK);
    match fs::read_to_string(&mark) {
        Ok(text) if !text.trim().is_empty() => Ok(Some(text.trim().into())),
        Ok(_) => Err(Error::Settings(vec![format!(
            "{} is empty; it has the path of the store, or is not there",
            mark.display()
        )])),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("read", &mark)(error)),
    }
}

fn remember(data: &Path, store: &Path) -> Result<()> {
    let mark = data.join(MARK);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&mark)
        .and_then(|mut file| {
            writeln!(file, "{}", store.display())?;
            file.sync_all()
        });
    written.map_err(Error::file("write", &mark))
}

/// Refuses a store that others may read or exchange: its folder, its file, and SQLite's files beside it.
fn secure(path: &Path) -> Result<()> {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Settings(vec![format!(
                "there is no store at {}; mount its folder, or restore the file",
                path.display()
            )]));
        }
        Err(error) => return Err(Error::file("read", path)(error)),
    };
    if !about.is_file() {
        let kind = about.file_type();
        let kind = if kind.is_dir() || kind.is_socket() {
            "no file"
        } else {
            "no plain file"
        };
        return Err(exposed(path, kind, "name the store's file"));
    }
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let in_folder = fs::metadata(folder).map_err(Error::file("read", folder))?;
    closed(folder, &in_folder, "700")?;
    closed(path, &about, "600")?;
    for suffix in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let beside = PathBuf::from(name);
        if let Ok(about) = fs::metadata(&beside) {
            closed(&beside, &about, "600")?;
        }
    }
    Ok(())
}

/// Refuses what others may enter, or what belongs to another user; root may act for any.
fn closed(path: &Path, about: &Metadata, right: &str) -> Result<()> {
    let shown = path.display();
    if about.mode() & 0o077 != 0 {
        let problem = format!("open to others (mode {:o})", about.mode() & 0o7777);
        return Err(exposed(
            path,
            &problem,
            &format!("run: chmod {right} {shown}"),
        ));
    }
    let own = geteuid();
    if own.is_root() || about.uid() == own.as_raw() {
        return Ok(());
    }
    let problem = format!("of user {}, and not of this one", about.uid());
    let remedy = format!("run as that user, or: chown {} {shown}", own.as_raw());
    Err(exposed(path, &problem, &remedy))
}

fn exposed(path: &Path, problem: &str, remedy: &str) -> Error {
    Error::Exposed {
        path: path.to_owned(),
        problem: problem.to_owned(),
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// A data directory and another folder, both closed; a store in the folders that `stores` names.
    fn folders(stores: &[&str]) -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        for name in ["data", "other"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            mode(&dir.path().join(name), 0o700);
        }
        for name in stores {
            let store = dir.path().join(name).join("store.db");
            fs::write(&store, "").unwrap();
            mode(&store, 0o600);
        }
        let root = fs::canonicalize(dir.path()).unwrap();
        (dir, root.join("data"), root.join("other/store.db"))
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_store_elsewhere_is_remembered_and_used_by_who_names_none() {
        let (_dir, data, other) = folders(&["other"]);
        assert!(!is_elsewhere(&data).unwrap());
        assert_eq!(locate(&data, Some(&other)).unwrap(), other);
        assert!(is_elsewhere(&data).unwrap());
        assert_eq!(locate(&data, None).unwrap(), other);
        let link = data.join("link.db");
        symlink(&other, &link).unwrap();
        assert_eq!(locate(&data, Some(&link)).unwrap(), other);
        // The folder is not mounted: nobody may begin an empty one.
        fs::remove_file(&other).unwrap();
        let told = locate(&data, None).unwrap_err().to_string();
        assert!(told.contains("there is no store at"), "{told}");
    }

    #[test]
    fn a_second_store_is_refused_however_it_comes() {
        let (_dir, data, other) = folders(&["data", "other"]);
        let own = file(&data);
        assert_eq!(locate(&data, None).unwrap(), own);
        assert_eq!(locate(&data, Some(&own)).unwrap(), own);
        let told = locate(&data, Some(&other)).unwrap_err().to_string();
        assert!(told.contains("is another one"), "{told}");
        assert!(!data.join(MARK).exists(), "a refusal remembers nothing");
        fs::remove_file(&own).unwrap();
        locate(&data, Some(&other)).unwrap();
        assert!(locate(&data, Some(&own)).is_err());
        fs::write(&own, "").unwrap();
        assert!(locate(&data, None).is_err());
        assert!(locate(&data, Some(&other)).is_err());
    }

    #[test]
    fn a_store_that_others_may_read_or_exchange_is_refused_with_the_remedy() {
        for (open, bits, right) in [
            ("other/store.db", 0o644, "chmod 600"),
            ("other/store.db", 0o660, "chmod 600"),
            ("other/store.db-wal", 0o640, "chmod 600"),
            ("other/store.db-shm", 0o604, "chmod 600"),
            ("other", 0o750, "chmod 700"),
            ("other", 0o777, "chmod 700"),
        ] {
            let (dir, data, other) = folders(&["other"]);
            let open = dir.path().join(open);
            if !open.exists() {
                fs::write(&open, "").unwrap();
            }
            mode(&open, bits);
            let told = locate(&data, Some(&other)).unwrap_err().to_string();
            assert!(told.contains(right), "{told}");
            assert!(!data.join(MARK).exists(), "{told}");
        }
    }
}
