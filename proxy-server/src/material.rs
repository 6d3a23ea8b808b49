//! What the agent holds of each instance: its policy and its certificate, in one snapshot that is swapped whole.
//!
//! Handshakes and admission read it without a lock; [`crate::enrolment`] is the only writer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};
use daemon::clock::Clock;
use proto::admin::AgentSettings;
use proto::mysql::InnerTls;
use proto::{Engine, InstanceName};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use transport::socket::TcpOptions;
use transport::tls::{DatabaseTls, Dialect, LocalTls, Material, ServedInstances, TrustRoots};

use crate::admission::{Policy, Standing};
use crate::backend::Backend;
use crate::config::{Certificates, DirectConfig, InstanceConfig, Wanted};

/// What is known of an instance now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// Whom to let in; `None` until the CA has said so, and after it has withdrawn the agent's own grant.
    pub(crate) access: Option<Arc<Access>>,
    /// The agent's certificate.
    pub(crate) material: Option<Arc<Material>>,
    /// What applications are shown that speak TLS of their own.
    local: Option<Arc<Material>>,
    /// What ends their TLS, made once for all sessions: with that, and with the CA's certificate alone.
    local_tls: Option<LocalTls>,
    lone_tls: Option<LocalTls>,
    /// When the CA last confirmed `access`.
    pub(crate) confirmed: Option<Confirmed>,
    /// Why the CA's word on access cannot be had, while it cannot.
    pub(crate) access_problem: Option<Arc<Problem>>,
    /// Why a certificate cannot be had, while it cannot.
    pub(crate) material_problem: Option<Arc<Problem>>,
}

impl Snapshot {
    /// What applications are shown follows from the rest: the operator's certificate, or the agent's with its issuer.
    fn settle(&mut self, own: Option<&Arc<Material>>) {
        let issued = || {
            let material = self.material.as_ref()?;
            let issuer = self.access.as_ref().map(|access| &access.server_ca);
            let joined = issuer.and_then(|pem| material.with_issuer(pem).ok());
            Some(joined.map_or_else(|| Arc::clone(material), Arc::new))
        };
        self.local = own.cloned().or_else(issued);
        let tls = |shown: &Arc<Material>| LocalTls::new(shown).ok();
        self.local_tls = self.local.as_ref().and_then(tls);
        let lone = self.material.as_ref().filter(|_| own.is_none());
        self.lone_tls = lone.and_then(tls);
    }

    /// The CA's revision, if by its word the certificate lacks a name.
    pub(crate) fn misnamed_since(&self) -> Option<u64> {
        let (access, material) = (self.access.as_ref()?, self.material.as_ref()?);
        let lacks = |name: &String| !material.is_for(name);
        let is_misnamed = access.server_names.iter().any(lacks);
        is_misnamed.then_some(access.policy.revision)
    }
}

/// The CA's word on who may connect.
#[derive(Debug)]
pub(crate) struct Access {
    /// As admission judges by it.
    pub(crate) policy: Policy,
    /// The CAs whose client certificates open the instance.
    pub(crate) client_roots: Arc<TrustRoots>,
    /// Names that the agent's certificate is to have besides the instance's own.
    pub(crate) server_names: Vec<String>,
    /// PEM of the CAs that its certificate comes from; empty where the CA does not tell.
    pub(crate) server_ca: String,
}

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Confirmed {
    wall: SystemTime,
    monotonic: Instant,
}

impl Confirmed {
    /// The present one.
    pub(crate) fn at(now: SystemTime) -> Self {
        Self {
            wall: now,
            monotonic: Instant::now(),
        }
    }

    /// Time since then. The wall clock may be set back, and the other one stops while the machine sleeps: the longer
    /// time counts.
    pub(crate) fn age(self, now: SystemTime) -> Duration {
        let wall = now.duration_since(self.wall).unwrap_or_default();
        wall.max(self.monotonic.elapsed())
    }
}

/// Something stands between us and the CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// A stable word.
    pub(crate) kind: &'static str,
    /// What failed and what to do.
    pub(crate) text: String,
    /// The CA does answer, and its answer cannot be used: no outage, which passes by itself.
    pub(crate) is_unusable: bool,
}

/// The version in a database's greeting.
#[derive(Debug, Default)]
pub(crate) struct Version(ArcSwapOption<Vec<u8>>);

impl Version {
    /// It is this now.
    pub(crate) fn note(&self, version: &[u8]) {
        if self
            .0
            .load()
            .as_ref()
            .is_none_or(|known| *known.as_ref() != version)
        {
            self.0.store(Some(Arc::new(version.to_vec())));
        }
    }

    /// What it was, if a greeting has been seen.
    pub(crate) fn last(&self) -> Option<Vec<u8>> {
        self.0.load().as_ref().map(|known| known.to_vec())
    }
}

/// What an instance's files made.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// TLS to its database.
    pub(crate) database_tls: Option<DatabaseTls>,
    /// What applications are shown instead of the CA's certificate.
    pub(crate) local: Option<Material>,
}

/// One instance that is served.
#[derive(Debug)]
pub(crate) struct Instance {
    /// Which.
    pub(crate) wanted: Wanted,
    /// How its database is reached.
    pub(crate) backend: Backend,
    /// Its listener for clients that come without cloudsql-proxy.
    pub(crate) direct: Option<DirectConfig>,
    /// What its database last said it is.
    pub(crate) version: Version,
    /// Longest time since the CA's last word for which its grants admit anybody; `None`: any.
    pub(crate) policy_max_age: Option<Duration>,
    engine: Option<Engine>,
    inner_tls: Option<InnerTls>,
    /// What the operator wants applications to be shown instead of the CA's.
    own_certificate: Option<Arc<Material>>,
    snapshot: ArcSwap<Snapshot>,
    /// A handshake met a certificate that is missing or due: renewal should not wait for its timer.
    pub(crate) used: Notify,
    /// A handshake met a policy that is too old: the CA should be asked at once.
    pub(crate) asked: Notify,
    /// Number of questions about access that have been answered or have failed.
    pub(crate) questions: watch::Sender<u64>,
    /// How many attempts at a certificate have ended.
    pub(crate) attempts: watch::Sender<u64>,
    /// How often what is known has changed: who waits with nothing but a right to be here looks again.
    pub(crate) changes: watch::Sender<u64>,
}

impl Instance {
    /// An instance of which nothing is known yet.
    pub(crate) fn new(
        config: InstanceConfig,
        files: Files,
        policy_max_age: Option<Duration>,
        user_timeout: Option<Duration>,
    ) -> Self {
        Self {
            wanted: config.wanted,
            backend: Backend {
                place: config.database,
                tls: files.database_tls,
                proxy_protocol: config.proxy_protocol,
                tcp: TcpOptions::default().with_user_timeout(user_timeout),
            },
            direct: config.direct,
            version: Version::default(),
            policy_max_age,
            engine: config.engine,
            inner_tls: config.inner_tls,
            own_certificate: files.local.map(Arc::new),
            snapshot: ArcSwap::default(),
            used: Notify::new(),
            asked: Notify::new(),
            questions: watch::Sender::new(0),
            attempts: watch::Sender::new(0),
            changes: watch::Sender::new(0),
        }
    }

    /// What is known now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Changes what is known, in one swap.
    pub(crate) fn change(&self, change: impl Fn(&mut Snapshot)) {
        self.snapshot.rcu(|current| {
            let mut next = Snapshot::clone(current);
            change(&mut next);
            next.settle(self.own_certificate.as_ref());
            next
        });
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The CA's answer, with the operator's word on the engine.
    pub(crate) fn policy(&self, settings: AgentSettings) -> Policy {
        Policy::new(settings, self.engine)
    }

    /// What a client's applications are offered. Google's connectors promise them a connection that is encrypted
    /// already, and drivers inside them break when TLS is offered again: they get it only when the operator says so.
    pub(crate) fn inner_tls(&self, dialect: Dialect) -> InnerTls {
        self.inner_tls.unwrap_or(match dialect {
            Dialect::Framed => InnerTls::Allow,
            Dialect::Bare => InnerTls::Off,
        })
    }

    /// What applications' TLS is ended with, if there is a certificate.
    pub(crate) fn local_tls(&self) -> Option<LocalTls> {
        self.snapshot.load().local_tls.clone()
    }

    /// The same with the CA's certificate alone, for applications beside their cloudsql-proxy before a MariaDB.
    ///
    /// MariaDB's clients from 11.4 on verify by default, and refuse an issuer that they do not know under the name
    /// `localhost` (measured with 11.8); a certificate alone they take there. Before a MySQL it is the other way about.
    pub(crate) fn lone_tls(&self) -> Option<LocalTls> {
        self.snapshot.load().lone_tls.clone()
    }

    /// What ends the TLS of clients on the direct listener; each connection has its own.
    pub(crate) fn direct_tls(&self, certificates: Certificates, clock: &Clock) -> Option<LocalTls> {
        let snapshot = self.snapshot.load();
        let (access, material) = (snapshot.access.as_ref()?, snapshot.local.as_ref()?);
        let tls = match certificates {
            Certificates::Off => return snapshot.local_tls.clone(),
            Certificates::Optional | Certificates::Required => LocalTls::asking(
                material,
                access.policy.instance.clone(),
                Arc::clone(&access.client_roots),
                certificates == Certificates::Required,
                Arc::clone(clock),
            ),
        };
        tls.ok()
    }

    /// Whether it can be served at `now`.
    pub(crate) fn is_ready(&self, now: SystemTime) -> bool {
        let snapshot = self.snapshot.load();
        let problem = snapshot.access_problem.as_ref();
        snapshot.access.is_some()
            && snapshot.has_material(now)
            && self.too_old(&snapshot, now).is_none()
            && !problem.is_some_and(|problem| problem.is_unusable)
    }

    /// What admission judges by; `None` while there is nothing to judge by.
    pub(crate) fn standing<'s>(
        &self,
        snapshot: &'s Snapshot,
        now: SystemTime,
    ) -> Option<Standing<'s>> {
        Some(Standing {
            policy: &snapshot.access.as_ref()?.policy,
            believed_until: snapshot.material.as_ref()?.not_after(),
            too_old: self.too_old(snapshot, now),
        })
    }

    /// The policy's age, where that is beyond what the operator allows.
    pub(crate) fn too_old(&self, snapshot: &Snapshot, now: SystemTime) -> Option<Duration> {
        let most = self.policy_max_age?;
        snapshot.policy_age(now).filter(|age| *age > most)
    }

    /// Has the CA asked at once where its last word is too old, as after a sleep of the machine, and waits for the
    /// answer. Where it is known that there is none, nobody waits.
    async fn confirm(&self, snapshot: &Snapshot, now: SystemTime, deadline: Instant) {
        if self.too_old(snapshot, now).is_none() || snapshot.access_problem.is_some() {
            return;
        }
        let mut questions = self.questions.subscribe();
        self.asked.notify_one();
        if let Err(error) = tokio::time::timeout_at(deadline, questions.changed()).await {
            tracing::debug!(%error, instance = %self.wanted, "no confirmation in time");
        }
    }

    fn is_named(&self, name: &InstanceName) -> bool {
        let snapshot = self.snapshot.load();
        let access = snapshot.access.as_ref();
        access.is_some_and(|access| access.policy.instance == *name)
    }
}

impl Snapshot {
    /// Whether the certificate holds at `now`.
    pub(crate) fn has_material(&self, now: SystemTime) -> bool {
        self.material
            .as_ref()
            .is_some_and(|material| material.is_valid_at(now))
    }

    /// Time since the CA last confirmed the policy, if there is one.
    pub(crate) fn policy_age(&self, now: SystemTime) -> Option<Duration> {
        self.access.as_ref()?;
        Some(self.confirmed?.age(now))
    }

    /// For how long the agent can go on without the CA.
    pub(crate) fn lasts(&self, now: SystemTime) -> Option<Duration> {
        let material = self.material.as_ref()?;
        material.not_after().duration_since(now).ok()
    }
}

/// All instances of the agent, as the TLS layer and admission look them up.
pub(crate) struct Served {
    /// In the order of the settings.
    pub(crate) instances: Vec<Arc<Instance>>,
    /// The time that certificates are judged by.
    pub(crate) clock: Clock,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.instances).finish()
    }
}

impl Served {
    /// The instance of that name.
    pub(crate) fn find(&self, name: &InstanceName) -> Option<&Arc<Instance>> {
        self.instances
            .iter()
            .find(|instance| instance.is_named(name))
    }

    /// Waits until no certificate is missing that could be had, or until the deadline.
    ///
    /// Timers alone do not do: a machine that slept, or a process that was stopped, wakes with certificates past
    /// their end and with clients at the door. Costs nothing while all certificates hold.
    pub(crate) async fn freshen(&self, deadline: Instant) {
        let now = (self.clock)();
        for instance in &self.instances {
            let snapshot = instance.snapshot();
            instance.confirm(&snapshot, now, deadline).await;
            if snapshot.has_material(now) {
                continue;
            }
            let mut attempts = instance.attempts.subscribe();
            instance.used.notify_one();
            if snapshot.material_problem.is_some() {
                // Known not to be had: whoever wants another instance shall not wait for it.
                continue;
            }
            // One attempt more; whether it succeeded shows in the handshake.
            if let Err(error) = tokio::time::timeout_at(deadline, attempts.changed()).await {
                tracing::debug!(%error, instance = %instance.wanted, "no certificate in time");
            }
        }
    }
}

impl ServedInstances for Served {
    fn client_roots(&self, name: &InstanceName) -> Option<Arc<TrustRoots>> {
        let snapshot = self.find(name)?.snapshot();
        let access = snapshot.access.as_ref()?;
        Some(Arc::clone(&access.client_roots))
    }

    /// By server name where it is one of ours; else the first that has a certificate, because Google's clients dial
    /// addresses and send no name, or one of their own.
    fn server_material(&self, sni: Option<&str>) -> Option<Arc<Material>> {
        let now = (self.clock)();
        let named = sni.and_then(|sni| {
            self.instances.iter().find(|instance| {
                let snapshot = instance.snapshot.load();
                let access = snapshot.access.as_ref();
                access.is_some_and(|access| {
                    let name = access.policy.instance.dns_name();
                    name.eq_ignore_ascii_case(sni)
                })
            })
        });
        let valid = |instance: &Arc<Instance>| {
            let snapshot = instance.snapshot();
            let material = snapshot.material.clone()?;
            material.is_valid_at(now).then_some(material)
        };
        match named {
            Some(instance) => valid(instance),
            None => self.instances.iter().find_map(valid),
        }
    }
}
