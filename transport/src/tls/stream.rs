//! The encrypted stream of a tunnel: whole records, many to a system call, no buffer while nothing is under way.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::held::Held;
use super::record::{CONTENT, Opened, Opener, RecordError, Sealer, Secrets, length};
use crate::buffer::BATCH;
use crate::socket::Socket;

/// What came with the end of the handshake.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// Opened data.
    pub(super) data: Vec<u8>,
    /// The other side has said that no more will come.
    pub(super) ended: bool,
    /// Records that are not opened yet, the last perhaps not whole.
    pub(super) sealed: Vec<u8>,
}

/// An encrypted connection, either side of it. Shutting it down says so to the peer (close_notify).
pub struct TlsStream(Box<Inner>);

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("socket", &self.0.socket)
            .finish_non_exhaustive()
    }
}

struct Inner {
    socket: Socket,
    alpn: Option<Vec<u8>>,
    opener: Opener,
    /// `None` once we have said that no more will come.
    sealer: Option<Sealer>,
    secrets: Box<dyn Secrets>,
    /// Sealed bytes from the socket.
    incoming: Held,
    /// Opened bytes that found no room where they were wanted.
    opened: Held,
    /// Sealed bytes for the socket.
    outgoing: Held,
    /// The last words of the handshake, until the first data go with them. Before those nothing is sealed.
    last_words: Held,
    /// The other side has said that no more will come.
    ended: bool,
    /// The other side wants us to use another key.
    new_key: bool,
    failed: Option<RecordError>,
}

impl TlsStream {
    /// From what a handshake ends with.
    pub(super) fn new(
        socket: Socket,
        alpn: Option<Vec<u8>>,
        (opener, sealer, secrets): (Opener, Sealer, Box<dyn Secrets>),
        early: &Early,
        last_words: &[u8],
    ) -> Self {
        Self(Box::new(Inner {
            socket,
            alpn,
            opener,
            sealer: Some(sealer),
            secrets,
            incoming: Held::of(&early.sealed),
            opened: Held::of(&early.data),
            outgoing: Held::default(),
            last_words: Held::of(last_words),
            ended: early.ended,
            new_key: false,
            failed: None,
        }))
    }

    /// The application protocol that was negotiated, if any was.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.alpn.as_deref()
    }

    /// Our key is used for so many records and no more.
    #[cfg(test)]
    pub(super) const fn wear_out_after(&mut self, records: u64) {
        if let Some(sealer) = &mut self.0.sealer {
            sealer.limit_to(records);
        }
    }

    /// Records that were sealed with our current key.
    #[cfg(test)]
    pub(super) fn sealed(&self) -> Option<u64> {
        self.0.sealer.as_ref().map(Sealer::sealed)
    }

    #[cfg(test)]
    pub(super) const fn holds_nothing(&self) -> bool {
        let inner = &*self.0;
        inner.incoming.is_empty() && inner.opened.is_empty() && inner.outgoing.is_empty()
    }

    /// The socket below, for its options.
    pub(crate) const fn socket(&self) -> &Socket {
        &self.0.socket
    }

    /// The socket's options, and who watches it: not for reading or writing.
    pub(super) const fn socket_mut(&mut self) -> &mut Socket {
        &mut self.0.socket
    }
}

impl Inner {
    /// Opens what is there, as far as there is room; true when that is something, or the end.
    fn open(&mut self, into: &mut ReadBuf<'_>) -> Result<bool, RecordError> {
        let before = into.filled().len();
        let has_more = |into: &ReadBuf<'_>| into.filled().len() > before;
        if !self.opened.bytes().is_empty() {
            let given = self.opened.bytes().len().min(into.remaining());
            into.put_slice(self.opened.bytes().get(..given).unwrap_or_default());
            self.opened.shrink(given);
            return Ok(true);
        }
        while !self.ended && into.remaining() > 0 {
            let sealed = self.incoming.bytes();
            let record = match length(sealed)? {
                Some(length) => sealed.get(..length),
                None => None,
            };
            let Some(record) = record else {
                return Ok(has_more(into));
            };
            let whole = record.len();
            let opened = if Opener::room(record) <= into.remaining() {
                let opened = self.opener.open(record, into.initialize_unfilled())?;
                if let Opened::Data(length) = opened {
                    into.advance(length);
                }
                opened
            } else if has_more(into) {
                return Ok(true);
            } else {
                let opened = self.opener.open(record, self.opened.room())?;
                match opened {
                    Opened::Data(length) => self.opened.grow(length),
                    _ => self.opened = Held::default(),
                }
                opened
            };
            self.incoming.shrink(whole);
            match opened {
                Opened::Data(_) if !self.opened.bytes().is_empty() => return self.open(into),
                Opened::Data(_) | Opened::Nothing => {}
                Opened::NewKey { answer } => {
                    let key = self.secrets.next_to_open();
                    self.opener.renew(key.map_err(|_| RecordError::Crypto)?);
                    self.new_key |= answer;
                }
                Opened::End => self.ended = true,
            }
        }
        Ok(self.ended || has_more(into))
    }

    /// Reads as much as is there; false at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.incoming.compact();
        let mut room = ReadBuf::new(self.incoming.room());
        let read = Pin::new(&mut self.socket).poll_read(cx, &mut room);
        let length = room.filled().len();
        self.incoming.grow(length);
        if self.incoming.bytes().is_empty() {
            self.incoming = Held::default();
        }
        read.map_ok(|()| length > 0)
    }

    fn poll_open(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed {
            return Poll::Ready(Err(error.into()));
        }
        if into.remaining() == 0 || self.open_or_fail(cx, into)? {
            return Poll::Ready(Ok(()));
        }
        self.say_last_words(cx);
        while ready!(self.poll_fill(cx))? {
            if self.open_or_fail(cx, into)? {
                return Poll::Ready(Ok(()));
            }
            if self.incoming.bytes().is_empty() {
                // Records without data for us: others on this thread get their turn.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        // Without close_notify nobody knows whether something was cut off.
        let cut = "the connection ended without close_notify";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, cut)))
    }

    /// As [`Self::open`]. What was opened before a failure is given out first; the failure is told to whoever reads on.
    fn open_or_fail(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> io::Result<bool> {
        let before = into.filled().len();
        match self.open(into) {
            Ok(has_some) => Ok(has_some),
            Err(error) => {
                let error = self.fail(cx, error);
                if into.filled().len() > before {
                    return Ok(true);
                }
                Err(error)
            }
        }
    }

    /// Ends the connection, and says why as far as the socket takes it at once.
    fn fail(&mut self, cx: &mut Context<'_>, error: RecordError) -> io::Error {
        self.failed = Some(error);
        self.incoming = Held::default();
        if let Some(alert) = error.alert() {
            let sealed = self.seal_last(alert).map_err(io::Error::from);
            let told = sealed.and_then(|()| match self.poll_drain(cx) {
                Poll::Ready(told) => told,
                Poll::Pending => Ok(()),
            });
            if let Err(error) = told {
                tracing::debug!(%error, "an alert could not be sent");
            }
        }
        error.into()
    }

    /// Writes what is sealed.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_drain_by(cx, |socket, cx, bytes| {
            Pin::new(socket).poll_write(cx, bytes)
        })
    }

    /// Sends the last words of the handshake while nothing else is to be said: as far as the socket takes them, now and
    /// whenever it is asked again.
    fn say_last_words(&mut self, cx: &mut Context<'_>) {
        while !self.last_words.bytes().is_empty() {
            let bytes = self.last_words.bytes();
            match Pin::new(&mut self.socket).poll_write(cx, bytes) {
                Poll::Pending => return,
                Poll::Ready(Ok(written @ 1..)) => self.last_words.shrink(written),
                // Why nobody listens any more is what there is to read.
                Poll::Ready(ended) => {
                    tracing::debug!(?ended, "the end of a handshake could not be sent");
                    self.last_words = Held::default();
                }
            }
        }
    }

    /// The last words of the handshake are the first to go; false when there are none.
    fn begin_to_speak(&mut self) -> bool {
        let has_some = !self.last_words.bytes().is_empty();
        if has_some {
            self.outgoing = std::mem::take(&mut self.last_words);
        }
        has_some
    }

    fn poll_drain_by(
        &mut self,
        cx: &mut Context<'_>,
        poll_write: impl Fn(&mut Socket, &mut Context<'_>, &[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        self.begin_to_speak();
        while !self.outgoing.bytes().is_empty() {
            let written = ready!(poll_write(&mut self.socket, cx, self.outgoing.bytes()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.shrink(written);
        }
        self.outgoing = Held::default();
        Poll::Ready(Ok(()))
    }

    /// Seals as much as fits into one batch, once the one before is out.
    fn poll_seal(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            // Asks whether the socket can still be written to.
            ready!(self.poll_drain(cx))?;
            return Pin::new(&mut self.socket).poll_write(cx, data);
        }
        // In one packet with the last words of the handshake, which leave room for one record.
        let most = if self.begin_to_speak() {
            CONTENT
        } else {
            ready!(self.poll_drain(cx))?;
            BATCH
        };
        let data = data.get(..most).unwrap_or(data);
        for content in data.chunks(CONTENT) {
            self.seal(content)?;
        }
        // What the socket does not take now goes with the next write or flush.
        if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(data.len()))
    }

    fn seal(&mut self, content: &[u8]) -> io::Result<()> {
        let sealer = self.sealer.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        if self.new_key || sealer.is_worn() {
            let next = self.secrets.next_to_seal();
            let next = next.map_err(|_| RecordError::Crypto)?;
            let sealed = sealer.renew(next, self.outgoing.room())?;
            self.outgoing.grow(sealed);
            self.new_key = false;
        }
        let sealed = sealer.data(content, self.outgoing.room())?;
        self.outgoing.grow(sealed);
        self.opener.has_answered();
        Ok(())
    }

    /// Seals an alert, unless there was one: nothing comes after it.
    fn seal_last(&mut self, alert: AlertDescription) -> Result<(), RecordError> {
        if let Some(mut sealer) = self.sealer.take() {
            self.begin_to_speak();
            let sealed = sealer.alert(alert, self.outgoing.room())?;
            self.outgoing.grow(sealed);
        }
        Ok(())
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An alert finds room when what was sealed before is out.
        ready!(self.poll_drain(cx))?;
        self.seal_last(AlertDescription::CloseNotify)?;
        // In one packet with the end.
        ready!(self.poll_drain_by(cx, |socket, cx, bytes| socket.poll_write_last(cx, bytes)))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_open(cx, buf)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_seal(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_drain(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close(cx)
    }
}
