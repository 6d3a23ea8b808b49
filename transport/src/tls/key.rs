//! Private keys that are made here and never leave: there is no way to read one out.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::sign::SigningKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::error::MaterialError;

/// Columns of PEM (RFC 7468 section 2).
const PEM_COLUMNS: usize = 64;

/// A private key, held by the cryptographic library alone.
///
/// It is not printed, serialised or copied out; the bytes it was made from are wiped.
#[derive(Clone)]
pub struct PrivateKey {
    signing: Arc<dyn SigningKey>,
    spki: Vec<u8>,
}

impl PrivateKey {
    /// A new ECDSA key on P-256.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate_p256() -> Result<Self, MaterialError> {
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
            .map_err(|_| MaterialError::Crypto("making a P-256 key"))?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// A new RSA key of 2048 bits, as Google's connectors make.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate_rsa2048() -> Result<Self, MaterialError> {
        let failed = MaterialError::Crypto("making an RSA key");
        let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).map_err(|_| failed.clone())?;
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| failed)?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// Takes a key in PKCS#8; the caller wipes its copy.
    ///
    /// # Errors
    /// When it is not a key that signs.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, MaterialError> {
        Self::from_der(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)))
    }

    /// Takes the first key in a PEM text: PKCS#8, or the older forms that databases' tools write. The caller wipes its copy.
    ///
    /// # Errors
    /// When there is none that signs.
    pub fn from_pem(pem: &str) -> Result<Self, MaterialError> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| MaterialError::Crypto("reading a private key"))?;
        Self::from_der(&der)
    }

    fn from_der(der: &PrivateKeyDer<'_>) -> Result<Self, MaterialError> {
        let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(der)
            .map_err(|_| MaterialError::Crypto("loading a private key"))?;
        let spki = signing
            .public_key()
            .ok_or(MaterialError::Crypto("reading a public key"))?;
        Ok(Self {
            spki: spki.as_ref().to_vec(),
            signing,
        })
    }

    /// The public key as DER (SubjectPublicKeyInfo).
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The public key as PEM, `PUBLIC KEY`.
    pub fn public_key_pem(&self) -> String {
        let body = STANDARD.encode(&self.spki);
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for (index, character) in body.chars().enumerate() {
            if index > 0 && index % PEM_COLUMNS == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END PUBLIC KEY-----\n");
        pem
    }

    pub(super) fn signing(&self) -> Arc<dyn SigningKey> {
        Arc::clone(&self.signing)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}
