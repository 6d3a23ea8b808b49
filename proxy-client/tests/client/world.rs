//! A CA, an agent and a client that know each other.

use std::sync::Arc;
use std::time::Duration;

use daemon::shutdown::{Shutdown, Signal};
use proxy_client::config::{
    AuthorityConfig, Bounds, Config, Failover, Inherited, InstanceConfig, Keys, Place, Refresh,
    Route, Stop, Wanted,
};
use proxy_client::serve::{Running, start};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use transport::accept::{Callers, UnixOptions};
use transport::authority::Credentials;
use transport::socket::Proxies;

use crate::agent::{Agent, GREETING};
use crate::ca::{Ca, Instance};
use crate::time::Time;

/// Longer than anything that works takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct World {
    /// The clock of the CA and the agent.
    pub(crate) time: Time,
    /// The client's own.
    pub(crate) client_time: Time,
    pub(crate) ca: Ca,
    pub(crate) agent: Agent,
}

impl World {
    /// A CA and an agent that serves `db1`.
    pub(crate) async fn new() -> (Self, Arc<Instance>) {
        Self::with(Instance::new("demo:eu:db1")).await
    }

    pub(crate) async fn with(instance: Instance) -> (Self, Arc<Instance>) {
        let time = Time::new();
        let world = Self {
            ca: Ca::start(&time).await,
            agent: Agent::start(&time).await,
            client_time: time.clone(),
            time,
        };
        let instance = world.ca.knows(instance);
        world.agent.serves(&instance);
        (world, instance)
    }

    /// An instance at a free TCP port.
    pub(crate) fn instance(&self, name: &str) -> InstanceConfig {
        InstanceConfig {
            wanted: match name.parse() {
                Ok(full) => Wanted::Full(full),
                Err(_) => Wanted::Short {
                    project: "demo".into(),
                    instance: name.into(),
                },
            },
            place: Place::Tcp {
                address: "127.0.0.1".parse().unwrap(),
                port: Some(0),
            },
            route: Route::Public,
            tunnel_port: self.agent.address.port(),
            connect_to: None,
            socket: UnixOptions::of_mode(0o660),
            callers: Callers::default(),
        }
    }

    pub(crate) fn config(&self, instances: Vec<InstanceConfig>) -> Config {
        Config {
            instances,
            inherited: Inherited::new(),
            authority: AuthorityConfig {
                credentials: Credentials::parse(&self.ca.key_file()).unwrap(),
                exposed_key_file: None,
                endpoint: None,
                root_pem: None,
                user_agent: "test".into(),
                quota_project: None,
                proxies: Proxies::default(),
            },
            keys: Keys::P256,
            refresh: Refresh::Ahead,
            connection_test: false,
            max_connections: None,
            dial_timeout: PATIENCE,
            bounds: Bounds::default(),
            spare_tunnels: 8,
            failover: Failover::default(),
            stop: Stop::default(),
            http: None,
            metrics_namespace: None,
            quit_port: None,
            admin_socket: None,
            log: None,
            traces: None,
        }
    }

    /// The client for `db1`.
    pub(crate) async fn client(&self) -> Client {
        self.client_of(self.config(vec![self.instance("demo:eu:db1")]))
            .await
    }

    /// The same without tunnels that are kept ready: what the agent sees is what applications wanted.
    pub(crate) async fn client_without_spares(&self) -> Client {
        let mut config = self.config(vec![self.instance("demo:eu:db1")]);
        config.spare_tunnels = 0;
        self.client_of(config).await
    }

    /// The same without a background: all is done by connections.
    pub(crate) async fn lazy_client(&self) -> Client {
        let mut config = self.config(vec![self.instance("demo:eu:db1")]);
        config.refresh = Refresh::Lazy;
        self.client_of(config).await
    }

    pub(crate) async fn client_of(&self, config: Config) -> Client {
        let shutdown = Shutdown::default();
        let clock = self.client_time.clock();
        let running = start(config, clock, shutdown.clone()).await.unwrap();
        Client {
            mounts: running.mounts(),
            running: Some(running),
            shutdown,
        }
    }
}

pub(crate) struct Client {
    pub(crate) mounts: Vec<(String, String)>,
    pub(crate) running: Option<Running>,
    pub(crate) shutdown: Shutdown,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shutdown.request(Signal::Request);
    }
}

impl Client {
    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        self.connect_to(0).await
    }

    pub(crate) async fn connect_to(&self, mount: usize) -> TcpStream {
        TcpStream::connect(&self.mounts[mount].1).await.unwrap()
    }

    /// What an application hears first on a new connection, to the end unless it is the database's greeting.
    pub(crate) async fn heard(&self) -> Vec<u8> {
        self.heard_at(0).await
    }

    pub(crate) async fn heard_at(&self, mount: usize) -> Vec<u8> {
        first_words(&mut self.connect_to(mount).await).await
    }

    pub(crate) async fn assert_works(&self) {
        assert_eq!(show(&self.heard().await), show(GREETING));
    }

    /// Connects until an error says this.
    pub(crate) async fn hears_until(&self, words: &str) {
        let begun = Instant::now();
        loop {
            let (_, text) = error(&self.heard().await);
            if text.contains(words) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "not {words:?} but {text}");
        }
    }

    /// Connects until it works; how long it took.
    pub(crate) async fn works_after(&self) -> Duration {
        let begun = Instant::now();
        while self.heard().await != GREETING {
            assert!(begun.elapsed() < PATIENCE, "it never works");
            tokio::task::yield_now().await;
        }
        begun.elapsed()
    }
}

/// A session that was cut: it must not look as if it had ended.
pub(crate) async fn expect_reset<S: AsyncRead + Unpin>(stream: &mut S) {
    let read = timeout(PATIENCE, stream.read(&mut [0; 64])).await;
    let error = read.expect("the session hangs").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

pub(crate) async fn first_words<S: AsyncRead + Unpin>(stream: &mut S) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = async {
        while bytes != GREETING {
            if stream.read_buf(&mut bytes).await.unwrap() == 0 {
                break;
            }
        }
    };
    timeout(PATIENCE, read).await.expect("nothing was said");
    bytes
}

/// Says something and hears it back.
pub(crate) async fn assert_echoes<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    stream.write_all(b"select 1").await.unwrap();
    let mut bytes = [0; 8];
    timeout(PATIENCE, stream.read_exact(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&bytes, b"select 1");
}

/// An ERR packet's number and text.
pub(crate) fn error(bytes: &[u8]) -> (u16, String) {
    assert!(bytes.len() > 7, "no ERR packet: {}", show(bytes));
    let length = usize::from(bytes[0]) | usize::from(bytes[1]) << 8;
    assert_eq!(length + 4, bytes.len(), "one whole packet: {}", show(bytes));
    assert_eq!(
        (bytes[2], bytes[3], bytes[4]),
        (0, 0, 0xFF),
        "{}",
        show(bytes)
    );
    let number = u16::from_le_bytes([bytes[5], bytes[6]]);
    let text = String::from_utf8(bytes[7..].to_vec()).unwrap();
    // Where it has one, the SQLSTATE is of class 08.
    let text = match text.strip_prefix("#08") {
        Some(rest) => rest.split_once(' ').unwrap().1.to_owned(),
        None => text,
    };
    (number, text)
}

pub(crate) fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Writes a file that only its owner may read, as a key file is to be.
pub(crate) fn write_private(path: &std::path::Path, content: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).unwrap();
    file.write_all(content.as_bytes()).unwrap();
}
