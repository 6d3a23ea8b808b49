//! Runs the program, and speaks to it with a key file that it has made.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proto::admin::JWT_BEARER;
use proto::claims::{Claims, Confirmation};
use proto::key_file::KeyFile;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use transport::tls::PrivateKey;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A data directory, and the folder around it.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
}

/// `serve`, killed when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: String,
}

pub(crate) fn ca() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudsql-ca"));
    // What the developer has in the environment is not part of the test.
    command.env_clear().stdin(Stdio::null());
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Site {
    /// An initialised CA with instance `db1`.
    pub(crate) fn new() -> Self {
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        site.ok(&["init", "--project", "demo", "--region", "eu"]);
        site.ok(&["instances", "create", "db1", "--address", "127.0.0.1"]);
        site
    }

    /// Without anything.
    pub(crate) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Runs a command on the data directory.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        ca().args(arguments)
            .arg("--data")
            .arg(self.data())
            .output()
            .unwrap()
    }

    /// Runs a command that must succeed; returns what it prints.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Runs a command that must fail; returns its exit code and what it complains.
    pub(crate) fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        (output.status.code().unwrap(), text(&output.stderr))
    }

    /// Runs a command that prints JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let printed = self.ok(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&printed).unwrap()
    }

    /// Makes an account with a grant on `db1`.
    pub(crate) fn account(&self, name: &str, role: &str) -> KeyFile {
        let path = self.path(&format!("{name}.json"));
        self.ok(&[
            "service-accounts",
            "create",
            name,
            "--key-file",
            path.to_str().unwrap(),
        ]);
        self.ok(&[
            "grant",
            "--instance",
            "db1",
            "--service-account",
            name,
            "--role",
            role,
        ]);
        read_key_file(&path)
    }

    /// Serves plain HTTP on a free port.
    pub(crate) fn serve(&self, flags: &[&str]) -> Running {
        let log = File::create(self.path("log")).unwrap();
        self.serve_logging(flags, log.try_clone().unwrap().into(), log.into())
    }

    /// The same with standard output and standard error that lead there.
    pub(crate) fn serve_logging(&self, flags: &[&str], out: Stdio, err: Stdio) -> Running {
        let address_file = self.path("address");
        if address_file.exists() {
            std::fs::remove_file(&address_file).unwrap();
        }
        let child = ca()
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--insecure-http",
                "--data",
            ])
            .arg(self.data())
            .arg("--address-file")
            .arg(&address_file)
            .args(flags)
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap();
        let mut running = Running {
            child,
            address: String::new(),
        };
        wait_for("the address file", || {
            assert!(
                running.child.try_wait().unwrap().is_none(),
                "ended: {}",
                self.log()
            );
            address_file.exists()
        });
        running.address = std::fs::read_to_string(&address_file)
            .unwrap()
            .trim()
            .to_owned();
        running
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }
}

pub(crate) fn read_key_file(path: &Path) -> KeyFile {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::yield_now();
    }
}

impl Running {
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        let mut ended = None;
        wait_for("the end of the process", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn exchange(&self, assertion: &str) -> Response {
        let form = format!("grant_type={JWT_BEARER}&assertion={assertion}");
        let request = client().post(self.url("/token")).body(form);
        let kind = "application/x-www-form-urlencoded";
        request.header("content-type", kind).send().await.unwrap()
    }

    pub(crate) async fn token(&self, key_file: &KeyFile, key: &PrivateKey) -> String {
        let response = self.exchange(&assertion(key_file, key)).await;
        let body: Value = response.json().await.unwrap();
        let token = body["access_token"].as_str();
        assert!(token.is_some(), "{body}");
        token.unwrap().to_owned()
    }

    pub(crate) async fn certify(&self, token: &str, key: &PrivateKey) -> reqwest::Result<Response> {
        let path = "/sql/v1beta4/projects/demo/instances/db1:generateEphemeralCert";
        let request = client().post(self.url(path)).bearer_auth(token);
        request
            .json(&json!({ "public_key": key.public_key_pem() }))
            .send()
            .await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        let response = client()
            .get(self.url(path))
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has been waited for already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn client() -> Client {
    transport::tls::install_provider();
    Client::builder().timeout(PATIENCE).build().unwrap()
}

/// An assertion as our own client makes it, from a key file alone.
pub(crate) fn assertion(key_file: &KeyFile, key: &PrivateKey) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let jti = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .encode(format!("{count}-{:?}", Instant::now()));
    #[expect(
        clippy::disallowed_methods,
        reason = "the CA under test reads the machine's clock too"
    )]
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let iat = i64::try_from(now).unwrap();
    let claims = Claims {
        iss: key_file.client_email.clone(),
        sub: Some(key_file.client_email.clone()),
        aud: Some(key_file.token_uri.clone()),
        scope: None,
        iat,
        exp: iat + 600,
        nbf: None,
        jti: Some(jti.chars().take(64).collect()),
        cnf: Some(Confirmation::of_spki(key.spki_der())),
    };
    let header = Header {
        kid: Some(key_file.private_key_id.clone()),
        ..Header::new(Algorithm::RS256)
    };
    let private = EncodingKey::from_rsa_pem(key_file.private_key.as_bytes()).unwrap();
    jsonwebtoken::encode(&header, &claims, &private).unwrap()
}
