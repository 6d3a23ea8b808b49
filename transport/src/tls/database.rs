//! The agent's own TLS to its database.

mod trust;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature_with_raw_key,
};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::error::TlsError;
use super::found;
use super::material::Material;
use super::provider::{Time, provider};
use super::read_ahead::ReadAhead;
use super::verify::{alerting, parse};
use crate::Clock;
use crate::deadline::before;
pub use trust::{Authorities, DatabaseTrust, Fingerprint, InvalidFingerprint};

/// Speaks TLS 1.2 or 1.3 to one database.
#[derive(Clone)]
pub struct DatabaseTls {
    judge: Arc<Judge>,
    shown: Option<Arc<dyn ResolvesClientCert>>,
    time: Arc<Time>,
    /// Made with the first connection: all share it.
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl fmt::Debug for DatabaseTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseTls")
            .field("host", &self.judge.host)
            .field("name", &self.judge.name)
            .finish_non_exhaustive()
    }
}

impl DatabaseTls {
    /// A client of the database on that host. `name` is one that its certificate must have, where that is not the host's.
    pub fn new(
        trust: DatabaseTrust,
        host: String,
        name: Option<String>,
        material: Option<&Material>,
        clock: Clock,
    ) -> Self {
        let shown = |material: &Material| -> Arc<dyn ResolvesClientCert> {
            Arc::new(SingleCertAndKey::from(Arc::clone(&material.certified)))
        };
        Self {
            judge: Arc::new(Judge {
                trust,
                name,
                host,
                algorithms: provider().signature_verification_algorithms,
            }),
            shown: material.map(shown),
            time: Arc::new(Time(clock)),
            config: Arc::default(),
        }
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// [`TlsError`] with the reason.
    pub async fn connect<S>(
        &self,
        stream: S,
        deadline: Instant,
    ) -> Result<DatabaseStream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let host = &self.judge.host;
        let name = ServerName::try_from(host.clone())
            .map_err(|_| TlsError::Setup(format!("{host:?} is no host name")))?;
        let connector = TlsConnector::from(self.config()?);
        let handshake = before(deadline, connector.connect(name, ReadAhead::new(stream)));
        let (connected, found) = found::during(handshake).await;
        match (connected, found.server) {
            (_, Some(problem)) => Err(TlsError::ServerCertificate(problem)),
            (None, None) => Err(TlsError::Deadline),
            (Some(Err(error)), None) => Err(TlsError::from_io(error)),
            (Some(Ok(stream)), None) => Ok(DatabaseStream(Box::new(stream))),
        }
    }

    fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let builder = ClientConfig::builder_with_details(provider(), Arc::clone(&self.time) as _)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&self.judge) as _);
        let mut config = match &self.shown {
            Some(shown) => builder.with_client_cert_resolver(Arc::clone(shown)),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(Arc::clone(self.config.get_or_init(|| Arc::new(config))))
    }
}

/// Judges one database's certificate, and notes what is wrong with it.
#[derive(Debug)]
struct Judge {
    trust: DatabaseTrust,
    name: Option<String>,
    host: String,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let now = UNIX_EPOCH + Duration::from_secs(now.as_secs());
        let names = (self.name.as_deref(), self.host.as_str());
        match self.trust.judge(end_entity, intermediates, names, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(problem) => {
                let error = alerting(&problem);
                found::note(|found| found.server = Some(problem));
                Err(error)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    /// By the key alone: the library does not take certificates of version 1, which some databases have.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let certificate = parse(cert).map_err(|problem| alerting(&problem))?;
        let key = SubjectPublicKeyInfoDer::from(certificate.public_key().raw);
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// An encrypted connection to a database.
#[derive(Debug)]
pub struct DatabaseStream<S>(Box<tokio_rustls::client::TlsStream<ReadAhead<S>>>);

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for DatabaseStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for DatabaseStream<S> {
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
        slices: &[io::IoSlice<'_>],
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
