//! Buffers lent by the thread while data flows, so that an idle connection holds none.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// TLS records that are moved together.
const RECORDS: usize = 8;
/// Bytes that are moved together: eight whole TLS records. 8 KiB cost 40 % of bulk throughput.
pub(crate) const BATCH: usize = RECORDS * 16 * 1024;
/// Bytes of a buffer: a batch when it is sealed, and room for a new key and an alert.
pub(crate) const SIZE: usize = BATCH + RECORDS * 22 + 128;
/// Most buffers that a thread keeps for the next in need: 1 MiB.
const KEPT: usize = 8;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of [`SIZE`] bytes; it goes back to the thread when dropped.
#[derive(Debug)]
pub(crate) struct Buffer(Box<[u8]>);

impl Buffer {
    /// One from the thread, or a new one.
    pub(crate) fn lend() -> Self {
        let kept = POOL.try_with(|pool| pool.borrow_mut().pop());
        let bytes = kept.ok().flatten();
        Self(bytes.unwrap_or_else(|| vec![0; SIZE].into_boxed_slice()))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        // Fails only while the thread ends: then the memory is simply freed.
        POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < KEPT {
                pool.push(bytes);
            }
        })
        .ok();
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// How many buffers this thread keeps: for tests of what is held while idle.
#[cfg(test)]
pub(crate) fn kept() -> usize {
    POOL.with(|pool| pool.borrow().len())
}
