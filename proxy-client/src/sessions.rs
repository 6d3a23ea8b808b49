//! The sessions open now: who, since when, how far, how much.

use std::collections::BTreeMap;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::legs::{Legs, Opened};

/// All sessions, in the order in which they began.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    last: u64,
    open: BTreeMap<u64, Arc<Seen>>,
}

/// What is seen of one session while it lives.
struct Seen {
    id: String,
    instance: String,
    peer: String,
    begun: Instant,
    opened: OnceLock<Opened>,
    up: AtomicU64,
    down: AtomicU64,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The name that both programs' logs have.
    pub id: String,
    /// The instance.
    pub instance: String,
    /// Who asked: an address, or a user's number.
    pub peer: String,
    /// How long ago it began.
    pub age_seconds: u64,
    /// Bytes from the application.
    pub bytes_up: u64,
    /// Bytes to the application.
    pub bytes_down: u64,
    /// `connecting` until the tunnel stands, then `open`.
    pub state: String,
    /// How long the tunnel took to open, once it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<Opened>,
}

/// A session's place in the table; given back when dropped.
pub struct Entry {
    sessions: Sessions,
    number: u64,
    seen: Arc<Seen>,
}

impl Sessions {
    /// A session has begun.
    #[must_use]
    pub fn begin(&self, id: String, instance: String, peer: String) -> Entry {
        let seen = Arc::new(Seen {
            id,
            instance,
            peer,
            begun: Instant::now(),
            opened: OnceLock::new(),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
        });
        let mut table = self.table();
        table.last = table.last.wrapping_add(1);
        let number = table.last;
        table.open.insert(number, Arc::clone(&seen));
        drop(table);
        Entry {
            sessions: self.clone(),
            number,
            seen,
        }
    }

    /// The table as it is now.
    pub fn lines(&self) -> Vec<Line> {
        let open: Vec<Arc<Seen>> = self.table().open.values().cloned().collect();
        open.iter().map(|seen| seen.line()).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn line(&self) -> Line {
        let opened = self.opened.get();
        Line {
            id: self.id.clone(),
            instance: self.instance.clone(),
            peer: self.peer.clone(),
            age_seconds: self.begun.elapsed().as_secs(),
            bytes_up: self.up.load(Ordering::Relaxed),
            bytes_down: self.down.load(Ordering::Relaxed),
            state: if opened.is_some() {
                "open"
            } else {
                "connecting"
            }
            .to_owned(),
            opened: opened.cloned(),
        }
    }
}

impl Entry {
    /// The tunnel stands, and that took so long.
    pub fn connected(&self, legs: &Legs) {
        self.seen.opened.get_or_init(|| legs.shown());
    }

    /// The application's stream with its bytes counted.
    pub const fn counted<'a, S>(&'a self, stream: &'a mut S) -> Counted<'a, S> {
        Counted {
            stream,
            entry: self,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.sessions.table().open.remove(&self.number);
    }
}

/// The application's stream; what is read from it goes up, what is written to it comes down.
pub struct Counted<'a, S> {
    stream: &'a mut S,
    entry: &'a Entry,
}

fn add(counter: &AtomicU64, bytes: usize) {
    counter.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<'_, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut *this.stream).poll_read(cx, buf);
        add(
            &this.entry.seen.up,
            buf.filled().len().saturating_sub(before),
        );
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<'_, S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut *this.stream).poll_write(cx, bytes);
        this.written(polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut *this.stream).poll_write_vectored(cx, slices);
        this.written(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S> Counted<'_, S> {
    fn written(&self, polled: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &polled {
            add(&self.entry.seen.down, *bytes);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_session_is_in_the_table_with_its_bytes_until_it_ends() {
        let sessions = Sessions::default();
        let entry = sessions.begin("1".into(), "p:r:a".into(), "uid:5".into());
        let other = sessions.begin("2".into(), "p:r:b".into(), "uid:6".into());
        assert_eq!(sessions.lines()[0].state, "connecting");
        entry.connected(&Legs::default());
        let (mut app, mut ours) = tokio::io::duplex(64);
        let mut counted = entry.counted(&mut ours);
        app.write_all(b"12345").await.unwrap();
        counted.read_exact(&mut [0; 5]).await.unwrap();
        counted.write_all(b"123").await.unwrap();
        let lines = sessions.lines();
        assert_eq!(
            (lines[0].bytes_up, lines[0].bytes_down, &*lines[0].state),
            (5, 3, "open")
        );
        assert_eq!((lines[0].peer.as_str(), lines[1].bytes_up), ("uid:5", 0));
        drop(entry);
        let left: Vec<String> = sessions.lines().into_iter().map(|line| line.id).collect();
        assert_eq!(left, ["2"]);
        drop(other);
        assert!(sessions.lines().is_empty());
    }

    #[tokio::test]
    async fn bytes_are_counted_and_pass_however_they_are_cut() {
        let bytes: Vec<u8> = (0..=250).cycle().take(3000).collect();
        for (write, room, pipe) in [(1, 1, 1), (7, 300, 5), (400, 3, 64), (5000, 5000, 5000)] {
            let sessions = Sessions::default();
            let entry = sessions.begin("1".into(), "p:r:a".into(), "uid:5".into());
            let (mut app, mut ours) = tokio::io::duplex(pipe);
            let mut counted = entry.counted(&mut ours);
            let sent = async {
                for piece in bytes.chunks(write) {
                    app.write_all(piece).await.unwrap();
                }
                app.shutdown().await.unwrap();
                let mut back = Vec::new();
                app.read_to_end(&mut back).await.unwrap();
                back
            };
            let passed = async {
                let (mut all, mut buffer) = (Vec::new(), vec![0; room]);
                // Without room nothing is read, and nothing ends.
                assert_eq!(counted.read(&mut []).await.unwrap(), 0);
                loop {
                    let length = counted.read(&mut buffer).await.unwrap();
                    if length == 0 {
                        break;
                    }
                    all.extend_from_slice(&buffer[..length]);
                }
                for piece in all.chunks(write) {
                    let (one, two) = piece.split_at(piece.len() / 2);
                    let slices = [IoSlice::new(one), IoSlice::new(two)];
                    let written = counted.write_vectored(&slices).await.unwrap();
                    counted.write_all(&piece[written..]).await.unwrap();
                }
                counted.shutdown().await.unwrap();
                all
            };
            let (back, all) = tokio::join!(sent, passed);
            assert!(all == bytes && back == bytes);
            let line = sessions.lines().remove(0);
            assert_eq!((line.bytes_up, line.bytes_down), (3000, 3000));
        }
    }
}
