//! What makes a database's certificate believed: CAs that people's databases really have, or a fingerprint.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::ParsedCertificate;
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{X509Certificate, X509Version};

use super::super::error::{CertificateProblem, MaterialError};
use super::super::material::{certificates, time};
use super::super::names::wrong_name;
use super::super::provider::provider;
use super::super::verify::{has_name, parse, problem, unix};

/// Object identifiers of signatures that nobody forges yet: RSA with SHA-256, 384, 512; ECDSA with SHA-256, 384.
const SIGNATURES: [&str; 5] = [
    "1.2.840.113549.1.1.11",
    "1.2.840.113549.1.1.12",
    "1.2.840.113549.1.1.13",
    "1.2.840.10045.4.3.2",
    "1.2.840.10045.4.3.3",
];

/// SHA-256 of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// A text is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is sha256: and 64 hexadecimal digits, with or without colons between")]
pub struct InvalidFingerprint;

impl Fingerprint {
    /// Of a certificate.
    pub fn of(der: &[u8]) -> Self {
        let digest = digest(&SHA256, der);
        Self(digest.as_ref().try_into().unwrap_or_default())
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let digits = text.strip_prefix("sha256:").ok_or(InvalidFingerprint)?;
        let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b':').collect();
        let mut bytes = [0; 32];
        if digits.len() != bytes.len().saturating_mul(2) {
            return Err(InvalidFingerprint);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let text = std::str::from_utf8(pair).map_err(|_| InvalidFingerprint)?;
            let hex = text.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = u8::from_str_radix(text, 16)
                .ok()
                .filter(|_| hex)
                .ok_or(InvalidFingerprint)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a database's certificate is believed by.
#[derive(Clone, Debug)]
pub enum DatabaseTrust {
    /// It is this very certificate, whatever it says.
    Fingerprint(Fingerprint),
    /// One of these issued it, or it is one of them.
    Authorities(Authorities),
}

/// Certificates that are believed.
#[derive(Clone, Debug)]
pub struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    store: Arc<RootCertStore>,
}

impl DatabaseTrust {
    /// Believes the certificates of a PEM text.
    ///
    /// # Errors
    /// When there is none, or one does not parse.
    pub fn authorities(pem: &str) -> Result<Self, MaterialError> {
        let certificates = certificates(pem)?;
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            store
                .add(certificate.clone())
                .map_err(|error| MaterialError::Certificate(error.to_string()))?;
        }
        Ok(Self::Authorities(Authorities {
            certificates,
            store: Arc::new(store),
        }))
    }

    /// Judges a database's certificate. `asked` is the name that the operator insists on, `host` what was dialled.
    pub(super) fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        (asked, host): (Option<&str>, &str),
        now: SystemTime,
    ) -> Result<(), CertificateProblem> {
        match self {
            Self::Fingerprint(expected) => {
                let found = Fingerprint::of(leaf);
                if found == *expected {
                    return Ok(());
                }
                let text = format!("its fingerprint is {found}");
                Err(CertificateProblem::Other(text))
            }
            Self::Authorities(authorities) => {
                authorities.judge(leaf, intermediates, now)?;
                check_name(leaf, asked, host)
            }
        }
    }
}

impl Authorities {
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: SystemTime,
    ) -> Result<(), CertificateProblem> {
        let certificate = parse(leaf)?;
        check_validity(&certificate, now)?;
        if self.certificates.contains(leaf) {
            return Ok(());
        }
        // Databases' own set-up tools have made certificates of version 1, which the library does not take.
        if certificate.version() == X509Version::V1 {
            return self.issued(&certificate);
        }
        let leaf = ParsedCertificate::try_from(leaf).map_err(|error| problem(&error))?;
        let algorithms = provider().signature_verification_algorithms.all;
        let now = unix(now)?;
        verify_server_cert_signed_by_trust_anchor(
            &leaf,
            &self.store,
            intermediates,
            now,
            algorithms,
        )
        .map_err(|error| problem(&error))
    }

    /// Whether one of them issued it directly.
    fn issued(&self, leaf: &X509Certificate<'_>) -> Result<(), CertificateProblem> {
        let algorithm = leaf.signature_algorithm.algorithm.to_id_string();
        if !SIGNATURES.contains(&algorithm.as_str()) {
            let text = format!("it is signed by a method that is not accepted ({algorithm})");
            return Err(CertificateProblem::Other(text));
        }
        let signs = |issuer: &CertificateDer<'_>| {
            parse(issuer).is_ok_and(|issuer| {
                issuer.subject().as_raw() == leaf.issuer().as_raw()
                    && leaf.verify_signature(Some(issuer.public_key())).is_ok()
            })
        };
        if self.certificates.iter().any(signs) {
            Ok(())
        } else {
            Err(CertificateProblem::UnknownIssuer)
        }
    }
}

fn check_validity(
    certificate: &X509Certificate<'_>,
    now: SystemTime,
) -> Result<(), CertificateProblem> {
    let validity = certificate.validity();
    if now < time(validity.not_before) {
        return Err(CertificateProblem::NotValidYet);
    }
    if now > time(validity.not_after) {
        return Err(CertificateProblem::Expired);
    }
    Ok(())
}

/// A certificate with names must have the right one. Those that databases make for themselves have none, and then the
/// common name counts if the operator asks for one.
fn check_name(
    leaf: &CertificateDer<'_>,
    asked: Option<&str>,
    host: &str,
) -> Result<(), CertificateProblem> {
    let certificate = parse(leaf)?;
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| CertificateProblem::Malformed)?;
    let is_host = |name: &GeneralName<'_>| {
        matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_))
    };
    if names.is_some_and(|names| names.value.general_names.iter().any(is_host)) {
        let expected = asked.unwrap_or(host);
        if has_name(leaf, expected)? {
            return Ok(());
        }
        return Err(wrong_name(expected.to_owned(), &certificate));
    }
    let Some(asked) = asked else {
        return Ok(());
    };
    let mut common = certificate.subject().iter_common_name();
    match (common.next().map(|name| name.as_str()), common.next()) {
        (Some(Ok(name)), None) if name.eq_ignore_ascii_case(asked) => Ok(()),
        _ => Err(wrong_name(asked.to_owned(), &certificate)),
    }
}
