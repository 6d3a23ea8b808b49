//! A double of the CA: issues what the agents' double accepts, counts what it is asked, and fails when told.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::InstanceName;
use proto::admin::{ErrorBody, Status};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::pki::CaKey;
use crate::ports::free_port;
use crate::time::Time;

/// One instance as the CA knows it.
pub(crate) struct Instance {
    pub(crate) name: InstanceName,
    pub(crate) client_ca: CaKey,
    pub(crate) server_ca: CaKey,
    pub(crate) database_version: &'static str,
    /// Where the CA says that its agents are.
    pub(crate) address: &'static str,
    /// Empty: an instance of Google's, whose agents do not speak our dialect.
    pub(crate) dns_name: String,
}

impl Instance {
    pub(crate) fn new(name: &str) -> Self {
        let name: InstanceName = name.parse().unwrap();
        Self {
            client_ca: CaKey::new("client CA"),
            server_ca: CaKey::new("server CA"),
            database_version: "MYSQL_8_4",
            address: "127.0.0.1",
            dns_name: name.dns_name(),
            name,
        }
    }

    /// As Google knows it.
    pub(crate) fn bare(name: &str) -> Self {
        Self {
            dns_name: String::new(),
            ..Self::new(name)
        }
    }
}

/// How the CA answers.
#[derive(Clone)]
pub(crate) enum Mood {
    Well,
    Failing(Status, &'static str),
    Silent,
}

/// How often it was asked for what.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) requests: AtomicUsize,
    pub(crate) tokens: AtomicUsize,
    pub(crate) settings: AtomicUsize,
    pub(crate) issued: AtomicUsize,
}

pub(crate) struct Ca {
    pub(crate) address: SocketAddr,
    pub(crate) counts: Arc<Counts>,
    pub(crate) knowledge: Arc<Knowledge>,
    running: Mutex<CancellationToken>,
    tasks: TaskTracker,
}

pub(crate) struct Knowledge {
    time: Time,
    life: Mutex<Duration>,
    mood: Mutex<Mood>,
    instances: Mutex<HashMap<String, Arc<Instance>>>,
    counts: Arc<Counts>,
}

impl Ca {
    /// A CA that runs.
    pub(crate) async fn start(time: &Time) -> Self {
        let address = (Ipv4Addr::LOCALHOST, free_port());
        let listener = TcpListener::bind(address).await.unwrap();
        let counts = Arc::new(Counts::default());
        let ca = Self {
            address: listener.local_addr().unwrap(),
            knowledge: Arc::new(Knowledge {
                time: time.clone(),
                life: Mutex::new(Duration::from_secs(3600)),
                mood: Mutex::new(Mood::Well),
                instances: Mutex::default(),
                counts: Arc::clone(&counts),
            }),
            counts,
            running: Mutex::default(),
            tasks: TaskTracker::new(),
        };
        ca.serve(listener);
        ca
    }

    fn serve(&self, listener: TcpListener) {
        let running = CancellationToken::new();
        *self.running.lock().unwrap() = running.clone();
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&self.knowledge));
        self.tasks.spawn(async move {
            let ended = running.cancelled_owned();
            let server = axum::serve(listener, app).with_graceful_shutdown(ended);
            server.await.unwrap();
        });
    }

    /// Nobody listens any more.
    pub(crate) async fn stop(&self) {
        self.running.lock().unwrap().cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    /// It is back, where it was.
    pub(crate) async fn restart(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }

    pub(crate) fn knows(&self, instance: Instance) -> Arc<Instance> {
        let instance = Arc::new(instance);
        let name = instance.name.instance().to_owned();
        let mut instances = self.knowledge.instances.lock().unwrap();
        instances.insert(name, Arc::clone(&instance));
        instance
    }

    pub(crate) fn mood(&self, mood: Mood) {
        *self.knowledge.mood.lock().unwrap() = mood;
    }

    pub(crate) fn life(&self, life: Duration) {
        *self.knowledge.life.lock().unwrap() = life;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn issued(&self) -> usize {
        self.counts.issued.load(Ordering::SeqCst)
    }

    /// A key file of an account of this CA.
    pub(crate) fn key_file(&self) -> String {
        json!({
            "type": "service_account",
            "project_id": "demo",
            "private_key_id": "key-1",
            "private_key": rsa_key(),
            "client_email": "app@demo.iam.example",
            "token_uri": format!("{}/token", self.url()),
            "csql_endpoint": self.url(),
        })
        .to_string()
    }
}

/// One key for all tests: making one is slow.
fn rsa_key() -> &'static str {
    static KEY: LazyLock<String> = LazyLock::new(|| {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = pair
            .as_der()
            .map(|der: Pkcs8V1Der<'_>| STANDARD.encode(der.as_ref()));
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            der.unwrap()
        )
    });
    &KEY
}

async fn answer(
    State(ca): State<Arc<Knowledge>>,
    method: Method,
    uri: Uri,
    body: String,
) -> Response {
    ca.counts.requests.fetch_add(1, Ordering::SeqCst);
    let mood = ca.mood.lock().unwrap().clone();
    let answer = match mood {
        Mood::Well => ca.answer(&method, uri.path(), &body),
        Mood::Failing(status, message) => Err((status, message)),
        Mood::Silent => std::future::pending().await,
    };
    let (status, json) = match answer {
        Ok(json) => (StatusCode::OK, json.to_string()),
        Err((status, message)) => {
            let body = ErrorBody::new(status, "reason", message);
            let json = serde_json::to_string(&body).unwrap();
            (StatusCode::from_u16(status.http()).unwrap(), json)
        }
    };
    let date = transport_date(&ca.time);
    let headers = [
        (header::DATE, date),
        (header::CONNECTION, "close".to_owned()),
    ];
    (status, headers, json).into_response()
}

/// The CA's clock, as the `Date` header has it.
fn transport_date(time: &Time) -> String {
    let now = time::OffsetDateTime::from(time.now());
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    now.format(&format).unwrap()
}

impl Knowledge {
    fn answer(
        &self,
        method: &Method,
        path: &str,
        body: &str,
    ) -> Result<Value, (Status, &'static str)> {
        if path == "/token" {
            self.counts.tokens.fetch_add(1, Ordering::SeqCst);
            return Ok(
                json!({"access_token": "t0ken", "token_type": "Bearer", "expires_in": 3600}),
            );
        }
        let name = path
            .strip_prefix("/sql/v1beta4/projects/demo/instances/")
            .ok_or((Status::NotFound, "no such path"))?;
        if let (Some(name), &Method::GET) = (name.strip_suffix("/connectSettings"), method) {
            self.counts.settings.fetch_add(1, Ordering::SeqCst);
            return Ok(settings(&*self.instance(name)?));
        }
        if let (Some(name), &Method::POST) = (name.strip_suffix(":generateEphemeralCert"), method) {
            let instance = self.instance(name)?;
            let request: Value = serde_json::from_str(body).unwrap();
            self.counts.issued.fetch_add(1, Ordering::SeqCst);
            let life = *self.life.lock().unwrap();
            let key = request["public_key"].as_str().unwrap();
            let now = self.time.now();
            let cert = instance.client_ca.client(&instance.name, key, now, life);
            return Ok(json!({"ephemeralCert": {"cert": cert}}));
        }
        Err((Status::NotFound, "no such method"))
    }

    fn instance(&self, name: &str) -> Result<Arc<Instance>, (Status, &'static str)> {
        let instances = self.instances.lock().unwrap();
        let unknown = (Status::PermissionDenied, "no grant for this instance");
        instances.get(name).cloned().ok_or(unknown)
    }
}

fn settings(instance: &Instance) -> Value {
    json!({
        "kind": "sql#connectSettings",
        "backendType": "SECOND_GEN",
        "region": instance.name.region(),
        "databaseVersion": instance.database_version,
        "ipAddresses": [{"type": "PRIMARY", "ipAddress": instance.address}],
        "serverCaCert": {"cert": instance.server_ca.pem},
        "dnsName": instance.dns_name,
        "connectionName": instance.name.to_string(),
    })
}
