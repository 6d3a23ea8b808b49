//! Making of a data directory, all or nothing.
//!
//! Building (in `.init` within it) -> built (store closed, on disk) -> key in place -> store in place: done. An
//! interruption leaves a directory without a store, or a whole one. Without a store the next attempt begins again,
//! with the key that is in place, if one is: no key is ever overwritten.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use crate::authn::new_token_key;
use crate::clock::{Clock, Seconds};
use crate::error::{Error, Result};
use crate::issuer::new_root;
use crate::registry::{Profile, Registry};
use crate::store::{self, Store, beside};
use crate::vault::{KEK_FILE, Vault};

/// The folder that is built in.
const BUILDING: &str = ".init";

/// A data directory, seen by `init`.
pub(crate) enum Directory {
    /// It holds a whole CA.
    Present,
    /// It holds none, or what an interruption left; nobody else can begin in it meanwhile.
    Free(Free),
}

/// A directory that a CA can be made in. Locked.
pub(crate) struct Free {
    data: PathBuf,
    lock: Lock,
}

/// The lock of a data directory.
struct Lock(File);

impl Lock {
    fn take(data: &Path) -> Result<Self> {
        let file = File::open(data).map_err(Error::file("open", data))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            let problem = format!("another `init` is at work in {}", data.display());
            Error::Settings(vec![problem])
        })?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    /// Unlocks by word: a process that is being started may hold a copy of the descriptor for a moment.
    fn drop(&mut self) {
        if let Err(error) = flock(&self.0, FlockOperation::Unlock) {
            tracing::debug!(%error, "the data directory stays locked until the program ends");
        }
    }
}

/// A step after which an interruption is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The folder to build in is there, and empty.
    Folder,
    /// The key is written.
    Key,
    /// The store has tables.
    Tables,
    /// The root's key is in it.
    Root,
    /// The key that seals tokens is in it.
    TokenKey,
    /// All is in it.
    Profile,
    /// All is on disk.
    Synced,
    /// The key is where it belongs.
    KeyMoved,
    /// The store is where it belongs.
    StoreMoved,
    /// The folder is gone.
    Swept,
}

/// Looks at a data directory, and sets aside an incomplete store that an earlier version left.
pub(crate) async fn look(data: &Path, now: Seconds) -> Result<Directory> {
    let lock = Lock::take(data)?;
    if store::is_elsewhere(data)? {
        return Ok(Directory::Present);
    }
    let path = store::file(data);
    if path.exists() {
        if store::is_complete(&path).await? {
            return Ok(Directory::Present);
        }
        set_aside(&path, now)?;
    } else if beside(&path, "-wal").exists() {
        return Err(Error::Settings(vec![format!(
            "{} has the log of a store that is not there: put {} back, or move the log away",
            data.display(),
            path.display()
        )]));
    }
    let data = data.to_owned();
    Ok(Directory::Free(Free { data, lock }))
}

impl Free {
    /// Makes the keys and the store of a new CA.
    pub(crate) async fn establish(
        self,
        profile: &Profile,
        clock: Clock,
        actor: String,
    ) -> Result<Registry> {
        self.establish_until(profile, clock, actor, |_| Ok(()))
            .await
    }

    /// The same, where `after` may interrupt it at each step.
    async fn establish_until(
        self,
        profile: &Profile,
        clock: Clock,
        actor: String,
        after: impl Fn(Step) -> Result<()>,
    ) -> Result<Registry> {
        let data = &self.data;
        let building = data.join(BUILDING);
        sweep(&building)?;
        let made = DirBuilder::new().mode(0o700).create(&building);
        made.map_err(Error::file("create", &building))?;
        after(Step::Folder)?;
        let kek = data.join(KEK_FILE);
        let vault = if kek.exists() {
            Vault::open(data)?
        } else {
            Vault::create(&building)?
        };
        after(Step::Key)?;
        let store = Arc::new(Store::create(&store::file(&building)).await?);
        after(Step::Tables)?;
        let registry = Registry::new(Arc::clone(&store), clock.clone(), actor.clone());
        let root = new_root(&vault, registry.now())?;
        registry.add_authority(&root).await?;
        after(Step::Root)?;
        registry.add_authority(&new_token_key(&vault)?).await?;
        after(Step::TokenKey)?;
        registry.set_profile(profile).await?;
        after(Step::Profile)?;
        store.close().await;
        sync_built(&building)?;
        after(Step::Synced)?;
        if !kek.exists() {
            put(&building.join(KEK_FILE), &kek, data)?;
        }
        after(Step::KeyMoved)?;
        put(&store::file(&building), &store::file(data), data)?;
        after(Step::StoreMoved)?;
        sweep(&building)?;
        after(Step::Swept)?;
        drop(self.lock);
        let store = Store::open(&store::file(data)).await?;
        Ok(Registry::new(Arc::new(store), clock, actor))
    }
}

/// Brings the built store to disk; it is one file once it is closed.
fn sync_built(building: &Path) -> Result<()> {
    let path = store::file(building);
    if beside(&path, "-wal").exists() {
        return Err(Error::Crypto("the new store could not be closed"));
    }
    sync(&path)?;
    sync(building)
}

fn sync(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(Error::file("write", path))
}

fn put(from: &Path, to: &Path, data: &Path) -> Result<()> {
    fs::rename(from, to).map_err(Error::file("create", to))?;
    sync(data)
}

fn sweep(building: &Path) -> Result<()> {
    match fs::remove_dir_all(building) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", building)(error))
        }
        _ => Ok(()),
    }
}

/// Keeps an incomplete store under another name: it holds nothing that was ever used, and is not ours to delete.
fn set_aside(path: &Path, now: Seconds) -> Result<()> {
    let aside = beside(path, &format!(".incomplete-{now}"));
    for suffix in ["-wal", "-shm", ""] {
        let (from, to) = (beside(path, suffix), beside(&aside, suffix));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("move", &from)(error));
            }
            _ => {}
        }
    }
    tracing::warn!(store = %path.display(), kept = %aside.display(), "an incomplete store was set aside");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 10] = [
        Step::Folder,
        Step::Key,
        Step::Tables,
        Step::Root,
        Step::TokenKey,
        Step::Profile,
        Step::Synced,
        Step::KeyMoved,
        Step::StoreMoved,
        Step::Swept,
    ];

    fn profile() -> Profile {
        Profile {
            ca_id: "id".to_owned(),
            project: "demo".to_owned(),
            region: "eu".to_owned(),
            endpoint: "https://ca.test".to_owned(),
        }
    }

    async fn begin(data: &Path, stop: Option<Step>) -> Option<Result<Registry>> {
        match look(data, 0).await.unwrap() {
            Directory::Present => None,
            Directory::Free(free) => {
                let after = |step| match stop {
                    Some(stop) if stop == step => Err(Error::Crypto("interrupted")),
                    _ => Ok(()),
                };
                let profile = profile();
                let made = free.establish_until(&profile, Clock::system(), "x".into(), after);
                Some(made.await)
            }
        }
    }

    fn data() -> tempfile::TempDir {
        transport::tls::install_provider();
        tempfile::tempdir().unwrap()
    }

    #[tokio::test]
    async fn an_interruption_at_any_step_leaves_what_the_next_attempt_completes() {
        for (at, step) in STEPS.into_iter().enumerate() {
            let folder = data();
            let data = folder.path();
            assert!(begin(data, Some(step)).await.unwrap().is_err());
            // And interrupted again, at every step.
            for again in STEPS {
                drop(begin(data, Some(again)).await);
            }
            let is_there = store::file(data).exists();
            assert!(is_there, "the last interruption is after the end");
            let folder = self::data();
            let data = folder.path();
            drop(begin(data, Some(step)).await);
            let completed = begin(data, None).await;
            assert_eq!(completed.is_none(), at >= 8, "{step:?}");
            let store = Store::open(&store::file(data)).await.unwrap();
            let registry = Registry::new(store.into(), Clock::system(), String::new());
            assert_eq!(registry.profile().await.unwrap(), profile(), "{step:?}");
            let vault = Vault::open(data).unwrap();
            let root = crate::issuer::Authority::root(registry.store())
                .await
                .unwrap();
            assert!(root.open(&vault, registry.now()).is_ok(), "{step:?}");
        }
    }

    #[tokio::test]
    async fn what_earlier_versions_left_is_completed_and_kept() {
        let folder = data();
        let data = folder.path();
        let vault = Vault::create(data).unwrap();
        let kek = fs::read(data.join(KEK_FILE)).unwrap();
        for made in 0..3 {
            match made {
                0 => fs::write(store::file(data), "").unwrap(),
                1 => drop(Store::create(&store::file(data)).await.unwrap()),
                _ => {
                    let store = Store::create(&store::file(data)).await.unwrap();
                    let registry = Registry::new(store.into(), Clock::system(), String::new());
                    let root = new_root(&vault, registry.now()).unwrap();
                    registry.add_authority(&root).await.unwrap();
                }
            }
            let error = Store::open_complete(&store::file(data)).await.err();
            assert!(error.unwrap().to_string().contains("init"), "state {made}");
            begin(data, None).await.unwrap().unwrap();
            assert!(begin(data, None).await.is_none());
            assert_eq!(fs::read(data.join(KEK_FILE)).unwrap(), kek);
            let kept = beside(&store::file(data), ".incomplete-0");
            fs::remove_file(kept).unwrap();
            for suffix in ["", "-wal", "-shm"] {
                drop(fs::remove_file(beside(&store::file(data), suffix)));
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_made_beside_anothers_log_or_while_another_is_at_work() {
        let folder = data();
        let data = folder.path();
        let Ok(Directory::Free(held)) = look(data, 0).await else {
            panic!("it is empty");
        };
        let error = look(data, 0).await.err().unwrap();
        assert!(error.to_string().contains("another `init`"), "{error}");
        drop(held);
        fs::write(beside(&store::file(data), "-wal"), "x").unwrap();
        let error = look(data, 0).await.err().unwrap();
        assert!(error.to_string().contains("log of a store"), "{error}");
    }
}
