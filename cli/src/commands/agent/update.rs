//! `russet agent update`: how far an update of this agent is, and having it looked for or installed.

use std::time::Duration;

use russet_protocol::local::{Status, Update};

use crate::client::agent::{AgentArgs, AgentClient};
use crate::commands::values;
use crate::commands::{OutputArgs, block_on};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, plain};

/// Delay before an agent that is being exchanged is asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// Updates of the installed agent
#[derive(clap::Subcommand, Debug)]
pub(crate) enum UpdateCommand {
    /// Show how far an update is
    Status(Args),

    /// Look for an update now
    ///
    /// A release that is found is fetched, and installed when no task runs unless `update.auto` is
    /// off. A release that has not been rolled out to this machine yet is not taken.
    Check(Args),

    /// Look for an update now, and install it when no task runs
    ///
    /// Also where that is not done by itself (`update.auto`), and where a release has not been
    /// rolled out to this machine yet. Tasks that run are waited for.
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
                let look = agent.look("update/check").await?;
                print_status(&wait_for_look(&agent, look).await?, &args.output)?;
            }
            UpdateCommand::Install(InstallArgs { wait, timeout, args }) => {
                let agent = args.agent.connect()?;
                let before = agent.status().await?;
                let look = agent.look("update/install").await?;
                if wait {
                    let exchanged =
                        tokio::time::timeout(timeout, wait_for_exchange(&agent, look, &before));
                    let Ok(result) = exchanged.await else {
                        return Err(CliError::new(Exit::Infrastructure, "the update takes longer")
                            .hint("it goes on; `russet agent update status` says how far it is"));
                    };
                    return report_end(&result?, &before, &args.output);
                }
                print_status(&wait_for_look(&agent, look).await?, &args.output)?;
            }
        }
        Ok(Exit::Success)
    })
}

/// Follows an agent until the look with this number has ended: it has found out what there is, and
/// fetched it.
async fn wait_for_look(agent: &AgentClient, look: u64) -> Result<Status> {
    let mut changes = agent.changes().await?;
    let mut status = agent.status().await?;
    while status.update_looks.unwrap_or_default() < look {
        match changes.next().await {
            Some(next) => status = next,
            // It makes way already.
            None => break,
        }
    }
    Ok(status)
}

/// Follows an agent until another one has taken its place and proved itself, or none will.
async fn wait_for_exchange(agent: &AgentClient, look: u64, before: &Status) -> Result<Status> {
    let mut status = wait_for_look(agent, look).await?;
    loop {
        let is_coming = matches!(
            status.update,
            Some(Update::Downloading { .. } | Update::Ready { .. } | Update::WaitingForIdle { .. })
        );
        let is_proving = matches!(status.update, Some(Update::Proving { .. }));
        let is_back = status.pid != before.pid && !is_proving;
        if is_back || !is_coming && !is_proving {
            return Ok(status);
        }
        tokio::time::sleep(AGAIN).await;
        // Between two versions there is nobody to ask.
        if let Ok(now) = agent.status().await {
            status = now;
        }
    }
}

fn report_end(status: &Status, before: &Status, output: &OutputArgs) -> Result<Exit> {
    print_status(status, output)?;
    match &status.update {
        Some(Update::RolledBack { .. } | Update::Failed { .. }) => Ok(Exit::Infrastructure),
        _ => {
            if status.agent_version != before.agent_version {
                render::print_note(format_args!("Version {} runs.", plain(&status.agent_version)));
            }
            Ok(Exit::Success)
        }
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
            format!("version {} was taken back: it {}", plain(version), plain(why))
        }
        Some(Update::Unknown) => "whether there is an update is not known yet".to_owned(),
    };
    format!("Version {} runs; {update}.", plain(&status.agent_version))
}
