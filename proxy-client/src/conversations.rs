//! The listeners over which the program itself is asked: HTTP, few conversations at once, at their end with the program.

use std::sync::Arc;

use daemon::health::{Access, More, Page, Probes, converse};
use daemon::shutdown::{Shutdown, Signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::accept::{Crew, Listener, accept_loop};

/// The path that ends the program, as Google's proxy calls it; only by POST.
pub const QUIT: &str = "/quitquitquit";

/// Most at once, on each listener.
const MAX_CONVERSATIONS: usize = 16;

/// Answers until `cancel`.
pub(crate) fn hold(
    listener: Listener,
    probes: Probes,
    more: More,
    cancel: CancellationToken,
    tracker: &TaskTracker,
) {
    let access = listener.local_addr().map_or(Access::Private, Access::Tcp);
    let (crew, ended) = (Crew::here(tracker.clone()), cancel.clone());
    tracker.spawn(async move {
        let permits = Arc::new(Semaphore::new(MAX_CONVERSATIONS));
        let on_connection = move |socket, _, permit| {
            let pages = (probes.clone(), Some(Arc::clone(&more)));
            let talk = converse(socket, pages, access, ended.clone());
            async move {
                talk.await;
                drop(permit);
            }
        };
        let on_limit = |_, _| std::future::ready(());
        accept_loop(listener, permits, cancel, &crew, on_connection, on_limit).await;
    });
}

/// The answer to [`QUIT`]. Only by POST: a page that somebody opens, or a crawler, ends nothing.
pub(crate) fn quit(method: &str, shutdown: &Shutdown) -> Page {
    if method != "POST" {
        return plain(405, "only POST\n");
    }
    shutdown.request(Signal::Request);
    plain(200, "stopping\n")
}

fn plain(status: u16, body: &str) -> Page {
    Page {
        status,
        kind: "text/plain",
        body: body.to_owned(),
    }
}
