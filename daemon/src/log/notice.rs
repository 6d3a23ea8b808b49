//! The line that stands for lines that were dropped.

use serde_json::json;

use super::Style;

/// Why lines were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The reader was slower than the program, or stood still.
    NotRead,
    /// Writing failed: a full disk, a reader that has gone.
    NotWritten,
}

/// One line that says how many are missing. It looks as the log's own lines do.
pub(super) fn notice(style: Style, count: u64, cause: Cause) -> Box<[u8]> {
    let why = match cause {
        Cause::NotRead => "the log was not read",
        Cause::NotWritten => "the log could not be written",
    };
    let (noun, verb) = if count == 1 {
        ("line", "was")
    } else {
        ("lines", "were")
    };
    let message = format!("{count} log {noun} {verb} dropped because {why}");
    let now = crate::clock::now();
    let line = match style {
        Style::Text => {
            let now = humantime::format_rfc3339_micros(now);
            format!("{now}  WARN {message}\n")
        }
        Style::Json => {
            let line = json!({
                "timestamp": humantime::format_rfc3339_millis(now).to_string(),
                "severity": "WARNING",
                "target": "daemon::log",
                "message": message,
                "dropped": count,
            });
            format!("{line}\n")
        }
    };
    line.into_bytes().into()
}
