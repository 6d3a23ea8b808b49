//! A TLS server where somebody else is expected: it intercepts with a certificate of its own, or has a true one and
//! takes back its client's.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    ServerConnection, SignatureScheme,
};

/// Longest conversation with one client.
const PATIENCE: Duration = Duration::from_secs(10);

/// What it shows, as PEM.
pub struct Papers {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Papers {
    /// A certificate for `name` from a CA that nobody knows.
    pub fn forged(name: &str) -> Result<Self> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = Issuer::new(authority, KeyPair::generate()?);
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new([name.to_owned()])?.signed_by(&key, &issuer)?;
        Ok(Self {
            certificate: leaf.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// A server at work. Ends when dropped.
pub struct Impostor {
    address: SocketAddr,
    closing: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Impostor {
    /// Asks nobody for a certificate, and would pass everything on.
    pub fn intercepting(at: SocketAddr, papers: &Papers) -> Result<Self> {
        let config = builder()?.with_no_client_auth();
        Self::serve(at, config.with_single_cert(chain(papers)?, key(papers)?)?)
    }

    /// Tells every client that its certificate is revoked.
    pub fn denying(at: SocketAddr, papers: &Papers) -> Result<Self> {
        let verifier = Arc::new(Revoked(Arc::new(aws_lc_rs::default_provider())));
        let config = builder()?.with_client_cert_verifier(verifier);
        Self::serve(at, config.with_single_cert(chain(papers)?, key(papers)?)?)
    }

    fn serve(at: SocketAddr, mut config: ServerConfig) -> Result<Self> {
        // What our own client asks for: who intercepts takes what is offered.
        config.alpn_protocols = vec![b"csql/1".to_vec(), b"http/1.1".to_vec()];
        let config = Arc::new(config);
        let listener = TcpListener::bind(at).with_context(|| format!("listening on {at}"))?;
        let address = listener.local_addr()?;
        let closing = Arc::new(AtomicBool::new(false));
        let closed = Arc::clone(&closing);
        let accepting = std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if closed.load(Ordering::SeqCst) {
                    break;
                }
                let config = Arc::clone(&config);
                std::thread::spawn(move || drop(converse(client, config)));
            }
        });
        Ok(Self {
            address,
            closing,
            accepting: Some(accepting),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        if TcpStream::connect(self.address).is_ok()
            && let Some(accepting) = self.accepting.take()
        {
            drop(accepting.join());
        }
    }
}

/// Shakes hands, and reads to the end whatever comes: a connection closed with bytes unread is reset, and the reset
/// overtakes the alert.
fn converse(mut client: TcpStream, config: Arc<ServerConfig>) -> Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut tls = ServerConnection::new(config)?;
    while tls.is_handshaking() {
        if tls.complete_io(&mut client).is_err() {
            break;
        }
    }
    client.flush()?;
    client.shutdown(Shutdown::Write)?;
    let mut rest = Vec::new();
    client.read_to_end(&mut rest)?;
    Ok(())
}

fn builder() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    Ok(ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?)
}

fn chain(papers: &Papers) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(papers.certificate.as_bytes());
    certificates
        .collect::<Result<_, _>>()
        .context("a certificate in PEM")
}

fn key(papers: &Papers) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(papers.key.as_bytes()).context("a key in PEM")
}

/// Finds every certificate revoked.
#[derive(Debug)]
struct Revoked(Arc<CryptoProvider>);

impl ClientCertVerifier for Revoked {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Err(CertificateError::Revoked.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
