//! `--quitquitquit`: a port of this machine where a request ends the program, as jobs with a sidecar expect it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use daemon::health::{More, Page, converse};
use daemon::shutdown::Signal;
use tokio::sync::Semaphore;
use tracing::info;
use transport::accept::{Listener, accept_loop};

use super::{StartError, Workers};
use crate::admin::QUIT;
use crate::health::{self, Status};

/// Most conversations at once.
const MAX_CONNECTIONS: usize = 16;

/// Binds the port and answers until the program has ended.
pub(super) fn serve(port: u16, status: &Arc<Status>, workers: &Workers) -> Result<(), StartError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener =
        Listener::bind_tcp(address).map_err(|source| StartError::Quit { port, source })?;
    info!(
        address = listener.local(),
        "POST /quitquitquit ends this program"
    );
    let (shutdown, ended) = (workers.shutdown.clone(), workers.cut.clone());
    // Only by POST: a page that somebody opens, or a crawler, ends nothing.
    let more: More = Arc::new(move |method, path| match (method, path) {
        ("POST", QUIT) => {
            shutdown.request(Signal::Request);
            Some(plain(200, "stopping\n"))
        }
        (_, QUIT) => Some(plain(405, "only POST\n")),
        _ => None,
    });
    let probes = health::probes(status, None);
    let (tasks, closed) = (workers.tasks.clone(), workers.cut.clone());
    workers.tasks.spawn(async move {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let on_connection = move |socket, _, permit| {
            let talk = converse(
                socket,
                probes.clone(),
                Some(Arc::clone(&more)),
                ended.clone(),
            );
            async move {
                talk.await;
                drop(permit);
            }
        };
        let on_limit = |_, _| std::future::ready(());
        accept_loop(listener, permits, closed, &tasks, on_connection, on_limit).await;
    });
    Ok(())
}

fn plain(status: u16, body: &str) -> Page {
    Page {
        status,
        kind: "text/plain",
        body: body.to_owned(),
    }
}
