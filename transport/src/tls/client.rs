//! The client side of the tunnel: trusts the instance's server CA alone, and names as Google's Go connector does.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::SingleCertAndKey;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use super::error::TlsError;
use super::found;
use super::material::{Material, TrustRoots};
use super::provider::{Time, provider};
use super::shake::shake;
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

impl fmt::Display for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.common_name)?;
        match &self.dns_name {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
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
    expected: ServerIdentity,
    name: ServerName<'static>,
    /// Made once: all connections share it.
    config: Arc<ClientConfig>,
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
        let judge = Judge {
            roots: roots.clone(),
            expected: expected.clone(),
            algorithms: provider().signature_verification_algorithms,
        };
        let mut config = ClientConfig::builder_with_details(provider(), Arc::new(Time(clock)))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(judge))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(
                &material.certified,
            ))));
        config.resumption = Resumption::disabled();
        // The keys go to our own record layer, and nowhere else.
        config.enable_secret_extraction = true;
        config.enable_sni = expected.dns_name.is_some();
        if offer == Offer::Ours {
            config.alpn_protocols = vec![proto::ALPN.to_vec()];
        }
        Ok(Self {
            expected,
            name,
            config: Arc::new(config),
        })
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
        let (mut stream, dialect) = self.begin(socket, deadline).await?;
        match before(deadline, stream.flush()).await {
            Some(flushed) => flushed.map_err(TlsError::from_io)?,
            None => return Err(TlsError::Deadline),
        }
        Ok((stream, dialect))
    }

    /// The same for who has something to say at once: our last words of the handshake, among them our certificate, go out
    /// with the first data that are written, or with a flush. The server waits for them.
    ///
    /// # Errors
    /// [`TlsError`] with the reason.
    pub async fn begin(
        &self,
        socket: impl Into<Socket>,
        deadline: Instant,
    ) -> Result<(TlsStream, Dialect), TlsError> {
        let side = UnbufferedClientConnection::new(Arc::clone(&self.config), self.name.clone())
            .map_err(|error| TlsError::Setup(error.to_string()))?;
        let handshake = before(deadline, shake(side, socket.into()));
        let (connected, found) = found::during(handshake).await;
        match (connected, found.server) {
            (_, Some(problem)) => Err(TlsError::ServerCertificate(problem)),
            (None, None) => Err(TlsError::Deadline),
            (Some(Err((error, _))), None) => Err(TlsError::from_io(error)),
            (Some(Ok(stream)), None) => {
                let dialect = Dialect::negotiated(stream.alpn());
                Ok((stream, dialect))
            }
        }
    }
}

/// Judges servers' certificates, and notes what is wrong with one.
#[derive(Debug)]
struct Judge {
    roots: TrustRoots,
    expected: ServerIdentity,
    algorithms: WebPkiSupportedAlgorithms,
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
