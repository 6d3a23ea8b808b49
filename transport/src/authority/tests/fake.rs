//! A CA as far as its callers can tell: an HTTP server that answers as the test says and remembers what was asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::Clock;
use crate::authority::{Authority, AuthoritySettings, Credentials};

/// The test's present, in seconds since 1970.
pub(super) const NOW: u64 = 1_900_000_000;

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

impl Request {
    /// The assertion of a token request.
    pub(super) fn assertion(&self) -> Option<&str> {
        self.body
            .split('&')
            .find_map(|pair| pair.strip_prefix("assertion="))
    }
}

pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The CA's clock says this when it answers.
    pub(super) fn at(self, seconds: u64) -> Self {
        self.with("Date", httpdate::fmt_http_date(at(seconds)))
    }
}

pub(super) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A token that lives this long.
pub(super) fn token(seconds: u64) -> Reply {
    let body =
        format!(r#"{{"access_token":"t0ken","token_type":"Bearer","expires_in":{seconds}}}"#);
    Reply::new(200, body)
}

pub(super) struct Fake {
    pub(super) url: String,
    asked: Arc<Mutex<Vec<Request>>>,
    _tasks: TaskTracker,
}

impl Fake {
    pub(super) async fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (tasks, answer) = (TaskTracker::new(), Arc::new(answer));
        let (log, spawner) = (Arc::clone(&asked), tasks.clone());
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                spawner.spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = read(&mut stream).await {
                        log.lock().unwrap().push(request.clone());
                        if write(&mut stream, answer(&request)).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            url,
            asked,
            _tasks: tasks,
        }
    }

    /// What was asked at paths that end so.
    pub(super) fn asked(&self, end: &str) -> Vec<Request> {
        let asked = self.asked.lock().unwrap();
        let of_path = |request: &&Request| request.path.ends_with(end);
        asked.iter().filter(of_path).cloned().collect()
    }
}

async fn read(stream: &mut BufReader<impl tokio::io::AsyncRead + Unpin>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut first = lines.first()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: HashMap<String, String> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request {
        method,
        path,
        headers,
        body: String::from_utf8(body).ok()?,
    })
}

async fn write<S>(stream: &mut BufReader<S>, reply: Reply) -> std::io::Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut text = format!(
        "HTTP/1.1 {} X\r\nContent-Length: {}\r\n",
        reply.status,
        reply.body.len()
    );
    for (name, value) in &reply.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).await?;
    stream.write_all(&reply.body).await?;
    stream.flush().await?;
    if reply.headers.iter().any(|(name, _)| *name == "X-Hang-Up") {
        stream.shutdown().await?;
    }
    Ok(())
}

pub(super) struct TestKey {
    pub(super) private_pem: String,
    pub(super) public_der: Vec<u8>,
}

/// One RSA key for all tests: making one is slow.
pub(super) fn rsa() -> &'static TestKey {
    static KEY: LazyLock<TestKey> = LazyLock::new(|| {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = pair
            .as_der()
            .map(|der: Pkcs8V1Der<'_>| STANDARD.encode(der.as_ref()));
        let body = der.unwrap();
        let lines: Vec<&str> = (0..body.len())
            .step_by(64)
            .map(|start| &body[start..body.len().min(start + 64)])
            .collect();
        let lines = lines.join("\n");
        TestKey {
            private_pem: format!(
                "-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n"
            ),
            public_der: pair.public_key().as_ref().to_vec(),
        }
    });
    &KEY
}

/// A key file of our own CA at this URL.
pub(super) fn our_key_file(url: &str) -> serde_json::Value {
    let mut file = google_key_file(url);
    file["csql_endpoint"] = url.into();
    file
}

/// A key file of Google's, its token endpoint at this URL.
pub(super) fn google_key_file(url: &str) -> serde_json::Value {
    serde_json::json!({
        "type": "service_account",
        "project_id": "demo",
        "private_key_id": "key-1",
        "private_key": rsa().private_pem,
        "client_email": "app@demo.iam.example",
        "client_id": "1",
        "token_uri": format!("{url}/token"),
    })
}

/// A clock that a test sets.
pub(super) fn settable(seconds: u64) -> (Clock, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(seconds));
    let read = Arc::clone(&time);
    (Arc::new(move || at(read.load(Ordering::SeqCst))), time)
}

/// A caller with this key file, whose clock stands at [`NOW`].
pub(super) fn caller(file: &serde_json::Value) -> Authority {
    caller_with(
        Credentials::parse(&file.to_string()).unwrap(),
        None,
        settable(NOW).0,
    )
}

pub(super) fn caller_with(
    credentials: Credentials,
    endpoint: Option<&str>,
    clock: Clock,
) -> Authority {
    Authority::new(settings(credentials, endpoint, clock)).unwrap()
}

pub(super) fn settings(
    credentials: Credentials,
    endpoint: Option<&str>,
    clock: Clock,
) -> AuthoritySettings {
    AuthoritySettings {
        endpoint: endpoint.map(str::to_owned),
        root_pem: None,
        credentials,
        user_agent: "test/1".into(),
        quota_project: None,
        proxies: crate::socket::Proxies::default(),
        clock,
    }
}
