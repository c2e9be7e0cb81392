//! `russet man`: a manual page for each command.

use std::path::PathBuf;

use clap::CommandFactory as _;

use crate::commands::cli::Cli;
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Write manual pages, one for each command
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  russet man /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Directory to write them into
    dir: PathBuf,
}

/// Writes a page for each command.
pub(crate) fn main(args: &ManArgs) -> Result<Exit> {
    let failed = |error| {
        CliError::local(format!("could not write manual pages to {}", args.dir.display()), error)
    };
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(failed)?;
    Ok(Exit::Success)
}
