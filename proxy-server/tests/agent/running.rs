//! An agent that runs in the test's own process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use daemon::shutdown::Shutdown;
use proxy_server::{Config, Settings, prepare, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use crate::ca::Ca;

/// How long anything may take that is expected to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    pub(crate) http: SocketAddr,
    /// Where MySQL clients of the first instance arrive.
    pub(crate) mysql: Option<SocketAddr>,
    pub(crate) shutdown: Shutdown,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shutdown.finish();
    }
}

/// Settings of an agent of that CA's, with instance `i` on that database.
pub(crate) fn settings(ca: &Ca, database: &str) -> Settings {
    Settings {
        credentials_file: Some(ca.key_file()),
        instance: vec!["p:r:i".into()],
        database: Some(database.into()),
        listen: Some("127.0.0.1:0".parse().unwrap()),
        http_port: Some(0),
        ..Settings::default()
    }
}

impl Agent {
    /// Starts one and waits until it is ready.
    pub(crate) async fn start(settings: Settings) -> Self {
        let agent = Self::begin(settings, |_| {});
        agent.until_ready(true).await;
        agent
    }

    /// Starts one with a changed configuration, ready or not.
    pub(crate) fn begin(settings: Settings, change: impl FnOnce(&mut Config)) -> Self {
        // Tests may run as root, and their databases do not know anybody by user.
        let mut config = Config::new(settings, false).unwrap();
        change(&mut config);
        let prepared = prepare(&config).unwrap();
        let (address, http) = (prepared.tunnel_address(), prepared.http_address());
        let mysql = prepared.mysql_address(0);
        let shutdown = Shutdown::default();
        TaskTracker::new().spawn(serve(config, prepared, shutdown.clone()));
        Self {
            address: address.unwrap(),
            http: http.unwrap(),
            mysql,
            shutdown,
        }
    }

    /// Waits for readiness, or for its end.
    pub(crate) async fn until_ready(&self, ready: bool) -> serde_json::Value {
        eventually(async || {
            let (status, body) = self.probe("/readiness").await;
            ((status == 200) == ready).then(|| serde_json::from_str(&body).unwrap())
        })
        .await
    }

    pub(crate) async fn probe(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// The value of a metric, 0 while it is not there.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.probe("/metrics").await;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }
}

/// Asks until there is an answer.
pub(crate) async fn eventually<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .expect("the awaited comes to pass")
}

/// A CA, and an agent of its for instance `i` on that database.
pub(crate) async fn world(database: &str) -> (Arc<Ca>, Agent) {
    let ca = Ca::start().await;
    let agent = Agent::start(settings(&ca, database)).await;
    (ca, agent)
}
