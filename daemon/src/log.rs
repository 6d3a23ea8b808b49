//! The log: constant messages with fields, as text or as JSON lines.
//!
//! Nothing in the program waits for the log's reader: lines go to a bounded queue, and a thread of its own writes them.
//! Whatever else goes to standard error goes the same way ([`complain`]), and [`FlushAtEnd`](crate::exit::FlushAtEnd) writes the rest at the end.
//!
//! Quiet by default: the closing line of each session goes to target [`SESSION`] at INFO, which the default
//! filter leaves out, and to nobody else. `--log-level session=info` shows them.

mod directives;
mod json;
mod level;
mod notice;
mod panic;
mod queue;
mod throttle;
mod writer;

use std::io::{IsTerminal as _, stderr, stdout};
use std::os::fd::AsFd as _;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt as _;
use tracing_subscriber::fmt::{self, MakeWriter, format};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::environment::Environment;
use crate::settings::Complaints;
pub use level::{DEFAULT, LogLevel};
pub use throttle::LogThrottle;

/// Target of the one line per session.
pub const SESSION: &str = "session";
/// What is logged by default: what operators must know, and nothing per connection.
const DEFAULT_FILTER: &str = "info,session=warn,hyper=warn,reqwest=warn,rustls=error,h2=warn";

/// Longest wait for the log's reader at the end of the program.
const FLUSH: Duration = Duration::from_millis(500);

/// Name and help of the metric that counts [`lines_dropped`], behind each program's own prefix.
pub const LINES_DROPPED: (&str, &str) = (
    "log_lines_dropped",
    "Log lines that were not written because the log was not read or could not be written",
);

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line with `timestamp`, `severity`, `message` and the fields.
    Json,
}

/// Where log lines go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Errors and warnings to standard error, the rest to standard output, as Google's proxy does.
    #[default]
    Split,
    /// All to standard error: for programs whose standard output belongs to somebody else.
    Stderr,
}

/// Starts the log. `level` is `error`, `warn`, `info`, `debug`, `trace`, or directives such as
/// `info,session=info`, laid over the default filter. The result changes the level of the log at work.
///
/// # Errors
/// A complaint about `level`.
pub fn init(level: Option<&str>, style: Style, output: Output) -> Result<LogLevel, Complaints> {
    let control = init_unwritten(level, style, output)?;
    write_from_now();
    Ok(control)
}

/// As [`init`], but lines wait until [`write_from_now`]: for a program that must have one thread until then.
///
/// # Errors
/// A complaint about `level`.
pub fn init_unwritten(
    level: Option<&str>,
    style: Style,
    output: Output,
) -> Result<LogLevel, Complaints> {
    let (control, filter) = LogLevel::new(level)?;
    let Outputs { out, err } = outputs();
    err.queue.set_style(style);
    out.queue.set_style(style);
    let (to_out, to_err) = (out.queue.clone(), err.queue.clone());
    let to_err = move || to_err.clone();
    match output {
        Output::Split => {
            let split = to_err.with_max_level(Level::WARN);
            let split = split.or_else(move || to_out.clone());
            // One line format serves both: colours only where both are terminals.
            let is_terminal = stdout().is_terminal() && stderr().is_terminal();
            install(filter, style, is_terminal, split);
        }
        Output::Stderr => install(filter, style, stderr().is_terminal(), to_err),
    }
    panic::install_hook();
    Ok(control)
}

/// Starts the threads that write. What waits is written first.
pub fn write_from_now() {
    let Outputs { out, err } = outputs();
    // At the end of the program, what waits is written or the process ends with an error anyway.
    if !(err.start() && out.start()) {
        tracing::error!("no thread can be started for the log: lines wait for the program's end");
    }
}

/// Writes text to standard error, in its order among the log's lines. Does not wait for the reader.
pub fn complain(text: &str) {
    outputs().err.queue.push(text.as_bytes());
}

/// Number of lines that were dropped, to be registered under the name [`LINES_DROPPED`].
pub fn lines_dropped() -> Counter {
    queue::dropped()
}

/// Writes what waits, for at most half a second.
pub(crate) fn flush() {
    let until = Instant::now() + FLUSH;
    let Outputs { out, err } = outputs();
    err.flush(until);
    out.flush(until);
}

/// The outputs of this process; one and the same where both lead to one file, so that lines keep their order.
struct Outputs {
    out: Arc<writer::Output>,
    err: Arc<writer::Output>,
}

fn outputs() -> &'static Outputs {
    static OUTPUTS: OnceLock<Outputs> = OnceLock::new();
    OUTPUTS.get_or_init(|| {
        let (out, err) = (stdout(), stderr());
        let identity = |fd| {
            rustix::fs::fstat(fd)
                .map(|stat| (stat.st_dev, stat.st_ino))
                .ok()
        };
        let is_one = identity(out.as_fd()).is_some_and(|one| Some(one) == identity(err.as_fd()));
        let err = Arc::new(writer::Output::new(err.as_fd()));
        let out = match is_one {
            true => Arc::clone(&err),
            false => Arc::new(writer::Output::new(out.as_fd())),
        };
        Outputs { out, err }
    })
}

fn filter(level: Option<&str>) -> Result<EnvFilter, Complaints> {
    let checked = level.map(directives::checked).transpose();
    let directives = match checked.map_err(|problem| Complaints::one("log-level", problem))? {
        None => DEFAULT_FILTER.to_owned(),
        Some(level) => format!("{},{level}", default_below(&level)),
    };
    EnvFilter::try_new(directives).map_err(|error| {
        let expected = "expected error, warn, info, debug, trace, or directives of them";
        Complaints::one("log-level", format!("{expected}: {error}"))
    })
}

/// Whoever asks for less than INFO gets less of everything; whoever asks for DEBUG sees sessions too.
fn default_below(level: &str) -> &'static str {
    match level {
        "error" | "off" => "error",
        "warn" => "warn,rustls=error",
        "debug" | "trace" => "debug,hyper=info,reqwest=info,h2=info",
        _ => DEFAULT_FILTER,
    }
}

/// Whether nothing asks for text without colours: <https://no-color.org>, and terminals that cannot show them.
fn wants_colours(environment: &Environment) -> bool {
    environment.get("NO_COLOR").is_none() && environment.get("TERM") != Some("dumb")
}

fn install<W>(filter: level::Filter, style: Style, terminal: bool, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let registry = tracing_subscriber::registry().with(filter);
    let installed = match style {
        Style::Text => registry
            .with(
                fmt::layer()
                    .with_writer(writer)
                    .with_target(false)
                    .with_ansi(terminal && wants_colours(&Environment::of_process())),
            )
            .try_init(),
        Style::Json => registry
            .with(
                fmt::layer()
                    .with_writer(writer)
                    .fmt_fields(format::JsonFields::new())
                    .event_format(json::Json),
            )
            .try_init(),
    };
    if let Err(error) = installed {
        tracing::debug!(%error, "the log was started before");
    }
}

#[cfg(test)]
mod tests;
