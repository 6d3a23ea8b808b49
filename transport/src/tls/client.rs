//! The client side of the tunnel: trusts the instance's server CA alone, and names as Google's Go connector does.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::SingleCertAndKey;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::error::{CertificateProblem, TlsError};
use super::material::{Material, TrustRoots};
use super::provider::{Time, provider};
use super::read_ahead::ReadAhead;
use super::verify::{alerting, verify_server_identity};
use super::{Dialect, TlsStream};
use crate::Clock;
use crate::deadline::before;
use crate::socket::Socket;

/// Whom the server's certificate must be for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerIdentity {
    /// A DNS name among its alternative names; also sent as SNI. Empty is none, a closing dot does not count.
    pub dns_name: Option<String>,
    /// `project:instance` as its common name: accepted when there is no DNS name, or it does not match.
    pub common_name: String,
}

/// Which dialects are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Offer {
    /// Ours, and Google's if the server does not know ours.
    Ours,
    /// Google's alone.
    BareOnly,
}

/// Opens tunnels to one instance with one certificate.
#[derive(Clone)]
pub struct TlsClient {
    roots: TrustRoots,
    expected: ServerIdentity,
    name: ServerName<'static>,
    material: Arc<dyn ResolvesClientCert>,
    time: Arc<Time>,
    offer: Offer,
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient")
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

impl TlsClient {
    /// A client that shows this material and believes these roots, judging by this clock.
    ///
    /// # Errors
    /// When the DNS name is none.
    pub fn new(
        material: &Material,
        roots: &TrustRoots,
        mut expected: ServerIdentity,
        clock: Clock,
        offer: Offer,
    ) -> Result<Self, TlsError> {
        expected.dns_name = expected.dns_name.filter(|name| !name.is_empty());
        let name = match &expected.dns_name {
            Some(name) => ServerName::try_from(name.clone())
                .map_err(|_| TlsError::Setup(format!("{name:?} is not a DNS name")))?,
            // Never sent: rustls puts no address into SNI.
            None => ServerName::IpAddress(IpAddr::from(Ipv4Addr::UNSPECIFIED).into()),
        };
        let client = Self {
            roots: roots.clone(),
            expected,
            name,
            material: Arc::new(SingleCertAndKey::from(Arc::clone(&material.certified))),
            time: Arc::new(Time(clock)),
            offer,
        };
        client.config(Arc::new(client.judge()))?;
        Ok(client)
    }

    /// Shakes hands. That the server refuses our certificate shows only at the first read: see [`super::Alert::of`].
    ///
    /// # Errors
    /// [`TlsError`] with the reason.
    pub async fn connect(
        &self,
        socket: impl Into<Socket>,
        deadline: Instant,
    ) -> Result<(TlsStream, Dialect), TlsError> {
        let judge = Arc::new(self.judge());
        let connector = TlsConnector::from(self.config(Arc::clone(&judge))?);
        let socket = ReadAhead::new(socket.into());
        let connected = before(deadline, connector.connect(self.name.clone(), socket)).await;
        match (connected, judge.problem.get()) {
            (_, Some(problem)) => Err(TlsError::ServerCertificate(problem.clone())),
            (None, None) => Err(TlsError::Deadline),
            (Some(Err(error)), None) => Err(TlsError::from_io(error)),
            (Some(Ok(stream)), None) => {
                let stream = TlsStream::from(stream);
                let dialect = Dialect::negotiated(stream.alpn());
                Ok((stream, dialect))
            }
        }
    }

    fn judge(&self) -> Judge {
        Judge {
            roots: self.roots.clone(),
            expected: self.expected.clone(),
            algorithms: provider().signature_verification_algorithms,
            problem: OnceLock::new(),
        }
    }

    fn config(&self, judge: Arc<Judge>) -> Result<Arc<ClientConfig>, TlsError> {
        let time = Arc::clone(&self.time);
        let mut config = ClientConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(judge)
            .with_client_cert_resolver(self.material.clone());
        config.resumption = Resumption::disabled();
        config.enable_sni = self.expected.dns_name.is_some();
        if self.offer == Offer::Ours {
            config.alpn_protocols = vec![proto::ALPN.to_vec()];
        }
        Ok(Arc::new(config))
    }
}

/// Judges one server's certificate and keeps the problem, since rustls keeps only the alert.
#[derive(Debug)]
struct Judge {
    roots: TrustRoots,
    expected: ServerIdentity,
    algorithms: WebPkiSupportedAlgorithms,
    problem: OnceLock<CertificateProblem>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let now = UNIX_EPOCH + Duration::from_secs(now.as_secs());
        match verify_server_identity(end_entity, &self.roots, &self.expected, now) {
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

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
