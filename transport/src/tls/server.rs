//! The server side of the tunnel: TLS 1.3, a client certificate always, no resumption, and alerts that say why not.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proto::{Identity, InstanceName};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, UnbufferedServerConnection,
};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;
use tracing::debug;

use super::error::{CertificateProblem, TlsError};
use super::found;
use super::material::{Material, TrustRoots, serial_hex, time};
use super::provider::{Time, provider};
use super::shake::shake;
use super::verify::{alerting, check_client, claimed_identity, parse};
use super::{Dialect, TlsStream};
use crate::Clock;
use crate::deadline::before;
use crate::socket::Socket;

/// How long a refused client may take to read its alert.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// Bytes of a refused client's that are read and thrown away, so that the alert is not lost to a reset.
const DRAIN_BYTES: u64 = 64 * 1024;

/// What this process serves, as it is now: asked at each handshake.
pub trait ServedInstances: Send + Sync + fmt::Debug {
    /// The client CAs of an instance; `None` when it is not served here.
    fn client_roots(&self, instance: &InstanceName) -> Option<Arc<TrustRoots>>;

    /// The certificate to show to a client that asks for this name, if it asks for any.
    fn server_material(&self, sni: Option<&str>) -> Option<Arc<Material>>;
}

/// Accepts tunnels.
#[derive(Clone)]
pub struct TlsServer {
    served: Arc<dyn ServedInstances>,
    /// Made once: all connections share it.
    config: Arc<ServerConfig>,
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer")
            .field("served", &self.served)
            .finish_non_exhaustive()
    }
}

/// A client that has proved who it is.
#[derive(Debug)]
pub struct TlsPeer {
    /// The encrypted connection.
    pub stream: TlsStream,
    /// Whom its certificate speaks for.
    pub identity: Identity,
    /// The certificate's serial number: lower-case hex, no leading zero bytes.
    pub serial: String,
    /// The last moment at which the certificate is valid.
    pub not_after: SystemTime,
    /// Which dialect it speaks.
    pub dialect: Dialect,
}

impl TlsServer {
    /// A server for these instances, judging certificates by this clock.
    ///
    /// # Errors
    /// When the cryptographic library lacks TLS 1.3.
    pub fn new(served: Arc<dyn ServedInstances>, clock: Clock) -> Result<Self, TlsError> {
        let judge = Arc::new(Judge::new(Arc::clone(&served), true));
        let shown = Arc::new(Shown {
            served: Arc::clone(&served),
        });
        let mut config = ServerConfig::builder_with_details(provider(), Arc::new(Time(clock)))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .with_client_cert_verifier(judge)
            .with_cert_resolver(shown);
        config.alpn_protocols = vec![proto::ALPN.to_vec()];
        // A resumed session would skip the certificate's checks: an expired or revoked one would connect.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        // The keys go to our own record layer, and nowhere else.
        config.enable_secret_extraction = true;
        Ok(Self {
            served,
            config: Arc::new(config),
        })
    }

    /// Shakes hands. A client that is refused gets its alert before the socket closes.
    ///
    /// # Errors
    /// [`TlsError`] with the reason, which the client learns only as an alert.
    pub async fn accept(
        &self,
        socket: impl Into<Socket>,
        deadline: Instant,
    ) -> Result<TlsPeer, TlsError> {
        let handshake = accept(Arc::clone(&self.config), socket.into(), deadline);
        let (accepted, found) = found::during(handshake).await;
        match (accepted, found.client) {
            (Ok(stream), Some(Ok(client))) => Ok(TlsPeer {
                dialect: Dialect::negotiated(stream.alpn()),
                stream,
                identity: client.identity,
                serial: client.serial,
                not_after: client.not_after,
            }),
            (_, Some(Err(problem))) => Err(TlsError::ClientCertificate(problem)),
            (Ok(_), None) => Err(TlsError::NoCertificate),
            (Err(_), _) if found.nothing_to_show => Err(TlsError::NoMaterial),
            (Err(error), _) => Err(error),
        }
    }
}

/// Shakes hands as a server; tells a refused client why before it closes.
async fn accept(
    config: Arc<ServerConfig>,
    socket: Socket,
    deadline: Instant,
) -> Result<TlsStream, TlsError> {
    let side = UnbufferedServerConnection::new(config)
        .map_err(|error| TlsError::Setup(error.to_string()))?;
    match before(deadline, shake(side, socket)).await {
        None => Err(TlsError::Deadline),
        Some(Ok(stream)) => Ok(stream),
        Some(Err((error, socket))) => Err(close(TlsError::from_io(error), socket).await),
    }
}

/// Closes in order after an error that the other side is to read. A socket that is closed with unread bytes is reset,
/// and a reset overtakes the alert.
pub(super) async fn close<S>(error: TlsError, mut socket: S) -> TlsError
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if matches!(error, TlsError::Io(_) | TlsError::Alert(_)) {
        return error;
    }
    let closed = async {
        socket.shutdown().await?;
        tokio::io::copy(&mut socket.take(DRAIN_BYTES), &mut tokio::io::sink()).await
    };
    match before(Instant::now() + DRAIN_TIME, closed).await {
        Some(Ok(_)) => {}
        Some(Err(error)) => debug!(%error, "a refused client was gone before its alert"),
        None => debug!("a refused client did not close in time"),
    }
    error
}

/// Shows the certificate that is current, and notes when there is none.
#[derive(Debug)]
struct Shown {
    served: Arc<dyn ServedInstances>,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let material = self.served.server_material(hello.server_name());
        if material.is_none() {
            found::note(|found| found.nothing_to_show = true);
        }
        material.map(|material| Arc::clone(&material.certified))
    }
}

/// What a client's certificate has proved.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// Whom it speaks for.
    pub identity: Identity,
    /// Its serial number: lower-case hex, no leading zero bytes.
    pub serial: String,
    /// The last moment at which it is valid.
    pub not_after: SystemTime,
}

/// Judges clients' certificates, and notes whom one speaks for.
#[derive(Debug)]
pub(super) struct Judge {
    served: Arc<dyn ServedInstances>,
    required: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Judge {
    pub(super) fn new(served: Arc<dyn ServedInstances>, required: bool) -> Self {
        Self {
            served,
            required,
            algorithms: provider().signature_verification_algorithms,
        }
    }

    fn judge(&self, der: &[u8], now: SystemTime) -> Result<ClientIdentity, CertificateProblem> {
        let leaf = parse(der)?;
        let identity = claimed_identity(&leaf)?;
        let Some(roots) = self.served.client_roots(&identity.instance) else {
            return Err(CertificateProblem::NotServed(identity.instance));
        };
        check_client(&leaf, der, &roots, now)?;
        Ok(ClientIdentity {
            identity,
            serial: serial_hex(&leaf),
            not_after: time(leaf.validity().not_after),
        })
    }
}

impl ClientCertVerifier for Judge {
    /// None: Go and Java show no certificate when a hint does not equal their issuer byte for byte.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let now = UNIX_EPOCH + Duration::from_secs(now.as_secs());
        let verdict = self.judge(end_entity, now);
        let answer = match &verdict {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(problem) => Err(alerting(problem)),
        };
        found::note(|found| found.client = Some(verdict));
        answer
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
