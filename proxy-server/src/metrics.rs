//! What is counted. Label sets are bounded: instances of the settings, and stable words.

use std::time::{Duration, SystemTime};

use daemon::metrics::prometheus_client::encoding::EncodeLabelSet;
use daemon::metrics::prometheus_client::metrics::counter::Counter;
use daemon::metrics::prometheus_client::metrics::family::Family;
use daemon::metrics::prometheus_client::metrics::gauge::Gauge;
use daemon::metrics::prometheus_client::metrics::histogram::Histogram;
use daemon::metrics::prometheus_client::registry::Registry;
use proto::Code;

use crate::config::Wanted;
use crate::legs::{Leg, Legs};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindVia {
    kind: &'static str,
    listener: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OnlyVia {
    listener: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    cause: &'static str,
}

/// By which listener somebody came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// The tunnels' port.
    Tunnel,
    /// A listener for MySQL clients.
    Direct,
}

impl Via {
    /// The label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tunnel => "tunnel",
            Self::Direct => "direct",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfInstance {
    instance: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OneWay {
    direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLeg {
    leg: &'static str,
}

/// From a leg within one machine to one that is about to fail, in seconds.
const LEG_BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

fn histogram() -> Histogram {
    Histogram::new(LEG_BUCKETS)
}

/// The agent's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    open: Family<OnlyVia, Gauge>,
    ended: Family<KindVia, Counter>,
    refused: Family<KindVia, Counter>,
    database_refusals: Family<Cause, Counter>,
    strangers: Family<Kind, Counter>,
    spares: Gauge,
    spares_unused: Family<Kind, Counter>,
    bytes: Family<OneWay, Counter>,
    legs: Family<OfLeg, Histogram, fn() -> Histogram>,
    enrolment_failures: Family<Kind, Counter>,
    certificate_end: Family<OfInstance, Gauge>,
    policy_age: Family<OfInstance, Gauge>,
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("csql_server"),
            open: Family::default(),
            ended: Family::default(),
            refused: Family::default(),
            database_refusals: Family::default(),
            strangers: Family::default(),
            spares: Gauge::default(),
            spares_unused: Family::default(),
            bytes: Family::default(),
            legs: Family::new_with_constructor(histogram),
            enrolment_failures: Family::default(),
            certificate_end: Family::default(),
            policy_age: Family::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "sessions_open",
            "Connections now that have authenticated, or that may log in on a direct listener",
            metrics.open.clone(),
        );
        registry.register(
            "sessions_ended",
            "Tunnels that ended, by what ended them",
            metrics.ended.clone(),
        );
        registry.register(
            "sessions_refused",
            "Authenticated peers that got no tunnel, and clients of a direct listener without a session, \
            by the refusal's code or the failure's kind",
            metrics.refused.clone(),
        );
        registry.register(
            "database_refusals",
            "Logins that the database refused, by cause",
            metrics.database_refusals.clone(),
        );
        registry.register(
            "handshakes_failed",
            "Connections that did not authenticate, by kind",
            metrics.strangers.clone(),
        );
        registry.register(
            "bytes",
            "Bytes carried, by direction",
            metrics.bytes.clone(),
        );
        registry.register(
            "session_leg_seconds",
            "Seconds of each leg of a session's opening",
            metrics.legs.clone(),
        );
        let (name, help) = daemon::log::LINES_DROPPED;
        registry.register(name, help, daemon::log::lines_dropped());
        metrics.register_spares();
        metrics.register_enrolment();
        metrics
    }

    fn register_spares(&mut self) {
        self.registry.register(
            "spares",
            "Tunnels now that clients keep ready",
            self.spares.clone(),
        );
        self.registry.register(
            "spares_unused",
            "Tunnels that clients kept ready and did not use, by what ended them",
            self.spares_unused.clone(),
        );
    }

    fn register_enrolment(&mut self) {
        self.registry.register(
            "enrolment_failures",
            "Questions to the CA that failed, by kind",
            self.enrolment_failures.clone(),
        );
        self.registry.register(
            "certificate_end_timestamp_seconds",
            "When the agent's certificate of an instance ends",
            self.certificate_end.clone(),
        );
        self.registry.register(
            "policy_age_seconds",
            "Seconds since the CA last confirmed the grants of an instance",
            self.policy_age.clone(),
        );
    }

    /// As text.
    pub(crate) fn encode(&self) -> String {
        daemon::metrics::encode(&self.registry)
    }

    /// A peer has authenticated; the guard counts it out again.
    pub(crate) fn opened(&self, via: Via) -> Open {
        let listener = via.as_str();
        let open = self.open.get_or_create(&OnlyVia { listener }).clone();
        open.inc();
        Open(open)
    }

    /// A client keeps a tunnel ready; the guard counts it out again.
    pub(crate) fn waiting(&self) -> Open {
        self.spares.inc();
        Open(self.spares.clone())
    }

    /// A tunnel that was kept ready has ended without use.
    pub(crate) fn spare_unused(&self, kind: &'static str) {
        self.spares_unused.get_or_create(&Kind { kind }).inc();
    }

    /// A session has gone so far, and will go no further before its end.
    pub(crate) fn opening(&self, legs: &Legs) {
        for leg in Leg::ALL {
            if let Some(time) = legs.time(leg) {
                let leg = leg.as_str();
                let series = self.legs.get_or_create(&OfLeg { leg });
                series.observe(time.as_secs_f64());
            }
        }
    }

    /// A tunnel has ended.
    pub(crate) fn ended(&self, via: Via, by: &'static str, up: u64, down: u64) {
        let listener = via.as_str();
        self.ended
            .get_or_create(&KindVia { kind: by, listener })
            .inc();
        let bytes = |direction| self.bytes.get_or_create(&OneWay { direction }).clone();
        bytes("up").inc_by(up);
        bytes("down").inc_by(down);
    }

    /// An authenticated peer has got no tunnel.
    pub(crate) fn refused(&self, via: Via, code: Option<Code>, kind: &'static str) {
        let kind = code.map_or(kind, Code::as_str);
        let listener = via.as_str();
        self.refused
            .get_or_create(&KindVia { kind, listener })
            .inc();
    }

    /// The database has refused a login with that error.
    pub(crate) fn refused_by_database(&self, number: u16) {
        let cause = cause(number);
        self.database_refusals.get_or_create(&Cause { cause }).inc();
    }

    /// Somebody has not authenticated.
    pub(crate) fn stranger(&self, kind: &'static str) {
        self.strangers.get_or_create(&Kind { kind }).inc();
    }

    /// The CA has not given what was asked.
    pub(crate) fn enrolment_failure(&self, kind: &'static str) {
        self.enrolment_failures.get_or_create(&Kind { kind }).inc();
    }

    /// An instance has a certificate until then.
    pub(crate) fn certificate(&self, instance: &Wanted, end: SystemTime) {
        let seconds = end
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let label = OfInstance {
            instance: instance.to_string(),
        };
        self.certificate_end
            .get_or_create(&label)
            .set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }
}

impl Metrics {
    /// The CA has confirmed an instance's grants so long ago; `None`: there are none.
    pub(crate) fn policy_age(&self, instance: &Wanted, age: Option<Duration>) {
        let label = OfInstance {
            instance: instance.to_string(),
        };
        match age {
            Some(age) => {
                let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
                self.policy_age.get_or_create(&label).set(seconds);
            }
            None => drop(self.policy_age.remove(&label)),
        }
    }
}

/// What an error number of a database's means for a login (MySQL's and MariaDB's error references).
const fn cause(number: u16) -> &'static str {
    match number {
        1040 => "too-many-connections",
        1043 => "bad-handshake",
        1044 | 1045 | 1698 => "access-denied",
        1049 => "unknown-database",
        1053 => "shutting-down",
        1129 => "host-blocked",
        1130 => "host-not-allowed",
        1156 | 1158 | 1159 | 1160 | 1161 => "network",
        1203 | 1226 => "user-limit",
        1820 | 1862 => "password-expired",
        3118 | 4151 => "account-locked",
        3159 => "secure-transport-required",
        _ => "other",
    }
}

/// One open session.
#[derive(Debug)]
pub(crate) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_counted_under_stable_words() {
        let metrics = Metrics::new();
        let open = metrics.opened(Via::Tunnel);
        let one = "csql_server_sessions_open{listener=\"tunnel\"} 1\n";
        assert!(metrics.encode().contains(one));
        drop(open);
        metrics.ended(Via::Tunnel, "application", 7, 9);
        metrics.refused(Via::Direct, Some(Code::NoGrant), "refused");
        metrics.refused(Via::Direct, None, "handshake-closed");
        metrics.refused_by_database(1129);
        metrics.refused_by_database(65_000);
        metrics.stranger("tls-deadline");
        let legs = Legs::default();
        legs.took(Leg::Greeting, Duration::from_millis(200));
        metrics.opening(&legs);
        let text = metrics.encode();
        for line in [
            "csql_server_sessions_open{listener=\"tunnel\"} 0\n",
            "csql_server_sessions_ended_total{kind=\"application\",listener=\"tunnel\"} 1\n",
            "csql_server_sessions_refused_total{kind=\"no-grant\",listener=\"direct\"} 1\n",
            "csql_server_sessions_refused_total{kind=\"handshake-closed\",listener=\"direct\"} 1\n",
            "csql_server_database_refusals_total{cause=\"host-blocked\"} 1\n",
            "csql_server_database_refusals_total{cause=\"other\"} 1\n",
            "csql_server_handshakes_failed_total{kind=\"tls-deadline\"} 1\n",
            "csql_server_bytes_total{direction=\"up\"} 7\n",
            "csql_server_bytes_total{direction=\"down\"} 9\n",
            "csql_server_session_leg_seconds_sum{leg=\"greeting\"} 0.2\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
