//! Larger reads than rustls asks for: it takes 4 KiB at a time, four system calls a record.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffer::{Buffer, SIZE};

/// A socket that is read a whole buffer at a time. The buffer is the thread's, and is held only while bytes are in it.
#[derive(Debug)]
pub(super) struct ReadAhead<S> {
    socket: S,
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    buffer: Buffer,
    start: usize,
    end: usize,
}

impl<S> ReadAhead<S> {
    pub(super) const fn new(socket: S) -> Self {
        Self { socket, held: None }
    }

    /// Gives out bytes that were read ahead; false when there are none.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let Some(held) = &mut self.held else {
            return false;
        };
        let bytes = held.buffer.get(held.start..held.end).unwrap_or_default();
        let given = bytes.len().min(buf.remaining());
        buf.put_slice(bytes.get(..given).unwrap_or_default());
        held.start = held.start.saturating_add(given);
        if held.start >= held.end {
            self.held = None;
        }
        true
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.give(buf) {
            return Poll::Ready(Ok(()));
        }
        if buf.remaining() >= SIZE {
            return Pin::new(&mut this.socket).poll_read(cx, buf);
        }
        let mut buffer = Buffer::lend();
        let mut ahead = ReadBuf::new(&mut buffer);
        ready!(Pin::new(&mut this.socket).poll_read(cx, &mut ahead))?;
        let end = ahead.filled().len();
        if end > 0 {
            this.held = Some(Held {
                buffer,
                start: 0,
                end,
            });
            this.give(buf);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
