//! What a command writes to its standard error.

use tracing_subscriber::EnvFilter;

use super::failure::Failure;
use crate::config::{Log, LogFormat};

/// Begins to log. Results go to standard output, so that both can be told apart.
///
/// # Errors
/// [`Failure`] for a filter that cannot be read.
pub(super) fn start(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|error| Failure::usage(format!("log.level: \"{}\": {error}", log.level)))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Begins to log for a command that is no server: warnings and errors, for people.
///
/// # Errors
/// Never: the filter is ours.
pub(super) fn start_quiet() -> Result<(), Failure> {
    start(&Log { level: "warn".to_owned(), ..Log::default() })
}
