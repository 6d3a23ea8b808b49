//! The last bytes before the end: the kernel keeps them back, so that the end goes in the same packet.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use rustix::net::{SendFlags, send};
use tokio::io::Interest;

use super::Socket;

impl Socket {
    /// Writes bytes that the end of the stream follows at once (`MSG_MORE`, see send(2)): one packet instead of two, and
    /// the other side wakes up once. Without an end behind them they would be late by up to 200 ms.
    pub(crate) fn poll_write_last(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let written = match self {
                Self::Tcp(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_io(Interest::WRITABLE, || write_last(stream, bytes))
                }
                Self::Unix(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_io(Interest::WRITABLE, || write_last(stream, bytes))
                }
            };
            match written {
                // The socket is asked again when it is ready.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

fn write_last(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(send(socket, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)?)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use rustix::io::Errno;
    use rustix::net::{RecvFlags, recv};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream, UnixStream};

    use super::*;

    async fn pair(is_tcp: bool) -> (Socket, Socket) {
        if is_tcp {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let one = TcpStream::connect(listener.local_addr().unwrap()).await;
            let other = listener.accept().await.unwrap().0;
            one.as_ref().unwrap().set_nodelay(true).unwrap();
            return (one.unwrap().into(), other.into());
        }
        let (one, other) = UnixStream::pair().unwrap();
        (one.into(), other.into())
    }

    #[tokio::test]
    async fn what_was_written_last_comes_before_the_end() {
        for is_tcp in [true, false] {
            let (mut one, mut other) = pair(is_tcp).await;
            let written = poll_fn(|cx| one.poll_write_last(cx, b"bye")).await;
            assert_eq!(written.unwrap(), 3);
            one.shutdown().await.unwrap();
            let mut heard = Vec::new();
            other.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"bye");
        }
    }

    /// Whether bytes written this way lie still until the end follows: on a machine that is very slow the kernel may send
    /// them before we look.
    async fn are_kept_back() -> bool {
        let (one, other) = pair(true).await;
        poll_fn(|cx| one.poll_write_last(cx, b"bye")).await.unwrap();
        let Socket::Tcp(other) = other else {
            panic!("not TCP")
        };
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        recv(&other, &mut [0; 3], flags) == Err(Errno::WOULDBLOCK)
    }

    #[tokio::test]
    async fn it_does_not_leave_before_the_end() {
        for _ in 0..20 {
            if are_kept_back().await {
                return;
            }
        }
        panic!("they never wait for the end");
    }

    #[tokio::test]
    async fn it_waits_for_room_and_goes_on_when_there_is_some() {
        for is_tcp in [true, false] {
            let (one, mut other) = pair(is_tcp).await;
            let block = vec![7; 64 * 1024];
            let mut sent = 0;
            let full = poll_fn(|cx| {
                Poll::Ready(loop {
                    match one.poll_write_last(cx, &block) {
                        Poll::Ready(written) => sent += written.unwrap(),
                        Poll::Pending => break true,
                    }
                })
            });
            assert!(full.await);
            let mut heard = vec![0; sent];
            let (read, more) = tokio::join!(
                other.read_exact(&mut heard),
                poll_fn(|cx| one.poll_write_last(cx, b"more"))
            );
            read.unwrap();
            assert!(more.unwrap() > 0);
        }
    }

    #[tokio::test]
    async fn a_side_that_is_gone_is_an_error() {
        let (one, other) = pair(false).await;
        drop(other);
        let written = poll_fn(|cx| one.poll_write_last(cx, b"bye")).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
