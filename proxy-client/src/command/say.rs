//! What sub-commands tell people.

use std::io::{ErrorKind, Write as _};

use daemon::exit::Exit;
use transport::error::chain;

use super::PROGRAM;

/// Writes text to standard output. A reader who has seen enough, as `head` has, is no failure.
pub(super) fn out(text: &str) -> Exit {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Exit::Success,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Success,
        Err(error) => fail(&error),
    }
}

/// Writes one line to standard error.
pub(super) fn complain(text: &str) {
    daemon::log::complain(&format!("{PROGRAM}: {text}\n"));
}

/// The same with an error and its causes; and how the program ends.
pub(super) fn fail(error: &dyn std::error::Error) -> Exit {
    complain(&chain(error));
    Exit::Failure
}
