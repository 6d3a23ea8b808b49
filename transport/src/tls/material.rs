//! Trust roots, and certificates with their keys.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use super::error::MaterialError;
use super::key::PrivateKey;
use super::provider::provider;
use super::remember::algorithms;
use super::verify::has_name;

/// The CAs that are believed: direct issuers, several during a rotation.
#[derive(Clone, Debug)]
pub struct TrustRoots {
    pub(super) store: Arc<RootCertStore>,
    pub(super) clients: Arc<dyn ClientCertVerifier>,
}

impl TrustRoots {
    /// Reads one or more certificates.
    ///
    /// # Errors
    /// When there is none, or one does not parse.
    pub fn from_pem(pem: &str) -> Result<Self, MaterialError> {
        let mut store = RootCertStore::empty();
        for certificate in certificates(pem)? {
            store
                .add(certificate)
                .map_err(|error| MaterialError::Certificate(error.to_string()))?;
        }
        let store = Arc::new(store);
        let mut judging = provider().as_ref().clone();
        judging.signature_verification_algorithms.all = algorithms();
        let judging = Arc::new(judging);
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&store), judging).build();
        let clients = clients.map_err(|error| MaterialError::Certificate(error.to_string()))?;
        Ok(Self { store, clients })
    }
}

/// The certificates of a PEM text, in order; at least one.
pub(super) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(MaterialError::NoCertificate),
        Err(error) => Err(MaterialError::Certificate(error.to_string())),
    }
}

/// A certificate with its key, ready to be shown.
#[derive(Clone)]
pub struct Material {
    pub(super) certified: Arc<CertifiedKey>,
    not_before: SystemTime,
    not_after: SystemTime,
    serial: String,
}

impl Material {
    /// Joins a certificate, and those that issued it if they follow, with its key.
    ///
    /// # Errors
    /// When it does not parse, or is for another key.
    pub fn new(cert_pem: &str, key: &PrivateKey) -> Result<Self, MaterialError> {
        let chain = certificates(cert_pem)?;
        let leaf = chain.first().ok_or(MaterialError::NoCertificate)?;
        let parsed = parse(leaf)?;
        if parsed.public_key().raw != key.spki_der() {
            return Err(MaterialError::WrongKey);
        }
        let validity = parsed.validity();
        let (not_before, not_after) = (time(validity.not_before), time(validity.not_after));
        let serial = serial_hex(&parsed);
        Ok(Self {
            certified: Arc::new(CertifiedKey::new(chain, key.signing())),
            not_before,
            not_after,
            serial,
        })
    }

    /// The same, shown with the one of these CAs that issued it.
    ///
    /// Clients that have the CA need it not. Those that have none tell a certificate of an unknown CA from one of nobody's
    /// by it: MariaDB 11.8's take a lone one for good without knowing who issued it.
    ///
    /// # Errors
    /// When the CAs do not parse.
    pub fn with_issuer(&self, authorities_pem: &str) -> Result<Self, MaterialError> {
        let issuer = parse(self.leaf_der())?.issuer().as_raw().to_vec();
        let mut certified = CertifiedKey::clone(&self.certified);
        certified.cert.truncate(1);
        for authority in certificates(authorities_pem)? {
            if parse(&authority)?.subject().as_raw() == issuer {
                certified.cert.push(authority);
                break;
            }
        }
        Ok(Self {
            certified: Arc::new(certified),
            ..self.clone()
        })
    }

    /// The first moment at which it is valid.
    pub const fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// The last moment at which it is valid.
    pub const fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// The serial number: lower-case hex, no leading zero bytes.
    pub fn serial_hex(&self) -> String {
        self.serial.clone()
    }

    /// Whether it can be shown at that moment.
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// Whether it is for that host: a DNS name or an IP address.
    pub fn is_for(&self, host: &str) -> bool {
        has_name(self.leaf_der(), host).unwrap_or(false)
    }

    /// The certificate itself, as DER.
    pub fn leaf_der(&self) -> &[u8] {
        self.certified
            .cert
            .first()
            .map_or(&[], |leaf| leaf.as_ref())
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material")
            .field("serial", &self.serial)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, MaterialError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(MaterialError::Certificate("bytes follow it".to_owned())),
        Err(error) => Err(MaterialError::Certificate(error.to_string())),
    }
}

/// Times before 1970 count as 1970: nothing was issued then.
pub(super) fn time(at: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The serial number as logs, audit and revocation write it: lower-case hex, no leading zero bytes.
pub(super) fn serial_hex(certificate: &X509Certificate<'_>) -> String {
    let bytes = certificate.raw_serial();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let significant = bytes.get(zeros..).unwrap_or_default();
    significant
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
