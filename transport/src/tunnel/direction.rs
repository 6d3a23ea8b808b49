//! One direction of a tunnel: read until the buffer is full or nothing is there, then write all of it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffer::{BATCH, Buffer};

/// Buffers moved in one turn, so that the other direction and other sessions get theirs.
const TURN: usize = 4;

/// Where a direction stands.
#[derive(Debug)]
pub(super) enum State {
    /// Bytes may come.
    Open,
    /// The reader has ended; what was read is on its way.
    Ended,
    /// The end is passed on: nothing is left to do.
    Over,
    /// The reader has failed; what was read before is on its way.
    Failing(io::Error),
    /// The reader failed, and nothing is left to do.
    ReadFailed(io::Error),
    /// The writer failed.
    WriteFailed(io::Error),
}

impl State {
    pub(super) const fn is_over(&self) -> bool {
        matches!(
            self,
            Self::Over | Self::ReadFailed(_) | Self::WriteFailed(_)
        )
    }
}

/// Bytes on their way.
#[derive(Debug)]
enum Store {
    /// Nothing is held while idle.
    None,
    Lent(Buffer),
    Rest(Vec<u8>),
}

/// Facts about a reader that decide whether its end is an orderly one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    /// It takes no bytes any more. An error shows only once, so an end may be all that is left to read.
    pub(super) is_broken: bool,
    /// The session is over in its own protocol.
    pub(super) is_done: bool,
    /// Bytes of this reader that end the session.
    pub(super) farewell: Option<[u8; 5]>,
}

impl Reader {
    /// An end, or a failure, of a reader whose last bytes were these.
    fn judge(self, tail: [u8; 5], ended: io::Result<()>) -> State {
        let is_done = self.is_done || self.farewell == Some(tail);
        match ended {
            // Drivers close their sockets without a close_notify, or with bytes unread, once they have said goodbye.
            _ if is_done => State::Ended,
            Ok(()) if self.is_broken => State::Failing(io::ErrorKind::ConnectionReset.into()),
            Ok(()) => State::Ended,
            Err(error) => State::Failing(error),
        }
    }
}

/// Keeps the last five bytes of a stream up to date.
fn keep_last(tail: &mut [u8; 5], read: &[u8]) {
    let fresh = read.len().min(tail.len());
    tail.rotate_left(fresh);
    let old = tail.len().saturating_sub(fresh);
    if let (Some(to), Some(last)) = (
        tail.get_mut(old..),
        read.get(read.len().saturating_sub(fresh)..),
    ) {
        to.copy_from_slice(last);
    }
}

#[derive(Debug)]
pub(super) struct Direction {
    pub(super) state: State,
    /// Bytes written.
    pub(super) moved: u64,
    store: Store,
    start: usize,
    end: usize,
    unflushed: bool,
    /// The last bytes that were read.
    tail: [u8; 5],
}

impl Direction {
    pub(super) fn new(rest: Vec<u8>) -> Self {
        let mut tail = [0; 5];
        keep_last(&mut tail, &rest);
        Self {
            state: State::Open,
            moved: 0,
            tail,
            start: 0,
            end: rest.len(),
            store: if rest.is_empty() {
                Store::None
            } else {
                Store::Rest(rest)
            },
            unflushed: false,
        }
    }
}

impl Direction {
    /// Moves what can be moved now. Looks for its end in [`Direction::state`].
    pub(super) fn poll<R, W>(
        &mut self,
        reader: &mut R,
        known: Reader,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        for _ in 0..TURN {
            if self.state.is_over() {
                return;
            }
            let moved = if self.start < self.end {
                self.write(writer, cx)
            } else if matches!(self.state, State::Open) {
                self.read(reader, known, cx)
            } else {
                self.finish(writer, cx);
                return;
            };
            if !moved {
                // Only now: as long as bytes keep coming, records are sent in batches.
                self.flush(writer, cx);
                return;
            }
        }
        cx.waker().wake_by_ref();
    }

    pub(super) const fn has_failed_to_write(&self) -> bool {
        matches!(self.state, State::WriteFailed(_))
    }

    /// Fails when the writer is gone: a write of nothing shows it (`EPIPE`, `ECONNRESET`).
    pub(super) fn probe<W: AsyncWrite + Unpin>(&mut self, writer: &mut W, cx: &mut Context<'_>) {
        if self.state.is_over() || self.held().is_some() {
            return;
        }
        if let Poll::Ready(Err(error)) = Pin::new(writer).poll_write(cx, &[]) {
            self.fail(error);
        }
    }

    /// Whether these are the last bytes that were read.
    pub(super) fn ends_with(&self, bytes: Option<[u8; 5]>) -> bool {
        bytes == Some(self.tail)
    }

    /// What was read and is not written yet.
    pub(super) fn take_unsent(&mut self) -> Vec<u8> {
        let unsent = self.held().map(<[u8]>::to_vec).unwrap_or_default();
        self.release();
        unsent
    }

    /// The error that ended it.
    pub(super) fn error(&mut self) -> Option<io::Error> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Failing(error) | State::ReadFailed(error) | State::WriteFailed(error) => {
                Some(error)
            }
            State::Open | State::Ended | State::Over => None,
        }
    }

    /// Fills one buffer as far as bytes are there; false when nothing came.
    fn read<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut R,
        known: Reader,
        cx: &mut Context<'_>,
    ) -> bool {
        let mut buffer = Buffer::lend();
        let mut buf = ReadBuf::new(buffer.get_mut(..BATCH).unwrap_or_default());
        let ended = loop {
            if buf.remaining() == 0 {
                break None;
            }
            let before = buf.filled().len();
            match Pin::new(&mut *reader).poll_read(cx, &mut buf) {
                Poll::Pending => break None,
                Poll::Ready(Ok(())) if buf.filled().len() > before => {}
                Poll::Ready(ended) => break Some(ended),
            }
        };
        keep_last(&mut self.tail, buf.filled());
        if let Some(ended) = ended {
            self.state = known.judge(self.tail, ended);
        }
        let filled = buf.filled().len();
        if filled > 0 {
            (self.start, self.end) = (0, filled);
            self.store = Store::Lent(buffer);
        }
        filled > 0 || !matches!(self.state, State::Open)
    }

    /// Writes what is held; false when the writer takes no more.
    fn write<W: AsyncWrite + Unpin>(&mut self, writer: &mut W, cx: &mut Context<'_>) -> bool {
        while let Some(bytes) = self.held() {
            match Pin::new(&mut *writer).poll_write(cx, bytes) {
                Poll::Pending => return false,
                Poll::Ready(Ok(0)) => {
                    self.fail(io::ErrorKind::WriteZero.into());
                    return false;
                }
                Poll::Ready(Ok(written)) => {
                    self.start = self.start.saturating_add(written);
                    self.moved = self.moved.saturating_add(written as u64);
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => {
                    self.fail(error);
                    return false;
                }
            }
        }
        self.release();
        true
    }

    /// The bytes on their way, if any.
    fn held(&self) -> Option<&[u8]> {
        let bytes: &[u8] = match &self.store {
            Store::None => return None,
            Store::Lent(buffer) => buffer,
            Store::Rest(bytes) => bytes,
        };
        bytes
            .get(self.start..self.end)
            .filter(|bytes| !bytes.is_empty())
    }

    fn release(&mut self) {
        self.store = Store::None;
        (self.start, self.end) = (0, 0);
    }

    fn fail(&mut self, error: io::Error) {
        self.release();
        self.unflushed = false;
        self.state = State::WriteFailed(error);
    }

    /// True when nothing waits in the writer.
    fn flush<W: AsyncWrite + Unpin>(&mut self, writer: &mut W, cx: &mut Context<'_>) -> bool {
        if !self.unflushed {
            return true;
        }
        match Pin::new(writer).poll_flush(cx) {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) => self.unflushed = false,
            Poll::Ready(Err(error)) => self.fail(error),
        }
        true
    }

    /// Passes the end on, once all bytes are out.
    fn finish<W: AsyncWrite + Unpin>(&mut self, writer: &mut W, cx: &mut Context<'_>) {
        if !self.flush(writer, cx) {
            return;
        }
        match std::mem::replace(&mut self.state, State::Over) {
            // The other side shall not take a failure for an orderly end.
            State::Failing(error) => self.state = State::ReadFailed(error),
            State::Ended => {
                // All bytes are out: a side that is gone by now has lost nothing.
                if Pin::new(writer).poll_shutdown(cx).is_pending() {
                    self.state = State::Ended;
                }
            }
            other => self.state = other,
        }
    }

    #[cfg(test)]
    pub(super) const fn holds_nothing(&self) -> bool {
        matches!(self.store, Store::None)
    }
}

#[cfg(test)]
mod tests;
