//! Streams in streams: what comes out does not depend on how reads and writes are cut, or on the room that there is.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};
use tokio::runtime::Builder;
use tokio::time::Instant;

use super::database::{authorities, believing, nameless};
use super::pki::Authority;
use super::stream::tls_pair;
use crate::tls::LocalTls;
use crate::tls::local::Prefixed;
use crate::tls::read_ahead::ReadAhead;

/// A stream by plan: so many bytes at a time, and 0 for a moment at which nothing can be done. Behind the plan all is
/// done at once.
#[derive(Debug)]
struct Planned {
    rest: Vec<u8>,
    reads: VecDeque<usize>,
    writes: VecDeque<usize>,
    fails: bool,
    written: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Planned {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let size = self.reads.pop_front().unwrap_or(usize::MAX);
        if size == 0 {
            return Poll::Pending;
        }
        if self.fails && self.rest.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let given = size.min(buf.remaining()).min(self.rest.len());
        let given: Vec<u8> = self.rest.drain(..given).collect();
        buf.put_slice(&given);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Planned {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let size = self.writes.pop_front().unwrap_or(usize::MAX);
        if size == 0 {
            return Poll::Pending;
        }
        let taken = size.min(bytes.len());
        self.written.lock().unwrap().extend(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.written.lock().unwrap().extend(b"<end>");
        Poll::Ready(Ok(()))
    }
}

/// Reads with buffers of these sizes, over and over, until the end or an error.
fn read_all<S: AsyncRead + Unpin>(stream: &mut S, rooms: &[usize]) -> (Vec<u8>, bool) {
    let (mut all, mut cx) = (Vec::new(), Context::from_waker(Waker::noop()));
    for room in rooms.iter().cycle() {
        let mut buffer = vec![0; room + 1];
        let mut buf = ReadBuf::new(&mut buffer);
        buf.put_slice(b"o");
        let polled = Pin::new(&mut *stream).poll_read(&mut cx, &mut buf);
        let (own, new) = buf.filled().split_at(1);
        assert_eq!(own, b"o");
        all.extend_from_slice(new);
        match polled {
            Poll::Ready(Err(_)) => return (all, true),
            Poll::Ready(Ok(())) if new.is_empty() && *room > 0 => break,
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
    }
    (all, false)
}

/// Writes all, plain and vectored in turn, and the end.
fn write_all<S: AsyncWrite + Unpin>(stream: &mut S, mut rest: &[u8]) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut vectored = false;
    while !rest.is_empty() {
        let (one, two) = rest.split_at(rest.len() / 2);
        let written = if vectored {
            let slices = [IoSlice::new(one), IoSlice::new(two)];
            Pin::new(&mut *stream).poll_write_vectored(&mut cx, &slices)
        } else {
            Pin::new(&mut *stream).poll_write(&mut cx, rest)
        };
        vectored = !vectored;
        if let Poll::Ready(written) = written {
            rest = &rest[written.unwrap()..];
        }
    }
    assert!(Pin::new(&mut *stream).poll_flush(&mut cx).is_ready());
    assert!(Pin::new(stream).poll_shutdown(&mut cx).is_ready());
}

fn rooms() -> impl Strategy<Value = Vec<usize>> {
    let room = prop_oneof![4 => 0..8_usize, 2 => 8..300_usize, 1 => Just(140_000)];
    vec(room, 1..8).prop_filter("some room", |rooms| rooms.iter().any(|room| *room > 0))
}

proptest! {
    #[test]
    fn bytes_read_ahead_or_read_before_come_out_as_they_came(
        first in vec(any::<u8>(), 0..40),
        rest in vec(any::<u8>(), 0..600),
        reads in vec(0..90_usize, 0..20),
        writes in vec(0..90_usize, 0..20),
        rooms in rooms(),
        fails: bool,
    ) {
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let planned = Planned {
            rest: rest.clone(),
            reads: reads.into(),
            writes: writes.into(),
            fails,
            written: Arc::clone(&written),
        };
        let mut stream = ReadAhead::new(Prefixed::new(first.clone(), planned));
        write_all(&mut stream, &rest);
        prop_assert_eq!(&written.lock().unwrap()[..], &[&rest[..], b"<end>"].concat()[..]);
        let (all, failed) = read_all(&mut stream, &rooms);
        prop_assert_eq!(all, [first, rest].concat());
        prop_assert_eq!(failed, fails);
    }
}

/// Sends bytes in writes of these sizes, every other one vectored, and reads them with buffers of those.
async fn passes<W, R>(mut near: W, mut far: R, bytes: &[u8], (writes, rooms): (&[usize], &[usize]))
where
    W: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + AsyncWrite + Unpin,
{
    let sent = async {
        let mut rest = bytes;
        for size in writes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let piece = &rest[..(*size).clamp(1, rest.len())];
            let (one, two) = piece.split_at(piece.len() / 2);
            let written = if size % 2 == 0 {
                near.write_vectored(&[IoSlice::new(one), IoSlice::new(two)])
                    .await
            } else {
                near.write(piece).await
            };
            rest = &rest[written.unwrap()..];
        }
        near.flush().await.unwrap();
        near.shutdown().await.unwrap();
    };
    let heard = async {
        let mut all = Vec::new();
        for room in rooms.iter().cycle() {
            let mut buffer = vec![0; *room];
            let length = far.read(&mut buffer).await.unwrap();
            all.extend_from_slice(&buffer[..length]);
            if length == 0 && *room > 0 {
                break;
            }
        }
        all
    };
    let ((), all) = tokio::join!(sent, heard);
    assert!(
        all == bytes,
        "{} of {} bytes, or others",
        all.len(),
        bytes.len()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn encrypted_streams_give_what_was_written_to_them(
        length in 0..200_000_usize,
        writes in vec(prop_oneof![0..50_usize, 16_000..17_000_usize, Just(140_000)], 1..6),
        rooms in vec(prop_oneof![3 => 0..40_usize, 1 => 200..20_000_usize, 2 => Just(140_000)], 1..6),
        pipe in 1..5_000_usize,
    ) {
        let most = rooms.iter().chain(&writes).max().copied().unwrap_or(0);
        // Small steps over many bytes take long.
        let length = if most < 1000 { length / 50 } else { length };
        prop_assume!(most > 0 && rooms.iter().any(|room| *room > 0));
        let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (near, far) = tls_pair().await;
            passes(near, far, &bytes, (&writes, &rooms)).await;
            let authority = Authority::new("ca");
            let local = LocalTls::new(&authority.material(&nameless())).unwrap();
            let database = believing(authorities(&authority), None);
            let until = Instant::now() + Duration::from_secs(60);
            for downwards in [false, true] {
                let (ours, theirs) = duplex(pipe);
                let (near, far) = tokio::join!(
                    database.connect(ours, until),
                    local.accept(theirs, vec![], until)
                );
                let (near, far) = (near.unwrap(), far.unwrap());
                if downwards {
                    passes(far, near, &bytes, (&writes, &rooms)).await;
                } else {
                    passes(near, far, &bytes, (&writes, &rooms)).await;
                }
            }
        });
    }
}

#[tokio::test]
async fn without_room_nothing_is_read_and_nothing_ends() {
    let (mut near, mut far) = tls_pair().await;
    near.write_all(b"something").await.unwrap();
    for _ in 0..3 {
        let nothing = poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut []);
            Pin::new(&mut far).poll_read(cx, &mut buf)
        });
        nothing.await.unwrap();
    }
    let mut heard = [0; 9];
    far.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"something");
}
