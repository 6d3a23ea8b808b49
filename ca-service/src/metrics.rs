//! Counters. Labels are words of ours only: no name, serial number or address.

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::issuer::Purpose;

/// What the CA counts.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    refusals: Family<Refused, Counter>,
    certificates: Family<Issued, Counter>,
    remembered: Gauge,
    deleted: Family<Deleted, Counter>,
    /// Open connections.
    pub(crate) connections: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    route: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Issued {
    purpose: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Deleted {
    table: &'static str,
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("cloudsql_ca"),
            requests: Family::default(),
            refusals: Family::default(),
            certificates: Family::default(),
            remembered: Gauge::default(),
            deleted: Family::default(),
            connections: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("requests", "Requests answered", metrics.requests.clone());
        registry.register(
            "refusals",
            "Requests refused, by reason",
            metrics.refusals.clone(),
        );
        registry.register(
            "certificates",
            "Certificates issued",
            metrics.certificates.clone(),
        );
        registry.register(
            "remembered_assertions",
            "Assertions remembered so that they are not accepted twice",
            metrics.remembered.clone(),
        );
        registry.register(
            "deleted_rows",
            "Rows of the store deleted because they were old",
            metrics.deleted.clone(),
        );
        registry.register(
            "connections",
            "Open connections",
            metrics.connections.clone(),
        );
        let (name, help) = daemon::log::LINES_DROPPED;
        registry.register(name, help, daemon::log::lines_dropped());
        metrics
    }

    /// A request has been answered.
    pub(crate) fn answered(&self, route: &'static str, status: StatusCode) {
        self.requests
            .get_or_create(&Answered {
                route,
                status: status.as_u16(),
            })
            .inc();
    }

    /// A request has been refused.
    pub(crate) fn refused(&self, route: &'static str, reason: &'static str) {
        self.refusals
            .get_or_create(&Refused { route, reason })
            .inc();
    }

    /// A certificate has been issued.
    pub(crate) fn issued(&self, purpose: Purpose) {
        self.certificates
            .get_or_create(&Issued {
                purpose: purpose.word(),
            })
            .inc();
    }

    /// So many assertions are remembered.
    pub(crate) fn remembered(&self, count: i64) {
        self.remembered.set(count);
    }

    /// Old rows have been deleted.
    pub(crate) fn deleted(&self, table: &'static str, rows: u64) {
        self.deleted.get_or_create(&Deleted { table }).inc_by(rows);
    }

    /// All as text.
    pub(crate) fn text(&self) -> String {
        daemon::metrics::encode(&self.registry)
    }
}
