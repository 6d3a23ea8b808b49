//! The server CA of an instance, as the program hands it to applications.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use proto::admin::Status;
use tempfile::TempDir;

use crate::ca::{Instance, Mood};
use crate::pki::CaKey;
use crate::world::{World, write_private};

/// A world whose CA knows `db1`, and a folder with a key file and nothing else.
struct Site {
    world: World,
    folder: TempDir,
}

impl Site {
    async fn with(instance: Instance) -> Self {
        let (world, _) = World::with(instance).await;
        let folder = tempfile::tempdir().unwrap();
        write_private(&folder.path().join("key.json"), &world.ca.key_file());
        Self { world, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the program in the folder. It blocks, so tests need a thread more for the CA.
    fn run(&self, flags: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudsql-proxy"));
        command
            .env_clear()
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command.arg("ca-certificate").args(flags);
        command.args(["--credentials-file", "key.json"]);
        tokio::task::block_in_place(|| command.output().unwrap())
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn told(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(output.stdout, b"", "nothing to read for an application");
    text(&output.stderr)
}

/// One instance in the middle of a rotation: old and new server CA.
fn rotating(name: &str) -> (Instance, String) {
    let mut instance = Instance::new(name);
    let old = CaKey::new("old server CA").pem;
    instance.server_ca.pem.push_str(&old);
    let both = instance.server_ca.pem.clone();
    (instance, both)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_cas_certificates_are_printed_all_of_them_and_nothing_else() {
    let (instance, both) = rotating("demo:eu:db1");
    let site = Site::with(instance).await;
    for name in ["--instance=db1", "--instance=demo:eu:db1", "db1"] {
        let output = site.run(&[name]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(
            text(&output.stdout).replace('\r', ""),
            both.replace('\r', "")
        );
        assert_eq!(both.matches("BEGIN CERTIFICATE").count(), 2);
    }
    assert_eq!(site.world.ca.issued(), 0, "no certificate is needed for it");
    assert_eq!(site.files(), ["key.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_instances_make_one_text_for_an_application_that_uses_them_all() {
    let site = Site::with(Instance::new("demo:eu:db1")).await;
    let other = site.world.ca.knows(Instance::new("demo:eu:db2"));
    let output = site.run(&["--instance=db2", "--instance=db1"]);
    let printed = text(&output.stdout);
    assert!(printed.starts_with(other.server_ca.pem.trim()), "{printed}");
    assert_eq!(printed.matches("BEGIN CERTIFICATE").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_replaced_whole_and_can_be_read_by_applications() {
    let site = Site::with(Instance::new("demo:eu:db1")).await;
    let out = site.path("server-ca.pem");
    std::fs::write(&out, "old, and much longer ".repeat(1000)).unwrap();
    std::fs::set_permissions(&out, std::fs::Permissions::from_mode(0o600)).unwrap();
    let output = site.run(&["--instance=db1", "--out", "server-ca.pem"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(output.stdout, b"");
    let written = std::fs::read_to_string(&out).unwrap();
    assert_eq!(written, text(&site.run(&["--instance=db1"]).stdout));
    let mode = std::fs::metadata(&out).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(site.files(), ["key.json", "server-ca.pem"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_leaves_the_file_as_it_was_and_says_what_to_do() {
    let site = Site::with(Instance::new("demo:eu:db1")).await;
    std::fs::write(site.path("ca.pem"), "before").unwrap();
    let flags = ["--instance=db1", "--instance=db9", "--out=ca.pem"];
    let unknown = told(&site.run(&flags));
    assert!(unknown.contains("[db9] "), "{unknown}");
    assert!(unknown.contains("[no-grant]"), "{unknown}");
    let region = told(&site.run(&["--instance=demo:us:db1", "--out=ca.pem"]));
    assert!(region.contains("name it demo:eu:db1"), "{region}");
    site.world
        .ca
        .mood(Mood::Failing(Status::Unavailable, "the store is locked"));
    let refused = told(&site.run(&["--instance=db1", "--out=ca.pem"]));
    assert!(refused.contains("[ca-unavailable]"), "{refused}");
    site.world.ca.stop().await;
    let down = told(&site.run(&["--instance=db1", "--out=ca.pem"]));
    assert!(down.contains("[ca-unreachable]"), "{down}");
    assert_eq!(
        std::fs::read_to_string(site.path("ca.pem")).unwrap(),
        "before"
    );
    assert_eq!(site.files(), ["ca.pem", "key.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_no_certificate_is_not_handed_on() {
    let mut instance = Instance::new("demo:eu:db1");
    instance.server_ca.pem = "no certificate".to_owned();
    let site = Site::with(instance).await;
    let told = told(&site.run(&["--instance=db1", "--out=ca.pem"]));
    assert!(told.contains("cannot be used"), "{told}");
    assert_eq!(site.files(), ["key.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_named() {
    let site = Site::with(Instance::new("demo:eu:db1")).await;
    let told = told(&site.run(&["--instance=db1", "--out", "nowhere/ca.pem"]));
    assert!(told.contains("cannot write nowhere/ca.pem"), "{told}");
    // A folder is in the way: what was written beside it is taken away again.
    std::fs::create_dir(site.path("ca.pem")).unwrap();
    let told = told_of(&site, "ca.pem");
    assert!(told.contains("cannot write ca.pem"), "{told}");
    assert_eq!(site.files(), ["ca.pem", "key.json"]);
    assert!(Path::new(&site.path("ca.pem")).is_dir());
}

fn told_of(site: &Site, out: &str) -> String {
    told(&site.run(&["--instance=db1", "--out", out]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_folder_stays_as_it_is_and_wrong_settings_end_with_64() {
    let site = Site::with(Instance::new("demo:eu:db1")).await;
    let sockets = site.path("sockets");
    std::fs::create_dir(&sockets).unwrap();
    let output = site.run(&["--instance=db1", "--unix-socket=sockets"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_dir(&sockets).unwrap().count(), 0);
    let output = site.run(&["--instance=db1?prot=1"]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert_eq!(site.run(&[]).status.code(), Some(64));
}
