//! One connection: HTTP/1.1 or HTTP/2, its headers and its silence bounded.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, DATE, HeaderName, HeaderValue};
use axum::response::Response;
use daemon::health::{Probes, Verdict};
use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::debug;

use super::activity::{Activity, Heard};
use crate::clock::{Clock, system_time};
use crate::http::App;

/// Longest header.
const MAX_HEADER: usize = 16 * 1024;
/// Longest wait for a connection to close after it was told to.
const FAREWELL: Duration = Duration::from_secs(1);
/// Requests in progress on one HTTP/2 connection: an agent waits for changes of many instances at once.
const STREAMS: u32 = 256;
/// Bytes that a peer may send on one HTTP/2 stream, and on all of a connection together, before they are read.
const STREAM_WINDOW: u32 = 16 * 1024;
const CONNECTION_WINDOW: u32 = 64 * 1024;
/// Tells HTTP/1.1 clients to close an idle connection themselves, before a request meets its end.
const KEEP_ALIVE: (HeaderName, HeaderValue) = (
    HeaderName::from_static("keep-alive"),
    HeaderValue::from_static("timeout=55"),
);

/// A connection that is about to be served.
pub(super) struct Connection {
    /// Answers its requests.
    pub(super) router: Router,
    /// What answers say that it is.
    pub(super) clock: Clock,
    /// Cancelled when the service stops.
    pub(super) stopping: CancellationToken,
    /// Owns the tasks of HTTP/2 streams.
    pub(super) tracker: TaskTracker,
}

/// Both kinds of hyper's connections.
trait Polite: Future<Output = hyper::Result<()>> {
    fn close_gracefully(self: Pin<&mut Self>);
}

impl Connection {
    /// Serves requests until the peer is done, has been silent for too long, or the service stops.
    pub(super) async fn serve<S>(self, stream: S, is_http2: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new();
        let (router, counted, clock) = (self.router.clone(), activity.clone(), self.clock.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (parts, body) = request.into_parts();
            let (request_in_progress, body) = counted.begin(body);
            let (router, clock) = (router.clone(), clock.clone());
            async move {
                let request = Request::from_parts(parts, Body::new(body));
                let response: Result<Response, Infallible> = router.oneshot(request).await;
                drop(request_in_progress);
                response.map(|response| stamp(response, &clock, is_http2))
            }
        });
        if is_http2 {
            let connection = http2::Builder::new(Tracked(self.tracker.clone()))
                .timer(TokioTimer::new())
                .auto_date_header(false)
                .keep_alive_interval(Duration::from_secs(20))
                .keep_alive_timeout(Duration::from_secs(10))
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_concurrent_streams(STREAMS)
                .max_header_list_size(u32::try_from(MAX_HEADER).unwrap_or(u32::MAX))
                .serve_connection(TokioIo::new(stream), service);
            self.watch(connection, &activity).await;
        } else {
            let stream = Heard::new(stream, activity.clone());
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .auto_date_header(false)
                // Ours, from the header's first byte.
                .header_read_timeout(None)
                .max_buf_size(MAX_HEADER)
                .serve_connection(TokioIo::new(stream), service);
            self.watch(connection, &activity).await;
        }
    }

    async fn watch(&self, connection: impl Polite, activity: &Activity) {
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return told(ended),
            () = activity.silence() => debug!("connection silent for too long"),
            () = self.stopping.cancelled() => {
                connection.as_mut().close_gracefully();
                // Requests in progress have their own deadlines.
                tokio::select! {
                    ended = connection.as_mut() => return told(ended),
                    () = activity.silence_of(FAREWELL) => {}
                }
            }
        }
        connection.as_mut().close_gracefully();
        if let Ok(ended) = tokio::time::timeout(FAREWELL, connection).await {
            told(ended);
        }
    }
}

fn told(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
}

impl<I, S> Polite for http1::Connection<I, S>
where
    Self: Future<Output = hyper::Result<()>>,
    S: hyper::service::HttpService<Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResBody: hyper::body::Body + 'static,
    <S::ResBody as hyper::body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn close_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Polite for http2::Connection<I, S, Tracked>
where
    Self: Future<Output = hyper::Result<()>>,
    S: hyper::service::HttpService<Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResBody: hyper::body::Body + 'static,
    <S::ResBody as hyper::body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    Tracked: hyper::rt::bounds::Http2ServerConnExec<S::Future, S::ResBody>,
{
    fn close_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs HTTP/2's tasks in the tracker.
#[derive(Clone)]
pub(super) struct Tracked(TaskTracker);

impl<F> Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        self.0.spawn(async move {
            task.await;
        });
    }
}

/// Adds what every answer has. hyper's own `Date` would stay where it was when the clock is set back.
fn stamp(mut response: Response, clock: &Clock, is_http2: bool) -> Response {
    let headers = response.headers_mut();
    let date = httpdate::fmt_http_date(system_time(clock.now()));
    if let Ok(date) = HeaderValue::from_str(&date) {
        headers.insert(DATE, date);
    }
    if !is_http2 && !headers.contains_key(CONNECTION) {
        let (name, value) = KEEP_ALIVE;
        headers.insert(name, value);
    }
    response
}

/// The health listener's questions, answered from what has been measured.
pub(super) fn probes(app: Arc<App>) -> Probes {
    let alive = || Verdict {
        healthy: true,
        body: "{\"status\":\"ok\"}\n".to_owned(),
    };
    let measured = Arc::clone(&app);
    Probes {
        startup: Arc::new(alive),
        readiness: Arc::new(move || {
            let report = measured.readiness.report();
            Verdict {
                healthy: report.ready,
                body: report.body,
            }
        }),
        liveness: Arc::new(alive),
        metrics: Some(Arc::new(move || app.metrics.text())),
    }
}

#[cfg(test)]
mod tests;
