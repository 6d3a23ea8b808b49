//! The thread that writes the log: the only part of the program that waits for the log's reader.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use super::notice::{Cause, notice};
use super::queue::{LineQueue, dropped};

/// Pause before an output that takes nothing now is tried again. Others share our standard error, and may have set it to
/// `O_NONBLOCK`; in all other cases the system call waits.
const PAUSE: Duration = Duration::from_millis(10);

/// One output of the process with its queue. The thread begins later than the queue: see [`Output::start`].
#[derive(Debug)]
pub(super) struct Output {
    pub(super) queue: LineQueue,
    file: Option<File>,
    thread: OnceLock<bool>,
}

impl Output {
    /// An output that writes to a copy of this descriptor.
    pub(super) fn new(fd: BorrowedFd<'_>) -> Self {
        Self {
            queue: LineQueue::default(),
            file: fd.try_clone_to_owned().ok().map(File::from),
            thread: OnceLock::new(),
        }
    }

    /// Starts the thread that writes, once. `false` when there can be none.
    ///
    /// Not done by [`Output::new`]: a program that changes its user does so while it has one thread.
    pub(super) fn start(&self) -> bool {
        *self.thread.get_or_init(|| {
            let file = self.file.as_ref().and_then(|file| file.try_clone().ok());
            let queue = self.queue.clone();
            let run = move || {
                let mut writer = Writer::new(file, queue);
                loop {
                    writer.next();
                }
            };
            thread::Builder::new()
                .name("log".to_owned())
                .spawn(run)
                .is_ok()
        })
    }

    /// Writes what waits, but not longer than `until`.
    pub(super) fn flush(&self, until: Instant) {
        if self.queue.is_idle() {
            return;
        }
        if self.start() {
            self.queue.wait_idle(until);
            return;
        }
        // No thread can be had, and the program ends: better to wait for the reader than to say nothing.
        let file = self.file.as_ref().and_then(|file| file.try_clone().ok());
        let mut writer = Writer::new(file, self.queue.clone());
        while writer.try_next() {}
    }
}

/// Writes lines whole and in their order.
struct Writer {
    file: Option<File>,
    queue: LineQueue,
    /// Lines that could not be written since one could.
    failed: u64,
    /// Whether the last line that could not be written was begun.
    is_cut: bool,
}

impl Writer {
    const fn new(file: Option<File>, queue: LineQueue) -> Self {
        Self {
            file,
            queue,
            failed: 0,
            is_cut: false,
        }
    }

    fn next(&mut self) {
        let line = self.queue.next();
        self.write(&line);
    }

    /// Writes the next line. `false` when there is none.
    fn try_next(&mut self) -> bool {
        let line = self.queue.try_next();
        if let Some(line) = &line {
            self.write(line);
        }
        line.is_some()
    }

    fn write(&mut self, line: &[u8]) {
        if self.failed > 0 {
            let missing = notice(self.queue.style(), self.failed, Cause::NotWritten);
            let end = if self.is_cut { &b"\n"[..] } else { &[] };
            if self.attempt(&[end, &missing].concat()).is_err() {
                return self.lost();
            }
            self.failed = 0;
        }
        if self.attempt(line).is_err() {
            self.lost();
        }
    }

    fn lost(&mut self) {
        self.failed = self.failed.saturating_add(1);
        dropped().inc();
    }

    /// Writes one text whole, however often the system takes a part of it.
    fn attempt(&mut self, text: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Err(ErrorKind::NotFound.into());
        };
        let mut rest = text;
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    self.is_cut = !rest.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(PAUSE),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
