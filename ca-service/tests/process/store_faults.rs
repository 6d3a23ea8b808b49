//! A store that fails, disappears or is exchanged while the CA serves: refused meanwhile, and served again by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use proto::key_file::KeyFile;
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use transport::tls::PrivateKey;

use super::program::{PATIENCE, Running, Site, client};

/// A small file system of its own, unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one, where mounting is permitted.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={size},mode=0700"))
            .arg("tmpfs")
            .arg(at)
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

/// A CA that serves, and a client of its.
struct Served {
    site: Site,
    running: Running,
    app: KeyFile,
    key: PrivateKey,
    handed_out: Vec<String>,
}

impl Served {
    fn new() -> Self {
        Self::at(Site::new())
    }

    fn at(site: Site) -> Self {
        let app = site.account("app", "client");
        let running = site.serve(&[]);
        let key = PrivateKey::generate_p256().unwrap();
        Self {
            site,
            running,
            app,
            key,
            handed_out: Vec::new(),
        }
    }

    /// Asks for a token and a certificate; returns the status that ended it.
    async fn certify(&mut self) -> u16 {
        let assertion = super::program::assertion(&self.app, &self.key);
        let response = self.running.exchange(&assertion).await;
        if response.status() != 200 {
            return retry_later(&response);
        }
        let body: Value = response.json().await.unwrap();
        let token = body["access_token"].as_str().unwrap().to_owned();
        self.certify_with(&token).await
    }

    async fn certify_with(&mut self, token: &str) -> u16 {
        let response = self.running.certify(token, &self.key).await.unwrap();
        if response.status() != 200 {
            return retry_later(&response);
        }
        let body: Value = response.json().await.unwrap();
        let serial = body["ephemeralCert"]["certSerialNumber"].as_str().unwrap();
        self.handed_out.push(serial.to_owned());
        200
    }

    async fn probe(&self, path: &str) -> u16 {
        let url = self.running.url(path);
        client().get(url).send().await.unwrap().status().as_u16()
    }

    /// Waits until certificates are issued again, and the CA says so.
    async fn recovers(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.certify().await != 200 || self.probe("/readyz").await != 200 {
            assert!(Instant::now() < deadline, "{}", self.site.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the CA says that it is not ready.
    async fn turns_red(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.probe("/readyz").await != 503 {
            assert!(Instant::now() < deadline, "{}", self.site.log());
        }
        assert_eq!(self.probe("/livez").await, 200);
    }

    /// Every certificate that was handed out is in the store.
    fn all_are_on_record(&self) {
        let listed = self
            .site
            .json(&["certificates", "list", "--limit", "1000000"]);
        let listed = listed.to_string();
        for serial in &self.handed_out {
            assert!(listed.contains(serial), "{serial} is recorded nowhere");
        }
    }

    fn store(&self, suffix: &str) -> PathBuf {
        self.site.data().join(format!("store.db{suffix}"))
    }
}

/// The status of an answer that must say when to come back, if it is 503.
fn retry_later(response: &reqwest::Response) -> u16 {
    if response.status() == 503 {
        assert!(response.headers().contains_key("retry-after"));
    }
    response.status().as_u16()
}

async fn open(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .unwrap()
}

/// A copy of a store as a backup makes it.
async fn backup(from: &Path, to: &Path) {
    let mut connection = open(from).await;
    sqlx::query("VACUUM INTO $1")
        .bind(to.to_str().unwrap())
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_disk_that_was_full_needs_no_restart() {
    let site = Site::empty();
    let Some(_mounted) = Tmpfs::mount(&site.data(), "6m") else {
        eprintln!("mounting is not permitted here: the unit test of a full store stands alone");
        return;
    };
    site.ok(&["init", "--project", "demo", "--region", "eu"]);
    site.ok(&["instances", "create", "db1", "--address", "127.0.0.1"]);
    let filler = site.data().join("filler");
    let mut served = Served::at(site);
    let token = served.running.token(&served.app, &served.key).await;
    for round in 0..3 {
        assert_eq!(served.certify_with(&token).await, 200, "round {round}");
        let full = fs::write(&filler, vec![0; 16 << 20]);
        assert!(full.is_err(), "the file system is not full");
        let deadline = Instant::now() + PATIENCE;
        while served.certify_with(&token).await != 503 {
            assert!(
                Instant::now() < deadline,
                "certificates go on without a record"
            );
        }
        served.turns_red().await;
        fs::remove_file(&filler).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            served.certify_with(&token).await,
            200,
            "{}",
            served.site.log()
        );
        served.recovers(PATIENCE).await;
    }
    served.all_are_on_record();
}

#[tokio::test]
async fn a_store_locked_by_another_process_is_waited_for_and_then_refused() {
    let mut served = Served::new();
    let token = served.running.token(&served.app, &served.key).await;
    let mut other = open(&served.store("")).await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    assert_eq!(served.certify_with(&token).await, 503);
    served.turns_red().await;
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        served.certify_with(&token).await,
        200,
        "{}",
        served.site.log()
    );
    served.recovers(PATIENCE).await;
    served.all_are_on_record();
}

#[tokio::test]
async fn a_store_that_was_moved_away_is_not_written_and_comes_back() {
    let mut served = Served::new();
    let (data, aside) = (served.site.data(), served.site.path("aside"));
    let (store, store_aside) = (served.store(""), served.site.path("store.aside"));
    for (from, to) in [(data, aside), (store, store_aside)] {
        served.recovers(PATIENCE).await;
        let token = served.running.token(&served.app, &served.key).await;
        fs::rename(&from, &to).unwrap();
        for _ in 0..3 {
            assert_eq!(served.certify_with(&token).await, 503, "{}", from.display());
            assert_eq!(served.certify().await, 503, "{}", from.display());
        }
        served.turns_red().await;
        fs::rename(&to, &from).unwrap();
        served.recovers(PATIENCE).await;
        served.all_are_on_record();
    }
    assert!(
        served.site.log().contains("is gone"),
        "{}",
        served.site.log()
    );
}

#[tokio::test]
async fn a_store_that_is_not_this_ones_is_refused_until_the_right_one_is_back() {
    let other = Site::new();
    let mut served = Served::new();
    let store = served.store("");
    let older = served.site.path("older.db");
    backup(&store, &older).await;
    served.recovers(PATIENCE).await;
    let newest = served.site.path("newest.db");
    let token = served.running.token(&served.app, &served.key).await;
    let empty = served.site.path("empty.db");
    fs::write(&empty, "").unwrap();
    let garbage = served.site.path("garbage.db");
    fs::write(&garbage, vec![b'x'; 8192]).unwrap();
    for (wrong, problem) in [
        (older, "older"),
        (other.data().join("store.db"), "another"),
        (empty, "another"),
        (garbage, "another"),
    ] {
        backup(&store, &newest).await;
        let before = fs::read(&wrong).unwrap();
        for suffix in ["", "-wal", "-shm"] {
            fs::remove_file(served.store(suffix)).unwrap();
        }
        fs::copy(&wrong, &store).unwrap();
        served.turns_red().await;
        // Long enough for several looks at it.
        let deadline = Instant::now() + Duration::from_secs(1);
        while Instant::now() < deadline {
            assert_eq!(
                served.certify_with(&token).await,
                503,
                "{}",
                wrong.display()
            );
        }
        assert!(
            served.site.log().contains(problem),
            "{problem}: {}",
            served.site.log()
        );
        assert_eq!(
            fs::read(&store).unwrap(),
            before,
            "it was written: {}",
            wrong.display()
        );
        for suffix in ["", "-wal", "-shm"] {
            drop(fs::remove_file(served.store(suffix)));
        }
        fs::rename(&newest, &store).unwrap();
        served.recovers(PATIENCE).await;
        served.all_are_on_record();
    }
}

#[tokio::test]
async fn a_log_of_the_stores_that_was_deleted_loses_no_certificate() {
    for suffix in ["-wal", "-shm"] {
        let mut served = Served::new();
        served.recovers(PATIENCE).await;
        fs::remove_file(served.store(suffix)).unwrap();
        served.recovers(PATIENCE).await;
        served.all_are_on_record();
        // A kill leaves what the files hold.
        served.running.signal(rustix::process::Signal::KILL);
        served.all_are_on_record();
    }
}
