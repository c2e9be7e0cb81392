//! One file per command.

pub(crate) mod agent;
pub(crate) mod alert;
pub(crate) mod audit;
pub(crate) mod cli;
mod compile;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod confirm;
pub(crate) mod connect;
pub(crate) mod context;
mod device_login;
pub(crate) mod fetch;
pub(crate) mod follow;
pub(crate) mod job;
mod job_ssh;
pub(crate) mod lacking;
pub(crate) mod limit;
pub(crate) mod lists;
pub(crate) mod login;
pub(crate) mod man;
pub(crate) mod namespace;
pub(crate) mod notify;
mod orb;
pub(crate) mod orb_pack;
pub(crate) mod orbs;
pub(crate) mod people;
pub(crate) mod personal_token;
pub(crate) mod pipeline;
mod project_settings;
pub(crate) mod rerun;
pub(crate) mod resource_class;
pub(crate) mod run;
pub(crate) mod runner;
pub(crate) mod schedule;
pub(crate) mod secret_input;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod ssh_key;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod values;
mod watch;
mod webhooks;
pub(crate) mod workflow;

use std::future::Future;

use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::Format;
use cli::{Cli, Command};

/// Options of every command that prints a result.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct OutputArgs {
    /// Format of the result
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,
}

/// Does what the command line says.
pub(crate) fn run_command(cli: Cli) -> Result<Exit> {
    match cli.command {
        Command::Run(args) => run::main(args),
        Command::Server(args) => block_on(server::main(*args)),
        Command::Agent(command) => agent::main(command),
        Command::Config(command) => config::main(command),
        Command::Pipeline(command) => block_on(pipeline::main(command)),
        Command::Workflow(command) => block_on(workflow::main(command)),
        Command::Job(command) => block_on(job::main(command)),
        Command::Runner(command) => block_on(runner::main(command)),
        Command::ResourceClass(command) => block_on(resource_class::main(command)),
        Command::Context(command) => block_on(context::main(command)),
        Command::Project(command) => block_on(context::run_project(command)),
        Command::Namespace(command) => block_on(namespace::main(command)),
        Command::Limit(command) => block_on(limit::main(command)),
        Command::Token(command) => block_on(token::main(command)),
        Command::Login(args) => block_on(login::main(args)),
        Command::Logout(args) => login::logout_main(&args),
        Command::User(command) => block_on(user::main(command)),
        Command::Session(command) => block_on(session::main(command)),
        Command::SshKey(command) => block_on(ssh_key::main(command)),
        Command::PersonalToken(command) => block_on(personal_token::main(command)),
        Command::Audit(command) => block_on(audit::main(command)),
        Command::Alert(command) => block_on(alert::main(command)),
        Command::Schedule(command) => block_on(schedule::main(command)),
        Command::Completion(args) => completion::main(args),
        Command::Man(args) => man::main(&args),
        Command::TaskAgent => Err(CliError::new(
            Exit::Usage,
            "`russet task-agent` is started by the launch agent and takes no arguments",
        )),
    }
}

/// Runs a command that waits, on one thread: none of them computes.
pub(crate) fn block_on<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::local("could not start the runtime", error))?
        .block_on(command)
}

/// A text as one word of a shell. Names come from configurations, and what is printed to be pasted
/// must not run what is in them.
pub(crate) fn quoted_for_shell(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./@:+,=".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let printable: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("'{}'", printable.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted_for_shell;

    #[test]
    fn a_name_that_is_pasted_runs_nothing() {
        assert_eq!(quoted_for_shell("acme/app@1.2"), "acme/app@1.2");
        assert_eq!(quoted_for_shell("a $(b) 'c'"), r"'a $(b) '\''c'\'''");
        assert_eq!(quoted_for_shell(""), "''");
    }
}
