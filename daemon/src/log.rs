//! The log: constant messages with fields, as text or as JSON lines.
//!
//! Quiet by default: the closing line of each session goes to target [`SESSION`] at INFO, which the default
//! filter leaves out, and to nobody else. `--log-level session=info` shows them.

mod json;
mod level;

use std::io::{IsTerminal as _, stderr, stdout};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt as _;
use tracing_subscriber::fmt::{self, MakeWriter, format};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::settings::Complaints;
pub use level::{DEFAULT, LogLevel};

/// Target of the one line per session.
pub const SESSION: &str = "session";
/// What is logged by default: what operators must know, and nothing per connection.
const DEFAULT_FILTER: &str = "info,session=warn,hyper=warn,reqwest=warn,rustls=error,h2=warn";

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
/// `info,session=info`, laid over the default filter. What it gives changes the level of the log at work.
///
/// # Errors
/// A complaint about `level`.
pub fn init(level: Option<&str>, style: Style, output: Output) -> Result<LogLevel, Complaints> {
    let (control, filter) = LogLevel::new(level)?;
    match output {
        Output::Split => install(
            filter,
            style,
            stdout().is_terminal(),
            stderr.with_max_level(Level::WARN).or_else(stdout),
        ),
        Output::Stderr => install(filter, style, stderr().is_terminal(), stderr),
    }
    Ok(control)
}

fn filter(level: Option<&str>) -> Result<EnvFilter, Complaints> {
    let directives = match level {
        None => DEFAULT_FILTER.to_owned(),
        Some(level) => format!("{},{level}", default_below(level)),
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
                    .with_ansi(terminal),
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
