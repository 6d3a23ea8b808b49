//! Messages of the handshake protocol that come after the handshake (RFC 8446 section 4.6): tickets and new keys.

use super::RecordError;
use super::open::Opened;

const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;
/// Bytes before a message's body: its type and length.
const START: usize = 4;
/// Longest ticket: its fields can hold more, and nobody sends as much.
const TICKET: u32 = 64 * 1024;

/// Reads them from records, however they are cut.
#[derive(Debug)]
pub(super) struct Messages {
    /// A client may be sent tickets. They are thrown away: nothing is resumed.
    tickets: bool,
    start: [u8; START],
    /// How many bytes of `start` are there.
    begun: usize,
    /// Bytes that are missing of the body.
    missing: u32,
}

impl Messages {
    pub(super) const fn new(tickets: bool) -> Self {
        Self {
            tickets,
            start: [0; START],
            begun: 0,
            missing: 0,
        }
    }

    /// Whether a message has begun and not ended: nothing else may come between.
    pub(super) const fn is_amid(&self) -> bool {
        self.begun > 0
    }

    /// Takes the content of one record.
    pub(super) fn take(&mut self, mut content: &[u8]) -> Result<Opened, RecordError> {
        if content.is_empty() {
            return Err(RecordError::Unexpected);
        }
        while let Some((&byte, rest)) = content.split_first() {
            if let Some(place) = self.start.get_mut(self.begun) {
                (*place, content) = (byte, rest);
                self.begun = self.begun.saturating_add(1);
                if self.begun == START {
                    self.missing = self.length()?;
                }
            } else if self.start[0] == KEY_UPDATE {
                self.begun = 0;
                // The next record has the new key: nothing of the old can follow in this one.
                return match (byte, rest) {
                    (0, []) => Ok(Opened::NewKey { answer: false }),
                    (1, []) => Ok(Opened::NewKey { answer: true }),
                    (0 | 1, _) => Err(RecordError::Unexpected),
                    _ => Err(RecordError::Malformed),
                };
            } else {
                let skipped = content.len().min(self.missing as usize);
                content = content.get(skipped..).unwrap_or_default();
                self.missing = self
                    .missing
                    .saturating_sub(u32::try_from(skipped).unwrap_or(u32::MAX));
                if self.missing == 0 {
                    self.begun = 0;
                }
            }
        }
        Ok(Opened::Nothing)
    }

    /// The length of the message that has begun, if it may come.
    fn length(&self) -> Result<u32, RecordError> {
        let [kind, high, middle, low] = self.start;
        let length = u32::from_be_bytes([0, high, middle, low]);
        match (kind, length) {
            (NEW_SESSION_TICKET, 1..=TICKET) if self.tickets => Ok(length),
            (KEY_UPDATE, 1) => Ok(length),
            (NEW_SESSION_TICKET, _) if self.tickets => Err(RecordError::Malformed),
            (KEY_UPDATE, _) => Err(RecordError::Malformed),
            _ => Err(RecordError::Unexpected),
        }
    }
}
