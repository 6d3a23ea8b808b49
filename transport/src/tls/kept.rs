//! What a tunnel that is kept ready needs when it is used at last, by another task than the one that made it.

use std::io;

use super::TlsStream;
use crate::socket::TcpOptions;

impl TlsStream {
    /// Has the current runtime watch it, in place of the one that did: it wakes this one's tasks only from here on.
    ///
    /// # Errors
    /// When it cannot be watched here.
    pub fn watch_here(&mut self) -> io::Result<()> {
        self.socket_mut().watch_here()
    }

    /// Sets the options of the TCP leg below.
    ///
    /// # Errors
    /// When the kernel refuses one of them.
    pub fn tune(&mut self, options: &TcpOptions) -> io::Result<()> {
        self.socket_mut().tune(options)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use socket2::SockRef;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream, UnixStream};
    use tokio::runtime::{Builder, Runtime};

    use super::*;
    use crate::socket::Socket;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    async fn pair() -> (Socket, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).await;
        (
            one.unwrap().into(),
            listener.accept().await.unwrap().0.into(),
        )
    }

    #[test]
    fn a_socket_of_a_runtime_that_is_gone_wakes_the_one_that_watches_it_now() {
        for is_tcp in [true, false] {
            let (first, second) = (runtime(), runtime());
            let (mut ours, mut other) = first.block_on(async {
                if is_tcp {
                    return pair().await;
                }
                let (one, other) = UnixStream::pair().unwrap();
                (one.into(), other.into())
            });
            second.block_on(async {
                ours.watch_here().unwrap();
                other.watch_here().unwrap();
            });
            drop(first);
            let talk = async {
                let mut heard = [0; 4];
                let read = async { ours.read_exact(&mut heard).await.unwrap() };
                // The reader is asleep when the word comes.
                let write = async {
                    tokio::task::yield_now().await;
                    other.write_all(b"word").await.unwrap();
                };
                tokio::join!(read, write);
                assert_eq!(&heard, b"word");
            };
            let limit = Duration::from_secs(10);
            second
                .block_on(async { tokio::time::timeout(limit, talk).await })
                .unwrap();
        }
    }

    #[tokio::test]
    async fn options_of_a_tcp_leg_can_be_changed_while_it_stands_and_a_unix_socket_has_none() {
        let (socket, _other) = pair().await;
        let short = TcpOptions {
            keepalive_time: Duration::from_secs(7),
            user_timeout: Some(Duration::from_secs(2)),
            ..TcpOptions::default()
        };
        for options in [short, TcpOptions::default()] {
            socket.tune(&options).unwrap();
            let Socket::Tcp(stream) = &socket else {
                panic!("not TCP")
            };
            let kernel = SockRef::from(stream);
            let user_timeout = kernel.tcp_user_timeout().unwrap();
            assert_eq!(user_timeout, None, "the other end is on this machine");
            assert_eq!(kernel.tcp_keepalive_time().unwrap(), options.keepalive_time);
        }
        let (unix, _other) = UnixStream::pair().unwrap();
        Socket::from(unix).tune(&short).unwrap();
    }
}
