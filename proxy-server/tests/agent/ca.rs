//! A double of the CA: the routes that an agent calls, over plain HTTP on loopback, with everything that can be told to
//! go wrong.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use proto::InstanceName;
use proto::admin::{
    AgentSettings, ErrorBody, GenerateServerCertRequest, GenerateServerCertResponse, Grant,
    SslCert, Status, TokenResponse,
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::tls::Material;

use crate::pki::Authority;

/// The account of most tests.
pub(crate) const APP: &str = "app@p.iam.gserviceaccount.com";

/// What an agent is to the CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has role `agent`.
    Granted,
    /// Its key is known, and that is all.
    NotGranted,
    /// Not even that.
    Unknown,
}

/// Makes status and body of a bad answer from the body of a good one.
pub(crate) type Spoil = fn(Vec<u8>) -> (u16, Vec<u8>);

/// What the CA says, as tests change it.
pub(crate) struct Says {
    /// It does not serve now.
    pub(crate) down: bool,
    /// What the agent is to it.
    pub(crate) agent: Standing,
    /// Life of the certificates that it issues.
    pub(crate) lifetime: Duration,
    /// `databaseVersion` of all instances.
    pub(crate) version: &'static str,
    /// Names that certificates are to have besides the instance's own.
    pub(crate) names: Vec<String>,
    /// It says so, and issues certificates without them.
    pub(crate) forgets_names: bool,
    /// The grants of all instances.
    pub(crate) grants: Vec<Grant>,
    /// The region that it knows the instances in.
    pub(crate) region: &'static str,
    /// What becomes of its answers about grants: status and body.
    pub(crate) spoils: Option<Spoil>,
}

pub(crate) struct Ca {
    pub(crate) says: Mutex<Says>,
    /// Certificates issued, by instance.
    pub(crate) issued: Mutex<BTreeMap<String, u32>>,
    revision: watch::Sender<u64>,
    authorities: Mutex<BTreeMap<String, Arc<(Authority, Authority)>>>,
    endpoint: OnceLock<String>,
    folder: tempfile::TempDir,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Drop for Ca {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Ca {
    pub(crate) async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ca = Arc::new(Self {
            says: Mutex::new(Says {
                down: false,
                agent: Standing::Granted,
                lifetime: Duration::from_secs(3600),
                version: "MYSQL_8_4",
                names: vec![],
                forgets_names: false,
                grants: vec![grant(APP)],
                region: "r",
                spoils: None,
            }),
            issued: Mutex::default(),
            revision: watch::Sender::new(1),
            authorities: Mutex::default(),
            endpoint: OnceLock::new(),
            folder: tempfile::tempdir().unwrap(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        ca.endpoint.set(endpoint).unwrap();
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::downgrade(&ca));
        let stop = ca.stop.clone();
        ca.tasks.spawn(stop.run_until_cancelled_owned(async move {
            axum::serve(listener, router).await.unwrap();
        }));
        ca
    }

    /// Changes what it says; agents that poll are answered.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.says.lock().unwrap());
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// The agent's key file.
    pub(crate) fn key_file(&self) -> PathBuf {
        let endpoint = self.endpoint.get().unwrap();
        let path = self.folder.path().join("agent.json");
        let file = json!({
            "type": "service_account",
            "project_id": "p",
            "private_key_id": "k1",
            "private_key": rsa_pem(),
            "client_email": "agent@p.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": format!("{endpoint}/token"),
            "csql_endpoint": endpoint,
        });
        std::fs::write(&path, file.to_string()).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Client CA and server CA of an instance, by its last part.
    pub(crate) fn authorities(&self, label: &str) -> Arc<(Authority, Authority)> {
        let mut all = self.authorities.lock().unwrap();
        let make = || {
            let client = Authority::new(&format!("client CA of {label}"));
            Arc::new((client, Authority::new(&format!("server CA of {label}"))))
        };
        Arc::clone(all.entry(label.to_owned()).or_insert_with(make))
    }

    /// A good client certificate.
    pub(crate) fn client(&self, label: &str, account: &str) -> Material {
        let identity = identity(label, account);
        self.authorities(label).0.client(&identity, |_| {})
    }

    pub(crate) fn issued(&self, label: &str) -> u32 {
        self.issued.lock().unwrap().get(label).copied().unwrap_or(0)
    }

    async fn agent_settings(&self, label: &str, query: &str) -> Response {
        let parameter = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .into_iter()
                .find(|(key, _)| *key == name)?
                .1
                .parse()
                .ok()
        };
        let mut revisions = self.revision.subscribe();
        if let (Some(known), Some(seconds)) = (parameter("revision"), parameter("waitSeconds")) {
            let wait = Duration::from_secs(seconds);
            let news = revisions.wait_for(|revision| *revision != known);
            // Without news in time the answer is the same again.
            drop(tokio::time::timeout(wait, news).await);
        }
        if let Some(refusal) = self.refusal() {
            return refusal;
        }
        let says = self.says.lock().unwrap();
        let settings = AgentSettings {
            kind: "csql#agentSettings".into(),
            revision: *self.revision.borrow(),
            connection_name: name(says.region, label),
            database_version: says.version.into(),
            client_ca_cert: self.authorities(label).0.pem.clone(),
            server_ca_cert: self.authorities(label).1.pem.clone(),
            server_names: says.names.clone(),
            grants: says.grants.clone(),
        };
        let Some(spoil) = says.spoils else {
            return Json(settings).into_response();
        };
        let (status, body) = spoil(serde_json::to_vec(&settings).unwrap());
        (StatusCode::from_u16(status).unwrap(), body).into_response()
    }

    fn server_certificate(&self, label: &str, body: &[u8]) -> Response {
        if let Some(refusal) = self.refusal() {
            return refusal;
        }
        let request: GenerateServerCertRequest = serde_json::from_slice(body).unwrap();
        let says = self.says.lock().unwrap();
        let authorities = self.authorities(label);
        let names = if says.forgets_names {
            &[][..]
        } else {
            &says.names
        };
        let cert = authorities.1.server(
            &name(says.region, label),
            names,
            &request.public_key,
            says.lifetime,
        );
        *self.issued.lock().unwrap().entry(label.into()).or_default() += 1;
        Json(GenerateServerCertResponse {
            server_cert: SslCert {
                cert,
                ..SslCert::default()
            },
        })
        .into_response()
    }

    fn refusal(&self) -> Option<Response> {
        let says = self.says.lock().unwrap();
        if says.down {
            Some(error(
                Status::Unavailable,
                "backendError",
                "down for a test",
            ))
        } else if says.agent != Standing::Granted {
            let message = "agent@p.iam.gserviceaccount.com has no grant";
            Some(error(Status::PermissionDenied, "notAuthorized", message))
        } else {
            None
        }
    }

    fn token(&self) -> Response {
        let says = self.says.lock().unwrap();
        if says.down {
            return error(Status::Unavailable, "backendError", "down for a test");
        }
        if says.agent == Standing::Unknown {
            let body = json!({"error": "invalid_grant", "error_description": "not signed by an enabled key"});
            return (StatusCode::BAD_REQUEST, Json(body)).into_response();
        }
        Json(TokenResponse {
            access_token: "token".into(),
            token_type: "Bearer".into(),
            expires_in: 3600,
        })
        .into_response()
    }
}

async fn answer(
    State(ca): State<std::sync::Weak<Ca>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(ca) = ca.upgrade() else {
        return StatusCode::GONE.into_response();
    };
    if uri.path() == "/token" {
        return ca.token();
    }
    assert_eq!(headers["authorization"], "Bearer token");
    let path = uri.path().strip_prefix("/csql/v1/projects/p/instances/");
    if let Some(label) = path.and_then(|rest| rest.strip_suffix("/agentSettings")) {
        return ca.agent_settings(label, uri.query().unwrap_or("")).await;
    }
    match path.and_then(|rest| rest.strip_suffix(":generateServerCert")) {
        Some(label) => ca.server_certificate(label, &body),
        None => error(Status::NotFound, "notFound", "no such route"),
    }
}

fn error(status: Status, reason: &str, message: &str) -> Response {
    let code = StatusCode::from_u16(status.http()).unwrap();
    (code, Json(ErrorBody::new(status, reason, message))).into_response()
}

/// A grant without restrictions.
pub(crate) fn grant(account: &str) -> Grant {
    Grant {
        service_account: account.parse().unwrap(),
        db_users: vec![],
        schemas: vec![],
    }
}

pub(crate) fn name(region: &str, label: &str) -> InstanceName {
    InstanceName::new("p", region, label).unwrap()
}

/// The URI of a client certificate.
pub(crate) fn identity(label: &str, account: &str) -> String {
    format!("csql:/projects/p/locations/r/instances/{label}/serviceAccounts/{account}")
}

/// One key for all tests: making one takes a while.
fn rsa_pem() -> &'static str {
    static PEM: OnceLock<String> = OnceLock::new();
    PEM.get_or_init(|| {
        let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let body = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
        format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
    })
}
