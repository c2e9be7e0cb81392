//! Standard error of the task agent, which the launch agent keeps.

use std::fmt::Display;

/// Prints a problem on the standard error.
#[expect(clippy::print_stderr, reason = "before and after the log exists this is where it goes")]
pub(crate) fn print_error(problem: &dyn Display) {
    eprintln!("error: {problem}");
}

/// Logs to the standard error, which the launch agent copies into its own log.
pub(crate) fn log_to_stderr() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .finish();
    // A second subscriber is refused, which is as good.
    drop(tracing::subscriber::set_global_default(subscriber));
}
