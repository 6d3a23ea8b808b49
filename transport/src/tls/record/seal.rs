//! Sealing records: the sending direction.

use aws_lc_rs::aead::Aad;
use rustls::AlertDescription;

use super::key::Key;
use super::{CONTENT, HEADER, OVERHEAD, RecordError, TAG, kind};

/// KeyUpdate, one byte long, without asking for one in return (RFC 8446 section 4.6.3).
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];
/// The level of alerts: close_notify is a warning, all others are fatal (RFC 8446 section 6).
const WARNING: u8 = 1;
const FATAL: u8 = 2;
/// Records that a key is not used for any more, so that alerts and the new key's announcement always have their place.
const RESERVE: u64 = 16;

/// Seals records, one after the other.
#[derive(Debug)]
pub(crate) struct Sealer {
    key: Key,
    limit: u64,
}

impl Sealer {
    /// `limit` is the most records that one key may seal (RFC 8446 section 5.5).
    pub(crate) const fn new(key: Key, limit: u64) -> Self {
        Self { key, limit }
    }

    #[cfg(test)]
    pub(crate) const fn limit_to(&mut self, records: u64) {
        self.limit = records.saturating_add(RESERVE);
    }

    /// Records that were sealed with this key.
    #[cfg(test)]
    pub(crate) const fn sealed(&self) -> u64 {
        self.key.used()
    }

    /// Whether the key has sealed as much as it may.
    pub(crate) const fn is_worn(&self) -> bool {
        self.key.used() >= self.limit.saturating_sub(RESERVE)
    }

    /// Seals data, at most [`CONTENT`] bytes of them. Says how many bytes of `into` the record takes.
    pub(crate) fn data(&mut self, data: &[u8], into: &mut [u8]) -> Result<usize, RecordError> {
        self.record(kind::DATA, data, into)
    }

    /// Announces the next key under the current one and uses it from then on.
    pub(crate) fn renew(&mut self, next: Key, into: &mut [u8]) -> Result<usize, RecordError> {
        let sealed = self.record(kind::HANDSHAKE, &KEY_UPDATE, into)?;
        self.key = next;
        Ok(sealed)
    }

    /// Says why, or that, nothing more will come.
    pub(crate) fn alert(
        &mut self,
        alert: AlertDescription,
        into: &mut [u8],
    ) -> Result<usize, RecordError> {
        let level = match alert {
            AlertDescription::CloseNotify => WARNING,
            _ => FATAL,
        };
        self.record(kind::ALERT, &[level, alert.into()], into)
    }

    fn record(&mut self, kind: u8, content: &[u8], into: &mut [u8]) -> Result<usize, RecordError> {
        if content.len() > CONTENT {
            return Err(RecordError::Crypto);
        }
        let length = content.len().saturating_add(OVERHEAD);
        let encrypted = u16::try_from(length.saturating_sub(HEADER));
        let [high, low] = encrypted.map_err(|_| RecordError::Crypto)?.to_be_bytes();
        let header = [kind::DATA, 3, 3, high, low];
        let (first, rest) = into
            .get_mut(..length)
            .and_then(<[u8]>::split_first_chunk_mut::<HEADER>)
            .ok_or(RecordError::Crypto)?;
        *first = header;
        let (sealed, tag) = rest.split_at_mut(content.len());
        debug_assert_eq!(tag.len(), 1 + TAG, "the type and the tag");
        self.key
            .seal(Aad::from(header), content, sealed, &[kind], tag)?;
        Ok(length)
    }
}
