//! Watches a peer that has nothing to say yet, without taking a byte from it.

use std::io;

use rustix::net::{RecvFlags, recv};
use tokio::io::{Interest, Ready};

use super::Socket;

impl Socket {
    /// Waits until the peer has sent something, and returns its first byte; `None` at an end without a byte.
    ///
    /// # Errors
    /// The connection's failure, a reset among them.
    pub async fn first_byte(&self) -> io::Result<Option<u8>> {
        loop {
            self.ready(Interest::READABLE).await?;
            let mut byte = [0];
            match self.peek(&mut byte) {
                Ok(read) => return Ok(byte.first().copied().filter(|_| read > 0)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until nothing that is written can reach the peer. A peer that has only ended its own direction still reads.
    pub async fn closed(&self) {
        let ended = self.ready(Interest::ERROR | Interest::PRIORITY).await;
        if ended.is_ok_and(|ready| !ready.is_error()) && !self.is_hung_up().await {
            // A half-close. Readiness does not show a later close of a Unix socket, but a reset.
            self.ready(Interest::ERROR).await.ok();
        }
    }

    /// Whether both directions are closed. Returns at once while nothing has been written.
    async fn is_hung_up(&self) -> bool {
        let ready = self.ready(Interest::WRITABLE).await;
        ready.map_or(true, Ready::is_write_closed)
    }

    async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Self::Tcp(stream) => stream.ready(interest).await,
            Self::Unix(stream) => stream.ready(interest).await,
        }
    }

    fn peek(&self, byte: &mut [u8; 1]) -> io::Result<usize> {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match self {
            Self::Tcp(stream) => {
                let read = || Ok(recv(stream, &mut byte[..], flags)?.0);
                stream.try_io(Interest::READABLE, read)
            }
            Self::Unix(stream) => {
                let read = || Ok(recv(stream, &mut byte[..], flags)?.0);
                stream.try_io(Interest::READABLE, read)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream, UnixStream};
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    async fn tcp() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await;
        (listener.accept().await.unwrap().0.into(), peer.unwrap())
    }

    /// Whether the socket is closed now: the events of this machine's own sockets arrive in one turn of the loop.
    async fn is_closed(socket: &Socket) -> bool {
        tokio::select! {
            biased;
            () = socket.closed() => true,
            () = async { tokio::time::sleep(Duration::from_millis(20)).await } => false,
        }
    }

    #[tokio::test]
    async fn the_first_byte_is_seen_and_stays_to_be_read() {
        let (socket, mut peer) = tcp().await;
        peer.write_all(b"GET").await.unwrap();
        for _ in 0..2 {
            assert_eq!(socket.first_byte().await.unwrap(), Some(b'G'));
        }
        let (ours, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(b"x").await.unwrap();
        let socket = Socket::from(ours);
        for _ in 0..2 {
            assert_eq!(socket.first_byte().await.unwrap(), Some(b'x'));
        }
    }

    #[tokio::test]
    async fn a_peer_that_leaves_without_a_byte_is_an_end_or_a_failure() {
        let (socket, peer) = tcp().await;
        drop(peer);
        assert_eq!(socket.first_byte().await.unwrap(), None);
        let (socket, peer) = tcp().await;
        peer.set_zero_linger().unwrap();
        drop(peer);
        assert!(socket.first_byte().await.is_err());
        let (ours, peer) = UnixStream::pair().unwrap();
        drop(peer);
        assert_eq!(Socket::from(ours).first_byte().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_reset_and_a_closed_unix_socket_are_closed() {
        let (socket, peer) = tcp().await;
        peer.set_zero_linger().unwrap();
        drop(peer);
        timeout(PATIENCE, socket.closed()).await.unwrap();
        let (ours, peer) = UnixStream::pair().unwrap();
        drop(peer);
        timeout(PATIENCE, Socket::from(ours).closed())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_only_ended_its_own_direction_is_not_closed() {
        let (socket, mut peer) = tcp().await;
        peer.write_all(b"word").await.unwrap();
        peer.shutdown().await.unwrap();
        assert!(!is_closed(&socket).await);
        // A reset is still seen afterwards.
        let reset = async {
            peer.set_zero_linger().unwrap();
            drop(peer);
            pending::<()>().await;
        };
        let closed = async {
            tokio::select! {
                () = socket.closed() => {}
                () = reset => {}
            }
        };
        timeout(PATIENCE, closed).await.unwrap();
        let (ours, mut peer) = UnixStream::pair().unwrap();
        peer.shutdown().await.unwrap();
        assert!(!is_closed(&Socket::from(ours)).await);
    }
}
