//! What the agent does beside the sessions.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::traces::{TraceSettings, Traces};

use super::setup;
use crate::config::TraceConfig;
use crate::error::ServeError;
use crate::readiness;
use crate::session::Agent;

/// Between two looks at the start.
const START_TICK: Duration = Duration::from_millis(200);
/// The start may take this much longer, reported at every look.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// The tasks beside the sessions.
#[derive(Default)]
pub(super) struct Background {
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Background {
    pub(super) fn answer_probes(
        &self,
        http: std::net::TcpListener,
        agent: &Arc<Agent>,
    ) -> Result<(), ServeError> {
        let probes = readiness::probes(
            Arc::clone(&agent.served),
            Arc::clone(&agent.metrics),
            agent.drain.clone(),
        );
        daemon::health::start(http, probes, self.stop.clone(), &self.tasks)
            .map_err(|error| setup("the HTTP listener", error.to_string()))?;
        Ok(())
    }

    /// Reports the start to the service manager once an instance can be served. While the CA is away the start is
    /// extended, and the status line says why.
    pub(super) fn tell_the_service_manager(&self, agent: &Arc<Agent>) {
        if !daemon::notify::is_wanted() {
            return;
        }
        let (served, stop) = (Arc::clone(&agent.served), self.stop.clone());
        self.tasks.spawn(async move {
            while !readiness::has_started(&served) {
                daemon::notify::starting(START_PATIENCE);
                daemon::notify::status(&readiness::problems(&served));
                tokio::select! {
                    () = tokio::time::sleep(START_TICK) => {}
                    () = stop.cancelled() => return,
                }
            }
            daemon::notify::ready();
            daemon::notify::status("serving");
        });
    }

    /// Tells a collector of sessions, if there is one; what is left at the end too.
    pub(super) fn traces(
        &self,
        config: Option<&TraceConfig>,
    ) -> Result<Option<Traces>, ServeError> {
        let Some(TraceConfig { endpoint, one_in }) = config.cloned() else {
            return Ok(None);
        };
        let settings = TraceSettings {
            endpoint,
            one_in,
            program: "cloudsql-proxy-server",
            version: env!("CARGO_PKG_VERSION"),
            clock: daemon::clock::system(),
        };
        let started = Traces::start(settings, &self.tasks, self.stop.clone());
        let started = started.map_err(|error| setup("traces of sessions", error.to_string()))?;
        Ok(Some(started))
    }

    pub(super) async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
