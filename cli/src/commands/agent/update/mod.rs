//! `russet agent update`: how far an update of this agent is, and having it looked for or installed.

mod follow;

use std::time::Duration;

use follow::{Moment, Until, follow};
use russet_protocol::local::{Status, Update};

use crate::client::agent::{AgentArgs, AgentClient};
use crate::commands::values;
use crate::commands::{OutputArgs, block_on};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, plain};

/// Call that has an update looked for and installed.
const INSTALL: &str = "update/install";

/// Updates of the installed agent
#[derive(clap::Subcommand, Debug)]
pub(crate) enum UpdateCommand {
    /// Show how far an update is
    Status(Args),

    /// Look for an update now
    ///
    /// A release that is found is fetched, and installed when no task runs unless `update.auto` is
    /// off. A release that has not been rolled out to this machine yet is not taken. Fails where the
    /// source shows no release, or one that is refused.
    Check(Args),

    /// Look for an update now, and install it when no task runs
    ///
    /// Also where that is not done by itself (`update.auto`), and where a release has not been
    /// rolled out to this machine yet. Tasks that run are waited for; where none runs, this returns
    /// when the new version is in place.
    Install(InstallArgs),
}

/// Which agent, and how to show it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    agent: AgentArgs,
}

/// `russet agent update install`.
#[derive(clap::Args, Debug)]
pub(crate) struct InstallArgs {
    /// Return when the new version runs and has proved itself, or was taken back
    #[arg(long)]
    wait: bool,
    /// Timeout of waiting, as `30m` or `2h`
    #[arg(long, value_name = "TIME", value_parser = values::parse_duration, default_value = "1h", requires = "wait")]
    timeout: Duration,
    #[command(flatten)]
    args: Args,
}

/// Runs the command.
pub(crate) fn main(command: UpdateCommand) -> Result<Exit> {
    block_on(async {
        match command {
            UpdateCommand::Status(args) => {
                let status = args.agent.connect()?.status().await?;
                print_status(&status, &args.output)?;
            }
            UpdateCommand::Check(args) => {
                let agent = args.agent.connect()?;
                return report_look(&agent, "update/check", Until::Looked, &args.output).await;
            }
            UpdateCommand::Install(InstallArgs { wait, timeout, args }) => {
                let agent = args.agent.connect()?;
                if !wait {
                    return report_look(&agent, INSTALL, Until::Placed, &args.output).await;
                }
                let reported = report_look(&agent, INSTALL, Until::Proved, &args.output);
                let Ok(exit) = tokio::time::timeout(timeout, reported).await else {
                    return Err(CliError::new(Exit::Infrastructure, "the update takes longer")
                        .hint("it goes on; `russet agent update status` says how far it is"));
                };
                return exit;
            }
        }
        Ok(Exit::Success)
    })
}

/// Follows a look to its end, says what came of it, and returns the exit code of this request.
async fn report_look(
    agent: &AgentClient,
    verb: &str,
    until: Until,
    output: &OutputArgs,
) -> Result<Exit> {
    let before = agent.status().await?;
    let look = agent.look(verb).await?;
    let (moment, status) = follow(agent, look, until, &before).await?;
    match moment {
        Moment::Installed => {
            print_status(&status, output)?;
            render::print_note(format_args!("Version {} runs.", plain(&status.agent_version)));
            Ok(Exit::Success)
        }
        Moment::Ended(update) | Moment::AboutToBegin(update) => {
            let exit = exit_of(&update);
            print_status(&Status { update: Some(update), ..status }, output)?;
            Ok(exit)
        }
        Moment::Unanswered | Moment::GoesOn => {
            let message = "the agent was restarted before the update was in place";
            Err(CliError::new(Exit::Infrastructure, message)
                .hint("`russet agent update status` says how far it is; ask again"))
        }
    }
}

/// Exit code of a request that ended in this state. That nothing newer is there is a success; that
/// the source shows nothing at all is not.
fn exit_of(update: &Update) -> Exit {
    match update {
        Update::UpToDate
        | Update::RolloutPending { .. }
        | Update::Pinned { .. }
        | Update::Downloading { .. }
        | Update::Ready { .. }
        | Update::WaitingForIdle { .. }
        | Update::Proving { .. } => Exit::Success,
        Update::Failed { .. }
        | Update::RolledBack { .. }
        | Update::NotOffered { .. }
        | Update::Unknown => Exit::Infrastructure,
    }
}

fn print_status(status: &Status, output: &OutputArgs) -> Result<()> {
    match output.output {
        Format::Json => render::print_json(&serde_json::json!({
            "version": status.agent_version,
            "update": status.update,
        })),
        Format::Text => render::print_line(update_text(status)),
    }
}

fn update_text(status: &Status) -> String {
    let update = match &status.update {
        None => "no update was looked for".to_owned(),
        Some(Update::UpToDate) => "there is no update".to_owned(),
        Some(Update::NotOffered { why }) => format!("no release is offered: {}", plain(why)),
        Some(Update::RolloutPending { version }) => format!(
            "version {} has not been rolled out to this machine yet: `russet agent update install` \
             takes it now",
            plain(version)
        ),
        Some(Update::Downloading { version, percent }) => {
            format!("version {} is being fetched ({percent}%)", plain(version))
        }
        Some(Update::Pinned { to, offers }) => {
            Update::pinned(to, offers.as_deref(), &status.agent_version)
        }
        Some(Update::Ready { version }) => {
            format!("version {} is ready: `russet agent update install`", plain(version))
        }
        Some(Update::WaitingForIdle { version }) => {
            format!("version {} is installed when no task runs", plain(version))
        }
        Some(Update::Proving { version }) => {
            format!("version {} has yet to prove itself, else it is taken back", plain(version))
        }
        Some(Update::Failed { why }) => format!("there was no update: {}", plain(why)),
        Some(Update::RolledBack { version, why }) => {
            let (version, why) = (plain(version), plain(why));
            format!("version {version} was taken back: it {why}; {}", Update::AFTER_ROLLBACK)
        }
        Some(Update::Unknown) => "whether there is an update is not known yet".to_owned(),
    };
    format!("Version {} runs; {update}.", plain(&status.agent_version))
}
