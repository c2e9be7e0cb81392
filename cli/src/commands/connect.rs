//! `russet project add|list|show|remove|poll|build`: projects and their Git remotes.

use std::path::PathBuf;
use std::time::Duration;

use russet_protocol::projects::{
    BuildProject, ConnectProject, ConnectionDetails, ConnectionItem, CredentialKind, HostKind,
    PollItem, TriggerItem, TriggerState,
};
use russet_protocol::secret::Secret;

use super::confirm::YesArgs;
use super::secret_input::read_secret_line;
use super::{OutputArgs, values};
use crate::client::ConnectionArgs;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::project::owner_and_name;
use crate::render::{self, Format, numbers, plain, table::Table};

/// Commands for projects that are connected to a Git remote.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum ConnectCommand {
    /// Connect a project to a Git remote: what is pushed there is built from then on
    #[command(
        after_help = "Examples:\n  russet project add https://github.com/acme/app --git-token-file token.txt\n  russet project add git@git.example.com:acme/app.git --deploy-key\n  russet project add https://git.example.com/app.git --name acme/app --poll 5m"
    )]
    Add(AddArgs),
    /// List the projects that are connected to a Git remote
    List {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Show a connected project: its remote, its last poll, what was built
    Show {
        /// The project
        project: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Disconnect a project from its Git remote; its pipelines stay
    Remove {
        /// The project
        project: String,
        #[command(flatten)]
        yes: YesArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Ask the Git remote of a project now what changed
    Poll {
        /// The project
        project: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Build the newest commit of a branch or tag of a connected project
    Build {
        /// The project
        project: String,
        /// The branch [default: the remote's default branch]
        #[arg(long, value_name = "NAME", conflicts_with = "tag")]
        branch: Option<String>,
        /// The tag
        #[arg(long, value_name = "NAME")]
        tag: Option<String>,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Options of a connection.
#[derive(clap::Args, Debug)]
pub(crate) struct AddArgs {
    /// Address of the repository: https://HOST/PATH, ssh://git@HOST/PATH or git@HOST:PATH
    #[arg(value_name = "URL")]
    remote: String,
    /// Name of the project [default: `owner/name` of the address]
    #[arg(long, value_name = "PROJECT")]
    name: Option<String>,
    /// A file with a token that may read the repository, for https; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "deploy_key")]
    git_token_file: Option<PathBuf>,
    /// User that goes with the token, for hosts that look at it
    #[arg(long, value_name = "NAME", requires = "git_token_file")]
    git_user: Option<String>,
    /// Make an SSH key for the repository, and print its public part
    #[arg(long)]
    deploy_key: bool,
    /// Interval in which the remote is asked what changed
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = values::parse_duration)]
    poll: Duration,
    /// Path of the configuration in the repository
    #[arg(long, value_name = "PATH", default_value = russet_protocol::admin::DEFAULT_CONFIG_PATH)]
    config_path: String,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs the command.
pub(crate) async fn main(command: ConnectCommand) -> Result<Exit> {
    match command {
        ConnectCommand::Add(args) => return add(args).await,
        ConnectCommand::List { output, connection } => {
            let items = connection.connect()?.connections().await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&connections_table(items))?,
            }
        }
        ConnectCommand::Show { project, output, connection } => {
            let of = connection.connect()?.connection(&project).await?;
            match output.output {
                Format::Json => render::print_json(&of)?,
                Format::Text => render::print_text(&details_text(&of))?,
            }
        }
        ConnectCommand::Remove { project, yes, connection } => {
            let client = connection.connect()?;
            yes.confirm(&format!("Disconnect {} from its Git remote", plain(&project)))?;
            client.disconnect_project(&project).await?;
            let project = plain(&project);
            render::print_line(format_args!("{project} is not connected any more."))?;
        }
        ConnectCommand::Poll { project, connection } => {
            connection.connect()?.poll_project(&project).await?;
            let project = plain(&project);
            render::print_line(format_args!("Asking. See: russet project show {project}"))?;
        }
        ConnectCommand::Build { project, branch, tag, connection } => {
            let wish = BuildProject { branch, tag };
            let of = connection.connect()?.build_project(&project, &wish).await?;
            let newest = of.triggers.iter().find(|trigger| trigger.kind == "api");
            let what = newest.map(|of| format!("{} at {}", short_name(of), short_hash(of)));
            render::print_line(format_args!(
                "Building {}. See: russet project show {}",
                plain(&what.unwrap_or_default()),
                plain(&project)
            ))?;
        }
    }
    Ok(Exit::Success)
}

async fn add(args: AddArgs) -> Result<Exit> {
    let name = args.name.clone().or_else(|| owner_and_name(&args.remote)).ok_or_else(|| {
        CliError::new(Exit::Usage, "the address does not say `owner/name` of a project")
            .hint("name the project with --name NAMESPACE/NAME")
    })?;
    let token: Option<Secret> =
        args.git_token_file.as_deref().map(|file| read_secret_line(file, "token")).transpose()?;
    let wish = ConnectProject {
        url: args.remote,
        host_kind: HostKind::Git,
        token,
        user: args.git_user,
        deploy_key: args.deploy_key,
        poll_ms: u64::try_from(args.poll.as_millis()).unwrap_or(u64::MAX),
        config_path: args.config_path,
    };
    let item = args.connection.connect()?.connect_project(&name, &wish).await?;
    match args.output.output {
        Format::Json => render::print_json(&item)?,
        Format::Text => {
            let shown = plain(&item.project);
            let mut text = format!("{shown} is connected to {}.\n", plain(&item.url));
            if let Some(key) = &item.public_key {
                text.push_str(&format!(
                    "Add this key to the repository, to read it (a deploy key):\n\n{}\n\n",
                    plain(key)
                ));
            }
            text.push_str(&format!(
                "What is pushed from now on is built. To build what is there now:\n  \
                 russet project build {shown}\nTo see whether the remote answers:\n  \
                 russet project show {shown}\n"
            ));
            render::print_text(&text)?;
        }
    }
    Ok(Exit::Success)
}

fn connections_table(items: Vec<ConnectionItem>) -> String {
    let mut table = Table::new(&["PROJECT", "REMOTE", "LAST POLL", "STATE"]);
    for item in items {
        let polled = item.last_poll.as_ref().map(|poll| numbers::local_time(poll.at_ms));
        let state = state_of(&item).to_owned();
        table.row([item.project, item.url, polled.unwrap_or_default(), state]);
    }
    table.render("No connected projects. `russet project add URL` connects one.")
}

fn state_of(item: &ConnectionItem) -> &'static str {
    match &item.last_poll {
        None => "not polled yet",
        Some(PollItem { error: Some(_), .. }) => "failing",
        Some(_) => "good",
    }
}

fn details_text(of: &ConnectionDetails) -> String {
    let item = &of.connection;
    let credential = match item.credential {
        CredentialKind::None => "none",
        CredentialKind::Token => "a token",
        CredentialKind::DeployKey => "a deploy key",
    };
    let mut lines = vec![
        format!("{}: {}", plain(&item.project), plain(&item.url)),
        format!("credential: {credential}"),
        format!("configuration: {}", plain(&item.config_path)),
        format!(
            "polled every {}",
            russet_text::format_duration(Duration::from_millis(item.poll_ms))
        ),
        format!("next poll: {}", numbers::local_time(item.next_poll_ms)),
    ];
    lines.extend(item.public_key.as_ref().map(|key| format!("deploy key: {}", plain(key))));
    lines.extend(item.host_keys.iter().map(|key| format!("host key: {}", plain(key))));
    if let Some(since) = item.webhook_ms {
        lines.push(format!("webhooks: taken since {}", numbers::local_time(since)));
    }
    if let Some(poll) = &item.last_poll {
        let took = russet_text::format_duration(Duration::from_millis(poll.took_ms));
        let when = numbers::local_time(poll.at_ms);
        match &poll.error {
            None => lines.push(format!("last poll: {when}, in {took}")),
            Some(error) => lines.push(format!("last poll: {when}, failed: {}", plain(error))),
        }
        lines.extend(poll.hint.as_ref().map(|hint| format!("hint: {}", plain(hint))));
    }
    let mut table = Table::new(&["HEARD OF", "BRANCH OR TAG", "COMMIT", "STATE", "PIPELINE"]);
    for trigger in &of.triggers {
        table.row([
            numbers::local_time(trigger.created_ms),
            short_name(trigger),
            short_hash(trigger),
            trigger_state(trigger).to_owned(),
            trigger.pipeline.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]);
    }
    let mut text = format!("{}\n\n{}", lines.join("\n"), table.render("Nothing was built yet."));
    for trigger in of.triggers.iter().filter(|of| of.state == TriggerState::Held) {
        text.push_str(&format!(
            "\n{} at {} is of a fork. To build this commit:\n  russet project approve {} {}",
            plain(&short_name(trigger)),
            plain(&trigger.revision),
            plain(&item.project),
            plain(&trigger.id)
        ));
    }
    for trigger in of.triggers.iter().filter(|trigger| trigger.message.is_some()) {
        let (name, message) = (short_name(trigger), trigger.message.clone().unwrap_or_default());
        text.push_str(&format!(
            "\n{} at {}: {}",
            plain(&name),
            short_hash(trigger),
            plain(&message)
        ));
        if let Some(hint) = &trigger.hint {
            text.push_str(&format!("\nhint: {}", plain(hint)));
        }
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn short_name(trigger: &TriggerItem) -> String {
    let name = &trigger.reference;
    let short = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"));
    let of_pull = || name.strip_prefix("refs/").and_then(|name| name.strip_suffix("/head"));
    short.or_else(of_pull).unwrap_or(name).to_owned()
}

fn short_hash(trigger: &TriggerItem) -> String {
    trigger.revision.chars().take(10).collect()
}

fn trigger_state(trigger: &TriggerItem) -> &'static str {
    match trigger.state {
        TriggerState::Waiting if trigger.message.is_some() => "tried again",
        TriggerState::Waiting => "waiting",
        TriggerState::Built => "built",
        TriggerState::Skipped => "skipped",
        TriggerState::Failed => "failed",
        TriggerState::Held => "needs approval",
    }
}
