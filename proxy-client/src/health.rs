//! What probes are told: started, able to serve now, alive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use daemon::health::{Probe, Probes, Verdict};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::config::Refresh;
use crate::connector::Sign;
use crate::metrics::Metrics;
use crate::session::Served;

/// How the program is.
pub struct Status {
    served: ArcSwap<Vec<Arc<Served>>>,
    permits: Arc<Semaphore>,
    refresh: Refresh,
    mounts: Mutex<Vec<(Arc<Served>, String)>>,
    is_certified: AtomicBool,
    is_stopping: AtomicBool,
}

/// What `/readiness` tells of one instance.
#[derive(Serialize)]
struct InstanceStatus {
    instance: String,
    ready: bool,
    /// Whether applications find a listener.
    listening: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_seconds_left: Option<u64>,
    /// Nothing before the first dial.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<AgentStatus>,
}

/// The last sign of life of an instance's agent.
#[derive(Serialize)]
struct AgentStatus {
    reachable: bool,
    age_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl From<&Sign> for AgentStatus {
    fn from(sign: &Sign) -> Self {
        Self {
            reachable: sign.failure.is_none(),
            age_seconds: sign.age.as_secs(),
            kind: sign.failure.as_ref().map(|failure| failure.code.as_str()),
            text: sign.failure.as_ref().map(ToString::to_string),
        }
    }
}

#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    instances: Vec<InstanceStatus>,
}

impl Status {
    /// Nothing is mounted yet.
    pub fn new(served: &[Arc<Served>], permits: Arc<Semaphore>, refresh: Refresh) -> Self {
        Self {
            served: ArcSwap::from_pointee(served.to_vec()),
            permits,
            refresh,
            mounts: Mutex::default(),
            is_certified: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// An instance is listened for.
    pub fn mounted(&self, instance: &Arc<Served>, local: String) {
        self.lock_mounts().push((Arc::clone(instance), local));
    }

    /// It is not listened for there any more.
    pub fn unmounted(&self, local: &str) {
        self.lock_mounts().retain(|(_, other)| other != local);
    }

    /// Where each instance is listened for.
    pub fn mounts(&self) -> Vec<(String, String)> {
        let mounts = self.lock_mounts();
        let told = mounts.iter();
        told.map(|(instance, local)| (instance.label(), local.clone()))
            .collect()
    }

    /// Whether an instance is listened for, at one place or several.
    fn is_mounted(&self, served: &Served) -> bool {
        let mounts = self.lock_mounts();
        mounts
            .iter()
            .any(|(one, _)| std::ptr::eq(&raw const **one, served))
    }

    /// The instances.
    pub fn served(&self) -> Arc<Vec<Arc<Served>>> {
        self.served.load_full()
    }

    /// These are the instances now.
    pub fn serves(&self, served: &[Arc<Served>]) {
        self.served.store(Arc::new(served.to_vec()));
    }

    /// New connections will not be accepted any more.
    pub fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    fn lock_mounts(&self) -> std::sync::MutexGuard<'_, Vec<(Arc<Served>, String)>> {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many tunnels are kept ready, of all instances.
    pub fn spare_tunnels(&self) -> i64 {
        let served = self.served();
        served.iter().map(|one| one.metrics.spares.get()).sum()
    }

    /// Whether the start is over.
    pub fn has_started(&self) -> bool {
        self.startup().healthy
    }

    /// What the start waits for.
    pub fn missing(&self) -> String {
        let instances = self.instances().into_iter();
        let reasons =
            instances.filter_map(|one| Some(format!("{}: {}", one.instance, one.reason?)));
        let reasons: Vec<String> = reasons.collect();
        reasons.join("; ")
    }

    /// How the program is, in one line.
    pub fn line(&self) -> String {
        let instances = self.instances();
        let ready = instances.iter().filter(|one| one.ready).count();
        let all = instances.len();
        let open: i64 = self.served().iter().map(|one| one.metrics.open.get()).sum();
        let reason = instances.into_iter().find_map(|one| one.reason);
        let reason = reason.map_or_else(String::new, |reason| format!("; {reason}"));
        let stopping = if self.is_stopping.load(Ordering::Acquire) {
            "stopping, "
        } else {
            ""
        };
        format!("{stopping}{ready} of {all} instances can be served, {open} sessions{reason}")
    }

    /// Every instance is listened for, and one certificate was issued.
    fn startup(&self) -> Verdict {
        let instances = self.instances();
        if instances
            .iter()
            .any(|one| one.certificate_seconds_left.is_some())
        {
            self.is_certified.store(true, Ordering::Release);
        }
        let is_certified =
            self.refresh == Refresh::Lazy || self.is_certified.load(Ordering::Acquire);
        let silent = instances.iter().filter(|one| !one.listening);
        let silent: Vec<&str> = silent.map(|one| one.instance.as_str()).collect();
        let reason = if !silent.is_empty() {
            let names = silent.join(", ");
            Some(format!("not all instances are listened for: {names}"))
        } else if !is_certified {
            Some("no certificate was issued yet".to_owned())
        } else {
            None
        };
        verdict(reason, instances)
    }

    /// At least one instance can be served now.
    fn readiness(&self) -> Verdict {
        let instances = self.instances();
        let reason = if self.is_stopping.load(Ordering::Acquire) {
            Some("stopping")
        } else if self.permits.available_permits() == 0 {
            Some("the limit of connections is reached")
        } else if !instances.iter().any(|one| one.ready) {
            Some("no instance can be served")
        } else {
            None
        };
        verdict(reason.map(str::to_owned), instances)
    }

    /// Brings what is only known when it is looked at to the metrics.
    fn measure(&self) {
        for served in self.served().iter() {
            let refresher = &served.connector.refresher;
            let left = refresher.remaining().unwrap_or_default().as_secs();
            let metrics = &served.metrics;
            let left = i64::try_from(left).unwrap_or(i64::MAX);
            metrics.certificate_seconds_left.set(left);
            if let Some(skew) = refresher.skew() {
                let seconds = i64::try_from(skew.amount.as_secs()).unwrap_or(i64::MAX);
                let sign = if skew.behind { 1 } else { -1 };
                metrics.clock_skew_seconds.set(seconds.saturating_mul(sign));
            }
        }
    }

    fn instances(&self) -> Vec<InstanceStatus> {
        self.served()
            .iter()
            .map(|served| self.instance(served))
            .collect()
    }

    fn instance(&self, served: &Served) -> InstanceStatus {
        let refresher = &served.connector.refresher;
        let is_valid = refresher.valid().is_some();
        let failure = refresher.failure();
        // Without a certificate, but with nothing known against getting one: a connection gets it.
        let is_hopeful = failure.is_none()
            && (self.refresh == Refresh::Lazy || refresher.last_known().is_some());
        let listening = self.is_mounted(served);
        let sign = served.connector.reach.sign();
        let down = sign.as_ref().filter(|sign| sign.is_down);
        let can_connect = is_valid || is_hopeful;
        let reason = match (failure, down.and_then(|sign| sign.failure.as_ref())) {
            _ if !listening => Some("no listener is bound for it: see the log".to_owned()),
            (Some(failure), _) => Some(failure.refusal().to_string()),
            (None, Some(failure)) => Some(failure.to_string()),
            (None, None) if can_connect => None,
            (None, None) => Some("no certificate yet".to_owned()),
        };
        InstanceStatus {
            instance: served.label(),
            ready: can_connect && listening && down.is_none(),
            listening,
            reason,
            agent: sign.as_ref().map(AgentStatus::from),
            certificate_seconds_left: refresher.remaining().map(|left| left.as_secs()),
        }
    }
}

fn verdict(reason: Option<String>, instances: Vec<InstanceStatus>) -> Verdict {
    let healthy = reason.is_none();
    let body = Body { reason, instances };
    Verdict {
        healthy,
        body: serde_json::to_string(&body).unwrap_or_default(),
    }
}

/// The probes of the health server.
pub fn probes(status: &Arc<Status>, metrics: Option<Arc<Metrics>>) -> Probes {
    let (startup, readiness) = (Arc::clone(status), Arc::clone(status));
    let liveness: Probe = Arc::new(|| Verdict {
        healthy: true,
        body: "{}".to_owned(),
    });
    Probes {
        startup: Arc::new(move || startup.startup()),
        readiness: Arc::new(move || readiness.readiness()),
        liveness,
        metrics: metrics.map(|metrics| -> Arc<dyn Fn() -> String + Send + Sync> {
            let status = Arc::clone(status);
            Arc::new(move || {
                status.measure();
                metrics.text()
            })
        }),
    }
}
