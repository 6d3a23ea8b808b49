//! The RSA exchange of full authentication: OAEP with SHA-1 over the password XOR nonce.
//!
//! Source: MySQL's manual "Caching SHA-2 Pluggable Authentication", and the exchange measured on MySQL 9.7.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::machine::Violation;

const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";
/// Columns of a PEM line (RFC 7468 2).
const PEM_COLUMNS: usize = 64;

/// The agent's own RSA key pair, with which it answers applications that ask a secure database for a key.
///
/// Made in process, never stored. Cheap to clone.
#[derive(Clone)]
pub struct RsaKey {
    private: Arc<OaepPrivateDecryptingKey>,
    pem: Arc<str>,
}

/// The RSA key could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot make an RSA key pair")]
pub struct RsaKeyError;

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaKey")
    }
}

impl RsaKey {
    /// Makes a key pair of 2048 bits; takes a good part of a second.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn generate() -> Result<Self, RsaKeyError> {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| RsaKeyError)?;
        let der = key.public_key().as_der().map_err(|_| RsaKeyError)?;
        let pem = pem(der.as_ref());
        let private = OaepPrivateDecryptingKey::new(key).map_err(|_| RsaKeyError)?;
        Ok(Self {
            private: Arc::new(private),
            pem: pem.into(),
        })
    }

    /// The public key as a server sends it.
    pub(super) fn public_pem(&self) -> &str {
        &self.pem
    }

    /// The password that an application encrypted for this key: without its NUL, wiped when dropped.
    pub(super) fn decrypt(
        &self,
        ciphertext: &[u8],
        nonce: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Violation> {
        const FAILED: Violation =
            Violation("the password is not encrypted for the key that was sent");
        let mut plain = Zeroizing::new(vec![0; self.private.min_output_size()]);
        let length = self
            .private
            .decrypt(&OAEP_SHA1_MGF1SHA1, ciphertext, &mut plain, None)
            .map_err(|_| FAILED)?
            .len();
        plain.truncate(length);
        xor(&mut plain, nonce);
        if plain.last() != Some(&0) {
            return Err(FAILED);
        }
        Ok(plain)
    }
}

/// Encrypts `password` (which ends in NUL) for the key that a database sent as PEM: `None` when it is too long for it.
pub(super) fn encrypt(
    pem: &[u8],
    password: &[u8],
    nonce: &[u8],
) -> Result<Option<Vec<u8>>, Violation> {
    const BAD_KEY: Violation = Violation("the database sent an RSA key that cannot be read");
    let der = der(pem).ok_or(BAD_KEY)?;
    let key = PublicEncryptingKey::from_der(&der).map_err(|_| BAD_KEY)?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| BAD_KEY)?;
    let mut plain = Zeroizing::new(password.to_vec());
    xor(&mut plain, nonce);
    if plain.len() > key.max_plaintext_size(&OAEP_SHA1_MGF1SHA1) {
        return Ok(None);
    }
    let mut ciphertext = vec![0; key.ciphertext_size()];
    let length = key
        .encrypt(&OAEP_SHA1_MGF1SHA1, &plain, &mut ciphertext, None)
        .map_err(|_| Violation("the password cannot be encrypted"))?
        .len();
    ciphertext.truncate(length);
    Ok(Some(ciphertext))
}

/// XORs with the nonce, repeated.
fn xor(bytes: &mut [u8], nonce: &[u8]) {
    for (byte, mask) in bytes.iter_mut().zip(nonce.iter().cycle()) {
        *byte ^= mask;
    }
}

fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("{PEM_BEGIN}\n");
    for (column, character) in encoded.chars().enumerate() {
        if column > 0 && column.is_multiple_of(PEM_COLUMNS) {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str(&format!("\n{PEM_END}\n"));
    text
}

fn der(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, body) = text.split_once(PEM_BEGIN)?;
    let (body, _) = body.split_once(PEM_END)?;
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_encrypted_for_our_key_is_read_back() {
        let key = RsaKey::generate().unwrap();
        let nonce = [7; 20];
        let password = b"p\xc3\xa4ss word\0";
        let ciphertext = encrypt(key.public_pem().as_bytes(), password, &nonce)
            .unwrap()
            .unwrap();
        assert_eq!(ciphertext.len(), 256);
        assert_eq!(
            key.decrypt(&ciphertext, &nonce).unwrap().as_slice(),
            password
        );
        assert!(
            key.decrypt(&ciphertext, &[8; 20]).is_err(),
            "another nonce leaves no NUL at the end"
        );
        assert!(key.decrypt(&ciphertext[1..], &nonce).is_err());
    }

    #[test]
    fn a_password_of_213_bytes_fits_and_one_more_does_not() {
        let key = RsaKey::generate().unwrap();
        let pem = key.public_pem().as_bytes();
        let password = |length: usize| [vec![b'x'; length], vec![0]].concat();
        assert!(encrypt(pem, &password(213), &[1; 20]).unwrap().is_some());
        assert!(encrypt(pem, &password(214), &[1; 20]).unwrap().is_none());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in [
            "",
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        ] {
            assert!(encrypt(bad.as_bytes(), b"x\0", &[1; 20]).is_err());
        }
    }

    #[test]
    fn the_private_key_does_not_print() {
        assert_eq!(format!("{:?}", RsaKey::generate().unwrap()), "RsaKey");
    }
}
