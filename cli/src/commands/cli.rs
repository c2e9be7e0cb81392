//! The command line as clap sees it. `docs/cli.md` is generated from this.

use clap::{Parser, Subcommand};

use crate::color::ColorChoice;
use crate::commands;

/// A self-hosted CI runner for Macs, with its own control plane.
///
/// `russet run` does everything at once: it runs a project's `.circleci/config.yml` here and now.
/// `russet server` and `russet agent run` are its two halves, for machines that stay.
#[derive(Debug, Parser)]
#[command(name = "russet", version, propagate_version = false, disable_help_subcommand = true)]
#[command(max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Use colour always, never, or at terminals
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: ColorChoice,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  russet run                        Run the project in this directory
  russet run ../app --job test      Run one job of another, and what it requires
  russet server                     Start a control plane
  russet pipeline submit            Submit this directory to it

Exit codes: 0 success, 1 a job failed, 2 usage, 3 bad configuration, 4 control plane,
5 this machine or the runner, 130 canceled. See docs/exit-codes.md.";

/// Commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(commands::run::RunArgs),
    Server(Box<commands::server::ServerArgs>),
    #[command(subcommand)]
    Agent(commands::agent::AgentCommand),
    #[command(subcommand)]
    Config(commands::config::ConfigCommand),
    #[command(subcommand)]
    Pipeline(commands::pipeline::PipelineCommand),
    #[command(subcommand)]
    Workflow(commands::workflow::WorkflowCommand),
    #[command(subcommand)]
    Job(commands::job::JobCommand),
    #[command(subcommand)]
    Runner(commands::runner::RunnerCommand),
    #[command(subcommand)]
    ResourceClass(commands::resource_class::ResourceClassCommand),
    #[command(subcommand)]
    Context(commands::context::ContextCommand),
    #[command(subcommand)]
    Project(commands::context::ProjectCommand),
    #[command(subcommand)]
    Namespace(commands::namespace::NamespaceCommand),
    #[command(subcommand)]
    Limit(commands::limit::LimitCommand),
    #[command(subcommand)]
    Token(commands::token::TokenCommand),
    Login(commands::login::LoginArgs),
    Logout(commands::login::LogoutArgs),
    #[command(subcommand)]
    User(commands::user::UserCommand),
    #[command(subcommand)]
    Session(commands::session::SessionCommand),
    #[command(subcommand)]
    SshKey(commands::ssh_key::SshKeyCommand),
    #[command(subcommand)]
    PersonalToken(commands::personal_token::PersonalTokenCommand),
    #[command(subcommand)]
    Audit(commands::audit::AuditCommand),
    #[command(subcommand)]
    Alert(commands::alert::AlertCommand),
    #[command(subcommand)]
    Schedule(commands::schedule::ScheduleCommand),
    Completion(commands::completion::CompletionArgs),
    Man(commands::man::ManArgs),
    /// Runs one task, as the launch agent assigns it on standard input
    ///
    /// `main` takes this command before clap does; it is here for completeness of messages.
    #[command(hide = true)]
    TaskAgent,
}
