//! TLS that an application speaks by itself, inside the tunnel or on the agent's direct listener.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::error::TlsError;
use super::material::Material;
use super::provider::provider;
use crate::deadline::before;

/// Accepts an application's TLS: 1.2 and 1.3, no client certificate, no resumption.
#[derive(Clone)]
pub struct LocalTls(Arc<ServerConfig>);

impl fmt::Debug for LocalTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalTls")
    }
}

impl LocalTls {
    /// A server that shows this certificate.
    ///
    /// # Errors
    /// When the cryptographic library lacks TLS.
    pub fn new(material: &Material) -> Result<Self, TlsError> {
        let shown = Arc::new(SingleCertAndKey::from(CertifiedKey::clone(
            &material.certified,
        )));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(shown);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }

    /// Shakes hands. `first` was read from `stream` already and belongs to TLS.
    ///
    /// # Errors
    /// [`TlsError`] with the reason.
    pub async fn accept<S>(
        &self,
        stream: S,
        first: Vec<u8>,
        deadline: Instant,
    ) -> Result<LocalStream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = TlsAcceptor::from(Arc::clone(&self.0)).accept(Prefixed { first, stream });
        match before(deadline, handshake).await {
            None => Err(TlsError::Deadline),
            Some(Ok(stream)) => Ok(LocalStream(Box::new(stream))),
            Some(Err(error)) => Err(TlsError::from_io(error)),
        }
    }
}

/// An application's encrypted connection.
#[derive(Debug)]
pub struct LocalStream<S>(Box<tokio_rustls::server::TlsStream<Prefixed<S>>>);

/// A stream with bytes that were read from it before.
#[derive(Debug)]
struct Prefixed<S> {
    first: Vec<u8>,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.first.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let given = this.first.len().min(buf.remaining());
        buf.put_slice(this.first.get(..given).unwrap_or_default());
        this.first.drain(..given);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for LocalStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LocalStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_shutdown(cx)
    }
}
