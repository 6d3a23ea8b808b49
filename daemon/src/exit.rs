//! How a program ends: 0, 1 failure, 64 usage, 130 and 143 by signal unless drained, or as a child of its own did.

use std::process::ExitCode;

use crate::shutdown::Signal;

/// Flushes the log and the messages to the service manager when it is dropped, at the end of `main`. It waits for their
/// readers less than a second together.
#[derive(Debug, Default)]
pub struct FlushAtEnd(());

impl Drop for FlushAtEnd {
    fn drop(&mut self) {
        crate::notify::flush();
        crate::log::flush();
    }
}

/// The ways to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or drained after a signal: 0.
    Success,
    /// Something failed: 1.
    Failure,
    /// Flags, environment or settings file are wrong: 64 (`EX_USAGE` of sysexits.h).
    Usage,
    /// Ended by a signal with sessions still open: 128 and the signal's number.
    Signalled(Signal),
    /// As the child did that was run: its code, or 128 and its signal's number.
    Child(u8),
}

impl Exit {
    /// The end after a signal. A program whose sessions all ended by themselves has drained.
    pub const fn after(signal: Signal, drained: bool) -> Self {
        match signal {
            Signal::Request => Self::Success,
            Signal::Interrupt | Signal::Terminate if drained => Self::Success,
            Signal::Interrupt | Signal::Terminate => Self::Signalled(signal),
        }
    }

    /// The number that the parent process sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success | Self::Signalled(Signal::Request) => 0,
            Self::Failure => 1,
            Self::Usage => 64,
            Self::Signalled(Signal::Interrupt) => 130,
            Self::Signalled(Signal::Terminate) => 143,
            Self::Child(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_shows_in_the_exit_code_unless_the_program_drained() {
        assert_eq!(Exit::after(Signal::Terminate, false).code(), 143);
        assert_eq!(Exit::after(Signal::Interrupt, false).code(), 130);
        assert_eq!(Exit::after(Signal::Terminate, true).code(), 0);
        assert_eq!(Exit::after(Signal::Request, false).code(), 0);
        assert_eq!(Exit::Usage.code(), 64);
    }
}
