//! Settings that are read again while the program serves: whole or not at all, and no session notices.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use proto::admin::Status;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::agent::GREETING;
use crate::ca::{Instance, Mood};
use crate::ports::free_port;
use crate::program::{Running, program};
use crate::world::{PATIENCE, World, assert_echoes, first_words};

/// The program at work, with its settings in a file and its log in another.
struct Site {
    world: World,
    folder: tempfile::TempDir,
    port: u16,
    running: Running,
}

impl Site {
    async fn new() -> Self {
        let (world, _) = World::new().await;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("key.json"), world.ca.key_file()).unwrap();
        let port = free_port();
        std::fs::write(
            path("proxy.toml"),
            settings(&path("key.json"), port, world.agent.address.port()),
        )
        .unwrap();
        let flag = format!("--config-file={}", path("proxy.toml").display());
        let log = File::create(path("log")).unwrap();
        let child = program(&[&flag])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        let site = Self {
            world,
            folder,
            port,
            running: Running(child.unwrap()),
        };
        site.says("ready for new connections", 1).await;
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until a text is in the log so many times.
    async fn says(&self, text: &str, times: usize) {
        let said = async {
            loop {
                let log = std::fs::read_to_string(self.path("log")).unwrap();
                if log.matches(text).count() >= times {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(PATIENCE, said).await.is_err() {
            let log = std::fs::read_to_string(self.path("log")).unwrap();
            panic!("not {times} times {text:?}: {log}");
        }
    }

    fn hang_up(&self) {
        let pid = self.running.0.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(sent.unwrap().success());
    }

    async fn connect(&self) -> TcpStream {
        let mut app = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        assert_eq!(first_words(&mut app).await, GREETING);
        app
    }

    /// Puts a file in the place of another, as a mounted secret is replaced.
    fn replace(&self, name: &str, content: &str) {
        let new = self.path("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }
}

fn settings(key: &Path, port: u16, tunnel_port: u16) -> String {
    let admin = key.with_file_name("admin");
    format!(
        "instance = [\"db1?port={port}\"]\ncredentials-file = {key:?}\ntunnel-port = {tunnel_port}\n\
         admin-socket = {admin:?}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_is_replaced_is_used_and_open_sessions_go_on() {
    let site = Site::new().await;
    let mut open = site.connect().await;
    let issued = site.world.ca.issued();
    site.replace("key.json", &site.world.ca.key_file());
    site.says("settings reloaded", 1).await;
    let renewed = async {
        while site.world.ca.issued() == issued {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, renewed)
        .await
        .expect("the new key is used at once");
    assert_echoes(&mut open).await;
    site.hang_up();
    site.says("settings reloaded", 2).await;
    assert_echoes(&mut open).await;
    site.connect().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_written_to_the_settings_file_is_served_and_open_sessions_go_on() {
    let site = Site::new().await;
    let instance = site.world.ca.knows(Instance::new("demo:eu:db2"));
    site.world.agent.serves(&instance);
    let mut open = site.connect().await;
    let (port, tunnel_port) = (free_port(), site.world.agent.address.port());
    let other = settings(&site.path("key.json"), port, tunnel_port).replace("db1", "db2");
    site.replace("proxy.toml", &other);
    site.says("settings reloaded", 1).await;
    site.says(&format!("[demo:eu:db2] Listening on 127.0.0.1:{port}"), 1)
        .await;
    site.says(
        &format!("Not listening on 127.0.0.1:{} any more", site.port),
        1,
    )
    .await;
    let mut app = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert_eq!(first_words(&mut app).await, GREETING);
    assert!(TcpStream::connect(("127.0.0.1", site.port)).await.is_err());
    assert_echoes(&mut open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_wrong_or_refused_change_nothing() {
    let site = Site::new().await;
    let mut open = site.connect().await;
    let key = site.world.ca.key_file();
    site.replace("key.json", &key[..key.len() / 2]);
    site.says("is cut off", 1).await;
    site.connect().await;
    let refused = Mood::Failing(Status::Unauthenticated, "key deleted");
    site.world.ca.mood(refused);
    site.replace("key.json", &key);
    site.says("credentials refused: key deleted", 1).await;
    // The certificate that the old key got still opens tunnels.
    site.connect().await;
    site.world.ca.mood(Mood::Well);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port();
    let other = settings(&site.path("key.json"), taken, 1);
    site.replace("proxy.toml", &other);
    site.says(&format!("cannot listen on 127.0.0.1:{taken}"), 1)
        .await;
    site.connect().await;
    assert_echoes(&mut open).await;
    let log = std::fs::read_to_string(site.path("log")).unwrap();
    assert!(!log.contains("settings reloaded"), "{log}");
    let text = "settings were not reloaded, the old ones stay";
    assert_eq!(log.matches(text).count(), 3, "each once: {log}");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

impl Site {
    fn with_level(&self, level: &str) {
        let tunnel_port = self.world.agent.address.port();
        let settings = settings(&self.path("key.json"), self.port, tunnel_port);
        self.replace("proxy.toml", &format!("{settings}log-level = {level:?}\n"));
    }

    /// What `log-level` says, with these words behind it, and how it ends.
    fn log_level(&self, words: &[&str]) -> (Option<i32>, String) {
        let socket = format!("--admin-socket={}", self.path("admin").display());
        let mut flags = vec!["log-level", socket.as_str()];
        flags.extend(words);
        let output = program(&flags).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_level_is_what_the_settings_file_or_the_administrator_said_last() {
    let site = Site::new().await;
    assert_eq!(site.log_level(&[]), (Some(0), "default\n".to_owned()));
    site.with_level("debug");
    site.says("the log's level is changed", 1).await;
    drop(site.connect().await);
    site.says("session ended", 1).await;
    for leg in ["accept", "certificate", "tcp", "tls", "opening"] {
        site.says(&format!("{leg}_ms="), 1).await;
    }
    site.with_level("loud=very");
    site.says("settings were not reloaded", 1).await;
    assert_eq!(site.log_level(&[]), (Some(0), "debug\n".to_owned()));

    let level = "info,session=info".to_owned();
    assert_eq!(site.log_level(&[&level]), (Some(0), level.clone() + "\n"));
    drop(site.connect().await);
    site.says("session ended", 2).await;
    for (wrong, code) in [("loud=very", 1), ("session info", 64)] {
        let (ended, said) = site.log_level(&[wrong]);
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains("level"), "{said}");
    }
    // The settings that are read again say nothing new about it.
    site.with_level("debug");
    site.says("settings reloaded", 2).await;
    assert_eq!(site.log_level(&[]).1, level + "\n");
    assert_eq!(site.log_level(&["default"]).1, "default\n");
}
