//! Metrics, under the names of Google's proxy so that its dashboards work.

use std::sync::{Mutex, PoisonError};

use daemon::metrics::prometheus_client::encoding::EncodeLabelSet;
use daemon::metrics::prometheus_client::metrics::family::Family;
use daemon::metrics::prometheus_client::metrics::gauge::Gauge;
use daemon::metrics::prometheus_client::registry::Registry;

/// What all names begin with.
const PREFIX: &str = "cloudsqlconn";

/// What each series is labelled with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    cloudsql_instance: String,
    cloudsql_dialer_id: String,
}

/// A series. Some are counters by nature; but OpenMetrics counters end in `_total`, and Google's names do not.
type Series = Family<Labels, Gauge>;

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
}

impl Metrics {
    /// `dialer_id` tells this process from others; `namespace` comes before each name.
    pub fn new(dialer_id: String, namespace: Option<&str>) -> Self {
        let mut registry = match namespace {
            Some(namespace) => Registry::with_prefix(format!("{namespace}_{PREFIX}")),
            None => Registry::with_prefix(PREFIX),
        };
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
            registry: Mutex::new(registry),
            dialer_id,
        }
    }

    /// The series of one instance.
    pub fn of(&self, instance: &str) -> InstanceMetrics {
        let labels = Labels {
            cloudsql_instance: instance.to_owned(),
            cloudsql_dialer_id: self.dialer_id.clone(),
        };
        let of = |series: &Series| series.get_or_create(&labels).clone();
        InstanceMetrics {
            open: of(&self.open),
            dial_failure: of(&self.dial_failure),
            refresh_success: of(&self.refresh_success),
            refresh_failure: of(&self.refresh_failure),
            sent: of(&self.sent),
            received: of(&self.received),
        }
    }

    /// All of them as text.
    pub fn text(&self) -> String {
        let registry = self.registry.lock();
        daemon::metrics::encode(&registry.unwrap_or_else(PoisonError::into_inner))
    }
}
