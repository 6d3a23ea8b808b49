//! One connection: HTTP/1.1 or HTTP/2, its headers and its silence bounded.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use daemon::health::{Probes, Verdict};
use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::debug;

/// Longest time for the header of a request.
const HEADER: Duration = Duration::from_secs(5);
/// Longest header.
const MAX_HEADER: usize = 16 * 1024;
/// Longest silence between requests; before the first it is [`HEADER`].
const IDLE: Duration = Duration::from_secs(60);
/// Longest wait for a connection to close after it was told to.
const FAREWELL: Duration = Duration::from_secs(1);
/// Requests in progress on one HTTP/2 connection: an agent waits for changes of many instances at once.
const STREAMS: u32 = 256;

/// A connection that is about to be served.
pub(super) struct Connection {
    /// Answers its requests.
    pub(super) router: Router,
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
        let (router, counted) = (self.router.clone(), activity.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, request_in_progress) = (router.clone(), counted.begin());
            async move {
                let response: Result<Response, Infallible> =
                    router.oneshot(request.map(Body::new)).await;
                drop(request_in_progress);
                response
            }
        });
        let stream = TokioIo::new(stream);
        if is_http2 {
            let connection = http2::Builder::new(Tracked(self.tracker.clone()))
                .timer(TokioTimer::new())
                .keep_alive_interval(Duration::from_secs(20))
                .keep_alive_timeout(Duration::from_secs(10))
                .max_concurrent_streams(STREAMS)
                .max_header_list_size(u32::try_from(MAX_HEADER).unwrap_or(u32::MAX))
                .serve_connection(stream, service);
            self.watch(connection, &activity).await;
        } else {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER)
                .max_buf_size(MAX_HEADER)
                .serve_connection(stream, service);
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

/// Whether requests are in progress on a connection, and since when none is.
#[derive(Clone)]
struct Activity(Arc<Mutex<State>>);

struct State {
    in_progress: usize,
    served: bool,
    quiet_since: Instant,
}

/// A request in progress.
struct InProgress(Activity);

impl Activity {
    fn new() -> Self {
        let state = State {
            in_progress: 0,
            served: false,
            quiet_since: Instant::now(),
        };
        Self(Arc::new(Mutex::new(state)))
    }

    fn begin(&self) -> InProgress {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_progress += 1;
        state.served = true;
        InProgress(self.clone())
    }

    /// Ends when the connection has been silent for too long.
    async fn silence(&self) {
        self.silence_while(|served| if served { IDLE } else { HEADER })
            .await;
    }

    /// Ends when the connection has been silent for so long.
    async fn silence_of(&self, limit: Duration) {
        self.silence_while(|_| limit).await;
    }

    async fn silence_while(&self, limit: impl Fn(bool) -> Duration) {
        loop {
            let end = {
                let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let limit = limit(state.served);
                let since = if state.in_progress > 0 {
                    Instant::now()
                } else {
                    state.quiet_since
                };
                since + limit
            };
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_progress = state.in_progress.saturating_sub(1);
        state.quiet_since = Instant::now();
    }
}

/// The health listener's questions, answered from what is known.
pub(super) fn probes(
    healthy: watch::Receiver<bool>,
    metrics: impl Fn() -> String + Send + Sync + 'static,
) -> Probes {
    let verdict = |healthy: bool| Verdict {
        healthy,
        body: format!(
            "{{\"status\":\"{}\"}}\n",
            if healthy { "ok" } else { "failed" }
        ),
    };
    Probes {
        startup: Arc::new(move || verdict(true)),
        readiness: Arc::new(move || verdict(*healthy.borrow())),
        liveness: Arc::new(move || verdict(true)),
        metrics: Some(Arc::new(metrics)),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// A served connection and how long it lasted, once it has ended.
    fn serve(is_http2: bool) -> (DuplexStream, impl Future<Output = Duration>) {
        let (near, far) = duplex(64 * 1024);
        let handler = async || "hello";
        let connection = Connection {
            router: Router::new().fallback(handler),
            stopping: CancellationToken::new(),
            tracker: TaskTracker::new(),
        };
        let begun = Instant::now();
        let served = async move {
            connection.serve(far, is_http2).await;
            begun.elapsed()
        };
        (near, served)
    }

    #[tokio::test]
    async fn a_silent_peer_is_cut_whatever_it_said_it_would_speak() {
        for is_http2 in [false, true] {
            let (_near, served) = serve(is_http2);
            let lasted = served.await;
            assert!(
                (Duration::from_secs(4)..Duration::from_secs(8)).contains(&lasted),
                "{lasted:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_peer_that_drips_http_2_frames_without_a_request_is_cut() {
        let (mut near, served) = serve(true);
        near.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        near.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        let drip = async {
            // An empty SETTINGS frame, over and over; what comes back is read and thrown away.
            let mut buffer = [0; 1024];
            let mut pace = tokio::time::interval(Duration::from_millis(200));
            loop {
                tokio::select! {
                    read = near.read(&mut buffer) => {
                        if matches!(read, Ok(0) | Err(_)) {
                            return;
                        }
                    }
                    _ = pace.tick() => {
                        if near.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.is_err() {
                            return;
                        }
                    }
                }
            }
        };
        let (lasted, ()) = tokio::join!(served, drip);
        assert!(
            (Duration::from_secs(4)..Duration::from_secs(8)).contains(&lasted),
            "{lasted:?}"
        );
    }
}
