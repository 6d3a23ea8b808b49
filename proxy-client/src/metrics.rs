//! Metrics, under the names of Google's proxy so that its dashboards work.

use std::sync::{Mutex, PoisonError};

use daemon::metrics::prometheus_client::encoding::EncodeLabelSet;
use daemon::metrics::prometheus_client::metrics::counter::Counter;
use daemon::metrics::prometheus_client::metrics::family::Family;
use daemon::metrics::prometheus_client::metrics::gauge::Gauge;
use daemon::metrics::prometheus_client::metrics::histogram::Histogram;
use daemon::metrics::prometheus_client::registry::Registry;
use proto::Code;
use transport::tunnel::EndedBy;

use crate::legs::Legs;

/// What all names begin with.
const PREFIX: &str = "cloudsqlconn";

/// What each series is labelled with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    cloudsql_instance: String,
    cloudsql_dialer_id: String,
}

/// The same and one more: how a dial ended, what closed a session, which leg. Each has few values.
type KindLabels = Vec<(&'static str, String)>;

/// A counter of things of several kinds.
type Kinds = Family<KindLabels, Counter>;
/// A histogram of several legs.
type LegSeries = Family<KindLabels, Histogram, fn() -> Histogram>;

/// Google's buckets, in milliseconds.
const DIAL_BUCKETS: [f64; 10] = [
    0.0, 5.0, 25.0, 100.0, 250.0, 500.0, 1000.0, 2000.0, 5000.0, 30000.0,
];
/// From a leg within one machine to one that is about to fail, in seconds.
const LEG_BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// A series. Some are counters by nature; but OpenMetrics counters end in `_total`, and Google's names do not.
type Series = Family<Labels, Gauge>;

/// What becomes of a tunnel that is kept ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpareEnd {
    /// An application got it.
    Used,
    /// An application came, and there was none.
    Missed,
    /// It was dead when it was to be used: the application got a fresh one.
    Dead,
    /// The agent ended it.
    Closed,
    /// The certificate or the settings that it was made with are not the current ones.
    Replaced,
    /// Nobody came in its time.
    Aged,
    /// Fewer are worth it now.
    Surplus,
    /// The program stops, or the instance is not served any more.
    Stopped,
    /// It could not be made.
    Failed,
}

impl SpareEnd {
    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Missed => "missed",
            Self::Dead => "dead",
            Self::Closed => "closed",
            Self::Replaced => "replaced",
            Self::Aged => "aged",
            Self::Surplus => "surplus",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// All metrics of the program.
pub struct Metrics {
    registry: Mutex<Registry>,
    dialer_id: String,
    open: Series,
    dial_failure: Series,
    refresh_success: Series,
    refresh_failure: Series,
    sent: Series,
    received: Series,
    certificate_seconds_left: Series,
    clock_skew_seconds: Series,
    dials: Kinds,
    closes: Kinds,
    spares: Series,
    spare_events: Kinds,
    dial_latency: Family<Labels, Histogram, fn() -> Histogram>,
    legs: LegSeries,
}

/// The metrics of one instance.
#[derive(Clone, Debug)]
pub struct InstanceMetrics {
    /// Sessions open now.
    pub open: Gauge,
    /// Sessions that did not come about.
    pub dial_failure: Gauge,
    /// Attempts to get settings and certificate that succeeded.
    pub refresh_success: Gauge,
    /// Those that failed.
    pub refresh_failure: Gauge,
    /// Bytes from applications to databases.
    pub sent: Gauge,
    /// Bytes from databases to applications.
    pub received: Gauge,
    /// Until the certificate ends; 0 without one.
    pub certificate_seconds_left: Gauge,
    /// How far this machine's clock is behind the CA's.
    pub clock_skew_seconds: Gauge,
    /// Tunnels that are kept ready now.
    pub spares: Gauge,
    labels: KindLabels,
    dials: Kinds,
    closes: Kinds,
    spare_events: Kinds,
    dial_latency: Histogram,
    legs: LegSeries,
}

impl InstanceMetrics {
    /// A tunnel was opened, in these legs.
    pub fn dialled(&self, legs: &Legs) {
        self.dials.get_or_create(&self.kind("result", "ok")).inc();
        self.dial_latency.observe(legs.sum().as_secs_f64() * 1000.0);
        for (name, leg) in legs.all() {
            let series = self.legs.get_or_create(&self.kind("leg", name));
            series.observe(leg.as_secs_f64());
        }
    }

    /// No tunnel, and why.
    pub fn refused(&self, code: Code) {
        self.dial_failure.inc();
        self.dials
            .get_or_create(&self.kind("result", code.as_str()))
            .inc();
    }

    /// Counts an application that left before its tunnel was open: neither a success nor a failure.
    pub fn abandoned(&self) {
        self.dials
            .get_or_create(&self.kind("result", "abandoned"))
            .inc();
    }

    /// A session ended, and what ended it.
    pub fn closed(&self, by: EndedBy) {
        self.closes
            .get_or_create(&self.kind("by", by.as_str()))
            .inc();
    }

    /// What became of a tunnel that was kept ready.
    pub fn spare_ended(&self, end: SpareEnd) {
        self.spare_events
            .get_or_create(&self.kind("event", end.as_str()))
            .inc();
    }

    fn kind(&self, label: &'static str, value: &str) -> KindLabels {
        let mut labels = self.labels.clone();
        labels.push((label, value.to_owned()));
        labels
    }
}

impl Metrics {
    /// `dialer_id` tells this process from others; `namespace` comes before each name.
    pub fn new(dialer_id: String, namespace: Option<&str>) -> Self {
        let mut registry = match namespace {
            Some(namespace) => Registry::with_prefix(format!("{namespace}_{PREFIX}")),
            None => Registry::with_prefix(PREFIX),
        };
        let (dials, closes) = (Kinds::default(), Kinds::default());
        let dial_latency = Family::new_with_constructor(dial_histogram as fn() -> Histogram);
        let legs = LegSeries::new_with_constructor(leg_histogram);
        registry.register("connections", "Connections by result", dials.clone());
        registry.register("closes", "Sessions by what ended them", closes.clone());
        let help = "Milliseconds from a connection to its open tunnel";
        registry.register("dial_latency", help, dial_latency.clone());
        let help = "Seconds of each leg from a connection to its open tunnel";
        registry.register("dial_leg_seconds", help, legs.clone());
        let (name, help) = daemon::log::LINES_DROPPED;
        registry.register(name, help, daemon::log::lines_dropped());
        let spare_events = Kinds::default();
        let help = "Tunnels that were kept ready, by what became of them, and applications that found none";
        registry.register("spare_tunnel_events", help, spare_events.clone());
        let mut series = |name: &str, help: &str| {
            let series = Series::default();
            registry.register(name, help, series.clone());
            series
        };
        Self {
            open: series("open_connections", "Open sessions"),
            dial_failure: series("dial_failure_count", "Sessions that did not come about"),
            refresh_success: series("refresh_success_count", "Refreshes that succeeded"),
            refresh_failure: series("refresh_failure_count", "Refreshes that failed"),
            sent: series("bytes_sent", "Bytes to databases"),
            received: series("bytes_received", "Bytes from databases"),
            certificate_seconds_left: series(
                "certificate_seconds_left",
                "Seconds until the certificate ends, 0 without one",
            ),
            clock_skew_seconds: series(
                "clock_skew_seconds",
                "Seconds that this machine's clock is behind the CA's",
            ),
            spares: series("spare_tunnels", "Tunnels that are kept ready"),
            spare_events,
            dials,
            closes,
            dial_latency,
            legs,
            registry: Mutex::new(registry),
            dialer_id,
        }
    }

    /// The series of one instance.
    pub fn of(&self, instance: &str) -> InstanceMetrics {
        let labels = self.labels(instance);
        let of = |series: &Series| series.get_or_create(&labels).clone();
        InstanceMetrics {
            open: of(&self.open),
            dial_failure: of(&self.dial_failure),
            refresh_success: of(&self.refresh_success),
            refresh_failure: of(&self.refresh_failure),
            sent: of(&self.sent),
            received: of(&self.received),
            certificate_seconds_left: of(&self.certificate_seconds_left),
            clock_skew_seconds: of(&self.clock_skew_seconds),
            labels: vec![
                ("cloudsql_instance", instance.to_owned()),
                ("cloudsql_dialer_id", self.dialer_id.clone()),
            ],
            spares: of(&self.spares),
            spare_events: self.spare_events.clone(),
            dials: self.dials.clone(),
            closes: self.closes.clone(),
            dial_latency: self.dial_latency.get_or_create(&labels).clone(),
            legs: self.legs.clone(),
        }
    }

    /// An instance is not served any more: what is true of it now is not told any longer. Its counts stay.
    pub fn forget(&self, instance: &str) {
        let labels = self.labels(instance);
        self.certificate_seconds_left.remove(&labels);
        self.clock_skew_seconds.remove(&labels);
    }

    fn labels(&self, instance: &str) -> Labels {
        Labels {
            cloudsql_instance: instance.to_owned(),
            cloudsql_dialer_id: self.dialer_id.clone(),
        }
    }

    /// All of them as text.
    pub fn text(&self) -> String {
        let registry = self.registry.lock();
        daemon::metrics::encode(&registry.unwrap_or_else(PoisonError::into_inner))
    }
}

fn dial_histogram() -> Histogram {
    Histogram::new(DIAL_BUCKETS)
}

fn leg_histogram() -> Histogram {
    Histogram::new(LEG_BUCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_instance_that_is_gone_the_counts_stay_and_nothing_is_said_of_its_certificate() {
        let metrics = Metrics::new("d".to_owned(), None);
        for instance in ["p:r:a", "p:r:b"] {
            let instance = metrics.of(instance);
            instance.certificate_seconds_left.set(7);
            instance.refused(Code::NoGrant);
        }
        metrics.forget("p:r:a");
        let text = metrics.text();
        let lines = |name: &str, instance: &str| {
            let is_it = |line: &&str| line.starts_with(name) && line.contains(instance);
            text.lines().filter(is_it).count()
        };
        assert_eq!(lines("cloudsqlconn_certificate_seconds_left", "p:r:a"), 0);
        assert_eq!(lines("cloudsqlconn_certificate_seconds_left", "p:r:b"), 1);
        assert_eq!(lines("cloudsqlconn_connections_total", "p:r:a"), 1);
    }
}
