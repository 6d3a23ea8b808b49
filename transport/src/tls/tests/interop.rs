//! Our records and rustls's own, one at each end of a connection: new keys, ends, alerts, and bytes that come early.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, Connection, RootCertStore, ServerConfig, SupportedCipherSuite};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::pki::{Authority, NOW, at, instance, server_params};
use crate::buffer::kept;
use crate::tls::provider::{Time, provider};
use crate::tls::shake::shake;
use crate::tls::{Alert, TlsStream};

/// Which end is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ours {
    Client,
    Server,
}

/// Both configurations, with one cipher suite.
fn configs(suite: SupportedCipherSuite) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let authority = Authority::new("server CA");
    let time = Arc::new(Time(Arc::new(|| at(NOW))));
    let mut with_one = provider().as_ref().clone();
    with_one.cipher_suites = vec![suite];
    let provider = Arc::new(with_one);
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap())
        .unwrap();
    let versions = &[&rustls::version::TLS13];
    let builder = ClientConfig::builder_with_details(provider.clone(), time.clone());
    let mut client = builder
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = true;
    let shown = authority.material(&server_params()).certified;
    let mut server = ServerConfig::builder_with_details(provider, time)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    server.enable_secret_extraction = true;
    (Arc::new(client), Arc::new(server))
}

fn name() -> ServerName<'static> {
    ServerName::try_from(instance().dns_name()).unwrap()
}

/// rustls's end of a connection, on a thread of its own.
pub(super) struct Theirs {
    pub(super) connection: Connection,
    socket: StdStream,
}

impl Theirs {
    pub(super) fn send(&mut self) -> io::Result<()> {
        while self.connection.is_handshaking() || self.connection.wants_write() {
            self.connection.complete_io(&mut self.socket)?;
        }
        Ok(())
    }
}

impl io::Read for Theirs {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.send()?;
        while self.connection.wants_read() {
            if self.connection.complete_io(&mut self.socket)?.0 == 0 {
                break;
            }
        }
        self.connection.reader().read(buffer)
    }
}

impl io::Write for Theirs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send()?;
        let length = self.connection.writer().write(bytes)?;
        self.send()?;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// Our end, shaken hands with theirs, which lives by `script`.
pub(super) async fn meet<T: Send + 'static>(
    ours: Ours,
    suite: SupportedCipherSuite,
    script: impl FnOnce(&mut Theirs) -> io::Result<T> + Send + 'static,
) -> (TlsStream, JoinHandle<io::Result<T>>) {
    let (client, server) = configs(suite);
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connection = match ours {
        Ours::Client => Connection::Server(rustls::ServerConnection::new(server.clone()).unwrap()),
        Ours::Server => {
            Connection::Client(rustls::ClientConnection::new(client.clone(), name()).unwrap())
        }
    };
    let theirs = thread::spawn(move || {
        let (socket, _) = listener.accept()?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        script(&mut Theirs { connection, socket })
    });
    let socket = TcpStream::connect(address).await.unwrap().into();
    let stream = match ours {
        Ours::Client => {
            let side = UnbufferedClientConnection::new(client, name()).unwrap();
            shake(side, socket).await
        }
        Ours::Server => {
            let side = UnbufferedServerConnection::new(server).unwrap();
            shake(side, socket).await
        }
    };
    (stream.map_err(|(error, _)| error).unwrap(), theirs)
}

pub(super) const SUITES: [SupportedCipherSuite; 3] = [
    rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
    rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
    rustls::crypto::aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];
const MEGABYTE: usize = 1 << 20;

fn bytes(length: usize, seed: usize) -> Vec<u8> {
    (0..length)
        .map(|i| (i.wrapping_mul(31).wrapping_add(seed) >> 3).to_le_bytes()[0])
        .collect()
}

/// Sends back what comes, as it comes, with a new key now and then, until the end.
fn echo(theirs: &mut Theirs) -> io::Result<usize> {
    let mut buffer = vec![0; 50_000];
    let (mut count, mut since) = (0, 0);
    loop {
        let length = match theirs.read(&mut buffer)? {
            0 => break,
            length => length,
        };
        (count, since) = (count + length, since + length);
        theirs.write_all(&buffer[..length])?;
        if since > 300_000 {
            since = 0;
            theirs
                .connection
                .refresh_traffic_keys()
                .map_err(io::Error::other)?;
        }
    }
    theirs.connection.send_close_notify();
    theirs.send()?;
    Ok(count)
}

#[tokio::test]
async fn both_ends_understand_each_other_through_new_keys_of_either() {
    for suite in SUITES {
        for ours in [Ours::Client, Ours::Server] {
            let (mut stream, theirs) = meet(ours, suite, echo).await;
            // rustls takes a new key for each 60 records or so; ours are worn as fast.
            stream.wear_out_after(60);
            let sent = bytes(3 * MEGABYTE, 5);
            let (mut read, mut write) = tokio::io::split(stream);
            let mut received = Vec::new();
            let (_, read) = tokio::join!(
                async {
                    write.write_all(&sent).await.unwrap();
                    write.shutdown().await.unwrap();
                },
                read.read_to_end(&mut received)
            );
            read.unwrap();
            assert!(received == sent, "{ours:?} {suite:?}");
            assert_eq!(theirs.join().unwrap().unwrap(), sent.len());
        }
    }
}

#[tokio::test]
async fn what_comes_with_the_end_of_the_handshake_is_not_lost() {
    for length in [1, 100, 40_000] {
        let sent = bytes(length, 3);
        let expected = sent.clone();
        let (mut stream, theirs) = meet(Ours::Server, SUITES[1], move |theirs| {
            // Before the handshake: rustls sends it in one with its last message.
            theirs.connection.writer().write_all(&sent)?;
            theirs.send()?;
            theirs.connection.send_close_notify();
            theirs.send()?;
            theirs.socket.shutdown(Shutdown::Write)
        })
        .await;
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.unwrap();
        assert!(received == expected, "{length} bytes");
        theirs.join().unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_end_in_order_and_one_that_cuts_something_off_are_told_apart() {
    for orderly in [true, false] {
        let (mut stream, theirs) = meet(Ours::Client, SUITES[1], move |theirs| {
            theirs.write_all(b"last")?;
            if orderly {
                theirs.connection.send_close_notify();
                theirs.send()?;
            }
            theirs.socket.shutdown(Shutdown::Write)
        })
        .await;
        let mut received = Vec::new();
        let end = stream.read_to_end(&mut received).await;
        assert_eq!(received, b"last");
        match end {
            Ok(_) => assert!(orderly),
            Err(error) => {
                assert!(!orderly);
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            }
        }
        theirs.join().unwrap().unwrap();
    }
}

#[tokio::test]
async fn after_their_end_we_may_go_on_and_after_ours_nothing_is_written() {
    let (mut stream, theirs) = meet(Ours::Client, SUITES[1], |theirs| {
        theirs.send()?;
        theirs.connection.send_close_notify();
        theirs.send()?;
        let mut told = Vec::new();
        theirs.read_to_end(&mut told)?;
        Ok(told)
    })
    .await;
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(
        stream.read(&mut [0; 8]).await.unwrap(),
        0,
        "and it stays so"
    );
    stream.write_all(b"answer").await.unwrap();
    stream.shutdown().await.unwrap();
    let late = stream.write(b"late").await.unwrap_err();
    assert_eq!(late.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(theirs.join().unwrap().unwrap(), b"answer");
}

#[tokio::test]
async fn bytes_that_were_changed_on_their_way_end_the_connection_and_the_other_side_is_told() {
    let (mut stream, theirs) = meet(Ours::Server, SUITES[1], |theirs| {
        theirs.send()?;
        let mut record = Vec::new();
        theirs.connection.writer().write_all(b"select 1")?;
        theirs.connection.write_tls(&mut record)?;
        if let Some(last) = record.last_mut() {
            *last ^= 1;
        }
        theirs.socket.write_all(&record)?;
        let error = theirs.read(&mut [0; 8]).unwrap_err();
        Ok(Alert::of(&error))
    })
    .await;
    let mut received = [0; 8];
    let error = stream.read(&mut received).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("changed on its way"), "{error}");
    let again = stream.read(&mut received).await.unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::InvalidData, "and it stays so");
    assert!(stream.write(b"x").await.is_err());
    drop(stream);
    let told = theirs.join().unwrap().unwrap().expect("an alert");
    assert!(format!("{told:?}").contains("BadRecordMac"), "{told:?}");
}

#[tokio::test]
async fn small_readers_get_everything_and_idle_streams_hold_nothing() {
    let (mut stream, theirs) = meet(Ours::Server, SUITES[1], echo).await;
    let sent = bytes(100_000, 9);
    stream.write_all(&sent).await.unwrap();
    stream.flush().await.unwrap();
    let mut received = Vec::new();
    while received.len() < sent.len() {
        let mut some = [0; 7_001];
        let length = stream.read(&mut some).await.unwrap();
        received.extend_from_slice(&some[..length]);
    }
    assert!(received == sent);
    let idle = kept();
    assert!(stream.holds_nothing());
    stream.write_all(b"x").await.unwrap();
    stream.read_u8().await.unwrap();
    assert!(stream.holds_nothing());
    assert_eq!(kept(), idle, "a buffer was kept by somebody");
    stream.shutdown().await.unwrap();
    theirs.join().unwrap().unwrap();
}

#[tokio::test]
async fn what_the_socket_does_not_take_is_kept_and_goes_with_the_flush() {
    let (sender, ready) = std::sync::mpsc::channel::<()>();
    let (mut stream, theirs) = meet(Ours::Client, SUITES[1], move |theirs| {
        theirs.send()?;
        // Not a byte is read until the other side can write no more.
        ready.recv().map_err(io::Error::other)?;
        let mut received = Vec::new();
        theirs.read_to_end(&mut received)?;
        Ok(received)
    })
    .await;
    let mut sent = Vec::new();
    loop {
        let batch = bytes(200_000, sent.len());
        let write = stream.write(&batch);
        match tokio::time::timeout(Duration::from_millis(200), write).await {
            Ok(written) => sent.extend_from_slice(&batch[..written.unwrap()]),
            Err(_full) => break,
        }
    }
    assert!(!stream.holds_nothing(), "the socket took everything");
    sender.send(()).unwrap();
    stream.flush().await.unwrap();
    assert!(stream.holds_nothing());
    stream.shutdown().await.unwrap();
    assert!(theirs.join().unwrap().unwrap() == sent);
}
