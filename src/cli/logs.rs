//! Log lines: text in a terminal, JSON elsewhere.

use std::io::IsTerminal;

use countersign::config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;

/// Sends log lines to standard error from here on.
pub fn start(log: &Log) {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(true)
        // A line that cannot be written is lost; to say so on the same standard error would end the program.
        .log_internal_errors(false);
    // A second call (in a test of the command line, say) keeps the first.
    let _ = if json { lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init() } else { lines.try_init() };
}
