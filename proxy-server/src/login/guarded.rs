//! An application's stream whose commands are watched, where the grant names database users.
//!
//! The login machine checks the user that logs in; the protocol lets a session change it later. What is read here
//! and does not pass never reaches the database.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use proto::machine::Violation;
use proto::mysql::CommandGuard;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream, watched or not.
#[derive(Debug)]
pub(crate) struct Guarded<'a, S> {
    stream: &'a mut S,
    guard: Option<CommandGuard>,
}

impl<'a, S> Guarded<'a, S> {
    /// Passes everything.
    pub(crate) const fn open(stream: &'a mut S) -> Self {
        Self {
            stream,
            guard: None,
        }
    }

    /// Watches from behind the login on. `early` was read with the login and goes on with it.
    ///
    /// # Errors
    /// When `early` asks to change the user already.
    pub(crate) fn watched(stream: &'a mut S, early: &[u8]) -> Result<Self, Violation> {
        let mut guard = CommandGuard::default();
        guard.inspect(early)?;
        Ok(Self {
            stream,
            guard: Some(guard),
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<'_, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut *this.stream).poll_read(cx, buf);
        if let (Poll::Ready(Ok(())), Some(guard)) = (&read, &mut this.guard) {
            let new = buf.filled().get(before..).unwrap_or_default();
            if let Err(violation) = guard.inspect(new) {
                buf.set_filled(before);
                return Poll::Ready(Err(io::Error::other(violation)));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<'_, S> {
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
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const QUERY: &[u8] = &[2, 0, 0, 0, 0x03, b'x'];
    const CHANGE_USER: &[u8] = &[3, 0, 0, 0, 0x11, b'r', 0];

    #[tokio::test]
    async fn a_watched_session_cannot_change_its_user() {
        let (mut app, mut agent) = duplex(64);
        let mut watched = Guarded::watched(&mut agent, QUERY).unwrap();
        app.write_all(QUERY).await.unwrap();
        let mut buffer = [0; 64];
        assert_eq!(watched.read(&mut buffer).await.unwrap(), QUERY.len());
        app.write_all(CHANGE_USER).await.unwrap();
        let error = watched.read(&mut buffer).await.unwrap_err();
        assert!(error.to_string().contains("may not be changed"), "{error}");
        assert!(Guarded::watched(&mut agent, CHANGE_USER).is_err());
    }

    #[tokio::test]
    async fn an_unwatched_session_passes_whatever_it_says() {
        let (mut app, mut agent) = duplex(64);
        app.write_all(CHANGE_USER).await.unwrap();
        let mut buffer = [0; 64];
        let read = Guarded::open(&mut agent).read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..read], CHANGE_USER);
    }
}
