//! A certificate as a caller gets it: one request to the real program, which checks, records, signs and inspects.

use std::io::Error;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use transport::authority::{Authority, AuthoritySettings, Credentials};
use transport::socket::Proxies;
use transport::tls::{PrivateKey, install_provider};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(30);
const PROJECT: &str = "demo";
const INSTANCE: &str = "db1";
const ACCOUNT: &str = "app";
/// No limit that this program could reach.
const RATE: &str = "1000000";

/// A CA on a free loopback port, killed when dropped.
struct Service {
    child: Child,
    _folder: TempDir,
    key_file: PathBuf,
    address: SocketAddr,
}

impl Service {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        let key_file = folder.path().join("key.json");
        let key_path = key_file.to_str().ok_or("a folder whose name is text")?;
        // Key files name the port, so it must be known before.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let endpoint = format!("https://{address}");
        let admin = |arguments: &[&str]| run(&data, arguments);
        let init = ["init", "--project", PROJECT, "--region", "eu"];
        admin(&[&init[..], &["--endpoint", &endpoint]].concat())?;
        admin(&["instances", "create", INSTANCE, "--address", "127.0.0.1"])?;
        let account = ["service-accounts", "create", ACCOUNT];
        admin(&[&account[..], &["--key-file", key_path]].concat())?;
        let grant = ["grant", "--instance", INSTANCE, "--role", "client"];
        admin(&[&grant[..], &["--service-account", ACCOUNT]].concat())?;
        let child = command(&data, &["serve"])
            .arg(format!("--listen={address}"))
            .args(["--rate-per-address", RATE])
            .args(["--rate-per-account", RATE])
            .args(["--rate-of-signing", RATE])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut service = Self {
            child,
            _folder: folder,
            key_file,
            address,
        };
        service.wait_until_it_listens()?;
        Ok(service)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("cloudsql-ca ended: {status}").into());
            }
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            std::thread::yield_now();
        }
        Err("cloudsql-ca does not listen".into())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudsql-ca"));
    command.env_clear().stdin(Stdio::null());
    command.args(arguments).arg("--data").arg(data);
    command
}

fn run(data: &Path, arguments: &[&str]) -> Result<()> {
    let output = command(data, arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::other(format!("{arguments:?}: {said}")).into())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one clock of this program: the CA reads the machine's, too"
)]
fn authority(service: &Service) -> Result<Authority> {
    Ok(Authority::new(AuthoritySettings {
        endpoint: None,
        root_pem: None,
        credentials: Credentials::read(&service.key_file)?,
        user_agent: "bench".to_owned(),
        quota_project: None,
        proxies: Proxies::default(),
        clock: Arc::new(std::time::SystemTime::now),
    })?)
}

fn issues(criterion: &mut Criterion) {
    let measured = measure(criterion);
    assert!(measured.is_ok(), "not measured: {measured:?}");
}

fn measure(criterion: &mut Criterion) -> Result<()> {
    install_provider();
    let service = Service::start()?;
    let authority = authority(&service)?;
    let runtime = Runtime::new()?;
    let key = PrivateKey::generate_p256()?;
    let certify = || runtime.block_on(authority.generate_ephemeral_cert(PROJECT, INSTANCE, &key));
    // The token is fetched once, and a refusal is seen before anything is measured.
    certify()?;
    criterion.bench_function("issue a client certificate", |bencher| {
        bencher.iter(|| {
            let certified = certify();
            assert!(certified.is_ok(), "{certified:?}");
            certified
        });
    });
    criterion.bench_function("generate a P-256 key", |bencher| {
        bencher.iter(PrivateKey::generate_p256);
    });
    Ok(())
}

criterion_group!(benches, issues);
criterion_main!(benches);
