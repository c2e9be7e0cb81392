//! Log lines of the server and the agent, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Overrides what is logged.
pub(crate) const VARIABLE: &str = "RUSSET_LOG";

/// Starts logging; [`VARIABLE`] overrides `default` (`info`, `debug`, `russet_agent=debug`, …).
pub(crate) fn start(default: &str) {
    let filter = std::env::var(VARIABLE).unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|_| EnvFilter::new(default));
    // A second call keeps the first subscriber, which is what is wanted.
    let _already_started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}
