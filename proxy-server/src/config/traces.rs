//! Where traces of sessions go.

use std::num::NonZeroU32;

use daemon::settings::Complaints;

use crate::settings::Settings;

/// Where traces go, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceConfig {
    /// The collector's URL.
    pub(crate) endpoint: String,
    /// One session in so many is told of.
    pub(crate) one_in: NonZeroU32,
}

impl TraceConfig {
    /// Nowhere, unless a collector is named.
    pub(super) fn of(settings: &Settings, complaints: &mut Complaints) -> Option<Self> {
        let endpoint = settings.otlp_endpoint.clone()?;
        complaints.check("otlp-endpoint", transport::traces::address(&endpoint))?;
        let one_in = settings.otlp_sample_rate.unwrap_or(NonZeroU32::MIN);
        Some(Self { endpoint, one_in })
    }
}
