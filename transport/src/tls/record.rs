//! Records of TLS 1.3 after the handshake (RFC 8446 section 5), sealed and opened straight between the buffers of the copy
//! loop and those of the socket. Without I/O.
//!
//! rustls shakes hands and derives every key; this is the other half of its interface for kernel TLS. Its own record
//! layer copies each byte twice more and takes a buffer for each record: a third of the throughput.

mod key;
mod messages;
mod open;
mod seal;

use std::io;

use rustls::AlertDescription;

pub(super) use key::{Key, Secrets};
pub(super) use open::{Opened, Opener, length};
pub(super) use seal::Sealer;

/// Bytes before the encrypted ones: type, version, length.
pub(super) const HEADER: usize = 5;
/// Most bytes of content in a record.
pub(super) const CONTENT: usize = 16 * 1024;
/// Bytes of every cipher suite's tag.
const TAG: usize = 16;
/// What a record of ours takes beside its content: header, type, tag.
pub(super) const OVERHEAD: usize = HEADER + 1 + TAG;
/// Most bytes after the header: content, type, padding and tag (RFC 8446 section 5.2).
const ENCRYPTED: usize = CONTENT + 256;

/// Types of content (RFC 8446 section 5.1).
mod kind {
    pub(super) const ALERT: u8 = 21;
    pub(super) const HANDSHAKE: u8 = 22;
    pub(super) const DATA: u8 = 23;
}

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    /// A record or message that has no place here.
    #[error("the other side sent a TLS record that has no place after the handshake")]
    Unexpected,
    /// Longer than a record may be.
    #[error("the other side sent a TLS record that is too long")]
    Overflow,
    /// It was changed on its way, or sealed with another key.
    #[error("a TLS record was changed on its way")]
    Tampered,
    /// A message inside a record does not parse.
    #[error("the other side sent a TLS message that does not parse")]
    Malformed,
    /// The other side ended the connection and said why.
    #[error("the other side ended the connection with a TLS alert")]
    Alert(AlertDescription),
    /// The cryptographic library refuses.
    #[error("a TLS record cannot be sealed")]
    Crypto,
}

impl RecordError {
    /// What the other side is to be told; `None` when it has spoken last.
    pub(super) const fn alert(self) -> Option<AlertDescription> {
        match self {
            Self::Unexpected => Some(AlertDescription::UnexpectedMessage),
            Self::Overflow => Some(AlertDescription::RecordOverflow),
            Self::Tampered => Some(AlertDescription::BadRecordMac),
            Self::Malformed => Some(AlertDescription::DecodeError),
            Self::Crypto => Some(AlertDescription::InternalError),
            Self::Alert(_) => None,
        }
    }
}

impl From<RecordError> for io::Error {
    fn from(error: RecordError) -> Self {
        match error {
            // As rustls tells it: see [`super::Alert::of`].
            RecordError::Alert(alert) => Self::new(
                io::ErrorKind::InvalidData,
                rustls::Error::AlertReceived(alert),
            ),
            error => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}
#[cfg(test)]
mod tests;
