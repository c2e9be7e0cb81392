//! `russet completion`.

use clap::CommandFactory as _;

use crate::commands::cli::Cli;
use crate::error::Result;
use crate::exit::Exit;
use crate::render;

/// Print a completion script for a shell
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  russet completion zsh > \"${fpath[1]}/_russet\"
  russet completion bash > /usr/local/etc/bash_completion.d/russet")]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints the script.
pub(crate) fn main(args: CompletionArgs) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "russet", &mut script);
    render::print_text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
