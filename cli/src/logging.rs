//! Log lines of the server and the agent: on standard error, or in a file that is rotated.

use std::io::IsTerminal as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use russet_launch_agent::config::{Format, Level, Logging};
use russet_launch_agent::logs::Rotated;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::color::Paint;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render;

/// Overrides what is logged: `info`, `debug`, `russet_control_plane=debug`, …
pub(crate) const VARIABLE: &str = "RUSSET_LOG";

/// Starts logging as the options of a server say.
pub(crate) fn start_server(logging: &Logging) -> Result<()> {
    start_with(logging, false, "`--log-file` names it")
}

/// Starts logging as the configuration of an agent says. A service whose log cannot be written
/// works all the same, and says on standard error what it would say there.
pub(crate) fn start_as(logging: &Logging, is_service: bool) -> Result<()> {
    start_with(logging, is_service, "`logging.file` of the agent's configuration names it")
}

fn start_with(logging: &Logging, is_service: bool, hint: &str) -> Result<()> {
    if logging.format == Format::None {
        return Ok(());
    }
    let level = match logging.level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    let is_json = logging.format == Format::Json;
    let file = match &logging.file {
        Some(file) if is_service => open_again(file, logging, hint)
            .map_err(|error| render::print_note(error.render(Paint::PLAIN)))
            .ok(),
        Some(file) => Some(open_log_file(file, logging, hint)?),
        None => None,
    };
    let (writer, can_color) = match file {
        Some(file) => (BoxMakeWriter::new(Arc::new(file)), false),
        None => (BoxMakeWriter::new(std::io::stderr), std::io::stderr().is_terminal()),
    };
    install_subscriber(level, writer, can_color && logging.format == Format::Color, is_json);
    Ok(())
}

/// As [`open_log_file`], and makes a directory that is gone: cleaners of Macs remove such.
fn open_again(file: &Path, logging: &Logging, hint: &str) -> Result<Rotated> {
    if let Some(parent) = file.parent() {
        // What does not work is said when the file is opened.
        drop(std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent));
    }
    open_log_file(file, logging, hint)
}

/// Opens a log for appending.
fn open_log_file(file: &Path, logging: &Logging, hint: &str) -> Result<Rotated> {
    Rotated::open(file, logging.limits).map_err(|error| {
        CliError::new(
            Exit::BadConfig,
            format!("could not open the log {}: {error}", file.display()),
        )
        .hint(hint)
    })
}

fn install_subscriber(default: &str, writer: BoxMakeWriter, color: bool, json: bool) {
    let filter = std::env::var(VARIABLE).unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(color)
        // A line that cannot be written would be told to the standard error, which may be on the
        // same full disk: that would end the thread.
        .log_internal_errors(false)
        .with_target(false);
    // A second call keeps the first subscriber, which is what is wanted.
    let _already_started = if json { lines.json().try_init() } else { lines.try_init() };
}
