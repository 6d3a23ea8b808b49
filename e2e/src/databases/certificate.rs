//! Certificates and keys of the databases: made for those that make none, and looked at from outside.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs::default_provider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use crate::clients::Address;

/// CLIENT_PROTOCOL_41, CLIENT_SSL, CLIENT_SECURE_CONNECTION, CLIENT_PLUGIN_AUTH.
const SSL_REQUEST_CAPABILITIES: u32 = 0x0008_8A00;
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes `ca.pem`, and `server-cert.pem` for `localhost` with its key.
pub(super) fn write(data: &Path) -> Result<()> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name = named("a database's own CA");
    let authority_key = KeyPair::generate()?;
    let root = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(["localhost".to_owned()])?;
    leaf.distinguished_name = named("a database");
    let leaf = leaf.signed_by(&key, &issuer)?;
    std::fs::write(data.join("ca.pem"), root.pem())?;
    std::fs::write(data.join("server-cert.pem"), leaf.pem())?;
    std::fs::write(data.join("server-key.pem"), key.serialize_pem())?;
    Ok(())
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Replaces the RSA keys that MySQL made.
pub(super) fn write_rsa_keys(data: &Path, bits: usize) -> Result<()> {
    let size = match bits {
        2048 => KeySize::Rsa2048,
        3072 => KeySize::Rsa3072,
        4096 => KeySize::Rsa4096,
        8192 => KeySize::Rsa8192,
        _ => bail!("no RSA key of {bits} bits"),
    };
    let pair = RsaKeyPair::generate(size).context("generating an RSA key")?;
    let private: Pkcs8V1Der<'static> = pair.as_der().context("encoding an RSA key")?;
    let public: PublicKeyX509Der<'static> = pair.public_key().as_der()?;
    let files = [
        ("private_key.pem", "PRIVATE KEY", private.as_ref()),
        ("public_key.pem", "PUBLIC KEY", public.as_ref()),
    ];
    for (name, label, der) in files {
        std::fs::write(data.join(name), pem(label, der))?;
    }
    Ok(())
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// Begins TLS with a server and looks at the certificate that it shows.
pub(super) fn fingerprint(address: &Address) -> Result<String> {
    let Address::Tcp { host, port } = address else {
        bail!("a database listens on TCP");
    };
    let mut socket = TcpStream::connect(SocketAddr::new(*host, *port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut header = [0; 4];
    socket.read_exact(&mut header)?;
    let [low, middle, high, _] = header;
    let mut greeting = vec![0; usize::try_from(u32::from_le_bytes([low, middle, high, 0]))?];
    socket.read_exact(&mut greeting)?;
    ensure!(greeting.first() == Some(&10), "the server does not greet");
    let mut request = vec![32, 0, 0, 1];
    request.extend(SSL_REQUEST_CAPABILITIES.to_le_bytes());
    request.extend((1_u32 << 24).to_le_bytes());
    request.resize(4 + 32, 0);
    socket.write_all(&request)?;

    let provider = Arc::new(default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost")?;
    let mut tls = ClientConnection::new(Arc::new(config), name)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    let leaf = tls.peer_certificates().and_then(<[_]>::first);
    let leaf = leaf.context("the server shows no certificate")?;
    let hash = digest(&SHA256, leaf);
    Ok(hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Takes any certificate: it is only looked at.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
