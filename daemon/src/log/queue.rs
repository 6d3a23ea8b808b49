//! The bounded queue between the program and the thread that writes its log.
//!
//! States: *open*, every line is taken; *full*, every line is dropped and counted, until half of the queue has been
//! written. Then one notice with the count stands where the lines are missing, and the queue is open again.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use prometheus_client::metrics::counter::Counter;

use super::Style;
use super::notice::{Cause, notice};

/// Most lines and bytes that wait.
pub(super) const MAX_LINES: usize = 8192;
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// Lines that were not written, by any output of this process.
pub(super) fn dropped() -> Counter {
    static DROPPED: OnceLock<Counter> = OnceLock::new();
    DROPPED.get_or_init(Counter::default).clone()
}

/// Lines of one output that wait to be written. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct LineQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the writing thread.
    filled: Condvar,
    /// Wakes those that wait for the end of writing.
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// Lines dropped since the queue was full; it is open while this is 0.
    dropped: u64,
    /// Whether a line has been taken and is not written yet.
    is_writing: bool,
    style: Style,
}

impl LineQueue {
    /// Sets how notices look.
    pub(super) fn set_style(&self, style: Style) {
        self.state().style = style;
    }

    /// The style of notices.
    pub(super) fn style(&self) -> Style {
        self.state().style
    }

    /// Adds a line, or drops it when the queue is full. Never waits for the reader.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.state();
        let is_full =
            state.lines.len() >= MAX_LINES || state.bytes.saturating_add(line.len()) > MAX_BYTES;
        if is_full || state.dropped > 0 {
            state.dropped = state.dropped.saturating_add(1);
            dropped().inc();
        } else {
            state.add(line.into());
        }
        drop(state);
        self.0.filled.notify_one();
    }

    /// The next line to write; `None` when there is none now.
    pub(super) fn try_next(&self) -> Option<Box<[u8]>> {
        self.state().take()
    }

    /// Waits for the next line to write. The one before is written, or given up.
    pub(super) fn next(&self) -> Box<[u8]> {
        let mut state = self.state();
        loop {
            if let Some(line) = state.take() {
                return line;
            }
            self.0.written.notify_all();
            state = self
                .0
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether everything has been written.
    pub(super) fn is_idle(&self) -> bool {
        self.state().is_idle()
    }

    /// Waits until everything has been written, but not longer than `until`.
    pub(super) fn wait_idle(&self, until: Instant) {
        let mut state = self.state();
        while !state.is_idle() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.written.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, line: Box<[u8]>) {
        self.bytes = self.bytes.saturating_add(line.len());
        self.lines.push_back(line);
    }

    fn take(&mut self) -> Option<Box<[u8]>> {
        // Not as soon as there is room for one: a slow reader would get a notice for every other line.
        let has_room = self.lines.len() <= MAX_LINES / 2 && self.bytes <= MAX_BYTES / 2;
        if self.dropped > 0 && has_room {
            let count = std::mem::take(&mut self.dropped);
            self.add(notice(self.style, count, Cause::NotRead));
        }
        let line = self.lines.pop_front();
        self.bytes = self
            .bytes
            .saturating_sub(line.as_ref().map_or(0, |line| line.len()));
        self.is_writing = line.is_some();
        line
    }

    fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0 && !self.is_writing
    }
}

/// One call is one line, as the formatting layers of `tracing_subscriber` write.
impl io::Write for LineQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
