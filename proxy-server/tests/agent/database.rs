//! Doubles of databases.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a database does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Repeats what it hears, until the other side is done.
    Echo,
    /// Says nothing and reads nothing.
    Silent,
    /// Closes at once.
    Closes,
    /// Greets as MySQL, answers OK to any response, then repeats what it hears.
    Mysql,
    /// Answers ERR 1045 to any response.
    MysqlDenies,
    /// Says that it has too many connections, instead of a greeting.
    MysqlFull,
    /// Says that it blocks the agent's host, instead of a greeting.
    MysqlBlocks,
}

pub(crate) struct Database {
    /// As `--database` takes it.
    pub(crate) place: String,
    /// Connections so far.
    pub(crate) seen: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Drop for Database {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Database {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = format!("tcp:{}", listener.local_addr().unwrap());
        let seen = Arc::new(AtomicUsize::new(0));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (counted, stopped, own) = (Arc::clone(&seen), stop.clone(), tasks.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                own.spawn(
                    stopped
                        .clone()
                        .run_until_cancelled_owned(serve(stream, manner)),
                );
            }
        }));
        Self { place, seen, stop }
    }

    pub(crate) fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }

    /// A place where nobody listens.
    pub(crate) fn nowhere() -> String {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let place = format!("tcp:{}", socket.local_addr().unwrap());
        // Bound and not listening: nobody else can get the port while the tests run.
        Box::leak(Box::new(socket));
        place
    }
}

async fn serve(mut stream: TcpStream, manner: Manner) {
    match manner {
        Manner::Echo => repeat(stream).await,
        Manner::Silent => std::future::pending().await,
        Manner::Closes => {}
        Manner::Mysql => {
            stream.write_all(&greeting()).await.unwrap();
            if response(&mut stream).await.is_some() {
                stream.write_all(&OK).await.unwrap();
                repeat(stream).await;
            }
        }
        Manner::MysqlDenies => {
            stream.write_all(&greeting()).await.unwrap();
            if response(&mut stream).await.is_some() {
                stream.write_all(&packet(2, DENIED)).await.unwrap();
            }
        }
        Manner::MysqlBlocks => stream.write_all(&packet(0, BLOCKED)).await.unwrap(),
        Manner::MysqlFull => stream.write_all(&packet(0, FULL)).await.unwrap(),
    }
}

async fn repeat(mut stream: TcpStream) {
    let (mut reader, mut writer) = stream.split();
    if tokio::io::copy(&mut reader, &mut writer).await.is_ok() {
        drop(writer.shutdown().await);
    }
}

/// Reads one packet.
async fn response(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await.ok()?;
    let [a, b, c, sequence] = header;
    assert_eq!(sequence, 1, "the response's number");
    let length = u32::from_le_bytes([a, b, c, 0]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).await.ok()?;
    assert_eq!(payload[1] & 0x08, 0, "CLIENT_SSL reached the database");
    Some(payload)
}

pub(crate) fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&[a, b, c, sequence][..], payload].concat()
}

/// OK, number 2.
pub(crate) const OK: [u8; 11] = [7, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0];
pub(crate) const DENIED: &[u8] = b"\xFF\x15\x04#28000Access denied for user";
pub(crate) const BLOCKED: &[u8] = b"\xFF\x69\x04Host '10.99.0.1' is blocked";
pub(crate) const FULL: &[u8] = b"\xFF\x10\x04Too many connections";
/// Place of the byte with CLIENT_SSL in the greeting's packet: header, version number, version, thread id, nonce, filler.
pub(crate) const SSL_BYTE: usize = 4 + 1 + 6 + 4 + 8 + 1 + 1;

/// HandshakeV10 of a MySQL that offers TLS.
pub(crate) fn greeting() -> Vec<u8> {
    let mut payload = vec![10];
    payload.extend_from_slice(b"9.7.4\0");
    payload.extend_from_slice(&77_u32.to_le_bytes());
    payload.extend_from_slice(b"12345678\0");
    payload.extend_from_slice(&[0xFF, 0xFF, 0xFF, 2, 0, 0xFF, 0xDF, 21]);
    payload.extend_from_slice(&[0; 10]);
    payload.extend_from_slice(b"abcdefghijkl\0");
    payload.extend_from_slice(b"mysql_native_password\0");
    packet(0, &payload)
}

/// HandshakeResponse41 of a user, without TLS, as a driver writes it.
pub(crate) fn login_as(user: &str) -> Vec<u8> {
    let capabilities: u32 = 0x0000_0200 | 0x0000_8000 | 0x0008_0000;
    let mut payload = capabilities.to_le_bytes().to_vec();
    payload.extend_from_slice(&0x0100_0000_u32.to_le_bytes());
    payload.push(45);
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(user.as_bytes());
    payload.push(0);
    payload.extend_from_slice(&[0]);
    payload.extend_from_slice(b"mysql_native_password\0");
    packet(1, &payload)
}
