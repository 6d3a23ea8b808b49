//! What authentication plugins send.

use anyhow::{Context as _, Result, anyhow, bail};
use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;

/// A plugin's first answer.
pub(super) fn of(plugin: &str, password: &str, nonce: &[u8]) -> Result<Vec<u8>> {
    match plugin {
        "mysql_native_password" => Ok(native(password, nonce)),
        "caching_sha2_password" => Ok(caching_sha2(password, nonce)),
        "mysql_clear_password" => Ok(in_clear(password)),
        other => bail!("the raw client has no {other}"),
    }
}

fn hash(algorithm: &'static Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    digest(algorithm, &parts.concat()).as_ref().to_vec()
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(a, b)| a ^ b).collect()
}

fn native(password: &str, nonce: &[u8]) -> Vec<u8> {
    let sha1 = |parts: &[&[u8]]| hash(&SHA1_FOR_LEGACY_USE_ONLY, parts);
    let once = sha1(&[password.as_bytes()]);
    let twice = sha1(&[&once]);
    xor(&once, &sha1(&[nonce, &twice]))
}

fn caching_sha2(password: &str, nonce: &[u8]) -> Vec<u8> {
    let sha256 = |parts: &[&[u8]]| hash(&SHA256, parts);
    let once = sha256(&[password.as_bytes()]);
    let twice = sha256(&[&once]);
    xor(&once, &sha256(&[&twice, nonce]))
}

/// The password and its NUL.
pub(super) fn in_clear(password: &str) -> Vec<u8> {
    [password.as_bytes(), &[0]].concat()
}

/// The same, for the holder of `key` alone.
pub(super) fn encrypted(password: &str, nonce: &[u8], key: &[u8]) -> Result<Vec<u8>> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(key)
        .map_err(|error| anyhow!("the server's key: {error}"))?;
    let key = PublicEncryptingKey::from_der(&der).context("the server's key")?;
    let key = OaepPublicEncryptingKey::new(key)?;
    let mut ciphertext = vec![0; key.ciphertext_size()];
    let repeated: Vec<u8> = nonce
        .iter()
        .copied()
        .cycle()
        .take(password.len() + 1)
        .collect();
    let secret = xor(&in_clear(password), &repeated);
    let ciphertext = key
        .encrypt(&OAEP_SHA1_MGF1SHA1, &secret, &mut ciphertext, None)
        .context("a password too long for the key")?;
    Ok(ciphertext.to_vec())
}
