//! Opening records: the receiving direction.

use aws_lc_rs::aead::Aad;
use rustls::AlertDescription;

use super::key::Key;
use super::messages::Messages;
use super::{CONTENT, ENCRYPTED, HEADER, RecordError, TAG, kind};

/// Most records and messages in a row that bring no data, while none go the other way: they cost us time for nothing.
const USELESS: u8 = 32;

/// What was in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// So many bytes of data.
    Data(usize),
    /// Nothing for us.
    Nothing,
    /// The next record has a new key; with `answer`, ours are to have one too.
    NewKey {
        /// Before anything else is sealed.
        answer: bool,
    },
    /// No more will come (close_notify).
    End,
}

/// How long the first record is, header and all; `None` when its header is not whole.
pub(crate) fn length(bytes: &[u8]) -> Result<Option<usize>, RecordError> {
    let Some(&[first, _, _, high, low]) = bytes.first_chunk() else {
        return Ok(None);
    };
    // After the handshake everything is encrypted, and looks like data (RFC 8446 section 5.2). The version means nothing.
    if first != kind::DATA {
        return Err(RecordError::Unexpected);
    }
    match usize::from(u16::from_be_bytes([high, low])) {
        encrypted if encrypted > ENCRYPTED => Err(RecordError::Overflow),
        // Too short for a type and a tag.
        encrypted if encrypted <= TAG => Err(RecordError::Tampered),
        encrypted => Ok(Some(HEADER.saturating_add(encrypted))),
    }
}

/// Opens records, one after the other.
#[derive(Debug)]
pub(crate) struct Opener {
    key: Key,
    messages: Messages,
    useless: u8,
}

impl Opener {
    /// `tickets` is whether the other side may send them: servers do.
    pub(crate) const fn new(key: Key, tickets: bool) -> Self {
        Self {
            key,
            messages: Messages::new(tickets),
            useless: 0,
        }
    }

    /// Uses another key from now on.
    pub(crate) fn renew(&mut self, key: Key) {
        self.key = key;
    }

    /// How many bytes of room opening a whole record takes.
    pub(crate) const fn room(record: &[u8]) -> usize {
        record.len().saturating_sub(HEADER + TAG)
    }

    /// Opens a whole record; data are at the begin of `into`, of which at least [`Opener::room`] is written to.
    pub(crate) fn open(&mut self, record: &[u8], into: &mut [u8]) -> Result<Opened, RecordError> {
        let room = Self::room(record);
        let (header, encrypted) = record
            .split_first_chunk::<HEADER>()
            .ok_or(RecordError::Malformed)?;
        let (sealed, tag) = encrypted
            .split_at_checked(room)
            .ok_or(RecordError::Malformed)?;
        let into = into.get_mut(..room).ok_or(RecordError::Crypto)?;
        self.key.open(Aad::from(*header), sealed, tag, into)?;
        // Content, its type, and zeros (RFC 8446 section 5.4).
        let end = into.iter().rposition(|&byte| byte != 0);
        let (content, kind) = end
            .and_then(|end| Some((into.get(..end)?, *into.get(end)?)))
            .ok_or(RecordError::Unexpected)?;
        if content.len() > CONTENT {
            return Err(RecordError::Overflow);
        }
        let opened = match kind {
            _ if kind != kind::HANDSHAKE && self.messages.is_amid() => {
                return Err(RecordError::Unexpected);
            }
            kind::DATA if content.is_empty() => Opened::Nothing,
            kind::DATA => Opened::Data(content.len()),
            kind::HANDSHAKE => self.messages.take(content)?,
            kind::ALERT => alert(content)?,
            _ => return Err(RecordError::Unexpected),
        };
        self.judge(opened)
    }

    /// Data went the other way. A side that only listens may want new keys for as long as it does.
    pub(crate) const fn has_answered(&mut self) {
        self.useless = 0;
    }

    /// Counts what brings nothing. Of a message that is cut into records its end counts, and its length has a limit.
    fn judge(&mut self, opened: Opened) -> Result<Opened, RecordError> {
        match opened {
            Opened::Data(_) => self.useless = 0,
            Opened::Nothing | Opened::NewKey { .. } if !self.messages.is_amid() => {
                self.useless = self.useless.saturating_add(1);
            }
            _ => {}
        }
        if self.useless > USELESS {
            return Err(RecordError::Unexpected);
        }
        Ok(opened)
    }
}

/// All alerts end a connection, whatever level they claim, except two (RFC 8446 section 6).
fn alert(content: &[u8]) -> Result<Opened, RecordError> {
    let &[_, description] = content else {
        return Err(RecordError::Malformed);
    };
    match AlertDescription::from(description) {
        AlertDescription::CloseNotify => Ok(Opened::End),
        AlertDescription::UserCanceled => Ok(Opened::Nothing),
        description => Err(RecordError::Alert(description)),
    }
}
