//! Bytes under way between a socket and the records of a tunnel.

use crate::buffer::Buffer;

/// Bytes under way in a buffer that is lent for as long as they are.
#[derive(Debug, Default)]
pub(super) struct Held {
    buffer: Option<Buffer>,
    start: usize,
    end: usize,
}

impl Held {
    /// Takes over bytes, no more than a buffer has room for.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut held = Self::default();
        if !bytes.is_empty() {
            let room = held.room();
            let kept = bytes.len().min(room.len());
            if let (Some(room), Some(bytes)) = (room.get_mut(..kept), bytes.get(..kept)) {
                room.copy_from_slice(bytes);
            }
            held.grow(kept);
        }
        held
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        let buffer = self.buffer.as_deref().unwrap_or_default();
        buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// What is free behind the bytes. A buffer is lent if there is none.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let buffer = self.buffer.get_or_insert_with(Buffer::lend);
        buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes of the room are bytes now.
    pub(super) const fn grow(&mut self, by: usize) {
        self.end = self.end.saturating_add(by);
    }

    /// So many bytes are done with. The buffer is given back with the last.
    pub(super) fn shrink(&mut self, by: usize) {
        self.start = self.start.saturating_add(by);
        if self.start >= self.end {
            *self = Self::default();
        }
    }

    /// Moves what is left to the begin.
    pub(super) fn compact(&mut self) {
        if let Some(buffer) = &mut self.buffer {
            buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end.saturating_sub(self.start));
        }
    }

    #[cfg(test)]
    pub(super) const fn is_empty(&self) -> bool {
        self.buffer.is_none()
    }
}
