//! The connection test: a tunnel to each instance before any is served.

use std::sync::Arc;

use proto::frame::{Hello, Transport, VERSION};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::info;

use super::StartError;
use crate::session::{self, Served};

/// Opens a tunnel to each instance, side by side, as far as the agent's consent and the database's first word: what
/// stops short of that, a rejected certificate is not noticed by.
pub(super) async fn connect_all(served: &[Arc<Served>]) -> Result<(), StartError> {
    let mut trials = JoinSet::new();
    for served in served {
        let served = Arc::clone(served);
        trials.spawn(async move {
            let deadline = Instant::now() + served.dial_timeout;
            let opened = served.connector.connect(hello(), deadline).await;
            let label = served.label();
            opened
                .map(|_| ())
                .map_err(|error| format!("[{label}] {}", error.refusal()))
        });
    }
    let mut problems: Vec<String> = trials
        .join_all()
        .await
        .into_iter()
        .filter_map(Result::err)
        .collect();
    if problems.is_empty() {
        info!("Connection test passed");
        return Ok(());
    }
    problems.sort();
    Err(StartError::Trial(problems.join("; ")))
}

/// What is said in a tunnel that nobody uses.
pub(crate) fn hello() -> Hello {
    Hello {
        version: VERSION,
        capabilities: Vec::new(),
        session_id: session::session_id(),
        // The connector fills it in.
        instance: String::new(),
        transport: Transport::Tcp,
        peer: None,
        uid: None,
        client: concat!("cloudsql-proxy/", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}
