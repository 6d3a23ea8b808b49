//! An application's stream whose commands are watched for a change of user.
//!
//! The login machine checks the user that logs in and bridges its authentication; the protocol lets a session do both
//! again later. Reading stops in front of that command, so that another machine can take it from there.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use proto::mysql::Commands;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream, watched or not.
#[derive(Debug)]
pub(crate) struct Watched<'a, S> {
    stream: &'a mut S,
    commands: Option<Commands>,
    /// Read and not passed on yet: what came with the login, or an unfinished header.
    held: Vec<u8>,
    stopped: bool,
}

impl<'a, S> Watched<'a, S> {
    /// Watches if `watch` says so. `early` was read with the login and comes first.
    pub(crate) fn new(stream: &'a mut S, watch: bool, early: Vec<u8>) -> Self {
        Self {
            stream,
            commands: watch.then(Commands::default),
            held: early,
            stopped: false,
        }
    }

    /// What reading stopped at, from the command's header on, and the stream below.
    pub(crate) fn change_of_user(&mut self) -> Option<(Vec<u8>, &mut S)> {
        let stopped = std::mem::take(&mut self.stopped);
        stopped.then(|| (std::mem::take(&mut self.held), &mut *self.stream))
    }

    /// Goes on behind a change of user.
    pub(crate) fn go_on(&mut self, watch: bool, early: Vec<u8>) {
        self.commands = watch.then(Commands::default);
        self.held = early;
    }

    /// How many of the bytes read may pass; the others are held.
    fn pass(&mut self, read: &[u8]) -> usize {
        let Some(commands) = &mut self.commands else {
            return read.len();
        };
        let seen = commands.look(read);
        self.stopped = seen.changes_user && seen.pass == 0;
        seen.pass
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
        let mut held = std::mem::take(&mut this.held);
        let kept = held.split_off(held.len().min(buf.remaining()));
        buf.put_slice(&held);
        loop {
            let filled = buf.filled().len();
            let polled = if kept.is_empty() && buf.remaining() > 0 {
                Pin::new(&mut *this.stream).poll_read(cx, buf)
            } else {
                Poll::Ready(Ok(()))
            };
            let ended = matches!(polled, Poll::Ready(Ok(()))) && buf.filled().len() == filled;
            let read = buf.filled().get(before..).unwrap_or_default();
            let pass = this.pass(read);
            if pass == 0 && !this.stopped && !ended && matches!(polled, Poll::Ready(Ok(()))) {
                continue;
            }
            // An application that ends within a header is passed on as it is.
            let pass = if ended && !this.stopped && kept.is_empty() {
                read.len()
            } else {
                pass
            };
            this.held = read.get(pass..).unwrap_or_default().to_vec();
            this.held.extend_from_slice(&kept);
            buf.set_filled(before.saturating_add(pass));
            return match polled {
                _ if pass > 0 => Poll::Ready(Ok(())),
                _ if this.stopped => Poll::Ready(Err(io::Error::other("a change of user"))),
                polled => polled,
            };
        }
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
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const QUERY: &[u8] = &[2, 0, 0, 0, 0x03, b'x'];
    const CHANGE_USER: &[u8] = &[3, 0, 0, 0, 0x11, b'r', 0];

    async fn read(watched: &mut Watched<'_, tokio::io::DuplexStream>) -> io::Result<Vec<u8>> {
        let mut buffer = [0; 64];
        let length = watched.read(&mut buffer).await?;
        Ok(buffer[..length].to_vec())
    }

    #[tokio::test]
    async fn reading_stops_in_front_of_a_change_of_user_and_goes_on_behind_it() {
        let (mut app, mut agent) = duplex(64);
        let mut watched = Watched::new(&mut agent, true, QUERY.to_vec());
        app.write_all(&[QUERY, CHANGE_USER].concat()).await.unwrap();
        assert_eq!(read(&mut watched).await.unwrap(), [QUERY, QUERY].concat());
        assert!(watched.change_of_user().is_none());
        assert!(read(&mut watched).await.is_err());
        let (command, _) = watched.change_of_user().unwrap();
        assert_eq!(command, CHANGE_USER);
        watched.go_on(true, QUERY.to_vec());
        app.write_all(QUERY).await.unwrap();
        assert_eq!(read(&mut watched).await.unwrap(), [QUERY, QUERY].concat());
    }

    #[tokio::test]
    async fn bytes_that_come_one_by_one_are_held_until_the_command_is_known() {
        let (mut app, mut agent) = duplex(1);
        let mut watched = Watched::new(&mut agent, true, Vec::new());
        let writer = async {
            for byte in [QUERY, CHANGE_USER].concat() {
                app.write_all(&[byte]).await.unwrap();
            }
        };
        let reader = async {
            let mut passed = Vec::new();
            while let Ok(bytes) = read(&mut watched).await {
                passed.extend(bytes);
            }
            passed
        };
        let (passed, ()) = tokio::join!(reader, async {
            tokio::time::timeout(std::time::Duration::from_secs(5), writer)
                .await
                .ok();
        });
        assert_eq!(passed, QUERY);
        assert!(CHANGE_USER.starts_with(&watched.change_of_user().unwrap().0));
    }

    #[tokio::test]
    async fn an_end_within_a_header_is_passed_on() {
        let (mut app, mut agent) = duplex(64);
        app.write_all(&QUERY[..3]).await.unwrap();
        drop(app);
        let mut watched = Watched::new(&mut agent, true, Vec::new());
        assert_eq!(read(&mut watched).await.unwrap(), &QUERY[..3]);
        assert!(read(&mut watched).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_unwatched_session_passes_whatever_it_says() {
        let (mut app, mut agent) = duplex(64);
        app.write_all(CHANGE_USER).await.unwrap();
        let mut watched = Watched::new(&mut agent, false, Vec::new());
        assert_eq!(read(&mut watched).await.unwrap(), CHANGE_USER);
    }
}
