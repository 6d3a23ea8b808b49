//! `--quitquitquit`: a port of this machine where a request ends the program, as jobs with a sidecar expect it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use daemon::health::More;
use tracing::info;
use transport::accept::Listener;

use super::{StartError, Workers};
use crate::conversations::{QUIT, hold, quit};
use crate::health::{self, Status};

/// Binds the port and answers until the program has ended.
pub(super) fn serve(port: u16, status: &Arc<Status>, workers: &Workers) -> Result<(), StartError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener =
        Listener::bind_tcp(address).map_err(|source| StartError::Quit { port, source })?;
    info!(
        address = listener.local(),
        "POST /quitquitquit ends this program"
    );
    let shutdown = workers.shutdown.clone();
    let more: More = Arc::new(move |method, path| (path == QUIT).then(|| quit(method, &shutdown)));
    let probes = health::probes(status, None);
    hold(listener, probes, more, workers.cut.clone(), &workers.tasks);
    Ok(())
}
