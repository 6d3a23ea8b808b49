//! Where instances' domains are looked up, and what becomes of sessions when one leads elsewhere.

use std::time::Duration;

use transport::socket::Names;

use crate::settings::Settings;

/// Google's connectors ask as often.
const PERIOD: Duration = Duration::from_secs(30);

/// What is done about instances that are named by a domain.
#[derive(Clone, Debug)]
pub struct Failover {
    /// Who resolves names.
    pub names: Names,
    /// How often a domain is looked up.
    pub period: Duration,
    /// How long sessions of the instance that it led to before live on; `None` as long as they like.
    pub grace: Option<Duration>,
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            names: Names::default(),
            period: PERIOD,
            grace: None,
        }
    }
}

impl Failover {
    pub(super) fn of(settings: &Settings) -> Self {
        let period = settings.failover_period.map(|span| span.0);
        Self {
            // Nobody means to ask all the time.
            period: period.map_or(PERIOD, |period| period.max(Duration::from_secs(1))),
            grace: settings.switch_grace.map(|span| span.0),
            ..Self::default()
        }
    }
}
