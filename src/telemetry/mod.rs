//! L5, logging.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs to standard error from now on. `level` is a level name or a filter as tracing-subscriber
/// reads it ("info,mcr::netlink=debug"); an unreadable one is an error text.
pub fn start_logging(level: &str, format: Format) -> Result<(), String> {
    let filter = EnvFilter::try_new(level)
        .map_err(|error| format!("\"{level}\" is not a log level: {error}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().try_init(),
    }
    .map_err(|error| error.to_string())
}
