//! Standard error: of the task agent, which the launch agent keeps, and of the helpers of steps.

use std::fmt::Display;
use std::io::Write as _;

/// Prints a problem on the standard error.
pub(crate) fn print_error(problem: &dyn Display) {
    print_to_stderr(&format_args!("error: {problem}"));
}

/// Prints a line on the standard error. It may be a file on a disk that is full or a closed pipe,
/// where `eprintln!` would end the process, and nobody else could be told.
pub(crate) fn print_to_stderr(line: &dyn Display) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// Logs to the standard error, which the launch agent copies into its own log.
pub(crate) fn log_to_stderr() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // A line that cannot be written would be told to the same full disk, and end the process.
        .log_internal_errors(false)
        .finish();
    // A second subscriber is refused, which is as good.
    drop(tracing::subscriber::set_global_default(subscriber));
}
