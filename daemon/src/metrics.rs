//! Metrics in the OpenMetrics text format.

pub use prometheus_client;
use prometheus_client::registry::Registry;

/// The content type of [`encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of a registry as text.
pub fn encode(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a String does not fail; an encoder that fails must not take the daemon with it.
    if let Err(error) = prometheus_client::encoding::text::encode(&mut text, registry) {
        tracing::warn!(%error, "metrics could not be written");
        text.clear();
    }
    text
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn metrics_end_with_the_mark_that_scrapers_demand() {
        let mut registry = Registry::default();
        let counter: Counter = Counter::default();
        registry.register("sessions", "Sessions begun", counter.clone());
        counter.inc();
        let text = encode(&registry);
        assert!(text.contains("sessions_total 1\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
