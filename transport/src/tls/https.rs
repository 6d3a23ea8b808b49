//! TLS as an HTTPS server speaks it: no client certificate, TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::error::TlsError;
use super::material::Material;
use super::provider::provider;
use super::read_ahead::ReadAhead;
use super::server::close;
use crate::deadline::before;
use crate::socket::Socket;

/// Accepts HTTPS connections.
#[derive(Clone, Debug)]
pub struct HttpsServer {
    config: Arc<ServerConfig>,
}

impl HttpsServer {
    /// A server that shows whatever certificate `current` gives at each handshake.
    ///
    /// # Errors
    /// When the cryptographic library lacks TLS.
    pub fn new(
        current: impl Fn() -> Option<Arc<Material>> + Send + Sync + 'static,
    ) -> Result<Self, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Current(Box::new(current))));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// [`TlsError`] with the reason.
    pub async fn accept(
        &self,
        socket: impl Into<Socket>,
        deadline: Instant,
    ) -> Result<HttpsStream, TlsError> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let handshake = acceptor.accept(ReadAhead::new(socket.into()));
        match before(deadline, handshake.into_fallible()).await {
            None => Err(TlsError::Deadline),
            Some(Ok(stream)) => Ok(HttpsStream(Box::new(stream))),
            Some(Err((error, socket))) => Err(close(TlsError::from_io(error), socket).await),
        }
    }
}

/// An HTTPS connection, accepted.
#[derive(Debug)]
pub struct HttpsStream(Box<tokio_rustls::server::TlsStream<ReadAhead<Socket>>>);

impl HttpsStream {
    /// The application protocol that was negotiated, if any was.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.get_ref().1.alpn_protocol()
    }
}

impl AsyncRead for HttpsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_read(cx, buf)
    }
}

impl AsyncWrite for HttpsStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_shutdown(cx)
    }
}

struct Current(Box<dyn Fn() -> Option<Arc<Material>> + Send + Sync>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        (self.0)().map(|material| Arc::clone(&material.certified))
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}
