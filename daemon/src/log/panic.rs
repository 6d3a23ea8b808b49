//! Reports a panic as a log line: the hook of the standard library waits for the reader of standard error.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

/// Takes the place of the standard library's hook.
pub(super) fn install_hook() {
    std::panic::set_hook(Box::new(report));
}

fn report(info: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let is_captured = backtrace.status() == BacktraceStatus::Captured;
    tracing::error!(
        thread = std::thread::current().name(),
        location = info.location().map(tracing::field::display),
        problem = info.payload_as_str(),
        backtrace = is_captured.then(|| tracing::field::display(&backtrace)),
        "a part of the program panicked; please report it"
    );
}
