//! What is counted. Label sets are bounded: instances of the settings, and stable words.

use std::time::SystemTime;

use daemon::metrics::prometheus_client::encoding::EncodeLabelSet;
use daemon::metrics::prometheus_client::metrics::counter::Counter;
use daemon::metrics::prometheus_client::metrics::family::Family;
use daemon::metrics::prometheus_client::metrics::gauge::Gauge;
use daemon::metrics::prometheus_client::registry::Registry;
use proto::Code;

use crate::config::Wanted;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfInstance {
    instance: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OneWay {
    direction: &'static str,
}

/// The agent's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    open: Gauge,
    ended: Family<Kind, Counter>,
    refused: Family<Kind, Counter>,
    strangers: Family<Kind, Counter>,
    bytes: Family<OneWay, Counter>,
    enrolment_failures: Family<Kind, Counter>,
    certificate_end: Family<OfInstance, Gauge>,
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("csql_server"),
            open: Gauge::default(),
            ended: Family::default(),
            refused: Family::default(),
            strangers: Family::default(),
            bytes: Family::default(),
            enrolment_failures: Family::default(),
            certificate_end: Family::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "sessions_open",
            "Authenticated connections now",
            metrics.open.clone(),
        );
        registry.register(
            "sessions_ended",
            "Tunnels that ended, by what ended them",
            metrics.ended.clone(),
        );
        registry.register(
            "sessions_refused",
            "Authenticated peers that got no tunnel, by the refusal's code or the failure's kind",
            metrics.refused.clone(),
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
            "enrolment_failures",
            "Questions to the CA that failed, by kind",
            metrics.enrolment_failures.clone(),
        );
        registry.register(
            "certificate_end_timestamp_seconds",
            "When the agent's certificate of an instance ends",
            metrics.certificate_end.clone(),
        );
        metrics
    }

    /// As text.
    pub(crate) fn encode(&self) -> String {
        daemon::metrics::encode(&self.registry)
    }

    /// A peer has authenticated; the guard counts it out again.
    pub(crate) fn opened(&self) -> Open<'_> {
        self.open.inc();
        Open(&self.open)
    }

    /// A tunnel has ended.
    pub(crate) fn ended(&self, by: &'static str, up: u64, down: u64) {
        self.ended.get_or_create(&Kind { kind: by }).inc();
        let bytes = |direction| self.bytes.get_or_create(&OneWay { direction }).clone();
        bytes("up").inc_by(up);
        bytes("down").inc_by(down);
    }

    /// An authenticated peer has got no tunnel.
    pub(crate) fn refused(&self, code: Option<Code>, kind: &'static str) {
        let kind = code.map_or(kind, Code::as_str);
        self.refused.get_or_create(&Kind { kind }).inc();
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

/// One open session.
#[derive(Debug)]
pub(crate) struct Open<'a>(&'a Gauge);

impl Drop for Open<'_> {
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
        let open = metrics.opened();
        assert!(metrics.encode().contains("csql_server_sessions_open 1\n"));
        drop(open);
        metrics.ended("application", 7, 9);
        metrics.refused(Some(Code::NoGrant), "refused");
        metrics.refused(None, "handshake-closed");
        metrics.stranger("tls-deadline");
        let text = metrics.encode();
        for line in [
            "csql_server_sessions_open 0\n",
            "csql_server_sessions_ended_total{kind=\"application\"} 1\n",
            "csql_server_sessions_refused_total{kind=\"no-grant\"} 1\n",
            "csql_server_sessions_refused_total{kind=\"handshake-closed\"} 1\n",
            "csql_server_handshakes_failed_total{kind=\"tls-deadline\"} 1\n",
            "csql_server_bytes_total{direction=\"up\"} 7\n",
            "csql_server_bytes_total{direction=\"down\"} 9\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
