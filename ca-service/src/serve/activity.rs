//! Activity of a connection: requests in progress, a header that has begun, or silence since when.
//!
//! hyper's own limit for headers counts from the end of the last answer, which would end idle connections early.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Longest time for the header of a request, from its first byte.
pub(super) const HEADER: Duration = Duration::from_secs(5);
/// Longest silence between requests; before the first it is [`HEADER`].
pub(super) const IDLE: Duration = Duration::from_secs(60);

/// What goes on on a connection.
#[derive(Clone)]
pub(super) struct Activity(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    in_progress: usize,
    served: bool,
    quiet_since: Instant,
    /// When the first byte of a header came, if one has begun.
    header_since: Option<Instant>,
    /// Whether the last request's body has been read to its end: otherwise what comes is the rest of that.
    body_read: Arc<AtomicBool>,
}

/// A request in progress.
pub(super) struct InProgress(Activity);

impl Activity {
    pub(super) fn new() -> Self {
        let state = State {
            in_progress: 0,
            served: false,
            quiet_since: Instant::now(),
            header_since: None,
            body_read: Arc::new(AtomicBool::new(true)),
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Notify::new(),
        }))
    }

    /// A request has come.
    pub(super) fn begin(&self, body: Incoming) -> (InProgress, Watched) {
        let body_read = Arc::new(AtomicBool::new(body.is_end_stream()));
        let mut state = self.state();
        state.in_progress += 1;
        state.served = true;
        state.header_since = None;
        state.body_read = Arc::clone(&body_read);
        let watched = Watched { body, body_read };
        (InProgress(self.clone()), watched)
    }

    /// Ends when the connection has been silent for too long, or a header takes too long.
    pub(super) async fn silence(&self) {
        self.silence_after(|state| match (state.header_since, state.served) {
            (Some(begun), _) => begun + HEADER,
            (None, true) => state.quiet_since + IDLE,
            (None, false) => state.quiet_since + HEADER,
        })
        .await;
    }

    /// Ends when no request has been in progress for so long.
    pub(super) async fn silence_of(&self, limit: Duration) {
        self.silence_after(|state| state.quiet_since + limit).await;
    }

    async fn silence_after(&self, end: impl Fn(&State) -> Instant) {
        loop {
            let end = {
                let state = self.state();
                (state.in_progress == 0).then(|| end(&state))
            };
            match end {
                Some(end) if end <= Instant::now() => return,
                Some(end) => tokio::select! {
                    () = tokio::time::sleep_until(end) => {}
                    () = self.0.changed.notified() => {}
                },
                None => self.0.changed.notified().await,
            }
        }
    }

    /// Bytes have come.
    fn heard(&self) {
        let mut state = self.state();
        let is_header = state.in_progress == 0
            && state.header_since.is_none()
            && state.body_read.load(Ordering::Relaxed);
        if is_header && state.served {
            state.header_since = Some(Instant::now());
            self.0.changed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_progress = state.in_progress.saturating_sub(1);
        state.quiet_since = Instant::now();
        self.0.0.changed.notify_one();
    }
}

/// A request's body, which notes that it has been read to its end.
pub(super) struct Watched {
    body: Incoming,
    body_read: Arc<AtomicBool>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.body_read.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream of HTTP/1.1, whose bytes between requests begin a header.
pub(super) struct Heard<S> {
    stream: S,
    activity: Activity,
}

impl<S> Heard<S> {
    pub(super) const fn new(stream: S, activity: Activity) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.activity.heard();
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
