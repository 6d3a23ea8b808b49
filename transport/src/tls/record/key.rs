//! The key of one direction and its sequence of nonces (RFC 8446 section 5.3).

use std::fmt;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305};
use aws_lc_rs::aead::{LessSafeKey, Nonce, UnboundKey};
use rustls::crypto::cipher::{AeadKey, Iv};
use rustls::kernel::KernelConnection;
use rustls::{ConnectionTrafficSecrets, Error};

use super::{HEADER, RecordError};

/// The bytes before a record's encrypted ones, which are authenticated with them.
pub(super) type Header = Aad<[u8; HEADER]>;

/// The key of one direction. Each nonce is used once: opening or sealing takes the next.
pub(crate) struct Key {
    key: LessSafeKey,
    iv: Iv,
    sequence: u64,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// From what rustls gives out.
    pub(crate) fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self, Error> {
        let (algorithm, key, iv): (&'static Algorithm, AeadKey, Iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(Error::General("a cipher suite that is not known".into())),
        };
        Self::of(algorithm, key.as_ref(), iv, sequence)
    }

    pub(super) fn of(
        algorithm: &'static Algorithm,
        key: &[u8],
        iv: Iv,
        sequence: u64,
    ) -> Result<Self, Error> {
        let key = UnboundKey::new(algorithm, key)
            .map_err(|_| Error::General("a key of another length".into()))?;
        Ok(Self {
            key: LessSafeKey::new(key),
            iv,
            sequence,
        })
    }

    /// How many records it was used for.
    pub(super) const fn used(&self) -> u64 {
        self.sequence
    }

    /// Opens what is sealed into `into`, which is as long.
    pub(super) fn open(
        &mut self,
        header: Header,
        sealed: &[u8],
        tag: &[u8],
        into: &mut [u8],
    ) -> Result<(), RecordError> {
        let nonce = self.next()?;
        self.key
            .open_separate_gather(nonce, header, sealed, tag, into)
            .map_err(|_| RecordError::Tampered)
    }

    /// Seals `content` into `sealed`, which is as long, and then `end` with the tag.
    pub(super) fn seal(
        &mut self,
        header: Header,
        content: &[u8],
        sealed: &mut [u8],
        end: &[u8],
        tag: &mut [u8],
    ) -> Result<(), RecordError> {
        let nonce = self.next()?;
        self.key
            .seal_out_of_place_scatter(nonce, header, content, sealed, end, tag)
            .map_err(|_| RecordError::Crypto)
    }

    fn next(&mut self) -> Result<Nonce, RecordError> {
        let nonce = rustls::crypto::cipher::Nonce::new(&self.iv, self.sequence).0;
        // It must not wrap (RFC 8446 section 5.3); keys are renewed long before.
        self.sequence = self.sequence.checked_add(1).ok_or(RecordError::Crypto)?;
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

/// Where the next keys come from.
pub(crate) trait Secrets: Send + Sync {
    /// The key after the one that we seal with.
    fn next_to_seal(&mut self) -> Result<Key, Error>;

    /// The key after the one that we open with.
    fn next_to_open(&mut self) -> Result<Key, Error>;
}

impl<Side> Secrets for KernelConnection<Side>
where
    Self: Send + Sync,
{
    fn next_to_seal(&mut self) -> Result<Key, Error> {
        self.update_tx_secret().and_then(Key::new)
    }

    fn next_to_open(&mut self) -> Result<Key, Error> {
        self.update_rx_secret().and_then(Key::new)
    }
}
