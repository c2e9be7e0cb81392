//! `russet agent`: one file per command.

mod run;

use crate::error::Result;
use crate::exit::Exit;

/// Run the launch agent: it claims tasks and runs them on this machine
#[derive(clap::Subcommand, Debug)]
pub(crate) enum AgentCommand {
    /// Run the launch agent in the foreground
    ///
    /// The first TERM or INT lets tasks that run finish and claims no more; the second cancels
    /// them.
    #[command(
        after_help = "Examples:\n  russet agent run --config agent.yaml\n\nThe keys of the file are in docs/agent-config.md."
    )]
    Run(run::RunArgs),
}

/// Runs the command.
pub(crate) fn main(command: AgentCommand) -> Result<Exit> {
    match command {
        AgentCommand::Run(args) => run::main(args),
    }
}
