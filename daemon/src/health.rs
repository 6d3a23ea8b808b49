//! The health server: `/startup`, `/readiness`, `/liveness`, `/metrics` over HTTP/1, and what a program adds.
//!
//! Made for probes: few connections, short lives, no bodies read. [`start`] gives them a thread of their own, so that they
//! are answered however busy the program is.

mod access;
mod pulse;
mod slots;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::log::LogThrottle;
pub use access::Access;
use pulse::Pulse;
use slots::Slots;

/// Longest wait for the header of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest life of a connection, however many requests it makes.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest header of a request.
const MAX_HEADER: usize = 16 * 1024;
/// Wait after a failed accept.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// What a probe answers: 200 or 503, with a reason for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// 200 when true, 503 when not.
    pub healthy: bool,
    /// JSON.
    pub body: String,
}

/// What asks the program how it is. Called for each request: keep it cheap.
pub type Probe = Arc<dyn Fn() -> Verdict + Send + Sync>;

/// The questions that the health server answers.
#[derive(Clone)]
pub struct Probes {
    /// Has it started?
    pub startup: Probe,
    /// Can it serve now?
    pub readiness: Probe,
    /// Should it be left alone (200) or restarted (503)?
    pub liveness: Probe,
    /// The metrics as text; `None` answers 404.
    pub metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

/// A page of the program's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub kind: &'static str,
    /// The content.
    pub body: String,
}

/// Pages beside the probes: asked first, with method and path; `None` leaves the question to the probes.
pub type More = Arc<dyn Fn(&str, &str) -> Option<Page> + Send + Sync>;

/// Answers on a thread of its own until `cancel`; a task of `tracker` ends with it. Liveness turns red when the runtime that
/// calls this stands still.
///
/// # Errors
/// When there can be no thread for it.
pub fn start(
    listener: std::net::TcpListener,
    mut probes: Probes,
    cancel: CancellationToken,
    tracker: &TaskTracker,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let pulse = Arc::new(Pulse::new());
    probes.liveness = pulse.watched(probes.liveness);
    let (ended, has_ended) = oneshot::channel::<()>();
    let stop = cancel.clone();
    let serve = async move {
        match TcpListener::from_std(listener) {
            Ok(listener) => serve(listener, probes, stop, TaskTracker::new()).await,
            Err(error) => warn!(%error, "probes cannot be answered"),
        }
    };
    thread::Builder::new()
        .name("health".to_owned())
        .spawn(move || {
            runtime.block_on(serve);
            drop(runtime);
            drop(ended);
        })?;
    tracker.spawn(async move {
        cancel.run_until_cancelled(pulse.beat()).await;
        // An error says that the sender is gone, which is how the thread says that it has ended.
        drop(has_ended.await);
    });
    Ok(())
}

/// Answers until `cancel`. When all places are taken, the oldest connection without a request makes room.
async fn serve(
    listener: TcpListener,
    probes: Probes,
    cancel: CancellationToken,
    tracker: TaskTracker,
) {
    let access = match listener.local_addr() {
        Ok(address) => Access::Tcp(address),
        Err(_) => Access::Private,
    };
    let (mut slots, failures) = (Slots::default(), LogThrottle::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = cancel.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let slot = slots.take(&cancel);
                let probes = probes.clone();
                tracker.spawn(async move {
                    let (ended, served) = (slot.ended(), slot.served());
                    talk(stream, (probes, None), access, ended, served).await;
                });
                // The new connection is looked at before the next one comes: it may be the oldest by then.
                tokio::task::yield_now().await;
            }
            Err(error) => {
                if let Some(repeated) = failures.due(error.kind()) {
                    warn!(%error, repeated, "a health connection could not be accepted");
                }
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Answers the requests of one connection, which somebody else has accepted.
pub async fn converse<S>(
    stream: S,
    pages: (Probes, Option<More>),
    access: Access,
    cancel: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    talk(stream, pages, access, cancel, Arc::default()).await;
}

async fn talk<S>(
    stream: S,
    (probes, more): (Probes, Option<More>),
    access: Access,
    cancel: CancellationToken,
    served: Arc<AtomicBool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let service = service_fn(move |request: Request<Incoming>| {
        served.store(true, Ordering::Relaxed);
        let (method, path) = (request.method(), request.uri().path());
        let response = match access.refusal(&request) {
            Some(why) => text(StatusCode::FORBIDDEN, "text/plain", why),
            None => match more.as_ref().and_then(|more| more(method.as_str(), path)) {
                Some(page) => shown(&page),
                None => answer(&probes, method, path),
            },
        };
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = tokio::time::timeout(CONNECTION_TIMEOUT, connection) => {
            debug!(?ended, "a health connection ended");
        }
        () = cancel.cancelled() => {}
    }
}

fn answer(probes: &Probes, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n");
    }
    let probe = match path {
        "/startup" => &probes.startup,
        "/readiness" | "/readyz" => &probes.readiness,
        "/liveness" | "/livez" => &probes.liveness,
        "/metrics" => {
            return match &probes.metrics {
                Some(metrics) => text(StatusCode::OK, crate::metrics::CONTENT_TYPE, &metrics()),
                None => not_found(),
            };
        }
        _ => return not_found(),
    };
    let verdict = probe();
    let status = if verdict.healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    text(status, "application/json", &verdict.body)
}

fn shown(page: &Page) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    text(status, page.kind, &page.body)
}

fn not_found() -> Response<Full<Bytes>> {
    let paths = "there are /startup, /readiness, /liveness, /metrics\n";
    text(StatusCode::NOT_FOUND, "text/plain", paths)
}

fn text(status: StatusCode, kind: &'static str, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests;
