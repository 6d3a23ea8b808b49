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

use super::error::{CertificateProblem, TlsError};
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
    trust: Arc<DatabaseTrust>,
    name: Option<String>,
    host: String,
    shown: Option<Arc<dyn ResolvesClientCert>>,
    time: Arc<Time>,
}

impl fmt::Debug for DatabaseTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseTls")
            .field("host", &self.host)
            .field("name", &self.name)
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
            trust: Arc::new(trust),
            name,
            host,
            shown: material.map(shown),
            time: Arc::new(Time(clock)),
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
        let judge = Arc::new(Judge {
            tls: self.clone(),
            algorithms: provider().signature_verification_algorithms,
            problem: OnceLock::new(),
        });
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| TlsError::Setup(format!("{:?} is no host name", self.host)))?;
        let connector = TlsConnector::from(self.config(Arc::clone(&judge))?);
        let handshake = connector.connect(name, ReadAhead::new(stream));
        match (before(deadline, handshake).await, judge.problem.get()) {
            (_, Some(problem)) => Err(TlsError::ServerCertificate(problem.clone())),
            (None, None) => Err(TlsError::Deadline),
            (Some(Err(error)), None) => Err(TlsError::from_io(error)),
            (Some(Ok(stream)), None) => Ok(DatabaseStream(Box::new(stream))),
        }
    }

    fn config(&self, judge: Arc<Judge>) -> Result<Arc<ClientConfig>, TlsError> {
        let builder = ClientConfig::builder_with_details(provider(), Arc::clone(&self.time) as _)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(judge);
        let mut config = match &self.shown {
            Some(shown) => builder.with_client_cert_resolver(Arc::clone(shown)),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// Judges one database's certificate and keeps the problem, since rustls keeps only the alert.
#[derive(Debug)]
struct Judge {
    tls: DatabaseTls,
    algorithms: WebPkiSupportedAlgorithms,
    problem: OnceLock<CertificateProblem>,
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
        let names = (self.tls.name.as_deref(), self.tls.host.as_str());
        match self.tls.trust.judge(end_entity, intermediates, names, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(problem) => Err(alerting(self.problem.get_or_init(|| problem))),
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
