//! Log lines of the server and the agent: on standard error, or in a file of the owner's choice.

use std::fs::{File, OpenOptions};
use std::io::IsTerminal as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Mutex;

use russet_agent::config::{Format, Level, Logging};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Overrides what is logged.
pub(crate) const VARIABLE: &str = "RUSSET_LOG";

/// Starts logging; [`VARIABLE`] overrides `default` (`info`, `debug`, `russet_agent=debug`, …).
pub(crate) fn start(default: &str) {
    let is_terminal = std::io::stderr().is_terminal();
    begin(default, BoxMakeWriter::new(std::io::stderr), is_terminal, false);
}

/// Starts logging as the configuration of an agent says.
pub(crate) fn start_as(logging: &Logging) -> Result<()> {
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
    // CircleCI's runner means standard error by `-`.
    let file = logging.file.as_deref().filter(|file| *file != Path::new("-"));
    let (writer, can_color) = match file {
        Some(file) => (BoxMakeWriter::new(Mutex::new(open(file)?)), false),
        None => (BoxMakeWriter::new(std::io::stderr), std::io::stderr().is_terminal()),
    };
    begin(level, writer, can_color && logging.format == Format::Color, is_json);
    Ok(())
}

/// Opens a log for appending. Others may not read it: it names projects and hosts.
fn open(file: &Path) -> Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(file).map_err(|error| {
        CliError::new(
            Exit::BadConfig,
            format!("could not open the log {}: {error}", file.display()),
        )
        .hint("`logging.file` of the agent's configuration names it")
    })
}

fn begin(default: &str, writer: BoxMakeWriter, color: bool, json: bool) {
    let filter = std::env::var(VARIABLE).unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(color)
        .with_target(false);
    // A second call keeps the first subscriber, which is what is wanted.
    let _already_started = if json { lines.json().try_init() } else { lines.try_init() };
}
