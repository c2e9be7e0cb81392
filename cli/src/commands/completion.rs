//! `russet completion`.

use crate::error::Result;
use crate::exit::Exit;
use crate::render;
use crate::shell_script::shell_script;

/// Print a completion script for a shell
///
/// It completes commands, options, and names that the control plane knows: pipelines, workflows, jobs,
/// resource classes, runners, projects, contexts. Names are left out while the control plane is away.
/// Print the script anew when russet was updated.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  russet completion zsh > \"${fpath[1]}/_russet\"
  russet completion bash > /usr/local/etc/bash_completion.d/russet
  russet completion fish > ~/.config/fish/completions/russet.fish")]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints the script.
pub(crate) fn main(args: CompletionArgs) -> Result<Exit> {
    render::print_text(&shell_script(&args.shell.to_string())?)?;
    Ok(Exit::Success)
}
