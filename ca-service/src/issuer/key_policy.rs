//! Which public keys are certified: read from PEM whatever its label says, and judged by two libraries.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{PublicKeyData as _, SubjectPublicKeyInfo};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::RSAPublicKey;

use crate::error::{Error, Result};

/// Go and Java put a `SubjectPublicKeyInfo` under the second label too: the content decides.
const LABELS: [&str; 2] = ["PUBLIC KEY", "RSA PUBLIC KEY"];
/// The only RSA exponent: F4.
const EXPONENT: u64 = 65_537;
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A public key that may be certified.
pub(crate) struct SubjectKey {
    /// DER `SubjectPublicKeyInfo`.
    pub(crate) spki: Vec<u8>,
    /// The same, as the certificate builder wants it.
    pub(super) info: SubjectPublicKeyInfo,
}

impl SubjectKey {
    /// Reads and judges a key.
    pub(crate) fn from_pem(pem: &str) -> Result<Self> {
        let der = decode(pem)?;
        // PKCS#1 becomes the SubjectPublicKeyInfo of the same key.
        let spki = match RSAPublicKey::from_der(&der) {
            Ok(_) => to_spki(&der)?,
            Err(_) => der,
        };
        let info = SubjectPublicKeyInfo::from_der(&spki)
            .map_err(|_| Error::Key("its algorithm is none of P-256, P-384, RSA, Ed25519"))?;
        if info.subject_public_key_info() != spki {
            return Err(Error::Key("its encoding is not DER"));
        }
        judge(&info, &spki)?;
        Ok(Self { spki, info })
    }
}

fn judge(info: &SubjectPublicKeyInfo, spki: &[u8]) -> Result<()> {
    let algorithm = info.algorithm();
    let bits = info.der_bytes();
    if algorithm == &rcgen::PKCS_ECDSA_P256_SHA256 {
        judge_point(bits, 65)?;
        parse(&ECDSA_P256_SHA256_ASN1, spki)
    } else if algorithm == &rcgen::PKCS_ECDSA_P384_SHA384 {
        judge_point(bits, 97)?;
        parse(&ECDSA_P384_SHA384_ASN1, spki)
    } else if algorithm == &rcgen::PKCS_ED25519 {
        parse(&ED25519, spki)
    } else if algorithm == &rcgen::PKCS_RSA_SHA256 {
        judge_rsa(bits)
    } else {
        Err(Error::Key(
            "its algorithm is none of P-256, P-384, RSA, Ed25519",
        ))
    }
}

/// Uncompressed points only: what every peer can read.
fn judge_point(point: &[u8], length: usize) -> Result<()> {
    if point.len() == length && point.first() == Some(&4) {
        return Ok(());
    }
    Err(Error::Key("its point is not written uncompressed"))
}

fn judge_rsa(pkcs1: &[u8]) -> Result<()> {
    let (_, key) =
        RSAPublicKey::from_der(pkcs1).map_err(|_| Error::Key("its encoding is not DER"))?;
    if key.try_exponent().ok() != Some(EXPONENT) {
        return Err(Error::Key("its RSA exponent is not 65537"));
    }
    if !RSA_BITS.contains(&modulus_bits(key.modulus)) {
        return Err(Error::Key("its RSA modulus is not 2048 to 4096 bits long"));
    }
    let read = aws_lc_rs::rsa::PublicKey::from_der(pkcs1);
    let read = read.map_err(|_| Error::Key("it is not an RSA key"))?;
    if read.as_ref() != pkcs1 {
        return Err(Error::Key("its encoding is not DER"));
    }
    Ok(())
}

fn modulus_bits(modulus: &[u8]) -> usize {
    let significant: Vec<u8> = modulus
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect();
    let zeros = significant.first().map_or(0, |byte| byte.leading_zeros());
    (significant.len() * 8).saturating_sub(usize::try_from(zeros).unwrap_or(0))
}

fn parse(algorithm: &'static dyn VerificationAlgorithm, spki: &[u8]) -> Result<()> {
    match ParsedPublicKey::new(algorithm, spki) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::Key("it is not a point of its curve")),
    }
}

fn to_spki(pkcs1: &[u8]) -> Result<Vec<u8>> {
    let key = aws_lc_rs::rsa::PublicKey::from_der(pkcs1)
        .map_err(|_| Error::Key("it is not an RSA key"))?;
    if key.as_ref() != pkcs1 {
        return Err(Error::Key("its encoding is not DER"));
    }
    let spki: PublicKeyX509Der<'_> = key
        .as_der()
        .map_err(|_| Error::Key("it is not an RSA key"))?;
    Ok(spki.as_ref().to_vec())
}

/// The content of the one PEM block that the text must be.
fn decode(pem: &str) -> Result<Vec<u8>> {
    let shape = Error::Key("it must be one PEM block labelled PUBLIC KEY");
    let text = pem.trim();
    for label in LABELS {
        let begin = format!("-----BEGIN {label}-----");
        let end = format!("-----END {label}-----");
        let body = text
            .strip_prefix(&begin)
            .and_then(|rest| rest.strip_suffix(&end));
        if let Some(body) = body {
            let compact: String = body.split_ascii_whitespace().collect();
            // A second block has hyphens in between, which are no base64.
            return STANDARD.decode(compact).map_err(|_| shape);
        }
    }
    Err(shape)
}

#[cfg(test)]
mod tests;
