//! An application's stream whose commands are followed for a change of user.
//!
//! The login machine checks the user that logs in and bridges its authentication; the protocol lets a session do both
//! again later. Reading stops in front of that command, so that another machine can take it from there.
//!
//! Bytes are judged where they are read to, but for the first ones of a packet that a read has cut: those wait in a place
//! of their own until the packet can be judged. So what passes does not depend on the room that the reader has.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use proto::mysql::{Commands, Stop};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes by which a packet is judged: its header, and the first of its payload.
const START: usize = 5;

/// A stream, followed or not.
#[derive(Debug)]
pub(crate) struct Watched<'a, S> {
    stream: &'a mut S,
    commands: Option<Commands>,
    /// Read with the login, and due before the stream.
    early: Vec<u8>,
    start: Start,
    stop: Option<Stop>,
    /// The reader has come to the stop: all bytes before it are passed on.
    is_at_stop: bool,
    ended: bool,
}

/// The bytes at the start of a packet that a read has cut.
#[derive(Debug, Default)]
struct Start {
    bytes: [u8; START],
    length: usize,
    /// So many of them may pass.
    judged: usize,
}

/// The point at which reading has stopped.
pub(crate) enum Stopped<'s, S> {
    /// A change of user, from its header on, and the stream below.
    ChangeOfUser(Vec<u8>, &'s mut S),
    /// A packet that cannot be judged, by its number, and the stream below.
    OutOfStep(u8, &'s mut S),
}

impl<'a, S> Watched<'a, S> {
    /// Follows with `commands`, if there are any. `early` was read with the login and comes first.
    pub(crate) fn new(stream: &'a mut S, commands: Option<Commands>, early: Vec<u8>) -> Self {
        Self {
            stream,
            commands,
            early,
            start: Start::default(),
            stop: None,
            is_at_stop: false,
            ended: false,
        }
    }

    /// The reason why the reader has got no further, if there is one.
    pub(crate) fn stopped(&mut self) -> Option<Stopped<'_, S>> {
        match self.stop.filter(|_| self.is_at_stop)? {
            Stop::ChangeOfUser => {
                let command = std::mem::take(&mut self.early);
                Some(Stopped::ChangeOfUser(command, self.stream))
            }
            Stop::OutOfStep(number) => Some(Stopped::OutOfStep(number, self.stream)),
        }
    }

    /// Goes on behind a change of user.
    pub(crate) fn go_on(&mut self, commands: Option<Commands>, early: Vec<u8>) {
        self.commands = commands;
        self.early = early;
        self.start = Start::default();
        self.stop = None;
        self.is_at_stop = false;
    }

    /// Judges bytes: so many of them may pass. What is behind a stop is kept.
    fn judge(&mut self, read: &[u8]) -> usize {
        let Some(commands) = &mut self.commands else {
            return read.len();
        };
        let seen = commands.look(read);
        self.stop = seen.stop;
        if seen.stop.is_some() {
            let rest = read.get(seen.pass..).unwrap_or_default();
            self.early.splice(..0, rest.iter().copied());
        }
        seen.pass
    }
}

impl Start {
    const fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn of(kept: &[u8], judged: usize) -> Self {
        let mut bytes = [0; START];
        for (place, byte) in bytes.iter_mut().zip(kept) {
            *place = *byte;
        }
        Self {
            bytes,
            length: kept.len().min(START),
            judged,
        }
    }

    /// Gives out what is judged; false when there is nothing.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let given = self.judged.min(buf.remaining());
        buf.put_slice(self.bytes.get(..given).unwrap_or_default());
        self.bytes.copy_within(given..self.length, 0);
        self.length = self.length.saturating_sub(given);
        self.judged = self.judged.saturating_sub(given);
        given > 0
    }
}

impl<S: AsyncRead + Unpin> Watched<'_, S> {
    fn poll_source(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut *self.stream).poll_read(cx, buf);
        }
        let given = self.early.len().min(buf.remaining());
        buf.put_slice(self.early.get(..given).unwrap_or_default());
        self.early.drain(..given);
        Poll::Ready(Ok(()))
    }

    /// Reads where the caller wants it, and lets pass what may. Every byte is judged, whatever it comes with.
    fn poll_into(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = self.poll_source(cx, buf);
        let read = buf.filled().get(before..).unwrap_or_default();
        self.ended = read.is_empty() && matches!(polled, Poll::Ready(Ok(())));
        let pass = self.judge(read);
        if self.stop.is_none() {
            self.start = Start::of(read.get(pass..).unwrap_or_default(), 0);
        }
        buf.set_filled(before.saturating_add(pass));
        polled
    }

    /// Reads on at the start of a packet, until it can be judged.
    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (mut bytes, length) = (self.start.bytes, self.start.length);
        let mut room = ReadBuf::new(bytes.get_mut(length..).unwrap_or_default());
        let polled = self.poll_source(cx, &mut room);
        let read = room.filled().len();
        if read == 0 {
            self.ended = matches!(polled, Poll::Ready(Ok(())));
            if self.ended {
                // An application that ends within a header is passed on as it is: nothing can follow.
                self.start.judged = length;
            }
            return polled;
        }
        let start = bytes.get(..length.saturating_add(read)).unwrap_or_default();
        let judged = self.judge(start);
        let kept = if self.stop.is_some() {
            judged
        } else {
            start.len()
        };
        self.start = Start::of(start.get(..kept).unwrap_or_default(), judged);
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        // Without room nothing is asked for, and nothing is found out.
        while buf.remaining() > 0 && !this.start.give(buf) {
            if this.stop.is_some() {
                this.is_at_stop = true;
                return Poll::Ready(Err(io::Error::other("nothing more may pass")));
            }
            if this.ended {
                break;
            }
            let polled = if this.start.is_empty() {
                this.poll_into(cx, buf)
            } else {
                this.poll_start(cx)
            };
            if buf.filled().len() > before || !matches!(polled, Poll::Ready(Ok(()))) {
                return polled;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
