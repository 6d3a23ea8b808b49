//! A CA of its own for each test, and callers that make assertions for it.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use daemon::shutdown::{Shutdown, Signal};
use proto::admin::JWT_BEARER;
use proto::claims::Confirmation;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;
use transport::tls::PrivateKey;

pub(super) use super::answer::Answer;
use super::caller::KEYS;
pub(super) use super::caller::{Caller, unsigned};
use crate::clock::{Clock, Seconds};
use crate::establish::{Directory, look};
use crate::issuer::{Lifetimes, create_instance};
use crate::limits::Rates;
use crate::registry::{
    Account, Algorithm, Mode, NewAccount, NewInstance, NewKey, Permission, Profile, Registry, Role,
};
use crate::retention::Retention;
use crate::serve::{Bounds, Config, Server};
use crate::service::{Policy, Service};
use crate::store;
use crate::vault::Vault;

/// Longest wait for anything in a test.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const PROJECT: &str = "demo";
pub(super) const REGION: &str = "eu";
/// What the CA believes to be called; requests go to the port that it got.
pub(super) const ENDPOINT: &str = "https://ca.test:8443";
pub(super) const GOOGLE: &str = "https://oauth2.googleapis.com/token";

/// A running CA.
pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) service: Arc<Service>,
    pub(super) address: SocketAddr,
    pub(super) client: reqwest::Client,
    pub(crate) folder: TempDir,
    now: Arc<AtomicI64>,
    shutdown: Shutdown,
    tracker: TaskTracker,
}

pub(super) fn config(data: &std::path::Path) -> Config {
    let rate = NonZeroU32::new(10_000).unwrap();
    Config {
        data: data.to_owned(),
        store: store::file(data),
        listen: "127.0.0.1:0".parse().unwrap(),
        insecure_http: true,
        certificate: None,
        health_listen: None,
        address_file: None,
        policy: Policy {
            lifetimes: Lifetimes {
                client: 3600,
                server: 86_400,
            },
            leeway: 30,
            rates: Rates {
                source: rate,
                account: rate,
                signing: rate,
                signing_each: rate,
            },
        },
        bounds: Bounds {
            total: 1000,
            per_address: 1000,
        },
        drain: Duration::from_secs(5),
        retention: Retention::default(),
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        transport::tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder.path().join("data"));
        change(&mut config);
        let system = Clock::system();
        let now = Arc::new(AtomicI64::new(system.now()));
        let read = Arc::clone(&now);
        let clock = Clock::new(move || read.load(Ordering::SeqCst));
        store::secure_directory(&config.data, true).unwrap();
        let profile = Profile {
            ca_id: "ca-of-a-test".to_owned(),
            project: PROJECT.to_owned(),
            region: REGION.to_owned(),
            endpoint: ENDPOINT.to_owned(),
        };
        let Directory::Free(free) = look(&config.data, 0).await.unwrap() else {
            panic!("it is new");
        };
        let registry = free
            .establish(&profile, clock.clone(), "admin:test".to_owned())
            .await
            .unwrap();
        let (shutdown, tracker) = (Shutdown::default(), TaskTracker::new());
        let server = Server::open(&config, clock, &shutdown).await.unwrap();
        let (address, service) = (server.address().unwrap(), Arc::clone(server.service()));
        let (stop, connections) = (shutdown.clone(), tracker.clone());
        tracker.spawn(async move { server.accept(&stop, &connections).await });
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self {
            registry,
            service,
            address,
            client,
            folder,
            now,
            shutdown,
            tracker,
        }
    }

    /// A world with instance `db1`, a client of it and an agent of it, both strict.
    pub(super) async fn with_db1() -> (Self, Caller, Caller) {
        let world = Self::start().await;
        world.instance("db1").await;
        let client = world.caller("app", Mode::Strict).await;
        let agent = world.caller("agent", Mode::Strict).await;
        world.grant("db1", &client, Role::Client).await;
        world.grant("db1", &agent, Role::Agent).await;
        (world, client, agent)
    }

    pub(crate) fn now(&self) -> Seconds {
        self.now.load(Ordering::SeqCst)
    }

    pub(super) fn pass(&self, seconds: Seconds) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(super) async fn instance(&self, name: &str) {
        let vault = Vault::open(&self.folder.path().join("data")).unwrap();
        let new = NewInstance {
            name: proto::InstanceName::new(PROJECT, REGION, name).unwrap(),
            address: "192.0.2.10".to_owned(),
            names: vec!["db.example.com".to_owned(), "2001:db8::7".to_owned()],
            database_version: "MYSQL_8_4".to_owned(),
        };
        create_instance(&self.registry, &vault, &new).await.unwrap();
    }

    pub(super) async fn caller(&self, name: &str, mode: Mode) -> Caller {
        let name = proto::AccountName::new(name, PROJECT, "csql.internal").unwrap();
        let new = NewAccount {
            name,
            mode,
            universe_domain: None,
        };
        let account = self.registry.create_account(new).await.unwrap();
        self.key_of(account, 0).await
    }

    /// Another key of an account.
    pub(super) async fn key_of(&self, account: Account, which: usize) -> Caller {
        let kid = store::random_id().unwrap();
        let caller = Caller {
            account,
            kid: kid.clone(),
            key: &KEYS[which],
        };
        let public_key = caller.public_key();
        let new = NewKey {
            kid,
            algorithm: Algorithm::Rs256,
            public_key,
            expires_at: None,
        };
        self.registry
            .create_key(&caller.account, &new)
            .await
            .unwrap();
        caller
    }

    pub(super) async fn grant(&self, instance: &str, caller: &Caller, role: Role) {
        let instance = self.registry.named_instance(instance).await.unwrap();
        let permission = Permission {
            account: caller.account.name.clone(),
            account_enabled: true,
            role,
            db_users: Vec::new(),
            schemas: Vec::new(),
        };
        self.registry
            .grant(&instance, &caller.account, &permission, false)
            .await
            .unwrap();
    }

    pub(super) async fn ungrant(&self, instance: &str, caller: &Caller, role: Role) {
        let instance = self.registry.named_instance(instance).await.unwrap();
        self.registry
            .ungrant(&instance, &caller.account, role)
            .await
            .unwrap();
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) async fn post_form(&self, form: &str) -> Answer {
        let request = self.client.post(self.url("/token"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        Answer::of(request.body(form.to_owned()).send().await.unwrap()).await
    }

    pub(super) async fn post_assertion(&self, assertion: &str) -> Answer {
        let grant_type = JWT_BEARER.replace(':', "%3A");
        self.post_form(&format!("assertion={assertion}&grant_type={grant_type}"))
            .await
    }

    pub(super) async fn get(&self, path: &str, bearer: &str) -> Answer {
        let request = self.client.get(self.url(path)).bearer_auth(bearer);
        Answer::of(request.send().await.unwrap()).await
    }

    pub(super) async fn post(&self, path: &str, bearer: &str, body: &Value) -> Answer {
        let request = self
            .client
            .post(self.url(path))
            .bearer_auth(bearer)
            .json(body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// An access token, bound to a key if one is given.
    pub(super) async fn token(&self, caller: &Caller, key: Option<&PrivateKey>) -> String {
        let mut claims = caller.claims(self);
        if let Some(key) = key {
            claims["cnf"] = confirmation(key);
        }
        let answer = self.post_assertion(&caller.sign(&claims)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body["access_token"].as_str().unwrap().to_owned()
    }

    /// A certificate for `key` of the instance; strict accounts only.
    pub(super) async fn certify(
        &self,
        caller: &Caller,
        instance: &str,
        key: &PrivateKey,
    ) -> Answer {
        let token = self.token(caller, Some(key)).await;
        let body = json!({ "public_key": key.public_key_pem() });
        self.post(&ephemeral(instance), &token, &body).await
    }

    /// Stops, and waits for every task.
    pub(super) async fn stop(self) {
        self.shutdown.request(Signal::Terminate);
        self.shutdown.request(Signal::Terminate);
        self.tracker.close();
        tokio::time::timeout(PATIENCE, self.tracker.wait())
            .await
            .unwrap();
    }

    /// Tells it to stop, as SIGTERM does.
    pub(super) fn request_stop(&self) {
        self.shutdown.request(Signal::Terminate);
    }
}

/// The path of `:generateEphemeralCert`.
pub(super) fn ephemeral(instance: &str) -> String {
    format!("/sql/v1beta4/projects/{PROJECT}/instances/{instance}:generateEphemeralCert")
}

/// The path of `connectSettings`.
pub(super) fn settings(instance: &str) -> String {
    format!("/sql/v1beta4/projects/{PROJECT}/instances/{instance}/connectSettings")
}

pub(super) fn confirmation(key: &PrivateKey) -> Value {
    serde_json::to_value(Confirmation::of_spki(key.spki_der())).unwrap()
}
