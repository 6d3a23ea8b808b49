//! Doubles of MySQL clients that come without cloudsql-proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::ca::{Ca, name};
use crate::database::packet;
use crate::running::{Agent, PATIENCE};

/// CLIENT_SSL in byte 1 of the capabilities.
const SSL: u32 = 0x0800;
const CAPABILITIES: u32 = 0x0000_0200 | 0x0000_8000 | 0x0008_0000;

/// The payload of a HandshakeResponse41, or the front of it that is an SSLRequest.
pub(crate) fn response(user: Option<&str>, more: u32) -> Vec<u8> {
    let mut payload = (CAPABILITIES | more).to_le_bytes().to_vec();
    payload.extend_from_slice(&0x0100_0000_u32.to_le_bytes());
    payload.push(45);
    payload.extend_from_slice(&[0; 23]);
    if let Some(user) = user {
        payload.extend_from_slice(user.as_bytes());
        payload.extend_from_slice(b"\0\0mysql_native_password\0");
    }
    payload
}

pub(crate) fn ssl_request() -> Vec<u8> {
    packet(1, &response(None, SSL))
}

/// A connection to the direct listener, and the payload of the greeting.
pub(crate) async fn connect(agent: &Agent) -> (TcpStream, Vec<u8>) {
    connect_to(agent.mysql.unwrap()).await
}

pub(crate) async fn connect_to(listener: SocketAddr) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(listener).await.unwrap();
    let (sequence, greeting) = read(&mut stream).await;
    assert_eq!(sequence, 0);
    (stream, greeting)
}

/// One packet: its number and payload.
pub(crate) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> (u8, Vec<u8>) {
    let whole = async {
        let mut header = [0; 4];
        stream.read_exact(&mut header).await?;
        let [a, b, c, sequence] = header;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, 0])).unwrap();
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await?;
        std::io::Result::Ok((sequence, payload))
    };
    timeout(PATIENCE, whole).await.unwrap().unwrap()
}

/// Error number, SQLSTATE if there is one, and text.
pub(crate) fn error(payload: &[u8]) -> (u16, String) {
    assert_eq!(payload[0], 0xFF, "{payload:?}");
    let number = u16::from_le_bytes([payload[1], payload[2]]);
    (number, String::from_utf8(payload[3..].to_vec()).unwrap())
}

/// How a client goes about TLS.
pub(crate) struct Tls {
    config: ClientConfig,
}

impl Tls {
    pub(crate) fn new(
        ca: &Ca,
        version: &'static SupportedProtocolVersion,
        shown: Option<(String, String)>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        let pem = &ca.authorities("i").1.pem;
        roots
            .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
            .unwrap();
        let builder = ClientConfig::builder_with_provider(transport::tls::provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder
                    .with_client_auth_cert(vec![certificate], key)
                    .unwrap()
            }
        };
        Self { config }
    }

    /// TLS 1.3, no certificate.
    pub(crate) fn plain(ca: &Ca) -> Self {
        Self::new(ca, &rustls::version::TLS13, None)
    }

    /// Shakes hands behind an SSLRequest.
    pub(crate) async fn begin(
        self,
        mut stream: TcpStream,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        stream.write_all(&ssl_request()).await?;
        let server = ServerName::try_from(name("r", "i").dns_name()).unwrap();
        let connector = TlsConnector::from(Arc::new(self.config));
        timeout(PATIENCE, connector.connect(server, stream))
            .await
            .unwrap()
    }

    /// Logs in; gives back the answer's number and payload.
    pub(crate) async fn log_in(
        self,
        agent: &Agent,
        user: &str,
    ) -> (TlsStream<TcpStream>, (u8, Vec<u8>)) {
        let (stream, _) = connect(agent).await;
        let mut stream = self.begin(stream).await.unwrap();
        let answer = log_in(&mut stream, 2, user, SSL).await;
        (stream, answer)
    }
}

/// Sends a response with that number; gives back the answer's.
pub(crate) async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    sequence: u8,
    user: &str,
    more: u32,
) -> (u8, Vec<u8>) {
    let payload = response(Some(user), more);
    stream.write_all(&packet(sequence, &payload)).await.unwrap();
    read(stream).await
}

/// Sends and expects the same back.
pub(crate) async fn echo<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    let read = timeout(PATIENCE, stream.read_exact(&mut back)).await;
    read.unwrap().unwrap();
    assert_eq!(back, text);
}
