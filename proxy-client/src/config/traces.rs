//! Where traces of sessions go.

use std::num::NonZeroU32;

use daemon::settings::Complaints;
use tracing::info;

use crate::settings::Settings;

/// Where traces go, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceConfig {
    /// The collector's URL.
    pub endpoint: String,
    /// One session in so many is told of.
    pub one_in: NonZeroU32,
}

impl TraceConfig {
    /// Nowhere, unless a collector is named; and nowhere where that is said.
    pub(super) fn of(settings: &Settings, complaints: &mut Complaints) -> Option<Self> {
        let Some(endpoint) = &settings.otlp_endpoint else {
            if settings.otlp_sample_rate.is_some() {
                info!("--otlp-sample-rate waits for --otlp-endpoint");
            }
            return None;
        };
        let checked = transport::traces::address(endpoint);
        complaints.check("otlp-endpoint", checked)?;
        let is_disabled = settings.disable_traces == Some(true);
        (!is_disabled).then(|| Self {
            endpoint: endpoint.clone(),
            one_in: settings.otlp_sample_rate.unwrap_or(NonZeroU32::MIN),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &Settings) -> (Option<TraceConfig>, String) {
        let mut complaints = Complaints::default();
        let config = TraceConfig::of(settings, &mut complaints);
        (config, complaints.to_string())
    }

    #[test]
    fn traces_go_where_a_collector_is_named_and_nowhere_else() {
        let mut settings = Settings {
            otlp_sample_rate: NonZeroU32::new(7),
            ..Settings::default()
        };
        assert_eq!(of(&settings).0, None);
        settings.otlp_endpoint = Some("http://127.0.0.1:4318".into());
        let (config, complaints) = of(&settings);
        assert_eq!(config.map(|config| config.one_in.get()), Some(7));
        assert_eq!(complaints, "");
        settings.disable_traces = Some(true);
        assert_eq!(of(&settings).0, None);
        settings.otlp_endpoint = Some("http://u:SECRET@otel".into());
        let (config, complaints) = of(&settings);
        assert_eq!(config, None);
        assert!(complaints.contains("otlp-endpoint"), "{complaints}");
        assert!(!complaints.contains("SECRET"), "{complaints}");
    }
}
