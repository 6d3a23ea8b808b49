//! TLS that an application speaks by itself, inside the tunnel or on the agent's direct listener.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use proto::InstanceName;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::error::TlsError;
use super::found;
use super::material::{Material, TrustRoots};
use super::provider::{Time, provider};
use super::read_ahead::ReadAhead;
use super::server::{ClientIdentity, Judge, ServedInstances};
use crate::Clock;
use crate::deadline::before;

/// Accepts an application's TLS: 1.2 and 1.3, no resumption.
#[derive(Clone)]
pub struct LocalTls {
    config: Arc<ServerConfig>,
}

/// The one instance whose clients may show certificates.
#[derive(Debug)]
struct OneInstance(InstanceName, Arc<TrustRoots>);

impl ServedInstances for OneInstance {
    fn client_roots(&self, instance: &InstanceName) -> Option<Arc<TrustRoots>> {
        (*instance == self.0).then(|| Arc::clone(&self.1))
    }

    fn server_material(&self, _: Option<&str>) -> Option<Arc<Material>> {
        None
    }
}

impl fmt::Debug for LocalTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalTls")
    }
}

impl LocalTls {
    /// A server that shows this certificate and asks for none.
    ///
    /// # Errors
    /// When the cryptographic library lacks TLS.
    pub fn new(material: &Material) -> Result<Self, TlsError> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(shown(material));
        Ok(Self::with(config))
    }

    /// A server that asks for a client certificate of this instance, and believes these roots.
    ///
    /// # Errors
    /// When the cryptographic library lacks TLS.
    pub fn asking(
        material: &Material,
        instance: InstanceName,
        roots: Arc<TrustRoots>,
        required: bool,
        clock: Clock,
    ) -> Result<Self, TlsError> {
        let served = Arc::new(OneInstance(instance, roots));
        let judge = Arc::new(Judge::new(served, required));
        let config = ServerConfig::builder_with_details(provider(), Arc::new(Time(clock)))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .with_client_cert_verifier(judge)
            .with_cert_resolver(shown(material));
        Ok(Self::with(config))
    }

    fn with(mut config: ServerConfig) -> Self {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Self {
            config: Arc::new(config),
        }
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
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let handshake = acceptor.accept(ReadAhead::new(Prefixed::new(first, stream)));
        let (accepted, found) = found::during(before(deadline, handshake)).await;
        match (accepted, found.client) {
            (_, Some(Err(problem))) => Err(TlsError::ClientCertificate(problem)),
            (None, _) => Err(TlsError::Deadline),
            (Some(Err(error)), _) => Err(TlsError::from_io(error)),
            (Some(Ok(stream)), verdict) => Ok(LocalStream {
                client: verdict.and_then(Result::ok),
                stream: Box::new(stream),
            }),
        }
    }
}

fn shown(material: &Material) -> Arc<SingleCertAndKey> {
    let certified = CertifiedKey::clone(&material.certified);
    Arc::new(SingleCertAndKey::from(certified))
}

/// An application's encrypted connection.
#[derive(Debug)]
pub struct LocalStream<S> {
    stream: Box<tokio_rustls::server::TlsStream<ReadAhead<Prefixed<S>>>>,
    client: Option<ClientIdentity>,
}

impl<S> LocalStream<S> {
    /// Whom the application's certificate speaks for, if it has shown one.
    pub const fn client(&self) -> Option<&ClientIdentity> {
        self.client.as_ref()
    }
}

/// A stream with bytes that were read from it before.
#[derive(Debug)]
pub(super) struct Prefixed<S> {
    first: Vec<u8>,
    stream: S,
}

impl<S> Prefixed<S> {
    pub(super) const fn new(first: Vec<u8>, stream: S) -> Self {
        Self { first, stream }
    }
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
        Pin::new(&mut *self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LocalStream<S> {
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
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().stream).poll_shutdown(cx)
    }
}
